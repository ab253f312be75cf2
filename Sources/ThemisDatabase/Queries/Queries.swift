public import ThemisBase
import ThemisStorage
import ThemisTelemetry

/// Queries.
extension Database {
    /// Answers a query in the predicate form: the body of POST `/query`, and its answer, both JSON. Reads the disk.
    ///
    /// The page ends early when its documents reach 32 MiB. Deleting the last row of a page loses and repeats nothing on the next one.
    ///
    /// - Throws: `invalid_json`, `invalid_request`, `unknown_parameter`, `invalid_key`, `invalid_cursor`, `not_found` for an unknown
    ///   table, `full_scan_refused`, `query_too_large`, `data_corrupt`, `cancelled`, `deadline_exceeded`.
    public func query(
        _ body: [UInt8], in transaction: TransactionReference? = nil, _ call: CallContext = CallContext()
    ) throws(ThemisError) -> [UInt8] {
        let started = telemetry.time.monotonicNanoseconds()
        let query = try PredicateQuery.read(body, seal)
        // Asked for before the snapshot is taken; the view compares.
        let known = published.table(query.table)
        return try read(in: transaction, call) { (view) throws(ThemisError) in
            try answer(query, known: known, view, since: started)
        }
    }

    private func answer(
        _ query: LogicalQuery, known: Table?, _ view: ReadView, since started: UInt64
    ) throws(ThemisError) -> [UInt8] {
        let table = try view.table(query.table, known: known)
        let plan = try Planner(view: view, table: table).plan(query)
        // One more than the page tells whether there is another page. Rows that a filter drops, or a sort, need more.
        let isRead = !plan.sorts && plan.access.proves(query.condition)
        let run = QueryRun(
            view, table, time: telemetry.time, timesOperators: query.explanation == .analyze, page: isRead ? query.limit + 1 : .max)
        let execution = try QueryExecution(run, query, plan)
        var answer = QueryAnswer(query, sequence: view.sequence)
        if query.explanation == .plan {
            answer.explain(plan, execution.report, isMeasured: false)
            return answer.bytes(run, milliseconds: elapsed(since: started))
        }
        if let refusal = plan.refusal { throw refusal }
        if query.anchor != nil { metrics.cursorAnchorHits.add() }
        defer { metrics.rangeScanSteps.add(run.scanned) }
        try execution.fill(&answer, seal)
        if query.explanation == .analyze { answer.explain(plan, execution.report, isMeasured: true) }
        return answer.bytes(run, milliseconds: elapsed(since: started))
    }

    private func elapsed(since started: UInt64) -> Double {
        Double((telemetry.time.monotonicNanoseconds() - started) / 1_000) / 1_000
    }
}

/// The operators of one plan. One thread at a time.
struct QueryExecution {
    private let run: QueryRun
    private let query: LogicalQuery
    private let order: RowOrder
    private let root: any RowOperator

    /// Merged inputs of one union: each holds a place in the storage open.
    private static let merged = 32

    init(_ run: QueryRun, _ query: LogicalQuery, _ plan: QueryPlan) throws(ThemisError) {
        self.run = run
        self.query = query
        order = RowOrder(plan.order)
        let conjunction = Conjunction(query.condition)
        // A sort compares places itself; its source gives everything.
        let anchor = plan.sorts ? nil : query.anchor
        let rows: any RowOperator =
            switch plan.access {
            case .table: try TableScan(run, behind: anchor?.pk)
            case .nothing: Fetch(run, KeyList([]))
            default: Fetch(run, Self.keys(run, plan.access, plan.order, conjunction, anchor))
            }
        let filtered: any RowOperator =
            plan.access.proves(query.condition) ? rows : Filter(run, rows, ConditionEvaluator(query.condition))
        if plan.sorts {
            let place = query.anchor.map { RowOrder(plan.order).comparable($0.values, $0.pk) }
            // One more than the page tells whether there is another page.
            root = TopRows(run, filtered, RowOrder(plan.order), first: query.limit + 1, behind: place)
        } else {
            root = filtered
        }
    }

    var report: OperatorReport { root.report }

    // MARK: Keys

    private static func keys(
        _ run: QueryRun, _ access: QueryAccess, _ order: [SortKey], _ conjunction: Conjunction, _ anchor: QueryAnchor?
    ) -> any KeyOperator {
        switch access {
        case .nothing, .table: return KeyList([])
        case .index(let index) where index.isByKey: return byKey(run, index, anchor)
        case .index(let index):
            return IndexScan(run, index, behind: anchor.map { Self.key(of: $0, in: index.index, order, conjunction) })
        case .intersection(let parts): return KeyIntersection(run, parts.map { byKey(run, $0, anchor) })
        case .union(let parts):
            var merging: [any KeyOperator] = []
            var collecting: [any KeyOperator] = []
            for part in parts {
                switch part {
                case .index(let index) where index.ranges.isPoints && merging.count + index.ranges.ranges.count <= merged:
                    for range in index.ranges.ranges { merging.append(byKey(run, index.only(range), anchor)) }
                case .index(let index): collecting.append(IndexScan(run, index, behind: nil))
                case .intersection where merging.count < merged:
                    merging.append(keys(run, part, order, conjunction, anchor))
                default: collecting.append(keys(run, part, order, conjunction, nil))
                }
            }
            return KeyUnion(run, merging: merging, collecting: collecting, behind: anchor?.pk)
        }
    }

    /// The entries of one combination of values, which come by primary key.
    private static func byKey(_ run: QueryRun, _ access: IndexAccess, _ anchor: QueryAnchor?) -> any KeyOperator {
        IndexScan(
            run, access, behind: anchor.map { IndexKey.key(access.index.generation, access.ranges.ranges[0].lower, pk: $0.pk) })
    }

    /// The stored key of the anchor's row in an index: values of the order, and the known values of the other columns.
    private static func key(
        of anchor: QueryAnchor, in index: Index, _ order: [SortKey], _ conjunction: Conjunction
    ) -> [UInt8] {
        var values: [JSONPath: ArraySlice<UInt8>] = [:]
        var reader = ByteReader(anchor.values)
        for key in order {
            let start = reader.position
            _ = OrderedCoding.skip(&reader)
            values[key.path] = anchor.values[start..<reader.position]
        }
        var entry: [UInt8] = []
        for column in index.definition.columns {
            if conjunction.isFixed(column), let value = conjunction.set(for: column)?.ranges.first?.lower {
                entry.append(contentsOf: value)
            } else {
                entry.append(contentsOf: values[column] ?? OrderedCoding.null[...])
            }
        }
        return IndexKey.key(index.generation, entry, pk: anchor.pk)
    }

    // MARK: Rows

    /// Fills the page.
    func fill(_ answer: inout QueryAnswer, _ seal: CursorSeal) throws(ThemisError) {
        var last: QueryRow?
        while true {
            let batch = try root.next()
            if batch.isEmpty { return }
            for row in batch {
                if answer.isFull, let last {
                    answer.nextCursor = try cursor(behind: last, seal)
                    return
                }
                try answer.add(row)
                last = row
            }
        }
    }

    private func cursor(behind row: QueryRow, _ seal: CursorSeal) throws(ThemisError) -> String {
        let anchor = QueryAnchor(order: order.keys, values: try order.values(row.value, row.documentRange), pk: row.pk)
        guard anchor.values.count <= Limits.queryAnchorBytes else {
            throw ThemisError(
                .queryTooLarge, "the values that order the rows are longer than \(Limits.queryAnchorBytes) bytes: no page can end here")
        }
        return seal.seal(anchor.encoded(query.identity.fingerprint))
    }
}

extension IndexAccess {
    /// The same access to one of its ranges.
    func only(_ range: ValueRange) -> IndexAccess {
        IndexAccess(index: index, ranges: ranges.only(range), isReversed: isReversed, estimate: estimate)
    }
}
