import Foundation
import Testing
import ThemisBase
import ThemisNet
import ThemisTelemetry
import ThemisTestKit

@Suite struct HTTPServerTests {
    init() { LoopThread.start() }

    @Test @NetLoop func `a request is answered with date, length, type and id`() async throws {
        let fixture = try ServerFixture()
        let client = try await fixture.client()
        let answer = try await client.request(request("GET", "/hello?name=a%20b", "X-Request-Id: abc-1"))
        #expect(answer.status == 200)
        #expect(answer.text == #"{"hello":"a b"}"#)
        #expect(answer.head.fields["content-type"] == "application/json; charset=utf-8")
        #expect(answer.head.fields["x-request-id"] == "abc-1")
        #expect(answer.head.fields["date"]?.hasSuffix(" GMT") == true)
        #expect(fixture.observations.count == 1)
        #expect(fixture.observations.first?.status == 200)
        fixture.server.stop()
    }

    @Test @NetLoop func `pipelined requests are answered in their order`() async throws {
        let fixture = try ServerFixture()
        let client = try await fixture.client()
        let count = 500
        client.send((0..<count).map { request("GET", "/hello?name=\($0)") }.joined())
        for number in 0..<count {
            let answer = try await client.answer()
            #expect(answer.text == #"{"hello":"\#(number)"}"#)
        }
        fixture.server.stop()
    }

    @Test @NetLoop func `bodies come by length and in chunks, at any split`() async throws {
        let fixture = try ServerFixture()
        let client = try await fixture.client()
        let plain = try await client.request("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello")
        #expect(plain.text == "hello")
        let text =
            "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
            + "5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nT: 1\r\n\r\n"
        // A task of the loop: its pauses do not wait for the pool, which other tests may keep busy for longer than the server's clocks.
        await NetLoop.spawn {
            for byte in text.utf8 {
                client.send([byte])
                try? await NetLoop.sleep(milliseconds: 1)
            }
        }.value
        #expect(try await client.answer().text == "hello world")
        fixture.server.stop()
    }

    @Test @NetLoop func `a streamed body flows through with bounded memory`() async throws {
        let fixture = try ServerFixture()
        let client = try await fixture.client()
        let piece = [UInt8](repeating: 0x78, count: 50_000)
        let total = 100
        client.send("POST /pipe HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        NetLoop.spawn {
            for _ in 0..<total {
                client.send("C350\r\n")
                client.send(piece)
                client.send("\r\n")
                try? await client.stream.awaitWritable()
            }
            client.send("0\r\n\r\n")
        }
        let answer = try await client.answer()
        #expect(answer.body.count == piece.count * total)
        #expect(answer.head.keepsAlive)
        #expect(try await client.request(request("GET", "/hello")).status == 200)
        fixture.server.stop()
    }

    @Test @NetLoop func `a body is invited only when the handler asks for it`() async throws {
        let fixture = try ServerFixture()
        let client = try await fixture.client()
        client.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
        try await client.events.wait { client.events.bytes.count >= 25 }
        #expect(String(decoding: client.events.bytes, as: UTF8.self) == "HTTP/1.1 100 Continue\r\n\r\n")
        #expect(try await client.request("abc").text == "abc")
        // Not asked: the answer comes at once, and the connection cannot be kept.
        let refused = try await client.request(
            "POST /ignore HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
        #expect(refused.status == 204)
        #expect(!refused.head.keepsAlive)
        // RFC 9110 §10.1.1: a client of HTTP/1.0 does not know interim answers.
        let old = try await fixture.client()
        old.send("POST /echo HTTP/1.0\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\nabc")
        try await old.waitForClose()
        #expect(old.events.bytes.starts(with: Array("HTTP/1.1 200 ".utf8)))
        let other = try await fixture.client()
        #expect(try await other.request(request("GET", "/hello", "Expect: tea")).status == 417)
        fixture.server.stop()
    }

    @Test @NetLoop func `a body that is streamed back is invited before its answer begins`() async throws {
        let fixture = try ServerFixture()
        let client = try await fixture.client()
        client.send("POST /pipe HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n")
        let begin = Array("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n".utf8)
        try await client.events.wait { client.events.bytes.count >= begin.count }
        #expect(client.events.bytes.starts(with: begin))
        let answer = try await client.request("3\r\nabc\r\n0\r\n\r\n")
        #expect(answer.text == "abc")
        #expect(answer.head.keepsAlive)
        fixture.server.stop()
    }

    @Test @NetLoop func `HEAD is GET without its body`() async throws {
        let fixture = try ServerFixture()
        let client = try await fixture.client()
        let answer = try await client.request(request("HEAD", "/hello"), toHead: true)
        #expect(answer.status == 200)
        #expect(answer.head.fields["content-length"] == "17")
        #expect(try await client.request(request("GET", "/hello")).text.utf8.count == 17)
        fixture.server.stop()
    }

    @Test @NetLoop func `unknown paths are 404, wrong methods 405 with Allow, OPTIONS tells the methods`() async throws {
        let fixture = try ServerFixture()
        let client = try await fixture.client()
        let unknown = try await client.request(request("GET", "/nowhere", "X-Request-Id: q1"))
        #expect(unknown.status == 404)
        #expect(unknown.head.fields["content-type"]?.hasPrefix("application/problem+json") == true)
        let problem = try #require(JSONSerialization.jsonObject(with: Data(unknown.body)) as? [String: Any])
        #expect(problem["code"] as? String == "not_found")
        #expect(problem["request_id"] as? String == "q1")
        #expect(problem["status"] as? Int == 404)
        #expect(problem["retryable"] as? Bool == false)
        let wrong = try await client.request(request("BREW", "/entities/a:b"))
        #expect(wrong.status == 405)
        #expect(wrong.head.fields["allow"] == "GET, DELETE, HEAD, OPTIONS")
        let options = try await client.request(request("OPTIONS", "/entities/a:b"))
        #expect(options.status == 204)
        #expect(options.head.fields["allow"] == "GET, DELETE, HEAD, OPTIONS")
        #expect(try await client.request(request("OPTIONS", "*")).status == 204)
        fixture.server.stop()
    }

    @Test(arguments: [
        ("/entities/users:a", "users:a"), ("/entities/users:a/b", "users:a/b"), ("/entities/users:a%2Fb", "users:a/b"),
        ("/entities/t:%25", "t:%"), ("/entities/t:a//b/", "t:a//b/"), ("/%65ntities/t:1", "t:1"),
    ])
    @NetLoop func `the end of a path may hold slashes, plain or encoded`(target: String, key: String) async throws {
        let fixture = try ServerFixture()
        let client = try await fixture.client()
        #expect(try await client.request(request("GET", target)).text == key)
        fixture.server.stop()
    }

    @Test @NetLoop func `what a handler throws becomes a problem document and nothing internal shows`() async throws {
        let fixture = try ServerFixture()
        let client = try await fixture.client()
        for path in ["/broken", "/silent"] {
            let answer = try await client.request(request("GET", path))
            #expect(answer.status == 500)
            #expect(answer.text.contains(#""code":"internal""#))
            #expect(!answer.text.contains("Unexpected"))
        }
        let unknown = try await client.request(request("GET", "/hello?nam=x"))
        #expect(unknown.status == 400)
        #expect(unknown.text.contains(#""errors":[{"field":"nam""#))
        #expect(
            try await client.request(request("GET", "/hello", "X-Request-Id: " + String(repeating: "x", count: 129))).status
                == 400)
        fixture.server.stop()
    }

    @Test @NetLoop func `a body over the limit is 413, told before or found out`() async throws {
        let fixture = try ServerFixture()
        let told = try await fixture.client().request("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100001\r\n\r\n")
        #expect(told.status == 413)
        let client = try await fixture.client()
        client.send("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n30D40\r\n")
        client.send([UInt8](repeating: 1, count: 200_000))
        #expect(try await client.answer().status == 413)
        try await client.waitForClose()
        fixture.server.stop()
    }

    @Test @NetLoop func `a small unread body is read over, so that the connection stays`() async throws {
        let fixture = try ServerFixture()
        let client = try await fixture.client()
        let first = try await client.request("POST /ignore HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n")
        #expect(first.status == 204)
        #expect(first.head.keepsAlive)
        client.send("abc")
        #expect(try await client.request(request("GET", "/hello")).status == 200)
        fixture.server.stop()
    }

    @Test @NetLoop func `malformed requests are answered 400 and closed`() async throws {
        let fixture = try ServerFixture()
        for text in [
            "GET / HTTP/1.1\nHost: a\n\n", "\u{16}\u{3}\u{1}",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        ] {
            let client = try await fixture.client()
            let answer = try await client.request(text)
            #expect(answer.status == 400)
            #expect(!answer.head.keepsAlive)
            try await client.waitForClose()
        }
        #expect(fixture.telemetry.metrics.counter(.httpParseErrors).value == 3)
        fixture.server.stop()
    }

    @Test @NetLoop func `garbage in pieces is answered or closed, and the process lives`() async throws {
        let fixture = try ServerFixture()
        var random = SeededRandom(seed: Seed.current())
        let seeds = HTTPParserTests.accepted.map(\.0) + HTTPParserTests.refused.map { String($0.0.prefix(200)) }
        for round in 0..<150 {
            var bytes = Array(try #require(seeds.randomElement(using: &random)).utf8)
            if !round.isMultiple(of: 3) {
                bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
            }
            let client = try await fixture.client()
            while !bytes.isEmpty, client.stream.isOpen {
                let count = Int.random(in: 1...bytes.count, using: &random)
                client.send(Array(bytes.prefix(count)))
                bytes.removeFirst(count)
                await Task.yield()
            }
            if round.isMultiple(of: 2) { client.stream.finish() } else { client.stream.close() }
        }
        let client = try await fixture.client()
        #expect(try await client.request(request("GET", "/hello")).status == 200)
        client.stream.close()
        try await client.events.wait { fixture.server.connectionCount == 0 }
        fixture.server.stop()
    }

    @Test(arguments: ["GET /no\u{1}", "GET /nowhere HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nGET /hello HT"])
    @NetLoop func `an answer that closes may come while buffered input is being read`(text: String) async throws {
        let fixture = try ServerFixture()
        let client = try await fixture.client()
        client.send(Array(text.utf8.prefix(6)))
        try await NetLoop.sleep(milliseconds: 20)
        client.send(Array(text.utf8.dropFirst(6)))
        #expect(try await [400, 404].contains(client.answer().status))
        try await client.waitForClose()
        fixture.server.stop()
    }

    @Test @NetLoop func `HTTP 1 0 closes unless it asks to stay`() async throws {
        let fixture = try ServerFixture()
        let client = try await fixture.client()
        let kept = try await client.request("GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        #expect(kept.head.fields["connection"] == "keep-alive")
        let last = try await client.request("GET /hello HTTP/1.0\r\n\r\n")
        #expect(last.head.fields["connection"] == "close")
        try await client.waitForClose()
        fixture.server.stop()
    }
}
