import Foundation
import Testing
import ThemisTestKit

@testable import ThemisBase

/// Values that meet at edges more often than chance would have it.
struct ValueSource {
    var random: SeededRandom

    static let edges = [
        "0", "-0", "0.0", "-0.0", "1", "1.0", "10e-1", "-1", "9007199254740991", "9007199254740992", "9007199254740993",
        "9007199254740994", "9007199254740992.0", "9007199254740993.0", "9007199254740992.5", "-9007199254740992",
        "-9007199254740993", "9223372036854775807", "9223372036854775808", "9223372036854774784", "-9223372036854775808",
        "-9223372036854775809", "18446744073709551615", "18446744073709551616", "18446744073709551614", "18446744073709549568",
        "1e19", "1e300", "-1e300", "1e400", "-1e400", "5e-324", "-5e-324", "2.2250738585072014e-308", "2.225073858507201e-308", "0.1",
        "0.30000000000000004", "1e-400", "3.5", "-3.5", "1e3", "1000", "123456789012345678901234567890", "4611686018427387905",
        "4611686018427387904", "-4611686018427387905", "4611686018427387904.0",
    ]
    static let texts = [
        "", "a", "ab", "a:", "a:b", "a\0", "a\0b", "\0", "\0\0", "\u{1}", "\u{FF}", "é", "e\u{301}", "z", "\u{FFFF}", "\u{10000}", "10",
        "9",
        "007", "7", "Z", "\u{7F}", "%", "+", " ",
    ]

    init(seed: UInt64) { random = SeededRandom(seed: seed) }

    mutating func number() -> JSONValue {
        let spelling: String
        switch Int.random(in: 0..<8, using: &random) {
        case 0, 1: spelling = Self.edges.randomElement(using: &random)!
        case 2: spelling = String(Int64.random(in: -20...20, using: &random))
        case 3: spelling = String(Int64.random(in: .min ... .max, using: &random))
        case 4: spelling = String(UInt64.max - UInt64.random(in: 0..<5_000, using: &random))
        case 5: spelling = "\(Int64.random(in: -50...50, using: &random)).\(Int.random(in: 0...99, using: &random))"
        case 6:
            let shift = Int.random(in: 50...63, using: &random)
            spelling = String((Int64(1) << Int64(min(shift, 62))) + Int64.random(in: -3...3, using: &random))
        default:
            let value = Double(bitPattern: random.next())
            spelling = value.isFinite ? value.description : "0"
        }
        return .number(JSONNumber(spelling: spelling)!)
    }

    mutating func text() -> String {
        if Bool.random(using: &random) { return Self.texts.randomElement(using: &random)! }
        let length = Int.random(in: 0..<20, using: &random) == 0 ? 3_000 : Int.random(in: 0..<6, using: &random)
        return String(String.UnicodeScalarView((0..<length).map { _ in ["\0", ":", "a", "b", "ü"].randomElement(using: &random)! }))
    }

    mutating func value(depth: Int = 3) -> JSONValue {
        switch Int.random(in: 0..<(depth > 0 ? 10 : 7), using: &random) {
        case 0: return .null
        case 1: return .bool(Bool.random(using: &random))
        case 2, 3, 4: return number()
        case 5, 6: return .string(text())
        case 7, 8: return .array((0..<Int.random(in: 0..<4, using: &random)).map { _ in value(depth: depth - 1) })
        default:
            var members: [String: JSONValue] = [:]
            for _ in 0..<Int.random(in: 0..<4, using: &random) { members[text()] = value(depth: depth - 1) }
            return .object(members.map { JSONMember(JSONName($0.key), $0.value) })
        }
    }

    /// Something that is often the same, or nearly.
    mutating func neighbour(of value: JSONValue) -> JSONValue {
        switch value {
        case .number where Bool.random(using: &random): number()
        case .string(let text) where Bool.random(using: &random):
            .string(Bool.random(using: &random) ? text + self.text() : String(text.unicodeScalars.dropLast()))
        case .array(let elements) where Bool.random(using: &random):
            .array(elements.map { neighbour(of: $0) } + (Bool.random(using: &random) ? [self.value(depth: 0)] : []))
        case .object(let members) where Bool.random(using: &random): .object(members.shuffled(using: &random))
        default: self.value()
        }
    }
}

@Suite struct OrderedCodingTests {
    /// Pairs of the property tests; the environment asks for more.
    static let pairs = ProcessInfo.processInfo.environment["THEMIS_PAIRS"].flatMap { Int($0) } ?? 10_000

    private static func check(_ left: JSONValue, _ right: JSONValue, _ hint: @autoclosure () -> String) {
        let codings = (OrderedCoding.coding(of: left), OrderedCoding.coding(of: right))
        let byBytes =
            codings.0 == codings.1 ? 0 : codings.0.lexicographicallyPrecedes(codings.1) ? -1 : 1
        if byBytes != ReferenceOrder.compare(left, right) {
            Issue.record("\(hint()): \(String(decoding: left.bytes, as: UTF8.self)) and \(String(decoding: right.bytes, as: UTF8.self))")
        }
        if codings.0 != codings.1, codings.0.starts(with: codings.1) || codings.1.starts(with: codings.0) {
            Issue.record("\(hint()): one coding begins with the other")
        }
    }

    @Test(arguments: 0..<4)
    func `codings sort as values do and none begins with another`(round: Int) {
        let seed = Seed.current() &+ UInt64(round)
        var source = ValueSource(seed: seed)
        for number in 0..<Self.pairs / 4 {
            let left = source.value()
            Self.check(left, source.neighbour(of: left), "seed \(seed), pair \(number)")
        }
    }

    @Test func `numbers of every form sort by value`() {
        var source = ValueSource(seed: Seed.current())
        for number in 0..<Self.pairs / 2 { Self.check(source.number(), source.number(), "seed \(Seed.current()), pair \(number)") }
        for left in ValueSource.edges {
            for right in ValueSource.edges {
                Self.check(.number(JSONNumber(spelling: left)!), .number(JSONNumber(spelling: right)!), "edges")
            }
        }
    }

    @Test func `a coding gives its value again`() {
        var source = ValueSource(seed: Seed.current())
        for number in 0..<Self.pairs / 8 {
            let value = source.value()
            let coding = OrderedCoding.coding(of: value)
            // Something behind it does not matter.
            var reader = ByteReader(coding + [0xFF, 0x00])
            guard let decoded = OrderedCoding.value(from: &reader) else {
                Issue.record("seed \(Seed.current()), value \(number) cannot be read")
                continue
            }
            #expect(reader.remaining == 2)
            #expect(ReferenceOrder.compare(decoded, value) == 0, "seed \(Seed.current()), value \(number)")
            #expect(OrderedCoding.coding(of: decoded) == coding)
            var skipping = ByteReader(coding + [0x10])
            #expect(OrderedCoding.skip(&skipping) && skipping.remaining == 1)
        }
    }

    @Test func `lists of codings sort as lists of values`() {
        var source = ValueSource(seed: Seed.current())
        for number in 0..<Self.pairs / 8 {
            let left = (0..<3).map { _ in source.value(depth: 1) }
            let right =
                [Bool.random(using: &source.random) ? left[0] : source.value(depth: 1)] + (0..<2).map { _ in source.value(depth: 1) }
            let bytes = (left.flatMap { OrderedCoding.coding(of: $0) }, right.flatMap { OrderedCoding.coding(of: $0) })
            let order = bytes.0 == bytes.1 ? 0 : bytes.0.lexicographicallyPrecedes(bytes.1) ? -1 : 1
            #expect(order == ReferenceOrder.compare(.array(left), .array(right)), "seed \(Seed.current()), list \(number)")
        }
    }

    @Test func `what has no place of its own is told`() throws {
        func isKept(_ text: String) throws -> Bool {
            var out: [UInt8] = []
            return try OrderedCoding.append(json: Array(text.utf8), to: &out)
        }
        for text in [#"1e400"#, #"-1e999"#, #""\ud800""#, #"["a",{"b":[1e400]}]"#, #"{"\udfff":1}"#] { #expect(try !isKept(text)) }
        for text in [#""\ud83d\ude00""#, "1e308", "18446744073709551615", "1e-400", #""\u0000""#] { #expect(try isKept(text)) }
    }

    @Test func `strings with lone surrogates are read back`() throws {
        var coding: [UInt8] = []
        try OrderedCoding.append(json: Array(#""a\ud800\n\"\u0000""#.utf8), to: &coding)
        var reader = ByteReader(coding)
        let value = try #require(OrderedCoding.value(from: &reader))
        #expect(OrderedCoding.coding(of: value) == coding)
    }

    @Test func `damaged codings end in nothing and not in a trap`() {
        var source = ValueSource(seed: Seed.current())
        for _ in 0..<Self.pairs / 10 {
            var bytes = OrderedCoding.coding(of: source.value())
            for _ in 0..<Int.random(in: 1...3, using: &source.random) {
                bytes[Int.random(in: 0..<bytes.count, using: &source.random)] = UInt8.random(in: 0...255, using: &source.random)
            }
            bytes.removeLast(Int.random(in: 0...bytes.count, using: &source.random))
            var reader = ByteReader(bytes)
            _ = OrderedCoding.value(from: &reader)
            var skipping = ByteReader(bytes)
            _ = OrderedCoding.skip(&skipping)
        }
        var deep = ByteReader([UInt8](repeating: OrderedCoding.Tag.array, count: 100_000))
        #expect(OrderedCoding.value(from: &deep) == nil)
    }
}

@Suite struct JSONPathTests {
    private func values(_ paths: [String], _ document: String) throws -> [[String]] {
        let bytes = Array(document.utf8)
        return try JSONPathReader(paths.map { try JSONPath($0) }).ranges(in: bytes)
            .map { $0.map { String(decoding: bytes[$0], as: UTF8.self) } }
    }

    @Test func `many paths are found in one walk`() throws {
        let document = #" {"x":[1,[2]], "a":{"b":{"c": 7 },"d":null}, "tags":["p", {"q":[1,2]}, "p"],"é":true} "#
        #expect(
            try values(["a.b.c", "tags[*]", "missing", "a", "tags[*].q[*]", "x[*]", "a.d", "é", "a.b.c"], document) == [
                ["7"], [#""p""#, #"{"q":[1,2]}"#, #""p""#], [], [#"{"b":{"c": 7 },"d":null}"#], ["1", "2"], ["1", "[2]"], ["null"],
                ["true"],
                ["7"],
            ])
    }

    @Test func `a path does not enter what is not there`() throws {
        let document = #"{"a":[{"b":1}],"c":{"0":1},"d":"text","e":{}}"#
        #expect(try values(["a.b", "c[*]", "d.x", "d[*]", "e.f", "a[*].b"], document) == [[], [], [], [], [], ["1"]])
    }

    @Test func `an escaped name is the same name`() throws {
        #expect(try values(["name", "a.é"], #"{"na\u006de":1,"a":{"\u00e9":2}}"#) == [["1"], ["2"]])
    }

    @Test(arguments: ["", ".", "a.", ".a", "a..b", "[*]", "a[0]", "a[*]b", "a[]", "a[*].", String(repeating: "a.", count: 40) + "a"])
    func `a malformed path is refused`(text: String) { #expect(throws: ThemisError.self) { try JSONPath(text) } }
}
