import Synchronization
import ThemisBase
import ThemisStorage

/// The committer's view of one table.
final class TableSlot {
    var table: Table
    var entities: UInt64
    var bytes: UInt64
    var isTouched = false

    init(_ table: Table) {
        self.table = table
        entities = table.counters.entities.load(ordering: .relaxed)
        bytes = table.counters.bytes.load(ordering: .relaxed)
    }
}

/// The second stage: puts prepared writes into one order, decides what they do, gives sequences, and encodes the batch.
///
/// Parses nothing, unless a write was stale too often. Lives on the committer's thread.
final class OrderStage: @unchecked Sendable {
    // Proof of Sendable: made while the database opens, then touched only by the committer's thread; commands run there too.

    /// What became of one operation.
    enum Verdict {
        case done(OperationResult)
        case failed(ThemisError)
        /// It was prepared on a state that is not the newest; it must be prepared again.
        case stale
    }

    /// A step that a failing transaction takes back.
    private enum Undo {
        case state(key: [UInt8], before: StoredState?)
        case counts(TableSlot, entities: UInt64, bytes: UInt64)
        case table(TableSlot)
    }

    let prepare: PrepareStage
    let published: PublishStage
    /// The batch that is being filled.
    var batch = OpenBatch()
    private(set) var end: LogEnd
    private(set) var catalog: TableCatalog
    private(set) var recent: RecentCommits
    private(set) var usage: IdempotencyUsage
    private(set) var slotsByName: [String: TableSlot] = [:]
    private var slotsByID: [UInt32: TableSlot] = [:]
    private var touched: [TableSlot] = []
    private var isCatalogChanged = false
    private var isUsageChanged = false
    private var staged: [StagedRecord] = []
    private var undo: [Undo] = []
    /// The end of the log before the transaction that is being ordered.
    private var mark = LogEnd()
    private var changeKey = ChangeRecord.key(0)

    init(prepare: PrepareStage, published: PublishStage) {
        self.prepare = prepare
        self.published = published
        let current = published.current
        end = current.end
        usage = current.idempotency
        catalog = TableCatalog()
        recent = RecentCommits(floor: current.end.sequence)
        reset()
    }

    /// Forgets everything that is not published: after a batch that was refused and wrote nothing.
    func reset() {
        let current = published.current
        end = current.end
        usage = current.idempotency
        catalog = published.catalog
        // Sequences that were given are given again: what was prepared on them is stale.
        recent = RecentCommits(floor: published.visibleSequence)
        slotsByName = [:]
        slotsByID = [:]
        for table in catalog.byID.values { insert(TableSlot(table)) }
        touched = []
        isCatalogChanged = false
        isUsageChanged = false
        staged.removeAll(keepingCapacity: true)
        undo.removeAll(keepingCapacity: true)
        batch = OpenBatch()
    }

    private func insert(_ slot: TableSlot) {
        slotsByName[slot.table.name.text] = slot
        slotsByID[slot.table.id] = slot
    }

    // MARK: Writes

    /// Orders one write into the batch. False: it is stale and must go back to be prepared.
    func order(_ write: PendingWrite) -> Bool {
        begin()
        if let idempotency = write.idempotency {
            switch admit(idempotency, write) {
            case .fresh: break
            case .answered: return true
            case .stale: return false
            }
        }
        switch write.completion {
        case .single: return orderSingle(write)
        case .atomic: return orderAtomic(write)
        case .group:
            for index in write.operations.indices { orderMember(write, index) }
            batch.writes.append(write)
        case nil: preconditionFailure("an answered write is not ordered")
        case .command(let body, _):
            do throws(ThemisError) {
                try body(self)
            } catch {
                write.failures[0] = error
            }
            batch.writes.append(write)
        }
        return true
    }

    /// Fixes the time of the batch at its first write.
    private func begin() {
        if batch.isEmpty { batch.now = published.now() }
        batch.now = max(batch.now, end.timestamp)
        mark = end
        recent.rotateIfFull(last: end.sequence, visible: published.visibleSequence)
    }

    private func orderSingle(_ write: PendingWrite) -> Bool {
        switch order(write.operations[0], index: 0, mayReturn: write.mayReturn) {
        case .stale: return false
        case .failed(let error):
            write.results = [OperationResult()]
            write.failures[0] = error
        case .done(let result):
            write.results = [result]
            flush()
            remember(write)
        }
        batch.operations += 1
        batch.writes.append(write)
        return true
    }

    private func orderAtomic(_ write: PendingWrite) -> Bool {
        write.results.removeAll(keepingCapacity: true)
        write.results.reserveCapacity(write.operations.count)
        for (index, operation) in write.operations.enumerated() {
            switch order(operation, index: UInt32(staged.count), mayReturn: write.mayReturn) {
            case .done(let result): write.results.append(result)
            case .stale:
                takeBack()
                return false
            case .failed(var error):
                takeBack()
                error.fields.insert(FieldError("operations[\(index)]", error.message), at: 0)
                write.failures[0] = error
                batch.writes.append(write)
                return true
            }
        }
        flush()
        remember(write)
        batch.operations += write.operations.count
        batch.writes.append(write)
        return true
    }

    private func orderMember(_ write: PendingWrite, _ index: Int) {
        mark = end
        switch order(write.operations[index], index: 0, mayReturn: false) {
        case .done(let result):
            write.results.append(result)
            flush()
        case .failed(let error):
            write.results.append(OperationResult())
            write.failures[index] = error
        case .stale: preconditionFailure("a member of a group is prepared where it stands")
        }
        batch.operations += 1
    }

    // MARK: One operation

    private func order(_ operation: PreparedOperation, index: UInt32, mayReturn: Bool) -> Verdict {
        if let refusal = operation.refusal { return .failed(refusal) }
        let slot: TableSlot?
        if let table = operation.table, let known = slotsByID[table.id], known.table === table {
            slot = known
            if let seen = recent[operation.key] {
                if seen.version != operation.base.version, let verdict = refresh(operation, known, seen, mayReturn) { return verdict }
            } else if operation.readPoint < recent.floor, table.birth < recent.floor {
                if let verdict = refresh(operation, known, nil, mayReturn) { return verdict }
            }
        } else {
            slot = slotsByName[operation.name.text]
            if let verdict = move(operation, to: slot, mayReturn) { return verdict }
        }
        let isPresent = operation.base.isPresent(at: batch.now)
        if let error = refusal(operation, isPresent) { return .failed(error) }
        if let verdict = operation.verdict { return .failed(verdict) }
        switch operation.kind {
        case .delete:
            guard isPresent, let slot else { return .done(OperationResult()) }
            return .done(stageDelete(operation, slot, index))
        case .patch where !isPresent:
            return .failed(ThemisError(.notFound, "there is no entity with this key to patch"))
        case .put, .patch:
            return .done(stagePut(operation, slot ?? createTable(operation), isPresent, index))
        }
    }

    private func refusal(_ operation: PreparedOperation, _ isPresent: Bool) -> ThemisError? {
        let reason: String
        switch operation.condition {
        case .none: return nil
        case .version(let version):
            if isPresent, operation.base.version == version { return nil }
            reason = isPresent ? "the entity has another version" : "there is no such entity"
        case .absent:
            guard isPresent else { return nil }
            reason = "the entity exists already"
        case .exists:
            if isPresent { return nil }
            reason = "there is no such entity"
        }
        return ThemisError(
            .preconditionFailed, reason, members: isPresent ? [("version", .number(operation.base.version))] : [])
    }

    /// Brings an operation up to the newest state of its key; a verdict when that is not for this stage to do.
    private func refresh(_ operation: PreparedOperation, _ slot: TableSlot, _ seen: StoredState?, _ mayReturn: Bool) -> Verdict? {
        if let seen, operation.isIndependent {
            operation.base = seen
            operation.base.value = nil
            return nil
        }
        // What this very transaction did can be seen nowhere else.
        if mayReturn, !isChangedByTransaction(operation.key) { return .stale }
        do throws(ThemisError) {
            let state = if let seen { seen } else { try StoredState(stored: prepare.engine.get(.entities, operation.key)) }
            prepare.build(operation, on: state, readPoint: end.sequence, now: batch.now)
            return nil
        } catch {
            return .failed(error)
        }
    }

    private func isChangedByTransaction(_ key: [UInt8]) -> Bool {
        undo.contains { if case .state(key, _) = $0 { true } else { false } }
    }

    /// Brings an operation to a table that is not the one it was prepared for.
    private func move(_ operation: PreparedOperation, to slot: TableSlot?, _ mayReturn: Bool) -> Verdict? {
        let wasWithoutTable = operation.table == nil
        guard let slot else {
            if wasWithoutTable { return nil }
            prepare.adopt(operation, nil)
            prepare.build(operation, on: .absent, readPoint: end.sequence, now: batch.now)
            return nil
        }
        prepare.adopt(operation, slot.table)
        let seen = recent[operation.key]
        // Everything that was ever written to a table this young is remembered here.
        let isYoung = slot.table.birth >= recent.floor
        guard let state = seen ?? (isYoung ? .absent : nil) else { return refresh(operation, slot, nil, mayReturn) }
        if operation.isIndependent, wasWithoutTable {
            ChangeRecord.set(table: slot.table.id, in: &operation.record)
            operation.base = state
            operation.base.value = nil
            return nil
        }
        prepare.build(operation, on: state, readPoint: end.sequence, now: batch.now)
        return nil
    }

    // MARK: Effects

    private func stagePut(_ operation: PreparedOperation, _ slot: TableSlot, _ isPresent: Bool, _ index: UInt32) -> OperationResult {
        var index = index
        let before = operation.base
        if before.isStored, !isPresent {
            stageExpiry(operation, slot, index)
            index += 1
        }
        end.sequence += 1
        end.ordinal = 0
        let sequence = end.sequence
        let ttl = slot.table.settings.defaultTTLSeconds
        let expiresAt = ttl == 0 ? 0 : batch.now + ttl * 1_000
        EntityRecord.set(version: sequence, expiresAt: expiresAt, in: &operation.value)
        ChangeRecord.set(
            version: sequence, previous: isPresent ? before.version : 0, timestamp: batch.now, index: index, in: &operation.record)
        let documentBytes = operation.value.count - EntityRecord.headerBytes
        let pkBytes = operation.key.count - 4
        count(slot, entities: before.isStored ? 0 : 1, bytes: documentBytes - before.documentBytes + (before.isStored ? 0 : pkBytes))
        note(
            operation.key,
            StoredState(version: sequence, expiresAt: expiresAt, documentBytes: documentBytes, value: operation.value))
        stage(operation, .put(key: operation.key, value: operation.value))
        return OperationResult(version: sequence, sequence: sequence, created: !isPresent)
    }

    private func stageDelete(_ operation: PreparedOperation, _ slot: TableSlot, _ index: UInt32) -> OperationResult {
        end.sequence += 1
        end.ordinal = 0
        let before = operation.base
        ChangeRecord.set(
            version: end.sequence, previous: before.version, timestamp: batch.now, index: index, in: &operation.record)
        count(slot, entities: -1, bytes: -(before.documentBytes + operation.key.count - 4))
        note(operation.key, .absent)
        stage(operation, .delete(key: operation.key))
        return OperationResult(sequence: end.sequence, deleted: true)
    }

    /// The delete of an entity that has expired, before something new takes its place in the same transaction.
    private func stageExpiry(_ operation: PreparedOperation, _ slot: TableSlot, _ index: UInt32) {
        end.sequence += 1
        end.ordinal = 0
        let oldValue = slot.table.settings.keepsOldValues ? operation.base.value.map { EntityRecord.document(of: $0) } : nil
        var record = ChangeRecord.data(table: slot.table.id, pk: operation.pk, value: nil, oldValue: oldValue, cause: .ttl)
        ChangeRecord.set(
            version: end.sequence, previous: operation.base.version, timestamp: batch.now, index: index, in: &record)
        staged.append(StagedRecord(sequence: end.sequence, ordinal: 0, record: record, effect: .none, operation: nil))
    }

    /// Moves the bytes out of the operation, so that they have one owner and can be finished without a copy.
    private func stage(_ operation: PreparedOperation, _ effect: StagedRecord.Effect) {
        staged.append(
            StagedRecord(sequence: end.sequence, ordinal: 0, record: operation.record, effect: effect, operation: operation))
        operation.record = []
        operation.value = []
    }

    /// A record that is no data: hangs at the last data record.
    func stageSystem(table: UInt32, text: [UInt8], _ effect: StagedRecord.Effect, cause: ChangeCause = .request) {
        end.ordinal += 1
        var record = ChangeRecord.system(table: table, text: text, cause: cause)
        ChangeRecord.set(version: 0, previous: 0, timestamp: batch.now, index: 0, in: &record)
        ChangeRecord.set(count: 1, in: &record)
        staged.append(StagedRecord(sequence: end.sequence, ordinal: end.ordinal, record: record, effect: effect, operation: nil))
    }

    private func createTable(_ operation: PreparedOperation) -> TableSlot {
        let slot = createTable(operation.name, TableSettings())
        undo.append(.table(slot))
        prepare.adopt(operation, slot.table)
        ChangeRecord.set(table: slot.table.id, in: &operation.record)
        return slot
    }

    private func count(_ slot: TableSlot, entities: Int, bytes: Int) {
        undo.append(.counts(slot, entities: slot.entities, bytes: slot.bytes))
        slot.entities = UInt64(clamping: Int64(clamping: slot.entities) + Int64(entities))
        slot.bytes = UInt64(clamping: Int64(clamping: slot.bytes) + Int64(bytes))
        touch(slot)
    }

    func touch(_ slot: TableSlot) {
        guard !slot.isTouched else { return }
        slot.isTouched = true
        touched.append(slot)
    }

    private func note(_ key: [UInt8], _ state: StoredState) { undo.append(.state(key: key, before: recent.set(key, state))) }

    /// Moves what is staged into the batch as one transaction.
    func flush() {
        guard !staged.isEmpty else { return }
        let count = UInt32(staged.count { $0.ordinal == 0 })
        for index in staged.indices {
            if staged[index].ordinal == 0 { ChangeRecord.set(count: count, in: &staged[index].record) }
            let item = staged[index]
            switch item.effect {
            case .put(let key, let value): batch.bytes.put(.entities, key, value)
            case .delete(let key): batch.bytes.delete(.entities, key)
            case .meta(let rows): for row in rows { batch.bytes.put(.meta, row.key, row.value) }
            case .none: break
            }
            changeKey.store(item.sequence, at: 0)
            changeKey.store(item.ordinal, at: 8)
            batch.bytes.put(.changes, changeKey, item.record)
            batch.records.append(LogRecord(sequence: item.sequence, ordinal: item.ordinal, bytes: item.record))
        }
        end.timestamp = batch.now
        staged.removeAll(keepingCapacity: true)
        undo.removeAll(keepingCapacity: true)
    }

    /// Undoes what is staged.
    private func takeBack() {
        for step in undo.reversed() {
            switch step {
            case .state(let key, let before): recent.restore(key, before)
            case .counts(let slot, let entities, let bytes):
                slot.entities = entities
                slot.bytes = bytes
            case .table(let slot): removeSlot(slot)
            }
        }
        for index in staged.indices { staged[index].giveBack() }
        staged.removeAll(keepingCapacity: true)
        undo.removeAll(keepingCapacity: true)
        end = mark
    }

    // MARK: Tables

    /// Adds a table to the catalog and stages its rows and its system record.
    func createTable(_ name: TableName, _ settings: TableSettings) -> TableSlot {
        let table = Table(
            id: takeTableID(), name: name, settings: settings, createdMilliseconds: batch.now, birth: end.sequence)
        let slot = TableSlot(table)
        install(slot)
        touch(slot)
        stageSystem(
            table: table.id, text: SystemText.table("table_create", table),
            .meta([
                (MetaRecords.table(name), TableRecord.encode(table)), (MetaRecords.nextTable, MetaRecords.number(catalog.nextID)),
            ]))
        return slot
    }

    func takeTableID() -> UInt32 {
        // Ids are never used again; one table a second for a hundred years stays below the bound.
        precondition(catalog.nextID < UInt32.max - 1, "table ids are used up")
        defer { catalog.nextID += 1 }
        return catalog.nextID
    }

    /// Puts a table, or its new settings, in the place of the one with its name.
    func install(_ slot: TableSlot) {
        catalog.insert(slot.table)
        insert(slot)
        isCatalogChanged = true
    }

    /// Removes a table; its name stays known for the change log.
    func retire(_ slot: TableSlot) {
        removeSlot(slot)
        catalog.retire(slot.table.id, TableCatalog.Retired(name: slot.table.name, sequence: end.sequence))
        isCatalogChanged = true
    }

    /// Forgets the name of a table of which the change log has no record any more.
    func forget(_ id: UInt32) {
        catalog.forget(id)
        batch.bytes.delete(.meta, MetaRecords.retired(id))
        isCatalogChanged = true
    }

    private func removeSlot(_ slot: TableSlot) {
        slotsByName[slot.table.name.text] = nil
        slotsByID[slot.table.id] = nil
        catalog.remove(slot.table)
        touched.removeAll { $0 === slot }
    }

    // MARK: The batch

    /// Changes what is remembered under idempotency keys.
    func use(_ change: (inout IdempotencyUsage) -> Void) {
        change(&usage)
        isUsageChanged = true
    }

    /// Notes that `write` used its idempotency key.
    func note(keyed digest: [UInt8], _ answer: RecentCommits.KeyedAnswer) { recent.set(digest, keyed: answer) }

    /// Ends the batch: adds the rows that every batch has, and begins a new one.
    func seal() -> OpenBatch {
        if !batch.bytes.isEmpty {
            for slot in touched {
                batch.bytes.put(.meta, MetaRecords.count(slot.table.id), MetaRecords.pair(slot.entities, slot.bytes))
            }
            if isUsageChanged { batch.bytes.put(.meta, MetaRecords.idempotency, MetaRecords.pair(usage.keys, usage.bytes)) }
            batch.bytes.put(.meta, MetaRecords.last, end.encoded)
        }
        batch.counts = touched.map { OpenBatch.Count(table: $0.table, entities: $0.entities, bytes: $0.bytes) }
        for slot in touched { slot.isTouched = false }
        touched.removeAll(keepingCapacity: true)
        if isCatalogChanged { batch.catalog = catalog }
        isCatalogChanged = false
        isUsageChanged = false
        batch.end = end
        batch.idempotency = usage
        defer { batch = OpenBatch() }
        return batch
    }
}
