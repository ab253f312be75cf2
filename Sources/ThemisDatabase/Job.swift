public import ThemisBase

/// How far a job is.
public enum JobState: UInt8, Sendable {
    /// It waits or works.
    case running = 1
    /// It has done everything.
    case done = 2
    /// It gave up; see `error`.
    case failed = 3
    /// Someone stopped it. What it did before stands.
    case cancelled = 4
}

/// Long work that outlives the request that asked for it.
public struct Job: Sendable {
    /// Unique in this data directory.
    public var id: String
    /// What it does: `delete_range`, `compact`, `index_build`, `index_rebuild`, `verify`, `graph_rebuild`, `ttl_cleanup`.
    public var kind: String
    /// How far it is.
    public var state: JobState
    /// Steps done.
    public var done: UInt64
    /// Steps expected; an estimate while it runs.
    public var total: UInt64
    /// When it was asked for, in milliseconds since 1970.
    public var startedMilliseconds: Int64
    /// When it ended; 0 while it runs.
    public var endedMilliseconds: Int64
    /// What it works on; what it found, when it has ended.
    public var detail: String
    /// Why it failed.
    public var error: ThemisError?
}
