public import ThemisBase
import ThemisStorage
import ThemisTelemetry

/// A transaction that has begun.
public struct TransactionBegin: Sendable {
    /// Names it in every request that belongs to it.
    public var id: TransactionID
    /// What it is protected from.
    public var isolation: TransactionIsolation
    /// The state that it reads.
    public var sequence: SequenceNumber
    /// How long it may last, in milliseconds.
    public var timeoutMilliseconds: Int64
}

/// Transactions over several requests (docs/transactions.md).
extension Database {
    /// Begins a transaction over the state that readers see now. May read the disk.
    ///
    /// - Parameter timeoutMilliseconds: 1–`Limits.transactionMilliseconds`.
    /// - Throws: `too_many_requests` when as many are open as may be; `invalid_request`, `shutting_down`; errors of the engine.
    public func beginTransaction(
        _ isolation: TransactionIsolation = .serializable, timeoutMilliseconds: Int64 = Limits.transactionMilliseconds,
        principal: String = "", _ call: CallContext = CallContext()
    ) throws(ThemisError) -> TransactionBegin {
        guard (1...Limits.transactionMilliseconds).contains(timeoutMilliseconds) else {
            throw ThemisError(
                .invalidRequest, "timeout_ms must be 1–\(Limits.transactionMilliseconds)",
                fields: [FieldError("timeout_ms", "1–\(Limits.transactionMilliseconds)")])
        }
        let id = try transactions.reserve { published.visibleSequence }
        do throws(ThemisError) {
            let view = try ReadView(self, call)
            // What a transaction reads must survive whatever it writes.
            if options.durability == .relaxed { try engine.syncLog() }
            let now = telemetry.time.monotonicNanoseconds()
            transactions.open(
                Transaction(
                    TransactionReference(id, principal: principal), isolation, view, begunNanoseconds: now,
                    deadlineNanoseconds: now + UInt64(timeoutMilliseconds) * 1_000_000, transactions.budget))
            return TransactionBegin(
                id: id, isolation: isolation, sequence: view.sequence, timeoutMilliseconds: timeoutMilliseconds)
        } catch {
            transactions.giveUp(id)
            throw error
        }
    }

    /// Ends a transaction without a trace.
    ///
    /// - Throws: `transaction_lost`, `transaction_expired`, `not_found`; `conflict` while its commit is under way.
    public func rollBack(_ reference: TransactionReference) throws(ThemisError) {
        let transaction = try transaction(reference)
        guard transaction.rollBack() else {
            guard transaction.isCommitting else { throw Transaction.ended }
            throw ThemisError(.conflict, "the transaction is being committed")
        }
        transactions.remove(transaction, \.rolledBack)
    }

    /// Ends transactions whose time is over. To be called now and then: until then they only look as if they had ended.
    public func expireTransactions() { transactions.expire() }

    /// How many transactions there are and were.
    public var transactionStatistics: TransactionStatistics { transactions.statistics }

    /// Changes one entity within a transaction. Others see nothing of it before the commit. May read the disk.
    ///
    /// Whether it is there, the condition and a patch are judged by what the transaction sees. The result has version and sequence 0.
    ///
    /// - Throws: `precondition_failed`, `not_found` (patch), `unprocessable` for a value that cannot be indexed, the errors of a document;
    ///   `transaction_too_large`, `transaction_expired`, `transaction_lost`, `overloaded`, `conflict`.
    public func write(
        _ operation: WriteOperation, in reference: TransactionReference, _ call: CallContext = CallContext()
    ) throws(ThemisError) -> OperationResult {
        _ = try prepare.parse(operation)
        let transaction = try transaction(reference)
        for _ in 0..<Limits.transactionWriteAttempts {
            let entry = try transaction.enter(telemetry.time.monotonicNanoseconds(), writes: true)
            let result: OperationResult?
            do throws(ThemisError) {
                result = try stage(operation, transaction, entry, call)
            } catch {
                try? transaction.leave(entry, telemetry.time.monotonicNanoseconds())
                throw error
            }
            try transaction.leave(entry, telemetry.time.monotonicNanoseconds())
            if let result { return result }
        }
        throw ThemisError(.conflict, "too many requests write in this transaction at once; send one after another")
    }

    /// Nil when something else was written in the transaction meanwhile.
    private func stage(
        _ operation: WriteOperation, _ transaction: Transaction, _ entry: Transaction.Entry, _ call: CallContext
    ) throws(ThemisError) -> OperationResult? {
        // What a write looks at is compared anyway, as what it writes.
        let scope = TransactionScope(entry.overlay, recorder: nil)
        let view = try ReadView(self, transaction, scope, call)
        let name = operation.key.table
        let stored = try scope.stored(name, known: published.table(name), in: view)
        let table = stored ?? scope.overlay.newTable(name, now: view.now, birth: view.sequence)
        let key = EntityRecord.key(table: table.id, pk: operation.key.pk)
        var current = if let row = transaction.row(key) { row.value } else { try view.snapshot.get(.entities, key) }
        if let value = current, try !view.isVisible(value) { current = nil }
        if let refusal = operation.condition.refusal(
            isPresent: current != nil, version: current.map { EntityRecord.version(of: $0) } ?? 0)
        {
            throw refusal
        }
        let value: [UInt8]?
        switch operation.change {
        case .delete: value = nil
        case .put(let document): value = EntityRecord.value(document: document)
        case .mergePatch, .jsonPatch:
            guard let current else { throw ThemisError(.notFound, "there is no entity with this key to patch") }
            value = EntityRecord.value(document: try PrepareStage.patched(current, operation.change))
        }
        var entries: [[UInt8]] = []
        if let value, !table.indexes.isEmpty {
            let found = try table.indexes.entries(of: value, EntityRecord.headerBytes..<value.count)
            for (index, values) in zip(table.indexes.all, found) {
                for entry in values { entries.append(IndexKey.key(index.generation, entry, pk: key[4...])) }
            }
        }
        let isStaged = try transaction.stage(
            key, in: name, value, entries: entries, newTable: stored == nil ? table : nil, entry)
        guard isStaged else { return nil }
        return OperationResult(sequence: 0, created: value != nil && current == nil, deleted: value == nil && current != nil)
    }

    /// Runs a read, within a transaction when there is one.
    ///
    /// - Throws: what `body` throws; `transaction_lost`, `transaction_expired`, `transaction_too_large`.
    func read<Value>(
        in reference: TransactionReference?, _ call: CallContext, _ body: (ReadView) throws(ThemisError) -> Value
    ) throws(ThemisError) -> Value {
        guard let reference else { return try body(ReadView(self, call, isShared: true)) }
        let transaction = try transaction(reference)
        let entry = try transaction.enter(telemetry.time.monotonicNanoseconds())
        let scope = TransactionScope(entry.overlay, recorder: entry.recorder)
        let value: Value
        do throws(ThemisError) {
            value = try body(ReadView(self, transaction, scope, call))
        } catch {
            // An error tells something too.
            try? transaction.leave(entry, telemetry.time.monotonicNanoseconds())
            throw error
        }
        try transaction.leave(entry, telemetry.time.monotonicNanoseconds())
        return value
    }

    /// The open transaction.
    ///
    /// - Throws: `transaction_lost`, `transaction_expired`, `not_found`.
    func transaction(_ reference: TransactionReference) throws(ThemisError) -> Transaction {
        guard let transaction = transactions.find(reference) else { throw missing(reference.id) }
        if transaction.expire(telemetry.time.monotonicNanoseconds()) {
            transactions.remove(transaction, \.expired)
            throw Transaction.ended
        }
        return transaction
    }

    /// Why there is no such transaction.
    func missing(_ id: TransactionID) -> ThemisError {
        if id.high == transactions.bootID {
            return transactions.hasGiven(id) ? Transaction.ended : ThemisError(.notFound, "there is no such transaction")
        }
        let begun = Int64(id.low >> 32) * 1_000
        // A commit is remembered for a day: nothing is known of what began before.
        let isKnown = begun > telemetry.time.wallMilliseconds() - Limits.idempotencyMilliseconds
        return ThemisError(
            .transactionLost,
            "the core has restarted since this transaction began; it did not commit"
                + (isKnown ? "" : " within the last day"),
            outcome: isKnown ? .notCommitted : .unknown)
    }
}
