import Synchronization
public import ThemisBase

/// An engine that keeps everything in memory: for tests, and as the plain statement of what an engine does. Any thread.
///
/// Nothing survives the process. Checkpoints are kept under their path inside the engine and opened by `openCheckpoint(at:)`.
public final class MemoryEngine: StorageEngine {
    struct State: Sendable {
        var keyspaces = [SortedPairs](repeating: SortedPairs(), count: Keyspace.allCases.count)
        var checkpoints: [String: [SortedPairs]] = [:]
        var syncs: UInt64 = 0
        var isClosed = false
    }

    private let state: Mutex<State>

    /// An empty engine.
    public init() { state = Mutex(State()) }

    private init(_ keyspaces: [SortedPairs]) { state = Mutex(State(keyspaces: keyspaces)) }

    /// An engine with the content that `checkpoint(at: path)` saved, nil when there is none.
    public func openCheckpoint(at path: String) -> MemoryEngine? {
        state.withLock { $0.checkpoints[path] }.map { MemoryEngine($0) }
    }

    /// Always healthy: nothing here can be damaged.
    public var health: EngineHealth { .healthy }

    /// The view is a copy that shares its memory with the engine until either changes.
    public func snapshot() throws(ThemisError) -> any StorageSnapshot { MemorySnapshot(try read { $0.keyspaces }) }

    /// See `StorageEngine`.
    public func get(_ keyspace: Keyspace, _ key: [UInt8]) throws(ThemisError) -> [UInt8]? {
        try read { $0.keyspaces[Int(keyspace.rawValue)].value(of: key) }
    }

    /// See `StorageEngine`.
    public func multiGet(_ keyspace: Keyspace, _ keys: [[UInt8]]) throws(ThemisError) -> [[UInt8]?] {
        try read { state in keys.map { state.keyspaces[Int(keyspace.rawValue)].value(of: $0) } }
    }

    /// Never `wouldBlock`: memory can always tell.
    public func cachedGet(_ keyspace: Keyspace, _ key: [UInt8]) throws(ThemisError) -> CachedRead {
        try get(keyspace, key).map { .hit($0) } ?? .absent
    }

    /// See `StorageEngine`; both durabilities are the same here.
    public func commit(_ batch: WriteBatch, _ durability: Durability) throws(ThemisError) {
        // Decoded whole before anything changes: all or nothing.
        var operations: [BatchOperation] = []
        operations.reserveCapacity(batch.count)
        try batch.forEachOperation { operation throws(ThemisError) in operations.append(operation) }
        try write { state in
            for operation in operations {
                switch operation {
                case .put(let keyspace, let key, let value): state.keyspaces[Int(keyspace.rawValue)].set(Array(key), Array(value))
                case .delete(let keyspace, let key): state.keyspaces[Int(keyspace.rawValue)].remove(Array(key))
                case .deleteRange(let keyspace, let lower, let upper):
                    state.keyspaces[Int(keyspace.rawValue)].removeRange(from: Array(lower), to: Array(upper))
                }
            }
            if durability == .synced { state.syncs += 1 }
        }
    }

    /// Counts as a sync.
    public func syncLog() throws(ThemisError) { try write { $0.syncs += 1 } }

    /// See `StorageEngine`.
    public func ingestSorted(_ keyspace: Keyspace, _ pairs: [(key: [UInt8], value: [UInt8])]) throws(ThemisError) {
        try IngestOrder.check(pairs)
        try write { state in for pair in pairs { state.keyspaces[Int(keyspace.rawValue)].set(pair.key, pair.value) } }
    }

    /// See `StorageEngine`.
    public func deleteFiles(_ keyspace: Keyspace, from lower: [UInt8], to upper: [UInt8]) throws(ThemisError) {
        try write { $0.keyspaces[Int(keyspace.rawValue)].removeRange(from: lower, to: upper) }
    }

    /// Keeps a copy under `path`, inside this engine.
    public func checkpoint(at path: String) throws(ThemisError) {
        let isNew = try write { state in
            guard state.checkpoints[path] == nil else { return false }
            state.checkpoints[path] = state.keyspaces
            return true
        }
        guard isNew else { throw ThemisError(.alreadyExists, "a checkpoint of this name exists already") }
    }

    /// Nothing to do.
    public func flush(_ keyspace: Keyspace?) throws(ThemisError) { try read { _ in } }

    /// Nothing to do.
    public func compact(_ keyspace: Keyspace, from lower: [UInt8]?, to upper: [UInt8]?) throws(ThemisError) { try read { _ in } }

    /// Exact here.
    public func approximateBytes(_ keyspace: Keyspace, from lower: [UInt8], to upper: [UInt8]) -> UInt64 {
        UInt64(state.withLock { $0.keyspaces[Int(keyspace.rawValue)] }.bytes(from: lower, to: upper))
    }

    /// Keys, bytes and syncs; the rest is zero.
    public func statistics() -> EngineStatistics {
        state.withLock { state in
            var statistics = EngineStatistics()
            statistics.syncs = state.syncs
            for pairs in state.keyspaces {
                var keyspace = EngineStatistics.KeyspaceStatistics()
                keyspace.estimatedKeys = UInt64(pairs.count)
                keyspace.memtableBytes = UInt64(pairs.bytes)
                statistics.keyspaces.append(keyspace)
            }
            return statistics
        }
    }

    /// There are no options.
    public func setOption(_ name: String, _ value: String) throws(ThemisError) {
        throw ThemisError(.unprocessable, "the engine has no option of this name")
    }

    /// Later calls fail with `shutting_down`. Idempotent.
    public func close() { state.withLock { $0.isClosed = true } }

    private func read<Result: Sendable>(_ body: (borrowing State) -> Result) throws(ThemisError) -> Result {
        let result: Result? = state.withLock { $0.isClosed ? nil : body($0) }
        guard let result else { throw ThemisError(.shuttingDown, "the storage engine is closed") }
        return result
    }

    private func write<Result: Sendable>(_ body: (inout State) -> Result) throws(ThemisError) -> Result {
        let result: Result? = state.withLock { $0.isClosed ? nil : body(&$0) }
        guard let result else { throw ThemisError(.shuttingDown, "the storage engine is closed") }
        return result
    }
}

/// What `ingestSorted` demands of its caller.
enum IngestOrder {
    /// - Throws: `unprocessable` when the keys do not grow strictly.
    static func check(_ pairs: [(key: [UInt8], value: [UInt8])]) throws(ThemisError) {
        for index in pairs.indices.dropFirst() where !SortedPairs.precedes(pairs[index - 1].key, pairs[index].key) {
            throw ThemisError(.unprocessable, "pairs to ingest must be sorted by key without doubles; pair \(index) is not")
        }
    }
}

final class MemorySnapshot: StorageSnapshot {
    private let keyspaces: [SortedPairs]

    init(_ keyspaces: [SortedPairs]) { self.keyspaces = keyspaces }

    func get(_ keyspace: Keyspace, _ key: [UInt8]) throws(ThemisError) -> [UInt8]? {
        keyspaces[Int(keyspace.rawValue)].value(of: key)
    }

    func multiGet(_ keyspace: Keyspace, _ keys: [[UInt8]]) throws(ThemisError) -> [[UInt8]?] {
        let pairs = keyspaces[Int(keyspace.rawValue)]
        return keys.map { pairs.value(of: $0) }
    }

    func scan(
        _ keyspace: Keyspace, from lower: [UInt8], to upper: [UInt8]?, reverse: Bool
    ) throws(ThemisError) -> any StorageCursor {
        MemoryCursor(keyspaces[Int(keyspace.rawValue)], from: lower, to: upper, reverse: reverse)
    }
}

final class MemoryCursor: StorageCursor {
    private let pairs: SortedPairs
    private let first: SortedPairs.Position
    private let last: SortedPairs.Position
    private let reverse: Bool
    private var next: SortedPairs.Position?
    private var current = SortedPairs.Pair(key: [], value: [])

    init(_ pairs: SortedPairs, from lower: [UInt8], to upper: [UInt8]?, reverse: Bool) {
        self.pairs = pairs
        first = pairs.lowerBound(lower)
        // Bounds that cross hold nothing.
        last = upper.map { SortedPairs.precedes(lower, $0) ? pairs.lowerBound($0) : pairs.lowerBound(lower) } ?? pairs.end
        self.reverse = reverse
        if first == last { next = nil } else { next = reverse ? pairs.before(last) : first }
    }

    func advance() throws(ThemisError) -> Bool {
        guard let position = next, let pair = pairs.pair(at: position) else { return false }
        current = pair
        if reverse {
            next = position == first ? nil : pairs.before(position)
        } else {
            let following = pairs.after(position)
            next = following == last ? nil : following
        }
        return true
    }

    var key: [UInt8] { current.key }
    var value: [UInt8] { current.value }

    func withPair<Result>(_ body: (UnsafeRawBufferPointer, UnsafeRawBufferPointer) -> Result) -> Result {
        unsafe current.key.withUnsafeBytes { key in unsafe current.value.withUnsafeBytes { value in unsafe body(key, value) } }
    }
}
