import Foundation
import Testing
import ThemisBase
import ThemisDatabase
import ThemisStorage
import ThemisTestKit

/// Entities that expire: by the table, by an index on a column, by a time in a column.
@Suite struct TTLTests {
    private let table = TableName(stored: "t")
    private let afterTen = IndexSettings(ttlSeconds: 10)
    private let atColumn = IndexSettings(isExpiryInColumn: true)

    private func swept(_ fixture: DatabaseFixture, after sequence: SequenceNumber = 0) throws -> [String] {
        try fixture.changes(after: sequence).changes.filter { $0.type == .delete && $0.cause == .ttl }.map(\.pk)
    }

    // What happened: expired rows stayed visible until someone ran a cleanup.
    // Why: only the cleanup knew when something expires.
    // What now holds: nobody sees an expired entity, in reads, lists, queries, conditions or unique values, swept or not.
    @Test func `what a ttl index lets expire is invisible at once`() throws {
        let time = ManualTime()
        let fixture = try DatabaseFixture(time: time)
        try fixture.index("ttl", "session", settings: afterTen)
        try fixture.index("range", "a")
        try fixture.index("equality", "u", unique: true)
        try fixture.put("t:1", #"{"session":"x","a":1,"u":1}"#)
        try fixture.put("t:2", #"{"a":1}"#)
        try fixture.put("t:3", #"{"session":null,"a":1}"#)
        time.advance(milliseconds: 9_999)
        #expect(try fixture.keys(#"{"table":"t","predicates":[{"column":"a","value":1}]}"#) == ["1", "2", "3"])
        #expect(errorCode { try fixture.put("t:4", #"{"u":1}"#) } == .uniqueViolation)
        time.advance(milliseconds: 1)
        #expect(try fixture.document("t:1") == nil)
        #expect(try fixture.database.list(ListRequest(table: table)).entities.map(\.key.pk) == ["2", "3"])
        #expect(try fixture.keys(#"{"table":"t","predicates":[{"column":"a","value":1}]}"#) == ["2", "3"])
        #expect(errorCode { try fixture.patch("t:1", merge: "{}") } == .notFound)
        try fixture.put("t:4", #"{"u":1}"#)
        #expect(try fixture.isSound())
    }

    // What happened: a unique value stayed taken after its holder had expired.
    // Why: the holder had got its time to live in a later write that kept the value, and only the first one was remembered.
    // What now holds: every write of a holder tells until when it holds its values.
    @Test func `a unique value is free when its holder expires, however late that was said`() throws {
        let time = ManualTime()
        let fixture = try DatabaseFixture(time: time)
        try fixture.index("ttl", "s", settings: afterTen)
        try fixture.index("equality", "u", unique: true)
        try fixture.put("t:1", #"{"u":1}"#)
        try fixture.put("t:1", #"{"u":1,"s":1}"#)
        try fixture.put("t:2", #"{"u":2}"#)
        try fixture.patch("t:2", merge: #"{"s":1}"#)
        #expect(errorCode { try fixture.put("t:3", #"{"u":1}"#) } == .uniqueViolation)
        time.advance(milliseconds: 10_000)
        try fixture.put("t:3", #"{"u":1}"#)
        try fixture.put("t:4", #"{"u":2}"#)
        #expect(errorCode { try fixture.put("t:1", #"{"u":1}"#) } == .uniqueViolation)
        #expect(try fixture.isSound())
    }

    @Test func `a sweep removes what has expired, oldest first, each as a delete with its cause`() throws {
        let time = ManualTime()
        let fixture = try DatabaseFixture(time: time)
        _ = try fixture.database.putTable(table, TableSettingsChange(keepsOldValues: true))
        try fixture.index("ttl", "at", settings: atColumn)
        try fixture.index("equality", "a")
        let now = time.wallMilliseconds()
        for number in 0..<1_000 { try fixture.put("t:\(number)", #"{"a":1,"at":\#(now + Int64(5_000 - number))}"#) }
        try fixture.put("t:stays", #"{"a":1,"at":\#(now + 100_000)}"#)
        #expect(try fixture.database.sweepExpired().removed == 0)
        time.advance(milliseconds: 4_500)
        let before = fixture.database.durableSequence
        let result = try fixture.database.sweepExpired()
        #expect(result.removed == 500 && result.backlog == 0 && !result.isPaused)
        #expect(try swept(fixture, after: before) == (500..<1_000).reversed().map(String.init))
        let change = try fixture.changes(after: before, oldValues: true).changes[0]
        #expect(change.oldValue.map { String(decoding: $0, as: UTF8.self) } == #"{"a":1,"at":\#(now + 4_001)}"#)
        #expect(change.previousVersion != 0 && change.transactionCount == 1)
        #expect(fixture.database.table(table)?.entities == 501)
        #expect(try fixture.storedExpiries() == 501)
        #expect(try fixture.database.indexes(table).map(\.entries) == [501, 501])
        #expect(try fixture.isSound())
    }

    @Test func `times in a column are seconds, milliseconds or text, and anything else is refused`() throws {
        let time = ManualTime(wallMilliseconds: 1_700_000_000_000)
        let fixture = try DatabaseFixture(time: time)
        try fixture.index("ttl", "at", settings: atColumn)
        let times: [(String, Int64)] = [
            ("1700000100", 1_700_000_100_000), ("1700000100.5", 1_700_000_100_500), ("1700000100000", 1_700_000_100_000),
            (#""2023-11-14T22:15:00Z""#, 1_700_000_100_000), (#""2023-11-14T23:45:00.250+01:30""#, 1_700_000_100_250),
            (#""2023-11-14t22:15:00.1239z""#, 1_700_000_100_123),
        ]
        for (text, expected) in times {
            try fixture.put("t:1", #"{"at":\#(text)}"#)
            #expect(try fixture.database.get(DatabaseFixture.key("t:1"))?.expiresAtMilliseconds == expected, "\(text)")
        }
        for text in [#""tomorrow""#, "-1", "1e300", "true", "[1]", #""2023-02-30T00:00:00Z""#, #""2023-11-14T22:15:00""#, #""""#] {
            #expect(errorCode { try fixture.put("t:2", #"{"at":\#(text)}"#) } == .unprocessable, "\(text)")
        }
        // A time that has passed: the write is done and nobody sees it.
        #expect(try fixture.put("t:3", #"{"at":0}"#).created)
        #expect(try fixture.document("t:3") == nil)
        try fixture.put("t:4", #"{"at":null}"#)
        time.advance(milliseconds: 1_000_000_000)
        #expect(try fixture.document("t:4") != nil)
    }

    @Test func `of several times the earliest counts`() throws {
        let time = ManualTime()
        let fixture = try DatabaseFixture(time: time)
        _ = try fixture.database.putTable(table, TableSettingsChange(defaultTTLSeconds: 100))
        try fixture.index("ttl", "s", settings: afterTen)
        try fixture.index("ttl", "at", settings: atColumn)
        let now = time.wallMilliseconds()
        func life(_ document: String) throws -> Int64 {
            try fixture.put("t:1", document)
            return try #require(try fixture.database.get(DatabaseFixture.key("t:1"))).expiresAtMilliseconds - now
        }
        #expect(try life("{}") == 100_000)
        #expect(try life(#"{"s":1}"#) == 10_000)
        #expect(try life(#"{"s":1,"at":\#(now + 5_000)}"#) == 5_000)
        #expect(try life(#"{"at":\#(now + 500_000)}"#) == 100_000)
        #expect(try fixture.storedExpiries() == 1)
    }

    @Test func `an entity that was written again is not swept`() throws {
        let time = ManualTime()
        let fixture = try DatabaseFixture(time: time)
        try fixture.index("ttl", "s", settings: afterTen)
        try fixture.put("t:longer", #"{"s":1}"#)
        try fixture.put("t:without", #"{"s":1}"#)
        try fixture.put("t:gone", #"{"s":1}"#)
        time.advance(milliseconds: 9_000)
        try fixture.put("t:longer", #"{"s":1}"#)
        try fixture.patch("t:without", merge: #"{"s":null}"#)
        time.advance(milliseconds: 2_000)
        #expect(try fixture.database.sweepExpired().removed == 1)
        #expect(try swept(fixture) == ["gone"])
        #expect(try fixture.document("t:longer") != nil && fixture.document("t:without") != nil)
        #expect(try fixture.storedExpiries() == 1)
    }

    // Written and deleted in one transaction after it had expired: the commit changes nothing, so the entity stays stored.
    @Test func `what expired and was written and deleted in a transaction is swept later, which is a change`() throws {
        let time = ManualTime()
        let fixture = try DatabaseFixture(time: time)
        try fixture.index("ttl", "s", settings: afterTen)
        try fixture.put("t:1", #"{"s":1}"#)
        time.advance(milliseconds: 10_000)
        let first = try fixture.begin()
        try first.put("t:1", "{}")
        try first.delete("t:1")
        _ = try first.commit()
        #expect(try fixture.storedExpiries() == 1)
        let second = try fixture.begin()
        #expect(try second.get("t:1") == nil)
        try second.put("t:2", "{}")
        #expect(try fixture.database.sweepExpired().removed == 1)
        #expect(errorCode { _ = try second.commit() } == .transactionConflict)
        let third = try fixture.begin()
        #expect(try third.get("t:1") == nil)
        try third.put("t:2", "{}")
        _ = try third.commit()
        #expect(try fixture.document("t:2") != nil)
    }

    // What happened: rebuilding a TTL index gave every row its whole life anew.
    // Why: the entries were made again from the time of the rebuild.
    // What now holds: when an entity expires follows from its last write, whatever happens to indexes.
    @Test func `a rebuild does not change when something expires`() throws {
        let time = ManualTime()
        let fixture = try DatabaseFixture(time: time)
        try fixture.index("ttl", "s", settings: afterTen)
        try fixture.put("t:1", #"{"s":1}"#)
        time.advance(milliseconds: 6_000)
        try fixture.finish(fixture.database.rebuildIndex(table, columns: [JSONPath("s")]))
        time.advance(milliseconds: 4_000)
        #expect(try fixture.document("t:1") == nil)
        #expect(try fixture.database.sweepExpired().removed == 1)
        #expect(try fixture.isSound())
    }

    @Test func `a new ttl index takes up the rows that are there and prolongs none`() throws {
        let time = ManualTime()
        let fixture = try DatabaseFixture(time: time)
        _ = try fixture.database.putTable(table, TableSettingsChange(defaultTTLSeconds: 8))
        try fixture.put("t:expired", #"{"s":1}"#)
        time.advance(milliseconds: 3_000)
        try fixture.put("t:short", #"{"s":1}"#)
        time.advance(milliseconds: 5_000)
        _ = try fixture.database.putTable(table, TableSettingsChange(defaultTTLSeconds: 0))
        for number in 0..<600 { try fixture.put("t:\(number)", number % 2 == 0 ? #"{"s":1}"# : "{}") }
        let before = fixture.database.durableSequence
        try fixture.index("ttl", "s", settings: afterTen)
        let changes = try fixture.changes(after: before).changes
        #expect(changes.count == 301 && changes.allSatisfy { $0.type == .put && $0.cause == .ttl })
        #expect(try fixture.database.indexes(table)[0].entries == 302)
        #expect(try fixture.isSound())
        time.advance(milliseconds: 3_000)
        #expect(try fixture.document("t:short") == nil)
        time.advance(milliseconds: 6_999)
        #expect(try fixture.document("t:0") != nil)
        time.advance(milliseconds: 1)
        #expect(try fixture.database.sweepExpired().removed == 302)
        #expect(fixture.database.table(table)?.entities == 300)
        #expect(try fixture.isSound())
    }

    @Test func `a ttl index over a column without times fails and changes nothing`() throws {
        let fixture = try DatabaseFixture()
        for number in 0..<700 { try fixture.put("t:\(number)", #"{"at":17000001000\#(number == 650 ? "e999" : "")}"#) }
        let before = fixture.database.durableSequence
        let job = try #require(fixture.database.createIndex(DatabaseFixture.definition("ttl", "at", settings: atColumn)).job)
        let ended = try fixture.ended(job)
        #expect(ended.error?.code == .unprocessable && ended.error?.fields.first?.field == "t:650")
        #expect(fixture.database.durableSequence == before)
        #expect(try fixture.database.indexes(table).isEmpty && fixture.storedExpiries() == 0)
    }

    @Test func `settings of a ttl index are proved and part of what it is`() throws {
        #expect(errorCode { _ = try DatabaseFixture.definition("ttl", "a") } == .invalidRequest)
        #expect(errorCode { _ = try DatabaseFixture.definition("ttl", "a", settings: IndexSettings(ttlSeconds: 0)) } == .invalidRequest)
        let both = IndexSettings(ttlSeconds: 1, isExpiryInColumn: true)
        #expect(errorCode { _ = try DatabaseFixture.definition("ttl", "a", settings: both) } == .invalidRequest)
        #expect(errorCode { _ = try DatabaseFixture.definition("ttl", "a[*]", settings: afterTen) } == .invalidRequest)
        #expect(errorCode { _ = try DatabaseFixture.definition("ttl", "a", unique: true, settings: afterTen) } == .invalidRequest)
        #expect(errorCode { _ = try DatabaseFixture.definition("range", "a", settings: afterTen) } == .invalidRequest)
        let engine = MemoryEngine()
        let fixture = try DatabaseFixture(engine: engine)
        try fixture.index("ttl", "a", settings: afterTen)
        fixture.database.close()
        let again = try DatabaseFixture(engine: engine)
        #expect(try again.database.indexes(table)[0].definition.settings == afterTen)
        #expect(try !again.database.createIndex(DatabaseFixture.definition("ttl", "a", settings: afterTen)).created)
        let error = thrown { _ = try again.database.createIndex(DatabaseFixture.definition("ttl", "a", settings: self.atColumn)) }
        #expect(error?.code == .alreadyExists)
    }

    @Test func `a sweep goes on after a crash and a drop leaves nothing to sweep`() throws {
        let time = ManualTime()
        let engine = FaultyEngine()
        let fixture = try DatabaseFixture(engine: engine, time: time)
        _ = try fixture.database.putTable(table, TableSettingsChange(defaultTTLSeconds: 10))
        try fixture.atomic((0..<1_000).map { WriteOperation(try DatabaseFixture.key("t:\($0)"), .put(Array("{}".utf8))) })
        time.advance(milliseconds: 10_000)
        // The clock is noted, one piece is removed, and the disk fails at the next.
        engine.fail(commit: 3, .loseSync)
        #expect(throws: ThemisError.self) { try fixture.database.sweepExpired() }
        fixture.database.close()
        let after = try DatabaseFixture(engine: engine.crash(), time: time)
        let left = after.database.table(table)?.entities ?? 0
        #expect(left > 0 && left < 1_000)
        #expect(try after.isSound())
        #expect(try after.database.sweepExpired().removed == left)
        #expect(try after.storedExpiries() == 0)
        try after.put("t:1", "{}")
        time.advance(milliseconds: 10_000)
        _ = try after.database.truncateTable(table)
        #expect(try after.storedExpiries() == 0)
        #expect(try after.database.sweepExpired().removed == 0)
    }

    // What happened: a cleanup loaded the list of everything that had expired first, and looked at what had not.
    // Why: it walked a list of its own and read each row.
    // What now holds: a sweep reads what it removes, however much is stored beside it.
    @Test func `a sweep reads only what has expired`() throws {
        let time = ManualTime()
        let engine = CountingEngine()
        let fixture = try DatabaseFixture(engine: engine, time: time)
        try fixture.index("ttl", "at", settings: atColumn)
        let now = time.wallMilliseconds()
        for number in 0..<8 {
            try fixture.atomic(
                (0..<1_000).map { place in
                    let isShort = number == 7 && place < 100
                    let document = Array(#"{"at":\#(now + (isShort ? 1_000 : 1_000_000))}"#.utf8)
                    return WriteOperation(try DatabaseFixture.key("t:\(number)-\(place)"), .put(document))
                })
        }
        time.advance(milliseconds: 1_000)
        engine.reset()
        #expect(try fixture.database.sweepExpired().removed == 100)
        // Once to count, once to read, and the end of each.
        #expect(engine.steps < 500, "\(engine.steps) steps")
    }

    @Test func `a clean up is a job for one table or all`() throws {
        let time = ManualTime()
        let fixture = try DatabaseFixture(time: time)
        for name in ["t", "other"] {
            _ = try fixture.database.putTable(TableName(validating: name), TableSettingsChange(defaultTTLSeconds: 1))
            for number in 0..<300 { try fixture.put("\(name):\(number)", "{}") }
        }
        time.advance(milliseconds: 1_000)
        #expect(errorCode { _ = try fixture.database.cleanExpired(TableName(validating: "none")) } == .notFound)
        let job = try fixture.ended(fixture.database.cleanExpired(table))
        #expect(job.kind == "ttl_cleanup" && job.done == 300 && job.detail == "t: 300 expired entities were removed")
        #expect(fixture.database.table(TableName(stored: "other"))?.entities == 300)
        #expect(try fixture.ended(fixture.database.cleanExpired()).done == 300)
    }

    @Test func `a verification finds faults in the order of expiry and mends them`() throws {
        let engine = MemoryEngine()
        let fixture = try DatabaseFixture(engine: engine)
        _ = try fixture.database.putTable(table, TableSettingsChange(defaultTTLSeconds: 10))
        for number in 0..<300 { try fixture.put("t:\(number)", "{}") }
        var batch = WriteBatch()
        let cursor = try engine.snapshot().scan(.indexes, from: [], to: nil, reverse: false)
        #expect(try cursor.advance())
        batch.delete(.indexes, cursor.key)
        batch.put(.indexes, cursor.key + Array("none".utf8), [])
        try engine.commit(batch, .synced)
        #expect(try fixture.verification(repairs: true).contains(": 1 entries missing, 1 dangling"))
        #expect(try fixture.isSound())
        #expect(try fixture.storedExpiries() == 300)
    }

    @Test func `data of formats without an order of expiry gets one`() throws {
        let time = ManualTime()
        let engine = MemoryEngine()
        let fixture = try DatabaseFixture(engine: engine, time: time)
        _ = try fixture.database.putTable(table, TableSettingsChange(defaultTTLSeconds: 10))
        for number in 0..<50 { try fixture.put("t:\(number)", "{}") }
        fixture.database.close()
        for isSalvage in [false, true] {
            var batch = WriteBatch()
            batch.deleteRange(.indexes, from: [], to: [0, 0, 0, 1])
            batch.put(.meta, Array("format".utf8), [0, 2])
            try engine.commit(batch, .synced)
            var options = DatabaseOptions()
            options.startsNewEpoch = isSalvage
            let after = try DatabaseFixture(engine: engine, time: time, options: options)
            #expect(try after.storedExpiries() == 50)
            #expect(try after.isSound())
            after.database.close()
        }
    }
}
