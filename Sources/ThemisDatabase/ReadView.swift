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
    private let call: CallContext
    private let time: any TimeSource
    private let engine: any StorageEngine

    /// - Throws: errors of the engine.
    init(_ database: Database, _ call: CallContext) throws(ThemisError) {
        self.call = call
        time = database.telemetry.time
        engine = database.engine
        try call.check(time)
        now = database.published.now()
        snapshot = try database.engine.snapshot()
        // Part of every batch: it cannot be older or newer than the rest of the snapshot.
        guard let end = try snapshot.get(.meta, MetaRecords.last) else { throw MetaRecords.damaged("the end of the log") }
        sequence = try LogEnd(end).sequence
    }

    /// - Throws: `cancelled`, `deadline_exceeded`.
    func check() throws(ThemisError) { try call.check(time) }

    /// The id of the table in this state.
    ///
    /// - Throws: `not_found`.
    func tableID(_ name: TableName) throws(ThemisError) -> UInt32 {
        guard let row = try snapshot.get(.meta, MetaRecords.table(name)) else {
            throw ThemisError(.notFound, "there is no table \(name.text)")
        }
        return try TableRecord.decode(row, name: name).id
    }

    /// The table in this state, with its indexes.
    ///
    /// - Parameter known: the table as it was known shortly before or after; used if it is the same.
    /// - Throws: `not_found`.
    func table(_ name: TableName, known: Table?) throws(ThemisError) -> Table {
        guard let row = try snapshot.get(.meta, MetaRecords.table(name)) else {
            throw ThemisError(.notFound, "there is no table \(name.text)")
        }
        if let known, known.record == row { return known }
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

    /// A cursor over stored keys.
    func scan(from lower: [UInt8], to upper: [UInt8], reverse: Bool) throws(ThemisError) -> any StorageCursor {
        try snapshot.scan(.entities, from: lower, to: upper, reverse: reverse)
    }

    /// The entity at the cursor; nil when it has expired.
    func entity(at cursor: any StorageCursor, table: TableName, keysOnly: Bool) throws(ThemisError) -> Entity? {
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
