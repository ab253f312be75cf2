import Testing
import ThemisBase
import ThemisDatabase
import ThemisTestKit

extension DatabaseFixture {
    @discardableResult
    func edge(_ id: String, _ document: String, table: String = "edge") throws -> OperationResult {
        let answer = Answer<OperationResult>()
        try database.putEdge(WriteOperation(Self.key("\(table):\(id)"), .put(Array(document.utf8)))) { answer.set($0) }
        return try answer.get()
    }

    /// Edges from a text such as `a>b c>d`, named after their ends.
    func edges(_ text: String) throws {
        for pair in text.split(separator: " ") {
            let ends = pair.split(separator: ">")
            try edge(String(pair), #"{"_from":"\#(ends[0])","_to":"\#(ends[1])"}"#)
        }
    }

    func traverse(_ body: String) throws -> JSONValue { try JSONValue(parsing: database.traverse(Array(body.utf8))) }
    func shortestPath(_ body: String) throws -> JSONValue { try JSONValue(parsing: database.shortestPath(Array(body.utf8))) }
    func neighbors(_ body: String) throws -> JSONValue { try JSONValue(parsing: database.neighbors(Array(body.utf8))) }

    /// The vertices of a traversal, in their order.
    func visited(_ body: String) throws -> [String] { (try traverse(body)["visited"]?.elements ?? []).compactMap(\.stringValue) }
}

/// A graph as a dictionary, walked in the plainest way.
struct ReferenceGraph {
    struct Edge {
        var from: String
        var to: String
        var type: String?
        var weight: Double?
        var validFrom: Int64?
        var validTo: Int64?

        var document: String {
            var members = [#""_from":"\#(from)""#, #""_to":"\#(to)""#]
            if let type { members.append(#""_type":"\#(type)""#) }
            if let weight { members.append(#""_weight":\#(weight)"#) }
            if let validFrom { members.append(#""valid_from":\#(validFrom)"#) }
            if let validTo { members.append(#""valid_to":\#(validTo)"#) }
            return "{\(members.shuffled().joined(separator: ","))}"
        }
    }

    struct Rule {
        var direction = "outbound"
        var types: Set<String> = []
        var time: Int64?

        var members: String {
            var text = #""direction":"\#(direction)""#
            if !types.isEmpty { text += #","types":[\#(types.sorted().map { "\"\($0)\"" }.joined(separator: ","))]"# }
            if let time { text += #","at":\#(time)"# }
            return text
        }
    }

    var edges: [String: Edge] = [:]

    /// Edges of a vertex with the vertex at the other end; a loop once.
    func steps(_ vertex: String, _ rule: Rule) -> [(id: String, other: String, weight: Double)] {
        edges.flatMap { id, edge -> [(id: String, other: String, weight: Double)] in
            if !rule.types.isEmpty, !rule.types.contains(edge.type ?? "") { return [] }
            if let time = rule.time, time < edge.validFrom ?? .min || time > edge.validTo ?? .max { return [] }
            var found: [(id: String, other: String, weight: Double)] = []
            if rule.direction != "inbound", edge.from == vertex { found.append((id, edge.to, edge.weight ?? 1)) }
            if rule.direction != "outbound", edge.to == vertex, rule.direction == "inbound" || edge.from != edge.to {
                found.append((id, edge.from, edge.weight ?? 1))
            }
            return found
        }
    }

    /// Every vertex in reach with its distance in edges.
    func depths(from start: String, _ rule: Rule) -> [String: Int] {
        var depths = [start: 0]
        var frontier = [start]
        while !frontier.isEmpty {
            var next: [String] = []
            for vertex in frontier {
                for step in steps(vertex, rule) where depths[step.other] == nil {
                    depths[step.other] = depths[vertex]! + 1
                    next.append(step.other)
                }
            }
            frontier = next
        }
        return depths
    }

    /// The least weight of every vertex in reach: relaxed until nothing changes.
    func weights(from start: String, _ rule: Rule) -> [String: Double] {
        var weights = [start: 0.0]
        var changes = true
        while changes {
            changes = false
            for (vertex, weight) in weights {
                for step in steps(vertex, rule) where weight + step.weight < weights[step.other] ?? .infinity {
                    weights[step.other] = weight + step.weight
                    changes = true
                }
            }
        }
        return weights
    }
}
