/// One transaction as its client saw it, over keys that hold lists to which values are appended. Each value is appended once in a history.
///
/// What a list holds tells in which order its writers committed: that is all the checker needs.
public struct RecordedTransaction: Sendable {
    /// What it did, in this order.
    public enum Operation: Sendable, Equatable {
        /// Put a value behind all others.
        case append(String, Int)
        /// Saw this list, with what it appended itself before.
        case read(String, [Int])
    }

    /// What its client was told.
    public enum Outcome: Sendable {
        /// It is committed.
        case committed
        /// Nothing of it happened.
        case aborted
        /// Nobody said.
        case unknown
    }

    /// Its name in complaints.
    public var name: String
    /// What it did.
    public var operations: [Operation]
    /// What its client was told.
    public var outcome: Outcome
    /// When it began and when its client knew the outcome, on a clock that all clients share. Equal times are at once.
    public var began: Int
    /// See `began`; `.max` when nobody said.
    public var ended: Int

    /// Puts the parts together.
    public init(_ name: String, _ operations: [Operation], _ outcome: Outcome = .committed, began: Int = 0, ended: Int = .max) {
        self.name = name
        self.operations = operations
        self.outcome = outcome
        self.began = began
        self.ended = ended
    }
}
