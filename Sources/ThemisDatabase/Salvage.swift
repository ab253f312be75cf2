import Synchronization
import ThemisBase
import ThemisStorage

/// Opens what a salvage or restore left: key spaces may have ended at different moments, and rows may be missing.
///
/// Nothing is removed. History begins anew above everything that was ever given; counts are taken from the entities themselves.
struct Salvage {
    private let snapshot: any StorageSnapshot

    init(_ snapshot: any StorageSnapshot) { self.snapshot = snapshot }

    /// The state with a new epoch, written to `engine`. `above` is a sequence that was certainly given.
    ///
    /// - Throws: `format_too_new`; `data_corrupt` for rows that are there and cannot be decoded.
    func state(_ engine: any StorageEngine, above given: SequenceNumber, now: Int64) throws(ThemisError) -> OpenedState {
        if let format = try snapshot.get(.meta, MetaRecords.format) { try OpenedState.checkFormat(format) }
        var state = OpenedState()
        if let end = try snapshot.get(.meta, MetaRecords.last) { state.end = try LogEnd(end) }
        if let epochs = try snapshot.get(.meta, MetaRecords.epochs) { state.epochs = try Epoch.decode(epochs) }
        state.cursorKey = try snapshot.get(.meta, MetaRecords.cursorKey) ?? Digest.random(32)
        state.clock = try snapshot.get(.meta, MetaRecords.clock).map { bytes throws(ThemisError) in try ExpiryClock.Record(bytes) }
        state.catalog = try OpenedState.readCatalog(snapshot)
        let newest = try takeCounts(&state.catalog)
        let last = max(state.end.sequence, given, newest, try lastChange(), state.epochs.last?.first ?? 0)
        let (first, isOverflow) = ((last / Epoch.stride) &+ 1).multipliedReportingOverflow(by: Epoch.stride)
        guard !isOverflow else { throw ThemisError(.dataCorrupt, "the end of the log is beyond every epoch") }
        state.epochs.append(Epoch(id: Epoch.newID(), first: first, previousLast: last))
        state.end = LogEnd()
        state.end.sequence = first - 1
        state.end.timestamp = max(now, try newestTimestamp())
        state.oldest = first
        state.idempotency = try countKeys()
        try ExpiryOrder(engine).write()
        var batch = WriteBatch()
        try beginIndexes(&state, &batch, now: now)
        try write(state, engine, &batch)
        return state
    }

    /// Every index begins anew from the entities: entries may have ended at another moment than they. Jobs build them.
    private func beginIndexes(_ state: inout OpenedState, _ batch: inout WriteBatch, now: Int64) throws(ThemisError) {
        // Entries of an index whose definition is lost keep its generation from being given again.
        let cursor = try snapshot.scan(.indexes, from: [], to: nil, reverse: true)
        if try cursor.advance(), cursor.key.count >= 4 {
            state.catalog.nextIndex = max(state.catalog.nextIndex, cursor.key.load(UInt32.self, at: 0) &+ 1)
        }
        batch.deleteRange(.indexes, from: IndexKey.lowerBound(1), to: [0xFF, 0xFF, 0xFF, 0xFF])
        for table in state.catalog.byID.values.sorted(by: { $0.id < $1.id }) where !table.indexes.isEmpty {
            var indexes: [Index] = []
            for index in table.indexes.all {
                batch.delete(.meta, MetaRecords.index(index.generation))
                guard index.replaces == 0 else { continue }
                guard state.catalog.nextIndex < UInt32.max - 1 else {
                    throw ThemisError(.dataCorrupt, "an index entry has a generation beyond all")
                }
                let successor = Index(
                    generation: state.catalog.nextIndex, definition: index.definition, state: .building, birth: state.end.sequence,
                    createdMilliseconds: index.createdMilliseconds)
                state.catalog.nextIndex += 1
                indexes.append(successor)
                let record = IndexBuildRecord(
                    of: successor, kind: index.state == .building ? .create : .rebuild, table: table.id, now: now,
                    total: table.counters.entities.load(ordering: .relaxed))
                batch.put(.meta, MetaRecords.job(Digest.hex(Digest.random(8))), record.encoded())
            }
            let rebuilt = table.with(indexes)
            state.catalog.insert(rebuilt)
            batch.put(.meta, MetaRecords.table(table.name), rebuilt.record)
        }
    }

    private func write(
        _ state: OpenedState, _ engine: any StorageEngine, _ batch: inout WriteBatch
    ) throws(ThemisError) {
        batch.put(.meta, MetaRecords.format, MetaRecords.number(MetaRecords.formatVersion))
        batch.put(.meta, MetaRecords.last, state.end.encoded)
        batch.put(.meta, MetaRecords.epochs, Epoch.encode(state.epochs))
        batch.put(.meta, MetaRecords.oldest, MetaRecords.number(state.oldest))
        batch.put(.meta, MetaRecords.cursorKey, state.cursorKey)
        batch.put(.meta, MetaRecords.nextTable, MetaRecords.number(state.catalog.nextID))
        batch.put(.meta, MetaRecords.nextIndex, MetaRecords.number(state.catalog.nextIndex))
        batch.put(.meta, MetaRecords.idempotency, MetaRecords.pair(state.idempotency.keys, state.idempotency.bytes))
        for table in state.catalog.byID.values.sorted(by: { $0.id < $1.id }) {
            let counters = table.counters
            batch.put(
                .meta, MetaRecords.count(table.id),
                MetaRecords.pair(counters.entities.load(ordering: .relaxed), counters.bytes.load(ordering: .relaxed)))
        }
        try engine.commit(batch, .synced)
    }

    /// Counts every entity; the newest version there is.
    private func takeCounts(_ catalog: inout TableCatalog) throws(ThemisError) -> SequenceNumber {
        for table in catalog.byID.values {
            table.counters.entities.store(0, ordering: .relaxed)
            table.counters.bytes.store(0, ordering: .relaxed)
        }
        var newest: SequenceNumber = 0
        var highest: UInt32 = catalog.byID.keys.max() ?? 0
        let cursor = try snapshot.scan(.entities, from: [], to: nil, reverse: false)
        while try cursor.advance() {
            let key = cursor.key
            let value = cursor.value
            try EntityRecord.check(value)
            guard key.count > 4 else { throw ThemisError(.dataCorrupt, "a key of an entity has \(key.count) bytes") }
            newest = max(newest, EntityRecord.version(of: value))
            let id = key.load(UInt32.self, at: 0)
            // Entities of a table whose row is lost keep its id from being given again.
            highest = max(highest, id)
            guard let counters = catalog.byID[id]?.counters else { continue }
            counters.entities.add(1, ordering: .relaxed)
            counters.bytes.add(UInt64(key.count - 4 + value.count - EntityRecord.headerBytes), ordering: .relaxed)
        }
        guard highest < UInt32.max - 1 else { throw ThemisError(.dataCorrupt, "a key of an entity has a table id beyond all") }
        catalog.nextID = max(catalog.nextID, highest + 1, (catalog.retired.keys.max() ?? 0) &+ 1)
        return newest
    }

    private func lastChange() throws(ThemisError) -> SequenceNumber {
        let cursor = try snapshot.scan(.changes, from: [], to: nil, reverse: true)
        return try cursor.advance() ? try ChangeRecord.position(ofKey: cursor.key).sequence : 0
    }

    /// Commit times go on where the newest record ended.
    private func newestTimestamp() throws(ThemisError) -> Int64 {
        let end = try snapshot.get(.meta, MetaRecords.last).map { bytes throws(ThemisError) in try LogEnd(bytes).timestamp } ?? 0
        let cursor = try snapshot.scan(.changes, from: [], to: nil, reverse: true)
        guard try cursor.advance() else { return end }
        let record = cursor.value
        try ChangeRecord.check(record)
        return max(end, ChangeRecord.timestamp(of: record))
    }

    private func countKeys() throws(ThemisError) -> IdempotencyUsage {
        var usage = IdempotencyUsage()
        let cursor = try snapshot.scan(.idempotency, from: [0], to: [1], reverse: false)
        while try cursor.advance() {
            let answer = cursor.value
            // Outcomes of transactions count for no bound.
            if answer.first != IdempotencyRecord.outcomeFormat { usage.add(bytes: IdempotencyRecord.rowBytes(answer.count)) }
        }
        return usage
    }
}
