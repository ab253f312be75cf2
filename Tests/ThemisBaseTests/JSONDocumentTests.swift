import Testing
import ThemisBase

@Suite struct JSONDocumentTests {
    private func fault(_ text: String, depth: Int = Limits.jsonDepth) -> String? { fault(Array(text.utf8), depth: depth) }

    private func fault(_ bytes: [UInt8], depth: Int = Limits.jsonDepth) -> String? {
        do {
            try JSONDocument.validate(bytes, depth: depth)
            return nil
        } catch {
            #expect(error.code == .invalidJSON)
            return error.message
        }
    }

    @Test(arguments: [
        "null", "true", " false ", "0", "-0", "-1.5e+10", "1E400", "123456789012345678901234567890.5", "\"\"", "[]", "{}",
        "[[],{}]", "\t[\r\n1 , 2 ]\n",
        #"{"a":1,"b":{"a":1},"c":[{"a":1},{"a":1}]}"#, #""\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00""#, #""\ud800""#,
        #"{"\udc00\ud800":1}"#, "\"é€😀\u{7F}\"",
        "{\n        \"a\": 1\n}", #"{"":1}"#, "\"\u{FEFF}\"",
    ])
    func `valid JSON is accepted`(text: String) { #expect(fault(text) == nil) }

    @Test(arguments: [
        ("", 0, "ends"), ("  ", 2, "ends"), ("nul", 3, "ends"), ("nulL", 0, "value"), ("True", 0, "value"), ("01", 1, "number"),
        ("-", 1, "ends"),
        ("-x", 1, "number"), ("+1", 0, "value"), (".5", 0, "value"), ("1.", 2, "ends"), ("1.x", 2, "number"), ("1e", 2, "ends"),
        ("1e+-1", 3, "number"),
        ("1 2", 2, "follows"), ("[1,]", 3, "value"), ("[1 2]", 3, "','"), ("[1}", 2, "','"), ("{]", 1, "name"),
        ("{\"a\"}", 4, "':'"),
        ("{\"a\":}", 5, "value"), ("{\"a\":1,}", 7, "name"), ("{'a':1}", 1, "name"), ("{a:1}", 1, "name"), ("[", 1, "ends"),
        ("{\"a\":1", 6, "ends"),
        ("\"a", 2, "ends"), ("\"a\\", 3, "ends"), ("\"\\x\"", 1, "escape"), ("\"\\u12g4\"", 1, "escape"), ("\"\\u12", 5, "ends"),
        ("\"a\u{1}\"", 2, "control"),
        ("\"a\nb\"", 2, "control"), ("[NaN]", 1, "value"), ("[Infinity]", 1, "value"), ("[1] x", 4, "follows"),
        ("/**/1", 0, "value"), ("\u{FEFF}{}", 0, "mark"),
        ("\u{A0}1", 0, "value"), ("]", 0, "value"), ("{\"a\":1]", 6, "','"), ("{\"a\" 1}", 5, "':'"), ("{,}", 1, "name"),
        ("[,]", 1, "value"), ("0x1", 1, "follows"),
        ("\u{0}", 0, "value"), ("1\u{0}", 1, "follows"), ("-01", 2, "number"), ("{\"abcdefgh\":1,\"abcdefgh\":2}", 14, "twice"),
    ])
    func `invalid JSON is refused with the offset and the reason`(text: String, offset: Int, reason: String) {
        let message = fault(text)
        #expect(message?.hasPrefix("invalid JSON at byte \(offset): ") == true, "\(message ?? "accepted")")
        #expect(message?.contains(reason) == true, "\(message ?? "accepted")")
    }

    @Test(
        arguments: [
            [0x80], [0xBF], [0xC0, 0x80], [0xC1, 0xBF], [0xC3], [0xC3, 0x28], [0xE0, 0x80, 0x80], [0xE0, 0x9F, 0xBF],
            [0xE2, 0x82], [0xE2, 0x28, 0xA1],
            [0xED, 0xA0, 0x80], [0xED, 0xBF, 0xBF], [0xF0, 0x80, 0x80, 0x80], [0xF0, 0x8F, 0xBF, 0xBF], [0xF0, 0x9F, 0x98],
            [0xF4, 0x90, 0x80, 0x80],
            [0xF5, 0x80, 0x80, 0x80], [0xFE], [0xFF],
        ] as [[UInt8]])
    func `invalid UTF-8 is refused`(sequence: [UInt8]) {
        for padding in 0..<10 {
            let head = [0x22] + [UInt8](repeating: 0x61, count: padding)
            for tail in [[0x22], [UInt8](repeating: 0x62, count: 9) + [0x22], []] {
                let message = fault(head + sequence + tail)
                #expect(message == "invalid JSON at byte \(padding + 1): invalid UTF-8", "padding \(padding)")
            }
        }
    }

    @Test func `every scalar of Unicode is accepted`() {
        var bytes: [UInt8] = [0x22]
        for value in UInt32(0x80)...0x10FFFF {
            guard let scalar = Unicode.Scalar(value) else { continue }
            bytes.append(contentsOf: String(Character(scalar)).utf8)
        }
        bytes.append(0x22)
        #expect(fault(bytes) == nil)
    }

    @Test func `a body 5 000 deep is refused with a clear error`() {
        let deep = String(repeating: "{\"a\":[", count: 2_500) + String(repeating: "]}", count: 2_500)
        #expect(fault(deep) == "invalid JSON at byte 384: nested too deeply (at most 128 levels)")
        #expect(
            fault(String(repeating: "[", count: 1_000_000)) == "invalid JSON at byte 128: nested too deeply (at most 128 levels)")
    }

    @Test(arguments: [1, 2, 63, 64, 65, 127, 128, 129, 192, 256])
    func `nesting is allowed to the bound and not beyond`(depth: Int) {
        func nested(_ levels: Int) -> String {
            let opens = (0..<levels).map { $0 % 3 == 0 ? "{\"k\":" : "[" }.joined()
            let closes = (0..<levels).reversed().map { $0 % 3 == 0 ? "}" : "]" }.joined()
            return opens + "1" + closes
        }
        #expect(fault(nested(depth), depth: depth) == nil)
        #expect(fault(nested(depth + 1), depth: depth)?.contains("too deeply") == true)
        #expect(fault(String(nested(depth).dropLast()), depth: depth)?.contains("ends") == true)
    }

    @Test func `a name is refused the second time in one object, however it is spelled`() {
        #expect(fault(#"{"a":1,"b":2,"a":3}"#) == "invalid JSON at byte 13: a name occurs twice in one object")
        #expect(fault(#"{"a":1,"\u0061":3}"#)?.contains("twice") == true)
        #expect(fault(#"{"\u0061":1,"a":3}"#)?.contains("twice") == true)
        #expect(fault(#"{"":1,"":3}"#)?.contains("twice") == true)
        #expect(fault(#"{"\ud83d\ude00":1,"😀":3}"#)?.contains("twice") == true)
        #expect(fault(#"{"\uD800":1,"\ud800":3}"#)?.contains("twice") == true)
        #expect(fault(#"{"\uD800":1,"\ud801":3}"#) == nil)
        #expect(fault(#"{"x":{"a":1,"b":{"a":1}},"a":{"x":1,"a":1},"y":{"a":{"a":{}}}}"#) == nil)
        #expect(fault(#"{"x":{"a":1,"b":{"a":1}},"a":1,"x":2}"#)?.contains("twice") == true)
        // Canonically equal, but not the same code points.
        #expect(fault("{\"\u{E9}\":1,\"e\u{301}\":2}") == nil)
    }

    @Test(arguments: 1...70)
    func `a repeated name is found in objects of every size`(count: Int) {
        for repeated in Set([0, count / 2, count - 1]) {
            for inner in ["1", "{\"k0\":1,\"k1\":[{\"k0\":2}]}"] {
                let names = (0..<count).map { "\"k\($0)\":\(inner)" }
                #expect(fault("{" + names.joined(separator: ",") + "}") == nil)
                let text = "{" + (names + ["\"\\u006b\(repeated)\":1"]).joined(separator: ",") + "}"
                #expect(fault(text)?.contains("twice") == true, "\(count) names, number \(repeated) again")
            }
        }
    }

    @Test func `a large object inside a large object keeps both sets of names apart`() {
        let many = (0..<100).map { "\"n\($0)\":0" }.joined(separator: ",")
        #expect(fault("{\(many),\"in\":{\(many),\"in\":{\(many)}},\"after\":1}") == nil)
        #expect(fault("{\(many),\"in\":{\(many),\"in\":{\(many)}},\"n99\":1}")?.contains("twice") == true)
        #expect(fault("{\(many),\"in\":{\(many),\"in\":{\(many)},\"n0\":1}}")?.contains("twice") == true)
    }

    @Test func `40 000 duplicate keys are refused quickly`() {
        let duplicates = "{" + Array(repeating: "\"key\":1", count: 40_000).joined(separator: ",") + "}"
        let distinct = (0..<40_000).map { "\"key\($0)\":1" }.joined(separator: ",")
        let clock = ContinuousClock()
        let duration = clock.measure {
            #expect(fault(duplicates) == "invalid JSON at byte 9: a name occurs twice in one object")
            #expect(fault("{\(distinct),\"key39999\":2}")?.contains("twice") == true)
            #expect(fault("{\(distinct)}") == nil)
        }
        // Comparing each with each would take 800 million comparisons, which is minutes in a debug build.
        #expect(duration < .seconds(5))
    }

    @Test func `a document is an object of bounded size`() throws {
        try JSONDocument.validateDocument(Array(" {\"a\":1} ".utf8))
        for text in ["[]", "1", "\"{}\"", "null"] {
            let error = #expect(throws: ThemisError.self) { try JSONDocument.validateDocument(Array(text.utf8)) }
            #expect(error?.message == "invalid JSON at byte 0: expected an object")
        }
        let fitting = Array("{\"a\":\"".utf8) + [UInt8](repeating: 0x78, count: Limits.documentBytes - 8) + Array("\"}".utf8)
        try JSONDocument.validateDocument(fitting)
        let error = #expect(throws: ThemisError.self) { try JSONDocument.validateDocument(fitting + [0x20]) }
        #expect(error?.code == .bodyTooLarge)
    }

    @Test func `only the given range is read`() throws {
        let bytes = Array("xx{\"a\":1}yy".utf8)
        try JSONDocument.validateDocument(bytes, in: 2..<9)
        #expect(throws: ThemisError.self) { try JSONDocument.validate(bytes, in: 2..<8) }
        #expect(throws: ThemisError.self) { try JSONDocument.validate(bytes, in: 2..<10) }
        #expect(throws: ThemisError.self) { try JSONDocument.validate(bytes, in: 3..<3) }
        #expect(throws: ThemisError.self) { try JSONDocument.validate([]) }
        let cut = Array("[\"abc\",123,true,{\"k\":null}]".utf8)
        for end in 0..<cut.count { #expect(throws: ThemisError.self) { try JSONDocument.validate(cut, in: 0..<end) } }
    }

    @Test func `the members of an object are found where they stand`() throws {
        let text = #" { "a" : 1.50 ,"b\u0031":{"x":[1,"]"]} , "c":"é\"}" ,"d":[ ],"e":null, "f" :true } "#
        let bytes = Array(text.utf8)
        for members in [try JSONMembers.validate(bytes), try JSONMembers.scan(bytes)] {
            #expect(members.map { $0.name(in: bytes) } == ["a", "b1", "c", "d", "e", "f"])
            #expect(members.map(\.kind) == [.number, .object, .string, .array, .null, .bool])
            let values = members.map { String(decoding: bytes[$0.range], as: UTF8.self) }
            #expect(values == ["1.50", #"{"x":[1,"]"]}"#, #""é\"}""#, "[ ]", "null", "true"])
        }
        #expect(try JSONMembers.validate(Array("{}".utf8)).isEmpty)
        #expect(try JSONMembers.scan(Array(" { } ".utf8)).isEmpty)
        #expect(throws: ThemisError.self) { try JSONMembers.validate(Array("[1]".utf8)) }
        #expect(throws: ThemisError.self) { try JSONMembers.scan(Array("[1]".utf8)) }
    }
}
