import Foundation
import Testing
import ThemisTestKit

/// The README's promises, tried literally.
@Suite struct ReadmeTests {
    /// A command of a `console` block and the lines that the README shows as its answer.
    struct Example: CustomTestStringConvertible, Sendable {
        let command: String
        var answer: [String] = []

        var testDescription: String { command }
    }

    static let examples: [Example] = {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let text = (try? String(contentsOf: root.appendingPathComponent("README.md"), encoding: .utf8)) ?? ""
        return parse(text)
    }()

    static func parse(_ text: String) -> [Example] {
        var examples: [Example] = []
        var isConsole = false
        for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
            if line.hasPrefix("```") {
                isConsole = line == "```console"
            } else if isConsole, line.hasPrefix("$ ") {
                examples.append(Example(command: String(line.dropFirst(2))))
            } else if isConsole, !examples.isEmpty {
                examples[examples.count - 1].answer.append(String(line))
            }
        }
        return examples
    }

    /// Whether `text` is what the README shows: `…` stands for anything, a line of its own for any lines.
    static func matches(_ text: String, _ shown: [String]) -> Bool {
        let pattern = shown.joined(separator: "\n").components(separatedBy: "…").map(NSRegularExpression.escapedPattern(for:))
        return text.trimmingCharacters(in: .newlines).range(
            of: "(?s)^\(pattern.joined(separator: ".*"))$", options: .regularExpression) != nil
    }

    /// Against a set of its own, or against the one at `THEMIS_README_URL` that was started on an empty directory.
    @Test func `the README's curls print what the README says`() throws {
        try #require(Self.examples.count >= 4)
        let given = ProcessInfo.processInfo.environment["THEMIS_README_URL"]
        let set = try ProcessSet()
        if given == nil { try set.startAll() }
        for example in Self.examples {
            let command =
                given != nil
                ? example.command
                : example.command.replacingOccurrences(of: ":8765", with: ":\(set.gatewayPort)")
                    .replacingOccurrences(of: ":8766", with: ":\(set.changefeedPort)")
            let log = "\(set.directory)/\(UUID().uuidString)"
            let process = try LaunchedProcess(
                "/bin/bash", ["-c", command.replacingOccurrences(of: "curl ", with: "curl -s ")], logPath: log)
            _ = try process.exitCode(within: 20)
            #expect(
                Self.matches(process.log, example.answer),
                "\(command)\nprinted:\n\(process.log)\nthe README shows:\n\(example.answer.joined(separator: "\n"))")
        }
    }

    @Test func `an ellipsis stands for anything and nothing else does`() {
        #expect(Self.matches("{\"a\":1,\"b\":[2]}\n", ["{\"a\":1,…}"]))
        #expect(!Self.matches("{\"a\":12}", ["{\"a\":1}"]))
        #expect(Self.matches("x\ny\nid: 7\nz", ["…", "id: 7", "…"]))
    }

    @Test func `console blocks are read as commands with their answers`() {
        let found = Self.parse("a\n```sh\n$ no\n```\n```console\n$ one\n1\n2\n$ two\n```\n")
        #expect(found.map(\.command) == ["one", "two"])
        #expect(found.map(\.answer) == [["1", "2"], []])
    }
}
