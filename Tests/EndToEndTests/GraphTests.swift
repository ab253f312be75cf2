import Foundation
import Testing
import ThemisBase
import ThemisTestKit

/// Graphs and positions as an operator uses them, with curl.
@Suite struct GraphTests {
    private static func shell(_ command: String, _ set: ProcessSet) throws -> String {
        let text = command.replacingOccurrences(of: ":8765", with: ":\(set.gatewayPort)")
        let process = try LaunchedProcess("/bin/bash", ["-c", text], logPath: "\(set.directory)/\(UUID().uuidString)")
        _ = try process.exitCode(within: 30)
        return process.log
    }

    /// Sends with curl; status and body, filtered by jq.
    private static func send(
        _ method: String, _ path: String, _ body: String?, _ filter: String, header: String = "Accept: */*", _ set: ProcessSet
    ) throws -> String {
        let data = body.map { "-H 'Content-Type: application/json' -d '\($0)'" } ?? ""
        let curl = "curl -sS -w '\\n%{http_code}' -X \(method) 'http://localhost:8765\(path)' -H '\(header)' \(data)"
        return try shell("\(curl) | (read -r body; read -r status; echo -n \"$status \"; jq -c '\(filter)' <<< \"$body\")", set)
    }

    @Test func `an operator builds and walks a graph with curl, also after a restart`() throws {
        let set = try ProcessSet()
        try set.startCore(with: .gateway)
        func post(_ path: String, _ body: String, _ filter: String) throws -> String { try Self.send("POST", path, body, filter, set) }
        #expect(
            try post("/graph/edge", #"{"id":"1","_from":"users:1","_to":"users:2","_type":"knows","_weight":2}"#, "[.id,.key,.created]")
                == "201 [\"1\",\"edge:1\",true]\n")
        #expect(
            try post("/graph/edge", #"{"id":"2","_from":"users:2","_to":"users:3","valid_from":10,"valid_to":20}"#, ".id") == "201 \"2\"\n")
        #expect(try post("/graph/edge", #"{"id":"3","_from":"users:1","_to":"users:3","_weight":9}"#, ".created") == "201 true\n")
        #expect(try post("/graph/edge", #"{"id":"3","_from":"users:1","_to":"users:3","_weight":8}"#, ".created") == "200 false\n")
        let client = set.client()
        #expect(try client.put("/entities/users:2", #"{"name":"Ada"}"#).status == 201)
        #expect(try client.put("/entities/edge:4", #"{"_from":"users:3","_to":"users:4"}"#).status == 201, "an entity is an edge as well")

        let walk = #"{"start_vertex":"users:1","max_depth":3,"return":"vertices"}"#
        let walked =
            #"200 [4,["users:1","users:3","users:2","users:4"],false,{"vertex":"users:2","depth":1,"document":{"name":"Ada"}}]"# + "\n"
        #expect(try post("/graph/traverse", walk, "[.visited_count,.visited,.truncated,.vertices[2]]") == walked)
        #expect(
            try post("/graph/traverse", #"{"start_vertex":"users:2","at":15,"return":"paths","min_depth":2}"#, ".paths")
                == "200 [{\"length\":2,\"vertices\":[\"users:2\",\"users:3\",\"users:4\"],\"edges\":[\"edge:2\",\"edge:4\"]}]\n")
        #expect(try post("/graph/traverse", #"{"start_vertex":"users:2","at":21}"#, ".visited") == "200 [\"users:2\"]\n")
        #expect(
            try post("/graph/shortest_path", #"{"from":"users:1","to":"users:4","weighted":true}"#, "[.found,.length,.weight]")
                == "200 [true,3,4]\n")
        #expect(try post("/graph/shortest_path", #"{"from":"users:1","to":"users:4"}"#, "[.length,.weight]") == "200 [2,9]\n")
        #expect(try post("/graph/shortest_path", #"{"from":"users:4","to":"users:1"}"#, ".found") == "200 false\n")
        #expect(
            try Self.send("GET", "/graph/neighbors/users:3?direction=any&limit=2", nil, "[.count,.truncated,.neighbors[0].vertex]", set)
                == "200 [2,true,\"users:4\"]\n")
        #expect(
            try Self.send("GET", "/graph/neighbors/users%3A1?type=knows", nil, "[.neighbors[]|[.edge,.weight]]", set)
                == "200 [[\"edge:1\",2]]\n")
        #expect(
            try Self.send("GET", "/graph/neighbors/users:1?direction=up", nil, "[.code,.errors[0].field]", set)
                == "400 [\"invalid_request\",\"direction\"]\n")

        set.kill(.server)
        try set.start(.server)
        try set.waitUntilHealthy()
        #expect(try post("/graph/traverse", walk, "[.visited_count,.visited,.truncated,.vertices[2]]") == walked)
        let rebuilt = try post("/admin/graph/rebuild-topology", "{}", "[.kind,.state,.detail]")
        #expect(
            rebuilt
                == "200 [\"graph_rebuild\",\"done\",\"edge: compared 4 entities, 0 entries of edges were missing, 0 belonged to no edge; "
                + "built anew\"]\n", "\(rebuilt)")
        #expect(try post("/graph/traverse", walk, ".visited_count") == "200 4\n")
        #expect(try Self.send("DELETE", "/graph/edge/4", nil, "[.id,.deleted]", set) == "200 [\"4\",true]\n")
        #expect(try Self.send("DELETE", "/graph/edge/4", nil, ".deleted", set) == "200 false\n")
        #expect(try post("/graph/traverse", walk, ".visited_count") == "200 3\n")
    }

    @Test func `edges are refused, repeated and kept in other tables`() throws {
        let set = try ProcessSet()
        try set.startCore(with: .gateway)
        func post(_ path: String, _ body: String, _ filter: String) throws -> String { try Self.send("POST", path, body, filter, set) }
        #expect(try set.client().put("/entities/users:2", #"{"name":"Ada"}"#).status == 201)
        #expect(
            try post("/graph/edge", #"{"_from":"a","_to":"b","_weight":-1}"#, "[.code,.errors[0].field]")
                == "422 [\"unprocessable\",\"_weight\"]\n")
        #expect(try post("/graph/edge", #"{"_from":"a"}"#, "[.code,.errors[0].field]") == "400 [\"invalid_request\",\"_to\"]\n")
        #expect(try post("/graph/edge?table=users", #"{"_from":"a","_to":"b"}"#, ".code") == "422 \"unprocessable\"\n")
        #expect(try post("/graph/traverse", #"{"start_vertex":"a","hops":1}"#, ".code") == "400 \"unknown_parameter\"\n")
        let key = "Idempotency-Key: once"
        let first = try Self.send("POST", "/graph/edge", #"{"_from":"x","_to":"y"}"#, "[.id,.sequence]", header: key, set)
        #expect(first.hasPrefix("201 ["))
        #expect(try Self.send("POST", "/graph/edge", #"{"_from":"x","_to":"y"}"#, "[.id,.sequence]", header: key, set) == first)
        #expect(try Self.send("GET", "/graph/neighbors/x", nil, ".count", set) == "200 1\n")

        #expect(
            try post("/index/create", #"{"table":"follows","type":"edge"}"#, "[.index.column,.index.state]")
                == "201 [\"_from+_to\",\"ready\"]\n")
        #expect(
            try post("/graph/edge?table=follows", #"{"id":"f/1","_from":"users:9","_to":"users:1"}"#, ".key") == "201 \"follows:f/1\"\n")
        #expect(try Self.send("GET", "/graph/neighbors/users:9?table=follows", nil, ".neighbors[0].edge", set) == "200 \"follows:f/1\"\n")
        #expect(try Self.send("DELETE", "/graph/edge/f%2F1?table=follows", nil, ".deleted", set) == "200 true\n")
        #expect(try post("/index/drop", #"{"table":"follows","type":"edge"}"#, ".dropped") == "200 true\n")
    }

    @Test func `an operator finds what is near with curl`() throws {
        let set = try ProcessSet()
        try set.startCore(with: .gateway)
        let client = set.client()
        for (key, document) in [
            ("berlin", #"{"at":{"lat":52.52,"lon":13.405}}"#), ("potsdam", #"{"at":[13.0645,52.3906]}"#),
            ("suva", #"{"at":{"type":"Point","coordinates":[178.4419,-18.1416]}}"#), ("apia", #"{"at_lat":-13.8333,"at_lon":-171.7667}"#),
        ] { #expect(try client.put("/entities/city:\(key)", document).status == 201) }
        func query(_ predicate: String, _ filter: String) throws -> String {
            try Self.send("POST", "/query", #"{"table":"city","predicates":[\#(predicate)],"return":"keys"}"#, filter, set)
        }
        let near = #"{"column":"at","op":"near","value":{"lat":52.5,"lon":13.4,"radius_m":30000}}"#
        #expect(try query(near, ".code") == "422 \"full_scan_refused\"\n")
        let made = try Self.send("POST", "/index/create", #"{"table":"city","column":"at","type":"geo"}"#, ".index.type", set)
        #expect(made == "202 \"geo\"\n" || made == "201 \"geo\"\n")
        var state = ""
        for _ in 0..<200 where state != "\"ready\"\n" {
            state = try Self.shell("curl -sS http://localhost:8765/index/list?table=city | jq .indexes[0].state", set)
        }
        #expect(try query(near, ".keys") == "200 [\"city:berlin\",\"city:potsdam\"]\n")
        let box = #"{"column":"at","op":"within","value":{"south":-30,"west":170,"north":0,"east":-170}}"#
        #expect(try query(box, ".keys") == "200 [\"city:apia\",\"city:suva\"]\n")
        let wrong = try client.put("/entities/city:x", #"{"at":[200,0]}"#)
        #expect(wrong.status == 422 && wrong.text.contains(#""field":"at""#), "\(wrong.text)")
        let value = #"{"column":"at","op":"near","value":{"lat":95,"lon":0,"radius_m":1}}"#
        #expect(try query(value, ".errors[0].field") == "400 \"predicates[0].value.lat\"\n")
    }
}
