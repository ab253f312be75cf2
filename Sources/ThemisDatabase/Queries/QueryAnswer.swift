import ThemisBase

/// The answer to a query as JSON text. Documents go in as they are stored.
struct QueryAnswer {
    var nextCursor: String?
    private let query: LogicalQuery
    private let sequence: SequenceNumber
    private let projection: JSONProjection?
    private var rows: [UInt8] = []
    /// What stands before a primary key.
    private let keyBeginning: [UInt8]
    private var count = 0
    private var plan: JSONValue?
    private var hasRows: Bool

    init(_ query: LogicalQuery, sequence: SequenceNumber) {
        self.query = query
        self.sequence = sequence
        hasRows = query.explanation != .plan
        keyBeginning = Array(query.table.text.utf8) + [0x3A]
        // The front end has proved the paths.
        if case .fields(let paths) = query.shape { projection = try? JSONProjection(paths: paths) } else { projection = nil }
    }

    /// Whether another row belongs to the next page.
    var isFull: Bool { count == query.limit || rows.count >= Limits.pageBytes }

    /// - Throws: `data_corrupt` for a damaged document.
    mutating func add(_ row: QueryRow) throws(ThemisError) {
        if count > 0 {
            rows.append(0x2C)
        } else if query.shape == .entities {
            // Rows of one answer are mostly of one size.
            rows.reserveCapacity(min(query.limit, 16) * (row.value.count + 96))
        }
        count += 1
        switch query.shape {
        case .keys: appendKey(row.pk)
        case .entities:
            rows.append(contentsOf: #"{"key":"#.utf8)
            appendKey(row.pk)
            rows.append(contentsOf: #","version":"#.utf8)
            JSONText.appendInteger(EntityRecord.version(of: row.value), to: &rows)
            rows.append(contentsOf: #","document":"#.utf8)
            rows.append(contentsOf: row.value[row.documentRange])
            rows.append(0x7D)
        case .fields:
            guard let projection else { return rows.append(contentsOf: "{}".utf8) }
            do throws(ThemisError) {
                try projection.write(row.value, in: row.documentRange, to: &rows)
            } catch {
                throw ThemisError(.dataCorrupt, "a stored document cannot be read: \(error.message)")
            }
        }
    }

    private mutating func appendKey(_ pk: [UInt8]) {
        JSONText.appendString(utf8: keyBeginning, pk, to: &rows)
    }

    mutating func explain(_ plan: QueryPlan, _ report: OperatorReport, isMeasured: Bool) {
        var members = [
            JSONMember("operators", report.json(isMeasured: isMeasured)),
            JSONMember(
                "order",
                .array(
                    plan.order.map { key in
                        .object([JSONMember("column", .string(key.path.text)), JSONMember("desc", .bool(key.isDescending))])
                    })),
            JSONMember("full_scan", .bool(plan.isFullScan)),
        ]
        if let refusal = plan.refusal { members.append(JSONMember("refused", .string(refusal.message))) }
        self.plan = .object(members)
    }

    func bytes(_ run: QueryRun, milliseconds: Double) -> [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity(rows.count + 512)
        out.append(contentsOf: #"{"table":"\#(query.table.text)""#.utf8)
        if hasRows {
            let name =
                switch query.shape {
                case .entities: "entities"
                case .keys: "keys"
                case .fields: "rows"
                }
            out.append(contentsOf: #","count":\#(count),"\#(name)":["#.utf8)
            out.append(contentsOf: rows)
            out.append(0x5D)
        }
        if let nextCursor {
            out.append(contentsOf: #","next_cursor":"#.utf8)
            JSONText.appendString(nextCursor, to: &out)
        }
        if let plan {
            out.append(contentsOf: #","plan":"#.utf8)
            plan.write(to: &out)
        }
        let stats = #""scanned":\#(run.scanned),"returned":\#(count),"index_hits":\#(run.indexHits),"ms":\#(milliseconds)"#
        out.append(contentsOf: #","sequence":\#(sequence),"stats":{\#(stats)}}"#.utf8)
        return out
    }
}
