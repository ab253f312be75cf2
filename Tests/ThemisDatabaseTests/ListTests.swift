import Testing
import ThemisBase
import ThemisDatabase
import ThemisStorage

@Suite struct ListTests {
    private let name = TableName(stored: "a")

    private func pages(
        _ fixture: DatabaseFixture, _ request: ListRequest, limit: Int, between: (Int) throws -> Void = { _ in }
    ) throws -> [String] {
        var pks: [String] = []
        var cursor: String?
        var count = 0
        repeat {
            let page = try fixture.database.list(request, cursor: cursor, limit: limit)
            #expect(page.entities.count <= limit)
            pks += page.entities.map(\.key.pk)
            cursor = page.nextCursor
            count += 1
            try between(count)
        } while cursor != nil
        return pks
    }

    private func filled() throws -> (fixture: DatabaseFixture, pks: [String]) {
        let fixture = try DatabaseFixture()
        let pks = (0..<25).map { "k\($0)" } + ["ä", "k", "kx", "z"]
        for pk in pks { try fixture.put("a:\(pk)", #"{"pk":"\#(pk)"}"#) }
        try fixture.put("A:k1", "{}")
        try fixture.put("b:k1", "{}")
        return (fixture, pks.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) })
    }

    @Test func `pages give every entity once, in the order of keys`() throws {
        let (fixture, pks) = try filled()
        for limit in [1, 4, 29, 100] {
            #expect(try pages(fixture, ListRequest(table: name), limit: limit) == pks)
            #expect(try pages(fixture, ListRequest(table: name, reverse: true), limit: limit) == pks.reversed())
            #expect(try pages(fixture, ListRequest(table: name, prefix: "k1"), limit: limit) == pks.filter { $0.hasPrefix("k1") })
            #expect(
                try pages(fixture, ListRequest(table: name, prefix: "k", reverse: true), limit: limit)
                    == pks.filter { $0.hasPrefix("k") }.reversed())
        }
        #expect(
            try fixture.database.list(ListRequest(table: name, keysOnly: true)).entities.allSatisfy {
                $0.document.isEmpty && $0.version > 0
            })
    }

    @Test func `deleting the entity at a cursor loses and repeats nothing`() throws {
        let (fixture, pks) = try filled()
        var seen: [String] = []
        var cursor: String?
        repeat {
            let page = try fixture.database.list(ListRequest(table: name), cursor: cursor, limit: 3)
            seen += page.entities.map(\.key.pk)
            if let last = page.entities.last { try fixture.delete("a:\(last.key.pk)") }
            cursor = page.nextCursor
        } while cursor != nil
        #expect(seen == pks)
    }

    @Test func `a cursor is good only for its own request and only from this server`() throws {
        let (fixture, _) = try filled()
        let cursor = try #require(try fixture.database.list(ListRequest(table: name), limit: 2).nextCursor)
        func code(_ cursor: String, _ request: ListRequest) -> ErrorCode? {
            errorCode { _ = try fixture.database.list(request, cursor: cursor) }
        }
        #expect(code(cursor, ListRequest(table: name)) == nil)
        #expect(code(cursor, ListRequest(table: TableName(stored: "b"))) == .invalidCursor)
        #expect(code(cursor, ListRequest(table: name, prefix: "k")) == .invalidCursor)
        #expect(code(cursor, ListRequest(table: name, reverse: true)) == .invalidCursor)
        for index in cursor.indices {
            var wrong = cursor
            wrong.replaceSubrange(index...index, with: cursor[index] == "A" ? "B" : "A")
            #expect(code(wrong, ListRequest(table: name)) == .invalidCursor)
        }
        for wrong in ["", "!", "AAAA", String(cursor.dropLast()), cursor + "A"] {
            #expect(code(wrong, ListRequest(table: name)) == .invalidCursor)
        }
        let (other, _) = try filled()
        #expect(errorCode { _ = try other.database.list(ListRequest(table: name), cursor: cursor) } == .invalidCursor)
    }

    @Test func `a page ends early when it is full of bytes`() throws {
        let fixture = try DatabaseFixture()
        for index in 0..<10 { try fixture.put("a:\(index)", #"{"t":"\#(String(repeating: "x", count: 1_000))"}"#) }
        let page = try fixture.database.list(ListRequest(table: name), limit: 100, maxBytes: 2_500)
        #expect(page.entities.count == 3 && page.nextCursor != nil)
        let keys = try (0..<10).map { try DatabaseFixture.key("a:\($0)") }
        let many = try fixture.database.multiGet(keys, maxBytes: 2_500)
        #expect(many.entities.count == 2 && many.unread == 8)
        #expect(try fixture.database.multiGet(keys, maxBytes: 10).entities.count == 1)
    }

    @Test func `an export sees one state`() throws {
        let (fixture, pks) = try filled()
        let export = try fixture.database.export(ListRequest(table: name))
        var seen = try export.next(maxBytes: 1).map(\.key.pk)
        #expect(seen.count == 1)
        for pk in pks { try fixture.delete("a:\(pk)") }
        try fixture.put("a:kk", "{}")
        while true {
            let more = try export.next(maxBytes: 200)
            guard !more.isEmpty else { break }
            seen += more.map(\.key.pk)
        }
        #expect(seen == pks)
        #expect(export.sequence == SequenceNumber(pks.count + 2))
    }

    @Test func `reads project and keep the order of keys asked for`() throws {
        let fixture = try DatabaseFixture()
        try fixture.put("a:1", #"{"x":1,"y":{"z":2,"w":3}}"#)
        let key = try DatabaseFixture.key("a:1")
        let entity = try #require(try fixture.database.get(key, fields: ["y.z"]))
        #expect(String(decoding: entity.document, as: UTF8.self) == #"{"y":{"z":2}}"#)
        let none = try DatabaseFixture.key("nowhere:1")
        let many = try fixture.database.multiGet([none, key, key, DatabaseFixture.key("a:2")], fields: ["x"])
        #expect(
            many.entities.map { $0.map { String(decoding: $0.document, as: UTF8.self) } } == [nil, #"{"x":1}"#, #"{"x":1}"#, nil])
        guard case .hit(let cached) = try fixture.database.cachedGet(key) else {
            Issue.record("memory can tell")
            return
        }
        #expect(cached.version == 1)
        guard case .absent = try fixture.database.cachedGet(none) else {
            Issue.record("memory can tell")
            return
        }
    }
}
