import Foundation
import Testing
import ThemisBase
import ThemisTestKit

/// Indexes and queries as an operator uses them, with curl.
@Suite struct IndexTests {
    private static func shell(_ command: String, _ set: ProcessSet) throws -> String {
        let text = command.replacingOccurrences(of: ":8765", with: ":\(set.gatewayPort)")
        let process = try LaunchedProcess("/bin/bash", ["-c", text], logPath: "\(set.directory)/\(UUID().uuidString)")
        _ = try process.exitCode(within: 30)
        return process.log
    }

    /// POST with curl; status and body, filtered by jq.
    private static func post(_ path: String, _ body: String, _ filter: String, _ set: ProcessSet) throws -> String {
        let curl = "curl -sS -w '\\n%{http_code}' -X POST http://localhost:8765\(path) -H 'Content-Type: application/json' -d '\(body)'"
        return try shell("\(curl) | (read -r body; read -r status; echo -n \"$status \"; jq -c '\(filter)' <<< \"$body\")", set)
    }

    @Test func `an operator makes, uses, watches and rebuilds indexes with curl`() throws {
        let set = try ProcessSet()
        try set.startCore(with: .gateway)
        let made = try Self.post("/index/create", #"{"table":"users","column":"city","type":"equality"}"#, ".created,.index.state", set)
        #expect(made == "201 true\n\"ready\"\n")
        let client = set.client()
        for number in 0..<60 {
            let answer = try client.put("/entities/users:\(number)", #"{"city":"c\#(number % 3)","age":\#(number)}"#)
            try #require(answer.status == 201, "\(answer.text)")
        }
        #expect(try Self.post("/index/create", #"{"table":"users","column":"city","type":"equality"}"#, ".created", set) == "200 false\n")
        let built = try Self.post("/index/create", #"{"table":"users","column":"age","type":"range","unique":true}"#, ".job.kind", set)
        #expect(built == "202 \"index_build\"\n")
        let id = try Self.shell("curl -sS http://localhost:8765/admin/jobs | jq -r .jobs[0].id", set).trimmingCharacters(in: .newlines)
        var state = ""
        for _ in 0..<200 where state != "\"done\"\n" {
            state = try Self.shell("curl -sS http://localhost:8765/admin/jobs/\(id) | jq .state", set)
        }
        #expect(state == "\"done\"\n")

        let query =
            #"{"table":"users","predicates":[{"column":"city","value":"c1"}],"order_by":{"column":"age","desc":true},"#
            + #""limit":2,"return":["age"]}"#
        #expect(try Self.post("/query", query, ".rows,.count", set) == "200 [{\"age\":58},{\"age\":55}]\n2\n")
        let range = #"{"table":"users","range":[{"column":"age","gte":10,"lt":12}],"return":"keys","explain":"analyze"}"#
        #expect(try Self.post("/query", range, ".keys,.plan.full_scan", set) == "200 [\"users:10\",\"users:11\"]\nfalse\n")
        #expect(
            try Self.post("/query", #"{"table":"users","predicates":[{"column":"x","value":1}]}"#, ".code", set)
                == "422 \"full_scan_refused\"\n")
        #expect(try Self.post("/query", #"{"table":"users","predicate":[]}"#, ".code", set) == "400 \"unknown_parameter\"\n")
        #expect(
            try Self.post("/index/create", #"{"table":"users","column":"x","type":"rang"}"#, ".code", set) == "400 \"invalid_request\"\n")
        #expect(
            try Self.post("/index/create", #"{"table":"users","column":"x","type":"vector"}"#, ".code", set) == "501 \"not_implemented\"\n")
        let keyed = try Self.post("/index/create", #"{"table":"users","column":"x","type":"range","config":{"ttl":1}}"#, ".code", set)
        #expect(keyed == "400 \"unknown_parameter\"\n")
        let taken = try client.put("/entities/users:new", #"{"age":5}"#)
        #expect(taken.status == 409)
        #expect(taken.text.contains(#""code":"unique_violation""#) && taken.text.contains(#""holder":"users:5""#))

        let rebuilt = try Self.post("/index/rebuild", #"{"table":"users","column":"city"}"#, ".kind,.state,.done", set)
        #expect(rebuilt == "200 \"index_rebuild\"\n\"done\"\n60\n")
        #expect(try Self.post("/index/reindex", #"{"table":"users"}"#, ".jobs|length", set) == "202 2\n")
        for _ in 0..<200
        where try Self.shell("curl -sS http://localhost:8765/admin/jobs | jq '[.jobs[]|select(.state!=\"done\")]|length'", set) != "0\n" {}
        let stats = try Self.shell(
            "curl -sS 'http://localhost:8765/index/stats?table=users' | jq -c '[.indexes[]|[.column,.type,.entries,.cardinality,.unique]]'",
            set)
        #expect(stats == "[[\"age\",\"range\",60,60,true],[\"city\",\"equality\",60,3,false]]\n")
        let metrics = try Self.shell("curl -sS http://localhost:8765/metrics | grep -E '^themis_index_rebuild_(count|entities)'", set)
        #expect(metrics.contains("themis_index_rebuild_count 3\n"))
        #expect(metrics.contains("themis_index_rebuild_entities_processed_total 180\n"))
        #expect(try Self.post("/index/drop", #"{"table":"users","column":"city"}"#, ".dropped", set) == "200 true\n")
        #expect(try Self.post("/index/drop", #"{"table":"users","column":"city"}"#, ".code", set) == "404 \"not_found\"\n")
        #expect(try Self.shell("curl -sS http://localhost:8765/stats | jq '.indexes|length'", set) == "1\n")
    }

    @Test func `an index that is being built when the core is killed is complete after the next start`() throws {
        let set = try ProcessSet()
        try set.startCore(with: .gateway)
        let lines = (0..<20_000).map { #"{"op":"put","key":"t:\#($0)","document":{"a":\#($0 % 100)}}"# }.joined(separator: "\n")
        try lines.write(toFile: "\(set.directory)/lines", atomically: true, encoding: .utf8)
        let sent = try Self.shell(
            "curl -sS -X POST http://localhost:8765/entities -H 'Content-Type: application/x-ndjson'"
                + " --data-binary @\(set.directory)/lines | grep -c 201",
            set)
        #expect(sent == "20000\n")
        #expect(try Self.post("/index/create", #"{"table":"t","column":"a","type":"range"}"#, ".created", set) == "202 true\n")
        set.kill(.server)
        try set.start(.server)
        try set.waitUntilHealthy()
        var state = ""
        for _ in 0..<400 where state != "\"ready\"\n" {
            state = try Self.shell("curl -sS http://localhost:8765/index/list?table=t | jq .indexes[0].state", set)
        }
        #expect(state == "\"ready\"\n")
        let query = #"{"table":"t","predicates":[{"column":"a","value":7}],"limit":1000,"return":"keys"}"#
        #expect(try Self.post("/query", query, ".count", set) == "200 200\n")
        #expect(try Self.shell("curl -sS http://localhost:8765/index/list | jq .indexes[0].entries", set) == "20000\n")
    }

    @Test func `an operator lets entities expire and sweeps them with curl`() throws {
        let set = try ProcessSet()
        try set.startCore(with: .gateway)
        func create(_ config: String) throws -> String {
            let body = #"{"table":"sessions","column":"until","type":"ttl","config":\#(config)}"#
            return try Self.post("/index/create", body, "(.index | objects | .config),.code", set)
        }
        #expect(try create("{}") == "400 \"invalid_request\"\n")
        #expect(try create(#"{"ttl_seconds":0}"#).hasPrefix("400"))
        #expect(try create(#"{"expire_after":5}"#) == "400 \"invalid_request\"\n")
        #expect(try create(#"{"expire_at":true}"#) == "201 {\"expire_at\":true}\nnull\n")
        #expect(try create(#"{"ttl_seconds":5}"#) == "409 \"already_exists\"\n")
        let client = set.client()
        #expect(try client.put("/entities/sessions:long", #"{"until":"2099-12-31T23:59:59Z"}"#).status == 201)
        #expect(try client.put("/entities/sessions:past", #"{"until":1700000000}"#).status == 201)
        #expect(try client.put("/entities/sessions:wrong", #"{"until":"soon"}"#).status == 422)
        #expect(try client.get("/entities/sessions:past").status == 404)
        #expect(try client.get("/entities/sessions:long").status == 200)
        let query = #"{"table":"sessions","allow_full_scan":true,"return":"keys"}"#
        #expect(try Self.post("/query", query, ".keys", set) == "200 [\"sessions:long\"]\n")
        #expect(try Self.post("/admin/ttl/cleanup", #"{"table":"none"}"#, ".code", set) == "404 \"not_found\"\n")
        #expect(
            try Self.post("/admin/ttl/cleanup", #"{"table":"sessions"}"#, ".kind,.state,.done", set)
                == "200 \"ttl_cleanup\"\n\"done\"\n1\n")
        #expect(try Self.post("/admin/ttl/cleanup", #"{"accept_clock":true}"#, ".done", set) == "200 0\n")
        let feed = try Self.shell(
            "curl -sS http://localhost:8765/changefeed | jq -c '[.events[]|[.type,.metadata.pk,.metadata.cause]]'", set)
        #expect(feed == #"[["PUT","long",null],["PUT","past",null],["DELETE","past","ttl"]]"# + "\n")
        let metrics = try Self.shell("curl -sS http://localhost:8765/metrics | grep -E '^themis_ttl_'", set)
        #expect(metrics.contains("themis_ttl_swept_entities_total 1\n") && metrics.contains("themis_ttl_sweep_paused 0\n"))
    }

    @Test func `an index write under a key is done once, also when the core is killed in between`() throws {
        let set = try ProcessSet()
        try set.startCore(with: .gateway)
        let client = set.client()
        for number in 0..<50 { _ = try client.put("/entities/t:\(number)", #"{"a":\#(number)}"#) }
        func send(_ target: String, _ key: String, _ body: String) throws -> HTTPAnswer {
            let fields = ["Content-Type": "application/json", "Idempotency-Key": key]
            return try client.send("POST", target, fields, body: Array(body.utf8))
        }
        let body = #"{"table":"t","column":"a","type":"range"}"#
        let made = try send("/index/create", "make", body)
        #expect([201, 202].contains(made.status) && made.json["created"] as? Bool == true, "\(made.text)")
        #expect(made["idempotency-replayed"] == nil)
        let job = (made.json["job"] as? [String: Any])?["id"] as? String
        let dropped = try send("/index/drop", "drop", #"{"table":"t","column":"a"}"#)
        #expect(dropped.status == 200 && dropped.json["dropped"] as? Bool == true, "\(dropped.text)")
        set.kill(.server)
        try set.start(.server)
        try set.waitUntilHealthy()
        let again = try send("/index/create", "make", body)
        #expect(again["idempotency-replayed"] == "true" && again.json["created"] as? Bool == true, "\(again.text)")
        #expect((again.json["index"] as? [String: Any])?["column"] as? String == "a")
        if let known = (again.json["job"] as? [String: Any])?["id"] as? String { #expect(known == job) }
        #expect(try client.get("/index/list?table=t").text == #"{"indexes":[]}"#, "a repeated create makes nothing")
        let gone = try send("/index/drop", "drop", #"{"table":"t","column":"a"}"#)
        #expect(gone.text == dropped.text && gone["idempotency-replayed"] == "true", "\(gone.text)")
        #expect(try send("/index/create", "make", #"{"table":"t","column":"b","type":"range"}"#).status == 422)
        #expect(try client.send("PUT", "/entities/t:1", ["Idempotency-Key": "make"], body: Array("{}".utf8)).status == 422)
    }
}
