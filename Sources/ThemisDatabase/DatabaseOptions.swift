public import ThemisBase
public import ThemisStorage

/// When a write counts as done.
public enum CommitDurability: Sendable {
    /// It is on disk.
    case sync
    /// It is in the operating system's hands and on disk within 100 ms. Answers carry `durable: false`; the feed waits for the
    /// disk.
    case relaxed
}

/// How a database works; fixed while it is open.
public struct DatabaseOptions: Sendable {
    /// When a write counts as done.
    public var durability = CommitDurability.sync
    /// Recent change records kept in memory, in bytes.
    public var feedRingBytes = 16 << 20
    /// Entities kept in memory beside the engine's own caches, in bytes.
    public var entityCacheBytes = 16 << 20
    /// Writes that may wait for the committer or the disk; above it `overloaded`.
    public var queuedOperations = 65_536
    /// Their bytes in memory: room for one atomic batch of the largest size beside the rest.
    public var queuedBytes = 128 << 20
    /// Bytes of the change records of one transaction.
    public var transactionBytes = Limits.transactionBytes
    /// Memory for the keys of commits that open transactions are compared with, in bytes.
    public var transactionHistoryBytes = Limits.transactionHistoryBytes
    /// Another one at every start: it stands in the ids of transactions.
    public var bootID = UInt64.random(in: .min ... .max)
    /// Whether what was opened is not the continuation of its own history: it was salvaged or restored.
    public var startsNewEpoch = false
    /// Notes what is durable, apart from the engine; a start that finds less refuses. The owner closes it after the database.
    public var durableMark: DurableMark?
    /// Runs work that may take long, such as preparing a write again. Everything it accepts must run, also while the database
    /// closes.
    ///
    /// Without it the work is done where it arises, which may be the committer.
    public var execute: @Sendable (@escaping @Sendable () -> Void) -> Void = { $0() }
    /// Calls what it is given, which answers all writes of a batch: the owner can hand the answers on together.
    public var answerBatch: @Sendable (_ answers: () -> Void) -> Void = { $0() }
    /// Called once when a sync failed: the process must end (exit code 75), so that the data is opened afresh.
    public var onFatal: @Sendable (ThemisError) -> Void = { _ in }

    /// The defaults.
    public init() {}
}
