import Testing
import ThemisBase
import ThemisDatabase
import ThemisStorage

@Suite struct TableTests {
    private let name = TableName(stored: "a")

    @Test func `counts and bytes of a table are exact`() throws {
        let engine = MemoryEngine()
        var fixture = try DatabaseFixture(engine: engine)
        try fixture.put("a:one", "{}")
        try fixture.put("a:two", #"{"v":1}"#)
        try fixture.put("a:one", #"{"long":true}"#)
        try fixture.delete("a:none")
        func check(_ fixture: DatabaseFixture) throws {
            let info = try #require(fixture.database.table(name))
            #expect((info.entities, info.bytes) == (2, UInt64("one".utf8.count + 13 + "two".utf8.count + 7)))
        }
        try check(fixture)
        fixture.database.close()
        fixture = try DatabaseFixture(engine: engine)
        try check(fixture)
        try fixture.delete("a:one")
        try fixture.delete("a:two")
        let info = try #require(fixture.database.table(name))
        #expect((info.entities, info.bytes) == (0, 0))
    }

    @Test func `a dropped table is gone and its name begins anew`() throws {
        let engine = MemoryEngine()
        var fixture = try DatabaseFixture(engine: engine)
        for index in 0..<10 { try fixture.put("a:\(index)", "{}") }
        let id = try #require(fixture.database.table(name)).id
        let result = try fixture.database.dropTable(name)
        #expect((result.deleted, result.sequence) == (10, 10))
        #expect(fixture.database.tables().isEmpty)
        #expect(try fixture.document("a:1") == nil)
        #expect(errorCode { _ = try fixture.database.dropTable(name) } == .notFound)
        #expect(errorCode { _ = try fixture.database.list(ListRequest(table: name)) } == .notFound)
        #expect(try fixture.put("a:1", #"{"new":1}"#).created)
        #expect(try #require(fixture.database.table(name)).id > id)
        // The log still knows the old one by its name.
        #expect(try fixture.changes(filter: ChangesFilter(table: name)).changes.count == 11)
        fixture.database.close()
        fixture = try DatabaseFixture(engine: engine)
        #expect(try fixture.changes(filter: ChangesFilter(table: name)).changes.count == 11)
        #expect(try fixture.database.list(ListRequest(table: name)).entities.count == 1)
        #expect(try engine.snapshot().scan(.entities, from: [], to: nil, reverse: false).count() == 1)
        // Once the log has forgotten its records, so does the catalog.
        _ = try fixture.database.applyRetention(ChangeRetention(maxBytes: 0))
        #expect(
            try engine.snapshot().scan(.meta, from: Array("retired/".utf8), to: Array("retired0".utf8), reverse: false).count()
                == 0)
    }

    @Test func `a truncated table keeps its settings and loses its entities`() throws {
        let fixture = try DatabaseFixture()
        _ = try fixture.database.putTable(name, TableSettingsChange(keepsOldValues: true, defaultTTLSeconds: 60))
        for index in 0..<5 { try fixture.put("a:\(index)", "{}") }
        #expect(try fixture.database.truncateTable(name).deleted == 5)
        let info = try #require(fixture.database.table(name))
        #expect((info.entities, info.bytes, info.settings.keepsOldValues, info.settings.defaultTTLSeconds) == (0, 0, true, 60))
        #expect(try fixture.database.list(ListRequest(table: name)).entities.isEmpty)
        #expect(try fixture.put("a:1", "{}").created)
        #expect(try fixture.changes().changes.last?.previousVersion == 0)
        let system = try fixture.changes(filter: ChangesFilter(types: .system)).changes
        #expect(system.count == 2)
        #expect(system.last?.cause == .table)
    }

    @Test func `settings change one by one`() throws {
        let fixture = try DatabaseFixture()
        #expect(try fixture.database.putTable(name, TableSettingsChange(defaultTTLSeconds: 7)).created)
        let next = try fixture.database.putTable(name, TableSettingsChange(keepsOldValues: true))
        #expect(!next.created && next.table.settings.keepsOldValues && next.table.settings.defaultTTLSeconds == 7)
        for wrong in [-1, Int64.max] {
            #expect(
                errorCode { _ = try fixture.database.putTable(name, TableSettingsChange(defaultTTLSeconds: wrong)) }
                    == .unprocessable)
        }
        // Never so many that the next system record has no place.
        for index in 0..<200 { _ = try fixture.database.putTable(name, TableSettingsChange(defaultTTLSeconds: Int64(index % 2))) }
        try fixture.put("a:1", "{}")
    }
}
