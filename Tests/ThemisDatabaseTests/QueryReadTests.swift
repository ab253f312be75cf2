import Foundation
import Synchronization
import Testing
import ThemisBase
import ThemisStorage
import ThemisTestKit

@testable import ThemisDatabase

/// What a query reads, and what it need not read again.
@Suite struct QueryReadTests {
    /// The operators of a plan, from the last one to the first, along their first inputs.
    private func operators(_ fixture: DatabaseFixture, _ body: String) throws -> [String] {
        var node = try fixture.query(body.dropLast() + #","explain":true}"#)["plan"]?["operators"]
        var names: [String] = []
        while let found = node {
            names.append(found["operator"]?.stringValue ?? "")
            node = found["inputs"]?.elements?.first
        }
        return names
    }

    private func filters(_ fixture: DatabaseFixture, _ predicates: String) throws -> Bool {
        try operators(fixture, #"{"table":"t","predicates":[\#(predicates)],"allow_full_scan":true}"#).contains("filter")
    }

    @Test func `documents are not tested again when the entries prove every test, and only then`() throws {
        let fixture = try DatabaseFixture()
        for number in 0..<100 {
            try fixture.put(
                "t:k\(number)", #"{"a":\#(number % 10),"b":{"c":\#(number % 7)},"d":"x\#(number % 5)","tags":[\#(number % 3),7]}"#)
        }
        try fixture.index("equality", "a")
        try fixture.index("composite", "b.c", "d", "e")
        try fixture.index("sparse", "s")
        try fixture.index("equality", "tags[*]")
        for proved in [
            #"{"column":"a","value":3}"#, #"{"column":"a","op":"in","value":[3,4]}"#,
            #"{"column":"a","value":3},{"column":"a","op":"ge","value":1}"#,
            #"{"and":[{"column":"a","value":3}]}"#, #"{"column":"s","value":1}"#, #"{"column":"b.c","op":"lt","value":3}"#,
            #"{"column":"b.c","value":3},{"column":"d","op":"prefix","value":"x"}"#,
        ] {
            #expect(try !filters(fixture, proved), "\(proved)")
        }
        for open in [
            // A column beside those of the index, or behind a range.
            #"{"column":"a","value":3},{"column":"z","value":1}"#,
            #"{"column":"b.c","op":"lt","value":3},{"column":"d","value":"x1"}"#,
            #"{"column":"b.c","value":3},{"column":"e","value":null}"#,
            // Tests that no entry can prove.
            #"{"column":"a","value":3},{"column":"a","op":"exists"}"#,
            #"{"column":"d","op":"contains","value":"x"},{"column":"a","value":3}"#,
            #"{"or":[[{"column":"a","value":3}],[{"column":"a","value":4}]]}"#,
            // Each of two tests on elements may be passed by another one.
            #"{"column":"tags[*]","value":7},{"column":"tags[*]","op":"lt","value":2}"#, #"{"column":"tags[*]","value":7}"#,
            // A sparse index has no entries for null.
            #"{"column":"s","value":null}"#,
        ] {
            #expect(try filters(fixture, open), "\(open)")
        }
    }

    @Test func `a query that is asked again reads no document and counts no entry`() throws {
        let engine = CountingEngine()
        let fixture = try DatabaseFixture(engine: engine)
        for number in 0..<100 { try fixture.put("t:k\(number)", #"{"a":\#(number % 10)}"#) }
        try fixture.index("equality", "a")
        let body = #"{"table":"t","predicates":[{"column":"a","value":3}]}"#
        let first = try fixture.query(body)
        engine.reset()
        let second = try fixture.query(body)
        #expect(second["count"] == 10 && second["entities"] == first["entities"])
        // Ten entries, and the end of them.
        #expect(engine.steps == 11)
        // A page of three looks at four entries: whether there is another page.
        engine.reset()
        #expect(try fixture.query(body.dropLast() + #","limit":3}"#)["next_cursor"] != nil)
        #expect(engine.steps == 4)
    }

    @Test func `what is read again is what was stored in the state that is read`() throws {
        let fixture = try DatabaseFixture()
        for key in ["t:same", "t:changed", "t:deleted", "t:again"] { try fixture.put(key, #"{"n":1}"#) }
        let view = try ReadView(fixture.database, CallContext())
        let id = try view.tableID(TableName(validating: "t"))
        let keys = ["same", "changed", "deleted", "again", "later"].map { EntityRecord.key(table: id, pk: $0) }
        try fixture.put("t:changed", #"{"n":2}"#)
        try fixture.delete("t:deleted")
        try fixture.delete("t:again")
        try fixture.put("t:again", #"{"n":3}"#)
        try fixture.put("t:later", #"{"n":4}"#)
        func documents(_ view: ReadView, keeps: Bool) throws -> [String?] {
            try view.multiGet(keys, keeps: keeps).map { $0.map { String(decoding: EntityRecord.document(of: $0), as: UTF8.self) } }
        }
        // Twice each: what is asked of the engine the first time is kept for the second.
        for keeps in [false, true, true, false] {
            #expect(try documents(view, keeps: keeps) == [#"{"n":1}"#, #"{"n":1}"#, #"{"n":1}"#, #"{"n":1}"#, nil])
            let newest = try ReadView(fixture.database, CallContext())
            #expect(try documents(newest, keeps: keeps) == [#"{"n":1}"#, #"{"n":2}"#, nil, #"{"n":3}"#, #"{"n":4}"#])
        }
    }

    @Test func `readers of one state share it, and who has an answer reads behind it`() throws {
        let fixture = try DatabaseFixture()
        try fixture.put("t:a", #"{"n":0}"#)
        let shared = fixture.database.published.shared
        let first = try shared.open(fixture.engine)
        #expect(try shared.open(fixture.engine) === first)
        try fixture.put("t:a", #"{"n":1}"#)
        let second = try shared.open(fixture.engine)
        #expect(second !== first && second.sequence == fixture.database.durableSequence)
        // An index that serves is known to the next query, though no entity has changed.
        _ = try fixture.query(#"{"table":"t","allow_full_scan":true}"#)
        try fixture.index("equality", "n")
        #expect(try operators(fixture, #"{"table":"t","predicates":[{"column":"n","value":1}]}"#) == ["fetch", "index_scan"])
        shared.close()
        #expect(try shared.open(fixture.engine) !== shared.open(fixture.engine))
    }

    @Test func `nothing is pinned while nobody reads`() throws {
        let engine = MemoryEngine()
        let fixture = try DatabaseFixture(engine: engine)
        try fixture.put("t:a", #"{"n":0}"#)
        let shared = fixture.database.published.shared
        weak var opened = try shared.open(engine)
        #expect(opened != nil)
        try fixture.put("t:a", #"{"n":1}"#)
        #expect(opened == nil)
        opened = try shared.open(engine)
        fixture.database.close()
        #expect(opened == nil)
    }

    @Test func `queries beside writes see whole states in their order`() throws {
        var options = DatabaseOptions()
        // So small that entries come and go.
        options.entityCacheBytes = 64 << 10
        let fixture = try DatabaseFixture(options: options)
        try fixture.put("t:k0", #"{"group":1,"n":0}"#)
        try fixture.index("equality", "group")
        func write(_ round: Int) throws -> SequenceNumber {
            try fixture.atomic(
                (0..<8).map { number in
                    // One of them is not there in every other round.
                    let change: WriteChange =
                        number == 7 && round % 2 == 1 ? .delete : .put(Array(#"{"group":1,"n":\#(round)}"#.utf8))
                    return WriteOperation(EntityKey(stored: TableName(stored: "t"), pk: "k\(number)"), change)
                }
            ).sequence
        }
        let body = Array(#"{"table":"t","predicates":[{"column":"group","value":1}]}"#.utf8)
        @Sendable func look(_ last: inout Int) throws {
            let rows = try JSONValue(parsing: fixture.database.query(body))["entities"]?.elements ?? []
            let values = Set(rows.map { $0["document"]?["n"]?.int64Value ?? -1 })
            let round = Int(values.first ?? -1)
            #expect(values.count == 1 && rows.count == (round % 2 == 1 ? 7 : 8) && round >= last, "\(values), \(rows.count) rows")
            last = round
        }
        _ = try write(0)
        let isOver = Atomic<Bool>(false)
        let readers = (0..<3).map { _ in
            WorkThread(name: "reader") {
                var last = 0
                while !isOver.load(ordering: .relaxed) {
                    do { try look(&last) } catch { Issue.record("\(error)") }
                }
            }
        }
        for round in 1...600 {
            _ = try write(round)
            var last = round
            // Who has an answer reads at least that.
            try look(&last)
        }
        isOver.store(true, ordering: .relaxed)
        for reader in readers { reader.join() }
    }
}
