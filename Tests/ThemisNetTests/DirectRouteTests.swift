import Testing
import ThemisBase
import ThemisTestKit

@testable import ThemisNet

@Suite(.serialized) struct DirectRouteTests {
    init() { LoopThread.start() }

    @Test @NetLoop func `a handler without a task gets the whole body, at any split and in any coding`() async throws {
        let fixture = try ServerFixture()
        let client = try await fixture.client()
        let head = "POST /gather HTTP/1.1\r\nHost: a\r\n"
        #expect(try await client.request(head + "Content-Length: 5\r\n\r\nhello").text == "hello")
        let text = head + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"
        await NetLoop.spawn {
            for byte in text.utf8 {
                client.send([byte])
                try? await NetLoop.sleep(milliseconds: 1)
            }
        }.value
        #expect(try await client.answer().text == "hello world")
        let body = [UInt8](repeating: 0x61, count: 90_000)
        client.send(head + "Content-Length: \(body.count)\r\n\r\n")
        client.send(body)
        #expect(try await client.answer().body == body)
        let gzipped = GzipDeflater.gzip(body)
        client.send(head + "Content-Encoding: gzip\r\nContent-Length: \(gzipped.count)\r\n\r\n")
        client.send(gzipped)
        #expect(try await client.answer().body == body)
        fixture.server.stop()
    }

    @Test @NetLoop func `a body that is too large, cut short or refused is answered, and the connection goes on where it can`() async throws
    {
        let fixture = try ServerFixture()
        let client = try await fixture.client()
        let head = "POST /gather HTTP/1.1\r\nHost: a\r\n"
        #expect(try await client.request(head + "Content-Length: 0\r\n\r\n").status == 400)
        #expect(try await client.request(head + "\r\n").status == 400)
        let large = GzipDeflater.gzip([UInt8](repeating: 0, count: 100_001))
        client.send(head + "Content-Encoding: gzip\r\nContent-Length: \(large.count)\r\n\r\n")
        client.send(large)
        #expect(try await client.answer().status == 413)
        let short = Array(GzipDeflater.gzip([1, 2, 3]).dropLast(3))
        client.send(head + "Content-Encoding: gzip\r\nContent-Length: \(short.count)\r\n\r\n")
        client.send(short)
        #expect(try await client.answer().status == 400)
        // Without being asked for a body that will not be taken.
        #expect(try await client.request(head + "Expect: 100-continue\r\nContent-Length: 100001\r\n\r\n").status == 413)
        fixture.server.stop()
    }

    @Test @NetLoop func `what a request waits for is given up when its client goes away`() async throws {
        let fixture = try ServerFixture()
        let client = try await fixture.client()
        client.send("GET /asked HTTP/1.1\r\nHost: a\r\nX-Request-Id: gone-2\r\n\r\n")
        try await client.events.wait { fixture.stuck == 1 }
        client.stream.close()
        try await client.events.wait { fixture.gone == ["gone-2"] }
        #expect(fixture.server.load.requests == 0)
        fixture.server.stop()
    }

    @Test @NetLoop func `beyond the bound requests are refused at once, and the process still answers for itself`() async throws {
        let fixture = try ServerFixture({ $0.maxRequests = 2 })
        let waiting = [try await fixture.client(), try await fixture.client()]
        for client in waiting { client.send("GET /asked HTTP/1.1\r\nHost: a\r\n\r\n") }
        try await waiting[0].events.wait { fixture.stuck == 2 }
        let client = try await fixture.client()
        let read = try await client.request("GET /big HTTP/1.1\r\nHost: a\r\n\r\n")
        #expect(read.status == 503 && read.head.fields["retry-after"] == "1")
        let write = try await client.request("POST /gather HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\na")
        #expect(write.status == 503 && write.text.contains(#""outcome":"not_committed""#))
        #expect(try await client.request("GET /hello HTTP/1.1\r\nHost: a\r\n\r\n").status == 200)
        waiting[0].stream.close()
        try await client.events.wait { fixture.gone.count == 1 }
        #expect(try await client.request("GET /big HTTP/1.1\r\nHost: a\r\n\r\n").status == 200)
        fixture.server.stop()
    }

    @Test @NetLoop func `bodies in progress are bounded together`() async throws {
        let fixture = try ServerFixture({ $0.maxBodyBytes = 1_000 })
        let (slow, other) = (try await fixture.client(), try await fixture.client())
        slow.send("POST /gather HTTP/1.1\r\nHost: a\r\nContent-Length: 900\r\n\r\n")
        slow.send([UInt8](repeating: 0x61, count: 800))
        try await slow.events.wait { fixture.server.load.bodyBytes == 800 }
        let body = [UInt8](repeating: 0x62, count: 300)
        other.send("POST /gather HTTP/1.1\r\nHost: a\r\nContent-Length: 300\r\n\r\n")
        other.send(body)
        #expect(try await other.answer().status == 503)
        slow.send([UInt8](repeating: 0x61, count: 100))
        #expect(try await slow.answer().body.count == 900)
        other.send("POST /gather HTTP/1.1\r\nHost: a\r\nContent-Length: 300\r\n\r\n")
        other.send(body)
        #expect(try await other.answer().body == body)
        #expect(fixture.server.load.requests == 0 && fixture.server.load.bodyBytes == 0)
        fixture.server.stop()
    }

    @Test @NetLoop func `a body that fills the buffer just as it ends is whole for a handler that waits`() async throws {
        // A full buffer paused the parser before it had told the end, and no further byte came to wake it: the request hung.
        // It happened to bodies whose last read brought the buffer to its bound. The end of a body is told at once now.
        let fixture = try ServerFixture()
        let client = try await fixture.client()
        for count in [Limits.bodyBufferBytes, 90_000] {
            let body = [UInt8](repeating: 0x61, count: count)
            client.send(Array("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: \(count)\r\n\r\n".utf8) + body)
            #expect(try await client.answer().body == body)
        }
        fixture.server.stop()
    }
}
