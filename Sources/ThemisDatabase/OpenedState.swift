import Synchronization
import ThemisBase
import ThemisStorage

/// What a database knows of itself when it opens.
struct OpenedState: Sendable {
    var end = LogEnd()
    var epochs: [Epoch] = []
    var oldest: SequenceNumber = 1
    var catalog = TableCatalog()
    var idempotency = IdempotencyUsage()
    /// The secret that proves cursors.
    var cursorKey: [UInt8] = []
    /// What the clocks showed when they were looked at last.
    var clock: ExpiryClock.Record?

    /// Reads the state, makes it in an empty engine, and begins a new epoch when one is asked for.
    ///
    /// - Throws: `format_too_new`, `data_corrupt`.
    static func open(_ engine: any StorageEngine, _ options: DatabaseOptions, now: Int64) throws(ThemisError) -> OpenedState {
        let snapshot = try engine.snapshot()
        if options.startsNewEpoch {
            return try Salvage(snapshot).state(engine, above: options.durableMark?.recorded?.sequence ?? 0, now: now)
        }
        guard let format = try snapshot.get(.meta, MetaRecords.format) else {
            // Other rows without it are the rest of something.
            guard try !snapshot.scan(.meta, from: [], to: nil, reverse: false).advance() else {
                throw MetaRecords.damaged("the format")
            }
            return try create(engine)
        }
        try checkFormat(format)
        try upgrade(engine, format)
        var state = OpenedState()
        state.end = try LogEnd(try required(snapshot, MetaRecords.last, "the end of the log"))
        state.epochs = try Epoch.decode(try required(snapshot, MetaRecords.epochs, "the epochs"))
        state.oldest = try MetaRecords.number(
            try required(snapshot, MetaRecords.oldest, "the oldest sequence"), of: "the oldest sequence")
        guard state.oldest >= 1, state.oldest - 1 <= state.end.sequence else { throw MetaRecords.damaged("the oldest sequence") }
        state.cursorKey = try required(snapshot, MetaRecords.cursorKey, "the cursor key")
        if let usage = try snapshot.get(.meta, MetaRecords.idempotency) {
            let (keys, bytes) = try MetaRecords.pair(usage, of: "the idempotency keys")
            state.idempotency = IdempotencyUsage(keys: keys, bytes: bytes)
        }
        state.clock = try snapshot.get(.meta, MetaRecords.clock).map { bytes throws(ThemisError) in try ExpiryClock.Record(bytes) }
        state.catalog = try readCatalog(snapshot)
        return state
    }

    /// - Throws: `format_too_new`, `data_corrupt`.
    static func checkFormat(_ bytes: [UInt8]) throws(ThemisError) {
        let version: UInt16 = try MetaRecords.number(bytes, of: "the format")
        guard version <= MetaRecords.formatVersion else {
            throw ThemisError(
                .formatTooNew,
                "the data has format \(version), this build (\(Build.version)) reads up to \(MetaRecords.formatVersion)")
        }
    }

    /// Rows of older formats are read as they are and written anew when they change; the number keeps older builds away from then on.
    /// Formats before 3 had no order of expiry: it is made here, from every entity.
    private static func upgrade(_ engine: any StorageEngine, _ format: [UInt8]) throws(ThemisError) {
        let current = MetaRecords.number(MetaRecords.formatVersion)
        guard format != current else { return }
        if format.lexicographicallyPrecedes(MetaRecords.number(UInt16(3))) { try ExpiryOrder(engine).write() }
        var batch = WriteBatch()
        batch.put(.meta, MetaRecords.format, current)
        try engine.commit(batch, .synced)
    }

    private static func required(_ snapshot: any StorageSnapshot, _ key: [UInt8], _ what: String) throws(ThemisError) -> [UInt8] {
        guard let value = try snapshot.get(.meta, key) else {
            throw ThemisError(.dataCorrupt, "the record of \(what) is missing")
        }
        return value
    }

    private static func create(_ engine: any StorageEngine) throws(ThemisError) -> OpenedState {
        var state = OpenedState()
        state.epochs = [Epoch(id: Epoch.newID(), first: 1, previousLast: 0)]
        state.cursorKey = Digest.random(32)
        var batch = WriteBatch()
        batch.put(.meta, MetaRecords.format, MetaRecords.number(MetaRecords.formatVersion))
        batch.put(.meta, MetaRecords.last, state.end.encoded)
        batch.put(.meta, MetaRecords.epochs, Epoch.encode(state.epochs))
        batch.put(.meta, MetaRecords.oldest, MetaRecords.number(state.oldest))
        batch.put(.meta, MetaRecords.cursorKey, state.cursorKey)
        try engine.commit(batch, .synced)
        return state
    }

    /// Reads the tables with their counts, and the names of those that are gone.
    ///
    /// - Throws: `data_corrupt`.
    static func readCatalog(_ snapshot: any StorageSnapshot) throws(ThemisError) -> TableCatalog {
        var catalog = TableCatalog()
        if let next = try snapshot.get(.meta, MetaRecords.nextTable) {
            catalog.nextID = try MetaRecords.number(next, of: "the next table")
        }
        if let next = try snapshot.get(.meta, MetaRecords.nextIndex) {
            catalog.nextIndex = try MetaRecords.number(next, of: "the next index")
        }
        try forEach(snapshot, MetaRecords.tablePrefix) { suffix, value throws(ThemisError) in
            catalog.insert(try TableRecord.decode(value, name: TableName(stored: String(decoding: suffix, as: UTF8.self))))
        }
        try forEach(snapshot, MetaRecords.retiredPrefix) { suffix, value throws(ThemisError) in
            catalog.retire(try MetaRecords.number(Array(suffix), of: "a retired table"), try TableRecord.decodeRetired(value))
        }
        for index in catalog.byID.values.flatMap(\.indexes.all) {
            guard let row = try snapshot.get(.meta, MetaRecords.index(index.generation)) else { continue }
            index.counters.set(try IndexRecord.decodeCounts(row))
        }
        for table in catalog.byID.values {
            guard let count = try snapshot.get(.meta, MetaRecords.count(table.id)) else { continue }
            let (entities, bytes) = try MetaRecords.pair(count, of: "the counts of a table")
            table.counters.entities.store(entities, ordering: .relaxed)
            table.counters.bytes.store(bytes, ordering: .relaxed)
        }
        return catalog
    }

    /// Calls `body` with the rest of each key and the value of every row of `meta` under `prefix`.
    static func forEach(
        _ snapshot: any StorageSnapshot, _ prefix: [UInt8], _ body: (ArraySlice<UInt8>, [UInt8]) throws(ThemisError) -> Void
    ) throws(ThemisError) {
        let cursor = try snapshot.scan(.meta, from: prefix, to: MetaRecords.end(of: prefix), reverse: false)
        while try cursor.advance() { try body(cursor.key[prefix.count...], cursor.value) }
    }
}
