import Testing
import ThemisBase
import ThemisTestKit

@testable import ThemisStorage

/// Which logs the engine still needs, as its own list of files says: neither less nor more is checked before a start.
@Suite(.serialized) struct EngineManifestTests {
    /// A directory as kill -9 leaves it, with every log file that the engine ever removed put back.
    struct Image {
        let scratch = ScratchDirectory()
        let count: Int
        var path: String { "\(scratch.path)/image" }
        var logs: [(name: String, number: UInt64)] {
            get throws { try WriteAheadLogScan.logFiles(in: "\(path)/db") }
        }
        var oldestNeeded: UInt64 {
            get throws { try EngineManifest.oldestNeededLog(in: "\(path)/db") }
        }

        /// Numbered writes, after some of which one keyspace or another is flushed and a new log begins.
        init(seed: UInt64, count: Int = 60) throws {
            self.count = count
            var random = SeededRandom(seed: seed)
            let live = "\(scratch.path)/live"
            let kept = "\(scratch.path)/kept"
            try FileSystem.makeDirectories(kept)
            let engine = try openRocksDB(live)
            for number in 1...count {
                try engine.commit(LogImage.batch(number, 50), .synced)
                guard Int.random(in: 0..<3, using: &random) == 0 else { continue }
                // Links: what is written to a log later is in them too.
                for log in try WriteAheadLogScan.logFiles(in: "\(live)/db") {
                    run("ln", "-f", "\(live)/db/\(log.name)", "\(kept)/\(log.name)")
                }
                try engine.flush(Keyspace.allCases.randomElement(using: &random) ?? .entities)
            }
            // Whatever is still needed, something is not.
            for keyspace in Keyspace.allCases { try engine.flush(keyspace) }
            for number in (count + 1)...(count + 4) {
                try engine.commit(LogImage.batch(number, 50), .synced)
                if number < count + 4 { try engine.flush(.entities) }
            }
            run("cp", "-r", live, path)
            engine.close()
            for log in try WriteAheadLogScan.logFiles(in: kept) {
                run("cp", "-n", "\(kept)/\(log.name)", "\(path)/db/\(log.name)")
            }
        }

        /// How many writes a core finds without one log; nil when it refuses to start.
        func open(without name: String) throws -> Int? {
            let copy = "\(scratch.path)/open"
            run("rm", "-rf", copy)
            run("cp", "-r", path, copy)
            run("rm", "\(copy)/db/\(name)")
            return try LogImage.openAsCore(copy)
        }
    }

    @Test func `an old log that was removed before an older one refuses no start`() throws {
        let seed = Seed.current()
        let image = try Image(seed: seed)
        let oldest = try image.oldestNeeded
        let obsolete = try image.logs.filter { $0.number < oldest }
        try #require(obsolete.count >= 3, "seed \(seed)")
        for log in obsolete { #expect(try image.open(without: log.name) == image.count + 4, "seed \(seed): \(log.name)") }
    }

    @Test func `a log between two that are needed is missed, whatever old ones lie there`() throws {
        let seed = Seed.current()
        let image = try Image(seed: seed)
        let oldest = try image.oldestNeeded
        let needed = try image.logs.filter { $0.number >= oldest }
        try #require(needed.count >= 3, "seed \(seed): \(needed), \(oldest)")
        for log in needed.dropFirst().dropLast() { #expect(try image.open(without: log.name) == nil, "seed \(seed): \(log.name)") }
    }

    @Test func `no log that counts as needed was ever removed by the engine`() throws {
        let seed = Seed.current()
        var random = SeededRandom(seed: seed)
        let scratch = ScratchDirectory()
        var seen: Set<UInt64> = []
        var last: UInt64 = 0
        for _ in 0..<3 {
            let engine = try openRocksDB(scratch.path)
            for number in 1...40 {
                try engine.commit(LogImage.batch(number, 50), .synced)
                seen.formUnion(try WriteAheadLogScan.logFiles(in: "\(scratch.path)/db").map(\.number))
                try engine.flush(Keyspace.allCases.randomElement(using: &random) ?? .entities)
                let oldest = try EngineManifest.oldestNeededLog(in: "\(scratch.path)/db")
                let present = Set(try WriteAheadLogScan.logFiles(in: "\(scratch.path)/db").map(\.number))
                #expect(oldest >= last, "seed \(seed): numbers only rise")
                #expect(seen.filter { $0 >= oldest }.subtracting(present).isEmpty, "seed \(seed): from \(oldest)")
                last = oldest
            }
            engine.close()
        }
        #expect(seen.filter { $0 < last }.count > 3, "seed \(seed): the test saw old logs")
    }

    @Test func `a list that ends in the middle of an edit says what stood before it, and an unknown one says nothing`() throws {
        let seed = Seed.current()
        let image = try Image(seed: seed)
        let path = "\(image.path)/db"
        let current = try #require(try FileSystem.contents("\(path)/CURRENT"))
        let name = String(decoding: current.dropLast(), as: UTF8.self)
        let whole = try LogImage.read("\(path)/\(name)")
        var last: UInt64 = 0
        for end in stride(from: 0, through: whole.count, by: 7) {
            try LogImage.write(Array(whole[..<end]), to: "\(path)/\(name)")
            let oldest = try image.oldestNeeded
            #expect(oldest >= last, "seed \(seed): cut at \(end)")
            last = oldest
        }
        try LogImage.write(whole, to: "\(path)/\(name)")
        #expect(try image.oldestNeeded >= last)
        run("rm", "\(path)/\(name)")
        #expect(try image.oldestNeeded == 0)
        run("rm", "\(path)/CURRENT")
        #expect(try image.oldestNeeded == 0)
    }

    @Test func `edits of an atomic group count together, a dropped keyspace holds nothing back`() {
        var manifest = EngineManifest()
        manifest.take(EngineManifest.Edit(family: 1, logNumber: 4, isAdded: true))
        manifest.take(EngineManifest.Edit(family: 0, logNumber: 9))
        #expect(manifest.oldestNeeded == 4)
        manifest.take(EngineManifest.Edit(family: 1, logNumber: 8, remaining: 1))
        #expect(manifest.oldestNeeded == 4)
        manifest.take(EngineManifest.Edit(family: 0, logNumber: 12, remaining: 0))
        #expect(manifest.oldestNeeded == 8)
        manifest.take(EngineManifest.Edit(family: 1, isDropped: true))
        #expect(manifest.oldestNeeded == 12)
        manifest.take(EngineManifest.Edit(oldestKept: 15))
        #expect(manifest.oldestNeeded == 15)
    }

    @Test(
        arguments: [
            [2], [3, 0x80], [103, 0, 5], [103, 0, 5, 9, 1, 1, 1, 1, 0, 0, 6], [201, 1, 5, 65], [99], [44, 2], [1, 9, 65],
        ] as [[UInt8]])
    func `an edit that is cut short or unknown is not taken for one`(record: [UInt8]) {
        #expect(EngineManifest.decode(record).flatMap { $0.logNumber ?? $0.oldestKept } == nil)
    }
}
