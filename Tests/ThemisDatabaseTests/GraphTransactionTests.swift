import Testing
import ThemisBase
import ThemisDatabase
import ThemisTestKit

extension OpenTransaction {
    func edge(_ id: String, _ document: String) throws {
        _ = try fixture.database.putEdge(
            WriteOperation(DatabaseFixture.key("edge:\(id)"), .put(Array(document.utf8))), in: reference)
    }

    /// The vertices of a traversal, in their order.
    func visited(_ body: String) throws -> [String] {
        let answer = try JSONValue(parsing: fixture.database.traverse(Array(body.utf8), in: reference))
        return (answer["visited"]?.elements ?? []).compactMap(\.stringValue)
    }

    /// The other ends of a vertex's edges.
    func around(_ vertex: String) throws -> [String] {
        let body = #"{"vertex":"\#(vertex)","direction":"any"}"#
        let answer = try JSONValue(parsing: fixture.database.neighbors(Array(body.utf8), in: reference))
        return (answer["neighbors"]?.elements ?? []).compactMap { $0["vertex"]?.stringValue }.sorted()
    }
}

/// Walks within transactions over several requests.
@Suite struct GraphTransactionTests {
    @Test func `a walk sees what its transaction has written, and nobody else does before the commit`() throws {
        let fixture = try DatabaseFixture()
        try fixture.edges("a>b b>c c>d")
        let transaction = try fixture.begin()
        try transaction.edge("a>b", #"{"_from":"a","_to":"x"}"#)
        try transaction.edge("x>y", #"{"_from":"x","_to":"y","_weight":0.5}"#)
        try transaction.delete("edge:c>d")
        let walk = #"{"start_vertex":"a"}"#
        #expect(try transaction.visited(walk) == ["a", "x", "y"])
        #expect(try transaction.visited(#"{"start_vertex":"b"}"#) == ["b", "c"])
        let way = try JSONValue(parsing: fixture.database.shortestPath(Array(#"{"from":"a","to":"y"}"#.utf8), in: transaction.reference))
        #expect(way["found"] == true && way["length"] == 2)
        let tested = #"{"start_vertex":"a","filter":{"edges":[{"column":"_weight","op":"eq","value":0.5}]}}"#
        #expect(try transaction.visited(tested) == ["a"], "a filter reads the document that the transaction wrote")
        #expect(try fixture.visited(walk) == ["a", "b", "c", "d"])
        try transaction.commit()
        #expect(try fixture.visited(walk) == ["a", "x", "y"])
    }

    @Test func `a walk is a read that a commit stands on`() throws {
        let fixture = try DatabaseFixture()
        try fixture.edges("a>b far>away")
        let undisturbed = try fixture.begin()
        let disturbed = try fixture.begin()
        for transaction in [undisturbed, disturbed] { #expect(try transaction.visited(#"{"start_vertex":"a"}"#) == ["a", "b"]) }
        try fixture.edges("far>off")
        try undisturbed.put("t:1", "{}")
        try undisturbed.commit()
        // An edge of a vertex that was walked over and had none.
        try fixture.edges("b>c")
        try disturbed.put("t:2", "{}")
        #expect(errorCode { try disturbed.commit() } == .transactionConflict)
    }

    @Test func `an expired edge that a transaction puts anew is followed in it`() throws {
        let fixture = try DatabaseFixture()
        try fixture.edges("b>c")
        let table = try TableName(validating: "edge")
        _ = try fixture.database.putTable(table, TableSettingsChange(defaultTTLSeconds: 10))
        try fixture.edges("a>b")
        fixture.time.advance(milliseconds: 10_001)
        let transaction = try fixture.begin()
        #expect(try transaction.visited(#"{"start_vertex":"a"}"#) == ["a"])
        try transaction.edge("a>b", #"{"_from":"a","_to":"b"}"#)
        #expect(try transaction.visited(#"{"start_vertex":"a"}"#) == ["a", "b", "c"])
    }

    @Test func `an edge index must be there when the transaction begins`() throws {
        let fixture = try DatabaseFixture()
        let early = try fixture.begin()
        let edge = #"{"_from":"a","_to":"b"}"#
        #expect(thrown { try early.edge("e", edge) }?.code == .unprocessable)
        try fixture.edges("a>b")
        #expect(thrown { try early.edge("e", edge) }?.code == .unprocessable)
        let late = try fixture.begin()
        #expect(thrown { try late.edge("e", #"{"_from":"a"}"#) }?.code == .invalidRequest)
        try late.edge("e", edge)
        try late.commit()
        #expect(try fixture.neighbors(#"{"vertex":"a"}"#)["count"] == 2)
    }

    @Test func `random edges of a transaction are walked as if they were stored`() throws {
        var random = SeededRandom(seed: 0x6E_06)
        let fixture = try DatabaseFixture()
        let vertices = (0..<8).map { "v\($0)" }
        try fixture.edges("v0>v0")
        var stored = ["v0>v0": (from: "v0", to: "v0")]
        for round in 0..<20 {
            let transaction = try fixture.begin()
            var edges = stored
            for _ in 0..<Int.random(in: 1...12, using: &random) {
                let id = "e\(Int.random(in: 0..<20, using: &random))"
                if Int.random(in: 0..<4, using: &random) == 0 {
                    try transaction.delete("edge:\(id)")
                    edges[id] = nil
                    continue
                }
                let (from, to) = (vertices.randomElement(using: &random) ?? "", vertices.randomElement(using: &random) ?? "")
                try transaction.edge(id, #"{"_from":"\#(from)","_to":"\#(to)"}"#)
                edges[id] = (from, to)
            }
            for vertex in vertices {
                let expected = edges.values.flatMap { edge in
                    edge.from == edge.to
                        ? (edge.from == vertex ? [vertex] : [])
                        : (edge.from == vertex ? [edge.to] : []) + (edge.to == vertex ? [edge.from] : [])
                }
                #expect(try transaction.around(vertex) == expected.sorted(), "round \(round), \(vertex)")
            }
            if Bool.random(using: &random) {
                try transaction.commit()
                stored = edges
            } else {
                try transaction.rollBack()
            }
        }
    }
}
