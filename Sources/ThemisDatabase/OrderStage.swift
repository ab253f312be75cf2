import Synchronization
import ThemisBase
import ThemisStorage

/// The committer's view of one table.
final class TableSlot {
    var table: Table
    var entities: UInt64
    var bytes: UInt64
    var isTouched = false
    /// In the order of the table's.
    var indexes: [IndexSlot]

    init(_ table: Table) {
        self.table = table
        indexes = table.indexes.all.map { IndexSlot($0) }
        entities = table.counters.entities.load(ordering: .relaxed)
        bytes = table.counters.bytes.load(ordering: .relaxed)
    }
}

/// The second stage: puts prepared writes into one order, decides what they do, gives sequences, and encodes the batch.
///
/// Parses nothing, unless a write was stale too often. Lives on the committer's thread.
///
/// Proof of Sendable: made while the database opens, then touched only by the committer's thread; commands run there too.
final class OrderStage: @unchecked Sendable {
    /// What became of one operation.
    enum Verdict {
        case done(OperationResult)
        case failed(ThemisError)
        /// It was prepared on a state that is not the newest; it must be prepared again.
        case stale
    }

    /// A step that a failing transaction takes back.
    enum Undo {
        case state(key: RecentKey, before: StoredState?)
        case counts(TableSlot, entities: UInt64, bytes: UInt64)
        case table(TableSlot)
        case index(IndexSlot, IndexCounters.State)
        case claim(key: RecentKey, before: RecentCommits.Claim?)
    }

    let prepare: PrepareStage
    let published: PublishStage
    private let transactionBytes: Int
    /// The batch that is being filled.
    var batch = OpenBatch()
    var end: LogEnd
    var catalog: TableCatalog
    var recent: RecentCommits
    var usage: IdempotencyUsage
    var slotsByName: [String: TableSlot] = [:]
    var slotsByID: [UInt32: TableSlot] = [:]
    var touched: [TableSlot] = []
    var touchedIndexes: [IndexSlot] = []
    var isCatalogChanged = false
    var isUsageChanged = false
    var staged: [StagedRecord] = []
    var undo: [Undo] = []
    /// The end of the log before the transaction that is being ordered.
    var mark = LogEnd()
    var changeKey = ChangeRecord.key(0)
    /// Memory for the next batch.
    var spare: WriteBatch?
    let history: CommitHistory
    /// What was committed since the history's last group was closed.
    var openKeys = CommittedKeys()

    init(prepare: PrepareStage, published: PublishStage, history: CommitHistory, transactionBytes: Int) {
        self.prepare = prepare
        self.history = history
        self.transactionBytes = transactionBytes
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
        published.cache.reset()
        history.forget(after: published.visibleSequence)
        openKeys = openKeys.upTo(published.visibleSequence)
        touched = []
        touchedIndexes = []
        isCatalogChanged = false
        isUsageChanged = false
        staged.removeAll(keepingCapacity: true)
        undo.removeAll(keepingCapacity: true)
        batch = OpenBatch()
    }

    func insert(_ slot: TableSlot) {
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
        sealHistory()
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
        if let validation = write.validation {
            switch validate(validation, mayReturn: write.mayReturn) {
            case .stale: return false
            case .failed(let error): return refuseAtomic(write, error)
            case .done, nil: release(write.operations)
            }
        }
        for (index, operation) in write.operations.enumerated() {
            // Its place among the records of data; a table that is made on the way has a system record.
            let place = UInt32(end.sequence - mark.sequence)
            switch order(operation, index: place, mayReturn: write.mayReturn) {
            case .done(let result): write.results.append(result)
            case .stale:
                takeBack()
                return false
            case .failed(var error):
                error.fields.insert(FieldError("operations[\(index)]", error.message), at: 0)
                return refuseAtomic(write, error)
            }
        }
        // Known only now: patches are small, what they change is not.
        let bytes = staged.reduce(0) { $0 + $1.record.count }
        guard bytes <= transactionBytes else {
            return refuseAtomic(
                write,
                ThemisError(
                    .bodyTooLarge,
                    "the changes of a transaction, with whole documents and kept old values, have at most \(transactionBytes) bytes; "
                        + "these have \(bytes)"))
        }
        flush()
        remember(write)
        batch.operations += write.operations.count
        batch.writes.append(write)
        return true
    }

    private func refuseAtomic(_ write: PendingWrite, _ error: ThemisError) -> Bool {
        takeBack()
        write.failures[0] = error
        batch.writes.append(write)
        return true
    }

    private func orderMember(_ write: PendingWrite, _ index: Int) {
        mark = end
        switch order(write.operations[index], index: 0, mayReturn: false) {
        case .done(let result):
            write.results.append(result)
            // A stream brings more than anyone will read again soon.
            flush(keepsValues: false)
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
            if let seen = recent[operation.recentKey] {
                if seen.version != operation.base.version, let verdict = refresh(operation, known, seen, mayReturn) {
                    return verdict
                }
            } else if operation.readPoint < recent.floor, table.birth < recent.floor {
                if let verdict = refresh(operation, known, nil, mayReturn) { return verdict }
            }
        } else {
            slot = slotsByName[operation.name.text]
            if let verdict = move(operation, to: slot, mayReturn) { return verdict }
        }
        if operation.isSweep { return .done(orderSweep(operation, slot, index)) }
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
            if operation.indexing != nil, let verdict = checkUnique(operation, mayReturn) { return verdict }
            return .done(stagePut(operation, slot ?? createTable(operation), isPresent, index))
        }
    }

    private func refusal(_ operation: PreparedOperation, _ isPresent: Bool) -> ThemisError? {
        operation.condition.refusal(isPresent: isPresent, version: operation.base.version)
    }

    /// Brings an operation up to the newest state of its key; a verdict when that is not for this stage to do.
    private func refresh(_ operation: PreparedOperation, _ slot: TableSlot, _ seen: StoredState?, _ mayReturn: Bool) -> Verdict? {
        if let seen, operation.isIndependent {
            operation.base = seen
            operation.base.value = nil
            return nil
        }
        // What this very transaction did can be seen nowhere else.
        if mayReturn, !isChangedByTransaction(operation.recentKey) { return .stale }
        do throws(ThemisError) {
            let state = if let seen { seen } else { try StoredState(stored: prepare.entities.get(operation.recentKey)) }
            prepare.build(operation, on: state, readPoint: end.sequence, now: batch.now)
            return nil
        } catch {
            return .failed(error)
        }
    }

    private func isChangedByTransaction(_ key: RecentKey) -> Bool {
        undo.contains { if case .state(key, _) = $0 { true } else { false } }
    }

    /// Brings an operation to a table that is not the one it was prepared for.
    private func move(_ operation: PreparedOperation, to slot: TableSlot?, _ mayReturn: Bool) -> Verdict? {
        let wasWithoutTable = operation.table == nil
        guard let slot else {
            if wasWithoutTable { return nil }
            operation.adopt(nil)
            prepare.build(operation, on: .absent, readPoint: end.sequence, now: batch.now)
            return nil
        }
        operation.adopt(slot.table)
        let seen = recent[operation.recentKey]
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
}
