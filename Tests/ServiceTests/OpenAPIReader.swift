import Foundation

/// Reads from `docs/openapi.yaml` what a router knows too. Understands only the plain, two-space style of that file.
struct OpenAPIReader {
    struct Operation: Equatable {
        var method: String
        var path: String
        var routeClass = ""
        var scope = ""
        var pathParameters: [String] = []
        var queryParameters: [String] = []
    }

    private struct Parameter {
        var name = ""
        var place = ""
    }

    let operations: [Operation]

    /// Reads the file in the repository.
    init() throws {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        try self.init(String(contentsOf: root.appendingPathComponent("docs/openapi.yaml"), encoding: .utf8))
    }

    init(_ text: String) {
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        let parameters = Self.parameters(lines)
        var found: [Operation] = []
        var path = ""
        var isInPaths = false
        var isInParameters = false
        for line in lines {
            let indent = line.prefix { $0 == " " }.count
            let word = line.trimmingCharacters(in: .whitespaces)
            if word.isEmpty || word.hasPrefix("#") { continue }
            if indent == 0 { isInPaths = word == "paths:" }
            guard isInPaths else { continue }
            if indent == 2 { path = String(word.dropLast()) }
            if indent == 4 { found.append(Operation(method: word.dropLast().uppercased(), path: path)) }
            if indent == 6 { isInParameters = word == "parameters:" }
            guard var operation = found.popLast() else { continue }
            if indent == 6, word.hasPrefix("x-route-class: ") { operation.routeClass = String(word.dropFirst(15)) }
            if indent == 6, word.hasPrefix("x-scope: ") { operation.scope = String(word.dropFirst(9)) }
            if isInParameters, indent == 8, let slash = word.lastIndex(of: "/") {
                let name = String(word[word.index(after: slash)...].dropLast())
                switch parameters[name]?.place {
                case "path": operation.pathParameters.append(parameters[name]?.name ?? name)
                case "query": operation.queryParameters.append(parameters[name]?.name ?? name)
                case "header": break
                default: operation.queryParameters.append("\(name) is not among components/parameters")
                }
            }
            found.append(operation)
        }
        operations = found
    }

    private static func parameters(_ lines: [String]) -> [String: Parameter] {
        var found: [String: Parameter] = [:]
        var current = ""
        var isInside = false
        for line in lines {
            let indent = line.prefix { $0 == " " }.count
            let word = line.trimmingCharacters(in: .whitespaces)
            if word.isEmpty { continue }
            if indent <= 2 { isInside = word == "parameters:" && indent == 2 }
            guard isInside else { continue }
            if indent == 4 { current = String(word.dropLast()) }
            if indent == 6, word.hasPrefix("name: ") { found[current, default: Parameter()].name = String(word.dropFirst(6)) }
            if indent == 6, word.hasPrefix("in: ") { found[current, default: Parameter()].place = String(word.dropFirst(4)) }
        }
        return found
    }
}
