import Foundation
import ThemisTestKit

/// Reads the bounds of Limits.swift: name, value and the comment that is their reason.
enum LimitsSource {
    struct Row {
        let name: String
        let bound: String
        let reason: String
    }

    static func rows() throws -> [Row] {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let text = try String(contentsOf: root.appendingPathComponent("Sources/ThemisBase/Limits.swift"), encoding: .utf8)
        var known: [String: Int] = [:]
        var reason: [String] = []
        var rows: [Row] = []
        for line in text.split(separator: "\n").map({ $0.trimmingCharacters(in: .whitespaces) }) {
            if line.hasPrefix("///") {
                reason.append(line.dropFirst(3).trimmingCharacters(in: .whitespaces))
                continue
            }
            if let match = line.firstMatch(of: /^public static let (\w+)(?:: \w+)? = (.+)$/) {
                let name = String(match.1)
                let number = try value(String(match.2), known)
                known[name] = number
                rows.append(Row(name: name, bound: spelled(number, name), reason: reason.joined(separator: " ")))
            }
            reason = []
        }
        return rows
    }

    /// The value of an expression of numbers, known names, `<<`, `*`, `+`, `-` and parentheses.
    static func value(_ expression: String, _ known: [String: Int]) throws -> Int {
        var tokens = expression.matches(of: /<<|[-+*()]|\w+/).map { String($0.0) }[...]
        func atom() throws -> Int {
            guard let token = tokens.popFirst() else { throw ClientFailure("\(expression) ends early") }
            if token == "(" {
                let inner = try sum()
                guard tokens.popFirst() == ")" else { throw ClientFailure("\(expression): a parenthesis is open") }
                return inner
            }
            guard let number = Int(token.replacingOccurrences(of: "_", with: "")) ?? known[token] else {
                throw ClientFailure("\(expression): \(token) is not known")
            }
            return number
        }
        func shift() throws -> Int {
            var left = try atom()
            while tokens.first == "<<" {
                tokens.removeFirst()
                left <<= try atom()
            }
            return left
        }
        func product() throws -> Int {
            var left = try shift()
            while tokens.first == "*" {
                tokens.removeFirst()
                left *= try shift()
            }
            return left
        }
        func sum() throws -> Int {
            var left = try product()
            while let sign = tokens.first, sign == "+" || sign == "-" {
                tokens.removeFirst()
                left += try (sign == "+" ? 1 : -1) * product()
            }
            return left
        }
        let result = try sum()
        guard tokens.isEmpty else { throw ClientFailure("\(expression) goes on with \(tokens)") }
        return result
    }

    /// A number as people say it, by the unit that its name ends with.
    static func spelled(_ number: Int, _ name: String) -> String {
        func scaled(_ steps: [(Int, String)], _ smallest: String) -> String {
            for (size, unit) in steps where number >= size && number % size == 0 { return "\(number / size) \(unit)" }
            return "\(number) \(smallest)"
        }
        if name.hasSuffix("Bytes") { return scaled([(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")], "bytes") }
        if name.hasSuffix("Milliseconds") { return scaled([(3_600_000, "h"), (60_000, "min"), (1_000, "s")], "ms") }
        return String(number)
    }
}
