import Testing
import ThemisBase
import ThemisDatabase
import ThemisStorage

@Suite struct EntityTests {
    @Test func `a document comes back as it was sent`() throws {
        let fixture = try DatabaseFixture()
        let text = #"{ "b":1.50, "a" : [1,2,18446744073709551615] }"#
        let first = try fixture.put("users:ann", text)
        #expect(first.created && first.version == first.sequence && first.durable)
        let entity = try #require(try fixture.database.get(DatabaseFixture.key("users:ann")))
        #expect(String(decoding: entity.document, as: UTF8.self) == text)
        #expect(entity.version == first.version)
        let second = try fixture.put("users:ann", "{}")
        #expect(!second.created && second.version == first.version + 1)
        let third = try fixture.delete("users:ann")
        #expect(third.deleted && third.version == 0 && third.sequence == second.sequence + 1)
        #expect(try fixture.delete("users:ann") == OperationResult())
        #expect(try fixture.document("users:ann") == nil)
    }

    @Test func `what is no document is refused and nothing is written`() throws {
        let fixture = try DatabaseFixture()
        for text in ["", "[]", "{", #"{"a":1,"a":2}"#, "1"] {
            #expect(errorCode { try fixture.put("users:ann", text) } == .invalidJSON)
        }
        #expect(fixture.database.durableSequence == 0)
    }
}
