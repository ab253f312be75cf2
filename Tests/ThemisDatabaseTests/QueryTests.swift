import Foundation
import Testing
import ThemisBase
import ThemisDatabase
import ThemisStorage
import ThemisTestKit

/// Queries; what the original got wrong, each by its name.
@Suite struct QueryTests {
    private func people(_ count: Int = 200) throws -> DatabaseFixture {
        let fixture = try DatabaseFixture()
        for number in 0..<count {
            try fixture.put(
                "t:\(String(format: "%05d", number))",
                #"{"age":\#(number % 50),"city":"c\#(number % 4)","tags":["t\#(number % 3)","all"],"name":"n\#(number)"}"#)
        }
        return fixture
    }

    // What happened: predicates that match nothing, with an order, gave every row.
    // Why: an empty list of candidates was read as no filter.
    // What now holds: nothing matches nothing.
    @Test func `predicates that match nothing give nothing in any order`() throws {
        let fixture = try people()
        try fixture.index("equality", "city")
        try fixture.index("range", "age")
        #expect(
            try fixture.keys(#"{"table":"t","predicates":[{"column":"city","value":"none"}],"order_by":{"column":"age"}}"#).isEmpty)
        #expect(
            try fixture.keys(#"{"table":"t","predicates":[{"column":"age","op":"in","value":[]}],"order_by":{"column":"age"}}"#).isEmpty)
        #expect(
            try fixture.keys(
                #"{"table":"t","predicates":[{"column":"age","value":1},{"column":"age","value":2}],"order_by":{"column":"age"}}"#
            ).isEmpty)
    }

    // What happened: range and order_by were ignored unless a full scan was allowed.
    // Why: the default path looked at equality only.
    // What now holds: they are honoured always.
    @Test func `range and order are honoured by default`() throws {
        let fixture = try people()
        try fixture.index("range", "age")
        let answer = try fixture.query(
            #"{"table":"t","range":[{"column":"age","gte":48}],"order_by":{"column":"age","desc":true,"limit":3},"return":["age"]}"#)
        #expect(answer["rows"] == [["age": 49], ["age": 49], ["age": 49]])
        #expect(answer["count"] == 3 && answer["next_cursor"] != nil)
    }

    // What happened: OR ignored order, limit and return.
    // Why: it had a path of its own.
    // What now holds: one machine answers every form.
    @Test func `alternatives honour order and limit and return`() throws {
        let fixture = try people()
        try fixture.index("equality", "city")
        try fixture.index("range", "age")
        let body =
            #"{"table":"t","or":[[{"column":"city","value":"c1"},{"column":"age","value":1}],[{"column":"age","op":"ge","value":49}]],"#
            + #""order_by":[{"column":"age"},{"column":"name","desc":true}],"limit":4,"return":["name","age"]}"#
        let answer = try fixture.query(body)
        #expect(
            answer["rows"] == [
                ["age": 1, "name": "n101"], ["age": 1, "name": "n1"], ["age": 49, "name": "n99"], ["age": 49, "name": "n49"],
            ])
        #expect(
            try fixture.query(body.replacingOccurrences(of: "\"limit\"", with: "\"explain\":true,\"limit\""))["plan"]?["full_scan"] == false
        )
    }

    // What happened: every order read the whole index and cut the result.
    // Why: the limit was applied after the scan.
    // What now holds: a page reads what it shows, in both directions and wherever it begins.
    @Test func `a page in the order of an index reads little more than it shows`() throws {
        let fixture = try people(2_000)
        try fixture.index("range", "name")
        for direction in ["false", "true"] {
            var body = #"{"table":"t","order_by":{"column":"name","desc":\#(direction)},"limit":10,"return":"keys"}"#
            for _ in 0..<5 {
                let answer = try fixture.query(body)
                #expect((answer["stats"]?["scanned"]?.int64Value ?? .max) <= 100)
                let cursor = try #require(answer["next_cursor"]?.stringValue)
                body = #"{"table":"t","order_by":{"column":"name","desc":\#(direction)},"limit":10,"return":"keys","cursor":"\#(cursor)"}"#
            }
        }
    }

    @Test func `a range in the order of its index is read from where it begins, however much of the index it holds`() throws {
        let fixture = try people(2_000)
        try fixture.index("range", "name")
        let names = (0..<2_000).map { "n\($0)" }.sorted { Array($0.utf8).lexicographicallyPrecedes(Array($1.utf8)) }
        let body =
            #"{"table":"t","range":[{"column":"name","gte":"\#(names[100])"}],"order_by":{"column":"name"},"limit":10,"return":["name"]}"#
        let answer = try fixture.query(body)
        #expect(answer["rows"]?.elements?.map { $0["name"]?.stringValue } == names[100..<110].map { $0 })
        #expect((answer["stats"]?["scanned"]?.int64Value ?? .max) <= 100)
    }

    // What happened: paging ended silently when the row that ended a page was deleted.
    // Why: the cursor held only the key, and the value was read again.
    // What now holds: the cursor holds the place, and the rest follows.
    @Test func `deleting the last row of a page loses and repeats nothing`() throws {
        let fixture = try people()
        try fixture.index("range", "age")
        for order in [
            #""order_by":{"column":"age"}"#, #""order_by":[{"column":"age","desc":true},{"column":"name"}]"#,
            #""range":[{"column":"age","gte":0}]"#,
        ] {
            let expected = try fixture.keys(#"{"table":"t",\#(order),"allow_full_scan":true,"limit":7}"#)
            var found: [String] = []
            var cursor = ""
            while true {
                let answer = try fixture.query(#"{"table":"t",\#(order),"allow_full_scan":true,"limit":7,"return":"keys"\#(cursor)}"#)
                let page = (answer["keys"]?.elements ?? []).compactMap(\.stringValue)
                found += page.map { String($0.dropFirst(2)) }
                guard let next = answer["next_cursor"]?.stringValue, let last = page.last else { break }
                cursor = #","cursor":"\#(next)""#
                let document = try fixture.document(last)
                try fixture.delete(last)
                defer { _ = try? fixture.put(last, document ?? "{}") }
                let peek = try fixture.query(#"{"table":"t",\#(order),"allow_full_scan":true,"limit":1,"return":"keys"\#(cursor)}"#)
                #expect(peek["keys"]?.elements?.first?.stringValue.map { String($0.dropFirst(2)) } == expected[found.count])
            }
            #expect(found == expected && Set(found).count == 200)
        }
    }

    // What happened: a bad cursor gave an empty page, and one without an order the first page again and again.
    // Why: it was not checked, and the order was not fixed.
    // What now holds: a cursor is proved and belongs to its query; pages go on in the order of the first.
    @Test func `a cursor belongs to its query`() throws {
        let fixture = try people()
        try fixture.index("equality", "city")
        let query = #"{"table":"t","predicates":[{"column":"city","value":"c1"}],"limit":5"#
        let cursor = try #require(fixture.query(query + "}")["next_cursor"]?.stringValue)
        #expect(try fixture.query(query + #","cursor":"\#(cursor)"}"#)["count"] == 5)
        // The page may change, the rest may not.
        #expect(try fixture.query(query.replacingOccurrences(of: "5", with: "9") + #","cursor":"\#(cursor)"}"#)["count"] == 9)
        for body in [
            query.replacingOccurrences(of: "c1", with: "c2") + #","cursor":"\#(cursor)"}"#,
            query + #","order_by":{"column":"age"},"cursor":"\#(cursor)"}"#, query + #","cursor":"\#(cursor.dropLast())"}"#,
            query + #","cursor":"AAAA"}"#, query + #","cursor":""}"#,
        ] {
            #expect(errorCode { _ = try fixture.query(body) } == .invalidCursor)
        }
        #expect(try Set(fixture.keys(query + "}")).count == 50)
    }

    @Test func `pages keep their order when the index of the first page goes`() throws {
        let fixture = try people()
        try fixture.index("range", "age")
        let query = #"{"table":"t","range":[{"column":"age","gte":10}],"allow_full_scan":true,"limit":50,"return":"keys""#
        let whole = try fixture.keys(query + "}")
        let first = try fixture.query(query + "}")
        let cursor = try #require(first["next_cursor"]?.stringValue)
        _ = try fixture.database.dropIndex(TableName(stored: "t"), columns: [JSONPath("age")])
        let second = try fixture.query(query + #","cursor":"\#(cursor)"}"#)
        let keys = ((first["keys"]?.elements ?? []) + (second["keys"]?.elements ?? [])).compactMap(\.stringValue)
        #expect(keys.map { String($0.dropFirst(2)) } == Array(whole.prefix(100)))
    }

    @Test func `a scan that no index serves is refused unless it is allowed`() throws {
        let fixture = try people()
        try fixture.index("range", "age")
        for body in [
            #"{"table":"t"}"#, #"{"table":"t","predicates":[{"column":"city","value":"c1"}]}"#,
            #"{"table":"t","predicates":[{"column":"city","value":"c1"}],"order_by":{"column":"age"}}"#,
            #"{"table":"t","or":[[{"column":"age","value":1}],[{"column":"city","value":"c1"}]]}"#,
            #"{"table":"t","predicates":[{"column":"age","op":"exists"}]}"#,
        ] {
            #expect(errorCode { _ = try fixture.query(body) } == .fullScanRefused, "\(body)")
            let plan = try fixture.query(body.dropLast() + #","explain":true}"#)["plan"]
            #expect(plan?["refused"] != nil && plan?["full_scan"] == true)
            _ = try fixture.query(body.dropLast() + #","allow_full_scan":true}"#)
        }
        #expect(errorCode { _ = try fixture.query(#"{"table":"none"}"#) } == .notFound)
    }

    @Test func `a plan says what is read and an analysis what it took`() throws {
        let fixture = try people(1_000)
        try fixture.index("equality", "city")
        try fixture.index("composite", "city", "age")
        try fixture.index("equality", "tags[*]")
        let query =
            #"{"table":"t","predicates":[{"column":"city","value":"c1"},{"column":"age","op":"ge","value":40}],"order_by":{"column":"age"}"#
        let plan = try #require(fixture.query(query + #","explain":true}"#)["plan"])
        #expect(plan["operators"]?["inputs"]?.elements?[0]["index"] == "city+age")
        #expect(try fixture.query(query + #","explain":true}"#)["entities"] == nil)
        let analysis = try fixture.query(query + #","explain":"analyze"}"#)
        #expect(analysis["plan"]?["operators"]?["rows"] == 50 && analysis["count"] == 50)
        #expect(analysis["stats"]?["index_hits"] == 50)
        // The smaller part of two indexes: both are read by primary key.
        let both =
            #"{"table":"t","predicates":[{"column":"city","value":"c1"},{"column":"tags[*]","value":"t1"}],"#
            + #""explain":"analyze","limit":1000}"#
        let answer = try fixture.query(both)
        #expect(answer["count"] == 84)
        #expect(String(decoding: answer.bytes, as: UTF8.self).contains("intersection"))
    }

    @Test func `fields that are wrong are named`() throws {
        let fixture = try people(3)
        for (body, field) in [
            (#"{"table":"t","predicates":[{"colum":"a","value":1}]}"#, "predicates[0].colum"),
            (#"{"table":"t","predicates":[{"column":"a","op":"like","value":1}]}"#, "predicates[0].op"),
            (#"{"table":"t","predicates":[{"column":"a"}]}"#, "predicates[0].value"),
            (#"{"table":"t","predicates":[{"column":"a..b","value":1}]}"#, "predicates[0].column"),
            (#"{"table":"t","predicates":[{"column":"a","op":"prefix","value":1}]}"#, "predicates[0].value"),
            (#"{"table":"t","range":[{"column":"a"}]}"#, "range[0].column"),
            (#"{"table":"t","range":[{"column":"a","gt":1,"gte":1}]}"#, "range[0].gt"),
            (#"{"table":"t","range":[{"column":"a","gt":1,"includeLower":true}]}"#, "range[0].includeLower"),
            (#"{"table":"t","order_by":{"column":"tags[*]"}}"#, "order_by.column"), (#"{"table":"t","limit":0}"#, "limit"),
            (#"{"table":"t","return":"all"}"#, "return"), (#"{"table":"t","explain":"yes"}"#, "explain"),
            (#"{"table":"t","or":[{"column":"a","value":1}]}"#, "or[0]"), (#"{"table":"t","sort":[]}"#, "sort"),
            (#"{"table":"t","order_by":{"column":"a","limit":3},"limit":4}"#, "limit"),
        ] {
            let error = thrown { _ = try fixture.query(body) }
            #expect(error?.fields.first?.field == field, "\(body): \(error.map(\.description) ?? "no error")")
        }
        let deep = String(repeating: #"{"or":[["#, count: 20) + #"{"column":"a","value":1}"# + String(repeating: "]]}", count: 20)
        #expect(errorCode { _ = try fixture.query(#"{"table":"t","predicates":[\#(deep)]}"#) } == .invalidRequest)
    }

    @Test func `expired entities are in no answer`() throws {
        let time = ManualTime()
        let fixture = try DatabaseFixture(time: time)
        var change = TableSettingsChange()
        change.defaultTTLSeconds = 10
        _ = try fixture.database.putTable(TableName(stored: "t"), change)
        try fixture.index("range", "a")
        for number in 0..<5 {
            try fixture.put("t:\(number)", #"{"a":\#(number)}"#)
            time.advance(milliseconds: 3_000)
        }
        #expect(try fixture.keys(#"{"table":"t","order_by":{"column":"a"},"limit":1}"#) == ["2", "3", "4"])
        #expect(try fixture.keys(#"{"table":"t","allow_full_scan":true}"#) == ["2", "3", "4"])
    }

    @Test func `a query ends at its deadline and when nobody waits`() throws {
        let fixture = try people()
        let body = Array(#"{"table":"t","allow_full_scan":true}"#.utf8)
        #expect(errorCode { _ = try fixture.database.query(body, CallContext(deadlineNanoseconds: 1)) } == .deadlineExceeded)
        let gone = CancellationFlag()
        gone.cancel()
        #expect(errorCode { _ = try fixture.database.query(body, CallContext(cancellation: gone)) } == .cancelled)
    }
}
