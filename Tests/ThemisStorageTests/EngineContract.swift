import Testing
import ThemisBase
import ThemisStorage
import ThemisTestKit

/// What callers rely on, over every conformer of `StorageEngine`.
@Suite struct EngineContract {
    @Test(arguments: EngineKind.allCases)
    func `a committed value is read back and an absent one is nil`(kind: EngineKind) throws {
        let test = try EngineUnderTest(kind)
        defer { test.close() }
        let engine = test.engine
        try engine.put(.entities, bytes("a"), bytes("1"))
        #expect(try engine.get(.entities, bytes("a")) == bytes("1"))
        #expect(try engine.get(.entities, bytes("b")) == nil)
        #expect(try engine.get(.indexes, bytes("a")) == nil)
        #expect(try engine.multiGet(.entities, [bytes("b"), bytes("a"), []]) == [nil, bytes("1"), nil])
        #expect(try engine.multiGet(.entities, []).isEmpty)
    }

    @Test(arguments: EngineKind.allCases)
    func `keys and values may be empty`(kind: EngineKind) throws {
        let test = try EngineUnderTest(kind)
        defer { test.close() }
        let engine = test.engine
        try engine.put(.entities, [], bytes("empty key"))
        try engine.put(.entities, [0], [])
        #expect(try engine.get(.entities, []) == bytes("empty key"))
        #expect(try engine.get(.entities, [0]) == [])
        #expect(try engine.contents(.entities).map(\.key) == [[], [0]])
    }

    @Test(arguments: EngineKind.allCases)
    func `a batch is applied in order, across keyspaces, as a whole`(kind: EngineKind) throws {
        let test = try EngineUnderTest(kind)
        defer { test.close() }
        let engine = test.engine
        var batch = WriteBatch()
        for (index, keyspace) in Keyspace.allCases.enumerated() { batch.put(keyspace, bytes("k"), [UInt8(index)]) }
        batch.put(.meta, bytes("k"), bytes("second"))
        batch.delete(.entities, bytes("k"))
        batch.delete(.entities, bytes("never there"))
        try engine.commit(batch, .synced)
        #expect(try engine.get(.meta, bytes("k")) == bytes("second"))
        #expect(try engine.get(.entities, bytes("k")) == nil)
        #expect(try engine.get(.indexes, bytes("k")) == [2])
        #expect(try engine.get(.changes, bytes("k")) == [3])
        #expect(try engine.get(.idempotency, bytes("k")) == [4])
        try engine.commit(WriteBatch(), .synced)
        try engine.commit(WriteBatch(), .buffered)
    }

    @Test(arguments: EngineKind.allCases)
    func `a range delete takes the lower bound, leaves the upper one, and sees the batch before it`(kind: EngineKind) throws {
        let test = try EngineUnderTest(kind)
        defer { test.close() }
        let engine = test.engine
        var batch = WriteBatch()
        for key in ["a", "b", "c", "d"] { batch.put(.entities, bytes(key), bytes(key)) }
        batch.deleteRange(.entities, from: bytes("b"), to: bytes("d"))
        batch.put(.entities, bytes("c"), bytes("again"))
        // Crossed and empty ranges hold nothing.
        batch.deleteRange(.entities, from: bytes("z"), to: bytes("a"))
        batch.deleteRange(.entities, from: bytes("a"), to: bytes("a"))
        try engine.commit(batch, .synced)
        #expect(try engine.contents(.entities).map(\.key) == ["a", "c", "d"].map(bytes))
    }

    @Test(arguments: EngineKind.allCases)
    func `a snapshot does not change under writes`(kind: EngineKind) throws {
        let test = try EngineUnderTest(kind)
        defer { test.close() }
        let engine = test.engine
        for index in 0..<50 { try engine.put(.entities, [UInt8(index)], [1], .buffered) }
        let snapshot = try engine.snapshot()
        let before = try snapshot.contents(.entities)
        let cursor = try snapshot.scan(.entities, from: [], to: nil, reverse: false)
        #expect(try cursor.advance())
        var batch = WriteBatch()
        batch.deleteRange(.entities, from: [10], to: [20])
        for index in 30..<80 { batch.put(.entities, [UInt8(index)], [2]) }
        try engine.commit(batch, .buffered)
        try engine.flush(.entities)
        var seen = 1
        while try cursor.advance() { seen += 1 }
        #expect(seen == 50)
        #expect(areEqual(try snapshot.contents(.entities), before))
        #expect(try snapshot.get(.entities, [15]) == [1])
        #expect(try snapshot.get(.entities, [40]) == [1])
        #expect(try snapshot.multiGet(.entities, [[70], [15]]) == [nil, [1]])
        #expect(try engine.get(.entities, [40]) == [2])
    }

    @Test(arguments: EngineKind.allCases)
    func `a cursor respects its bounds in both directions and orders unsigned bytes`(kind: EngineKind) throws {
        let test = try EngineUnderTest(kind)
        defer { test.close() }
        let engine = test.engine
        let keys: [[UInt8]] = [[0], [0, 0], [1], [0x7F], [0x80], [0xFF], [0xFF, 0xFF]]
        var batch = WriteBatch()
        for key in keys.reversed() { batch.put(.indexes, key, key) }
        try engine.commit(batch, .synced)
        let snapshot = try engine.snapshot()
        #expect(try snapshot.contents(.indexes).map(\.key) == keys)
        #expect(try snapshot.contents(.indexes, reverse: true).map(\.key) == keys.reversed())
        #expect(try snapshot.contents(.indexes, from: [0, 0], to: [0x80]).map(\.key) == [[0, 0], [1], [0x7F]])
        #expect(try snapshot.contents(.indexes, from: [0, 0], to: [0x80], reverse: true).map(\.key) == [[0x7F], [1], [0, 0]])
        #expect(try snapshot.contents(.indexes, from: [0, 1], to: nil, reverse: true).last?.key == [1])
        #expect(try snapshot.contents(.indexes, from: [0x81], to: [0x82]).isEmpty)
        #expect(try snapshot.contents(.indexes, from: [0x82], to: [0x81]).isEmpty)
        #expect(try snapshot.contents(.indexes, from: [0x82], to: [0x81], reverse: true).isEmpty)
        #expect(try snapshot.contents(.indexes, from: [], to: []).isEmpty)
        let cursor = try snapshot.scan(.indexes, from: [1], to: [2], reverse: false)
        #expect(try cursor.advance())
        #expect(unsafe cursor.withPair { unsafe Array($0) + Array($1) } == [1, 1])
        #expect(try !cursor.advance())
        #expect(try !cursor.advance())
    }

    @Test(arguments: EngineKind.allCases)
    func `a cached read never says absent of a key that is there`(kind: EngineKind) throws {
        let test = try EngineUnderTest(kind)
        defer { test.close() }
        for index in 0..<100 { try test.engine.put(.entities, [UInt8(index)], [UInt8](repeating: 7, count: 500), .buffered) }
        guard case .hit(let value) = try test.engine.cachedGet(.entities, [5]) else {
            throw ThemisError(.internalError, "no hit")
        }
        #expect(value.count == 500)
        guard case .absent = try test.engine.cachedGet(.entities, [200]) else { throw ThemisError(.internalError, "not absent") }
        try test.engine.flush(nil)
        for index in 0..<100 {
            switch try test.engine.cachedGet(.entities, [UInt8(index)]) {
            case .hit(let value): #expect(value.count == 500)
            case .wouldBlock: #expect(try test.engine.get(.entities, [UInt8(index)])?.count == 500)
            case .absent: Issue.record("key \(index) is there")
            }
        }
    }

    @Test(arguments: EngineKind.allCases)
    func `sorted pairs are ingested whole and unsorted ones not at all`(kind: EngineKind) throws {
        let test = try EngineUnderTest(kind)
        defer { test.close() }
        let engine = test.engine
        try engine.put(.indexes, [0, 0, 5, 0], bytes("between"))
        let pairs = (0..<2_000).map { (key: [0, 0, UInt8($0 >> 8), UInt8($0 & 255), 1], value: bytes("v\($0)")) }
        try engine.ingestSorted(.indexes, pairs)
        try engine.ingestSorted(.indexes, [])
        #expect(try engine.contents(.indexes).count == 2_001)
        #expect(try engine.get(.indexes, pairs[777].key) == bytes("v777"))
        #expect(throws: ThemisError.self) { try engine.ingestSorted(.entities, [(key: [2], value: []), (key: [1], value: [])]) }
        #expect(throws: ThemisError.self) { try engine.ingestSorted(.entities, [(key: [2], value: []), (key: [2], value: [])]) }
        #expect(try engine.contents(.entities).isEmpty)
        try engine.put(.indexes, pairs[777].key, bytes("new"))
        #expect(try engine.get(.indexes, pairs[777].key) == bytes("new"))
    }

    @Test(arguments: EngineKind.allCases)
    func `deleting files removes every key of the range and no other`(kind: EngineKind) throws {
        let test = try EngineUnderTest(kind)
        defer { test.close() }
        let engine = test.engine
        for round in 0..<4 {
            var batch = WriteBatch()
            for index in 0..<500 {
                batch.put(
                    .changes, [UInt8(round), UInt8(index >> 8), UInt8(index & 255)], [UInt8](repeating: UInt8(round), count: 300))
            }
            try engine.commit(batch, .buffered)
            try engine.flush(.changes)
        }
        try engine.deleteFiles(.changes, from: [], to: [2, 0, 100])
        let rest = try engine.contents(.changes)
        #expect(rest.count == 900)
        #expect(rest.first?.key == [2, 0, 100])
        try engine.deleteFiles(.changes, from: [3], to: [2])
        try engine.compact(.changes, from: nil, to: nil)
        #expect(try engine.contents(.changes).count == 900)
    }

    @Test(arguments: EngineKind.allCases)
    func `a checkpoint opens with the content of its moment`(kind: EngineKind) throws {
        let test = try EngineUnderTest(kind)
        defer { test.close() }
        for index in 0..<300 { try test.engine.put(.entities, bytes("k\(index)"), bytes("v\(index)"), .buffered) }
        try test.engine.put(.meta, bytes("epoch"), [9])
        let before = try test.engine.contents(.entities)
        run("mkdir", "-p", "\(test.scratch.path)/copy")
        try test.engine.checkpoint(at: test.checkpointPath("copy"))
        try test.engine.put(.entities, bytes("later"), [])
        let copy = try test.openCheckpoint("copy")
        #expect(areEqual(try copy.contents(.entities), before))
        #expect(try copy.get(.meta, bytes("epoch")) == [9])
        #expect(throws: ThemisError.self) { try test.engine.checkpoint(at: test.checkpointPath("copy")) }
        try copy.put(.entities, bytes("k1"), bytes("changed"))
        #expect(try test.engine.get(.entities, bytes("k1")) == bytes("v1"))
        copy.close()
    }

    @Test(arguments: EngineKind.allCases)
    func `statistics count keys, sizes and syncs`(kind: EngineKind) throws {
        let test = try EngineUnderTest(kind)
        defer { test.close() }
        let engine = test.engine
        for index in 0..<20 { try engine.put(.entities, [UInt8(index)], [UInt8](repeating: 1, count: 1_000)) }
        let statistics = engine.statistics()
        #expect(statistics.keyspaces.count == Keyspace.allCases.count)
        #expect(statistics.keyspaces[Int(Keyspace.entities.rawValue)].estimatedKeys == 20)
        #expect(statistics.keyspaces[Int(Keyspace.entities.rawValue)].memtableBytes >= 20_000)
        #expect(statistics.syncs == 20)
        #expect(engine.approximateBytes(.entities, from: [0], to: [20]) > 5_000)
        #expect(engine.approximateBytes(.entities, from: [20], to: [0]) == 0)
        #expect(throws: ThemisError.self) { try engine.setOption("no_such_option", "1") }
        #expect(engine.health == .healthy)
    }

    @Test(arguments: EngineKind.allCases)
    func `a closed engine says so`(kind: EngineKind) throws {
        let test = try EngineUnderTest(kind)
        defer { test.close() }
        let engine = test.engine
        engine.close()
        engine.close()
        #expect(throws: ThemisError.self) { try engine.put(.meta, [], []) }
        #expect(throws: ThemisError.self) { try engine.get(.meta, []) }
        #expect(throws: ThemisError.self) { try engine.snapshot() }
    }

    @Test(arguments: EngineKind.allCases)
    func `random operations give what an ordered dictionary gives`(kind: EngineKind) throws {
        let seed = Seed.current()
        var random = SeededRandom(seed: seed)
        let test = try EngineUnderTest(kind)
        defer { test.close() }
        var model = EngineModel()
        for round in 0..<150 {
            let batch = model.randomBatch(&random)
            try test.engine.commit(batch, round % 10 == 0 ? .synced : .buffered)
            if round % 40 == 39 { try test.engine.flush(nil) }
            if round % 60 == 59 { try test.engine.compact(.entities, from: nil, to: nil) }
            if round % 5 == 0 {
                let problem = try model.difference(from: test.engine.snapshot(), &random)
                #expect(problem == nil, "seed \(seed), round \(round): \(problem ?? "")")
            }
        }
    }
}

/// The plain answer to what an engine must hold.
struct EngineModel {
    var keyspaces: [Keyspace: [[UInt8]: [UInt8]]] = [:]

    /// A batch of puts, deletes and range deletes over few keys, applied to the model as well.
    mutating func randomBatch(_ random: inout SeededRandom) -> WriteBatch {
        var batch = WriteBatch()
        for _ in 0..<Int.random(in: 1...20, using: &random) {
            let keyspace = Keyspace.allCases.randomElement(using: &random)!
            let key = Self.randomKey(&random)
            switch Int.random(in: 0..<20, using: &random) {
            case 0..<13:
                let value = (0..<Int.random(in: 0...300, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
                batch.put(keyspace, key, value)
                keyspaces[keyspace, default: [:]][key] = value
            case 13..<19:
                batch.delete(keyspace, key)
                keyspaces[keyspace, default: [:]][key] = nil
            default:
                let upper = Self.randomKey(&random)
                batch.deleteRange(keyspace, from: key, to: upper)
                keyspaces[keyspace] = keyspaces[keyspace, default: [:]].filter {
                    $0.key.lexicographicallyPrecedes(key) || !$0.key.lexicographicallyPrecedes(upper)
                }
            }
        }
        return batch
    }

    /// A batch of its own.
    static func sample(_ random: inout SeededRandom) -> WriteBatch {
        var model = EngineModel()
        return model.randomBatch(&random)
    }

    static func randomKey(_ random: inout SeededRandom) -> [UInt8] {
        (0..<Int.random(in: 0...3, using: &random)).map { _ in [0, 1, 2, 0x7F, 0x80, 0xFE, 0xFF].randomElement(using: &random)! }
    }

    /// What of `snapshot` differs from the model, nil when nothing does.
    func difference(from snapshot: any StorageSnapshot, _ random: inout SeededRandom) throws -> String? {
        for keyspace in Keyspace.allCases {
            let pairs = keyspaces[keyspace, default: [:]].map { (key: $0.key, value: $0.value) }.sorted {
                $0.key.lexicographicallyPrecedes($1.key)
            }
            let lower = Self.randomKey(&random)
            let upper = Self.randomKey(&random)
            let within = pairs.filter { !$0.key.lexicographicallyPrecedes(lower) && $0.key.lexicographicallyPrecedes(upper) }
            if !areEqual(try snapshot.contents(keyspace), pairs) { return "\(keyspace): forward" }
            if !areEqual(try snapshot.contents(keyspace, reverse: true), pairs.reversed()) { return "\(keyspace): reverse" }
            if !areEqual(try snapshot.contents(keyspace, from: lower, to: upper), within) { return "\(keyspace): range" }
            if !areEqual(try snapshot.contents(keyspace, from: lower, to: upper, reverse: true), within.reversed()) {
                return "\(keyspace): reverse range"
            }
            let keys = (0..<5).map { _ in Self.randomKey(&random) }
            if try snapshot.multiGet(keyspace, keys) != keys.map({ keyspaces[keyspace]?[$0] }) { return "\(keyspace): multiGet" }
            for key in keys where try snapshot.get(keyspace, key) != keyspaces[keyspace]?[key] { return "\(keyspace): get" }
        }
        return nil
    }
}
