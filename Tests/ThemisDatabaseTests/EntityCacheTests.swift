import Synchronization
import Testing
import ThemisBase
import ThemisStorage
import ThemisTestKit

@testable import ThemisDatabase

@Suite struct EntityCacheTests {
    private static func key(_ number: Int) -> RecentKey { RecentKey(EntityRecord.key(table: 1, pk: "k\(number)")) }

    private func value(_ cache: EntityCache, _ key: RecentKey) -> [UInt8]? {
        if case .value(let value) = cache.find(key) { value } else { nil }
    }

    /// The ticket of a key that is not known; nil while a change is on its way.
    private func ticket(_ cache: EntityCache, _ key: RecentKey) -> UInt64? {
        if case .unknown(let ticket) = cache.find(key) { ticket } else { nil }
    }

    @Test func `what a reader brings is found again`() throws {
        let cache = EntityCache(capacityBytes: 1 << 20)
        let key = Self.key(1)
        cache.offer(key, [1], ticket: try #require(ticket(cache, key)))
        #expect(value(cache, key) == [1])
    }

    @Test func `what was read before a change was announced is not taken`() throws {
        let cache = EntityCache(capacityBytes: 1 << 20)
        let key = Self.key(1)
        let before = try #require(ticket(cache, key))
        cache.announce(key)
        cache.offer(key, [1], ticket: before)
        #expect(value(cache, key) == nil)
        cache.conclude(key, nil)
        cache.offer(key, [1], ticket: before)
        #expect(value(cache, key) == nil)
    }

    @Test func `a key answers nothing until the last of its changes is published`() throws {
        let cache = EntityCache(capacityBytes: 1 << 20)
        let key = Self.key(1)
        cache.offer(key, [1], ticket: try #require(ticket(cache, key)))
        cache.announce(key)
        cache.announce(key)
        #expect(ticket(cache, key) == nil && value(cache, key) == nil)
        cache.conclude(key, [2])
        #expect(ticket(cache, key) == nil && value(cache, key) == nil)
        cache.conclude(key, [3])
        #expect(value(cache, key) == [3])
    }

    @Test func `what was read before a change that a reset forgot is not taken`() throws {
        let cache = EntityCache(capacityBytes: 1 << 20)
        let key = Self.key(1)
        cache.announce(key)
        cache.reset()
        let before = try #require(ticket(cache, key))
        cache.conclude(key, [2])
        cache.offer(key, [1], ticket: before)
        #expect(value(cache, key) != [1])
    }

    @Test func `changes that were refused leave nothing behind`() throws {
        let cache = EntityCache(capacityBytes: 1 << 20)
        let key = Self.key(1)
        let before = try #require(ticket(cache, key))
        cache.announce(key)
        cache.reset()
        cache.offer(key, [1], ticket: before)
        #expect(value(cache, key) == nil)
        #expect(ticket(cache, key) != nil)
    }

    @Test func `it keeps what is used, and not more than it may`() throws {
        let capacity = 64 * 1_000 * 20
        let cache = EntityCache(capacityBytes: capacity)
        let used = Self.key(-1)
        cache.announce(used)
        cache.conclude(used, [7])
        let pending = Self.key(-2)
        cache.announce(pending)
        let document = [UInt8](repeating: 1, count: 500)
        for number in 0..<20_000 {
            cache.announce(Self.key(number))
            cache.conclude(Self.key(number), document)
            #expect(value(cache, used) == [7])
        }
        let kept = (0..<20_000).count { value(cache, Self.key($0)) != nil }
        #expect(kept > 500 && kept * document.count <= capacity)
        #expect(ticket(cache, pending) == nil)
        cache.conclude(pending, [8])
        #expect(value(cache, pending) == [8])
    }

    @Test func `a reader never sees an older version than it has seen`() throws {
        var options = DatabaseOptions()
        // So small that entries come and go.
        options.entityCacheBytes = 64 << 10
        let fixture = try DatabaseFixture(options: options)
        for number in 0..<8 { try fixture.put("a:k\(number)", #"{"n":0}"#) }
        let isOver = Atomic<Bool>(false)
        let readers = (0..<3).map { reader in
            WorkThread(name: "reader") {
                var seen = [UInt64](repeating: 0, count: 8)
                var random = SeededRandom(seed: Seed.current() &+ UInt64(reader))
                while !isOver.load(ordering: .relaxed) {
                    let number = Int.random(in: 0..<8, using: &random)
                    do {
                        let version = try #require(try fixture.database.get(DatabaseFixture.key("a:k\(number)"))).version
                        #expect(version >= seen[number], "k\(number), seed \(Seed.current())")
                        seen[number] = version
                    } catch { Issue.record("\(error)") }
                }
            }
        }
        var last = [UInt64](repeating: 0, count: 8)
        for round in 1...1_500 {
            let answers = (0..<8).map { number in
                let key = EntityKey(stored: TableName(stored: "a"), pk: "k\(number)")
                return fixture.submit(WriteOperation(key, .put(Array(#"{"n":\#(round)}"#.utf8))))
            }
            for (number, answer) in answers.enumerated() { last[number] = try answer.get().version }
            // Who has an answer reads at least that.
            for number in 0..<8 {
                #expect(try fixture.database.get(DatabaseFixture.key("a:k\(number)"))?.version == last[number])
            }
        }
        isOver.store(true, ordering: .relaxed)
        for reader in readers { reader.join() }
    }
}
