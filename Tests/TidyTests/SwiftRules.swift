import Testing

/// A rule that is checked line by line over Swift files.
///
/// `bad` is a text that the rule must catch, `good` one that it must let pass: so that each rule is seen to work.
struct SwiftRule: CustomTestStringConvertible, Sendable {
    let name: String
    let repair: String
    let bad: String
    let good: String
    let applies: @Sendable (SwiftSource) -> Bool
    let finds: @Sendable (SwiftSource, Int) -> Bool

    var testDescription: String { name }

    func findings(in source: SwiftSource) -> [Finding] {
        guard applies(source) else { return [] }
        return source.lines.indices.filter { finds(source, $0) }
            .map { Finding(path: source.path, line: $0 + 1, text: "\(name). \(repair)") }
    }
}

extension SwiftRule {
    /// A rule that forbids words in code.
    static func words(
        _ forbidden: Set<Substring>, _ name: String, repair: String, bad: String, good: String,
        where applies: @escaping @Sendable (SwiftSource) -> Bool
    ) -> SwiftRule {
        SwiftRule(name: name, repair: repair, bad: bad, good: good, applies: applies) { source, line in
            source.words[line].contains { forbidden.contains($0) }
        }
    }

    /// Folders whose files may say `unsafe`: they own a C module, or write bytes to the kernel.
    static let unsafeTargets: Set<String> = [
        "ThemisBase", "ThemisTelemetry", "ThemisNet", "ThemisRPC", "ThemisStorage", "ThemisRuntime", "ThemisBench",
        "ThemisExporter", "ThemisTestKit",
    ]

    /// The clocks themselves, a bounded wait that the kernel measures, and the processor time of the process.
    static let clockFiles: Set<String> = [
        "Sources/ThemisTelemetry/ProcessMetrics.swift", "Sources/ThemisBase/TimeSource.swift", "Sources/ThemisBase/Threads.swift",
    ]

    static let all: [SwiftRule] = [
        words(
            ["unsafe"], "this room has no pointers",
            repair: "Move the call behind a safe function of the target that owns the C module.",
            bad: "let x = unsafe strlen(p)", good: "let x = length // unsafe",
            where: { $0.isProduct && !unsafeTargets.contains($0.target) && !$0.path.hasSuffix("/Main.swift") }),
        SwiftRule(
            name: "an unchecked promise needs its proof", repair: "Write a sentence directly above that says why it holds.",
            bad: "\nfinal class A: @unchecked Sendable {}",
            good: "// The handle is documented as thread-safe.\nfinal class A: @unchecked Sendable {}",
            applies: { _ in true },
            finds: { source, line in
                let text = source.code[line]
                guard text.contains("@unchecked") || text.contains("nonisolated(unsafe)") else { return false }
                return !source.lineAbove(line).hasPrefix("//")
            }),
        SwiftRule(
            name: "no trap by a force", repair: "Throw a ThemisError, or state the bug as a precondition with a sentence.",
            bad: "let a = try! f()", good: "let a = try f()", applies: { $0.isProduct },
            finds: { source, line in
                // Without memory there is nothing left to throw with.
                let isForced = source.words[line].contains("fatalError") && !source.lines[line].contains("out of memory")
                return isForced || source.code[line].contains("try!") || source.code[line].contains("as!")
            }),
        SwiftRule(
            name: "output goes through the Logger", repair: "Use telemetry.log; only a Main.swift prints.",
            bad: "    print(1)", good: "let print = line.print(1)",
            applies: { $0.isProduct && !$0.path.hasSuffix("/Main.swift") },
            finds: { source, line in
                ["print(", "debugPrint(", "dump(", "NSLog("].contains { call in
                    source.code[line].trimmed.hasPrefix(call) || source.code[line].contains("{ " + call)
                }
            }),
        words(
            ["getenv", "environ", "setenv"], "the environment is read in one room",
            repair: "Take the value as an argument; ThemisRuntime reads it.",
            bad: "let a = getenv(name)", good: "let a = settings[.level]", where: { $0.isProduct && $0.target != "ThemisRuntime" }
        ),
        words(
            ["clock_gettime", "gettimeofday", "Date", "ContinuousClock", "SuspendingClock"], "time is an argument",
            repair: "Use the TimeSource.",
            bad: "let now = ContinuousClock().now", good: "let now = time.wallMilliseconds()",
            where: { $0.isProduct && !clockFiles.contains($0.path) }),
        words(
            ["async", "await", "Task", "actor"], "the disk tower is synchronous",
            repair: "Take a completion, or let the caller choose the thread.",
            bad: "func get() async -> Int", good: "func get() -> Int // async",
            where: { ["ThemisBase", "ThemisStorage", "ThemisDatabase"].contains($0.target) }),
        SwiftRule(
            name: "a line has at most 140 columns", repair: "Break it.", bad: String(repeating: "x", count: 141),
            good: String(repeating: "x", count: 140),
            applies: { _ in true }, finds: { source, line in source.lines[line].count > 140 }),
        SwiftRule(
            name: "a file has at most 400 lines", repair: "It holds two subjects: split it.",
            bad: String(repeating: "\n", count: 401),
            good: String(repeating: "\n", count: 400), applies: { $0.path != "Package.swift" },
            finds: { source, line in line == 401 }),
        SwiftRule(
            name: "a public symbol is documented", repair: "Say above it what it is: units, limits, errors, thread rule.",
            bad: "public func f() {}", good: "/// Does f.\n@inlinable\npublic func f() {}",
            applies: { $0.isProduct && !$0.path.hasSuffix("Catalog.swift") }, finds: isUndocumented),
        SwiftRule(
            name: "a test is a fact in plain words", repair: "Name it in backticks: a sentence of at least three words.",
            bad: "@Test func test1() {}", good: "@Test func `a key is split once`() {}", applies: { !$0.isProduct },
            finds: isNamelessTest),
        SwiftRule(
            name: "a name says what a thing is",
            repair: "Manager, Helper, Util, Impl, Common and Misc say nothing: name the subject.",
            bad: "struct KeepManager {}", good: "struct ChangeRetention {}", applies: { _ in true }, finds: isHollowName),
    ]

    private static let declarations: Set<Substring> = [
        "func", "var", "let", "class", "struct", "enum", "protocol", "init", "typealias", "actor", "subscript", "case",
    ]

    @Sendable private static func isUndocumented(_ source: SwiftSource, _ line: Int) -> Bool {
        let words = source.words[line]
        guard
            words.first(where: {
                $0 != "inlinable" && $0 != "discardableResult" && $0 != "safe" && $0 != "inline" && $0 != "__always"
            })
                == "public" || words.first == "open", words.contains(where: declarations.contains)
        else { return false }
        return !source.lineAbove(line).hasPrefix("///")
    }

    @Sendable private static func isNamelessTest(_ source: SwiftSource, _ line: Int) -> Bool {
        guard source.code[line].trimmed.hasPrefix("@Test") else { return false }
        for next in line..<min(line + 80, source.lines.count) {
            guard let name = source.lines[next].split(separator: "func ", maxSplits: 1).dropFirst().first else { continue }
            guard name.hasPrefix("`"), let end = name.dropFirst().firstIndex(of: "`") else { return true }
            return name[..<end].split(separator: " ").count < 3
        }
        return true
    }

    @Sendable private static func isHollowName(_ source: SwiftSource, _ line: Int) -> Bool {
        let words = source.words[line]
        guard let keyword = words.firstIndex(where: { ["class", "struct", "enum", "protocol", "actor"].contains($0) }),
            words.indices.contains(keyword + 1)
        else { return false }
        let name = words[keyword + 1]
        return ["Manager", "Helper", "Helpers", "Util", "Utils", "Utility", "Impl", "Common", "Misc"].contains {
            name.hasSuffix($0)
        }
    }
}
