import Foundation
import Testing
import ThemisBase
import ThemisTelemetry
import ThemisTestKit

@testable import ThemisStorage

@Suite struct DirectoryTests {
    @Test func `a directory is new once and says its format`() throws {
        let scratch = ScratchDirectory()
        let path = "\(scratch.path)/a/b/data"
        #expect(try DataDirectory(opening: path).isNew)
        #expect(try !DataDirectory(opening: path).isNew)
        #expect(try FileSystem.contents("\(path)/FORMAT") == bytes("themis-data 1\n"))
    }

    @Test func `the same directory is not opened twice, not even by one process`() throws {
        let scratch = ScratchDirectory()
        let first = try DataDirectory(opening: scratch.path)
        let error = #expect(throws: ThemisError.self) { try DataDirectory(opening: scratch.path) }
        #expect(error?.code == .dataLocked)
        #expect(error?.message.contains("process \(getpid())") == true)
        withExtendedLifetime(first) {}
    }

    @Test(arguments: [("themis-data 2\n", ErrorCode.formatTooNew), ("themis-data\n", .dataCorrupt), ("", .dataCorrupt)])
    func `a format that cannot be read is refused`(text: String, code: ErrorCode) throws {
        let scratch = ScratchDirectory()
        try LogImage.write(bytes(text), to: "\(scratch.path)/FORMAT")
        let error = #expect(throws: ThemisError.self) { try DataDirectory(opening: scratch.path) }
        #expect(error?.code == code)
    }

    @Test func `a snapshot and a file are no data directory`() throws {
        let scratch = ScratchDirectory()
        try LogImage.write([], to: "\(scratch.path)/MANIFEST.json")
        #expect(throws: ThemisError.self) { try DataDirectory(opening: scratch.path) }
        #expect(throws: ThemisError.self) { try DataDirectory(opening: "\(scratch.path)/MANIFEST.json") }
    }

    @Test func `an engine keeps everything over a close, with and without a flush, and in a log directory of its own`() throws {
        for flushes in [true, false] {
            let scratch = ScratchDirectory()
            var options = smallOptions()
            options.flushesOnClose = flushes
            options.walDirectory = "\(scratch.path)/wal"
            for round in 0..<3 {
                let engine = try openRocksDB("\(scratch.path)/data", options)
                for number in 0..<round { #expect(try engine.get(.meta, [UInt8(number)]) == [UInt8(number)]) }
                #expect(engine.logScan.records == (flushes || round == 0 ? 0 : 1))
                try engine.put(.meta, [UInt8(round)], [UInt8(round)])
                engine.close()
            }
            #expect(try FileSystem.names(in: "\(scratch.path)/wal").contains { $0.hasSuffix(".log") })
            #expect(try !FileSystem.names(in: "\(scratch.path)/data/db").contains { $0.hasSuffix(".log") })
        }
    }

    @Test func `the durable mark keeps the highest sequence and survives one torn slot`() throws {
        let scratch = ScratchDirectory()
        let directory = try DataDirectory(opening: scratch.path)
        let mark = try DurableMark(in: directory, telemetry: .silent())
        #expect(mark.recorded == nil)
        mark.note(epoch: 1, sequence: 5)
        mark.flush()
        mark.note(epoch: 1, sequence: 9)
        mark.note(epoch: 1, sequence: 7)
        mark.close()
        #expect(try DurableMark(in: directory, telemetry: .silent()).recorded == DurableMark.Value(epoch: 1, sequence: 9))

        let file = try OpenFile("\(scratch.path)/DURABLE", O_RDWR)
        // The second write went to slot 0.
        try file.write([0xAA, 0xAA], at: 20)
        #expect(try DurableMark(in: directory, telemetry: .silent()).recorded == DurableMark.Value(epoch: 1, sequence: 5))
        try file.write([0xAA, 0xAA], at: 512 + 20)
        let error = #expect(throws: ThemisError.self) { try DurableMark(in: directory, telemetry: .silent()) }
        #expect(error?.code == .logDamaged)
    }

    @Test func `a new epoch may begin at any sequence`() throws {
        let scratch = ScratchDirectory()
        let directory = try DataDirectory(opening: scratch.path)
        let mark = try DurableMark(in: directory, telemetry: .silent())
        mark.note(epoch: 1, sequence: 500)
        mark.note(epoch: 2, sequence: 3)
        mark.close()
        #expect(try DurableMark(in: directory, telemetry: .silent()).recorded == DurableMark.Value(epoch: 2, sequence: 3))
    }

    @Test func `bytes that are no batch are refused and change nothing`() throws {
        let seed = Seed.current()
        var random = SeededRandom(seed: seed)
        let good = EngineModel.sample(&random).bytes
        for _ in 0..<2_000 {
            var bad = good
            switch Int.random(in: 0..<3, using: &random) {
            case 0: bad.removeLast(Int.random(in: 1...bad.count, using: &random))
            case 1: bad[Int.random(in: 0..<bad.count, using: &random)] ^= 1 << UInt8.random(in: 0..<8, using: &random)
            default: bad = (0..<Int.random(in: 0...40, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
            }
            do throws(ThemisError) {
                try WriteBatch.forEachOperation(in: bad) { _ throws(ThemisError) in }
            } catch { #expect(error.code == .dataCorrupt, "seed \(seed)") }
        }
        #expect(throws: ThemisError.self) { try WriteBatch.forEachOperation(in: [1, 9, 0, 0]) { _ throws(ThemisError) in } }
        #expect(throws: ThemisError.self) {
            try WriteBatch.forEachOperation(in: [2, 0] + [UInt8](repeating: 0xFF, count: 9) + [1]) { _ throws(ThemisError) in }
        }
    }
}
