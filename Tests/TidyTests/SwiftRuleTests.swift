import Testing

/// House rules over Swift files.
@Suite struct SwiftRuleTests {
    @Test(arguments: SwiftRule.all)
    func `every Swift file keeps the rule`(rule: SwiftRule) {
        let findings = SwiftSource.all.flatMap(rule.findings)
        expectNone(findings)
    }

    @Test(arguments: SwiftRule.all)
    func `the rule catches its own bad example and lets the good one pass`(rule: SwiftRule) throws {
        // A place in which the rule applies: some rules are for shipped code, some for tests.
        let paths = ["Sources/ThemisDatabase/Example.swift", "Tests/ThemisBaseTests/ExampleTests.swift"]
        let bad = paths.map { SwiftSource(path: $0, text: rule.bad) }
        let good = paths.map { SwiftSource(path: $0, text: rule.good) }
        #expect(bad.contains(where: rule.applies))
        #expect(bad.filter(rule.applies).allSatisfy { !rule.findings(in: $0).isEmpty })
        #expect(good.allSatisfy { rule.findings(in: $0).isEmpty })
    }

    @Test func `no function is longer than 70 lines`() {
        let findings = SwiftSource.all.flatMap { source in
            FunctionLength.functions(in: source).filter { $0.count > 70 }.map {
                Finding(path: source.path, line: $0.line, text: "\($0.count) lines. Give a step of it a name.")
            }
        }
        expectNone(findings)
    }

    @Test func `the length of a function is counted from its brace to the matching one`() {
        let text = "struct A {\n    func f(\n        a: Int\n    ) {\n        if a > 0 {\n        }\n    }\n    init() {}\n}\n"
        let found = FunctionLength.functions(in: SwiftSource(path: "a.swift", text: text))
        #expect(found.map(\.line) == [2, 8])
        #expect(found.map(\.count) == [6, 1])
    }

    @Test func `comments and literals are not code`() {
        let text = "let a = \"async \\\" x\" // await\n/* Task */ let b = #\"a\"b\"#\nlet c = \"\"\"\n async\n \"\"\"\nlet d = 1"
        let source = SwiftSource(path: "a.swift", text: text)
        #expect(source.words.flatMap { $0 } == ["let", "a", "let", "b", "let", "c", "let", "d", "1"])
    }
}

/// Lengths of functions and initialisers, by their braces.
enum FunctionLength {
    static func functions(in source: SwiftSource) -> [(line: Int, count: Int)] {
        var found: [(line: Int, count: Int)] = []
        for (index, words) in source.words.enumerated() {
            let text = source.code[index].trimmed
            guard words.contains("func") || text.hasPrefix("init(") || text.contains(" init(") else { continue }
            guard !text.hasPrefix("case"), let end = closingLine(of: source, from: index) else { continue }
            found.append((line: index + 1, count: end - index + 1))
        }
        return found
    }

    /// The line on which the body that begins at or after `start` ends; nil for a requirement without a body.
    private static func closingLine(of source: SwiftSource, from start: Int) -> Int? {
        var braces = 0
        var parentheses = 0
        var hasBody = false
        for index in start..<source.code.count {
            if index > start && !hasBody && parentheses == 0 && source.code[index].trimmed.isEmpty { return nil }
            for byte in source.code[index].utf8 {
                switch byte {
                case 0x28: parentheses += 1
                case 0x29: parentheses -= 1
                case 0x7B:
                    braces += 1
                    if parentheses == 0 { hasBody = true }
                case 0x7D:
                    braces -= 1
                    if braces < 0 { return nil }
                    if hasBody && braces == 0 && parentheses == 0 { return index }
                default: break
                }
            }
        }
        return nil
    }
}
