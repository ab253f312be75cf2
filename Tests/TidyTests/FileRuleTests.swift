import Foundation
import Testing

/// House rules over files of every kind.
@Suite struct FileRuleTests {
    private static let textEndings = [
        ".swift", ".c", ".h", ".cpp", ".proto", ".md", ".sh", ".py", ".yml", ".yaml", ".json", ".modulemap", ".txt", "Makefile",
        "/run", "/demo",
    ]

    /// Marks of unfinished work, spelled so that this file does not hold them.
    private static let marks = ["TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK"]

    /// Folders of one machine, spelled likewise.
    private static let machinePaths = ["/wo" + "rk/", "/fa" + "rm/", "/ho" + "me/", "/op" + "t/swift", "/tm" + "p/wt"]

    private static func findings(_ needles: [String], _ repair: String) -> [Finding] {
        Repository.files.filter { path in textEndings.contains { path.hasSuffix($0) } }.flatMap { path in
            let text = Repository.text(path)
            guard needles.contains(where: text.contains) else { return [Finding]() }
            return text.split(separator: "\n", omittingEmptySubsequences: false).enumerated().compactMap { index, line in
                guard let needle = needles.first(where: { holds($0, in: line) }) else { return nil }
                return Finding(path: path, line: index + 1, text: "\(needle): \(repair)")
            }
        }
    }

    /// A mark counts as a word of its own; a path wherever it stands.
    private static func holds(_ needle: String, in line: Substring) -> Bool {
        guard let range = line.range(of: needle) else { return false }
        guard needle.first?.isLetter == true else { return true }
        let before = range.lowerBound == line.startIndex ? nil : line[line.index(before: range.lowerBound)]
        let after = range.upperBound == line.endIndex ? nil : line[range.upperBound]
        return before?.isLetter != true && after?.isLetter != true
    }

    @Test func `no mark of unfinished work is left`() {
        let findings = Self.findings(Self.marks, "finish it, or file an issue and remove the mark.")
        expectNone(findings)
    }

    @Test func `no path of one machine is written down`() {
        let findings = Self.findings(Self.machinePaths, "find the place at run time.")
        expectNone(findings)
    }

    @Test func `a mark is found as a word only`() {
        #expect(Self.holds(Self.marks[0], in: "// \(Self.marks[0]): later"))
        #expect(!Self.holds(Self.marks[0], in: "the word AUTO\(Self.marks[0])X"))
    }

    @Test(arguments: Repository.files(ending: ".sh") + [".ci/run"])
    func `a shell script only glues`(path: String) {
        let lines = Repository.text(path).split(separator: "\n", omittingEmptySubsequences: false)
        #expect(lines.count <= 61, "\(path) has \(lines.count - 1) lines; move its logic into a test or a program")
        #expect(lines.first == "#!/usr/bin/env bash", "\(path) begins with #!/usr/bin/env bash")
        #expect(lines.contains("set -euo pipefail"), "\(path) says set -euo pipefail")
        #expect(lines.count > 1 && lines[1].hasPrefix("# "), "\(path): its second line says what it does")
        #expect(
            FileManager.default.isExecutableFile(atPath: Repository.root.appendingPathComponent(path).path), "chmod +x \(path)")
    }

    @Test func `C and contract files keep the line length`() {
        let findings = Repository.files(ending: ".c", ".h", ".cpp", ".proto", ".sh").filter { !Repository.isGenerated($0) }
            .flatMap { path in
                Repository.text(path).split(separator: "\n", omittingEmptySubsequences: false).enumerated().filter {
                    $0.element.count > 140
                }
                .map { Finding(path: path, line: $0.offset + 1, text: "\($0.element.count) columns. Break the line at 140.") }
            }
        expectNone(findings)
    }

    @Test func `every verb of the Makefile says what it does`() {
        let text = Repository.text("Makefile")
        let verbs = text.matches(of: /(?m)^([a-z]+):(.*)$/)
        #expect(verbs.count >= 11)
        for verb in verbs { #expect(verb.2.contains("## "), "make \(verb.1) has no `## text`") }
        for verb in ["run", "test", "check", "fix", "generate", "docs", "demo", "crash", "clean"] {
            #expect(verbs.contains { $0.1 == verb }, "make \(verb) is missing")
        }
    }
}
