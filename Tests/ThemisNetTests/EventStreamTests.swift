import Testing
import ThemisBase
import ThemisNet
import ThemisTestKit

/// One subscriber that sends `source` from its own position.
@NetLoop private final class Subscriber {
    var stream: EventStreamSocket?
    var source: [UInt8] = []
    var position = 0
    var closings = 0
    var stalls = 0

    func pump() {
        guard let stream, position < source.count else { return }
        position += stream.send(Array(source[position...]))
        if position < source.count { stalls += 1 }
    }
}

/// The stream of a subscriber.
@NetLoop private final class SubscriberStream: EventStreamSocket {
    private let subscriber: Subscriber

    init(_ start: EventStreamStart, _ subscriber: Subscriber) {
        self.subscriber = subscriber
        super.init(start)
    }

    override func becameWritable() { subscriber.pump() }
    override func closed() { subscriber.closings += 1 }
}

@Suite struct EventStreamTests {
    init() { LoopThread.start() }

    @NetLoop private static func fixture(_ subscriber: Subscriber) throws -> ServerFixture {
        try ServerFixture(more: [
            Route(.get, "/events", .streamOut, scope: nil, summary: "Streams events.") { exchange in
                subscriber.stream = SubscriberStream(try exchange.beginEventStream(), subscriber)
                subscriber.pump()
            }
        ])
    }

    @Test @NetLoop func `an event stream is whole, however slowly it is read`() async throws {
        let subscriber = Subscriber()
        let fixture = try Self.fixture(subscriber)
        for number in 0..<40_000 {
            subscriber.source += Array("id: \(number)\ndata: event \(number)\n\n".utf8)
        }
        let client = try await fixture.client()
        client.stream.pauseReading()
        client.send(request("GET", "/events"))
        try await client.events.wait { subscriber.stalls > 0 }
        // The kernel holds a bounded part only.
        #expect(subscriber.position < subscriber.source.count)
        client.stream.resumeReading()
        try await client.events.wait { subscriber.position == subscriber.source.count }
        subscriber.stream?.finish()
        let answer = try await client.answer()
        #expect(answer.head.fields["content-type"] == "text/event-stream; charset=utf-8")
        #expect(answer.head.fields["cache-control"] == "no-store, no-transform")
        #expect(answer.body == subscriber.source)
        try await client.events.wait { subscriber.closings == 1 && fixture.server.connectionCount == 0 }
        fixture.server.stop()
    }

    @Test @NetLoop func `a reader that goes is told once and frees its place`() async throws {
        let subscriber = Subscriber()
        let fixture = try Self.fixture(subscriber)
        let client = try await fixture.client()
        client.send(request("GET", "/events"))
        try await client.events.wait { subscriber.stream != nil && !client.events.bytes.isEmpty }
        #expect(fixture.server.connectionCount == 1)
        client.stream.close()
        try await client.events.wait { subscriber.closings == 1 }
        #expect(fixture.server.connectionCount == 0)
        #expect(subscriber.stream?.send([1]) == 0)
        subscriber.stream?.close()
        try await NetLoop.sleep(milliseconds: 5)
        #expect(subscriber.closings == 1)
        fixture.server.stop()
    }

    @Test @NetLoop func `an HTTP 1 0 reader gets the bytes without chunks`() async throws {
        let subscriber = Subscriber()
        subscriber.source = Array("data: 1\n\n".utf8)
        let fixture = try Self.fixture(subscriber)
        let client = try await fixture.client()
        client.send("GET /events HTTP/1.0\r\n\r\n")
        try await client.events.wait { subscriber.position == subscriber.source.count }
        subscriber.stream?.finish()
        #expect(try await client.answer().text == "data: 1\n\n")
        fixture.server.stop()
    }
}
