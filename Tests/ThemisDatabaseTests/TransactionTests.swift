import Testing
import ThemisBase
import ThemisDatabase

@Suite struct TransactionTests {
    private func put(_ key: String, _ document: String, if condition: WriteCondition = .none) throws -> WriteOperation {
        WriteOperation(try DatabaseFixture.key(key), .put(Array(document.utf8)), if: condition)
    }

    @Test func `an atomic batch is one contiguous transaction`() throws {
        let fixture = try DatabaseFixture()
        try fixture.put("a:0", "{}")
        let done = try fixture.atomic([
            put("a:1", "{}"), WriteOperation(DatabaseFixture.key("a:0"), .delete), put("b:1", "{}"),
            WriteOperation(DatabaseFixture.key("a:9"), .delete),
        ])
        #expect(done.results.map(\.sequence) == [2, 3, 4, 0])
        #expect(done.sequence == 4)
        let changes = try fixture.changes(after: 1).changes
        #expect(changes.map(\.sequence) == [2, 3, 4])
        #expect(changes.map(\.transactionIndex) == [0, 1, 2])
        #expect(changes.allSatisfy { $0.transactionCount == 3 })
    }

    @Test func `one failing operation undoes everything, also a new table`() throws {
        let fixture = try DatabaseFixture()
        try fixture.put("a:0", "{}")
        let before = fixture.database.tables()
        let error = thrown {
            try fixture.atomic([put("new:1", "{}"), put("a:0", "[1]".isEmpty ? "" : "{}"), put("a:0", "{}", if: .absent)])
        }
        #expect(error?.code == .preconditionFailed)
        #expect(error?.fields.first?.field == "operations[2]")
        #expect(try fixture.document("new:1") == nil)
        #expect(fixture.database.tables().map(\.name) == before.map(\.name))
        #expect(fixture.database.tables()[0].entities == before[0].entities)
        #expect(fixture.database.durableSequence == 1)
        // What follows stands on the state before.
        #expect(try fixture.put("a:0", "{}").version == 2)
        #expect(try fixture.changes(after: 1).changes[0].previousVersion == 1)
    }

    @Test func `operations of one batch see each other`() throws {
        let fixture = try DatabaseFixture()
        let patch = WriteOperation(try DatabaseFixture.key("a:1"), .mergePatch(Array(#"{"y":2}"#.utf8)))
        let done = try fixture.atomic([
            put("a:1", #"{"x":1}"#), patch, WriteOperation(DatabaseFixture.key("a:1"), .delete, if: .exists),
            put("a:1", #"{"z":1}"#, if: .absent), patch,
        ])
        #expect(done.results.map(\.created) == [true, false, false, true, false])
        #expect(try fixture.document("a:1") == #"{"z":1,"y":2}"#)
        let changes = try fixture.changes().changes
        #expect(changes.map(\.previousVersion) == [0, 1, 2, 0, 4])
        #expect(fixture.database.tables()[0].entities == 1)
    }

    @Test func `a transaction whose changes are too large is refused as a whole`() throws {
        var options = DatabaseOptions()
        options.transactionBytes = 10_000
        let fixture = try DatabaseFixture(options: options)
        let text = String(repeating: "x", count: 4_000)
        for index in 1...3 { try fixture.put("a:\(index)", #"{"text":"\#(text)"}"#) }
        func patches(_ count: Int) throws -> [WriteOperation] {
            try (1...count).map { WriteOperation(try DatabaseFixture.key("a:\($0)"), .mergePatch(Array(#"{"n":1}"#.utf8))) }
        }
        #expect(errorCode { _ = try fixture.atomic(patches(3)) } == .bodyTooLarge)
        #expect(fixture.database.durableSequence == 3)
        #expect(try fixture.atomic(patches(2)).sequence == 5)
        #expect(try fixture.document("a:3")?.contains("\"n\"") == false)
    }

    @Test func `a wrong document is named by its place`() throws {
        let fixture = try DatabaseFixture()
        let error = thrown { try fixture.atomic([put("a:1", "{}"), put("a:2", "[]")]) }
        #expect(error?.code == .invalidJSON)
        #expect(error?.fields.first?.field == "operations[1]")
        #expect(errorCode { try fixture.atomic([]) } == .invalidRequest)
        #expect(fixture.database.durableSequence == 0)
    }
}
