import Synchronization
import ThemisBase
import ThemisStorage

/// A memory engine that counts what is read: steps of cursors, and keys looked up.
final class CountingEngine: StorageEngine {
    private let memory = MemoryEngine()
    private let counter = Counter()

    final class Counter: Sendable {
        let steps = Atomic<Int>(0)
        func add(_ count: Int = 1) { steps.add(count, ordering: .relaxed) }
    }

    /// Reads since `reset`.
    var steps: Int { counter.steps.load(ordering: .relaxed) }
    func reset() { counter.steps.store(0, ordering: .relaxed) }

    private final class Snapshot: StorageSnapshot {
        let base: any StorageSnapshot
        let counter: Counter

        init(_ base: any StorageSnapshot, _ counter: Counter) {
            self.base = base
            self.counter = counter
        }

        func get(_ keyspace: Keyspace, _ key: [UInt8]) throws(ThemisError) -> [UInt8]? {
            counter.add()
            return try base.get(keyspace, key)
        }
        func multiGet(_ keyspace: Keyspace, _ keys: [[UInt8]]) throws(ThemisError) -> [[UInt8]?] {
            counter.add(keys.count)
            return try base.multiGet(keyspace, keys)
        }
        func scan(
            _ keyspace: Keyspace, from lower: [UInt8], to upper: [UInt8]?, reverse: Bool
        ) throws(ThemisError) -> any StorageCursor {
            Cursor(try base.scan(keyspace, from: lower, to: upper, reverse: reverse), counter)
        }
    }

    private final class Cursor: StorageCursor {
        let base: any StorageCursor
        let counter: Counter

        init(_ base: any StorageCursor, _ counter: Counter) {
            self.base = base
            self.counter = counter
        }

        func advance() throws(ThemisError) -> Bool {
            counter.add()
            return try base.advance()
        }
        var key: [UInt8] { base.key }
        var value: [UInt8] { base.value }
        func withPair<Result>(_ body: (UnsafeRawBufferPointer, UnsafeRawBufferPointer) -> Result) -> Result {
            unsafe base.withPair(body)
        }
    }

    func snapshot() throws(ThemisError) -> any StorageSnapshot { Snapshot(try memory.snapshot(), counter) }
    func get(_ keyspace: Keyspace, _ key: [UInt8]) throws(ThemisError) -> [UInt8]? {
        counter.add()
        return try memory.get(keyspace, key)
    }
    func multiGet(_ keyspace: Keyspace, _ keys: [[UInt8]]) throws(ThemisError) -> [[UInt8]?] {
        counter.add(keys.count)
        return try memory.multiGet(keyspace, keys)
    }
    var health: EngineHealth { memory.health }
    func commit(_ batch: WriteBatch, _ durability: Durability) throws(ThemisError) { try memory.commit(batch, durability) }
    func syncLog() throws(ThemisError) { try memory.syncLog() }
    func cachedGet(_ keyspace: Keyspace, _ key: [UInt8]) throws(ThemisError) -> CachedRead { try memory.cachedGet(keyspace, key) }
    func ingestSorted(_ keyspace: Keyspace, _ pairs: [(key: [UInt8], value: [UInt8])]) throws(ThemisError) {
        try memory.ingestSorted(keyspace, pairs)
    }
    func deleteFiles(_ keyspace: Keyspace, from lower: [UInt8], to upper: [UInt8]) throws(ThemisError) {
        try memory.deleteFiles(keyspace, from: lower, to: upper)
    }
    func checkpoint(at path: String) throws(ThemisError) { try memory.checkpoint(at: path) }
    func flush(_ keyspace: Keyspace?) throws(ThemisError) { try memory.flush(keyspace) }
    func compact(_ keyspace: Keyspace, from lower: [UInt8]?, to upper: [UInt8]?) throws(ThemisError) {
        try memory.compact(keyspace, from: lower, to: upper)
    }
    func approximateBytes(_ keyspace: Keyspace, from lower: [UInt8], to upper: [UInt8]) -> UInt64 {
        memory.approximateBytes(keyspace, from: lower, to: upper)
    }
    func statistics() -> EngineStatistics { memory.statistics() }
    func setOption(_ name: String, _ value: String) throws(ThemisError) { try memory.setOption(name, value) }
    func close() { memory.close() }
}
