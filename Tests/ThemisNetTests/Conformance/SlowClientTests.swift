import Testing
import ThemisBase
import ThemisNet
import ThemisTelemetry
import ThemisTestKit

/// What a slow client sent before it paused, for how long it paused, and what must follow.
struct SlowRow: Sendable, CustomTestStringConvertible {
    let why: String
    /// Answered before the clock moves.
    var before = ""
    let sent: String
    let pauseMilliseconds: Int64
    /// The status of the answer; nil when the connection closes without a word.
    let status: Int?
    var code = ""

    var testDescription: String { why }
}

/// Where a client leaves.
struct LeavingRow: Sendable, CustomTestStringConvertible {
    let why: String
    let sent: String
    /// The handler that must have begun: `/stuck` or `/flood`.
    var isHeld = false
    var testDescription: String { why }
}

/// Time limits by a clock that only the test moves, and clients that leave in every phase.
@Suite struct SlowClientTests {
    init() { LoopThread.start() }

    private static let hello = request("GET", "/hello")
    private static let post = "POST /echo HTTP/1.1\r\nHost: a\r\n"

    static let slow: [SlowRow] = [
        SlowRow(why: "nothing is sent at all", sent: "", pauseMilliseconds: 10_001, status: nil),
        SlowRow(why: "half a method", sent: "GE", pauseMilliseconds: 10_001, status: 408, code: "request_incomplete"),
        SlowRow(
            why: "a request line without its end, as HTTP/0.9 has it", sent: "GET /hello\r\n", pauseMilliseconds: 10_001, status: 408,
            code: "request_incomplete"),
        SlowRow(
            why: "half a header", sent: "GET /hello HTTP/1.1\r\nHo", pauseMilliseconds: 10_001, status: 408, code: "request_incomplete"),
        SlowRow(
            why: "headers without their end", sent: "GET /hello HTTP/1.1\r\nHost: a\r\n", pauseMilliseconds: 10_001, status: 408,
            code: "request_incomplete"),
        SlowRow(
            why: "a second request that stops in its headers", before: hello, sent: "GET /hello HTTP/1.1\r\nX", pauseMilliseconds: 10_001,
            status: 408,
            code: "request_incomplete"),
        SlowRow(why: "nothing after an answer", before: hello, sent: "", pauseMilliseconds: 75_001, status: nil),
        SlowRow(
            why: "nothing of a body", sent: post + "Content-Length: 9\r\n\r\n", pauseMilliseconds: 30_001, status: 408,
            code: "request_incomplete"),
        SlowRow(
            why: "half a body", sent: post + "Content-Length: 9\r\n\r\nhalf", pauseMilliseconds: 30_001, status: 408,
            code: "request_incomplete"),
        SlowRow(
            why: "no chunk", sent: post + "Transfer-Encoding: chunked\r\n\r\n", pauseMilliseconds: 30_001, status: 408,
            code: "request_incomplete"),
        SlowRow(
            why: "half a chunk's size", sent: post + "Transfer-Encoding: chunked\r\n\r\n1", pauseMilliseconds: 30_001, status: 408,
            code: "request_incomplete"),
        SlowRow(
            why: "half a chunk", sent: post + "Transfer-Encoding: chunked\r\n\r\n9\r\nhalf", pauseMilliseconds: 30_001, status: 408,
            code: "request_incomplete"),
        SlowRow(
            why: "no last chunk", sent: post + "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", pauseMilliseconds: 30_001, status: 408,
            code: "request_incomplete"),
        SlowRow(
            why: "no end of the trailers", sent: post + "Transfer-Encoding: chunked\r\n\r\n0\r\nX: y\r\n", pauseMilliseconds: 30_001,
            status: 408,
            code: "request_incomplete"),
        SlowRow(
            why: "a body that was invited", sent: post + "Content-Length: 9\r\nExpect: 100-continue\r\n\r\n", pauseMilliseconds: 30_001,
            status: 408,
            code: "request_incomplete"),
        SlowRow(
            why: "a handler that takes too long is not the client's fault", sent: request("GET", "/stuck"), pauseMilliseconds: 30_001,
            status: 504,
            code: "deadline_exceeded"),
    ]

    @Test(arguments: slow)
    @NetLoop func `a client that pauses is told so, and its connection closed`(row: SlowRow) async throws {
        let time = ManualTime()
        let fixture = try ServerFixture(time: time)
        defer { fixture.server.stop() }
        let client = try await fixture.client()
        if !row.before.isEmpty { #expect(try await client.request(row.before).status == 200) }
        client.send(row.sent)
        // What was sent has arrived: the server has read it, and a handler that would begin has begun.
        try await client.events.wait { fixture.server.connectionCount == 1 && client.stream.pendingBytes == 0 }
        if row.sent.contains("/stuck") { try await client.events.wait { fixture.stuck == 1 } }
        if row.sent.contains("Expect") { try await client.events.wait { client.events.bytes.count == 25 } }
        for _ in 0..<5 { try await NetLoop.sleep(milliseconds: 1) }
        time.advance(milliseconds: row.pauseMilliseconds)
        guard let status = row.status else {
            try await client.waitForClose()
            #expect(client.events.bytes.isEmpty)
            return
        }
        let answer = try await client.answer()
        #expect(answer.status == status)
        #expect(answer.text.contains(#""code":"\#(row.code)""#), "\(answer.text)")
        guard status == 408 else { return }
        #expect(!answer.head.keepsAlive)
        try await client.waitForClose()
        #expect(client.events.bytes.isEmpty)
    }

    @Test @NetLoop func `a steady trickle of headers does not hold a connection for longer than its time`() async throws {
        let time = ManualTime()
        let fixture = try ServerFixture(time: time)
        defer { fixture.server.stop() }
        let client = try await fixture.client()
        client.send("GET /hello HTTP/1.1\r\n")
        try await client.events.wait { fixture.server.connectionCount == 1 }
        for _ in 0..<11 where client.stream.isOpen && client.events.bytes.isEmpty {
            client.send("X: y\r\n")
            try await NetLoop.sleep(milliseconds: 2)
            time.advance(milliseconds: 1_000)
        }
        #expect(try await client.answer().status == 408)
        try await client.waitForClose()
    }

    static let leaving: [LeavingRow] = [
        LeavingRow(why: "at once", sent: ""),
        LeavingRow(why: "within the request line", sent: "GET /hel"),
        LeavingRow(why: "within the headers", sent: "GET /hello HTTP/1.1\r\nHost: a\r\nX"),
        LeavingRow(why: "before the body", sent: post + "Content-Length: 9\r\n\r\n"),
        LeavingRow(why: "within the body", sent: post + "Content-Length: 9\r\n\r\nhalf"),
        LeavingRow(why: "within a chunk's size", sent: post + "Transfer-Encoding: chunked\r\n\r\n1"),
        LeavingRow(why: "within a chunk", sent: post + "Transfer-Encoding: chunked\r\n\r\n9\r\nhalf"),
        LeavingRow(why: "within a streamed body", sent: "POST /pipe HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhalf"),
        LeavingRow(why: "within a body that is read over", sent: "POST /ignore HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf"),
        LeavingRow(why: "behind a whole request", sent: hello),
        LeavingRow(why: "behind many requests", sent: String(repeating: hello, count: 50)),
        LeavingRow(why: "while its request is worked on", sent: request("GET", "/stuck"), isHeld: true),
        LeavingRow(why: "in the middle of an answer", sent: request("GET", "/flood"), isHeld: true),
    ]

    @Test(arguments: leaving, [false, true])
    @NetLoop func `a client may leave at any moment, in order or by a reset`(row: LeavingRow, isReset: Bool) async throws {
        let fixture = try ServerFixture { $0.timeouts.halfCloseMilliseconds = 20 }
        defer { fixture.server.stop() }
        let client = try ClientSocket(port: UInt16(fixture.server.localPort))
        try client.send(row.sent)
        if row.isHeld { try await Recorder().wait { fixture.stuck + fixture.written > 0 } }
        // Half of the rows leave before the server has looked at anything.
        if isReset { client.reset() } else { client.shut() }
        try await Recorder().wait {
            fixture.telemetry.metrics.counter(.httpConnectionsAccepted).value == 1 && fixture.server.connectionCount == 0
        }
        #expect(fixture.logged.withLock { $0 } == [])
        let next = try await fixture.client()
        #expect(try await next.request(Self.hello).status == 200)
    }
}
