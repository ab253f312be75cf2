import Foundation
import ThemisBase
import ThemisStorage
import ThemisTelemetry
import ThemisTestKit

/// A new directory, removed with the object.
final class ScratchDirectory: Sendable {
    let path: String

    init() {
        path = TestDirectory.path("storage")
        run("mkdir", "-p", path)
    }

    deinit { run("rm", "-rf", path) }
}

/// Runs a program to its end and returns its exit status.
@discardableResult func run(_ arguments: String...) -> Int32 { run(arguments, environment: [:]) }

/// The same with more environment; -signal when one ended it.
@discardableResult func run(_ arguments: [String], environment: [String: String]) -> Int32 {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = arguments
    process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
    guard (try? process.run()) != nil else { return -1 }
    process.waitUntilExit()
    return process.terminationReason == .exit ? process.terminationStatus : -process.terminationStatus
}

/// Small buffers, so that tests reach files and levels with little data.
func smallOptions() -> RocksDBOptions {
    var options = RocksDBOptions()
    options.memtableBytes = 1 << 20
    options.totalMemtableBytes = 8 << 20
    options.blockCacheBytes = 4 << 20
    options.targetFileBytes = 256 << 10
    options.minFreeBytes = 0
    options.ballastBytes = 0
    return options
}

/// Opens RocksDB in `path` as a core does.
func openRocksDB(
    _ path: String, _ options: RocksDBOptions = smallOptions(), telemetry: Telemetry = .silent()
) throws(ThemisError) -> RocksDBEngine {
    try RocksDBEngine(opening: DataDirectory(opening: path), options, telemetry: telemetry)
}

/// The conformers that the contract is checked over.
enum EngineKind: String, CaseIterable, Sendable {
    case memory, rocksDB
}

/// An engine of one kind with what it needs to be opened again.
final class EngineUnderTest {
    let kind: EngineKind
    let scratch = ScratchDirectory()
    private(set) var engine: any StorageEngine

    init(_ kind: EngineKind) throws {
        self.kind = kind
        switch kind {
        case .memory: engine = MemoryEngine()
        case .rocksDB: engine = try openRocksDB("\(scratch.path)/data")
        }
    }

    /// Ends the engine; the directory goes with the object.
    func close() { engine.close() }

    /// Where a checkpoint may be made.
    func checkpointPath(_ name: String) -> String { "\(scratch.path)/\(name)/db" }

    /// Opens the checkpoint that was made at `checkpointPath(name)`.
    func openCheckpoint(_ name: String) throws -> any StorageEngine {
        switch engine {
        case let memory as MemoryEngine:
            guard let opened = memory.openCheckpoint(at: checkpointPath(name)) else {
                throw ThemisError(.notFound, "no checkpoint")
            }
            return opened
        default:
            run("cp", "\(scratch.path)/data/FORMAT", "\(scratch.path)/\(name)/FORMAT")
            return try openRocksDB("\(scratch.path)/\(name)")
        }
    }
}

extension StorageEngine {
    /// Everything in a keyspace, through a cursor.
    func contents(_ keyspace: Keyspace, reverse: Bool = false) throws -> [(key: [UInt8], value: [UInt8])] {
        try snapshot().contents(keyspace, reverse: reverse)
    }

    /// Commits one put.
    func put(_ keyspace: Keyspace, _ key: [UInt8], _ value: [UInt8], _ durability: Durability = .synced) throws(ThemisError) {
        var batch = WriteBatch()
        batch.put(keyspace, key, value)
        try commit(batch, durability)
    }
}

extension StorageSnapshot {
    /// Everything in `lower..<upper`, through a cursor.
    func contents(
        _ keyspace: Keyspace, from lower: [UInt8] = [], to upper: [UInt8]? = nil, reverse: Bool = false
    ) throws -> [(key: [UInt8], value: [UInt8])] {
        let cursor = try scan(keyspace, from: lower, to: upper, reverse: reverse)
        var pairs: [(key: [UInt8], value: [UInt8])] = []
        while try cursor.advance() { pairs.append((cursor.key, cursor.value)) }
        return pairs
    }
}

/// The bytes of a text.
func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

/// Bytes that do not shrink, the same for the same seed.
func noise(_ seed: Int, _ count: Int) -> [UInt8] {
    var random = SeededRandom(seed: UInt64(seed))
    var bytes: [UInt8] = []
    bytes.reserveCapacity(count + 8)
    while bytes.count < count { unsafe withUnsafeBytes(of: random.next()) { unsafe bytes.append(contentsOf: $0) } }
    bytes.removeLast(bytes.count - count)
    return bytes
}

/// Whether two lists of pairs are equal.
func areEqual(_ left: [(key: [UInt8], value: [UInt8])], _ right: [(key: [UInt8], value: [UInt8])]) -> Bool {
    left.count == right.count && zip(left, right).allSatisfy { $0.key == $1.key && $0.value == $1.value }
}
