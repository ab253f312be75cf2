import Foundation
import Testing
import ThemisTestKit

/// Transactions as docs/transactions.md shows them, with curl.
@Suite struct TransactionTests {
    /// The `sh` blocks of the page, in their order.
    private static let blocks: [String] = {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let text = (try? String(contentsOf: root.appendingPathComponent("docs/transactions.md"), encoding: .utf8)) ?? ""
        return text.components(separatedBy: "```sh\n").dropFirst().map { $0.components(separatedBy: "```")[0] }
    }()

    @Test func `the commands of the page work as written`() throws {
        try #require(Self.blocks.count == 3)
        let set = try ProcessSet()
        try set.startCore(with: .gateway)
        let script = (["set -eu"] + Self.blocks).joined(separator: "\n").replacingOccurrences(of: "8765", with: "\(set.gatewayPort)")
            .replacingOccurrences(of: "curl ", with: "curl -fsS -w '\\n' ")
        let process = try LaunchedProcess("/bin/bash", ["-c", script], logPath: "\(set.directory)/commands")
        #expect(try process.exitCode(within: 30) == 0, "\(process.log)")
        let client = set.client()
        #expect(try client.get("/entities/accounts:ada").text == #"{"balance":90}"#)
        #expect(try client.get("/entities/accounts:bob").text == #"{"balance":10}"#)
        #expect(process.log.contains(#""state":"committed","sequence":5,"operations":2}"#), "\(process.log)")
        let stats = try client.get("/transaction/stats").json
        #expect(stats["committed"] as? Int == 1 && stats["open"] as? Int == 0)
        let counted = try client.get("/metrics").text
        for line in ["themis_transactions_committed_total 1", "themis_transactions_open 0", "themis_transactions_conflicts_total 0"]
        where !counted.contains("\n\(line)\n") { Issue.record("no line \(line) in /metrics") }
        let page = try client.get("/changefeed?from_seq=3")
        #expect(page.text.contains(#""txn":{"index":0,"count":2}"#) && page.text.contains(#""txn":{"index":1,"count":2}"#))
    }

    @Test func `a conflict, a restart and a wrong request say what to do`() throws {
        let set = try ProcessSet()
        try set.startCore(with: .gateway)
        let client = set.client()
        func begin(_ body: String = "") throws -> [String: String] {
            let answer = try client.post("/transaction/begin", body)
            return ["X-Transaction-Id": try #require(answer.json["transaction_id"] as? String, "\(answer.text)")]
        }
        _ = try client.put("/entities/t:1", "{}")
        let loser = try begin(#"{"isolation":"snapshot","timeout_ms":60000}"#)
        #expect(try client.put("/entities/t:1", #"{"a":1}"#, loser).status == 200)
        _ = try client.put("/entities/t:1", #"{"b":1}"#)
        let conflict = try client.send("POST", "/transaction/commit", loser)
        #expect(conflict.status == 409)
        #expect(conflict.json["code"] as? String == "transaction_conflict")
        #expect(conflict.json["retryable"] as? Bool == true)
        #expect(conflict.json["key"] as? String == "t:1")
        let lost = try begin()
        set.kill(.server)
        try set.start(.server)
        try set.waitUntilHealthy()
        for (method, target) in [("GET", "/entities/t:1"), ("POST", "/transaction/commit"), ("POST", "/transaction/rollback")] {
            let answer = try client.send(method, target, lost)
            #expect(answer.status == 409 && answer.json["code"] as? String == "transaction_lost", "\(target): \(answer.text)")
            #expect(answer.json["outcome"] as? String == "not_committed")
        }
        for body in [#"{"isolation":"none"}"#, #"{"timeout_ms":0}"#, #"{"timeout":5}"#] {
            let answer = try client.post("/transaction/begin", body)
            #expect(answer.status == 400, "\(body): \(answer.text)")
        }
        let rolled = try begin()
        #expect(try client.put("/entities/t:2", "{}", rolled).status == 200)
        #expect(try client.send("POST", "/transaction/rollback", rolled).text.contains(#""state":"rolled_back""#))
        #expect(try client.get("/entities/t:2").status == 404)
    }

    @Test func `edges of a transaction are walked in it, and by all once it has committed`() throws {
        let set = try ProcessSet()
        try set.startCore(with: .gateway)
        let client = set.client()
        #expect(try client.post("/graph/edge", #"{"id":"1","_from":"a","_to":"b"}"#).status == 201)
        let begun = try client.post("/transaction/begin", "")
        let fields = [
            "X-Transaction-Id": try #require(begun.json["transaction_id"] as? String), "Content-Type": "application/json",
        ]
        func send(_ method: String, _ target: String, _ body: String, _ fields: [String: String]) throws -> (Int, String) {
            let answer = try client.send(method, target, fields, body: body.isEmpty ? nil : Array(body.utf8))
            return (answer.status, answer.text)
        }
        let staged = try send("POST", "/graph/edge", #"{"id":"2","_from":"b","_to":"c"}"#, fields)
        #expect(staged == (200, #"{"id":"2","key":"edge:2","created":true,"staged":true}"#))
        let removed = try send("DELETE", "/graph/edge/1", "", fields)
        #expect(removed == (200, #"{"id":"1","key":"edge:1","deleted":true,"staged":true}"#))
        let json = ["Content-Type": "application/json"]
        func seen(_ fields: [String: String]) throws -> [Int?] {
            let walk = try client.send("POST", "/graph/traverse", fields, body: Array(#"{"start_vertex":"b"}"#.utf8))
            let path = try client.send("POST", "/graph/shortest_path", fields, body: Array(#"{"from":"a","to":"b"}"#.utf8))
            let around = try client.get("/graph/neighbors/c?direction=any", fields)
            return [walk.json["visited_count"] as? Int, path.json["found"] as? Bool == true ? 1 : 0, around.json["count"] as? Int]
        }
        #expect(try seen(fields) == [2, 0, 1])
        #expect(try seen(json) == [1, 1, 0])
        #expect(try client.send("POST", "/transaction/commit", fields).status == 200)
        #expect(try seen(json) == [2, 0, 1])
    }
}
