import Foundation
import Testing
import ThemisBase
import ThemisNet
import ThemisTelemetry
import ThemisTestKit

/// Timeouts, ends and bounds of the server.
@Suite struct HTTPLifetimeTests {
    init() { LoopThread.start() }

    @Test @NetLoop func `slow headers are answered 408 and closed`() async throws {
        let time = ManualTime()
        let fixture = try ServerFixture(time: time)
        let client = try await fixture.client()
        #expect(try await client.request(request("GET", "/hello") + "GET /hello HTTP/1.1\r\nHo").status == 200)
        time.advance(milliseconds: 10_001)
        #expect(try await client.answer().status == 408)
        try await client.waitForClose()
        let quiet = try await fixture.client()
        try await quiet.events.wait { fixture.server.connectionCount == 1 }
        time.advance(milliseconds: 10_001)
        try await quiet.waitForClose()
        #expect(quiet.events.bytes.isEmpty)
        fixture.server.stop()
    }

    @Test @NetLoop func `many connections that run out of time at once are all ended, some at a time`() async throws {
        let time = ManualTime()
        let fixture = try ServerFixture(time: time)
        defer { fixture.server.stop() }
        var clients: [RawClient] = []
        for _ in 0..<100 { clients.append(try await fixture.client()) }
        for client in clients { client.send("GET /hello HTTP/1.1\r\nX") }
        try await Recorder().wait { fixture.server.connectionCount == 100 }
        try await NetLoop.sleep(milliseconds: 20)
        time.advance(milliseconds: 10_001)
        for client in clients { #expect(try await client.answer().status == 408) }
        for client in clients { client.stream.close() }
        try await Recorder().wait { fixture.server.connectionCount == 0 }
    }

    @Test @NetLoop func `a slow body is answered 408 and closed`() async throws {
        let time = ManualTime()
        let fixture = try ServerFixture({ $0.requestTimeoutMilliseconds = 300_000 }, time: time)
        let client = try await fixture.client()
        client.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n")
        // The invitation shows that the handler waits.
        try await client.events.wait { client.events.bytes.count == 25 }
        time.advance(milliseconds: 30_001)
        #expect(try await client.answer().status == 408)
        try await client.waitForClose()
        fixture.server.stop()
    }

    @Test(arguments: [[30_001], [6_000, 6_000, 6_000]])
    @NetLoop func `a streamed body that stops or trickles is ended`(pauses: [Int64]) async throws {
        let time = ManualTime()
        let fixture = try ServerFixture(time: time)
        let client = try await fixture.client()
        client.send("POST /pipe HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
        for pause in pauses {
            let seen = client.events.bytes.count
            client.send("1\r\na\r\n")
            // The clock may have ended it already.
            try await client.events.wait { client.events.bytes.count > seen || client.events.hasEnded }
            time.advance(milliseconds: pause)
        }
        try await client.waitForClose()
        fixture.server.stop()
    }

    @Test @NetLoop func `an idle connection is closed without a word`() async throws {
        let time = ManualTime()
        let fixture = try ServerFixture(time: time)
        let client = try await fixture.client()
        #expect(try await client.request(request("GET", "/hello")).status == 200)
        time.advance(milliseconds: 75_001)
        try await client.waitForClose()
        #expect(client.events.bytes.isEmpty)
        fixture.server.stop()
    }

    @Test @NetLoop func `a request beyond its time is 504 with its outcome, and the connection goes on`() async throws {
        let time = ManualTime()
        let fixture = try ServerFixture(time: time)
        let client = try await fixture.client()
        client.send(request("GET", "/stuck"))
        try await client.events.wait { fixture.stuck == 1 }
        time.advance(milliseconds: 30_001)
        let answer = try await client.answer()
        #expect(answer.status == 504)
        #expect(answer.text.contains(#""outcome":"unknown""#))
        #expect(try await client.request(request("GET", "/hello")).status == 200)
        fixture.server.stop()
    }

    @Test @NetLoop func `a client that goes away cancels its handler`() async throws {
        let fixture = try ServerFixture { $0.timeouts.halfCloseMilliseconds = 20 }
        let client = try await fixture.client()
        client.send(request("GET", "/stuck", "X-Request-Id: gone-1"))
        try await client.events.wait { fixture.stuck == 1 }
        client.stream.close()
        try await client.events.wait { fixture.gone == ["gone-1"] }
        try await client.events.wait { fixture.server.connectionCount == 0 }
        #expect(fixture.observations.map(\.status) == [499])
        fixture.server.stop()
    }

    @Test @NetLoop func `a client that closes only its sending half still gets its answers`() async throws {
        let fixture = try ServerFixture()
        let client = try await fixture.client()
        client.send(request("GET", "/hello?name=1") + request("GET", "/hello?name=2"))
        client.stream.finish()
        // A finished stream discards what comes; the server's side tells.
        try await client.events.wait { fixture.observations.count == 2 }
        #expect(fixture.observations.map(\.status) == [200, 200])
        try await client.events.wait { fixture.server.connectionCount == 0 }
    }

    @Test @NetLoop func `a reader that takes nothing costs bounded memory and is cut off`() async throws {
        let fixture = try ServerFixture { $0.timeouts.writeStallMilliseconds = 200 }
        let client = try await fixture.client()
        client.stream.pauseReading()
        client.send(request("GET", "/flood"))
        try await client.events.wait { fixture.written > 0 }
        var before = -1
        while before != fixture.written {
            before = fixture.written
            try await NetLoop.sleep(milliseconds: 20)
        }
        // What the kernel holds on both ends, and the stream's own water mark.
        #expect(fixture.written < 16 << 20)
        try await client.events.wait { fixture.server.connectionCount == 0 }
        client.stream.close()
    }

    // A large answer lay in the kernel's send buffer for longer than the clock of a stalled reader, because the kernel asks for more
    // only once a third of its megabytes is gone: slow readers were cut off. What the reader acknowledges counts as progress.
    @Test @NetLoop func `a reader that is slow but steady is not cut off, and one that stops is`() async throws {
        let time = ManualTime()
        let fixture = try ServerFixture(time: time)
        // A small receive buffer: its window opens by what is read at once.
        let reader = try ClientSocket(port: UInt16(fixture.server.localPort), receiveBufferBytes: 256 << 10)
        try reader.send(request("GET", "/flood"))
        var before = -1
        while before != fixture.written || before == 0 {
            before = fixture.written
            try await NetLoop.sleep(milliseconds: 20)
        }
        for _ in 0..<4 {
            _ = try reader.receive(128 << 10)
            try await fixture.sweep(time, afterMilliseconds: 12_000)
            #expect(fixture.server.connectionCount == 1)
        }
        try await Recorder().wait {
            time.advance(milliseconds: 1_000)
            return fixture.server.connectionCount == 0
        }
    }

    // Answers to pipelined requests were written without looking at whether anyone took them: 64 KiB of requests for large answers held
    // a gigabyte. Now the next request waits until the answers before it have gone.
    @Test @NetLoop func `a client that sends requests and reads no answers holds few of them, and gets all in the end`() async throws {
        let fixture = try ServerFixture()
        defer { fixture.server.stop() }
        let client = try await fixture.client()
        client.stream.pauseReading()
        client.send(String(repeating: request("GET", "/big"), count: 3_000))
        var before = -1
        while before != fixture.observations.count || before == 0 {
            before = fixture.observations.count
            try await NetLoop.sleep(milliseconds: 20)
        }
        // What the kernel holds on both ends, and little more than the stream's own water mark.
        #expect(before < 1_600)
        client.stream.resumeReading()
        try await client.events.wait { client.events.bytes.count > 1_000 }
        // All answers have one length: their heads differ in the digits of their ids only.
        let head = Array(client.events.bytes.prefix(1_000))
        let headEnd = try #require(head.indices.first { head[$0...].starts(with: "\r\n\r\n".utf8) })
        let length = headEnd + 4 + 10_000
        try await client.events.wait { client.events.bytes.count == 3_000 * length }
        let received = client.events.bytes
        #expect((0..<3_000).allSatisfy { received[($0 * length)...].starts(with: "HTTP/1.1 200 ".utf8) })
        #expect(fixture.observations.allSatisfy { $0.status == 200 })
        client.events.bytes = []
        #expect(try await client.request(request("GET", "/hello")).status == 200)
    }

    @Test @NetLoop func `a reader that leaves in the middle of an answer is no warning`() async throws {
        let fixture = try ServerFixture()
        let client = try await fixture.client()
        client.send(request("GET", "/flood"))
        try await client.events.wait { fixture.written > 1 << 20 }
        client.stream.close()
        try await client.events.wait { fixture.server.connectionCount == 0 }
        #expect(fixture.logged.withLock { $0 } == [])
        fixture.server.stop()
    }

    @Test @NetLoop func `a drain finishes what is in progress and refuses what is new`() async throws {
        let fixture = try ServerFixture()
        let idle = try await fixture.client()
        #expect(try await idle.request(request("GET", "/hello")).status == 200)
        let busy = try await fixture.client()
        busy.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
        try await busy.events.wait { busy.events.bytes.count == 25 }
        busy.send("ab")
        let port = fixture.server.localPort
        let drain = Task { await fixture.server.drain(graceMilliseconds: 5_000) }
        try await idle.waitForClose()
        let answer = try await busy.request("cd")
        #expect(answer.text == "abcd")
        #expect(!answer.head.keepsAlive)
        busy.stream.close()
        await drain.value
        await #expect(throws: ThemisError.self) { _ = try await RawClient(port: port) }
    }

    @Test @NetLoop func `a drain cuts what does not end in time`() async throws {
        let fixture = try ServerFixture()
        let client = try await fixture.client()
        client.send(request("GET", "/stuck"))
        try await client.events.wait { fixture.stuck == 1 }
        await fixture.server.drain(graceMilliseconds: 20)
        let answer = try await client.answer()
        #expect(answer.status == 503)
        #expect(answer.text.contains(#""code":"shutting_down""#))
        #expect(answer.text.contains(#""outcome":"unknown""#))
    }

    @Test @NetLoop func `one connection too many is told so`() async throws {
        let fixture = try ServerFixture { $0.maxConnections = 1 }
        let first = try await fixture.client()
        #expect(try await first.request(request("GET", "/hello")).status == 200)
        let second = try await fixture.client()
        let answer = try await second.answer()
        #expect(answer.status == 503)
        #expect(answer.head.fields["retry-after"] == "1")
        #expect(fixture.telemetry.metrics.counter(.httpConnectionsRefused).value == 1)
        first.stream.close()
        second.stream.close()
        try await first.events.wait { fixture.server.connectionCount == 0 }
        let third = try await fixture.client()
        #expect(try await third.request(request("GET", "/hello")).status == 200)
        fixture.server.stop()
    }

    @Test @NetLoop func `the client keeps its connection and sees through a closed one`() async throws {
        let time = ManualTime()
        let fixture = try ServerFixture({ $0.timeouts.keepAliveMilliseconds = 1_000 }, time: time)
        let address = try SocketAddress(host: "127.0.0.1", port: UInt16(fixture.server.localPort))
        let client = HTTPClient(address, host: "test")
        for _ in 0..<3 { #expect(try await client.request(.get, "/hello").status == 200) }
        #expect(fixture.server.connectionCount == 1)
        time.advance(milliseconds: 1_001)
        try await Recorder().wait { fixture.server.connectionCount == 0 }
        let echo = try await client.request(.put, "/echo", body: [1])
        #expect(echo.status == 405)
        let answer = try await client.request(.post, "/echo", body: Array("hello".utf8))
        #expect(answer.body == Array("hello".utf8))
        await #expect(throws: ThemisError.self) {
            let strict = HTTPClient(address, host: "test", options: HTTPClient.Options(timeoutMilliseconds: 100))
            _ = try await strict.request(.get, "/stuck")
        }
        client.close()
        fixture.server.stop()
    }
}
