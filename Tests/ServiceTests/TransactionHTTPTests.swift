import Foundation
import Testing
import ThemisBase
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
}
