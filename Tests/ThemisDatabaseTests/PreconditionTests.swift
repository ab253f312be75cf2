import Testing
import ThemisBase
import ThemisDatabase

@Suite struct PreconditionTests {
    @Test func `a write happens only at the version that its caller has seen`() throws {
        let fixture = try DatabaseFixture()
        let first = try fixture.put("a:1", "{}")
        let error = thrown { try fixture.put("a:1", #"{"x":1}"#, if: .version(first.version + 1)) }
        #expect(error?.code == .preconditionFailed)
        #expect(error?.members.first?.value == .number(first.version))
        #expect(try fixture.document("a:1") == "{}")
        let second = try fixture.put("a:1", #"{"x":1}"#, if: .version(first.version))
        #expect(second.version > first.version)
        #expect(errorCode { try fixture.delete("a:1", if: .version(first.version)) } == .preconditionFailed)
        #expect(try fixture.delete("a:1", if: .version(second.version)).deleted)
        #expect(errorCode { try fixture.delete("a:1", if: .version(second.version)) } == .preconditionFailed)
    }

    @Test func `absent and exists mean what they say`() throws {
        let fixture = try DatabaseFixture()
        #expect(errorCode { try fixture.put("a:1", "{}", if: .exists) } == .preconditionFailed)
        #expect(fixture.database.tables().isEmpty, "a refused write makes no table")
        #expect(try fixture.put("a:1", "{}", if: .absent).created)
        #expect(errorCode { try fixture.put("a:1", "{}", if: .absent) } == .preconditionFailed)
        #expect(try !fixture.put("a:1", "{}", if: .exists).created)
        #expect(errorCode { try fixture.delete("a:2", if: .exists) } == .preconditionFailed)
        #expect(fixture.database.durableSequence == 2)
    }

    @Test func `a patch needs an entity and leaves it alone when it fails`() throws {
        let fixture = try DatabaseFixture()
        #expect(errorCode { try fixture.patch("a:1", merge: "{}") } == .notFound)
        try fixture.put("a:1", #"{"n":1,"keep":1.0}"#)
        try fixture.patch("a:1", merge: #"{"n":2}"#)
        #expect(try fixture.document("a:1") == #"{"n":2,"keep":1.0}"#)
        let test = Array(#"[{"op":"test","path":"/n","value":7},{"op":"replace","path":"/n","value":8}]"#.utf8)
        #expect(
            errorCode { _ = try fixture.submit(WriteOperation(DatabaseFixture.key("a:1"), .jsonPatch(test))).get() }
                == .unprocessable)
        #expect(try fixture.document("a:1") == #"{"n":2,"keep":1.0}"#)
        #expect(errorCode { try fixture.patch("a:1", merge: "{") } == .invalidJSON)
    }
}
