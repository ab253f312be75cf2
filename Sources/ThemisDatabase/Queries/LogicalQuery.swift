import ThemisBase

/// One key of an order.
struct SortKey: Sendable, Hashable {
    let path: JSONPath
    let isDescending: Bool
}

/// What a query asks for, whatever language it came in. Any thread.
struct LogicalQuery: Sendable {
    /// What becomes of each row.
    enum Shape: Sendable, Equatable {
        case entities
        case keys
        case fields([String])
    }

    enum Explanation: Sendable {
        case none
        /// Only the plan.
        case plan
        /// The answer, and the plan with what each operator did.
        case analyze
    }

    var table: TableName
    var condition = Condition.all([])
    /// Empty: in an order that the plan gives for nothing.
    var order: [SortKey] = []
    var limit = 100
    var shape = Shape.entities
    var explanation = Explanation.none
    var allowsFullScan = false
    /// Where the page before ended.
    var anchor: QueryAnchor?
    var identity = QueryIdentity(members: [])
}

/// Tells a query from others in its cursors. Any thread.
struct QueryIdentity: Sendable {
    /// The body of the request.
    let members: [JSONMember]

    /// Members that do not change what the rows are, only which of them come.
    private static let pageMembers: Set<String> = ["cursor", "limit", "explain"]

    /// A digest of all that shapes the answer but the page. Made when a cursor is read or made: it costs as much as a small query.
    var fingerprint: [UInt8] {
        let shaping = members.filter { !Self.pageMembers.contains($0.name.text) }
        return Array(Digest.sha256(OrderedCoding.coding(of: .object(shaping))).prefix(16))
    }
}

/// The place of a row in the order of its query.
struct QueryAnchor: Sendable {
    /// The order by which the pages go on: that of the query, completed by what its first plan gave.
    let order: [SortKey]
    /// The values of the row under these keys, in their ordered coding, one behind the other.
    let values: [UInt8]
    let pk: [UInt8]

    static let kind: UInt8 = 2

    /// `kind u8 | fingerprint 16 bytes | keys varint | each: descending u8, path | values | primary key`, texts with their length.
    func encoded(_ fingerprint: [UInt8]) -> [UInt8] {
        var bytes: [UInt8] = [Self.kind]
        bytes.append(contentsOf: fingerprint)
        bytes.appendVarint(UInt64(order.count))
        for key in order {
            bytes.append(key.isDescending ? 1 : 0)
            bytes.appendLengthPrefixed(key.path.text.utf8)
        }
        bytes.appendLengthPrefixed(values)
        bytes.appendLengthPrefixed(pk)
        return bytes
    }

    init(order: [SortKey], values: [UInt8], pk: [UInt8]) {
        self.order = order
        self.values = values
        self.pk = pk
    }

    /// The anchor in a cursor that was made for this query.
    ///
    /// - Throws: `invalid_cursor`.
    init(_ bytes: [UInt8], fingerprint: [UInt8]) throws(ThemisError) {
        var reader = ByteReader(bytes)
        guard reader.byte() == Self.kind, let digest = reader.take(fingerprint.count), digest.elementsEqual(fingerprint),
            let count = reader.varint(), count <= UInt64(reader.remaining)
        else { throw CursorSeal.invalid }
        var order: [SortKey] = []
        for _ in 0..<count {
            guard let isDescending = reader.byte(), let text = reader.lengthPrefixed(),
                let path = try? JSONPath(String(decoding: text, as: UTF8.self))
            else { throw CursorSeal.invalid }
            order.append(SortKey(path: path, isDescending: isDescending == 1))
        }
        guard let values = reader.lengthPrefixed(), let pk = reader.lengthPrefixed(), reader.remaining == 0 else {
            throw CursorSeal.invalid
        }
        self.init(order: order, values: Array(values), pk: Array(pk))
    }
}

/// The order of rows as bytes that are compared.
struct RowOrder: Sendable {
    let keys: [SortKey]
    private let reader: JSONPathReader

    init(_ keys: [SortKey]) {
        self.keys = keys
        reader = JSONPathReader(keys.map(\.path))
    }

    /// Rows that are equal under all keys are ordered by primary key, in the direction of the last key: as an index has them.
    static func isPKDescending(_ keys: [SortKey]) -> Bool { keys.last?.isDescending ?? false }

    /// The values of a row in their ordered coding, one behind the other.
    ///
    /// - Throws: `data_corrupt` for a damaged document.
    func values(_ document: [UInt8], _ range: Range<Int>) throws(ThemisError) -> [UInt8] {
        guard !keys.isEmpty else { return [] }
        var values: [UInt8] = []
        do throws(ThemisError) {
            for found in try reader.ranges(in: document, range) {
                guard let place = found.first else {
                    values.append(contentsOf: OrderedCoding.null)
                    continue
                }
                try OrderedCoding.append(json: document, in: place, to: &values)
            }
        } catch {
            throw ThemisError(.dataCorrupt, "a stored document cannot be read: \(error.message)")
        }
        return values
    }

    /// Bytes that sort as rows with these values and primary keys do.
    func comparable(_ values: [UInt8], _ pk: some Collection<UInt8>) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(values.count + pk.count + 1)
        var reader = ByteReader(values)
        for key in keys {
            let start = reader.position
            _ = OrderedCoding.skip(&reader)
            Self.append(values[start..<reader.position], isDescending: key.isDescending, to: &bytes)
        }
        // A primary key has no zero byte: the end makes no key the beginning of another.
        Self.append(pk, isDescending: Self.isPKDescending(keys), to: &bytes)
        Self.append(CollectionOfOne(0), isDescending: Self.isPKDescending(keys), to: &bytes)
        return bytes
    }

    private static func append(_ part: some Collection<UInt8>, isDescending: Bool, to bytes: inout [UInt8]) {
        if isDescending { bytes.append(contentsOf: part.lazy.map { ~$0 }) } else { bytes.append(contentsOf: part) }
    }
}
