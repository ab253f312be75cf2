import Testing
import ThemisBase
import ThemisDatabase
import ThemisStorage

@Suite struct TimeTests {
    @Test func `an expired entity is absent for readers and writers`() throws {
        let time = ManualTime()
        let fixture = try DatabaseFixture(time: time)
        let name = try TableName(validating: "s")
        _ = try fixture.database.putTable(name, TableSettingsChange(keepsOldValues: true, defaultTTLSeconds: 10))
        let first = try fixture.put("s:1", #"{"v":1}"#)
        let entity = try #require(try fixture.database.get(DatabaseFixture.key("s:1")))
        #expect(entity.expiresAtMilliseconds == time.wallMilliseconds() + 10_000)
        time.advance(milliseconds: 9_999)
        #expect(try fixture.document("s:1") != nil)
        time.advance(milliseconds: 1)
        #expect(try fixture.document("s:1") == nil)
        #expect(try fixture.database.list(ListRequest(table: name)).entities.isEmpty)
        #expect(try fixture.database.multiGet([DatabaseFixture.key("s:1")]).entities.count { $0 != nil } == 0)
        #expect(errorCode { try fixture.patch("s:1", merge: "{}") } == .notFound)
        #expect(errorCode { try fixture.put("s:1", "{}", if: .exists) } == .preconditionFailed)
        #expect(try !fixture.delete("s:1").deleted)
        let again = try fixture.put("s:1", #"{"v":2}"#, if: .absent)
        #expect(again.created && again.sequence == first.sequence + 2)
        let changes = try fixture.changes(after: first.sequence, filter: ChangesFilter(table: name), oldValues: true).changes
        #expect(changes.map(\.type) == [.delete, .put])
        #expect(changes.map(\.cause) == [.ttl, .request])
        #expect(changes.map(\.transactionCount) == [2, 2])
        #expect(changes.map(\.transactionIndex) == [0, 1])
        #expect(changes.map(\.previousVersion) == [first.version, 0])
        #expect(changes[0].oldValue.map { String(decoding: $0, as: UTF8.self) } == #"{"v":1}"#)
        #expect(fixture.database.table(name)?.entities == 1)
    }

    @Test func `commit times never decrease when the clock leaps back`() throws {
        let time = ManualTime()
        let engine = MemoryEngine()
        let fixture = try DatabaseFixture(engine: engine, time: time)
        try fixture.put("a:1", "{}")
        let first = try fixture.changes().changes[0].timestampMilliseconds
        time.leap(milliseconds: -3_600_000)
        try fixture.put("a:2", "{}")
        fixture.database.close()
        let reopened = try DatabaseFixture(engine: engine, time: time)
        try reopened.put("a:3", "{}")
        time.advance(milliseconds: 3_600_001)
        try reopened.put("a:4", "{}")
        #expect(try reopened.changes().changes.map { $0.timestampMilliseconds - first } == [0, 0, 0, 1])
    }
}
