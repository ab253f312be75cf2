import Testing
import ThemisBase
import ThemisNet
import ThemisTelemetry
import ThemisTestKit

/// A server on a free port of 127.0.0.1 with routes that tests need.
@NetLoop final class ServerFixture {
    let server: HTTPServer
    let telemetry: Telemetry
    /// Lines of the log from `info` on.
    let logged = Monitor<[String]>([])
    var observations: [HTTPObservation] = []
    /// Requests whose handler was cancelled or told that its client had gone.
    var gone: [String] = []
    var written = 0
    /// Requests that wait for ever.
    var stuck = 0

    init(
        _ change: (inout HTTPServerOptions) -> Void = { _ in }, time: any TimeSource = SystemTime(), more: [Route] = []
    ) throws {
        var options = HTTPServerOptions(port: 0)
        change(&options)
        let logged = logged
        let log = Logger(role: "test", level: .info, format: .text, time: time) { line in
            logged.withLock { $0.append(String(decoding: line, as: UTF8.self)) }
        }
        telemetry = Telemetry(log: log, metrics: MetricRegistry(), time: time)
        let box = FixtureBox()
        server = HTTPServer(options, router: Router(ServerFixture.routes(box) + more), telemetry: telemetry)
        box.fixture = self
        server.observer = { [weak self] in self?.observations.append($0) }
        try server.start()
    }

    /// Moves the clock and waits until the server has compared its connections with it: a silent connection is closed by that.
    func sweep(_ time: ManualTime, afterMilliseconds: Int64) async throws {
        precondition(afterMilliseconds > Int64(Limits.headerMilliseconds), "a new connection must run out of time")
        let count = server.connectionCount
        let witness = try await client()
        try await witness.events.wait { self.server.connectionCount == count + 1 }
        time.advance(milliseconds: afterMilliseconds)
        try await witness.waitForClose()
        witness.stream.close()
        try await witness.events.wait { self.server.connectionCount <= count }
    }

    func client() async throws -> RawClient { try await RawClient(port: server.localPort) }

    private static func routes(_ box: FixtureBox) -> [Route] {
        [
            Route(.get, "/hello", scope: nil, parameters: ["name"], summary: "Says hello.") { exchange in
                let name = exchange.queryParameter("name") ?? "world"
                exchange.respond(200, body: Array(#"{"hello":"\#(name)"}"#.utf8))
            },
            Route(.get, "/big", scope: .dataRead, summary: "A body worth compressing.") { exchange in
                exchange.respond(200, contentType: "text/plain", body: [UInt8](repeating: 0x61, count: 10_000))
            },
            Route(.post, "/echo", scope: .dataWrite, summary: "Returns the body.") { exchange in
                let body = try await exchange.body(limit: 100_000)
                exchange.respond(200, contentType: "application/octet-stream", body: body)
            },
            Route(.post, "/ignore", scope: nil, summary: "Does not read the body.") { $0.respond(204, contentType: nil) },
            Route(.post, "/pipe", .streamIn, scope: nil, summary: "Streams the body back.") { exchange in
                exchange.beginStream(200, contentType: "application/octet-stream")
                while let chunk = try await exchange.nextBodyChunk() { try await exchange.send(chunk) }
                exchange.end()
            },
            Route(.get, "/entities/{key*}", scope: nil, summary: "Shows the key.") { exchange in
                exchange.respond(200, contentType: "text/plain", body: Array(exchange.pathParameter("key").utf8))
            },
            Route(.delete, "/entities/{key*}", scope: nil, summary: "Deletes nothing.") { $0.respond(204, contentType: nil) },
            Route(.get, "/stuck", scope: nil, summary: "Waits for ever.") { exchange in
                let name = exchange.requestID
                exchange.pending = Departure { box.fixture?.gone.append(name) }
                exchange.writeOutcome = .unknown
                box.fixture?.stuck += 1
                try await NetLoop.sleep(milliseconds: 3_600_000)
            },
            .direct(
                .post, "/gather", scope: .dataWrite, summary: "Returns the body, without a task.",
                handler: { exchange in
                    exchange.whenBodyIsWhole(limit: 100_000) { body throws(ThemisError) in
                        if body.isEmpty { throw ThemisError(.invalidRequest, "nothing to return") }
                        exchange.respond(200, contentType: "application/octet-stream", body: body)
                    }
                }),
            .direct(
                .get, "/asked", scope: .dataRead, summary: "Waits for ever, without a task.",
                handler: { exchange in
                    let name = exchange.requestID
                    exchange.pending = Departure { box.fixture?.gone.append(name) }
                    box.fixture?.stuck += 1
                }),
            Route(.get, "/broken", scope: nil, summary: "Throws what is not of the catalog.") { _ in throw Unexpected() },
            Route(.get, "/silent", scope: nil, summary: "Forgets to answer.") { _ in },
            Route(.get, "/flood", .streamOut, scope: nil, summary: "Sends without end.") { exchange in
                exchange.beginStream(200, contentType: "application/octet-stream")
                while true {
                    try await exchange.send([UInt8](repeating: 1, count: 16 << 10))
                    box.fixture?.written += 16 << 10
                }
            },
        ]
    }

    struct Unexpected: Error {}
}

/// Work that only notes that nobody waits for it any more.
@NetLoop private final class Departure: PendingWork {
    private let action: @NetLoop () -> Void
    init(_ action: @escaping @NetLoop () -> Void) { self.action = action }
    func abandon() { action() }
}

@NetLoop private final class FixtureBox {
    weak var fixture: ServerFixture?
}

/// One answer as a client sees it.
struct Answer: Sendable {
    var head: HTTPResponseHead
    var body: [UInt8] = []

    var status: Int { head.status }
    var text: String { String(decoding: body, as: UTF8.self) }
}

/// A client that sends exactly the bytes it is told to.
@NetLoop final class RawClient {
    let stream: ByteStream
    let events = Recorder()

    init(port: Int) async throws {
        stream = try await Connector.connect(SocketAddress(host: "127.0.0.1", port: UInt16(port)), timeoutMilliseconds: 2_000)
        stream.start(events)
    }

    func send(_ text: String) { stream.write(Array(text.utf8)) }

    func send(_ bytes: [UInt8]) { stream.write(bytes) }

    /// Waits for the next answer.
    func answer(toHead: Bool = false) async throws -> Answer {
        var parser = HTTPResponseParser(toHead: toHead)
        var answer: Answer?
        for _ in 0..<5_000 {
            while true {
                var used = 0
                let event = try unsafe events.bytes.withUnsafeBytes { unsafe try parser.next($0, used: &used) }
                let piece = Array(events.bytes.prefix(used))
                events.bytes.removeFirst(used)
                switch event {
                case .head(let head): answer = Answer(head: head)
                case .body(let range): answer?.body += piece[range]
                case .end: return try #require(answer)
                case .incomplete: break
                }
                if case .incomplete = event { break }
            }
            if events.hasEnded, parser.endsWithConnection { return try #require(answer) }
            if events.hasEnded || !events.reasons.isEmpty { break }
            try await NetLoop.sleep(milliseconds: 1)
        }
        throw ThemisError(.cancelled, "no answer came: \(String(decoding: events.bytes.prefix(200), as: UTF8.self))")
    }

    /// Sends a request and waits for its answer.
    func request(_ text: String, toHead: Bool = false) async throws -> Answer {
        send(text)
        return try await answer(toHead: toHead)
    }

    func waitForClose() async throws { try await events.wait { self.events.hasEnded || !self.events.reasons.isEmpty } }
}

/// A request without a body.
func request(_ method: String, _ target: String, _ headers: String...) -> String {
    "\(method) \(target) HTTP/1.1\r\nHost: test\r\n" + headers.map { $0 + "\r\n" }.joined() + "\r\n"
}
