import Testing
import ThemisBase

@Suite struct JSONValueTests {
    private func parse(_ text: String) throws -> JSONValue { try JSONValue(parsing: Array(text.utf8)) }
    private func text(_ value: JSONValue) -> String { String(decoding: value.bytes, as: UTF8.self) }

    @Test(arguments: [
        "null", "[true,false,null]", "{}", "[]", "[[[]],{}]", #"{"b":1,"a":{"z":1.50,"y":-0,"x":1E+2}}"#,
        #"["\"\\\n\r\t\u0001\u007f/é😀"]"#,
        "[18446744073709551615,-9223372036854775808,9007199254740993,1e400,123456789012345678901234567890.000]",
        #"["\ud800","x\uDFFFy"]"#,
        #"{"\uD800":1,"\uD801":2}"#,
    ])
    func `a tree is written as it was read`(json: String) throws { #expect(text(try parse(json)) == json) }

    @Test func `escapes are read`() throws {
        #expect(try parse(#""\u0061\/\b\f\ud83d\uDE00\u00E9""#) == .string("a/\u{8}\u{C}😀é"))
        #expect(try parse(#"{"\u0061":1}"#)["a"] == 1)
    }

    @Test func `64-bit integers survive exactly`() throws {
        let values = try #require(
            try parse("[18446744073709551615,9223372036854775807,-9223372036854775808,9007199254740993]").elements)
        #expect(values[0].uint64Value == .max)
        #expect(values[0].int64Value == nil)
        #expect(values[1].int64Value == .max)
        #expect(values[2].int64Value == .min)
        #expect(values[2].uint64Value == nil)
        #expect(values[3].int64Value == 9_007_199_254_740_993)
        #expect(values[3] != 9_007_199_254_740_992)
        #expect(text(.integer(UInt64.max)) == "18446744073709551615")
        #expect(text(.integer(Int64.min)) == "-9223372036854775808")
    }

    @Test(
        arguments: [
            ("1.0", 1), ("1e3", 1_000), ("1000e-3", 1), ("-0", 0), ("0e5", 0), ("0.000", 0), ("-12.50e1", -125),
            ("9223372036854775807.0", Int64.max),
            ("0.1", nil), ("1e19", nil), ("9223372036854775808", nil), ("1e-1", nil), ("1e99999999999999999999", nil),
            ("1e400", nil),
        ] as [(String, Int64?)])
    func `a whole number is recognised in every spelling`(spelling: String, expected: Int64?) {
        #expect(JSONNumber(spelling: spelling)?.int64 == expected)
    }

    @Test func `doubles are the nearest, and absent when too large`() {
        #expect(JSONNumber(spelling: "0.1")?.double == 0.1)
        #expect(JSONNumber(spelling: "1e400")?.double == nil)
        #expect(JSONNumber(spelling: "-1e400")?.double == nil)
        #expect(JSONNumber(spelling: "1e-400")?.double == 0)
        #expect(JSONNumber(Double.nan)?.spelling == nil)
        #expect(JSONNumber(-Double.infinity)?.spelling == nil)
        #expect(JSONNumber(1e21)?.double == 1e21)
        for bad in ["", "1 ", " 1", "+1", "01", "1.", ".5", "x", "\"1\"", "[1]", "1e", "NaN"] {
            #expect(JSONNumber(spelling: bad) == nil, "\(bad)")
        }
    }

    @Test(arguments: [
        ("1", "1.0"), ("10", "1e1"), ("1e-1", "0.1"), ("0", "-0.0e7"),
        ("123456789012345678901234567890", "1.23456789012345678901234567890E29"),
        ("-5e2", "-500"), ("1e99999999999999999999", "1.0e99999999999999999999"), ("0e99999999999999999999", "0"),
    ])
    func `numbers are equal by value`(left: String, right: String) throws {
        #expect(try parse(left) == parse(right))
        #expect(try parse(left).hashValue == parse(right).hashValue)
    }

    @Test(arguments: [
        ("1", "-1"), ("9007199254740993", "9007199254740992"), ("0.1", "0.10000000000000001"), ("1e400", "1e401"),
        ("18446744073709551616", "18446744073709551617"), ("1e99999999999999999999", "1e99999999999999999998"), ("1", "\"1\""),
        ("null", "false"),
        ("\"é\"", "\"e\u{301}\""), (#""\ud800""#, "\"\u{FFFD}\""), ("[1,2]", "[2,1]"), ("[]", "{}"),
        (#"{"a":1}"#, #"{"a":1,"b":2}"#),
        (#"{"a":null}"#, #"{"b":null}"#), (#"{"\ud800":1}"#, #"{"\ud801":1}"#), ("{\"é\":1}", "{\"e\u{301}\":1}"),
    ])
    func `different values are unequal`(left: String, right: String) throws { #expect(try parse(left) != parse(right)) }

    @Test func `objects are equal in any order of their members`() throws {
        let left = try parse(#"{"a":1,"b":[{"x":1,"y":2}],"c":{}}"#)
        let right = try parse(#"{"c":{},"b":[{"y":2.0,"x":1}],"a":1}"#)
        #expect(left == right)
        #expect(left.hashValue == right.hashValue)
    }

    @Test func `literals and accessors`() throws {
        let value: JSONValue = ["name": "x", "list": [1, 2.5, true, .null], "none": .null]
        #expect(text(value) == #"{"name":"x","list":[1,2.5,true,null],"none":null}"#)
        #expect(value["name"]?.stringValue == "x")
        #expect(value["list"]?.elements?[1].doubleValue == 2.5)
        #expect(value["list"]?.elements?[2].boolValue == true)
        #expect(value["none"]?.isNull == true)
        #expect(value["absent"] == nil)
        #expect(value.members?.map(\.name.text) == ["name", "list", "none"])
        #expect(try parse(#""\ud800""#).stringValue == nil)
    }

    @Test func `a tree is bounded in depth like the walk`() throws {
        let deep = String(repeating: "[", count: 129) + String(repeating: "]", count: 129)
        #expect(throws: ThemisError.self) { try parse(deep) }
        #expect(try JSONValue(parsing: Array(deep.utf8), depth: 129).kind == .array)
        let deepest = Array((String(repeating: "[", count: 100_000)).utf8)
        #expect(throws: ThemisError.self) { try JSONValue(checked: deepest) }
    }

    @Test func `a canonically equal name is another name`() throws {
        let value = try parse("{\"e\u{301}\":1,\"é\":2}")
        #expect(value["é"] == 2)
        #expect(value["e\u{301}"] == 1)
    }
}

@Suite struct JSONObjectReaderTests {
    private struct Query: Equatable {
        var table = ""
        var limit = 0
        var reverse = false
        var keys: [String] = []
        var range: [Int64]?
    }

    private func read(_ json: String) throws(ThemisError) -> Query {
        try JSONObjectReader.read(Array(json.utf8)) { (fields) throws(ThemisError) in
            var query = Query(
                table: fields.string("table", length: 1...5), limit: fields.optionalInteger("limit", in: 1...100) ?? 10,
                reverse: fields.optionalBool("reverse") ?? false, keys: fields.optionalStrings("keys", count: 1...3) ?? [])
            query.range = try fields.optionalObjects("range", count: 0...5) { (inner) throws(ThemisError) in inner.integer("gte")
            }
            return query
        }
    }

    @Test func `a request object is read by its fields`() throws {
        let query = try read(
            #"{"table":"t","limit":1e1,"reverse":true,"keys":["a","b"],"range":[{"gte":-5},{"gte":9223372036854775807}]}"#)
        #expect(query == Query(table: "t", limit: 10, reverse: true, keys: ["a", "b"], range: [-5, .max]))
        #expect(try read(#"{"table":"t","limit":null,"range":null}"#) == Query(table: "t", limit: 10))
    }

    @Test func `unknown fields are all named`() {
        let error = #expect(throws: ThemisError.self) {
            try read(#"{"table":"t","limitt":1,"range":[{"gte":1,"gt":2}],"x":null}"#)
        }
        #expect(error?.code == .unknownParameter)
        #expect(error?.message == "unknown field: range[0].gt, limitt, x")
        #expect(error?.fields.map(\.field) == ["range[0].gt", "limitt", "x"])
    }

    @Test func `missing and wrong fields are all named`() {
        let error = #expect(throws: ThemisError.self) {
            try read(#"{"limit":101,"reverse":"yes","keys":[1],"range":[{},{"gte":1.5},3]}"#)
        }
        #expect(error?.code == .invalidRequest)
        #expect(
            error?.fields == [
                FieldError("table", "is missing"), FieldError("limit", "must be a whole number from 1 to 100"),
                FieldError("reverse", "must be true or false"), FieldError("keys", "must be an array of 1–3 strings"),
                FieldError("range[0].gte", "is missing"),
                FieldError("range[1].gte", "must be a whole number from -9223372036854775808 to 9223372036854775807"),
                FieldError("range[2]", "must be an object"),
            ])
    }

    @Test func `field errors go before errors that follow from them`() {
        let error = #expect(throws: ThemisError.self) {
            try JSONObjectReader.read(Array("{}".utf8)) { (fields) throws(ThemisError) in
                try EntityKey(validating: fields.string("key"))
            }
        }
        #expect(error?.fields == [FieldError("key", "is missing")])
    }

    @Test func `a body with countless unknown fields gets a bounded answer`() {
        let body = "{" + (0..<10_000).map { "\"\(String(repeating: "n", count: 300))\($0)\":1" }.joined(separator: ",") + "}"
        let error = #expect(throws: ThemisError.self) { try read(body) }
        #expect(error?.fields.count == Limits.fieldErrors)
        #expect((error?.message.utf8.count ?? .max) < 20_000)
        #expect(error?.message.hasSuffix("and 9900 more") == true)
    }

    @Test(arguments: ["[]", "1", "{", ""])
    func `only an object is read`(json: String) { #expect(throws: ThemisError.self) { try read(json) } }
}

@Suite struct JSONEnvelopeTests {
    private func payload(_ json: String) throws -> String {
        let bytes = Array(json.utf8)
        return String(decoding: bytes[try JSONEnvelope.line(bytes).payload], as: UTF8.self)
    }

    @Test func `a document is cut out byte for byte`() throws {
        let document = #"{ "b":1.0, "a":{"z":18446744073709551615,"y":[1E2 , "\u00e9\ud800"]} }"#
        let body = Array(#"{"document" : \#(document) , "key":"users:a\u003ab"}"#.utf8)
        let envelope = try JSONEnvelope.body(body)
        #expect(envelope.key.description == "users:a:b")
        #expect(envelope.operation == .put)
        #expect(String(decoding: body[envelope.payload], as: UTF8.self) == document)
        #expect(try payload(#"{"op":"put","key":"t:1","document":\#(document)}"#) == document)
    }

    @Test func `a line says what to do`() throws {
        let merge = Array(#"{"op":"patch","key":"t:1","patch":{"a":null},"if_match":"7"}"#.utf8)
        let patch = try JSONEnvelope.line(merge)
        #expect(patch.operation == .patch && patch.patchFormat == .merge && patch.ifMatch == "7" && !patch.ifAbsent)
        #expect(String(decoding: merge[patch.payload], as: UTF8.self) == #"{"a":null}"#)
        #expect(try JSONEnvelope.line(Array(#"{"op":"patch","key":"t:1","patch":[]}"#.utf8)).patchFormat == .operations)
        let delete = try JSONEnvelope.line(Array(#"{"op":"delete","key":"t:1","if_match":18446744073709551615}"#.utf8))
        #expect(delete.operation == .delete && delete.ifMatch == "18446744073709551615" && delete.payload.isEmpty)
        #expect(try JSONEnvelope.line(Array(#"{"op":"put","key":"t:1","document":{},"if_none_match":"*"}"#.utf8)).ifAbsent)
        let many = Array("xx{\"op\":\"delete\",\"key\":\"t:1\"}\n{".utf8)
        #expect(try JSONEnvelope.line(many, in: 2..<(many.count - 2)).key.pk == "1")
    }

    @Test(arguments: [
        (#"{"key":"t:1","document":{}}"#, "invalid_request"), (#"{"op":"upsert","key":"t:1","document":{}}"#, "invalid_request"),
        (#"{"op":"put","document":{}}"#, "invalid_request"), (#"{"op":"put","key":"t:1"}"#, "invalid_request"),
        (#"{"op":"put","key":"t:1","document":[]}"#, "invalid_request"),
        (#"{"op":"put","key":1,"document":{}}"#, "invalid_request"),
        (#"{"op":"put","key":"t1","document":{}}"#, "invalid_key"),
        (#"{"op":"put","key":"t:\ud800","document":{}}"#, "invalid_request"),
        (#"{"op":"delete","key":"t:1","document":{}}"#, "invalid_request"),
        (#"{"op":"put","key":"t:1","patch":{},"document":{}}"#, "invalid_request"),
        (#"{"op":"patch","key":"t:1","patch":1}"#, "invalid_request"),
        (#"{"op":"delete","key":"t:1","if_none_match":"*"}"#, "invalid_request"),
        (#"{"op":"put","key":"t:1","document":{},"if_none_match":"7"}"#, "invalid_request"),
        (#"{"op":"put","key":"t:1","document":{},"if_none_match":"*","if_match":"7"}"#, "invalid_request"),
        (#"{"op":"put","key":"t:1","documnet":{},"ttl":1}"#, "unknown_parameter"),
        (#"{"op":"put","key":"t:1","document":{"a":1,"a":2}}"#, "invalid_json"),
        (#"{"op":"put","key":"t:1","key":"t:2","document":{}}"#, "invalid_json"), (#"["op"]"#, "invalid_json"),
        ("", "invalid_json"),
    ])
    func `a wrong line is refused by its reason`(json: String, code: String) {
        let error = #expect(throws: ThemisError.self) { try JSONEnvelope.line(Array(json.utf8)) }
        #expect(error?.code.word == code, "\(error?.description ?? "")")
    }

    @Test func `a document may be as deep in an envelope as by itself`() throws {
        func nested(_ depth: Int) -> String {
            String(repeating: "{\"a\":", count: depth - 1) + "{}" + String(repeating: "}", count: depth - 1)
        }
        #expect(try payload(#"{"op":"put","key":"t:1","document":\#(nested(128))}"#) == nested(128))
        #expect(throws: ThemisError.self) { try payload(#"{"op":"put","key":"t:1","document":\#(nested(129))}"#) }
    }
}
