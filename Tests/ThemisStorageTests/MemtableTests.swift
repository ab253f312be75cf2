import Synchronization
import Testing
import ThemisBase
import ThemisStorage
import ThemisTestKit

/// The memtable of keyspaces with many small rows.
@Suite struct MemtableTests {
    /// Keys of every length around the bounds of a word and of a one-byte length, many with a common beginning.
    private static func randomKey(_ random: inout SeededRandom) -> [UInt8] {
        let length = [0, 1, 7, 8, 9, 15, 16, 17, 24, 111, 112, 119, 120, 121, 300].randomElement(using: &random)!
        var key = [UInt8](repeating: 0x20, count: length)
        for _ in 0..<3 where length > 0 {
            key[Int.random(in: 0..<length, using: &random)] = [0, 1, 0x7F, 0x80, 0xFF].randomElement(using: &random)!
        }
        return key
    }

    @Test func `keys of any length are found in their order, in both directions, by old snapshots and new ones`() throws {
        let seed = Seed.current()
        var random = SeededRandom(seed: seed)
        let scratch = ScratchDirectory()
        let engine = try openRocksDB("\(scratch.path)/data")
        defer { engine.close() }
        var model: [[UInt8]: [UInt8]] = [:]
        var kept: (snapshot: any StorageSnapshot, pairs: [(key: [UInt8], value: [UInt8])])?
        for round in 0..<8 {
            for step in 0..<40 {
                var batch = WriteBatch()
                for row in 0..<10 {
                    let key = Self.randomKey(&random)
                    if Int.random(in: 0..<3, using: &random) == 0 {
                        batch.delete(.indexes, key)
                        model[key] = nil
                    } else {
                        let value = [UInt8(round), UInt8(step), UInt8(row)]
                        batch.put(.indexes, key, value)
                        model[key] = value
                    }
                }
                try engine.commit(batch, .buffered)
            }
            let pairs = model.sorted { $0.key.lexicographicallyPrecedes($1.key) }.map { (key: $0.key, value: $0.value) }
            let snapshot = try engine.snapshot()
            #expect(areEqual(try snapshot.contents(.indexes), pairs), "seed \(seed), round \(round)")
            #expect(areEqual(try snapshot.contents(.indexes, reverse: true), pairs.reversed()), "seed \(seed), round \(round)")
            for _ in 0..<8 {
                let lower = Self.randomKey(&random)
                let upper = Self.randomKey(&random)
                let within = pairs.filter { !$0.key.lexicographicallyPrecedes(lower) && $0.key.lexicographicallyPrecedes(upper) }
                #expect(areEqual(try snapshot.contents(.indexes, from: lower, to: upper), within))
                #expect(areEqual(try snapshot.contents(.indexes, from: lower, to: upper, reverse: true), within.reversed()))
                #expect(try engine.get(.indexes, lower) == model[lower])
                #expect(try engine.multiGet(.indexes, [lower, upper]) == [model[lower], model[upper]])
            }
            if let kept { #expect(areEqual(try kept.snapshot.contents(.indexes), kept.pairs), "seed \(seed), round \(round)") }
            kept = (snapshot, pairs)
            if round == 4 { try engine.flush(.indexes) }
        }
    }

    @Test func `readers beside a writer see whole batches in order, and nothing that was there before is missing`() throws {
        let scratch = ScratchDirectory()
        let engine = try openRocksDB("\(scratch.path)/data")
        defer { engine.close() }
        let batches = 6_000
        let written = Atomic<Int>(0)
        let problems = Mutex<[String]>([])
        let note: @Sendable (String) -> Void = { problem in problems.withLock { $0.append(problem) } }
        let writer = WorkThread(name: "writer") {
            for number in 0..<batches {
                // Each row at a place of its own, far from that of the batch before.
                var place: [UInt8] = []
                place.appendBigEndian(UInt32(truncatingIfNeeded: number) &* 0x9E37_79B1)
                var batch = WriteBatch()
                batch.put(.indexes, [0] + place, place)
                batch.put(.indexes, [1] + place, place)
                do { try engine.commit(batch, .buffered) } catch { note("\(error)") }
                written.store(number + 1, ordering: .releasing)
            }
        }
        let readers = (0..<2).map { reader in
            WorkThread(name: "reader") {
                do {
                    var isOver = false
                    while !isOver {
                        let before = written.load(ordering: .acquiring)
                        isOver = before == batches
                        let snapshot = try engine.snapshot()
                        let rows = try snapshot.contents(.indexes, reverse: reader == 1).map(\.key)
                        let keys = reader == 1 ? rows.reversed() : rows
                        let half = keys.count / 2
                        guard half >= before else { return note("\(half) of at least \(before) batches") }
                        guard zip(keys, keys.dropFirst()).allSatisfy({ $0.lexicographicallyPrecedes($1) }) else { return note("disorder") }
                        guard keys[..<half].map({ $0[1...] }) == keys[half...].map({ $0[1...] }) else { return note("half a batch") }
                    }
                } catch {
                    note("\(error)")
                }
            }
        }
        writer.join()
        for reader in readers { reader.join() }
        #expect(problems.withLock { $0 } == [])
    }
}
