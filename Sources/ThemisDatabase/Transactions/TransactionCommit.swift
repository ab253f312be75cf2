public import ThemisBase
import ThemisStorage
import ThemisTelemetry

/// What became of a transaction.
public enum TransactionState: Sendable, Equatable {
    /// It takes requests.
    case open
    /// Its commit is under way.
    case committing
    /// It committed, with this last sequence; so many operations.
    case committed(sequence: SequenceNumber, operations: Int)
}

extension Database {
    /// Commits a transaction: all it has written becomes one group of the change log, or nothing does.
    ///
    /// Its outcome is kept under its id for 24 hours, in the same batch: a repeated commit, also after a restart, gets the same answer with
    /// `replayed`. One that has written nothing has nothing to be compared with. `completion` as for `write`. Errors beside those of a
    /// write: `transaction_conflict`, `transaction_too_old`, `transaction_lost`, `transaction_expired`, `unique_violation`; after those the
    /// transaction has ended. When the server is overloaded or its disk is full it stays open, and the commit may be sent again.
    public func commit(
        _ reference: TransactionReference, _ call: CallContext = CallContext(),
        completion: @escaping @Sendable (Result<TransactionResult, ThemisError>) -> Void
    ) {
        do throws(ThemisError) {
            guard let transaction = transactions.find(reference) else {
                return completion(.success(try outcome(of: reference)))
            }
            let work: Transaction.Work?
            do throws(ThemisError) {
                work = try transaction.beginCommit(telemetry.time.monotonicNanoseconds(), completion)
            } catch {
                // Perhaps by its commit, just now.
                return completion(.success(try outcome(of: reference)))
            }
            guard let work else { return }
            guard !work.overlay.isEmpty else {
                return conclude(transaction, .success(TransactionResult(results: [], sequence: 0)))
            }
            submit(work, transaction, call)
        } catch {
            completion(.failure(error))
        }
    }

    /// What became of a transaction, by its id. May read the disk.
    ///
    /// - Throws: `transaction_lost`, `transaction_expired`, `not_found`.
    public func transactionState(_ reference: TransactionReference) throws(ThemisError) -> TransactionState {
        guard transactions.find(reference) == nil else {
            return try transaction(reference).isCommitting ? .committing : .open
        }
        let outcome = try outcome(of: reference)
        return .committed(sequence: outcome.sequence, operations: outcome.results.count)
    }

    private func submit(_ work: Transaction.Work, _ transaction: Transaction, _ call: CallContext) {
        let rows = work.overlay.inCommitOrder
        let operations = rows.map { key, row in
            WriteOperation(
                EntityKey(stored: row.table, pk: String(decoding: key[4...], as: UTF8.self)),
                row.value.map { .put(Array(EntityRecord.document(of: $0))) } ?? .delete)
        }
        let write = PendingWrite(.atomic { [self] in conclude(transaction, $0) }, admitting: operations, call: call)
        write.operations = operations.map { PreparedOperation($0) }
        var tables: [String: UInt32?] = [:]
        for (key, row) in rows {
            tables.updateValue(work.overlay.newTables[row.table.text] == nil ? key.load(UInt32.self, at: 0) : nil, forKey: row.table.text)
        }
        write.validation = CommitValidation(
            begin: transaction.begin, writes: rows.lazy.map(\.key), tables: tables, reads: work.reads)
        do throws(ThemisError) {
            if let refusal = call.refusal(atNanoseconds: telemetry.time.monotonicNanoseconds()) { throw refusal }
            var idempotency = Self.outcomeKey(transaction.id, transaction.principal)
            _ = try prepare.lookUp(&idempotency)
            write.idempotency = idempotency
            try prepare.base(write, transactions.history)
        } catch {
            return write.fail(error.code.status >= 500 ? error.with(outcome: .notCommitted) : error)
        }
        committer.submit(write)
    }

    /// Answers everyone who waits for the commit.
    private func conclude(_ transaction: Transaction, _ result: Result<TransactionResult, ThemisError>) {
        var isOver = true
        switch result {
        case .success: transactions.remove(transaction, \.committed)
        case .failure(let error):
            switch error.code {
            case .overloaded, .diskFull, .deadlineExceeded, .cancelled, .tooManyRequests: isOver = error.outcome == .unknown
            default: break
            }
            guard isOver else { break }
            let isConflict = error.code == .transactionConflict || error.code == .transactionTooOld
            transactions.remove(transaction, isConflict ? \.conflicts : \.failed)
        }
        for completion in transaction.endCommit(isOver: isOver, telemetry.time.monotonicNanoseconds()) { completion(result) }
    }

    /// The answer of a commit that was stored with it.
    ///
    /// - Throws: `transaction_lost`, `transaction_expired`, `not_found`.
    private func outcome(of reference: TransactionReference) throws(ThemisError) -> TransactionResult {
        var key = Self.outcomeKey(reference.id, reference.principal)
        guard var results = try prepare.lookUp(&key) else { throw missing(reference.id) }
        for place in results.indices {
            results[place].replayed = true
            results[place].durable = options.durability == .sync
        }
        return TransactionResult(results: results, sequence: results.lazy.map(\.sequence).max() ?? 0)
    }

    /// Where the outcome of a transaction stands among the idempotency keys. No key of a caller has the same digest: those begin with the
    /// length of a principal, which is short.
    private static func outcomeKey(_ id: TransactionID, _ principal: String) -> PreparedIdempotency {
        var bytes: [UInt8] = [0xFF]
        bytes.appendLengthPrefixed(principal.utf8)
        bytes.append(contentsOf: id.bytes)
        return PreparedIdempotency(
            digest: Digest.sha256(bytes), fingerprint: Digest.sha256(id.bytes), isOutcome: true)
    }
}
