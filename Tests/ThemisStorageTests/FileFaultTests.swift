import Foundation
import Testing
import ThemisBase
import ThemisTelemetry
import ThemisTestKit

@testable import ThemisStorage

/// Damage to data files: an error where it is, and nowhere else.
@Suite(.serialized) struct FileFaultTests {
    /// Closed data with several files; value n is that of key n.
    struct Files {
        let scratch = ScratchDirectory()
        let count = 3_000
        var path: String { "\(scratch.path)/data" }

        init() throws {
            let engine = try openRocksDB(path)
            for part in 0..<3 {
                var batch = WriteBatch()
                for number in stride(from: part, to: count, by: 3) { batch.put(.entities, key(number), value(number)) }
                try engine.commit(batch, .synced)
            }
            try engine.compact(.entities, from: nil, to: nil)
            engine.close()
        }

        func key(_ number: Int) -> [UInt8] { bytes(String(format: "key%06d", number)) }

        func value(_ number: Int) -> [UInt8] { noise(number, 400) }

        /// The largest data file.
        func largest() throws -> String {
            let names = try FileSystem.names(in: "\(path)/db").filter { $0.hasSuffix(".sst") }
            return try #require(try names.max { try size($0) < size($1) })
        }

        func size(_ name: String) throws -> Int { try OpenFile("\(path)/db/\(name)", O_RDONLY).size }

        func flip(_ name: String, _ offset: Int, _ bit: UInt8) throws {
            let file = try OpenFile("\(path)/db/\(name)", O_RDWR)
            try file.write([try file.read(1, at: offset)[0] ^ bit], at: offset)
        }

        /// How many keys answer `data_corrupt`; any other difference from what was written fails.
        func damagedKeys(_ engine: any StorageEngine) throws -> Int {
            var damaged = 0
            for number in 0..<count {
                do throws(ThemisError) {
                    #expect(try engine.get(.entities, key(number)) == value(number))
                } catch {
                    #expect(error.code == .dataCorrupt)
                    damaged += 1
                }
            }
            return damaged
        }
    }

    @Test func `a damaged block is an error for its keys, the file is named, everything else reads and writes`() throws {
        let files = try Files()
        let name = try files.largest()
        try files.flip(name, files.size(name) / 2, 0x10)
        let engine = try openRocksDB(files.path)
        defer { engine.close() }
        #expect(engine.health == .healthy)
        let damaged = try files.damagedKeys(engine)
        #expect((1...30).contains(damaged))
        #expect(engine.health == .degraded("file \(name) is damaged"))
        let cursor = try engine.snapshot().scan(.entities, from: [], to: nil, reverse: false)
        #expect(throws: ThemisError.self) { while try cursor.advance() {} }
        let first = try engine.snapshot().contents(.entities, from: [], to: files.key(100))
        #expect(first.count == 100)
        #expect(try engine.multiGet(.entities, [files.key(1), files.key(2)]) == [files.value(1), files.value(2)])
        try engine.put(.entities, bytes("new"), bytes("1"))
        #expect(try engine.get(.entities, bytes("new")) == bytes("1"))
    }

    @Test func `a compaction that meets damage makes the engine read-only for writes`() throws {
        let files = try Files()
        let name = try files.largest()
        try files.flip(name, files.size(name) / 2, 0x01)
        let engine = try openRocksDB(files.path)
        defer { engine.close() }
        try engine.put(.entities, files.key(7), bytes("changed"))
        #expect(throws: ThemisError.self) { try engine.compact(.entities, from: nil, to: nil) }
        #expect(engine.health == .readOnly("file \(name) is damaged and a compaction met it"))
        let error = #expect(throws: ThemisError.self) { try engine.put(.entities, [1], [1]) }
        #expect(error?.code == .storageReadOnly)
        #expect(error?.outcome == .notCommitted)
        #expect(try engine.get(.entities, files.key(7)) == bytes("changed"))
        #expect(try engine.get(.entities, [1]) == nil)
    }

    @Test func `a flipped bit anywhere in a data file is never a missing or a wrong value`() throws {
        let seed = Seed.current()
        var random = SeededRandom(seed: seed)
        let files = try Files()
        let name = try files.largest()
        let size = try files.size(name)
        // All over the file, and its end, where index, properties and footer are.
        let places = (0..<12).map { _ in Int.random(in: 0..<size, using: &random) } + (1...12).map { size - $0 * $0 * 4 }
        for place in places {
            let bit: UInt8 = 1 << UInt8.random(in: 0..<8, using: &random)
            try files.flip(name, place, bit)
            do throws(ThemisError) {
                let engine = try openRocksDB(files.path)
                defer { engine.close() }
                do { _ = try files.damagedKeys(engine) } catch { Issue.record("seed \(seed), byte \(place): \(error)") }
            } catch {
                // A file whose own directory is damaged stops the start, with the way out.
                #expect(error.code == .dataCorrupt, "seed \(seed), byte \(place)")
                #expect(error.message.contains("--salvage"), "seed \(seed), byte \(place): \(error)")
            }
            try files.flip(name, place, bit)
        }
        let engine = try openRocksDB(files.path)
        #expect(try files.damagedKeys(engine) == 0)
        engine.close()
    }

    @Test func `salvage copies every pair outside the damaged blocks`() throws {
        let files = try Files()
        let name = try files.largest()
        let size = try files.size(name)
        for part in 1...3 { try files.flip(name, size * part / 4, 0x80) }
        let damaged = Set(
            try {
                let engine = try openRocksDB(files.path)
                defer { engine.close() }
                return (0..<files.count).filter { (try? engine.get(.entities, files.key($0))) == nil }
            }())
        #expect(!damaged.isEmpty)
        let report = try Salvage.run(files.path, smallOptions(), telemetry: .silent())
        #expect(report.isCopied)
        #expect(report.lostRanges == [0, 3, 0, 0, 0])
        #expect(report.pairs[1] == UInt64(files.count - damaged.count))
        let engine = try openRocksDB(files.path)
        for number in 0..<files.count {
            #expect(try engine.get(.entities, files.key(number)) == (damaged.contains(number) ? nil : files.value(number)))
        }
        try engine.compact(.entities, from: nil, to: nil)
        #expect(engine.health == .healthy)
        engine.close()
        #expect(FileSystem.exists("\(files.path)/db.salvaged/\(name)"))
    }

    @Test func `salvage opens data whose file list or file directory is damaged`() throws {
        for isFooter in [false, true] {
            let files = try Files()
            // Pairs in a second file.
            let later = Dictionary(uniqueKeysWithValues: (files.count..<files.count + 200).map { (files.key($0), files.value($0)) })
            try {
                let engine = try openRocksDB(files.path)
                defer { engine.close() }
                for (key, value) in later { try engine.put(.entities, key, value) }
                try engine.flush(nil)
            }()
            if isFooter {
                let name = try files.largest()
                try files.flip(name, files.size(name) - 3, 0x01)
            } else {
                run("rm", "\(files.path)/db/CURRENT")
            }
            let error = #expect(throws: ThemisError.self) { try openRocksDB(files.path) }
            #expect(error?.code == .dataCorrupt)
            let report = try Salvage.run(files.path, smallOptions(), telemetry: .silent())
            #expect(report.isRepaired)
            let engine = try openRocksDB(files.path)
            let pairs = try engine.contents(.entities)
            // A file without its footer is lost as a whole, unless files and logs that it has replaced are not deleted yet: the repair
            // reads them too. All other files come back, and what comes back is what was written.
            let written = Dictionary(uniqueKeysWithValues: (0..<files.count).map { (files.key($0), files.value($0)) })
            #expect(pairs.count(where: { later[$0.key] == $0.value }) == later.count)
            #expect(pairs.count(where: { written[$0.key] == $0.value }) == pairs.count - later.count)
            if !isFooter { #expect(pairs.count == files.count + later.count) }
            engine.close()
        }
    }

    @Test func `data without the file CURRENT is never taken for a new directory`() throws {
        let files = try Files()
        run("rm", "\(files.path)/db/CURRENT")
        let error = #expect(throws: ThemisError.self) { try openRocksDB(files.path) }
        #expect(error?.code == .dataCorrupt)
        #expect(try FileSystem.names(in: "\(files.path)/db").contains { $0.hasSuffix(".sst") })
    }
}
