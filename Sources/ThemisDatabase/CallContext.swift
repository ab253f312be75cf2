import Synchronization
import ThemisBase
public import ThemisTelemetry

/// Told from outside that nobody waits for an answer any more. Any thread.
public final class CancellationFlag: Sendable {
    private let flag = Atomic<Bool>(false)

    /// Not cancelled.
    public init() {}

    /// Whether `cancel` was called.
    public var isCancelled: Bool { flag.load(ordering: .relaxed) }

    /// Stops the work at its next check. Idempotent.
    public func cancel() { flag.store(true, ordering: .relaxed) }
}

/// How long a call may take and whether anyone still wants its answer.
public struct CallContext: Sendable {
    /// When the answer is worthless, on the monotonic clock of the telemetry's time source; `.max` for never.
    public var deadlineNanoseconds: UInt64
    /// Set by the caller when it goes away.
    public var cancellation: CancellationFlag?
    /// The span that the steps of the work stand under; nil when they are not recorded.
    public var span: ActiveSpan?

    /// Without arguments: no deadline, never cancelled, not recorded.
    public init(deadlineNanoseconds: UInt64 = .max, cancellation: CancellationFlag? = nil, span: ActiveSpan? = nil) {
        self.deadlineNanoseconds = deadlineNanoseconds
        self.cancellation = cancellation
        self.span = span
    }

    /// - Throws: `cancelled` or `deadline_exceeded`.
    func check(_ time: any TimeSource) throws(ThemisError) {
        if let cancellation, cancellation.isCancelled { throw ThemisError(.cancelled, "the caller went away") }
        if deadlineNanoseconds != .max, time.monotonicNanoseconds() >= deadlineNanoseconds {
            throw ThemisError(.deadlineExceeded, "the deadline passed before the work was done")
        }
    }

    /// Why a write must not be ordered at `nowNanoseconds`, nil when it may.
    func refusal(atNanoseconds nowNanoseconds: UInt64) -> ThemisError? {
        if let cancellation, cancellation.isCancelled {
            return ThemisError(.cancelled, "the caller went away before the write was ordered", outcome: .notCommitted)
        }
        if nowNanoseconds >= deadlineNanoseconds {
            return ThemisError(.deadlineExceeded, "the deadline passed before the write was ordered", outcome: .notCommitted)
        }
        return nil
    }
}

/// Who writes, for how long, and under which idempotency key.
public struct WriteContext: Sendable {
    /// The principal; idempotency keys of different principals never meet.
    public var principal: String
    /// Deadline and cancellation. Before the write is ordered they leave nothing behind; after that the commit stands.
    public var call: CallContext
    /// Makes the write repeatable.
    public var idempotency: IdempotencyToken?

    /// Puts the parts together.
    public init(principal: String = "", call: CallContext = CallContext(), idempotency: IdempotencyToken? = nil) {
        self.principal = principal
        self.call = call
        self.idempotency = idempotency
    }
}
