import Foundation
import Testing
import ThemisBase
import ThemisDatabase
import ThemisStorage
import ThemisTestKit

/// Indexes: making, dropping, building anew; what the original got wrong, each by its name.
@Suite struct IndexTests {
    private let table = TableName(stored: "t")

    private func fixture(_ documents: [String: String]) throws -> DatabaseFixture {
        let fixture = try DatabaseFixture()
        for (key, document) in documents.sorted(by: { $0.key < $1.key }) { try fixture.put("t:\(key)", document) }
        return fixture
    }

    @Test func `an index on an empty table serves at once and repeating the wish changes nothing`() throws {
        let fixture = try DatabaseFixture()
        let definition = try DatabaseFixture.definition("range", "a")
        let first = try fixture.database.createIndex(definition)
        #expect(first.created && first.job == nil && first.index.state == .ready)
        let again = try fixture.database.createIndex(definition)
        #expect(!again.created && again.index.generation == first.index.generation)
        let error = thrown { _ = try fixture.database.createIndex(DatabaseFixture.definition("range", "a", unique: true)) }
        #expect(error?.code == .alreadyExists)
        // One column may have several types.
        #expect(try fixture.database.createIndex(DatabaseFixture.definition("equality", "a")).created)
        #expect(try fixture.database.indexes(table).count == 2)
    }

    // What happened: creating an index left existing rows out of it, so that queries missed them.
    // Why: entries were made by later writes only.
    // What now holds: a job makes the entries of every row, and the index serves when it is complete.
    @Test func `an index on a table with rows holds every row`() throws {
        let fixture = try fixture(Dictionary(uniqueKeysWithValues: (0..<1_500).map { ("\($0)", #"{"a":\#($0 % 7)}"#) }))
        let result = try fixture.database.createIndex(DatabaseFixture.definition("equality", "a"))
        try fixture.finish(#require(result.job))
        #expect(fixture.database.job(result.job?.id ?? "")?.done == 1_500)
        #expect(try fixture.database.indexes(table)[0].entries == 1_500)
        #expect(try fixture.keys(#"{"table":"t","predicates":[{"column":"a","value":3}],"limit":50}"#).count == 214)
    }

    // What happened: a dropped index left its entries, and they were served again after it was created anew.
    // Why: dropping removed only the definition.
    // What now holds: dropping removes the entries, and every index has keys of its own.
    @Test func `a dropped index leaves nothing behind`() throws {
        let fixture = try fixture(["1": #"{"a":1}"#, "2": #"{"a":1}"#])
        try fixture.index("equality", "a")
        _ = try fixture.database.dropIndex(table, columns: [JSONPath("a")])
        #expect(try fixture.storedEntries() == 0)
        try fixture.put("t:1", #"{"a":2}"#)
        try fixture.index("equality", "a")
        #expect(try fixture.keys(#"{"table":"t","predicates":[{"column":"a","value":1}]}"#) == ["2"])
        #expect(errorCode { _ = try fixture.database.dropIndex(table, columns: [JSONPath("b")]) } == .notFound)
    }

    // What happened: an unknown type silently made an equality index.
    // Why: everything that was not known fell through to it.
    // What now holds: unknown types are refused, and those of later versions say so.
    @Test func `an unknown type is refused`() {
        #expect(errorCode { _ = try DatabaseFixture.definition("equalty", "a") } == .invalidRequest)
        for type in ["fulltext", "vector"] {
            #expect(errorCode { _ = try DatabaseFixture.definition(type, "a") } == .notImplemented)
        }
        #expect(errorCode { _ = try DatabaseFixture.definition("composite", "a") } == .invalidRequest)
        #expect(errorCode { _ = try DatabaseFixture.definition("range", "a", "b") } == .invalidRequest)
        #expect(errorCode { _ = try DatabaseFixture.definition("composite", "a", "a") } == .invalidRequest)
    }

    // What happened: "007" and "7" were one value in an index, also a unique one; numbers and strings were mixed.
    // Why: digits were padded with zeros and everything was text.
    // What now holds: values are typed; only equal values are equal.
    @Test func `strings of digits are strings and numbers are numbers`() throws {
        let fixture = try fixture(["1": #"{"a":"007"}"#, "2": #"{"a":"7"}"#, "3": #"{"a":7}"#, "4": #"{"a":7.0}"#])
        try fixture.index("equality", "a")
        #expect(try fixture.keys(#"{"table":"t","predicates":[{"column":"a","value":"7"}]}"#) == ["2"])
        #expect(try fixture.keys(#"{"table":"t","predicates":[{"column":"a","value":7}]}"#) == ["3", "4"])
        let unique = try DatabaseFixture()
        try unique.index("equality", "a", unique: true)
        try unique.put("t:1", #"{"a":"007"}"#)
        try unique.put("t:2", #"{"a":"7"}"#)
        try unique.put("t:3", #"{"a":7}"#)
        #expect(errorCode { try unique.put("t:4", #"{"a":7.0}"#) } == .uniqueViolation)
    }

    // What happened: negative numbers, decimals and exponents sorted as text, and doubles were cut to six decimals.
    // Why: numbers were printed before they were indexed.
    // What now holds: numbers sort by value, exactly.
    @Test func `numbers sort by value`() throws {
        let numbers = [
            "-1e3", "-10", "-9.5", "-0.1234568", "-0.1234567", "0", "1e-3", "0.1234567", "0.1234568", "2", "1e1", "11", "1E2",
            "9007199254740992", "9007199254740993", "18446744073709551615",
        ]
        let fixture = try fixture(
            Dictionary(uniqueKeysWithValues: numbers.enumerated().map { ("\($0.offset + 10)", #"{"a":\#($0.element)}"#) }))
        try fixture.index("range", "a")
        let ordered = try fixture.keys(#"{"table":"t","order_by":{"column":"a"},"limit":5}"#)
        #expect(ordered == numbers.indices.map { "\($0 + 10)" })
        #expect(try fixture.keys(#"{"table":"t","range":[{"column":"a","gte":-9.5,"lte":0}]}"#) == ["12", "13", "14", "15"])
        #expect(try fixture.keys(#"{"table":"t","predicates":[{"column":"a","value":0.1234567}]}"#) == ["17"])
    }

    // What happened: an inclusive upper bound and the order were wrong for values that begin with others.
    // Why: a colon stood between value and key, and it sorts above digits and blanks.
    // What now holds: no value's bytes are the beginning of another's.
    @Test func `values that begin with others keep their bounds and order`() throws {
        let texts = ["", "a", "a\u{0}", "a\u{1}", "a 1", "a1", "a:", "a:b", "ab"]
        let fixture = try DatabaseFixture()
        for (index, text) in texts.enumerated() {
            try fixture.put("t:x:\(index):y", String(decoding: JSONValue.object([JSONMember("a", .string(text))]).bytes, as: UTF8.self))
        }
        try fixture.index("range", "a")
        func keys(_ body: String) throws -> [Int] { try fixture.keys(body).map { Int($0.split(separator: ":")[1])! } }
        #expect(try keys(#"{"table":"t","range":[{"column":"a","gte":"","lte":"a"}]}"#) == [0, 1])
        #expect(try keys(#"{"table":"t","range":[{"column":"a","gt":"a","lt":"a1"}]}"#) == [2, 3, 4])
        #expect(try keys(#"{"table":"t","range":[{"column":"a","gte":"a","lte":"a:","includeLower":false}]}"#) == [2, 3, 4, 5, 6])
        #expect(try keys(#"{"table":"t","predicates":[{"column":"a","op":"prefix","value":"a:"}]}"#) == [6, 7])
        #expect(try keys(#"{"table":"t","order_by":{"column":"a","desc":true},"limit":2}"#) == texts.indices.reversed())
    }

    // What happened: rebuilding deleted the entries first, so that a crash or cancel left an index that answered as if complete.
    // Why: the new entries went where the old ones had been.
    // What now holds: the new index is built beside the old one and takes its place in one step.
    @Test func `a rebuild that is cancelled leaves the old index serving`() throws {
        let fixture = try fixture(Dictionary(uniqueKeysWithValues: (0..<3_000).map { ("\($0)", #"{"a":\#($0 % 5)}"#) }))
        try fixture.index("equality", "a")
        let before = try fixture.database.indexes(table)[0]
        let job = try fixture.database.rebuildIndex(table, columns: [JSONPath("a")])
        _ = fixture.database.cancelJob(job.id)
        let ended = try fixture.ended(job)
        let after = try fixture.database.indexes(table)
        #expect(after.count == 1 && after[0].state == .ready && after[0].entries == 3_000)
        if ended.state == .cancelled { #expect(after[0].generation == before.generation) }
        #expect(try fixture.storedEntries() == 3_000)
        #expect(try fixture.keys(#"{"table":"t","predicates":[{"column":"a","value":2}],"limit":1000}"#).count == 600)
    }

    // What happened: asked for just when a rebuild ended, a second rebuild said that there was no index, and a drop did nothing.
    // Why: the request looked the index up before its turn came, under a generation that was gone by then.
    // What now holds: which index is meant is decided by the committer; a drop at any moment removes it.
    @Test func `an index that a rebuild just replaced is still the same index`() throws {
        let fixture = try fixture(["1": #"{"a":1}"#])
        let columns = [try JSONPath("a")]
        for round in 0..<300 {
            try fixture.index("range", "a")
            _ = try fixture.database.rebuildIndex(table, columns: columns)
            for _ in 0..<(round % 3) {
                let code = errorCode { _ = try fixture.database.rebuildIndex(table, columns: columns) }
                #expect(code == nil || code == .conflict)
            }
            #expect(errorCode { _ = try fixture.database.dropIndex(table, columns: columns) } == nil)
            #expect(try fixture.database.indexes(table).isEmpty)
            #expect(errorCode { _ = try fixture.database.dropIndex(table, columns: columns) } == .notFound)
        }
        try fixture.finishAllJobs()
        #expect(try fixture.storedEntries() == 0)
    }

    // What happened: reindexing rebuilt one type of a column only.
    // Why: the types of a column were looked up in a fixed order, and the first one won.
    // What now holds: every index of the table is built anew.
    @Test func `reindexing builds every type of a column`() throws {
        let fixture = try fixture(["1": #"{"a":1}"#, "2": #"{"a":2}"#])
        try fixture.index("equality", "a")
        try fixture.index("range", "a")
        let before = try fixture.database.indexes(table).map(\.generation)
        let jobs = try fixture.database.reindex(table)
        #expect(jobs.count == 2)
        for job in jobs { try fixture.finish(job) }
        let after = try fixture.database.indexes(table)
        #expect(after.map(\.definition.type) == ["equality", "range"])
        #expect(Set(after.map(\.generation)).isDisjoint(with: before))
        #expect(after.allSatisfy { $0.entries == 2 && $0.state == .ready })
    }

    @Test func `a unique value is taken once and free again afterwards`() throws {
        let fixture = try DatabaseFixture()
        try fixture.index("equality", "mail", unique: true)
        try fixture.put("t:1", #"{"mail":"a"}"#)
        let error = thrown { try fixture.put("t:2", #"{"mail":"a"}"#) }
        #expect(error?.code == .uniqueViolation)
        #expect(error?.members.contains { $0.name == "index" && $0.value == .text("mail") } == true)
        #expect(error?.members.contains { $0.name == "holder" && $0.value == .text("t:1") } == true)
        try fixture.put("t:1", #"{"mail":"a","more":1}"#)
        try fixture.put("t:1", #"{"mail":"b"}"#)
        try fixture.put("t:2", #"{"mail":"a"}"#)
        try fixture.delete("t:1")
        try fixture.patch("t:2", merge: #"{"mail":"b"}"#)
        // Nothing is not a value.
        for key in 3..<6 { try fixture.put("t:\(key)", key == 3 ? #"{"mail":null}"# : "{}") }
        #expect(try fixture.database.indexes(table)[0].entries == 4)
    }

    @Test func `unique values move within a transaction in its order`() throws {
        let fixture = try DatabaseFixture()
        try fixture.index("equality", "a", unique: true)
        func put(_ key: String, _ value: Int) throws -> WriteOperation {
            WriteOperation(try DatabaseFixture.key("t:\(key)"), .put(Array(#"{"a":\#(value)}"#.utf8)))
        }
        try fixture.atomic([put("1", 1), put("2", 2)])
        try fixture.atomic([WriteOperation(DatabaseFixture.key("t:1"), .delete), put("3", 1)])
        let error = thrown { try fixture.atomic([put("2", 5), put("4", 2), put("5", 1)]) }
        #expect(error?.code == .uniqueViolation && error?.fields.first?.field == "operations[2]")
        // The transaction left nothing behind: 2 is still taken, 5 is free.
        #expect(errorCode { try fixture.put("t:4", #"{"a":2}"#) } == .uniqueViolation)
        try fixture.put("t:4", #"{"a":5}"#)
        #expect(try fixture.storedEntries() == 3)
    }

    // What happened: two writers at once could both take a unique value.
    // Why: it was looked up before the write and not again.
    // What now holds: the committer decides, whatever was seen before.
    @Test func `of many writers one gets the unique value`() throws {
        let fixture = try DatabaseFixture()
        try fixture.index("equality", "a", unique: true)
        for round in 0..<40 {
            let answers = try (0..<32).map { writer in
                fixture.submit(WriteOperation(try DatabaseFixture.key("t:\(round)-\(writer)"), .put(Array(#"{"a":\#(round)}"#.utf8))))
            }
            let won = answers.map { $0.result() }.filter { if case .success = $0 { true } else { false } }
            #expect(won.count == 1, "round \(round)")
        }
        #expect(try fixture.storedEntries() == 40)
    }

    @Test func `a unique index is not made over rows that share a value`() throws {
        let fixture = try fixture(["1": #"{"a":1}"#, "2": #"{"a":2}"#, "3": #"{"a":1}"#])
        let result = try fixture.database.createIndex(DatabaseFixture.definition("range", "a", unique: true))
        let job = try fixture.ended(#require(result.job))
        #expect(job.state == .failed && job.error?.code == .uniqueViolation)
        #expect(try fixture.database.indexes(table).isEmpty)
        #expect(try fixture.storedEntries() == 0)
    }

    @Test func `an expired entity does not keep its unique value`() throws {
        let time = ManualTime()
        let fixture = try DatabaseFixture(time: time)
        var change = TableSettingsChange()
        change.defaultTTLSeconds = 10
        _ = try fixture.database.putTable(table, change)
        try fixture.index("equality", "a", unique: true)
        try fixture.put("t:1", #"{"a":1}"#)
        time.advance(milliseconds: 11_000)
        try fixture.put("t:2", #"{"a":1}"#)
        // The first one is written anew: its value belongs to another by now.
        #expect(errorCode { try fixture.put("t:1", #"{"a":1}"#) } == .uniqueViolation)
        #expect(try fixture.keys(#"{"table":"t","predicates":[{"column":"a","value":1}]}"#) == ["2"])
    }

    @Test func `what cannot be indexed is refused and says where`() throws {
        let fixture = try DatabaseFixture()
        try fixture.index("equality", "a")
        for value in ["1e400", #""\ud800""#, "\"\(String(repeating: "x", count: 9_000))\""] {
            let error = thrown { try fixture.put("t:1", #"{"a":\#(value)}"#) }
            #expect(error?.code == .unprocessable && error?.fields.first?.field == "a")
        }
        try fixture.put("t:1", #"{"b":1e400}"#)
        #expect(try fixture.document("t:1") == #"{"b":1e400}"#)
        let failed = try fixture.ended(#require(fixture.database.createIndex(DatabaseFixture.definition("range", "b")).job))
        #expect(failed.state == .failed && failed.error?.code == .unprocessable)
    }

    @Test func `truncating empties indexes and dropping the table removes them`() throws {
        let fixture = try fixture(["1": #"{"a":1}"#])
        try fixture.index("equality", "a")
        _ = try fixture.database.truncateTable(table)
        #expect(try fixture.storedEntries() == 0)
        #expect(try fixture.database.indexes(table).map(\.entries) == [0])
        try fixture.put("t:2", #"{"a":1}"#)
        #expect(try fixture.keys(#"{"table":"t","predicates":[{"column":"a","value":1}]}"#) == ["2"])
        _ = try fixture.database.dropTable(table)
        #expect(try fixture.storedEntries() == 0)
        try fixture.put("t:3", #"{"a":1}"#)
        #expect(try fixture.database.indexes(table).isEmpty)
    }

    @Test func `a build that a crash interrupts goes on where it was`() throws {
        let engine = FaultyEngine()
        let fixture = try DatabaseFixture(engine: engine)
        let documents = try (0..<2_500).map { number in
            WriteOperation(try DatabaseFixture.key("t:\(number)"), .put(Array(#"{"a":\#(number % 10)}"#.utf8)))
        }
        try fixture.atomic(documents)
        engine.fail(commit: 4, .loseSync)
        let job = try #require(fixture.database.createIndex(DatabaseFixture.definition("range", "a")).job)
        _ = try fixture.ended(job)
        fixture.database.close()
        let after = try DatabaseFixture(engine: engine.crash())
        try after.finish(#require(after.database.job(job.id)))
        let index = try after.database.indexes(table)[0]
        #expect(index.state == .ready && index.entries == 2_500)
        #expect(try after.storedEntries() == 2_500)
        #expect(try after.keys(#"{"table":"t","predicates":[{"column":"a","value":4}],"limit":1000}"#).count == 250)
    }

    @Test func `the pieces of a build do not wait for the disk, its begin and its end do`() throws {
        let engine = MemoryEngine()
        let fixture = try DatabaseFixture(engine: engine)
        try fixture.atomic(
            (0..<2_500).map { WriteOperation(try DatabaseFixture.key("t:\($0)"), .put(Array(#"{"a":\#($0)}"#.utf8))) })
        let before = engine.statistics().syncs
        #expect(try fixture.index("range", "a").state == .building)
        #expect(engine.statistics().syncs == before + 2)
        #expect(try fixture.database.indexes(table).map(\.entries) == [2_500])
    }

    @Test func `a salvage builds every index anew`() throws {
        let engine = MemoryEngine()
        let fixture = try DatabaseFixture(engine: engine)
        try fixture.put("t:1", #"{"a":1}"#)
        try fixture.put("t:2", #"{"a":2}"#)
        try fixture.index("range", "a")
        fixture.database.close()
        // An entity that reached the disk without its entry, and an entry without its entity.
        var batch = WriteBatch()
        let cursor = try engine.snapshot().scan(.indexes, from: [], to: nil, reverse: false)
        #expect(try cursor.advance())
        batch.delete(.indexes, cursor.key)
        batch.put(.indexes, Array(cursor.key.dropLast()) + [0x39], [])
        try engine.commit(batch, .synced)
        var options = DatabaseOptions()
        options.startsNewEpoch = true
        let salvaged = try DatabaseFixture(engine: engine, options: options)
        try salvaged.finishAllJobs()
        #expect(try salvaged.storedEntries() == 2)
        #expect(try salvaged.keys(#"{"table":"t","predicates":[{"column":"a","op":"ge","value":0}]}"#) == ["1", "2"])
        try salvaged.put("t:3", #"{"a":0}"#)
        #expect(try salvaged.database.indexes(table).map(\.entries) == [3])
    }

    @Test func `a verification finds every planted fault and repairs it`() throws {
        let engine = MemoryEngine()
        let fixture = try DatabaseFixture(engine: engine)
        for number in 0..<300 { try fixture.put("t:\(number)", #"{"a":\#(number % 9),"tags":["x","y"]}"#) }
        try fixture.index("range", "a")
        try fixture.index("equality", "tags[*]")
        func verify(repairs: Bool = false) throws -> String {
            let job = try fixture.ended(fixture.database.verify(repairs: repairs))
            #expect(job.state == .done)
            try fixture.finishAllJobs()
            return job.detail
        }
        let clean =
            "checked 300 entities, 2 indexes and 300 changes: 0 entries missing, 0 dangling, 0 indexes miscounted, 0 gaps in the changefeed"
        #expect(try verify() == clean)
        var batch = WriteBatch()
        let cursor = try engine.snapshot().scan(.indexes, from: [], to: nil, reverse: false)
        #expect(try cursor.advance())
        batch.delete(.indexes, cursor.key)
        batch.put(.indexes, cursor.key + Array("none".utf8), [])
        let changes = try engine.snapshot().scan(.changes, from: [], to: nil, reverse: true)
        // System records hang at the last one of data.
        while try changes.advance(), !changes.key.suffix(2).elementsEqual([0, 0]) {}
        batch.delete(.changes, changes.key)
        try engine.commit(batch, .synced)
        let found = try verify(repairs: true)
        #expect(
            found.hasPrefix("checked 300 entities, 2 indexes and 299 changes: 1 entries missing, 1 dangling, 1 indexes miscounted, 1 gaps"))
        #expect(try verify().contains(": 0 entries missing, 0 dangling, 0 indexes miscounted, 1 gaps"))
        #expect(try fixture.storedEntries() == 900)
    }

    @Test func `statistics are exact where they say so`() throws {
        let fixture = try fixture(Dictionary(uniqueKeysWithValues: (0..<300).map { ("\($0)", #"{"a":\#($0 % 9),"tags":["x","y","x"]}"#) }))
        try fixture.index("range", "a")
        try fixture.index("equality", "tags[*]")
        let numbers = try fixture.database.indexStatistics(table)
        #expect(numbers.map(\.info.entries) == [300, 600])
        #expect(numbers.map(\.cardinality) == [9, 2] && numbers.allSatisfy(\.isCardinalityExact))
        #expect(try fixture.database.indexStatistics(table, columns: [JSONPath("a")]).count == 1)
        #expect(errorCode { _ = try fixture.database.indexStatistics(table, columns: [JSONPath("zz")]) } == .notFound)
    }

    @Test func `settings of a table and its indexes leave each other alone`() throws {
        let engine = MemoryEngine()
        let fixture = try DatabaseFixture(engine: engine)
        try fixture.index("equality", "a")
        var change = TableSettingsChange()
        change.keepsOldValues = true
        _ = try fixture.database.putTable(table, change)
        try fixture.put("t:1", #"{"a":1}"#)
        fixture.database.close()
        let reopened = try DatabaseFixture(engine: engine)
        #expect(reopened.database.table(table)?.settings.keepsOldValues == true)
        let index = try reopened.database.indexes(table)[0]
        #expect(index.entries == 1 && index.state == .ready)
        try reopened.put("t:1", #"{"a":2}"#)
        #expect(try reopened.keys(#"{"table":"t","predicates":[{"column":"a","value":2}]}"#) == ["1"])
        #expect(try reopened.storedEntries() == 1)
    }
}
