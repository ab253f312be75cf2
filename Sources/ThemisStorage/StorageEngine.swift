public import ThemisBase

/// What a read that must not touch the disk found.
public enum CachedRead: Sendable {
    /// The value.
    case hit([UInt8])
    /// There is surely no such key.
    case absent
    /// Only a read that may touch the disk can tell.
    case wouldBlock
}

/// When `commit` counts as done.
public enum Durability: Sendable {
    /// On disk: the log was synced.
    case synced
    /// Handed to the operating system; a later synced commit or `syncLog` makes it durable.
    case buffered
}

/// Ordered bytes with atomic writes. Conformers: `RocksDBEngine`, `MemoryEngine`; tests add ones that fail on purpose.
///
/// Guarantees that callers rely on, each checked by `EngineContract` over every conformer:
/// - `commit` is all or nothing, also across keyspaces; with `.synced` it survives a crash once it returned.
/// - A snapshot never changes. A cursor sees one snapshot. Keys within a keyspace are ordered by unsigned bytes.
/// - Damage is an error (`data_corrupt`) for the key or range that it hits, never a missing value.
/// - After a failed sync every later commit fails with `commit_unknown`; only a new process may open the data again.
///
/// All members may be called from any thread. Nothing here relies on merge operators, prefix blooms or an engine's own sequence
/// numbers.
public protocol StorageEngine: AnyObject, Sendable {
    /// A view that never changes; it pins memory and files until it is released, so hold it shortly.
    func snapshot() throws(ThemisError) -> any StorageSnapshot

    /// The newest value of `key`, nil when there is none. May read the disk.
    func get(_ keyspace: Keyspace, _ key: [UInt8]) throws(ThemisError) -> [UInt8]?

    /// The newest values of `keys`, in their order. May read the disk.
    func multiGet(_ keyspace: Keyspace, _ keys: [[UInt8]]) throws(ThemisError) -> [[UInt8]?]

    /// The newest value of `key` if memory alone can tell. Never blocks on the disk: callable from a loop thread.
    func cachedGet(_ keyspace: Keyspace, _ key: [UInt8]) throws(ThemisError) -> CachedRead

    /// Writes `batch` atomically and returns when it is as durable as asked. Blocks; one caller at a time is expected (the
    /// committer).
    ///
    /// - Throws: `disk_full` (nothing written, before the engine was touched), `commit_unknown` (a sync failed: crash and
    ///   reopen),
    ///   `storage_read_only` (damage met by a compaction).
    func commit(_ batch: WriteBatch, _ durability: Durability) throws(ThemisError)

    /// Makes everything committed so far durable.
    func syncLog() throws(ThemisError)

    /// Writes `pairs`, sorted by key and absent so far, around the log: for backfills and imports into ids nobody reads yet.
    func ingestSorted(_ keyspace: Keyspace, _ pairs: [(key: [UInt8], value: [UInt8])]) throws(ThemisError)

    /// Removes every key of `lower..<upper`, whole files first, without keeping snapshots intact: only for key ranges nobody
    /// reads any more.
    func deleteFiles(_ keyspace: Keyspace, from lower: [UInt8], to upper: [UInt8]) throws(ThemisError)

    /// A consistent copy in the new directory `path`, by hard links where the file system allows.
    func checkpoint(at path: String) throws(ThemisError)

    /// Writes memtables of `keyspace` (nil: all) to files.
    func flush(_ keyspace: Keyspace?) throws(ThemisError)

    /// Rewrites the files of `keyspace` that overlap `lower..<upper` (nil: open end).
    func compact(_ keyspace: Keyspace, from lower: [UInt8]?, to upper: [UInt8]?) throws(ThemisError)

    /// Approximate bytes on disk of `lower..<upper`.
    func approximateBytes(_ keyspace: Keyspace, from lower: [UInt8], to upper: [UInt8]) -> UInt64

    /// Plain numbers of the engine; the caller decides what becomes a metric.
    func statistics() -> EngineStatistics

    /// Sets an option of the running engine by the engine's own name.
    ///
    /// - Throws: `unprocessable` for a name or value the engine refuses.
    func setOption(_ name: String, _ value: String) throws(ThemisError)

    /// Whether damage or a failed sync has made the engine read-only, and the operator's explanation.
    var health: EngineHealth { get }

    /// Ends background work and releases the data directory. Every snapshot and cursor must be gone. Idempotent.
    func close()
}

/// The state of an engine.
public enum EngineHealth: Sendable, Equatable {
    /// Reads and writes work.
    case healthy
    /// Some file is damaged: other keys still read and write. Names the file.
    case degraded(String)
    /// Writes are refused until restore or salvage.
    case readOnly(String)
    /// A sync failed: the process must end.
    case failed(String)
}

/// A view of the data that never changes. Any thread.
public protocol StorageSnapshot: AnyObject, Sendable {
    /// The value of `key` in this view.
    func get(_ keyspace: Keyspace, _ key: [UInt8]) throws(ThemisError) -> [UInt8]?

    /// The values of `keys` in this view, in their order.
    func multiGet(_ keyspace: Keyspace, _ keys: [[UInt8]]) throws(ThemisError) -> [[UInt8]?]

    /// A cursor over `lower..<upper` (nil: to the end of the keyspace), from the low or from the high end.
    func scan(
        _ keyspace: Keyspace, from lower: [UInt8], to upper: [UInt8]?, reverse: Bool
    ) throws(ThemisError) -> any StorageCursor
}

/// Walks keys in order. One thread at a time.
public protocol StorageCursor: AnyObject {
    /// Moves to the next pair; false at the end.
    ///
    /// - Throws: `data_corrupt` when a block cannot be read.
    func advance() throws(ThemisError) -> Bool

    /// The key at the cursor.
    var key: [UInt8] { get }

    /// The value at the cursor.
    var value: [UInt8] { get }

    /// Calls `body` with the key and value at the cursor, without copying them. The pointers are valid only inside `body`.
    func withPair<Result>(_ body: (UnsafeRawBufferPointer, UnsafeRawBufferPointer) -> Result) -> Result
}

/// Numbers that every engine can give.
public struct EngineStatistics: Sendable {
    /// What one keyspace holds.
    public struct KeyspaceStatistics: Sendable {
        /// Estimated number of keys.
        public var estimatedKeys: UInt64 = 0
        /// Bytes of live files.
        public var fileBytes: UInt64 = 0
        /// Bytes in memtables.
        public var memtableBytes: UInt64 = 0
        /// Files on each level, from level 0.
        public var filesPerLevel: [UInt64] = []
        /// Nothing counted yet.
        public init() {}
    }

    /// By keyspace, in the order of `Keyspace.allCases`.
    public var keyspaces: [KeyspaceStatistics] = []
    /// Bytes used in the block cache.
    public var blockCacheUsedBytes: UInt64 = 0
    /// Size of the block cache.
    public var blockCacheCapacityBytes: UInt64 = 0
    /// Block cache hits since start.
    public var blockCacheHits: UInt64 = 0
    /// Block cache misses since start.
    public var blockCacheMisses: UInt64 = 0
    /// Bytes that compaction has to rewrite.
    public var pendingCompactionBytes: UInt64 = 0
    /// Compactions running.
    public var runningCompactions: UInt64 = 0
    /// Flushes running.
    public var runningFlushes: UInt64 = 0
    /// Whether writes are stopped.
    public var isWriteStopped = false
    /// Bytes a second that writes are slowed to; 0 when they are not.
    public var delayedWriteRate: UInt64 = 0
    /// Bytes of write-ahead log files.
    public var logBytes: UInt64 = 0
    /// Microseconds that writers were stalled since start.
    public var stallMicroseconds: UInt64 = 0
    /// Log syncs since start.
    public var syncs: UInt64 = 0
    /// Microseconds spent in log syncs since start.
    public var syncMicroseconds: UInt64 = 0
    /// Nothing counted yet.
    public init() {}
}
