import Testing

@testable import ThemisBase

@Suite struct JSONMergePatchTests {
    private func merge(_ target: String, _ patch: String) throws -> String {
        String(decoding: try JSONMergePatch.merge(Array(patch.utf8), to: Array(target.utf8)), as: UTF8.self)
    }

    /// RFC 7396, appendix A, all rows.
    @Test(arguments: [
        (#"{"a":"b"}"#, #"{"a":"c"}"#, #"{"a":"c"}"#), (#"{"a":"b"}"#, #"{"b":"c"}"#, #"{"a":"b","b":"c"}"#),
        (#"{"a":"b"}"#, #"{"a":null}"#, "{}"),
        (#"{"a":"b","b":"c"}"#, #"{"a":null}"#, #"{"b":"c"}"#), (#"{"a":["b"]}"#, #"{"a":"c"}"#, #"{"a":"c"}"#),
        (#"{"a":"c"}"#, #"{"a":["b"]}"#, #"{"a":["b"]}"#),
        (#"{"a":{"b":"c"}}"#, #"{"a":{"b":"d","c":null}}"#, #"{"a":{"b":"d"}}"#),
        (#"{"a":[{"b":"c"}]}"#, #"{"a":[1]}"#, #"{"a":[1]}"#), (#"["a","b"]"#, #"["c","d"]"#, #"["c","d"]"#),
        (#"{"a":"b"}"#, #"["c"]"#, #"["c"]"#),
        (#"{"a":"foo"}"#, "null", "null"), (#"{"a":"foo"}"#, #""bar""#, #""bar""#),
        (#"{"e":null}"#, #"{"a":1}"#, #"{"e":null,"a":1}"#),
        (#"[1,2]"#, #"{"a":"b","c":null}"#, #"{"a":"b"}"#), ("{}", #"{"a":{"bb":{"ccc":null}}}"#, #"{"a":{"bb":{}}}"#),
    ])
    func `RFC 7396 appendix A`(target: String, patch: String, result: String) throws {
        #expect(try merge(target, patch) == result)
    }

    /// RFC 7396, section 3.
    @Test func `RFC 7396 section 3`() throws {
        let target =
            #"{"title":"Goodbye!","author":{"givenName":"John","familyName":"Doe"},"tags":["example","sample"],"content":"unchanged"}"#
        let patch = #"{"title":"Hello!","phoneNumber":"+01-123-456-7890","author":{"familyName":null},"tags":["example"]}"#
        let result =
            #"{"title":"Hello!","author":{"givenName":"John"},"tags":["example"],"content":"unchanged","phoneNumber":"+01-123-456-7890"}"#
        #expect(try merge(target, patch) == result)
    }

    @Test func `untouched members keep their order and spelling`() throws {
        let target = #"{ "z":1.0, "a":{"n":18446744073709551615 , "m":"\u00e9"}, "k":[1E2] }"#
        #expect(
            try merge(target, #"{"a":{"x":1e400}}"#)
                == #"{"z":1.0,"a":{"n":18446744073709551615,"m":"\u00e9","x":1e400},"k":[1E2]}"#)
        #expect(try merge(#"{"\u0061":1,"b":2}"#, #"{"a":null,"\u0062":3}"#) == #"{"b":3}"#)
    }

    @Test func `the result must be an object of bounded size`() {
        let big = Array("{\"a\":\"".utf8) + [UInt8](repeating: 0x78, count: Limits.documentBytes - 8) + Array("\"}".utf8)
        for (patch, target) in [
            (Array("[1]".utf8), Array("{}".utf8)), (Array("null".utf8), Array("{}".utf8)), (Array("{\"b\":1}".utf8), big),
        ] {
            let error = #expect(throws: ThemisError.self) { try JSONMergePatch.apply(patch, to: target) }
            #expect(error?.code == .unprocessable)
        }
        let error = #expect(throws: ThemisError.self) {
            try JSONMergePatch.apply(Array("{\"a\":1,\"a\":2}".utf8), to: Array("{}".utf8))
        }
        #expect(error?.code == .invalidJSON)
    }

    @Test func `a merge of many members takes linear time`() throws {
        let target = "{" + (0..<20_000).map { "\"k\($0)\":1" }.joined(separator: ",") + "}"
        let patch = "{" + (0..<20_000).map { "\"k\($0 * 2)\":null" }.joined(separator: ",") + "}"
        #expect(try JSONMembers.scan(Array(merge(target, patch).utf8)).count == 10_000)
    }
}

@Suite struct JSONPatchTests {
    private func apply(_ target: String, _ patch: String) throws -> String {
        String(decoding: try JSONPatch.apply(Array(patch.utf8), to: Array(target.utf8)), as: UTF8.self)
    }

    private func failure(_ target: String, _ patch: String) -> ThemisError? {
        #expect(throws: ThemisError.self) { try apply(target, patch) }
    }

    /// RFC 6902, appendix A, the examples that succeed.
    @Test(arguments: [
        ("A.1", #"{"foo":"bar"}"#, #"[{"op":"add","path":"/baz","value":"qux"}]"#, #"{"foo":"bar","baz":"qux"}"#),
        ("A.2", #"{"foo":["bar","baz"]}"#, #"[{"op":"add","path":"/foo/1","value":"qux"}]"#, #"{"foo":["bar","qux","baz"]}"#),
        ("A.3", #"{"baz":"qux","foo":"bar"}"#, #"[{"op":"remove","path":"/baz"}]"#, #"{"foo":"bar"}"#),
        ("A.4", #"{"foo":["bar","qux","baz"]}"#, #"[{"op":"remove","path":"/foo/1"}]"#, #"{"foo":["bar","baz"]}"#),
        ("A.5", #"{"baz":"qux","foo":"bar"}"#, #"[{"op":"replace","path":"/baz","value":"boo"}]"#, #"{"baz":"boo","foo":"bar"}"#),
        (
            "A.6", #"{"foo":{"bar":"baz","waldo":"fred"},"qux":{"corge":"grault"}}"#,
            #"[{"op":"move","from":"/foo/waldo","path":"/qux/thud"}]"#,
            #"{"foo":{"bar":"baz"},"qux":{"corge":"grault","thud":"fred"}}"#
        ),
        (
            "A.7", #"{"foo":["all","grass","cows","eat"]}"#, #"[{"op":"move","from":"/foo/1","path":"/foo/3"}]"#,
            #"{"foo":["all","cows","eat","grass"]}"#
        ),
        (
            "A.8", #"{"baz":"qux","foo":["a",2,"c"]}"#,
            #"[{"op":"test","path":"/baz","value":"qux"},{"op":"test","path":"/foo/1","value":2}]"#,
            #"{"baz":"qux","foo":["a",2,"c"]}"#
        ),
        (
            "A.10", #"{"foo":"bar"}"#, #"[{"op":"add","path":"/child","value":{"grandchild":{}}}]"#,
            #"{"foo":"bar","child":{"grandchild":{}}}"#
        ),
        ("A.11", #"{"foo":"bar"}"#, #"[{"op":"add","path":"/baz","value":"qux","xyz":123}]"#, #"{"foo":"bar","baz":"qux"}"#),
        ("A.14", #"{"/":9,"~1":10}"#, #"[{"op":"test","path":"/~01","value":10}]"#, #"{"/":9,"~1":10}"#),
        (
            "A.16", #"{"foo":["bar"]}"#, #"[{"op":"add","path":"/foo/-","value":["abc","def"]}]"#,
            #"{"foo":["bar",["abc","def"]]}"#
        ),
    ])
    func `RFC 6902 appendix A, what succeeds`(name: String, target: String, patch: String, result: String) throws {
        #expect(try apply(target, patch) == result)
    }

    /// RFC 6902, appendix A, the examples that fail.
    @Test(arguments: [
        ("A.9", #"{"baz":"qux"}"#, #"[{"op":"test","path":"/baz","value":"bar"}]"#, "unprocessable"),
        ("A.12", #"{"foo":"bar"}"#, #"[{"op":"add","path":"/baz/bat","value":"qux"}]"#, "unprocessable"),
        ("A.13", #"{"foo":"bar"}"#, #"[{"op":"add","path":"/baz","value":"qux","op":"remove"}]"#, "invalid_json"),
        ("A.15", #"{"/":9,"~1":10}"#, #"[{"op":"test","path":"/~01","value":"10"}]"#, "unprocessable"),
    ])
    func `RFC 6902 appendix A, what fails`(name: String, target: String, patch: String, code: String) {
        #expect(failure(target, patch)?.code.word == code)
    }

    @Test(arguments: [
        (#"{"a":1}"#, #"[{"op":"add","path":"","value":{"b":2}}]"#, #"{"b":2}"#),
        (#"{"a":1}"#, #"[{"op":"replace","path":"","value":{"b":2}},{"op":"add","path":"/c","value":3}]"#, #"{"b":2,"c":3}"#),
        (#"{"a":{"b":1}}"#, #"[{"op":"move","from":"/a","path":""}]"#, #"{"b":1}"#),
        (#"{"a":1,"b":2}"#, #"[{"op":"add","path":"/a","value":null}]"#, #"{"a":null,"b":2}"#),
        (#"{"a":1,"b":2}"#, #"[{"op":"move","from":"/a","path":"/a"}]"#, #"{"a":1,"b":2}"#),
        (#"{"a":[1]}"#, #"[{"op":"add","path":"/a/1","value":2},{"op":"add","path":"/a/0","value":0}]"#, #"{"a":[0,1,2]}"#),
        (
            #"{"a":{"x":[1]}}"#, #"[{"op":"copy","from":"/a/x","path":"/b"},{"op":"add","path":"/b/-","value":2}]"#,
            #"{"a":{"x":[1]},"b":[1,2]}"#
        ),
        (#"{"":1,"/":{"~":2}}"#, #"[{"op":"remove","path":"/"},{"op":"replace","path":"/~1/~0","value":3}]"#, #"{"/":{"~":3}}"#),
        (
            #"{"a":1.0,"b":1E2}"#,
            #"[{"op":"test","path":"/a","value":1},{"op":"add","path":"/c","value":18446744073709551615}]"#,
            #"{"a":1.0,"b":1E2,"c":18446744073709551615}"#
        ),
        (
            #"{"a":{"x":1,"y":[2]}}"#,
            #"[{"op":"test","path":"/a","value":{"y":[2.0],"x":1}},{"op":"test","path":"","value":{"a":{"x":1,"y":[2]}}}]"#,
            #"{"a":{"x":1,"y":[2]}}"#
        ),
        (#"{"0":{"-":1}}"#, #"[{"op":"test","path":"/0/-","value":1}]"#, #"{"0":{"-":1}}"#),
        ("{}", "[]", "{}"),
    ])
    func `operations in all positions`(target: String, patch: String, result: String) throws {
        #expect(try apply(target, patch) == result)
    }

    @Test(arguments: [
        (#"[{"op":"remove","path":"/x"}]"#, "[0].path"), (#"[{"op":"replace","path":"/x","value":1}]"#, "[0].path"),
        (#"[{"op":"test","path":"/x","value":1}]"#, "[0].path"), (#"[{"op":"test","path":"/a","value":{"x":1,"b":[0]}}]"#, "[0]"),
        (#"[{"op":"add","path":"/a/b/4","value":1}]"#, "[0].path"), (#"[{"op":"add","path":"/a/b/01","value":1}]"#, "[0].path"),
        (#"[{"op":"add","path":"/a/b/-1","value":1}]"#, "[0].path"), (#"[{"op":"add","path":"/a/b/1e0","value":1}]"#, "[0].path"),
        (#"[{"op":"add","path":"/a/b/99999999999999999999","value":1}]"#, "[0].path"),
        (#"[{"op":"add","path":"/a/b/","value":1}]"#, "[0].path"),
        (#"[{"op":"remove","path":"/a/b/-"}]"#, "[0].path"), (#"[{"op":"replace","path":"/a/b/3","value":1}]"#, "[0].path"),
        (#"[{"op":"remove","path":""}]"#, "[0].path"), (#"[{"op":"add","path":"/n/x","value":1}]"#, "[0].path"),
        (#"[{"op":"remove","path":"/n"},{"op":"copy","from":"/n","path":"/m"}]"#, "[1].from"),
        (#"[{"op":"move","from":"/x","path":"/x"}]"#, "[0].from"),
    ])
    func `an operation that cannot be done is named`(patch: String, field: String) {
        let error = failure(#"{"a":{"b":[1,2,3]},"n":1}"#, patch)
        #expect(error?.code == .unprocessable)
        #expect(error?.fields.map(\.field) == [field])
    }

    @Test(
        arguments: [
            (#"{}"#, nil), (#"[1]"#, "[0]"), (#"[{}]"#, "[0].op"), (#"[{"op":"add","path":"/a"}]"#, "[0].value"),
            (#"[{"op":"add","value":1}]"#, "[0].path"),
            (#"[{"op":"ADD","path":"/a","value":1}]"#, "[0].op"), (#"[{"op":"add","path":"a","value":1}]"#, "[0].path"),
            (#"[{"op":"add","path":"/~2","value":1}]"#, "[0].path"), (#"[{"op":"add","path":"/~","value":1}]"#, "[0].path"),
            (#"[{"op":"add","path":1,"value":1}]"#, "[0].path"), (#"[{"op":"move","path":"/a"}]"#, "[0].from"),
            (#"[{"op":"test","path":"/a","value":1},{"op":"move","from":"/a","path":"/a/b"}]"#, "[1].path"),
            (#"[{"op":"add","path":"/\ud800","value":1}]"#, "[0].path"),
        ] as [(String, String?)])
    func `a malformed patch is refused`(patch: String, field: String?) {
        let error = failure(#"{"a":1}"#, patch)
        #expect(error?.code == .invalidRequest)
        #expect(error?.fields.first?.field == field)
    }

    @Test func `the result must be an object`() {
        #expect(failure("{}", #"[{"op":"replace","path":"","value":[1]}]"#)?.code == .unprocessable)
    }

    @Test func `growing by copies ends at the size of a document`() {
        let copies = (0..<40).map { "{\"op\":\"copy\",\"from\":\"\",\"path\":\"/c\($0)\"}" }.joined(separator: ",")
        #expect(failure(#"{"a":"0123456789"}"#, "[\(copies)]")?.code == .unprocessable)
        let lists = (0..<40).map { _ in "{\"op\":\"copy\",\"from\":\"/a\",\"path\":\"/a/-\"}" }.joined(separator: ",")
        #expect(failure(#"{"a":[1]}"#, "[\(lists)]")?.code == .unprocessable)
    }

    @Test func `growing in depth ends at 128 levels`() throws {
        func nest(_ levels: Int) -> String {
            var path = ""
            var operations: [String] = []
            for _ in 1..<levels {
                path += "/a"
                operations.append("{\"op\":\"add\",\"path\":\"\(path)\",\"value\":{}}")
            }
            return "[" + operations.joined(separator: ",") + "]"
        }
        let deepest = try apply("{}", nest(128))
        try JSONDocument.validateDocument(Array(deepest.utf8))
        #expect(failure("{}", nest(129))?.code == .unprocessable)
        #expect(failure("{}", nest(1_000))?.code == .invalidRequest)
        let value = String(repeating: "[", count: 128) + String(repeating: "]", count: 128)
        #expect(failure("{}", #"[{"op":"add","path":"/a","value":\#(value)}]"#)?.code == .unprocessable)
    }

    @Test func `the number of operations and their work is bounded`() {
        let test = #"{"op":"test","path":"/a","value":1}"#
        #expect(throws: Never.self) {
            try apply(#"{"a":1}"#, "[" + Array(repeating: test, count: 10_000).joined(separator: ",") + "]")
        }
        #expect(
            failure(#"{"a":1}"#, "[" + Array(repeating: test, count: 10_001).joined(separator: ",") + "]")?.code
                == .invalidRequest)
        let insert = #"{"op":"add","path":"/a/0","value":1}"#
        let target = "{\"a\":[" + Array(repeating: "0", count: 40_000).joined(separator: ",") + "]}"
        let error = failure(target, "[" + Array(repeating: insert, count: 5_000).joined(separator: ",") + "]")
        #expect(error?.message.contains("too expensive") == true)
    }

    @Test func `pointers are read as RFC 6901 says`() {
        let cases: [(String, [String]?)] = [
            ("", []), ("/", [""]), ("/foo", ["foo"]), ("/foo/0", ["foo", "0"]), ("/a~1b", ["a/b"]), ("/m~0n", ["m~n"]),
            ("/~01", ["~1"]), ("/ ", [" "]),
            ("/c%d", ["c%d"]), ("//", ["", ""]), ("/é", ["é"]), ("foo", nil), ("/~", nil), ("/~2", nil), ("/a~", nil),
            (" /", nil),
        ]
        for (text, tokens) in cases { #expect(JSONPointer(text)?.tokens == tokens, "\(text)") }
    }
}

@Suite struct JSONProjectionTests {
    private let document =
        #"{ "z":1.0, "a":{"n":18446744073709551615 , "m":{"x":[1, 2],"y":null}}, "\u006b":[{"i":1}],"s":"\u00e9", "e":{} }"#

    @Test(arguments: [
        ("z", #"{"z":1.0}"#), ("a.n", #"{"a":{"n":18446744073709551615}}"#), ("s,z", #"{"z":1.0,"s":"\u00e9"}"#),
        ("a.m.y", #"{"a":{"m":{"y":null}}}"#),
        ("a.m", #"{"a":{"m":{"x":[1, 2],"y":null}}}"#), ("a.m.x,a.m", #"{"a":{"m":{"x":[1, 2],"y":null}}}"#), ("a.q", "{}"),
        ("q", "{}"), ("z.q", "{}"),
        ("a.m.q,a.n", #"{"a":{"n":18446744073709551615}}"#), ("k", #"{"\u006b":[{"i":1}]}"#), ("k.i", "{}"), ("e", #"{"e":{}}"#),
        ("e.x", "{}"), ("z,z", #"{"z":1.0}"#),
        ("q,z,r.s,s", #"{"z":1.0,"s":"\u00e9"}"#),
    ])
    func `a projection keeps order and spelling`(fields: String, expected: String) throws {
        let result = try JSONProjection(fields: fields).apply(to: Array(document.utf8))
        #expect(String(decoding: result, as: UTF8.self) == expected)
        try JSONDocument.validateDocument(result)
    }

    @Test(arguments: [
        "", ",", "a,", "a..b", ".a", "a.", Array(repeating: "a", count: 65).joined(separator: ","),
        Array(repeating: "a", count: 129).joined(separator: "."),
    ])
    func `a malformed or unbounded projection is refused`(fields: String) {
        let error = #expect(throws: ThemisError.self) { try JSONProjection(fields: fields) }
        #expect(error?.code == .invalidRequest)
    }

    @Test func `64 paths are allowed`() throws {
        let fields = (0..<64).map { "f\($0)" }.joined(separator: ",")
        #expect(try JSONProjection(fields: fields).apply(to: Array(#"{"f63":1,"f64":2}"#.utf8)) == Array(#"{"f63":1}"#.utf8))
        #expect(throws: ThemisError.self) { try JSONProjection(paths: []) }
    }
}
