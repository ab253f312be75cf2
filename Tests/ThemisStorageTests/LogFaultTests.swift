import Testing
import ThemisBase
import ThemisTelemetry
import ThemisTestKit

@testable import ThemisStorage

/// Damage to the write-ahead log: never a silent loss, never a refusal for a harmless tail.
@Suite(.serialized) struct LogFaultTests {
    /// Small records, records of many blocks, and enough of both.
    static let sizes = (0..<40).map { [0, 10, 100, 700, 3_000, 33_000, 70_000][$0 * 5 % 7] }

    @Test func `an undamaged log is clean and is read whole`() throws {
        let image = try LogImage(sizes: Self.sizes)
        let scan = try image.scan(image.log)
        #expect(scan.damage == nil)
        #expect(scan.cuts.isEmpty)
        #expect(scan.records == image.count)
        #expect(scan.lastChain == UInt64(image.count))
        #expect(try image.open(image.log) == image.count)
    }

    @Test func `a flipped bit in any header byte, and anywhere else, is found by the scan`() throws {
        let seed = Seed.current()
        var random = SeededRandom(seed: seed)
        let image = try LogImage(sizes: Self.sizes)
        // Every bit of every type byte, some bit of every other header byte, and places all over the log.
        var places: [(Int, UInt8)] = []
        for record in image.records.dropLast() {
            for byte in 0..<6 { places.append((record.lowerBound + byte, 1 << UInt8.random(in: 0..<8, using: &random))) }
            for bit in 0..<8 { places.append((record.lowerBound + 6, 1 << UInt8(bit))) }
        }
        for _ in 0..<400 {
            places.append(
                (
                    Int.random(in: 0..<image.records[image.count - 1].lowerBound, using: &random),
                    1 << UInt8.random(in: 0..<8, using: &random)
                ))
        }
        for (place, bit) in places {
            var changed = image.log
            changed[place] ^= bit
            let scan = try image.scan(changed)
            // The few bytes at the end of a block belong to no record.
            let isInRecord = image.records.contains { $0.contains(place) } && !Self.isBlockTrailer(place, image)
            #expect(isInRecord == (scan.damage != nil), "seed \(seed): byte \(place), bit \(bit)")
            if !isInRecord { #expect(scan.records == image.count && scan.cuts.isEmpty, "seed \(seed): byte \(place)") }
        }
    }

    /// Whether `place` is between the last fragment of a block and its end, inside a record of several blocks.
    static func isBlockTrailer(_ place: Int, _ image: LogImage) -> Bool {
        let start = place - place % LogFormat.blockBytes
        let block = Array(image.log[start..<min(start + LogFormat.blockBytes, image.log.count)])
        var offset = 0
        while let fragment = LogFormat.fragment(in: block, at: offset, logNumber: 0) { offset = fragment.payload.upperBound }
        return block.count == LogFormat.blockBytes && block.count - offset < LogFormat.headerBytes && place - start >= offset
    }

    @Test func `after a flipped bit a core either refuses to start or has every write`() throws {
        let seed = Seed.current()
        var random = SeededRandom(seed: seed)
        let image = try LogImage(sizes: Self.sizes)
        var places: [(Int, UInt8)] = []
        for record in [0, 1, 20, image.count - 2, image.count - 1] {
            for byte in 0..<7 {
                places.append((image.records[record].lowerBound + byte, 1 << UInt8.random(in: 0..<8, using: &random)))
            }
            // FULL becomes its recyclable form, which ends RocksDB's own recovery in silence.
            places.append((image.records[record].lowerBound + 6, 4))
        }
        for _ in 0..<25 {
            places.append((Int.random(in: 0..<image.log.count, using: &random), 1 << UInt8.random(in: 0..<8, using: &random)))
        }
        var refused = 0
        for (place, bit) in places {
            var changed = image.log
            changed[place] ^= bit
            let found = try image.open(changed)
            if found == nil { refused += 1 }
            #expect(found == nil || found == image.count, "seed \(seed): byte \(place), bit \(bit)")
        }
        #expect(refused >= 40)
    }

    @Test func `a log cut anywhere opens with the whole records before the cut`() throws {
        let seed = Seed.current()
        var random = SeededRandom(seed: seed)
        // Never synced but for the first: a power loss may leave any beginning.
        let image = try LogImage(sizes: Self.sizes, buffered: Self.sizes.count - 1)
        var places = (0..<200).map { _ in Int.random(in: image.records[1].lowerBound...image.log.count, using: &random) }
        for record in image.records.suffix(3) + [image.records[5]] {
            places += (-3...9).map { record.lowerBound + $0 } + (-9...0).map { record.upperBound + $0 }
        }
        for (index, place) in places.filter({ $0 >= image.records[0].upperBound && $0 <= image.log.count }).enumerated() {
            let cut = Array(image.log[..<place])
            let expected = image.records.count { $0.upperBound <= place }
            let scan = try image.scan(cut)
            #expect(scan.damage == nil, "seed \(seed): cut at \(place)")
            #expect(scan.records == expected, "seed \(seed): cut at \(place)")
            if index % 16 == 0 { #expect(try image.open(cut) == expected, "seed \(seed): cut at \(place)") }
        }
    }

    @Test func `a tail of zeros or of garbage is cut off`() throws {
        let seed = Seed.current()
        var random = SeededRandom(seed: seed)
        let image = try LogImage(sizes: Self.sizes, buffered: Self.sizes.count - 1)
        for round in 0..<60 {
            let place = Int.random(in: image.records[0].upperBound...image.log.count, using: &random)
            let tail = [0, 1, 6, 7, 4_096, 32_768, 200_000, image.log.count - place].randomElement(using: &random)!
            let isGarbage = round % 3 == 2
            var changed = Array(image.log[..<place])
            changed += (0..<tail).map { _ in isGarbage ? UInt8.random(in: 0...255, using: &random) : 0 }
            // A record whose last bytes are zeros may be whole all the same.
            let expected = image.records.count {
                $0.upperBound <= place || ($0.upperBound <= changed.count && changed[$0] == image.log[$0])
            }
            let scan = try image.scan(changed)
            #expect(scan.damage == nil, "seed \(seed): \(tail) bytes from \(place)")
            #expect(scan.records == expected, "seed \(seed): \(tail) bytes from \(place)")
            if round % 6 == 0 { #expect(try image.open(changed) == expected, "seed \(seed): \(tail) bytes from \(place)") }
        }
    }

    @Test func `an unsynced record that was lost before a later one is no damage, a synced one is`() throws {
        let image = try LogImage(sizes: [100, 100, 40_000, 100, 100, 100], buffered: 3)
        for (record, expected) in [(3, 3), (4, 4)] {
            var changed = image.log
            changed[image.records[record].lowerBound + 20] ^= 1
            #expect(try image.open(changed) == expected)
        }
        for record in 0..<3 {
            var changed = image.log
            changed[image.records[record].lowerBound + 20] ^= 1
            #expect(try image.open(changed) == nil)
        }
    }

    @Test func `a record that was torn out of the middle without a trace is missed`() throws {
        let image = try LogImage(sizes: [10, 10, 10, 10, 10])
        let changed = Array(image.log[..<image.records[2].lowerBound] + image.log[image.records[2].upperBound...])
        let scan = try image.scan(changed)
        #expect(scan.damage != nil)
        #expect(try image.open(changed) == nil)
    }

    @Test func `a missing log file between two others is missed`() throws {
        let scratch = ScratchDirectory()
        let engine = try openRocksDB("\(scratch.path)/live")
        for number in 1...9 {
            try engine.commit(LogImage.batch(number, 50), .synced)
            // A new log begins; the old one is still needed by the other keyspaces.
            if number % 3 == 0 { try engine.flush(.idempotency) }
            if number % 3 == 0 { try engine.put(.idempotency, [UInt8(number)], []) }
            if number % 3 == 0 { try engine.flush(.idempotency) }
        }
        run("cp", "-r", "\(scratch.path)/live", "\(scratch.path)/image")
        engine.close()
        let logs = try WriteAheadLogScan.logFiles(in: "\(scratch.path)/image/db")
        try #require(logs.count >= 3)
        #expect(try WriteAheadLogScan(reading: "\(scratch.path)/image/db").damage == nil)
        run("rm", "\(scratch.path)/image/db/\(logs[1].name)")
        #expect(try WriteAheadLogScan(reading: "\(scratch.path)/image/db").damage != nil)
        #expect(throws: ThemisError.self) { try openRocksDB("\(scratch.path)/image") }
    }

    @Test func `a refused start names file, offset and way out, and changes nothing`() throws {
        let image = try LogImage(sizes: [10, 10, 10, 10, 10])
        var changed = image.log
        changed[image.records[2].lowerBound + 6] = 5
        let scan = try image.scan(changed)
        let refusal = try #require(scan.refusal)
        #expect(refusal.code == .logDamaged)
        #expect(refusal.message.contains("\(image.logName) is damaged at byte \(image.records[2].lowerBound)"))
        #expect(refusal.message.contains("--salvage"))
        #expect(try image.open(changed) == nil)
        #expect(try LogImage.read("\(image.scratch.path)/open/db/\(image.logName)") == changed)
    }

    @Test func `salvage keeps the records before the damage and the rest beside them`() throws {
        let image = try LogImage(sizes: [10, 10, 10, 10, 10])
        var changed = image.log
        changed[image.records[2].lowerBound + 9] ^= 0x40
        #expect(try image.open(changed) == nil)
        let path = "\(image.scratch.path)/open"
        let report = try Salvage.run(path, smallOptions(), telemetry: .silent())
        #expect(report.recordsKept == 2)
        #expect(report.recordsGivenUp == 2)
        #expect(report.cutLogs == [image.logName])
        #expect(!report.isRepaired && !report.isCopied)
        #expect(try LogImage.read("\(path)/db/\(image.logName).salvaged") == changed)
        let directory = try DataDirectory(opening: path)
        #expect(directory.isSalvaged)
        let engine = try RocksDBEngine(opening: directory, smallOptions(), telemetry: .silent())
        #expect(try engine.get(.meta, bytes("last")) == bytes("2"))
        engine.close()
        try directory.acknowledgeSalvage()
        #expect(!directory.isSalvaged)
    }
}
