/// When a child that ended is started again. Pure: the caller brings the time and the randomness.
public struct RestartPolicy: Sendable {
    /// The numbers of the policy.
    public struct Bounds: Sendable {
        /// The first wait.
        public var firstMilliseconds: Int64 = 100
        /// The longest wait; each one is twice the one before.
        public var longestMilliseconds: Int64 = 5_000
        /// Who ran so long has started well: the waits begin anew.
        public var goodMilliseconds: Int64 = 10_000
        /// Ends within `windowMilliseconds` that are too many.
        public var crashes = 10
        /// The window in which they are counted.
        public var windowMilliseconds: Int64 = 300_000

        /// The numbers of a real set.
        public init() {}
    }

    /// What to do with a child that ended.
    public enum Decision: Sendable, Equatable {
        /// Start it again after so long.
        case restart(milliseconds: Int64)
        /// It ended too often.
        case giveUp
    }

    private let bounds: Bounds
    private var ends: [Int64] = []
    private var wait: Int64

    /// A policy for one child.
    public init(_ bounds: Bounds = Bounds()) {
        self.bounds = bounds
        wait = bounds.firstMilliseconds
    }

    /// Decides about a child that ended at `now` after having run for `ranMilliseconds`.
    ///
    /// - Parameter isPassing: it said that its reason passes, such as a full disk: that is waited for without counting.
    public mutating func ended(
        at now: Int64, ranMilliseconds: Int64, isPassing: Bool = false, using random: inout some RandomNumberGenerator
    ) -> Decision {
        ends.removeAll { $0 <= now - bounds.windowMilliseconds }
        if !isPassing { ends.append(now) }
        guard ends.count < bounds.crashes else { return .giveUp }
        if ranMilliseconds >= bounds.goodMilliseconds { wait = bounds.firstMilliseconds }
        let base = wait
        wait = min(wait * 2, bounds.longestMilliseconds)
        // Jitter: children that died of one cause do not come back in step.
        return .restart(milliseconds: base / 2 + Int64.random(in: 0...(base - base / 2), using: &random))
    }
}
