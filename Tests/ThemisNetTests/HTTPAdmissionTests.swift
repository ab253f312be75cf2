import Testing
import ThemisBase
import ThemisTestKit

@testable import ThemisNet

/// Writes that are answered when the test likes.
@NetLoop private final class Held {
    var exchanges: [HTTPExchange] = []

    nonisolated func route() -> Route {
        .direct(
            .post, "/held", scope: .dataWrite, summary: "Answers when the test likes.",
            handler: { [self] exchange in
                exchange.writeOutcome = .notCommitted
                exchange.whenBodyIsWhole(limit: 1_000) { [self] _ throws(ThemisError) in exchanges.append(exchange) }
            })
    }

    func answer() {
        for exchange in exchanges { exchange.respond(200) }
        exchanges = []
    }
}

@Suite struct HTTPAdmissionTests {
    private static let bounds = AdmissionGate.Bounds(floor: 2, capacity: 100, capacityBytes: 1_000)

    init() { LoopThread.start() }

    private static func post(_ length: Int, _ body: String = "") -> String {
        "POST /held HTTP/1.1\r\nHost: a\r\nContent-Length: \(length)\r\n\r\n\(body)"
    }

    /// Lets two writes wait for so long that the next one is refused. Returns their clients.
    @NetLoop @discardableResult private static func shutGate(
        of fixture: ServerFixture, _ held: Held, _ time: ManualTime
    ) async throws -> [RawClient] {
        let waiting = [try await fixture.client(), try await fixture.client()]
        for client in waiting { client.send(post(1, "a")) }
        try await waiting[0].events.wait { held.exchanges.count == 2 }
        time.advance(milliseconds: 250)
        return waiting
    }

    @Test @NetLoop func `when writes wait for too long the next one gets 503 and Retry-After before its body is read`() async throws {
        let (held, time) = (Held(), ManualTime())
        let fixture = try ServerFixture({ $0.writes = Self.bounds }, time: time, more: [held.route()])
        let waiting = try await Self.shutGate(of: fixture, held, time)
        let client = try await fixture.client()
        let refusal = try await client.request(Self.post(5))
        #expect(refusal.status == 503 && refusal.head.fields["retry-after"] == "1")
        #expect(refusal.text.contains(#""outcome":"not_committed""#) && refusal.text.contains(#""code":"overloaded""#))
        // The connection is kept, and what is no write is answered.
        client.send("abcde")
        #expect(try await client.request("GET /big HTTP/1.1\r\nHost: a\r\n\r\n").status == 200)
        #expect(try await client.request("GET /hello HTTP/1.1\r\nHost: a\r\n\r\n").status == 200)
        held.answer()
        for client in waiting { #expect(try await client.answer().status == 200) }
        client.send(Self.post(1, "a"))
        try await client.events.wait { held.exchanges.count == 1 }
        held.answer()
        #expect(try await client.answer().status == 200)
        #expect(fixture.server.gates[.write].underWay == 0 && fixture.server.gates[.write].underWayBytes == 0)
        fixture.server.stop()
    }

    @Test @NetLoop func `a write that waited too long in its socket is refused, on a connection that had its answers`() async throws {
        let (held, time) = (Held(), ManualTime())
        let fixture = try ServerFixture({ $0.writes = Self.bounds }, time: time, more: [held.route()])
        let (waiting, late) = (try await fixture.client(), try await fixture.client())
        #expect(try await late.request("GET /big HTTP/1.1\r\nHost: a\r\n\r\n").status == 200)
        waiting.send(Self.post(1, "a"))
        try await waiting.events.wait { held.exchanges.count == 1 }
        time.advance(milliseconds: 250)
        fixture.server.socketWait = { 101_000_000 }
        #expect(try await late.request(Self.post(1, "a")).status == 503)
        // Younger than the others' wait: its last answer came just now.
        late.send(Self.post(1, "a"))
        try await late.events.wait { held.exchanges.count == 2 }
        held.answer()
        #expect(try await late.answer().status == 200)
        fixture.server.stop()
    }

    @Test @NetLoop func `a write whose body came is refused too when it would wait too long`() async throws {
        let (held, time) = (Held(), ManualTime())
        let fixture = try ServerFixture({ $0.writes = Self.bounds }, time: time, more: [held.route()])
        let late = try await fixture.client()
        late.send(Self.post(2, "a"))
        try await late.events.wait { fixture.server.load.bodyBytes == 1 }
        try await Self.shutGate(of: fixture, held, time)
        late.send("b")
        let refusal = try await late.answer()
        #expect(refusal.status == 503 && refusal.text.contains(#""outcome":"not_committed""#))
        #expect(try await late.request("GET /hello HTTP/1.1\r\nHost: a\r\n\r\n").status == 200)
        held.answer()
        fixture.server.stop()
    }

    @Test @NetLoop func `refusals that wait keep their order, whether their bodies came with their heads or not`() async throws {
        let (held, time) = (Held(), ManualTime())
        let fixture = try ServerFixture({ $0.writes = Self.bounds }, time: time, more: [held.route()])
        try await Self.shutGate(of: fixture, held, time)
        let hasty = try await fixture.client()
        // More than are sent at once after a pause: the clock stands, and the rest has to wait.
        let asked = 600
        hasty.send(String(repeating: Self.post(3, "abc"), count: asked))
        try await hasty.events.wait { fixture.server.refusalPace.count == 1 }
        let slow = try await fixture.client()
        slow.send(Self.post(3, "a"))
        try await slow.events.wait { fixture.server.refusalPace.count == 2 }
        hasty.send("GET /hello HTTP/1.1\r\nHost: a\r\n\r\n")
        slow.send("bcGET /hello HTTP/1.1\r\nHost: a\r\n\r\n")
        time.advance(milliseconds: 50)
        for _ in 0..<asked { #expect(try await hasty.answer().status == 503) }
        #expect(try await slow.answer().status == 503)
        for client in [hasty, slow] { #expect(try await client.answer().status == 200) }
        #expect(held.exchanges.count == 2)
        held.answer()
        fixture.server.stop()
    }

    @Test @NetLoop func `the time that clients take for their bodies is not ours`() async throws {
        let (held, time) = (Held(), ManualTime())
        let fixture = try ServerFixture({ $0.writes = Self.bounds }, time: time, more: [held.route()])
        let slow = [try await fixture.client(), try await fixture.client(), try await fixture.client()]
        for client in slow { client.send(Self.post(2, "a")) }
        try await slow[0].events.wait { fixture.server.load.bodyBytes == 3 }
        time.advance(milliseconds: 5_000)
        #expect(fixture.server.gates[.write].underWay == 0)
        let client = try await fixture.client()
        client.send(Self.post(1, "a"))
        try await client.events.wait { held.exchanges.count == 1 }
        held.answer()
        #expect(try await client.answer().status == 200)
        fixture.server.stop()
    }

    @Test @NetLoop func `a write whose client went away leaves its place`() async throws {
        let held = Held()
        let fixture = try ServerFixture({ $0.writes = Self.bounds }, more: [held.route()])
        let client = try await fixture.client()
        client.send(Self.post(1, "a"))
        try await client.events.wait { held.exchanges.count == 1 }
        #expect(fixture.server.gates[.write].underWay == 1)
        client.stream.close()
        try await client.events.wait { fixture.server.gates[.write].underWay == 0 }
        fixture.server.stop()
    }
}
