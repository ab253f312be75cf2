import Synchronization
import ThemisBase
import ThemisStorage
import ThemisTelemetry

/// What is known of all transactions, in numbers.
public struct TransactionStatistics: Sendable, Equatable {
    /// Open now.
    public var open = 0
    /// Since the start of the core: begun, and how they ended.
    public var begun: UInt64 = 0
    /// Committed.
    public var committed: UInt64 = 0
    /// Rolled back because their caller asked for it.
    public var rolledBack: UInt64 = 0
    /// Refused because another one committed first, or because they were too old.
    public var conflicts: UInt64 = 0
    /// Ended by the clock.
    public var expired: UInt64 = 0
    /// Refused for another reason when they were to commit.
    public var failed: UInt64 = 0
    /// Memory of what open ones have written and read, in bytes.
    public var heldBytes = 0
    /// Memory of the keys of commits that they are compared with, in bytes.
    public var historyBytes = 0
}

/// The transactions that are open. Any thread.
final class Transactions: Sendable {
    private struct State {
        var open: [UInt64: Transaction] = [:]
        /// What those read that are being opened.
        var opening: [UInt64: SequenceNumber] = [:]
        var nextNumber: UInt32 = 1
        var counts = TransactionStatistics()
        var isClosed = false
    }

    /// The first half of the ids of this start.
    let bootID: UInt64
    let history: CommitHistory
    let budget = TransactionBudget()
    private let state = Mutex(State())
    private let time: any TimeSource
    private let openGauge: Gauge
    private let committed: Counter
    private let conflicts: Counter
    private let expired: Counter
    private let historyGauge: Gauge

    init(bootID: UInt64, history: CommitHistory, _ telemetry: Telemetry) {
        self.bootID = bootID
        self.history = history
        time = telemetry.time
        openGauge = telemetry.metrics.gauge(.transactionsOpen)
        committed = telemetry.metrics.counter(.transactionsCommitted)
        conflicts = telemetry.metrics.counter(.transactionsConflicts)
        expired = telemetry.metrics.counter(.transactionsExpired)
        historyGauge = telemetry.metrics.gauge(.transactionsHistoryBytes)
    }

    /// Takes a place for a transaction that will read `visible` or a later state, and gives it an id. Followed by `open` or `giveUp`.
    ///
    /// - Throws: `too_many_requests`, `shutting_down`.
    func reserve(visible: () -> SequenceNumber) throws(ThemisError) -> TransactionID {
        if state.withLock({ $0.open.count + $0.opening.count >= Limits.transactions }) { expire() }
        let seconds = UInt32(truncatingIfNeeded: time.wallMilliseconds() / 1_000)
        let result: Result<TransactionID, ThemisError> = state.withLock { state in
            guard !state.isClosed else {
                return .failure(ThemisError(.shuttingDown, "the database is closing", retryAfterSeconds: 1))
            }
            guard state.open.count + state.opening.count < Limits.transactions else {
                return .failure(
                    ThemisError(
                        .tooManyRequests, "\(Limits.transactions) transactions are open, the most at once; commit or roll back some",
                        retryAfterSeconds: 1))
            }
            let id = TransactionID(high: bootID, low: UInt64(seconds) << 32 | UInt64(state.nextNumber))
            state.nextNumber &+= 1
            state.opening[id.low] = visible()
            keepHistory(state)
            return .success(id)
        }
        return try result.get()
    }

    func open(_ transaction: Transaction) {
        state.withLock { state in
            state.opening[transaction.id.low] = nil
            guard !state.isClosed else { return }
            state.open[transaction.id.low] = transaction
            state.counts.begun += 1
            keepHistory(state)
            openGauge.set(Double(state.open.count))
        }
    }

    func giveUp(_ id: TransactionID) {
        state.withLock { state in
            state.opening[id.low] = nil
            keepHistory(state)
        }
    }

    private func keepHistory(_ state: State) {
        history.keep(from: min(state.opening.values.min() ?? .max, state.open.values.lazy.map(\.begin).min() ?? .max))
    }

    /// The open transaction; nil when there is none of this principal.
    func find(_ reference: TransactionReference) -> Transaction? {
        guard reference.id.high == bootID else { return nil }
        return state.withLock { $0.open[reference.id.low] }.flatMap { $0.principal == reference.principal ? $0 : nil }
    }

    /// Whether an id was given out by this start.
    func hasGiven(_ id: TransactionID) -> Bool {
        id.high == bootID && state.withLock { UInt32(truncatingIfNeeded: id.low) < $0.nextNumber && UInt32(truncatingIfNeeded: id.low) > 0 }
    }

    /// Removes a transaction that has ended, and counts how.
    func remove(_ transaction: Transaction, _ count: WritableKeyPath<TransactionStatistics, UInt64>) {
        let isGone = state.withLock { state in
            guard state.open.removeValue(forKey: transaction.id.low) != nil else { return false }
            state.counts[keyPath: count] += 1
            keepHistory(state)
            openGauge.set(Double(state.open.count))
            return true
        }
        guard isGone else { return }
        switch count {
        case \.committed: committed.add()
        case \.conflicts: conflicts.add()
        case \.expired: expired.add()
        default: break
        }
    }

    /// Ends those whose time is over.
    func expire() {
        let now = time.monotonicNanoseconds()
        let all = state.withLock { Array($0.open.values) }
        for transaction in all where transaction.expire(now) { remove(transaction, \.expired) }
        historyGauge.set(Double(history.bytes))
    }

    /// Ends all, so that nothing of the engine is held. Those that are being committed end with their commit.
    func close() {
        let all = state.withLock { state in
            state.isClosed = true
            defer { state.open = state.open.filter { $0.value.isCommitting } }
            return Array(state.open.values)
        }
        for transaction in all { _ = transaction.rollBack() }
    }

    var statistics: TransactionStatistics {
        var counts = state.withLock { state in
            var counts = state.counts
            counts.open = state.open.count
            return counts
        }
        counts.heldBytes = budget.usedBytes
        counts.historyBytes = history.bytes
        return counts
    }
}
