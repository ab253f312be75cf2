import Synchronization
import ThemisBase
import ThemisStorage

/// A memory engine that fails when told, and that loses what was not synced when its process "crashes".
final class FaultyEngine: StorageEngine {
    /// What happens to a commit.
    enum Fault: Sendable {
        /// Refused before anything was written.
        case refuse(ErrorCode)
        /// The sync fails, and the write is gone after the crash.
        case loseSync
        /// The sync fails, but the write is there after the crash.
        case keepSync
    }

    private struct State {
        var commits = 0
        var faults: [Int: Fault] = [:]
        /// Batches in the log, and how many of them survive a crash.
        var log: [WriteBatch] = []
        var survivors = 0
        var isPoisoned = false
        var holdsCommits = false
        /// The batch whose sync failed and that is on disk all the same.
        var kept: WriteBatch?
    }

    private let memory: MemoryEngine
    private let base: [WriteBatch]
    private let state = Monitor(State())

    init() {
        base = []
        memory = MemoryEngine()
    }

    /// The engine that a new process finds after `kill` or a failed sync, without a copy of everything: the old one is of no use then.
    init(after dead: FaultyEngine) throws {
        base = []
        memory = dead.memory
        if let kept = dead.state.withLock({ $0.kept }) { try memory.commit(kept, .synced) }
    }

    private init(after base: [WriteBatch]) throws {
        self.base = base
        memory = MemoryEngine()
        for batch in base { try memory.commit(batch, .synced) }
    }

    /// Lets commit number `index` (from 1, counted from now on) fail.
    func fail(commit index: Int, _ fault: Fault) { state.withLock { $0.faults[$0.commits + index] = fault } }

    /// Nothing reaches the disk from now on, as if the process were gone.
    func kill() { state.withLock { $0.isPoisoned = true } }

    /// Whether a sync failed.
    var isDead: Bool { state.withLock { $0.isPoisoned } }

    /// Forgets faults that did not happen yet.
    func heal() { state.withLock { $0.faults = [:] } }

    /// Commits wait until `release`.
    func hold() { state.withLock { $0.holdsCommits = true } }

    func release() {
        state.withLock { $0.holdsCommits = false }
        state.notifyAll()
    }

    /// The engine that a new process finds.
    func crash() throws -> FaultyEngine {
        try FaultyEngine(after: state.withLock { base + $0.log.prefix($0.survivors) })
    }

    var commits: Int { state.withLock { $0.commits } }

    func commit(_ batch: WriteBatch, _ durability: Durability) throws(ThemisError) {
        let fault: Fault? = state.wait { state -> Fault?? in
            guard !state.holdsCommits else { return nil }
            state.commits += 1
            if state.isPoisoned { return .some(.loseSync) }
            return .some(state.faults[state.commits])
        }
        switch fault {
        case nil:
            try memory.commit(batch, durability)
            state.withLock { state in
                state.log.append(batch)
                if durability == .synced { state.survivors = state.log.count }
            }
        case .refuse(let code): throw ThemisError(code, "as the test wants")
        case .loseSync, .keepSync:
            let isKept = if case .keepSync = fault { true } else { false }
            state.withLock { state in
                if isKept, !state.isPoisoned {
                    state.log.append(batch)
                    state.survivors = state.log.count
                    state.kept = batch
                }
                state.isPoisoned = true
            }
            throw ThemisError(.commitUnknown, "as the test wants", outcome: .unknown)
        }
    }

    func syncLog() throws(ThemisError) {
        let isPoisoned = state.withLock { state in
            if state.isPoisoned { return true }
            state.survivors = state.log.count
            return false
        }
        if isPoisoned { throw ThemisError(.commitUnknown, "as the test wants", outcome: .unknown) }
    }

    var health: EngineHealth { memory.health }
    func snapshot() throws(ThemisError) -> any StorageSnapshot { try memory.snapshot() }
    func get(_ keyspace: Keyspace, _ key: [UInt8]) throws(ThemisError) -> [UInt8]? { try memory.get(keyspace, key) }
    func multiGet(_ keyspace: Keyspace, _ keys: [[UInt8]]) throws(ThemisError) -> [[UInt8]?] {
        try memory.multiGet(keyspace, keys)
    }
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
