import ThemisBase

/// One operation, ready to be ordered.
///
/// Owned by one stage at a time.
///
/// Proof of Sendable: the pool thread that prepares it hands it to the committer through the inbox's lock and keeps no
/// reference; the committer hands it back to the pool in the same way when it is stale.
final class PreparedOperation: @unchecked Sendable {
    enum Kind: Sendable {
        case put
        case patch(WriteChange)
        case delete
    }

    let kind: Kind
    let name: TableName
    let condition: WriteCondition
    let cause: ChangeCause
    /// Why it will fail whatever the state: set for a member of a group, which has a place in its order all the same.
    var refusal: ThemisError?
    /// The table that the operation was prepared for; nil when there was none.
    private(set) var table: Table?
    /// The stored key; its table id is 0 while `table` is nil.
    private(set) var key: [UInt8]
    /// The stored key as the committer remembers it.
    private(set) var recentKey = RecentKey([])
    /// The newest state that was known: by reading at `readPoint`, or from the committer's memory.
    var base = StoredState.absent
    /// Every commit up to it was visible when `base` was read.
    var readPoint: SequenceNumber = 0
    /// The stored value to be, without version and expiry; empty for a delete.
    var value: [UInt8] = []
    /// The change record to be.
    var record: [UInt8] = []
    /// What it does to indexes; nil while the table has none.
    var indexing: PreparedIndexing?
    /// Why the patch cannot be applied to `base`, or its result cannot be indexed.
    var verdict: ThemisError?

    init(_ operation: WriteOperation, cause: ChangeCause = .request) {
        self.cause = cause
        switch operation.change {
        case .put(let document):
            kind = .put
            value = EntityRecord.value(document: document)
        case .mergePatch, .jsonPatch: kind = .patch(operation.change)
        case .delete: kind = .delete
        }
        name = operation.key.table
        condition = operation.condition
        key = EntityRecord.key(table: 0, pk: operation.key.pk)
    }

    /// A member of a group that cannot be prepared.
    init(refused operation: WriteOperation, _ error: ThemisError) {
        kind = .delete
        name = operation.key.table
        condition = .none
        cause = .request
        key = []
        refusal = error
    }

    /// Points the operation at a table, or at none.
    func adopt(_ table: Table?) {
        self.table = table
        key.store(table?.id ?? 0, at: 0)
        recentKey = RecentKey(key)
    }

    /// The primary key.
    var pk: ArraySlice<UInt8> { key[4...] }

    /// Whether it removes an entity that has expired, and no other.
    var isSweep: Bool {
        guard case .delete = kind else { return false }
        return cause == .ttl
    }

    /// Whether the new value and record, and what happens to indexes, do not depend on the state before.
    var isIndependent: Bool {
        if case .patch = kind { return false }
        guard let table else { return true }
        return !table.settings.keepsOldValues && table.indexes.isEmpty
    }
}

/// An idempotency key, ready to be checked.
struct PreparedIdempotency: Sendable {
    /// SHA-256 of principal and key.
    let digest: [UInt8]
    let fingerprint: [UInt8]
    /// Whether it is the outcome of a transaction.
    var isOutcome = false
    /// Every commit up to it was visible when the stored keys were searched.
    var readPoint: SequenceNumber = 0
    /// A row under the same digest that is too old to count, and must go.
    var expired: (timestamp: Int64, bytes: UInt64)?

    init(digest: [UInt8], fingerprint: [UInt8], isOutcome: Bool = false) {
        self.digest = digest
        self.fingerprint = fingerprint
        self.isOutcome = isOutcome
    }

    init(_ token: IdempotencyToken, principal: String) {
        self.init(digest: IdempotencyRecord.digest(principal: principal, key: token.key), fingerprint: token.fingerprint)
    }
}

/// One write on its way through the stages. Owned by one stage at a time, like its operations.
///
/// Proof of Sendable: as for PreparedOperation.
final class PendingWrite: @unchecked Sendable {
    typealias Outcome = Result<OperationResult, ThemisError>

    /// Who waits, and whether the operations belong together.
    enum Completion: Sendable {
        /// One operation.
        case single(@Sendable (Outcome) -> Void)
        /// All or nothing.
        case atomic(@Sendable (Result<TransactionResult, ThemisError>) -> Void)
        /// Each for itself, in this order.
        case group(@Sendable ([Outcome]) -> Void)
        /// Not data: runs on the committer with its stage.
        case command(@Sendable (OrderStage) throws(ThemisError) -> Void, @Sendable (ThemisError?) -> Void)
    }

    /// Nil once answered: whoever waited is not kept alive by what is remembered.
    private(set) var completion: Completion?
    let call: CallContext
    var operations: [PreparedOperation]
    var idempotency: PreparedIdempotency?
    /// What must not have changed, for a transaction over several requests.
    var validation: CommitValidation?
    /// Whether the disk must have it before it is answered. Not for a step that is taken again when it is lost.
    let isDurable: Bool
    /// What admission counted.
    let admittedBytes: Int
    let admittedOperations: Int
    /// When it was handed to the committer, by the monotonic clock; set only for writes that are recorded.
    var submittedNanoseconds: UInt64 = 0
    /// How often it went back because something else had changed its entity.
    var attempts = 0
    /// What each operation did; for a group also what failed.
    var results: [OperationResult] = []
    var failures: [Int: ThemisError] = [:]
    /// Whether the results are those of an earlier write with the same idempotency key.
    var isReplay = false
    /// Later writes with the same idempotency key.
    var duplicates: [PendingWrite] = []

    /// A write whose operations are prepared later.
    init(_ completion: Completion, admitting operations: [WriteOperation], call: CallContext) {
        self.completion = completion
        self.operations = []
        self.operations.reserveCapacity(operations.count)
        self.call = call
        isDurable = true
        admittedOperations = max(operations.count, 1)
        // An operation holds its document twice, and some memory beside it.
        admittedBytes = operations.reduce(0) { $0 + 2 * $1.change.byteCount + 512 }
    }

    /// Something for the committer's thread.
    init(
        command: @escaping @Sendable (OrderStage) throws(ThemisError) -> Void, isDurable: Bool,
        _ completion: @escaping @Sendable (ThemisError?) -> Void
    ) {
        self.completion = .command(command, completion)
        self.isDurable = isDurable
        operations = []
        call = CallContext()
        admittedOperations = 1
        admittedBytes = 0
    }

    var isAnswered: Bool { completion == nil }

    /// Whether its stale operations may go back to the pool; those of a group may not: they would be overtaken.
    var mayReturn: Bool {
        switch completion {
        case .single, .atomic: attempts < Limits.prepareAttempts
        case .group, .command, nil: false
        }
    }

    /// Tells the one who waits that nothing was done.
    func fail(_ error: ThemisError) {
        switch takeCompletion() {
        case .single(let body): body(.failure(error))
        case .atomic(let body): body(.failure(error))
        case .group(let body): body(Array(repeating: .failure(error), count: max(results.count, admittedOperations)))
        case .command(_, let body): body(error)
        }
    }

    /// Tells the one who waits what was done.
    func succeed(durable: Bool) {
        for index in results.indices {
            results[index].durable = durable
            results[index].replayed = isReplay
        }
        switch takeCompletion() {
        case .single(let body):
            if let error = failures[0] { body(.failure(error)) } else { body(.success(results[0])) }
        case .atomic(let body):
            if let error = failures[0] {
                body(.failure(error))
            } else {
                body(.success(TransactionResult(results: results, sequence: results.lazy.map(\.sequence).max() ?? 0)))
            }
        case .group(let body):
            body(results.indices.map { index in failures[index].map { .failure($0) } ?? .success(results[index]) })
        case .command(_, let body): body(failures[0])
        }
    }

    private func takeCompletion() -> Completion {
        guard let completion else { preconditionFailure("a write is answered once") }
        self.completion = nil
        operations = []
        return completion
    }
}
