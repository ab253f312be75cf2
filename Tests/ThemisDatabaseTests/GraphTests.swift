import Testing
import ThemisBase
import ThemisDatabase
import ThemisStorage
import ThemisTestKit

/// Graphs; what the original got wrong, each by its name.
@Suite struct GraphTests {
    private let table: TableName

    init() throws { table = try TableName(validating: "edge") }

    // What happened: after a restart every step of a walk read all edges there are.
    // Why: adjacency lay in memory, and nothing filled it again.
    // What now holds: it is read from the index, and a walk looks only at edges of the vertices that it reaches.
    @Test func `adjacency is there after a restart without being loaded`() throws {
        let engine = MemoryEngine()
        let first = try DatabaseFixture(engine: engine)
        for number in 0..<500 { try first.edge("\(number)", #"{"_from":"v\#(number)","_to":"v\#(number + 1)"}"#) }
        first.database.close()
        let fixture = try DatabaseFixture(engine: engine)
        let answer = try fixture.traverse(#"{"start_vertex":"v10","max_depth":3}"#)
        #expect(answer["visited"] == ["v10", "v11", "v12", "v13"])
        #expect(answer["stats"]?["edges_read"] == 3)
    }

    // What happened: vertices named like entities, with a colon, were taken apart at the wrong place.
    // Why: a colon stood between the parts of the stored key.
    // What now holds: a vertex is any text, and one that is the key of an entity brings its document.
    @Test func `vertices may have colons in their names and are entities or not`() throws {
        let fixture = try DatabaseFixture()
        try fixture.put("users:de:1", #"{"name":"Ada"}"#)
        try fixture.edge("knows:1:2", #"{"_from":"users:de:1","_to":"users:de:2"}"#)
        try fixture.edge("e2", #"{"_from":"users:de","_to":"1:x"}"#)
        try fixture.edge("e3", #"{"_from":"users","_to":"de:1"}"#)
        let answer = try fixture.traverse(#"{"start_vertex":"users:de:1","return":"vertices"}"#)
        #expect(
            answer["vertices"] == [
                ["vertex": "users:de:1", "depth": 0, "document": ["name": "Ada"]], ["vertex": "users:de:2", "depth": 1, "missing": true],
            ])
        #expect(try fixture.visited(#"{"start_vertex":"users:de"}"#) == ["users:de", "1:x"])
    }

    // What happened: an edge that was put again with other ends was still found at the old ones.
    // Why: only what the new edge says was written.
    // What now holds: entries change with the entity, in one batch.
    @Test func `an edge with other ends leaves the old ones`() throws {
        let fixture = try DatabaseFixture()
        try fixture.edge("e", #"{"_from":"a","_to":"b"}"#)
        try fixture.edge("e", #"{"_from":"c","_to":"d"}"#)
        #expect(try fixture.visited(#"{"start_vertex":"a","direction":"any"}"#) == ["a"])
        #expect(try fixture.visited(#"{"start_vertex":"b","direction":"any"}"#) == ["b"])
        #expect(try fixture.visited(#"{"start_vertex":"d","direction":"inbound"}"#) == ["d", "c"])
        try fixture.delete("edge:e")
        #expect(try fixture.visited(#"{"start_vertex":"c","direction":"any"}"#) == ["c"])
        #expect(try fixture.storedEntries() == 0)
    }

    // What happened: negative weights were accepted, and the search for the least one went wrong.
    // Why: nobody looked at them.
    // What now holds: such an edge is refused, wherever it comes from.
    @Test func `a weight that is negative or no number is refused`() throws {
        let fixture = try DatabaseFixture()
        try fixture.edge("ok", #"{"_from":"a","_to":"b","_weight":0}"#)
        for weight in ["-1", "-0.0001", "1e999", #""NaN""#, #""3""#, "[1]", "1e17"] {
            for put in [{ try fixture.edge("e", $0) }, { try fixture.put("edge:e", $0) }] {
                let error = thrown { _ = try put(#"{"_from":"a","_to":"b","_weight":\#(weight)}"#) }
                #expect(error?.code == .unprocessable && error?.fields.first?.field == "_weight", "\(weight)")
            }
        }
        #expect(errorCode { try fixture.patch("edge:ok", merge: #"{"_weight":-2}"#) } == .unprocessable)
        try fixture.put("old:1", #"{"_from":"a","_to":"b","_weight":-1}"#)
        let definition = try IndexDefinition(
            table: TableName(validating: "old"), type: "edge", columns: ["_from", "_to"].map { try JSONPath($0) }, isUnique: false)
        let job = try fixture.ended(#require(fixture.database.createIndex(definition).job))
        #expect(job.state == .failed && job.error?.code == .unprocessable)
    }

    // What happened: a rebuild of the topology did not say what it mended.
    // Why: it filled a map and reported nothing.
    // What now holds: the job compares first, says what differed, and builds anew beside what serves.
    @Test func `rebuilding the topology says what differed and mends it`() throws {
        let fixture = try DatabaseFixture()
        try fixture.edges("a>b b>c c>d")
        try plant(fixture)
        #expect(try fixture.visited(#"{"start_vertex":"a"}"#) == ["a", "x"])
        let job = try fixture.ended(fixture.database.rebuildTopology(table))
        #expect(job.state == .done && job.kind == "graph_rebuild")
        #expect(
            job.detail == "edge: compared 3 entities, 1 entries of edges were missing, 1 belonged to no edge; built anew", "\(job.detail)")
        #expect(try fixture.visited(#"{"start_vertex":"a"}"#) == ["a", "b", "c", "d"])
        let clean = try fixture.ended(fixture.database.rebuildTopology(nil))
        #expect(clean.detail.contains("0 entries of edges were missing, 0 belonged to no edge"))
        #expect(errorCode { _ = try fixture.database.rebuildTopology(TableName(validating: "none")) } == .notFound)
        try fixture.put("t:1", "{}")
        #expect(errorCode { _ = try fixture.database.rebuildTopology(TableName(validating: "t")) } == .notFound)
    }

    /// Takes the first entry away, from a to b, and puts one to another vertex in its place.
    private func plant(_ fixture: DatabaseFixture) throws {
        var batch = WriteBatch()
        let cursor = try fixture.engine.snapshot().scan(.indexes, from: [], to: nil, reverse: false)
        #expect(try cursor.advance())
        batch.delete(.indexes, cursor.key)
        var wrong = cursor.key
        wrong[try #require(wrong.firstIndex(of: Character("b").asciiValue ?? 0))] = Character("x").asciiValue ?? 0
        batch.put(.indexes, wrong, [])
        try fixture.engine.commit(batch, .synced)
    }

    @Test func `a verification finds wrong adjacency and mends it`() throws {
        let fixture = try DatabaseFixture()
        try fixture.edges("a>b b>c c>d")
        try plant(fixture)
        let found = try fixture.ended(fixture.database.verify(repairs: true))
        #expect(found.detail.contains(": 1 entries missing, 1 dangling"), "\(found.detail)")
        try fixture.finishAllJobs()
        #expect(try fixture.ended(fixture.database.verify(repairs: false)).detail.contains(": 0 entries missing, 0 dangling"))
        #expect(try fixture.visited(#"{"start_vertex":"a"}"#) == ["a", "b", "c", "d"])
    }

    @Test func `loops and parallel edges and cycles give each vertex once`() throws {
        let fixture = try DatabaseFixture()
        try fixture.edges("a>a a>b b>a b>c c>a")
        try fixture.edge("second", #"{"_from":"a","_to":"b","_weight":5,"_type":"t"}"#)
        for direction in ["outbound", "inbound", "any"] {
            #expect(Set(try fixture.visited(#"{"start_vertex":"a","direction":"\#(direction)"}"#)) == ["a", "b", "c"])
        }
        #expect(try fixture.neighbors(#"{"vertex":"a"}"#)["count"] == 3)
        #expect(try fixture.neighbors(#"{"vertex":"a","direction":"any"}"#)["count"] == 5)
        let loop = try fixture.shortestPath(#"{"from":"a","to":"a"}"#)
        #expect(loop["found"] == true && loop["length"] == 0 && loop["vertices"] == ["a"])
    }

    @Test func `depths and limit cut a walk and say so`() throws {
        let fixture = try DatabaseFixture()
        try fixture.edges("a>b a>c b>d c>e d>f")
        #expect(try fixture.visited(#"{"start_vertex":"a","max_depth":1}"#) == ["a", "b", "c"])
        #expect(try fixture.visited(#"{"start_vertex":"a","min_depth":2,"max_depth":2}"#) == ["d", "e"])
        #expect(try fixture.visited(#"{"start_vertex":"a","max_depth":0}"#) == ["a"])
        let cut = try fixture.traverse(#"{"start_vertex":"a","limit":2}"#)
        #expect(cut["visited"] == ["a", "b"] && cut["truncated"] == true && cut["visited_count"] == 2)
        #expect(try fixture.traverse(#"{"start_vertex":"a","limit":6}"#)["truncated"] == false)
        let near = try fixture.neighbors(#"{"vertex":"a","limit":1}"#)
        #expect(near["count"] == 1 && near["truncated"] == true)
        for body in [
            #"{"start_vertex":"a","min_depth":3,"max_depth":2}"#, #"{"start_vertex":"a","max_depth":65}"#, #"{"start_vertex":""}"#, "{}",
            #"{"start_vertex":"a","limit":0}"#, #"{"start_vertex":"a","direction":"out"}"#, #"{"start_vertex":"a","return":"all"}"#,
            #"{"start_vertex":"a","at":1.5}"#, #"{"start_vertex":"a","types":[]}"#,
        ] {
            #expect(errorCode { _ = try fixture.traverse(body) } == .invalidRequest, "\(body)")
        }
        #expect(errorCode { _ = try fixture.traverse(#"{"start_vertex":"a","depth":1}"#) } == .unknownParameter)
        #expect(errorCode { _ = try fixture.shortestPath(#"{"from":"a","to":"b","filter":{"vertices":[]}}"#) } == .unknownParameter)
    }

    @Test func `edges and paths of a walk`() throws {
        let fixture = try DatabaseFixture()
        try fixture.edge("1", #"{"_from":"a","_to":"b","_type":"t","_weight":2.5,"valid_from":1,"valid_to":9,"since":2020}"#)
        try fixture.edge("2", #"{"_from":"c","_to":"b"}"#)
        let edges = try fixture.traverse(#"{"start_vertex":"a","direction":"any","min_depth":1,"return":"edges"}"#)
        #expect(edges["visited"] == ["b", "c"])
        #expect(
            edges["edges"] == [
                [
                    "edge": "edge:1", "from": "a", "to": "b", "type": "t", "weight": 2.5, "valid_from": 1, "valid_to": 9, "depth": 1,
                    "document": ["_from": "a", "_to": "b", "_type": "t", "_weight": 2.5, "valid_from": 1, "valid_to": 9, "since": 2020],
                ],
                [
                    "edge": "edge:2", "from": "c", "to": "b", "type": "", "weight": 1, "depth": 2,
                    "document": ["_from": "c", "_to": "b"],
                ],
            ])
        let paths = try fixture.traverse(#"{"start_vertex":"a","direction":"any","min_depth":2,"return":"paths"}"#)
        #expect(paths["paths"] == [["length": 2, "vertices": ["a", "b", "c"], "edges": ["edge:1", "edge:2"]]])
    }

    @Test func `filters test the documents of edges and of vertices`() throws {
        let fixture = try DatabaseFixture()
        for (id, age) in [("p:1", 10), ("p:2", 20), ("p:3", 30)] { try fixture.put(id, #"{"age":\#(age)}"#) }
        try fixture.edge("1", #"{"_from":"p:1","_to":"p:2","kind":"x"}"#)
        try fixture.edge("2", #"{"_from":"p:2","_to":"p:3","kind":"y"}"#)
        try fixture.edge("3", #"{"_from":"p:2","_to":"p:4","kind":"x"}"#)
        func visited(_ filter: String) throws -> [String] { try fixture.visited(#"{"start_vertex":"p:1","filter":\#(filter)}"#) }
        #expect(try visited(#"{"edges":[{"column":"kind","value":"x"}]}"#) == ["p:1", "p:2", "p:4"])
        // What is not shown is walked through all the same; a vertex without an entity has no values.
        #expect(try visited(#"{"vertices":[{"column":"age","op":"ge","value":25}]}"#) == ["p:3"])
        #expect(try visited(#"{"vertices":[{"column":"age","op":"exists","value":false}]}"#) == ["p:4"])
        #expect(
            try fixture.shortestPath(#"{"from":"p:1","to":"p:3","filter":{"edges":[{"column":"kind","value":"x"}]}}"#)["found"] == false)
    }

    @Test func `a cheaper way of more edges is found by weight`() throws {
        let fixture = try DatabaseFixture()
        try fixture.edge("long", #"{"_from":"a","_to":"z","_weight":10}"#)
        for (id, from, to) in [("1", "a", "b"), ("2", "b", "c"), ("3", "c", "z")] {
            try fixture.edge(id, #"{"_from":"\#(from)","_to":"\#(to)","_weight":3}"#)
        }
        let few = try fixture.shortestPath(#"{"from":"a","to":"z"}"#)
        #expect(few["length"] == 1 && few["weight"] == 10 && few["vertices"] == ["a", "z"])
        let cheap = try fixture.shortestPath(#"{"from":"a","to":"z","weighted":true}"#)
        #expect(cheap["length"] == 3 && cheap["weight"] == 9 && cheap["vertices"] == ["a", "b", "c", "z"])
        #expect(try fixture.shortestPath(#"{"from":"z","to":"a"}"#)["found"] == false)
        #expect(try fixture.shortestPath(#"{"from":"z","to":"a","direction":"inbound"}"#)["length"] == 1)
        #expect(try fixture.shortestPath(#"{"from":"nowhere","to":"a"}"#)["found"] == false)
    }

    @Test func `an edge that has expired is not followed`() throws {
        let fixture = try DatabaseFixture()
        try fixture.edges("a>b")
        _ = try fixture.database.putTable(table, TableSettingsChange(defaultTTLSeconds: 10))
        try fixture.edges("b>c")
        #expect(try fixture.visited(#"{"start_vertex":"a"}"#) == ["a", "b", "c"])
        fixture.time.advance(milliseconds: 10_001)
        #expect(try fixture.visited(#"{"start_vertex":"a"}"#) == ["a", "b"])
        #expect(try fixture.neighbors(#"{"vertex":"c","direction":"any"}"#)["count"] == 0)
    }

    @Test func `an edge needs its ends and a table for edges`() throws {
        let fixture = try DatabaseFixture()
        for (document, field) in [(#"{"_to":"b"}"#, "_from"), (#"{"_from":"a","_to":null}"#, "_to")] {
            let error = thrown { try fixture.edge("e", document) }
            #expect(error?.code == .invalidRequest && error?.fields.map(\.field) == [field])
        }
        #expect(fixture.database.table(table) == nil, "what is refused makes no table")
        try fixture.edges("a>b")
        #expect(try fixture.database.indexes(table).map(\.definition.type) == ["edge"])
        for (document, field) in [
            (#"{"_from":"a"}"#, "_to"), (#"{"_from":1,"_to":"b"}"#, "_from"), (#"{"_from":"","_to":"b"}"#, "_from"),
            (#"{"_from":"a","_to":"b","_type":3}"#, "_type"), (#"{"_from":"a","_to":"b","valid_from":"x"}"#, "valid_from"),
            (#"{"_from":"a","_to":"b","valid_from":2,"valid_to":1}"#, "valid_to"),
        ] {
            let error = thrown { try fixture.put("edge:e", document) }
            #expect(error?.code == .unprocessable && error?.fields.first?.field == field, "\(document)")
        }
        try fixture.put("edge:note", #"{"text":"no edge"}"#)
        #expect(try fixture.storedEntries() == 2)
        #expect(thrown { try fixture.edge("e", #"{"_from":"a","_to":"b"}"#, table: "other") }?.code == .unprocessable)
        #expect(errorCode { _ = try fixture.traverse(#"{"start_vertex":"a","table":"other"}"#) } == .notFound)
        try fixture.put("t:1", "{}")
        #expect(errorCode { _ = try fixture.traverse(#"{"start_vertex":"a","table":"t"}"#) } == .unprocessable)
        #expect(errorCode { _ = try DatabaseFixture.definition("edge", "_from") } == .invalidRequest)
        #expect(errorCode { _ = try DatabaseFixture.definition("edge", "_from", "_to", unique: true) } == .invalidRequest)
    }

    @Test func `a walk ends at its bounds and its deadline`() throws {
        let fixture = try DatabaseFixture()
        try fixture.edges("a>b")
        let past = CallContext(deadlineNanoseconds: 0)
        #expect(errorCode { _ = try fixture.database.traverse(Array(#"{"start_vertex":"a"}"#.utf8), past) } == .deadlineExceeded)
        var operations: [WriteOperation] = []
        for number in 0...Limits.graphFrontier {
            let document = #"{"_from":"hub","_to":"\#(number)"}"#
            operations.append(WriteOperation(try DatabaseFixture.key("edge:h\(number)"), .put(Array(document.utf8))))
            guard operations.count == 5_000 || number == Limits.graphFrontier else { continue }
            try fixture.atomic(operations)
            operations = []
        }
        #expect(errorCode { _ = try fixture.traverse(#"{"start_vertex":"hub","min_depth":2}"#) } == .queryTooLarge)
        let cut = try fixture.traverse(#"{"start_vertex":"hub","limit":10}"#)
        #expect(cut["truncated"] == true && (cut["stats"]?["edges_read"]?.int64Value ?? .max) <= 256, "what is not shown is not read")
    }
}
