import Foundation
import Testing
import ThemisBase
import ThemisNet
import ThemisRPC
import ThemisTestKit

@testable import ThemisGateway

/// Transactions as HTTP clients see them.
@Suite(.serialized) struct TransactionHTTPTests {
    @Test func `one request writes all or nothing`() async throws {
        try await GatewayFixture.with { _, client in
            let body = #"{"operations":[{"op":"put","key":"t:1","document":{"a" : 1.0}},{"op":"put","key":"t:2","document":{}}]}"#
            let answer = try client.post("/transaction", body)
            #expect(answer.status == 200, "\(answer.text)")
            #expect(answer["x-themis-sequence"] == "2")
            let results = try #require(answer.json["results"] as? [[String: Any]])
            #expect(results.map { $0["key"] as? String } == ["t:1", "t:2"])
            #expect(results.map { $0["status"] as? Int } == [201, 201])
            #expect(try client.get("/entities/t:1").text == #"{"a" : 1.0}"#)
        }
    }

    @Test func `each condition of an operation reaches the core`() async throws {
        try await GatewayFixture.with { _, client in
            func status(_ operation: String) throws -> Int {
                try client.post("/transaction", #"{"operations":[\#(operation)]}"#).status
            }
            let steps = [
                (#"{"op":"put","key":"t:1","document":{},"if_exists":true}"#, 412),
                (#"{"op":"put","key":"t:1","document":{},"if_absent":true}"#, 200),
                (#"{"op":"put","key":"t:1","document":{},"if_absent":true}"#, 412),
                (#"{"op":"put","key":"t:1","document":{},"if_version":9}"#, 412),
                (#"{"op":"put","key":"t:1","document":{},"if_version":"\"1\""}"#, 200),
                (#"{"op":"delete","key":"t:1","if_version":2}"#, 200),
            ]
            for (operation, expected) in steps {
                let found = try status(operation)
                #expect(found == expected, "\(operation)")
            }
        }
    }

    @Test(arguments: [
        (#"{}"#, 400, "operations"), (#"{"operations":[]}"#, 400, "operations"), (#"{"operations":{}}"#, 400, "operations"),
        (#"{"operations":[7]}"#, 400, "operations[0]"), (#"{"operations":[],"x":1}"#, 400, "x"),
        (#"{"operations":[{"op":"put","key":"t:1","document":{},"if_match":1}]}"#, 400, "if_match"),
        (#"{"operations":[{"op":"put","key":"t:1","document":{},"if_version":1,"if_exists":true}]}"#, 400, "if_version"),
        (#"{"operations":[{"op":"delete","key":"t:1","if_absent":true}]}"#, 400, "if_absent"),
        (#"{"operations":[{"op":"delete","key":"t:1","if_exists":1}]}"#, 400, "if_exists"),
        (#"{"operations":[{"op":"delete","key":"t:1"},{"op":"put","key":"t:1"}]}"#, 400, "operations[1]"),
        (#"{"operations":[{"op":"delete","key":"t"}]}"#, 400, "operations[0]"),
        (#"{"operations":[{"op":"put","key":"t:1","document":{"a":1,"a":2}}]}"#, 400, ""), (#"{"operations":["#, 400, ""),
    ])
    func `what is wrong in an operation is named`(body: String, status: Int, field: String) async throws {
        try await GatewayFixture.with { fixture, client in
            let answer = try client.post("/transaction", body)
            #expect(answer.status == status, "\(answer.text)")
            #expect(field.isEmpty || answer.text.contains(#""field":"\#(field)""#), "\(answer.text)")
            #expect(answer.json["outcome"] as? String == nil)
            #expect(try client.get("/entities/t:1").status == 404)
        }
    }

    @Test func `too many operations are refused as a whole`() async throws {
        try await GatewayFixture.with { _, client in
            let one = #"{"op":"delete","key":"t:1"}"#
            let many = Array(repeating: one, count: Limits.atomicOperations + 1).joined(separator: ",")
            let answer = try client.post("/transaction", #"{"operations":[\#(many)]}"#)
            #expect(answer.status == 413)
        }
    }

    private static let id = "0123456789abcdef0123456789abcdef"

    @Test func `requests that may belong to a transaction take its id to the core`() async throws {
        try await GatewayFixture.with { fixture, client in
            let fields = ["X-Transaction-Id": Self.id.uppercased()]
            let written = try client.put("/entities/t:1", #"{"a":1}"#, fields)
            #expect(written.text == #"{"key":"t:1","created":true,"staged":true}"#)
            #expect(written["etag"] == nil && written["x-themis-sequence"] == nil)
            #expect(try client.get("/entities/t:1", fields).status == 200)
            #expect(try client.get("/entities?table=t", fields).status == 200)
            let json = fields.merging(["Content-Type": "application/json"]) { given, _ in given }
            let bodies = [("/entities/get", #"{"keys":["t:1"]}"#, 200), ("/entities", #"{"key":"t:2","document":{}}"#, 200)]
            for (target, body, status) in bodies {
                let answer = try client.send("POST", target, json, body: Array(body.utf8))
                #expect(answer.status == status, "\(answer.text)")
            }
            let deleted = try client.send("DELETE", "/entities/t:1", fields)
            #expect(deleted.text == #"{"key":"t:1","deleted":true,"staged":true}"#)
            let named = await NetLoop.run {
                fixture.core.received.filter { $0.metadata.transaction?.description == Self.id }.map(\.method.name)
            }
            #expect(named == ["Write", "Get", "List", "MultiGet", "Write", "Write"])
        }
    }

    @Test func `requests that cannot belong to a transaction refuse its id, and do nothing`() async throws {
        try await GatewayFixture.with { fixture, client in
            let fields = ["X-Transaction-Id": Self.id, "Content-Type": "application/json"]
            let line = #"{"op":"put","key":"t:1","document":{}}"#
            let requests: [(String, String, String)] = [
                ("POST", "/transaction", #"{"operations":["# + line + "]}"), ("GET", "/tables", ""), ("DELETE", "/tables/t", ""),
                ("DELETE", "/entities?table=t", ""), ("POST", "/index/create", "{}"), ("POST", "/admin/verify", "{}"),
                ("POST", "/transaction/begin", "{}"),
                ("POST", "/admin/graph/rebuild-topology", "{}"),
            ]
            for (method, target, body) in requests {
                let answer = try client.send(method, target, fields, body: body.isEmpty ? nil : Array(body.utf8))
                #expect(answer.status == 501, "\(target): \(answer.text)")
                #expect(answer.text.contains(#""field":"X-Transaction-Id""#), "\(target): \(answer.text)")
            }
            for target in ["/entities", "/entities?atomic=true"] {
                let lines = ["X-Transaction-Id": Self.id, "Content-Type": "application/x-ndjson"]
                let answer = try client.send("POST", target, lines, body: Array((line + "\n").utf8))
                #expect(answer.status == 501, "\(answer.text)")
            }
            let export = ["X-Transaction-Id": Self.id, "Accept": "application/x-ndjson"]
            #expect(try client.get("/entities?table=t", export).status == 501)
            #expect(try client.get("/entities/t:1").status == 404)
            let own = ["MetricsPush", "ConfigGet"]
            let asked = await NetLoop.run { fixture.core.received.map(\.method.name).filter { !own.contains($0) } }
            #expect(asked == ["Get"])
        }
    }

    @Test func `what a transaction cannot honour is refused by name`() async throws {
        try await GatewayFixture.with { _, client in
            let waiting = try client.get("/entities/t:1?min_sequence=1", ["X-Transaction-Id": Self.id])
            #expect(waiting.status == 400 && waiting.text.contains("min_sequence"))
            let keyed = try client.put("/entities/t:1", "{}", ["X-Transaction-Id": Self.id, "Idempotency-Key": "k"])
            #expect(keyed.status == 400 && keyed.text.contains("Idempotency-Key"))
            for target in ["/transaction/commit", "/transaction/rollback"] {
                let nameless = try client.send("POST", target)
                #expect(nameless.status == 400 && nameless.text.contains(#""field":"X-Transaction-Id""#), "\(nameless.text)")
                let fields = ["X-Transaction-Id": Self.id, "Content-Type": "application/json"]
                let wordy = try client.send("POST", target, fields, body: Array(#"{"x":1}"#.utf8))
                #expect(wordy.status == 400 && wordy.text.contains(#""field":"x""#))
            }
            for id in ["7", Self.id + "0", Self.id.replacing("0", with: "+"), ""] {
                let answer = try client.get("/entities/t:1", ["X-Transaction-Id": id])
                #expect(answer.status == 400, "\(id): \(answer.text)")
            }
        }
    }
}
