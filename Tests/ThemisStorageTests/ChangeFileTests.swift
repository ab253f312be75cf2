import Foundation
import Testing
import ThemisBase
import ThemisStorage
import ThemisTestKit

/// The files of change records.
@Suite struct ChangeFileTests {
    private static func files(_ path: String) throws -> Set<String> {
        Set(try FileManager.default.contentsOfDirectory(atPath: "\(path)/db").filter { $0.hasSuffix(".sst") })
    }

    // Once a file had been moved to the last level, the next snapshot that was released had RocksDB write it once more.
    // The style by levels takes sequence numbers out of the files of its last level: a tenth of the processor time of a durable PUT.
    // Change records are in files that are moved and never rewritten.
    @Test func `a file of change records is written once, whatever snapshots come and go`() throws {
        let scratch = ScratchDirectory()
        let path = "\(scratch.path)/data"
        let engine = try openRocksDB(path)
        defer { engine.close() }
        var flushed: Set<String> = []
        for round in 0..<6 {
            for file in 0..<5 {
                var batch = WriteBatch()
                for index in 0..<200 {
                    let key = [UInt8(round), UInt8(file), UInt8(index)]
                    batch.put(.changes, key, [UInt8](repeating: UInt8(index), count: 500))
                }
                try engine.commit(batch, .buffered)
                try engine.flush(.changes)
                flushed.formUnion(try Self.files(path))
            }
            try Patience.wait(20, "the newest files to be moved down") {
                let statistics = engine.statistics()
                return statistics.runningCompactions == 0 && statistics.keyspaces[Int(Keyspace.changes.rawValue)].filesPerLevel[0] < 4
            }
            // Released at once: now nobody needs to tell the records of the files by their sequence numbers.
            _ = try engine.snapshot()
        }
        #expect(flushed.count == 30)
        #expect(try Self.files(path) == flushed)
        let levels = engine.statistics().keyspaces[Int(Keyspace.changes.rawValue)].filesPerLevel
        #expect(levels[0] < 4 && levels.reduce(0, +) == 30)
        #expect(try engine.contents(.changes).count == 6_000)
    }
}
