import Synchronization
public import ThemisBase
import ThemisStorage

/// What a transaction is protected from.
public enum TransactionIsolation: String, Sendable, CaseIterable {
    /// Two transactions that write the same entity do not both commit. What was only read may have changed.
    case snapshot
    /// As if transactions ran one after another: what was read has not changed either, ranges and their gaps included.
    case serializable
}

/// Which transaction a request belongs to, and whose request it is.
public struct TransactionReference: Sendable {
    /// The transaction.
    public let id: TransactionID
    /// The principal that asks; a transaction of another one does not exist for it.
    public let principal: String

    /// Puts the parts together.
    public init(_ id: TransactionID, principal: String = "") {
        self.id = id
        self.principal = principal
    }
}

/// An open transaction. Any thread; requests may overlap.
final class Transaction: Sendable {
    /// Who waits for a commit.
    typealias Completion = @Sendable (Result<TransactionResult, ThemisError>) -> Void

    private enum Phase {
        case open
        /// Its commit is under way; others who ask for it wait for the same answer.
        case committing([Completion])
        case ended
    }

    private struct State {
        var phase = Phase.open
        var overlay = TransactionOverlay()
        var reads = ReadSet()
        var requests = 0
        var usedNanoseconds: UInt64
        /// What the budget of all transactions counts.
        var heldBytes = 0
    }

    /// What one request saw when it began.
    struct Entry {
        let overlay: TransactionOverlay
        let recorder: ReadRecorder?
    }

    let id: TransactionID
    let principal: String
    let isolation: TransactionIsolation
    let snapshot: any StorageSnapshot
    /// The last change in the state that it reads.
    let begin: SequenceNumber
    /// Milliseconds since 1970. What expired before is not there.
    let now: Int64
    /// When it ends at the latest, on the monotonic clock.
    let deadlineNanoseconds: UInt64
    private let state: Mutex<State>
    private let budget: TransactionBudget

    init(
        _ reference: TransactionReference, _ isolation: TransactionIsolation, _ view: ReadView, begunNanoseconds: UInt64,
        deadlineNanoseconds: UInt64, _ budget: TransactionBudget
    ) {
        id = reference.id
        principal = reference.principal
        self.isolation = isolation
        snapshot = view.snapshot
        begin = view.sequence
        now = view.now
        self.deadlineNanoseconds = deadlineNanoseconds
        self.budget = budget
        state = Mutex(State(usedNanoseconds: begunNanoseconds))
    }

    // MARK: Requests

    /// Begins a request. One that writes gets no rows: it asks for the one that it needs.
    ///
    /// - Throws: `transaction_expired`.
    func enter(_ nowNanoseconds: UInt64, writes: Bool = false) throws(ThemisError) -> Entry {
        let overlay: TransactionOverlay? = state.withLock { state in
            guard case .open = state.phase, !isExpired(state, nowNanoseconds) else { return nil }
            state.requests += 1
            state.usedNanoseconds = nowNanoseconds
            return writes ? state.overlay.outline : state.overlay
        }
        guard let overlay else { throw Self.ended }
        return Entry(overlay: overlay, recorder: isolation == .serializable ? ReadRecorder() : nil)
    }

    /// What was written to an entity; nil when nothing was.
    func row(_ key: [UInt8]) -> StagedRow? { state.withLock { $0.overlay.rows[key] } }

    /// Ends a request: from now on the commit answers for what it has read.
    ///
    /// - Throws: `transaction_too_large`; `transaction_expired` when the transaction ended meanwhile: the answer must not be given.
    func leave(_ entry: Entry, _ nowNanoseconds: UInt64) throws(ThemisError) {
        let reads = entry.recorder?.reads
        let error: ThemisError? = state.withLock { state in
            state.requests -= 1
            state.usedNanoseconds = max(state.usedNanoseconds, nowNanoseconds)
            guard case .open = state.phase, nowNanoseconds < deadlineNanoseconds else { return Self.ended }
            guard let reads else { return nil }
            if state.reads.count + reads.count <= Limits.transactionReads {
                state.reads.add(reads)
            } else {
                var all = state.reads
                all.add(reads)
                guard all.count <= Limits.transactionReads else {
                    return Self.tooLarge("reads at most \(Limits.transactionReads) keys and ranges that are apart")
                }
                state.reads = all
            }
            return hold(state.overlay.bytes + state.reads.bytes, &state)
        }
        if let error { throw error }
    }

    /// Puts a row over the state, if nothing was written since `entry` began. Between `enter` and `leave`.
    ///
    /// - Throws: `transaction_too_large`, `overloaded`, `transaction_expired`.
    /// - Returns: false when something was written in between.
    func stage(
        _ key: [UInt8], in table: TableName, _ value: [UInt8]?, entries: [[UInt8]], newTable: Table?, _ entry: Entry
    ) throws(ThemisError) -> Bool {
        let result: Result<Bool, ThemisError> = state.withLock { state in
            guard case .open = state.phase else { return .failure(Self.ended) }
            guard state.overlay.revision == entry.overlay.revision else { return .success(false) }
            let row = StagedRow(table: table, value: value, entries: entries, number: state.overlay.revision)
            let known = state.overlay.rows[key]
            guard known != nil || state.overlay.keys.count < Limits.atomicOperations else {
                return .failure(Self.tooLarge("writes at most \(Limits.atomicOperations) entities"))
            }
            let bytes = state.overlay.bytes - (known?.bytes(key) ?? 0) + row.bytes(key)
            guard bytes <= Limits.transactionWriteBytes else {
                return .failure(Self.tooLarge("writes at most \(Limits.transactionWriteBytes) bytes, with keys and index entries"))
            }
            if let error = hold(bytes + state.reads.bytes, &state) { return .failure(error) }
            state.overlay.set(key, row, newTable: newTable)
            return .success(true)
        }
        return try result.get()
    }

    private func hold(_ bytes: Int, _ state: inout State) -> ThemisError? {
        if bytes > state.heldBytes, !budget.take(bytes - state.heldBytes) {
            return ThemisError(
                .overloaded, "open transactions hold \(Limits.transactionsBytes) bytes together; commit or roll back some, or wait",
                outcome: .notCommitted, retryAfterSeconds: 1)
        }
        if bytes < state.heldBytes { budget.give(state.heldBytes - bytes) }
        state.heldBytes = bytes
        return nil
    }

    // MARK: The end

    /// What is to be committed.
    struct Work {
        let overlay: TransactionOverlay
        let reads: ReadSet
    }

    /// Begins the commit; nil when it is under way already, and `completion` waits for its answer.
    ///
    /// - Throws: `transaction_expired`.
    func beginCommit(_ nowNanoseconds: UInt64, _ completion: @escaping Completion) throws(ThemisError) -> Work? {
        let result: Result<Work?, ThemisError> = state.withLock { state in
            switch state.phase {
            case .open:
                guard !isExpired(state, nowNanoseconds) else { return .failure(Self.ended) }
                state.phase = .committing([completion])
                return .success(Work(overlay: state.overlay, reads: state.reads))
            case .committing(let waiting):
                state.phase = .committing(waiting + [completion])
                return .success(nil)
            case .ended: return .failure(Self.ended)
            }
        }
        return try result.get()
    }

    /// Ends the commit: who waits for it. When nothing came of it the transaction stays open.
    func endCommit(isOver: Bool, _ nowNanoseconds: UInt64) -> [Completion] {
        state.withLock { state in
            guard case .committing(let waiting) = state.phase else { return [] }
            state.phase = .open
            state.usedNanoseconds = nowNanoseconds
            if isOver { Self.end(&state, budget) }
            return waiting
        }
    }

    /// Ends it without a commit; false when it had ended, or a commit is under way.
    func rollBack() -> Bool {
        state.withLock { state in
            guard case .open = state.phase else { return false }
            Self.end(&state, budget)
            return true
        }
    }

    /// Ends it when nobody has used it for too long, or it lasted too long.
    func expire(_ nowNanoseconds: UInt64) -> Bool {
        state.withLock { state in
            guard case .open = state.phase, isExpired(state, nowNanoseconds) else { return false }
            Self.end(&state, budget)
            return true
        }
    }

    private static func end(_ state: inout State, _ budget: TransactionBudget) {
        state.phase = .ended
        state.overlay = TransactionOverlay()
        state.reads = ReadSet()
        budget.give(state.heldBytes)
        state.heldBytes = 0
    }

    private func isExpired(_ state: State, _ nowNanoseconds: UInt64) -> Bool {
        if nowNanoseconds >= deadlineNanoseconds { return true }
        let idle = UInt64(Limits.transactionIdleMilliseconds) * 1_000_000
        return state.requests == 0 && nowNanoseconds >= state.usedNanoseconds && nowNanoseconds - state.usedNanoseconds >= idle
    }

    var isCommitting: Bool { state.withLock { if case .committing = $0.phase { true } else { false } } }

    static var ended: ThemisError {
        ThemisError(
            .transactionExpired, "the transaction has ended: it was rolled back, failed to commit, or was left alone for too long",
            outcome: .notCommitted)
    }

    private static func tooLarge(_ message: String) -> ThemisError {
        ThemisError(.transactionTooLarge, "a transaction \(message)")
    }
}

/// Memory of all open transactions. Any thread.
final class TransactionBudget: Sendable {
    private let used = Atomic<Int>(0)

    var usedBytes: Int { used.load(ordering: .relaxed) }

    func take(_ bytes: Int) -> Bool {
        guard used.add(bytes, ordering: .relaxed).newValue > Limits.transactionsBytes else { return true }
        used.subtract(bytes, ordering: .relaxed)
        return false
    }

    func give(_ bytes: Int) { used.subtract(bytes, ordering: .relaxed) }
}
