import Testing
import ThemisBase
import ThemisNet
import ThemisRPC
import ThemisTestKit

/// Entities over HTTP, against a fake core.
@Suite(.serialized) struct EntityHTTPTests {
    @Test func `a put creates with 201 and replaces with 200`() async throws {
        try await GatewayFixture.with { _, client in
            let made = try client.put("/entities/users:1", #"{"a":1}"#)
            #expect(made.status == 201)
            #expect(made.text == #"{"key":"users:1","version":1,"sequence":1,"created":true}"#)
            #expect(made["etag"] == #""1""#)
            #expect(made["x-themis-sequence"] == "1")
            let replaced = try client.put("/entities/users:1", #"{"a":2}"#)
            #expect(replaced.status == 200)
            #expect(replaced["etag"] == #""2""#)
        }
    }

    @Test func `a document comes back byte for byte`() async throws {
        try await GatewayFixture.with { _, client in
            let text = "{ \"z\" : 1.50e+3,\n\t\"big\":123456789012345678901234567890, \"u\":\"\\u00e4\" }"
            #expect(try client.put("/entities/t:a%2Fb%3Ac", text).status == 201)
            let read = try client.get("/entities/t:a/b:c")
            #expect(read.text == text)
            #expect(read["content-type"] == "application/json; charset=utf-8")
            let page = try client.get("/entities?table=t")
            #expect(page.text.contains(text))
        }
    }

    @Test func `If-Match and If-None-Match decide about a write`() async throws {
        try await GatewayFixture.with { _, client in
            #expect(try client.put("/entities/t:1", "{}", ["If-Match": "*"]).status == 412)
            #expect(try client.put("/entities/t:1", "{}", ["If-None-Match": "*"]).status == 201)
            #expect(try client.put("/entities/t:1", "{}", ["If-None-Match": "*"]).status == 412)
            #expect(try client.put("/entities/t:1", "{}", ["If-Match": #""7""#]).status == 412)
            #expect(try client.put("/entities/t:1", "{}", ["If-Match": #"W/"1""#]).status == 412)
            #expect(try client.put("/entities/t:1", "{}", ["If-Match": #""1""#]).status == 200)
            let several = try client.put("/entities/t:1", "{}", ["If-Match": #""1", "2""#])
            #expect(several.status == 400)
            #expect(several.text.contains("If-Match"))
            #expect(try client.send("DELETE", "/entities/t:1", ["If-Match": #""9""#]).status == 412)
            #expect(try client.send("DELETE", "/entities/t:1", ["If-None-Match": "*"]).status == 400)
        }
    }

    @Test func `If-None-Match on a read answers 304 with the ETag`() async throws {
        try await GatewayFixture.with { _, client in
            _ = try client.put("/entities/t:1", #"{"a":1}"#)
            for tags in [#""1""#, #"W/"1""#, #""8", "1""#, "*"] {
                let answer = try client.get("/entities/t:1", ["If-None-Match": tags])
                #expect(answer.status == 304, "\(tags)")
                #expect(answer["etag"] == #""1""#)
                #expect(answer.body.isEmpty)
            }
            #expect(try client.get("/entities/t:1", ["If-None-Match": #""2""#]).text == #"{"a":1}"#)
            #expect(try client.send("HEAD", "/entities/t:1")["etag"] == #""1""#)
        }
    }

    @Test func `deleting what is absent is no error`() async throws {
        try await GatewayFixture.with { _, client in
            let absent = try client.send("DELETE", "/entities/t:1")
            #expect(absent.status == 200)
            #expect(absent.text == #"{"key":"t:1","deleted":false}"#)
            #expect(absent["x-themis-sequence"] == nil)
            _ = try client.put("/entities/t:1", "{}")
            let present = try client.send("DELETE", "/entities/t:1")
            #expect(present.text == #"{"key":"t:1","deleted":true,"sequence":2}"#)
            #expect(try client.get("/entities/t:1").status == 404)
        }
    }

    @Test func `a repeated idempotency key gives the first answer, a different request 422`() async throws {
        try await GatewayFixture.with { fixture, client in
            let key = ["Idempotency-Key": "k-1"]
            let first = try client.put("/entities/t:1", #"{"a":1}"#, key)
            let second = try client.put("/entities/t:1", #"{"a":1}"#, key)
            #expect(first.status == 201)
            #expect(second.status == 201)
            #expect(second.body == first.body)
            #expect(first["idempotency-replayed"] == nil)
            #expect(second["idempotency-replayed"] == "true")
            #expect(await fixture.core.sequence == 1)
            let other = try client.put("/entities/t:1", #"{"a":2}"#, key)
            #expect(other.status == 422)
            #expect(other.json["code"] as? String == "idempotency_mismatch")
            #expect(try client.put("/entities/t:2", "{}", ["Idempotency-Key": "a b"]).status == 400)
        }
    }

    @Test func `media types that are not allowed are 415 and named`() async throws {
        try await GatewayFixture.with { _, client in
            let wrong = try client.send("PUT", "/entities/t:1", ["Content-Type": "text/plain"], body: Array("{}".utf8))
            #expect(wrong.status == 415)
            #expect(wrong.text.contains("application/json"))
            #expect(try client.send("PUT", "/entities/t:1", body: Array("{}".utf8)).status == 201)
            let patch = try client.send("PATCH", "/entities/t:1", ["Content-Type": "application/json"], body: Array("{}".utf8))
            #expect(patch.status == 415)
            #expect(patch.text.contains("application/json-patch+json"))
            #expect(try client.send("PATCH", "/entities/t:1", body: Array("{}".utf8)).status == 415)
            #expect(try client.patch("/entities/t:1", #"{"a":1}"#).status == 200)
        }
    }

    @Test func `every unknown parameter and field is named`() async throws {
        try await GatewayFixture.with { _, client in
            let query = try client.get("/entities?table=t&limt=3&curser=x")
            #expect(query.status == 400)
            #expect(query.json["code"] as? String == "unknown_parameter")
            #expect(query.text.contains("limt") && query.text.contains("curser"))
            let body = try client.post("/entities", #"{"key":"t:1","document":{},"ttl":1,"x":2}"#)
            #expect(body.status == 400)
            #expect(body.text.contains("ttl") && body.text.contains(#""x""#))
            #expect(try client.post("/entities/get", #"{"keys":["t:1"],"field":["a"]}"#).status == 400)
        }
    }

    @Test func `wrong parameters are refused together`() async throws {
        try await GatewayFixture.with { _, client in
            let answer = try client.get("/entities?limit=1001&reverse=yes&return=all&min_sequence=-1")
            #expect(answer.status == 400)
            let fields = (answer.json["errors"] as? [[String: Any]] ?? []).compactMap { $0["field"] as? String }
            #expect(Set(fields) == ["table", "limit", "reverse", "return", "min_sequence"])
            #expect(try client.get("/entities/nocolon").json["code"] as? String == "invalid_key")
            #expect(try client.get("/entities/t:1?fields=a,,b").status == 400)
        }
    }

    @Test func `pages follow each other by their cursors`() async throws {
        try await GatewayFixture.with { _, client in
            for index in 0..<7 { _ = try client.put("/entities/t:\(index)", #"{"n":\#(index)}"#) }
            let first = try client.get("/entities?table=t&limit=4")
            #expect(first.number("count") == 4)
            #expect(first.number("sequence") == 7)
            let cursor = try #require(first.json["next_cursor"] as? String)
            let second = try client.get("/entities?table=t&limit=4&cursor=\(cursor)&return=keys")
            #expect(second.json["keys"] as? [String] == ["t:4", "t:5", "t:6"])
            #expect(second.json["next_cursor"] == nil)
        }
    }

    @Test func `a read carries min_sequence to the core`() async throws {
        try await GatewayFixture.with { fixture, client in
            _ = try client.put("/entities/t:1", "{}")
            #expect(try client.get("/entities/t:1?min_sequence=18446744073709551615").status == 200)
            let last = await fixture.core.received.last { $0.method == .get }
            #expect(last?.metadata.minSequence == .max)
            let deadline = last?.metadata.deadlineMilliseconds ?? 0
            #expect(deadline > 0 && deadline <= 10_000)
            #expect(last?.metadata.scopes == .all)
        }
    }

    @Test func `a multi-get names what is missing and what did not fit`() async throws {
        try await GatewayFixture.with { _, client in
            _ = try client.put("/entities/t:1", #"{"a":1}"#)
            let answer = try client.post("/entities/get", #"{"keys":["t:1","t:2","t:3"]}"#)
            #expect(
                answer.text
                    == #"{"entities":[{"key":"t:1","version":1,"document":{"a":1}},{"key":"t:2","missing":true}],"unread":["t:3"]}"#
            )
            #expect(try client.post("/entities/get", #"{"keys":[]}"#).text == #"{"entities":[],"unread":[]}"#)
            let wrong = try client.post("/entities/get", #"{"keys":["t:1","bad"]}"#)
            #expect(wrong.status == 400)
            #expect(wrong.text.contains("keys[1]"))
        }
    }

    @Test func `an export is one line an entity, whatever line ends a document holds`() async throws {
        try await GatewayFixture.with { _, client in
            _ = try client.put("/entities/t:1", "{\n\"a\":1}")
            _ = try client.put("/entities/t:2", #"{"b":"\n"}"#)
            let answer = try client.get("/entities?table=t", ["Accept": "application/x-ndjson"])
            #expect(answer["content-type"]?.hasPrefix("application/x-ndjson") == true)
            let lines = [
                #"{"key":"t:1","version":1,"document":{ "a":1}}"#, #"{"key":"t:2","version":2,"document":{"b":"\n"}}"#,
            ]
            #expect(answer.text == lines.map { $0 + "\n" }.joined())
            #expect(try client.get("/entities?table=t&limit=3", ["Accept": "application/x-ndjson"]).status == 400)
            #expect(try client.get("/entities?table=gone", ["Accept": "application/x-ndjson"]).status == 404)
        }
    }

    @Test func `an export has no deadline, but its wait for a sequence has`() async throws {
        try await GatewayFixture.with { fixture, client in
            _ = try client.put("/entities/t:1", "{}")
            let answer = try client.get("/entities?table=t&min_sequence=1", ["Accept": "application/x-ndjson"])
            #expect(answer.status == 200)
            let received = await fixture.core.received
            let export = try #require(received.last { $0.method == .export })
            #expect(export.metadata.deadlineMilliseconds == 0)
            let wait = try #require(received.last { $0.method == .list })
            #expect(wait.metadata.minSequence == 1)
            #expect(wait.metadata.deadlineMilliseconds > 0)
        }
    }

    @Test func `an export that breaks off has no last chunk`() async throws {
        try await GatewayFixture.with { fixture, client in
            _ = try client.put("/entities/damaged:1", "{}")
            let socket = try ClientSocket(port: await fixture.port)
            try socket.send("GET /entities?table=damaged HTTP/1.1\r\nHost: x\r\nAccept: application/x-ndjson\r\n\r\n")
            let text = String(decoding: try socket.receiveToEnd(), as: UTF8.self)
            #expect(text.hasPrefix("HTTP/1.1 200"))
            #expect(!text.hasSuffix("\r\n0\r\n\r\n"))
            #expect(try client.send("HEAD", "/entities?table=damaged", ["Accept": "application/x-ndjson"]).status == 200)
        }
    }

    @Test func `a write without an answer names its outcome`() async throws {
        try await GatewayFixture.with { fixture, client in
            await fixture.core.fail(.write, with: ThemisError(.commitUnknown, "the disk failed"))
            let unknown = try client.put("/entities/t:1", "{}")
            #expect(unknown.status == 503)
            #expect(unknown.json["outcome"] as? String == "unknown")
            #expect(unknown["retry-after"] != nil)
            await fixture.core.stop()
            let unreachable = try client.put("/entities/t:1", "{}")
            #expect(unreachable.status == 503)
            #expect(unreachable.json["outcome"] != nil)
        }
    }

    @Test func `a core that does not answer in time is 504`() async throws {
        try await GatewayFixture.with(requestTimeoutMilliseconds: 300) { fixture, client in
            await fixture.core.hold(.write, .get)
            let write = try client.put("/entities/t:1", "{}")
            #expect(write.status == 504)
            #expect(write.json["outcome"] as? String == "unknown")
            let read = try client.get("/entities/t:1")
            #expect(read.status == 504)
            #expect(read.json["outcome"] == nil)
        }
    }

    @Test func `a body over the limit is 413 before it is read`() async throws {
        try await GatewayFixture.with(bodyBytes: 100) { fixture, client in
            let answer = try client.put("/entities/t:1", #"{"a":"\#(String(repeating: "x", count: 200))"}"#)
            #expect(answer.status == 413)
            #expect(answer.json["outcome"] == nil)
            #expect(await fixture.core.received.allSatisfy { $0.method != .write })
        }
    }
}
