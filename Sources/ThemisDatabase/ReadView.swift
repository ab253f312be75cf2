import ThemisBase
import ThemisStorage
import ThemisTelemetry

/// One state of the data: a snapshot, the time at which expiry is judged, and how long the reader may take. One thread at a time.
///
/// It pins memory and files of the engine: hold it shortly.
final class ReadView {
    let snapshot: any StorageSnapshot
    /// The last change in this state, exactly.
    let sequence: SequenceNumber
    /// Milliseconds since 1970. What expired before is not there.
    let now: Int64
    /// What a transaction has written and reads; nil outside of one.
    let scope: TransactionScope?
    private let call: CallContext
    private let time: any TimeSource
    private let engine: any StorageEngine
    private let entities: CurrentEntities
    /// What others found in the same state; nil in a state of one's own.
    private let shared: SharedSnapshot.Opened?

    /// The newest state.
    ///
    /// - Parameter isShared: whether the snapshot may be one that others read, too. Not for work that reads what goes around the log.
    /// - Throws: errors of the engine.
    init(_ database: Database, _ call: CallContext, isShared: Bool = false) throws(ThemisError) {
        self.call = call
        time = database.telemetry.time
        engine = database.engine
        entities = database.prepare.entities
        try call.check(time)
        now = database.published.now()
        let opened = try isShared ? database.published.shared.open(database.engine) : SharedSnapshot.Opened(database.engine)
        shared = opened
        snapshot = opened.snapshot
        sequence = opened.sequence
        scope = nil
    }

    /// The state that a transaction reads, with what it has written.
    init(_ database: Database, _ transaction: Transaction, _ scope: TransactionScope, _ call: CallContext) throws(ThemisError) {
        self.call = call
        self.scope = scope
        shared = nil
        time = database.telemetry.time
        engine = database.engine
        entities = database.prepare.entities
        snapshot = transaction.snapshot
        sequence = transaction.begin
        now = transaction.now
        try call.check(time)
    }

    /// - Throws: `cancelled`, `deadline_exceeded`.
    func check() throws(ThemisError) { try call.check(time) }

    /// The id of the table in this state.
    ///
    /// - Throws: `not_found`.
    func tableID(_ name: TableName) throws(ThemisError) -> UInt32 {
        if let scope { return try scope.table(name, in: self).id }
        guard let row = try snapshot.get(.meta, MetaRecords.table(name)) else { throw Self.missing(name) }
        return try TableRecord.decode(row, name: name).id
    }

    static func missing(_ name: TableName) -> ThemisError { ThemisError(.notFound, "there is no table \(name.text)") }

    /// The table in this state, with its indexes.
    ///
    /// - Parameter known: the table as it was known shortly before or after; used if it is the same.
    /// - Throws: `not_found`.
    func table(_ name: TableName, known: Table?) throws(ThemisError) -> Table {
        if let scope { return try scope.table(name, known: known, in: self) }
        if let found = shared?.table(name) { return found }
        guard let row = try snapshot.get(.meta, MetaRecords.table(name)) else { throw Self.missing(name) }
        if let known, known.record == row {
            shared?.note(known)
            return known
        }
        return try TableRecord.decode(row, name: name)
    }

    /// Whether a stored value has not expired.
    ///
    /// - Throws: `data_corrupt`.
    func isVisible(_ value: [UInt8]) throws(ThemisError) -> Bool {
        try EntityRecord.check(value)
        let expiry = EntityRecord.expiry(of: value)
        return expiry == 0 || expiry > now
    }

    /// Bytes on disk of a range of index entries, about.
    func approximateBytes(from lower: [UInt8], to upper: [UInt8]) -> UInt64 {
        engine.approximateBytes(.indexes, from: lower, to: upper)
    }

    /// The stored value of one entity, expired or not; nil when there is none.
    func get(_ key: EntityKey) throws(ThemisError) -> [UInt8]? {
        guard let scope else {
            guard let row = try snapshot.get(.meta, MetaRecords.table(key.table)) else { return nil }
            return try snapshot.get(
                .entities, EntityRecord.key(table: TableRecord.decode(row, name: key.table).id, pk: key.pk))
        }
        guard let table = try scope.stored(key.table, in: self) ?? scope.overlay.newTables[key.table.text] else { return nil }
        return try scope.get(EntityRecord.key(table: table.id, pk: key.pk), snapshot)
    }

    /// Stored values of entities, in the order of `keys`.
    ///
    /// - Parameter keeps: whether what comes from the engine is likely to be read again: not in a scan.
    func multiGet(_ keys: [[UInt8]], keeps: Bool = false) throws(ThemisError) -> [[UInt8]?] {
        guard let scope else { return try entities.multiGet(keys, in: snapshot, through: sequence, keeps: keeps) }
        return try scope.multiGet(keys, snapshot)
    }

    /// A cursor over stored keys.
    func scan(from lower: [UInt8], to upper: [UInt8], reverse: Bool) throws(ThemisError) -> ViewCursor {
        let base = try snapshot.scan(.entities, from: lower, to: upper, reverse: reverse)
        guard let scope else { return ViewCursor(base) }
        return scope.cursor(base, KeyRange(lower: lower, upper: upper), reverse: reverse)
    }

    /// A cursor over entries of an index.
    func scan(
        _ index: Index, of table: Table, from lower: [UInt8], to upper: [UInt8], reverse: Bool
    ) throws(ThemisError) -> ViewCursor {
        let base = try snapshot.scan(.indexes, from: lower, to: upper, reverse: reverse)
        guard let scope else { return ViewCursor(base) }
        return scope.cursor(base, index, of: table, KeyRange(lower: lower, upper: upper), reverse: reverse)
    }

    /// The entity at the cursor; nil when it has expired.
    func entity(at cursor: ViewCursor, table: TableName, keysOnly: Bool) throws(ThemisError) -> Entity? {
        let value = cursor.value
        try EntityRecord.check(value)
        let expiry = EntityRecord.expiry(of: value)
        guard expiry == 0 || expiry > now else { return nil }
        return Entity(
            key: EntityKey(stored: table, pk: String(decoding: cursor.key[4...], as: UTF8.self)),
            version: EntityRecord.version(of: value), expiresAtMilliseconds: expiry,
            document: keysOnly ? [] : EntityRecord.document(of: value))
    }
}
