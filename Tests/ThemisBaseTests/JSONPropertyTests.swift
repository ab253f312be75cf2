import Foundation
import Testing
import ThemisTestKit

@testable import ThemisBase

/// Random JSON texts, in every spelling that the grammar allows.
private struct JSONTextGenerator {
    var random: SeededRandom

    private mutating func pick<Element>(_ choices: [Element]) -> Element {
        choices[Int.random(in: 0..<choices.count, using: &random)]
    }

    private mutating func space() -> String { pick(["", "", "", "", " ", "\n    ", "\t", "\r\n", "\n          "]) }

    mutating func document() -> String { space() + object(depth: 4) + space() }

    mutating func value(depth: Int) -> String {
        switch Int.random(in: 0..<(depth > 0 ? 8 : 5), using: &random) {
        case 0: pick(["null", "true", "false"])
        case 1, 2: number()
        case 3, 4: string()
        case 5: array(depth: depth - 1)
        default: object(depth: depth - 1)
        }
    }

    private mutating func object(depth: Int) -> String {
        var names: Set<[UInt8]> = []
        var members: [String] = []
        for _ in 0..<pick([0, 1, 2, 3, 5, 30]) {
            let name = string()
            let token = Array(name.utf8.dropFirst().dropLast())
            guard names.insert(JSONEscape.unescaped(token)).inserted else { continue }
            members.append(space() + name + space() + ":" + space() + value(depth: depth > 2 ? depth : 0) + space())
        }
        if depth > 0 { members.append("\"nested\":" + value(depth: depth - 1)) }
        return "{" + (members.isEmpty ? space() : members.joined(separator: ",")) + "}"
    }

    private mutating func array(depth: Int) -> String {
        let elements = (0..<pick([0, 1, 2, 7])).map { _ in space() + value(depth: depth) + space() }
        return "[" + (elements.isEmpty ? space() : elements.joined(separator: ",")) + "]"
    }

    private mutating func number() -> String {
        let whole = pick([
            "0", "1", "-0", "-7", "42", "18446744073709551615", "-9223372036854775808", "123456789012345678901234567890",
        ])
        return whole + pick(["", "", ".0", ".50", ".123456789012345678901"])
            + pick(["", "", "", "e0", "E+2", "e-3", "e400", "e99999999999999999999"])
    }

    private mutating func string() -> String {
        let parts = (0..<pick([0, 1, 1, 2, 3, 9])).map { _ in
            pick([
                "a", "b", "key", "longer text ", "é", "€", "😀", "\u{7F}", "e\u{301}", "\u{FEFF}", #"\""#, #"\\"#, #"\/"#, #"\n"#,
                #"\u0000"#, #"\u00e9"#,
                #"\uD83D\uDE00"#, #"\ud83d"#, #"\uDE00"#, #"\u0061"#,
            ])
        }
        return "\"" + parts.joined() + "\""
    }
}

@Suite struct JSONPropertyTests {
    private let seed = Seed.current()

    private func mutated(_ bytes: [UInt8], _ random: inout SeededRandom) -> [UInt8] {
        var bytes = bytes
        for _ in 0..<Int.random(in: 1...3, using: &random) {
            let index = Int.random(in: 0...bytes.count, using: &random)
            let letters = Array("\"\\{}[],:0123456789.eE+-truefalsn \n\u{1}u".utf8) + [0x80, 0xC3, 0xE2, 0xED, 0xF0, 0xFF, 0xA0]
            let letter = letters.randomElement(using: &random) ?? 0
            switch Int.random(in: 0..<5, using: &random) {
            case 0: bytes.insert(letter, at: index)
            case 1 where index < bytes.count: bytes[index] = letter
            case 2 where index < bytes.count: bytes.remove(at: index)
            case 3: bytes.removeSubrange(index...)
            default:
                let end = min(bytes.count, index + Int.random(in: 0...20, using: &random))
                bytes.insert(contentsOf: bytes[index..<end], at: index)
            }
        }
        return bytes
    }

    private func isValid(_ bytes: [UInt8]) -> Bool { (try? JSONDocument.validate(bytes)) != nil }

    @Test func `random documents survive a round trip`() throws {
        var generator = JSONTextGenerator(random: SeededRandom(seed: seed))
        for round in 0..<200 {
            let bytes = Array(generator.document().utf8)
            try JSONDocument.validateDocument(bytes)
            let value = try JSONValue(parsing: bytes)
            let again = try JSONValue(parsing: value.bytes)
            #expect(value == again && value.hashValue == again.hashValue, "seed \(seed), round \(round)")
            #expect(again.bytes == value.bytes, "seed \(seed), round \(round)")
            let members = try JSONMembers.validate(bytes)
            let scanned = try JSONMembers.scan(bytes)
            #expect(members.map(\.range) == scanned.map(\.range), "seed \(seed), round \(round)")
            #expect(members.map(\.kind) == scanned.map(\.kind))
            let values = try members.map { try JSONValue(parsing: bytes, in: $0.range) }
            #expect(values == value.members?.map(\.value), "seed \(seed), round \(round)")
        }
    }

    @Test func `damaged bytes never trap and are judged alike`() throws {
        var generator = JSONTextGenerator(random: SeededRandom(seed: seed &+ 1))
        var random = SeededRandom(seed: seed &+ 2)
        let projection = try JSONProjection(fields: "nested,a.b,key.nested")
        let merge = Array(#"{"nested":{"a":null,"nested":{"b":1}},"key":null}"#.utf8)
        let operations = Array(#"[{"op":"add","path":"/nested","value":[1]},{"op":"remove","path":"/key"}]"#.utf8)
        for round in 0..<800 {
            let bytes = mutated(Array(generator.document().utf8), &random)
            let isAccepted = isValid(bytes)
            #expect(((try? JSONValue(parsing: bytes)) != nil) == isAccepted, "seed \(seed), round \(round)")
            #expect(!isAccepted || (try? JSONValue(checked: bytes)) != nil, "seed \(seed), round \(round)")
            // What reads bytes that were checked before must end in a value or an error, whatever has become of them.
            _ = try? JSONValue(checked: bytes)
            _ = try? JSONMembers.scan(bytes).map { ($0.name(in: bytes), try? JSONValue(checked: bytes, in: $0.range)) }
            _ = try? projection.apply(to: bytes)
            _ = try? JSONMergePatch.apply(merge, to: bytes)
            _ = try? JSONMergePatch.apply(bytes, to: merge)
            _ = try? JSONPatch.apply(operations, to: bytes)
            _ = try? JSONPatch.apply(bytes, to: merge)
            _ = try? JSONEnvelope.line(bytes)
        }
    }

    @Test func `random bytes never trap`() {
        var random = SeededRandom(seed: seed &+ 3)
        for _ in 0..<5_000 {
            let bytes = (0..<Int.random(in: 0...24, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
            _ = isValid(bytes)
            _ = try? JSONValue(checked: bytes)
            _ = try? JSONMembers.scan(bytes)
            _ = JSONEscape.unescaped([0x5C, 0x75] + bytes)
        }
    }

    /// RFC 7396, section 2, word by word.
    private func reference(_ target: JSONValue?, _ patch: JSONValue) -> JSONValue {
        guard case .object(let changes) = patch else { return patch }
        var members = target?.members ?? []
        for change in changes {
            let index = members.firstIndex { $0.name == change.name }
            if change.value.isNull {
                if let index { members.remove(at: index) }
            } else if let index {
                members[index].value = reference(members[index].value, change.value)
            } else {
                members.append(JSONMember(change.name, reference(nil, change.value)))
            }
        }
        return .object(members)
    }

    @Test func `a merge patch does what RFC 7396 says`() throws {
        var generator = JSONTextGenerator(random: SeededRandom(seed: seed &+ 4))
        for round in 0..<200 {
            let (target, patch) = (Array(generator.document().utf8), Array(generator.document().utf8))
            let merged = try JSONMergePatch.apply(patch, to: target)
            try JSONDocument.validateDocument(merged)
            let expected = reference(try JSONValue(parsing: target), try JSONValue(parsing: patch))
            #expect(try JSONValue(parsing: merged).bytes == expected.bytes, "seed \(seed), round \(round)")
        }
    }

    @Test func `names made to collide under the cheap hash cost no more than others`() {
        let count = 20_000
        // The cheap hash sees the length, the first and the last eight bytes.
        func name(_ head: String, _ number: Int) -> String { "\"\(head)12345678\(100_000 + number)87654321\":0" }
        func time(_ names: [String]) -> Duration {
            let (distinct, repeated) = (names.joined(separator: ","), names[count / 2])
            return (0..<3).map { _ in
                ContinuousClock().measure {
                    #expect(isValid(Array("{\(distinct)}".utf8)))
                    #expect(!isValid(Array("{\(distinct),\(repeated)}".utf8)))
                }
            }.min() ?? .zero
        }
        let colliding = time((0..<count).map { name("", $0) })
        let ordinary = time((0..<count).map { name("\($0)", $0) })
        // Without the keyed hash each name meets all others, which takes about a hundred times as long.
        #expect(colliding < ordinary * 10 + .milliseconds(200), "\(colliding) against \(ordinary)")
    }

    private static let python = "/usr/bin/python3"

    /// Reads a line `HEX(text) HEX(tree as written)`, or `HEX(text) -` for a text that was refused, and prints each line it disagrees with.
    private static let judge = #"""
        import json, sys
        def refuse(word): raise ValueError(word)
        def pairs(members):
            if len(dict(members)) != len(members): raise ValueError("duplicate")
            return members
        def read(text):
            return json.loads(bytes.fromhex(text).decode("utf-8"), parse_constant=refuse, object_pairs_hook=pairs,
                parse_int=lambda n: ("number", n), parse_float=lambda n: ("number", n))
        count = 0
        for line in sys.stdin:
            text, tree = line.split()
            count += 1
            try: value = read(text)
            except ValueError: value = refuse
            expected = refuse if tree == "-" else read(tree)
            if value != expected: print("disagree:", bytes.fromhex(text))
        print("judged", count)
        """#

    @Test(.enabled(if: FileManager.default.isExecutableFile(atPath: python)))
    func `Python's json agrees on every text`() throws {
        var generator = JSONTextGenerator(random: SeededRandom(seed: seed &+ 5))
        var random = SeededRandom(seed: seed &+ 6)
        var lines: [String] = []
        var accepted = 0
        for round in 0..<800 {
            let text = Array(generator.document().utf8)
            let bytes = round % 4 == 0 ? text : mutated(text, &random)
            guard !bytes.starts(with: [0xEF, 0xBB, 0xBF]), bytes.contains(where: { $0 > 0x20 }) else { continue }
            let value = try? JSONValue(parsing: bytes)
            accepted += value == nil ? 0 : 1
            lines.append(Digest.hex(bytes) + " " + (value.map { Digest.hex($0.bytes) } ?? "-"))
        }
        #expect(accepted > 200 && accepted < lines.count - 200, "both verdicts have to occur, seed \(seed)")
        let file = FileManager.default.temporaryDirectory.appending(path: "themis-json-\(UUID().uuidString)")
        try Data((lines.joined(separator: "\n") + "\n").utf8).write(to: file)
        defer { try? FileManager.default.removeItem(at: file) }
        let process = Process()
        let output = Pipe()
        process.executableURL = URL(fileURLWithPath: Self.python)
        process.arguments = ["-c", Self.judge]
        process.standardInput = try FileHandle(forReadingFrom: file)
        process.standardOutput = output
        try process.run()
        let answer = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        #expect(answer == "judged \(lines.count)\n", "seed \(seed): \(answer.prefix(2_000))")
    }
}
