public import ThemisBase
import ThemisStorage
import ThemisTelemetry

/// What a list cursor says: whose it is, and the key behind which to go on.
struct ListCursor {
    static let kind: UInt8 = 1
    let request: ListRequest
    let pk: String

    /// `kind u8 | reverse u8 | table | prefix | pk`, each text with its length.
    func encoded() -> [UInt8] {
        var bytes: [UInt8] = [Self.kind, request.reverse ? 1 : 0]
        bytes.appendLengthPrefixed(request.table.text.utf8)
        bytes.appendLengthPrefixed(request.prefix.utf8)
        bytes.appendLengthPrefixed(pk.utf8)
        return bytes
    }

    /// The key in a cursor that was made for this request.
    ///
    /// - Throws: `invalid_cursor`.
    static func pk(in bytes: [UInt8], for request: ListRequest) throws(ThemisError) -> String {
        var reader = ByteReader(bytes)
        guard reader.byte() == kind, reader.byte() == (request.reverse ? 1 : 0),
            let table = reader.lengthPrefixed(), table.elementsEqual(request.table.text.utf8),
            let prefix = reader.lengthPrefixed(), prefix.elementsEqual(request.prefix.utf8),
            let pk = reader.lengthPrefixed(), reader.remaining == 0
        else { throw CursorSeal.invalid }
        return String(decoding: pk, as: UTF8.self)
    }
}

extension Database {
    /// Expired rows that one page may step over; then the page ends early, with a cursor.
    private static let skippedRows = 100_000

    /// One page of a table in the order of primary keys. May read the disk.
    ///
    /// Each page is a state of its own. A cursor holds the key of the last entity: deleting that one loses and repeats nothing.
    ///
    /// - Parameters:
    ///   - cursor: `nextCursor` of the page before, for the same request; nil for the first page.
    ///   - limit: 1–1,000 entities; fewer come when `maxBytes` of documents are reached first.
    /// - Throws: `not_found` for an unknown table, `invalid_cursor`, `invalid_request`, `data_corrupt`, `cancelled`,
    ///   `deadline_exceeded`.
    public func list(
        _ request: ListRequest, cursor: String? = nil, limit: Int = 100, maxBytes: Int = Limits.pageBytes,
        in transaction: TransactionReference? = nil, _ call: CallContext = CallContext()
    ) throws(ThemisError) -> ListPage {
        guard (1...Limits.pageEntities).contains(limit) else {
            throw ThemisError(
                .invalidRequest, "a page has 1–\(Limits.pageEntities) entities",
                fields: [FieldError("limit", "1–\(Limits.pageEntities)")])
        }
        let anchor: String? = if let cursor { try ListCursor.pk(in: seal.open(cursor), for: request) } else { nil }
        return try read(in: transaction, call) { (view) throws(ThemisError) in
            try page(request, behind: anchor, limit: limit, maxBytes: maxBytes, view)
        }
    }

    private func page(
        _ request: ListRequest, behind anchor: String?, limit: Int, maxBytes: Int, _ view: ReadView
    ) throws(ThemisError) -> ListPage {
        let table = try view.tableID(request.table)
        var (lower, upper) = EntityRecord.bounds(table: table, prefix: request.prefix)
        if let anchor {
            let key = EntityRecord.key(table: table, pk: anchor)
            // The key right behind the anchor has a zero byte more.
            if request.reverse { upper = key } else { lower = key + [0] }
            metrics.cursorAnchorHits.add()
        }
        let scan = try view.scan(from: lower, to: upper, reverse: request.reverse)
        var page = ListPage(entities: [], nextCursor: nil, sequence: view.sequence)
        var bytes = 0
        var steps = 0
        var lastKey: [UInt8] = []
        defer { metrics.rangeScanSteps.add(UInt64(steps)) }
        while try scan.advance() {
            let isFull = page.entities.count == limit || bytes >= maxBytes || steps - page.entities.count >= Self.skippedRows
            if isFull {
                let pk = String(decoding: lastKey[4...], as: UTF8.self)
                page.nextCursor = seal.seal(ListCursor(request: request, pk: pk).encoded())
                return page
            }
            steps += 1
            if steps % 256 == 0 { try view.check() }
            lastKey = scan.key
            if let entity = try view.entity(at: scan, table: request.table, keysOnly: request.keysOnly) {
                bytes += entity.document.count + entity.key.pk.utf8.count
                page.entities.append(entity)
            }
        }
        return page
    }

    /// The whole of a table or of a prefix from one state, piece by piece. May read the disk.
    ///
    /// - Throws: `not_found` for an unknown table; errors of the engine.
    public func export(_ request: ListRequest, _ call: CallContext = CallContext()) throws(ThemisError) -> ExportCursor {
        let view = try ReadView(self, call)
        let bounds = EntityRecord.bounds(table: try view.tableID(request.table), prefix: request.prefix)
        return ExportCursor(view, try view.scan(from: bounds.lower, to: bounds.upper, reverse: request.reverse), request)
    }
}

/// An export that is under way. Calls may come from different threads, but one at a time.
///
/// Proof of Sendable: the caller calls from one thread at a time, as the documentation demands; nothing else sees the state.
public final class ExportCursor: @unchecked Sendable {
    private let view: ReadView
    private let cursor: ViewCursor
    private let request: ListRequest
    private var isAtEnd = false

    init(_ view: ReadView, _ cursor: ViewCursor, _ request: ListRequest) {
        self.view = view
        self.cursor = cursor
        self.request = request
    }

    /// The state that is read.
    public var sequence: SequenceNumber { view.sequence }

    /// The next entities, about `maxBytes` of them and at least one; empty at the end. May read the disk.
    ///
    /// - Throws: `data_corrupt`, `cancelled`, `deadline_exceeded`.
    public func next(maxBytes: Int) throws(ThemisError) -> [Entity] {
        var entities: [Entity] = []
        var bytes = 0
        var steps = 0
        while !isAtEnd, bytes < maxBytes {
            guard try cursor.advance() else {
                isAtEnd = true
                break
            }
            steps += 1
            if steps % 256 == 1 { try view.check() }
            guard let entity = try view.entity(at: cursor, table: request.table, keysOnly: request.keysOnly) else { continue }
            bytes += entity.document.count + entity.key.pk.utf8.count + 32
            entities.append(entity)
        }
        return entities
    }
}
