import Testing
import ThemisBase

@Suite struct IdentifierTests {
    @Test func `a key is split at the first colon`() throws {
        let key = try EntityKey(validating: "users:a:b/c")
        #expect(key.table.text == "users")
        #expect(key.pk == "a:b/c")
    }

    @Test(arguments: ["", "users", ":1", "users:", "1x:a", "us ers:a", "u:\u{7}", "u:\u{85}", String(repeating: "t", count: 65) + ":a"])
    func `a malformed key is refused`(text: String) {
        #expect(throws: ThemisError.self) { try EntityKey(validating: text) }
    }

    @Test func `a pk may have 512 bytes and no more`() throws {
        _ = try EntityKey(validating: "t:" + String(repeating: "é", count: 256))
        #expect(throws: ThemisError.self) { try EntityKey(validating: "t:" + String(repeating: "é", count: 256) + "x") }
    }

    @Test func `error numbers and words are unique`() {
        #expect(Set(ErrorCode.all.map(\.number)).count == ErrorCode.all.count)
        #expect(Set(ErrorCode.all.map(\.word)).count == ErrorCode.all.count)
    }
}
