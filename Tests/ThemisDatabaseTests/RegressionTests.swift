import Foundation
import Testing
import ThemisBase
import ThemisDatabase
import ThemisStorage
import ThemisTelemetry
import ThemisTestKit

/// What the original got wrong with indexes, queries and pages, as far as no other suite says it.
@Suite struct RegressionTests {
    private let table = TableName(stored: "t")

    private func fixture(_ documents: [String]) throws -> DatabaseFixture {
        let fixture = try DatabaseFixture()
        for (number, document) in documents.enumerated() { try fixture.put("t:\(number)", document) }
        return fixture
    }

    // What happened: with some clauses beside each other, only tests for equality were kept and the others silently dropped.
    // Why: what an index served was taken for the whole condition.
    // What now holds: every part of a condition is tested, whichever index is read.
    @Test func `no part of a condition is dropped beside another`() throws {
        let fixture = try fixture((0..<400).map { #"{"a":\#($0 % 4),"b":\#($0 % 10),"c":\#($0),"d":"\#($0 % 3)"}"# })
        let query = #"""
            {"table":"t","predicates":[{"column":"a","value":1},{"column":"d","op":"ne","value":"0"}],
             "range":[{"column":"c","gte":100,"lt":300}],"or":[[{"column":"b","value":3}],[{"column":"b","op":"gt","value":8}]],
             "order_by":{"column":"c","desc":true},"allow_full_scan":true,"limit":1000}
            """#
        let expected = (100..<300).reversed().filter { $0 % 4 == 1 && $0 % 3 != 0 && ($0 % 10 == 3 || $0 % 10 > 8) }.map(String.init)
        for index in [nil, ("equality", "a"), ("range", "c"), ("equality", "b"), ("range", "b"), ("sparse", "d")] {
            if let (type, column) = index { try fixture.index(type, column) }
            #expect(try fixture.keys(query) == expected, "\(String(describing: index))")
        }
    }

    // What happened: errors of queries that ran at once were mixed up, and the process could end.
    // Why: parallel tasks wrote into one list without a lock.
    // What now holds: each query has its own state; many at once answer as one alone.
    @Test func `queries at once do not disturb each other`() throws {
        let fixture = try fixture((0..<500).map { #"{"a":\#($0 % 5)}"# })
        try fixture.index("range", "a")
        let wrong = Monitor<[String]>([])
        let threads = (0..<8).map { thread in
            WorkThread(name: "query-\(thread)") {
                for round in 0..<40 {
                    if thread % 2 == 0 {
                        let code = errorCode { _ = try fixture.query(#"{"table":"t","predicates":[{"column":"x","value":1}]}"#) }
                        if code != .fullScanRefused { wrong.withLock { $0.append("\(thread)/\(round): \(String(describing: code))") } }
                    } else {
                        let body = #"{"table":"t","predicates":[{"column":"a","value":\#(round % 5)}],"limit":1000}"#
                        let count = (try? fixture.keys(body))?.count
                        if count != 100 { wrong.withLock { $0.append("\(thread)/\(round): \(String(describing: count))") } }
                    }
                }
            }
        }
        for thread in threads { thread.join() }
        #expect(wrong.withLock { $0 } == [])
    }

    // What happened: a primary key with a colon was cut at the last one, so that index answers named entities that were not there.
    // Why: keys of entries were text with colons between the parts.
    // What now holds: parts of keys end where their coding says; colons are characters like others, in keys, columns and values.
    @Test func `colons in keys, columns and values are characters`() throws {
        let fixture = try DatabaseFixture()
        let keys = ["a", "a:b", "a:b:c", ":", "a:", ":a"]
        for key in keys { try fixture.put("t:\(key)", #"{"x:y":"v:\#(key)","p+q":1}"#) }
        try fixture.index("equality", "x:y")
        try fixture.index("range", "p+q")
        for key in keys {
            #expect(try fixture.keys(#"{"table":"t","predicates":[{"column":"x:y","value":"v:\#(key)"}]}"#) == [key])
        }
        #expect(try Set(fixture.keys(#"{"table":"t","predicates":[{"column":"p+q","value":1}]}"#)) == Set(keys))
        #expect(try fixture.isSound())
    }

    // What happened: numbers that differ in their seventh decimal were one value in an index.
    // Why: they were printed with six decimals before they were indexed.
    // What now holds: numbers are equal when they are; integers of 64 bits and every double keep apart.
    @Test func `numbers that differ little are different`() throws {
        let numbers = ["0.1234567", "0.12345671", "1e-300", "9007199254740992", "9007199254740993", "18446744073709551615", "-0.1234567"]
        let fixture = try fixture(numbers.map { #"{"a":\#($0)}"# })
        try fixture.index("equality", "a", unique: true)
        for (number, text) in numbers.enumerated() {
            #expect(try fixture.keys(#"{"table":"t","predicates":[{"column":"a","value":\#(text)}]}"#) == ["\(number)"])
        }
    }

    // What happened: writes while an index was rebuilt, and writes of one key at once, left entries that no entity had.
    // Why: nothing kept a rebuild and writers apart, and each writer removed the entries that it had read.
    // What now holds: entries change with their entity, in the order of the committer, also while an index is built.
    @Test func `writers of one key during rebuilds leave no entry behind`() throws {
        let fixture = try fixture((0..<2_000).map { #"{"a":\#($0 % 7)}"# })
        try fixture.index("range", "a")
        let threads = (0..<4).map { thread in
            WorkThread(name: "writer-\(thread)") {
                for round in 0..<150 {
                    let key = "t:\(round % 5)"
                    _ = try? round % 6 == 5 ? fixture.delete(key) : fixture.put(key, #"{"a":\#(thread * 1_000 + round)}"#)
                }
            }
        }
        for _ in 0..<3 { try fixture.finish(fixture.database.rebuildIndex(table, columns: [JSONPath("a")])) }
        for thread in threads { thread.join() }
        #expect(try fixture.storedEntries() == Int(fixture.database.table(table)?.entities ?? 0))
        #expect(try fixture.isSound())
    }

    // What happened: a rebuild that was cancelled was counted nowhere.
    // Why: the counters stood behind the early return.
    // What now holds: every rebuild that ended is counted, with the entities it looked at, however it ended.
    @Test func `a rebuild is counted however it ends`() throws {
        let telemetry = Telemetry.silent(time: ManualTime())
        let database = try Database.open(engine: MemoryEngine(), telemetry: telemetry)
        defer { database.close() }
        let done = Answer<TransactionResult>()
        database.writeAtomic(
            try (0..<3_000).map { WriteOperation(try DatabaseFixture.key("t:\($0)"), .put(Array(#"{"a":\#($0)}"#.utf8))) }
        ) { done.set($0) }
        _ = try done.get()
        func ended(_ job: Job) -> JobState {
            while let current = database.job(job.id) {
                if current.state != .running { return current.state }
                sched_yield()
            }
            return .failed
        }
        let build = try #require(database.createIndex(DatabaseFixture.definition("range", "a")).job)
        #expect(ended(build) == .done)
        #expect(telemetry.metrics.counter(.indexRebuilds).value == 0)
        for round in 1...4 {
            let job = try database.rebuildIndex(table, columns: [JSONPath("a")])
            if round % 2 == 0 { _ = database.cancelJob(job.id) }
            _ = ended(job)
            #expect(telemetry.metrics.counter(.indexRebuilds).value == UInt64(round))
        }
        #expect(telemetry.metrics.counter(.indexRebuildEntities).value >= 6_000)
    }

    // What happened: without an order every page was the first one; with a cursor the chosen fields were ignored.
    // Why: a cursor needed a column to go on at, and its path through the server was another one.
    // What now holds: pages follow each other in any order or none, and every page has the fields that were asked for.
    @Test func `pages without an order go on and keep their fields`() throws {
        let fixture = try fixture((0..<45).map { #"{"a":\#($0 % 3),"b":\#($0),"c":"x"}"# })
        try fixture.index("equality", "a")
        for condition in [#""predicates":[{"column":"a","value":1}]"#, #""allow_full_scan":true"#] {
            var found: [Int64] = []
            var cursor = ""
            for _ in 0..<30 {
                let answer = try fixture.query(#"{"table":"t",\#(condition),"limit":5,"return":["b"]\#(cursor)}"#)
                let rows = answer["rows"]?.elements ?? []
                #expect(rows.allSatisfy { $0["c"] == nil && $0["a"] == nil && $0["b"] != nil })
                found += rows.compactMap { $0["b"]?.int64Value }
                guard let next = answer["next_cursor"]?.stringValue else { break }
                cursor = #","cursor":"\#(next)""#
            }
            #expect(found.sorted() == (0..<45).filter { condition.contains("full") || $0 % 3 == 1 }.map(Int64.init))
            #expect(Set(found).count == found.count)
        }
    }

    // What happened: a bad cursor was answered with an empty page, which looked like the end.
    // Why: what could not be decoded was taken for a place behind everything.
    // What now holds: it is refused, whatever is wrong with it.
    @Test func `a bad cursor is an error and not the end`() throws {
        let fixture = try fixture((0..<20).map { #"{"a":\#($0)}"# })
        try fixture.index("range", "a")
        let answer = try fixture.query(#"{"table":"t","order_by":{"column":"a"},"limit":5}"#)
        let cursor = try #require(answer["next_cursor"]?.stringValue)
        for bad in ["", "x", String(cursor.dropLast(2)), cursor + "AA", String(cursor.reversed()), "eyJwayI6IjEifQ"] where bad != cursor {
            let code = errorCode { _ = try fixture.query(#"{"table":"t","order_by":{"column":"a"},"limit":5,"cursor":"\#(bad)"}"#) }
            #expect(code == .invalidCursor, "\(bad)")
        }
    }

    /// How deep the deep page lies; the environment asks for more.
    static let depth = ProcessInfo.processInfo.environment["THEMIS_PAGE_DEPTH"].flatMap { Int($0) } ?? 20_000

    // What happened: a page far behind cost as much as everything before it.
    // Why: each page began at the beginning and skipped.
    // What now holds: a page begins where its cursor says, and reads what it shows, however deep.
    @Test func `a page far behind reads as much as the first one`() throws {
        let engine = CountingEngine()
        let fixture = try DatabaseFixture(engine: engine)
        for start in stride(from: 0, to: Self.depth + 1_000, by: 5_000) {
            try fixture.atomic(
                (start..<start + 5_000).map { WriteOperation(try DatabaseFixture.key("t:\($0)"), .put(Array(#"{"a":\#($0 / 3)}"#.utf8))) })
        }
        try fixture.index("range", "a")
        func page(_ limit: Int, _ cursor: String) throws -> (steps: Int, next: String) {
            engine.reset()
            let answer = try fixture.query(#"{"table":"t","order_by":{"column":"a"},"limit":\#(limit),"return":"keys"\#(cursor)}"#)
            let steps = engine.steps
            #expect(answer["count"]?.int64Value == Int64(limit))
            return (steps, #","cursor":"\#(try #require(answer["next_cursor"]?.stringValue))""#)
        }
        let first = try page(10, "")
        var cursor = first.next
        // A cursor belongs to its query, and the limit is no part of that.
        for _ in 0..<(Self.depth / 1_000) { cursor = try page(1_000, cursor).next }
        let deep = try page(10, cursor)
        #expect(Double(deep.steps) <= 1.5 * Double(first.steps), "\(deep.steps) steps, the first page \(first.steps)")
    }
}
