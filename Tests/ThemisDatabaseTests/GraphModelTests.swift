import Testing
import ThemisBase
import ThemisDatabase
import ThemisStorage
import ThemisTestKit

/// Random edges that come, change and go; every walk is that over a dictionary, also after the database was opened anew.
@Suite struct GraphModelTests {
    private struct World {
        var random: SeededRandom
        var graph = ReferenceGraph()
        private static let vertices = ["a", "b", "c", "d", "users:1", "users:2", "x:y:z", "ä", "n o", "\"", "k", "l", "m", "0"]

        mutating func vertex() -> String { Self.vertices.randomElement(using: &random)!.replacing("\"", with: "\\\"") }

        mutating func edge() -> ReferenceGraph.Edge {
            var edge = ReferenceGraph.Edge(from: vertex(), to: vertex())
            if Bool.random(using: &random) { edge.type = ["knows", "likes", ""].randomElement(using: &random) }
            if Bool.random(using: &random) { edge.weight = Double(Int.random(in: 0...20, using: &random)) / 4 }
            if Bool.random(using: &random) { edge.validFrom = Int64.random(in: -50...50, using: &random) }
            if Bool.random(using: &random) { edge.validTo = (edge.validFrom ?? -50) + Int64.random(in: 0...60, using: &random) }
            return edge
        }

        mutating func rule() -> ReferenceGraph.Rule {
            var rule = ReferenceGraph.Rule()
            rule.direction = ["outbound", "inbound", "any"].randomElement(using: &random)!
            if Int.random(in: 0..<3, using: &random) == 0 {
                rule.types = Set((0..<2).map { _ in ["knows", "likes", "", "none"].randomElement(using: &random)! })
            }
            if Bool.random(using: &random) { rule.time = Int64.random(in: -60...70, using: &random) }
            return rule
        }
    }

    private func unescaped(_ text: String) -> String { text.replacing("\\\"", with: "\"") }

    private func change(_ fixture: DatabaseFixture, _ world: inout World) throws {
        let id = "e:\(Int.random(in: 0..<45, using: &world.random))"
        switch Int.random(in: 0..<10, using: &world.random) {
        case 0, 1:
            try fixture.delete("edge:\(id)")
            world.graph.edges[id] = nil
        case 2 where world.graph.edges[id] != nil:
            let other = world.vertex()
            try fixture.patch("edge:\(id)", merge: #"{"_to":"\#(other)"}"#)
            world.graph.edges[id]?.to = other
        default:
            let edge = world.edge()
            try fixture.edge(id, edge.document)
            world.graph.edges[id] = edge
        }
    }

    private func check(_ fixture: DatabaseFixture, _ world: inout World, _ hint: String) throws {
        let start = world.vertex()
        let rule = world.rule()
        let depths = world.graph.depths(from: start, rule)
        let depth = [Int.random(in: 0...3, using: &world.random), Int.random(in: 0...6, using: &world.random)].sorted()
        let answer = try fixture.traverse(
            #"{"start_vertex":"\#(start)","min_depth":\#(depth[0]),"max_depth":\#(depth[1]),"return":"vertices",\#(rule.members)}"#)
        let found = (answer["vertices"]?.elements ?? []).map { ($0["vertex"]?.stringValue ?? "", Int($0["depth"]?.int64Value ?? -1)) }
        let expected = depths.filter { (depth[0]...depth[1]).contains($0.value) }
        #expect(
            Dictionary(found) { first, _ in first } == Dictionary(uniqueKeysWithValues: expected.map { (unescaped($0.key), $0.value) }),
            "\(hint): from \(start) \(rule)")
        #expect(found.count == expected.count && answer["visited_count"]?.int64Value == Int64(expected.count), "\(hint)")
        #expect(zip(found, found.dropFirst()).allSatisfy { $0.1 <= $1.1 }, "\(hint): nearest first")

        let near = try fixture.neighbors(#"{"vertex":"\#(start)","limit":1000,\#(rule.members)}"#)
        let edges = (near["neighbors"]?.elements ?? []).map { "\($0["edge"]?.stringValue ?? "") \($0["vertex"]?.stringValue ?? "")" }
        #expect(
            edges.sorted() == world.graph.steps(start, rule).map { "edge:\($0.id) \(unescaped($0.other))" }.sorted(),
            "\(hint): neighbours of \(start) \(rule)")

        let target = world.vertex()
        let weights = world.graph.weights(from: start, rule)
        for isWeighted in [false, true] {
            let way = try fixture.shortestPath(#"{"from":"\#(start)","to":"\#(target)","weighted":\#(isWeighted),\#(rule.members)}"#)
            let hint = "\(hint): \(start) to \(target) \(rule), weighted \(isWeighted)"
            #expect(way["found"]?.boolValue == (depths[target] != nil), "\(hint)")
            guard depths[target] != nil else { continue }
            if isWeighted {
                #expect(way["weight"]?.doubleValue == weights[target], "\(hint)")
            } else {
                #expect(way["length"]?.int64Value == Int64(depths[target] ?? -1), "\(hint)")
            }
            try self.check(way, world.graph, rule, hint)
        }
    }

    /// A way consists of edges that may be followed, from its beginning to its end.
    private func check(_ way: JSONValue, _ graph: ReferenceGraph, _ rule: ReferenceGraph.Rule, _ hint: String) throws {
        let vertices = (way["vertices"]?.elements ?? []).compactMap(\.stringValue)
        let edges = way["edges"]?.elements ?? []
        #expect(vertices.count == edges.count + 1, "\(hint)")
        var weight = 0.0
        for (place, edge) in edges.enumerated() {
            let id = String(edge["edge"]?.stringValue?.dropFirst("edge:".count) ?? "")
            let escaped = vertices[place].replacing("\"", with: "\\\"")
            let step = graph.steps(escaped, rule).first { $0.id == id && unescaped($0.other) == vertices[place + 1] }
            weight += try #require(step, "\(hint): edge \(id) cannot be followed").weight
        }
        #expect(way["weight"]?.doubleValue == weight, "\(hint)")
    }

    @Test func `every walk over random edges is that over a dictionary`() throws {
        let seed = Seed.current()
        let engine = MemoryEngine()
        var world = World(random: SeededRandom(seed: seed))
        var fixture = try DatabaseFixture(engine: engine)
        try fixture.edge("e:first", #"{"_from":"a","_to":"b"}"#)
        world.graph.edges["e:first"] = ReferenceGraph.Edge(from: "a", to: "b")
        for round in 0..<12 {
            for _ in 0..<30 { try change(fixture, &world) }
            for query in 0..<25 { try check(fixture, &world, "seed \(seed) round \(round) query \(query)") }
            let verification = try fixture.ended(fixture.database.verify(repairs: false))
            #expect(verification.detail.contains(": 0 entries missing, 0 dangling, 0 indexes miscounted"), "seed \(seed) round \(round)")
            #expect(try fixture.database.indexes(TableName(validating: "edge"))[0].entries == UInt64(2 * world.graph.edges.count))
            if round % 4 == 3 { try fixture.finish(fixture.database.rebuildTopology(nil)) }
            guard round % 3 == 2 else { continue }
            fixture.database.close()
            fixture = try DatabaseFixture(engine: engine)
        }
    }
}
