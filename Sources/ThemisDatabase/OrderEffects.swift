import ThemisBase
import ThemisStorage

/// What ordered operations do: numbers, records, counts, and the way back.
extension OrderStage {
    // MARK: Entities

    func stagePut(_ operation: PreparedOperation, _ slot: TableSlot, _ isPresent: Bool, _ index: UInt32) -> OperationResult {
        var index = index
        let before = operation.base
        if before.isStored, !isPresent {
            stageExpiry(operation, slot, index)
            index += 1
        }
        end.sequence += 1
        end.ordinal = 0
        let sequence = end.sequence
        let expiresAt = expiry(of: operation, slot)
        EntityRecord.set(version: sequence, expiresAt: expiresAt, in: &operation.value)
        ChangeRecord.set(
            version: sequence, previous: isPresent ? before.version : 0, timestamp: batch.now, index: index, in: &operation.record
        )
        let documentBytes = operation.value.count - EntityRecord.headerBytes
        let pkBytes = operation.key.count - 4
        count(
            slot, entities: before.isStored ? 0 : 1, bytes: documentBytes - before.documentBytes + (before.isStored ? 0 : pkBytes)
        )
        if let indexing = operation.indexing { note(indexing, operation, slot, expiresAt: expiresAt) }
        note(
            operation.recentKey,
            StoredState(version: sequence, expiresAt: expiresAt, documentBytes: documentBytes, value: operation.value))
        stage(operation, .put(key: operation.key, value: operation.value))
        return OperationResult(version: sequence, sequence: sequence, created: !isPresent)
    }

    func stageDelete(_ operation: PreparedOperation, _ slot: TableSlot, _ index: UInt32) -> OperationResult {
        end.sequence += 1
        end.ordinal = 0
        let before = operation.base
        ChangeRecord.set(
            version: end.sequence, previous: before.version, timestamp: batch.now, index: index, in: &operation.record)
        count(slot, entities: -1, bytes: -(before.documentBytes + operation.key.count - 4))
        if let indexing = operation.indexing { note(indexing, operation, slot, expiresAt: 0) }
        note(operation.recentKey, .absent)
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

    func createTable(_ operation: PreparedOperation) -> TableSlot {
        let slot = createTable(operation.name, TableSettings())
        undo.append(.table(slot))
        operation.adopt(slot.table)
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

    private func note(_ key: RecentKey, _ state: StoredState) { undo.append(.state(key: key, before: recent.set(key, state))) }

    /// Moves what is staged into the batch as one transaction.
    ///
    /// - Parameter keepsValues: whether the values are likely to be asked for soon.
    func flush(keepsValues: Bool = true) {
        guard !staged.isEmpty else { return }
        let count = UInt32(staged.count { $0.ordinal == 0 })
        // From the back, so that each is moved out and has one owner.
        staged.reverse()
        while var item = staged.popLast() {
            if item.ordinal == 0 { ChangeRecord.set(count: count, in: &item.record) }
            switch item.effect {
            case .put(let key, let value):
                batch.bytes.put(.entities, key, value)
                moveExpiry(item, to: EntityRecord.expiry(of: value))
                change(item, keepsValues ? value : nil)
            case .delete(let key):
                batch.bytes.delete(.entities, key)
                moveExpiry(item, to: 0)
                change(item, nil)
            case .meta(let rows): for row in rows { batch.bytes.put(.meta, row.key, row.value) }
            case .none: break
            }
            if let operation = item.operation { note(committed: operation) }
            if let indexing = item.operation?.indexing { batch.bytes.append(indexing.rows) }
            changeKey.store(item.sequence, at: 0)
            changeKey.store(item.ordinal, at: 8)
            batch.bytes.put(.changes, changeKey, item.record)
            batch.records.append(LogRecord(sequence: item.sequence, ordinal: item.ordinal, bytes: item.record))
        }
        end.timestamp = batch.now
        undo.removeAll(keepingCapacity: true)
    }

    private func change(_ item: StagedRecord, _ value: [UInt8]?) {
        guard let key = item.operation?.recentKey else { return }
        published.cache.announce(key)
        batch.changed.append((key, value))
    }

    /// Undoes what is staged.
    func takeBack() {
        for step in undo.reversed() {
            switch step {
            case .state(let key, let before): recent.restore(key, before)
            case .counts(let slot, let entities, let bytes):
                slot.entities = entities
                slot.bytes = bytes
            case .table(let slot): removeSlot(slot)
            case .index(let index, let counts): index.counts = counts
            case .claim(let key, let before): recent.restore(key, claim: before)
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
                (MetaRecords.table(name), table.record), (MetaRecords.nextTable, MetaRecords.number(catalog.nextID)),
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

    func removeSlot(_ slot: TableSlot) {
        slotsByName[slot.table.name.text] = nil
        slotsByID[slot.table.id] = nil
        catalog.remove(slot.table)
        touched.removeAll { $0 === slot }
        forget(slot.indexes)
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
            for index in touchedIndexes {
                batch.bytes.put(.meta, MetaRecords.index(index.index.generation), IndexRecord.encode(index.counts))
            }
            if isUsageChanged { batch.bytes.put(.meta, MetaRecords.idempotency, MetaRecords.pair(usage.keys, usage.bytes)) }
            batch.bytes.put(.meta, MetaRecords.last, end.encoded)
        }
        batch.counts = touched.map { OpenBatch.Count(table: $0.table, entities: $0.entities, bytes: $0.bytes) }
        for slot in touched { slot.isTouched = false }
        touched.removeAll(keepingCapacity: true)
        if !touchedIndexes.isEmpty { sealIndexes() }
        if isCatalogChanged { batch.catalog = catalog }
        isCatalogChanged = false
        isUsageChanged = false
        batch.end = end
        batch.idempotency = usage
        defer { beginBatch() }
        return batch
    }

    /// Takes memory of an old batch for the next one: fresh pages cost more than writing into them.
    func recycle(_ memory: WriteBatch) {
        guard memory.bytes.capacity <= 2 * Limits.commitBatchBytes else { return }
        spare = memory
    }

    private func beginBatch() {
        var next = OpenBatch()
        next.records.reserveCapacity(batch.records.count)
        next.writes.reserveCapacity(batch.writes.count)
        next.changed.reserveCapacity(batch.changed.count)
        if let spare { next.bytes = spare }
        spare = nil
        batch = next
    }
}
