import Synchronization
import Testing
import ThemisBase
import ThemisStorage
import ThemisTelemetry

@testable import ThemisDatabase

@Suite struct ChangefeedTests {
    /// Both ways to read: from memory, and from the log.
    static let ringBytes = [16 << 20, 0]

    private func fixture(
        ringBytes: Int, engine: any StorageEngine = MemoryEngine(), time: ManualTime = ManualTime()
    ) throws -> DatabaseFixture {
        var options = DatabaseOptions()
        options.feedRingBytes = ringBytes
        return try DatabaseFixture(engine: engine, time: time, options: options)
    }

    @Test(arguments: ringBytes)
    func `a change says what happened`(ringBytes: Int) throws {
        let time = ManualTime()
        let fixture = try fixture(ringBytes: ringBytes, time: time)
        try fixture.put("a:x:1", #"{"v":1}"#)
        time.advance(milliseconds: 5)
        try fixture.put("a:x:1", #"{"v":2}"#)
        try fixture.delete("a:x:1")
        let page = try fixture.changes()
        #expect(page.changes.map(\.type) == [.put, .put, .delete])
        #expect(page.changes.map(\.version) == [1, 2, 3])
        #expect(page.changes.map(\.previousVersion) == [0, 1, 2])
        #expect(page.changes.map { String(decoding: $0.value, as: UTF8.self) } == [#"{"v":1}"#, #"{"v":2}"#, ""])
        #expect(page.changes.map(\.pk) == ["x:1", "x:1", "x:1"])
        #expect(page.changes.allSatisfy { $0.table.text == "a" && $0.oldValue == nil && $0.cause == .request })
        #expect(page.changes[1].timestampMilliseconds == page.changes[0].timestampMilliseconds + 5)
        #expect((page.nextAfter, page.latest, page.oldest) == (3, 3, 1))
    }

    @Test(arguments: ringBytes)
    func `a page rounds up to the end of a transaction`(ringBytes: Int) throws {
        let fixture = try fixture(ringBytes: ringBytes)
        try fixture.put("a:0", "{}")
        try fixture.atomic((0..<10).map { WriteOperation(try DatabaseFixture.key("a:t\($0)"), .put(Array("{}".utf8))) })
        try fixture.put("a:1", "{}")
        var page = try fixture.changes(limit: 3)
        #expect(page.changes.count == 11 && page.nextAfter == 11 && page.hasMore)
        page = try fixture.changes(after: page.nextAfter, limit: 3)
        #expect(page.changes.map(\.sequence) == [12] && !page.hasMore)
        #expect(try fixture.changes(after: 12).changes.isEmpty)
        #expect(try fixture.changes(after: nil).nextAfter == 12)
    }

    @Test(arguments: ringBytes)
    func `filters leave out and the position moves on`(ringBytes: Int) throws {
        let fixture = try fixture(ringBytes: ringBytes)
        for index in 0..<20 { try fixture.put("\(index % 2 == 0 ? "even" : "odd"):\(index)", "{}") }
        try fixture.delete("odd:11")
        func pks(_ filter: ChangesFilter, limit: Int = 100) throws -> [String] {
            try fixture.changes(limit: limit, filter: filter).changes.map(\.pk)
        }
        let odd = try TableName(validating: "odd")
        #expect(try pks(ChangesFilter(table: odd)).count == 11)
        #expect(try pks(ChangesFilter(keyPrefix: "odd:1")) == ["1", "11", "13", "15", "17", "19", "11"])
        #expect(try pks(ChangesFilter(keyPrefix: "ev")).count == 10)
        #expect(try pks(ChangesFilter(table: odd, keyPrefix: "even:")).isEmpty)
        #expect(try pks(ChangesFilter(types: .delete)) == ["11"])
        let nothing = try fixture.changes(filter: ChangesFilter(table: TableName(validating: "none")))
        #expect(nothing.changes.isEmpty && nothing.nextAfter == 21)
        #expect(try fixture.changes(limit: 2, filter: ChangesFilter(table: odd)).nextAfter == 4)
    }

    @Test(arguments: ringBytes)
    func `system records show only when asked for, before the data that follows them`(ringBytes: Int) throws {
        let fixture = try fixture(ringBytes: ringBytes)
        try fixture.put("a:1", "{}")
        let name = try TableName(validating: "b")
        _ = try fixture.database.putTable(name, TableSettingsChange(keepsOldValues: true))
        _ = try fixture.database.putTable(name, TableSettingsChange(defaultTTLSeconds: 5))
        let all = ChangesFilter(types: [.put, .delete, .system])
        let first = try fixture.changes(filter: all)
        #expect(first.changes.map(\.ordinal) == [1, 0])
        #expect(first.changes.map(\.type) == [.system, .put])
        #expect(first.nextAfter == 1)
        #expect(try fixture.changes(after: 1, filter: all).changes.isEmpty)
        try fixture.put("b:1", "{}")
        for limit in [1, 10] {
            let page = try fixture.changes(after: 1, limit: limit, filter: all)
            #expect(page.changes.map(\.ordinal) == [1, 2, 0])
            #expect(page.changes.map(\.sequence) == [1, 1, 2])
            #expect(String(decoding: page.changes[0].value, as: UTF8.self).contains(#""kind":"table_create","table":"b""#))
        }
        #expect(try fixture.changes().changes.map(\.ordinal) == [0, 0])
    }

    @Test(arguments: ringBytes)
    func `old values come from tables that keep them`(ringBytes: Int) throws {
        let fixture = try fixture(ringBytes: ringBytes)
        let name = try TableName(validating: "a")
        try fixture.put("a:1", #"{"v":0}"#)
        #expect(errorCode { _ = try fixture.changes(filter: ChangesFilter(table: name), oldValues: true) } == .unprocessable)
        _ = try fixture.database.putTable(name, TableSettingsChange(keepsOldValues: true))
        try fixture.put("a:1", #"{"v":1}"#)
        try fixture.patch("a:1", merge: #"{"w":1}"#)
        try fixture.delete("a:1")
        try fixture.put("a:1", "{}")
        let page = try fixture.changes(filter: ChangesFilter(table: name), oldValues: true)
        #expect(
            page.changes.map { $0.oldValue.map { String(decoding: $0, as: UTF8.self) } } == [
                nil, #"{"v":0}"#, #"{"v":1}"#, #"{"v":1,"w":1}"#, nil,
            ])
        #expect(try fixture.changes().changes.allSatisfy { $0.oldValue == nil })
    }

    @Test func `history that is gone is named with its bounds`() throws {
        let time = ManualTime()
        let fixture = try fixture(ringBytes: 0, time: time)
        for index in 0..<10 { try fixture.put("a:\(index)", "{}") }
        try fixture.atomic((0..<10).map { WriteOperation(try DatabaseFixture.key("t:\($0)"), .put(Array("{}".utf8))) })
        time.advance(milliseconds: 10_000)
        for index in 20..<30 { try fixture.put("a:\(index)", "{}") }
        let database = fixture.database
        // A cut within a transaction keeps the whole of it.
        #expect(try database.applyRetention(ChangeRetention(beforeSequence: 15)).oldestSequence == 11)
        let error = thrown { _ = try fixture.changes(after: 9) }
        #expect(error?.code == .historyGone)
        #expect(error?.members.first { $0.name == "oldest_sequence" }?.value == .number(11))
        #expect(error?.members.first { $0.name == "latest_sequence" }?.value == .number(30))
        #expect(try fixture.changes(after: 10).changes.first?.sequence == 11)
        let aged = try database.applyRetention(ChangeRetention(maxAgeMilliseconds: 5_000))
        #expect((aged.oldestSequence, aged.deleted) == (21, 10))
        #expect(try fixture.engine.snapshot().scan(.changes, from: [], to: nil, reverse: false).count() == 10)
        let bytes = try database.changesInfo().bytes
        #expect(try database.applyRetention(ChangeRetention(maxBytes: bytes / 2)).oldestSequence == 26)
        #expect(try database.applyRetention(ChangeRetention(maxBytes: 0)).oldestSequence == 31)
        #expect(try fixture.changes(after: 30).changes.isEmpty)
        #expect(errorCode { _ = try fixture.changes(after: 31) } == .sequenceAhead)
        #expect(try database.applyRetention(ChangeRetention(maxBytes: 0, beforeSequence: 3)).deleted == 0)
        try fixture.put("a:1", "{}")
        #expect(try fixture.changes(after: 30).changes.count == 1)
    }

    @Test func `retention spares the system records of its edge`() throws {
        let fixture = try fixture(ringBytes: 0)
        try fixture.put("a:1", "{}")
        _ = try fixture.database.putTable(TableName(validating: "b"), TableSettingsChange())
        try fixture.put("a:2", "{}")
        #expect(try fixture.database.applyRetention(ChangeRetention(beforeSequence: 2)).oldestSequence == 2)
        let page = try fixture.changes(after: 1, filter: ChangesFilter(types: [.put, .delete, .system]))
        #expect(page.changes.map(\.ordinal) == [1, 0])
        #expect(try fixture.database.changesInfo().oldestMilliseconds > 0)
    }

    @Test func `a new epoch leaves a hole that no position falls into`() throws {
        let engine = MemoryEngine()
        var options = DatabaseOptions()
        let old = try DatabaseFixture(engine: engine)
        for index in 0..<5 { try old.put("a:\(index)", "{}") }
        let epoch = old.database.epoch
        old.database.close()
        options.startsNewEpoch = true
        let new = try DatabaseFixture(engine: engine, options: options)
        #expect(new.database.epoch != epoch)
        let first = SequenceNumber(1) << 40
        #expect(try new.put("a:0", "{}").sequence == first)
        #expect(errorCode { _ = try new.changes(after: 6) } == .epochChanged)
        #expect(errorCode { _ = try new.changes(after: first - 2) } == .epochChanged)
        #expect(errorCode { _ = try new.changes(after: 5) } == .historyGone)
        #expect(errorCode { _ = try new.changes(after: first - 1, epoch: epoch) } == .epochChanged)
        #expect(try new.changes(after: first - 1, epoch: new.database.epoch).changes.map(\.sequence) == [first])
        new.database.close()
        let again = try DatabaseFixture(engine: engine)
        #expect(again.database.epoch == new.database.epoch)
        #expect(try again.document("a:4") == "{}")
        #expect(try again.put("a:0", "{}").sequence == first + 1)
    }

    @Test func `what a salvage left is counted anew and continues above everything`() throws {
        let engine = MemoryEngine()
        let old = try DatabaseFixture(engine: engine)
        for index in 0..<5 { try old.put("a:\(index)", "{}") }
        _ = try old.database.putTable(TableName(validating: "b"), TableSettingsChange())
        old.database.close()
        // The key spaces ended at different moments: some rows are older than others, some are lost.
        var damage = WriteBatch()
        damage.put(.meta, Array("last".utf8), LogEnd().encoded)
        damage.delete(.meta, Array("table/b".utf8))
        damage.delete(.meta, Array("format".utf8))
        damage.delete(.changes, ChangeRecord.key(3))
        damage.delete(.entities, EntityRecord.key(table: 1, pk: "0"))
        damage.put(.entities, EntityRecord.key(table: 7, pk: "x"), EntityRecord.value(document: Array("{}".utf8)))
        try engine.commit(damage, .synced)
        #expect(errorCode { _ = try DatabaseFixture(engine: engine) } == .dataCorrupt)
        var options = DatabaseOptions()
        options.startsNewEpoch = true
        let new = try DatabaseFixture(engine: engine, options: options)
        #expect(new.database.tables().map(\.entities) == [4])
        #expect(try new.put("c:1", "{}").sequence == 1 << 40)
        #expect(try #require(new.database.table(TableName(stored: "c"))).id == 8)
        #expect(errorCode { _ = try new.changes(after: 2) } == .historyGone)
        new.database.close()
        #expect(try DatabaseFixture(engine: engine).document("a:4") == "{}")
    }

    @Test func `readers are told after the publication and find the change`() throws {
        let fixture = try DatabaseFixture()
        let database = fixture.database
        let seen = Mutex<[SequenceNumber]>([])
        let token = database.onPublish { sequence in seen.withLock { $0.append(sequence) } }
        try fixture.put("a:1", "{}")
        try fixture.put("a:2", "{}")
        database.removeListener(token)
        try fixture.put("a:3", "{}")
        #expect(seen.withLock { $0 } == [1, 2])
        let reached = Answer<Bool>()
        database.waitForSequence(4, deadlineNanoseconds: .max) { reached.set(.success($0 == nil)) }
        #expect(!reached.isSet)
        try fixture.put("a:4", "{}")
        #expect(try reached.get())
        let late = Answer<ErrorCode?>()
        database.waitForSequence(99, deadlineNanoseconds: 1) { late.set(.success($0?.code)) }
        #expect(try late.get() == .deadlineExceeded)
    }

    @Test func `a small ring and the log tell the same story`() throws {
        let fixture = try fixture(ringBytes: 3_000)
        for index in 0..<200 {
            try fixture.put("a:\(index % 7)", #"{"v":\#(index)}"#)
            if index % 50 == 0 { _ = try fixture.database.putTable(TableName(validating: "t\(index)"), TableSettingsChange()) }
        }
        let all = ChangesFilter(types: [.put, .delete, .system])
        var after: SequenceNumber = 0
        var positions: [SequenceNumber] = []
        var systems = 0
        while true {
            let page = try fixture.changes(after: after, limit: 3, filter: all)
            guard page.nextAfter > after else { break }
            positions += page.changes.filter { $0.ordinal == 0 }.map(\.sequence)
            systems += page.changes.count { $0.ordinal > 0 }
            after = page.nextAfter
        }
        #expect(positions == Array(1...200))
        #expect(systems == 5)
    }
}
