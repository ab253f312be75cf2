import Glibc
import Testing
import ThemisBase
import ThemisNet
import ThemisRPC
import ThemisTelemetry
import ThemisTestKit

@testable import ThemisFeed

/// A connection that takes as many bytes as the test allows.
@NetLoop final class SlowSink {
    var received: [UInt8] = []
    var allowance = Int.max
    var isFinished = false
    var isAborted = false

    func send(_ bytes: ArraySlice<UInt8>) -> Int {
        let taken = min(allowance, bytes.count)
        allowance -= allowance == .max ? 0 : taken
        received += bytes.prefix(taken)
        return taken
    }
    func finish() { isFinished = true }
    func abort() { isAborted = true }

    /// Sequences of the change events received whole, in order.
    var sequences: [SequenceNumber] {
        String(decoding: received, as: UTF8.self).components("\n\n").compactMap { block in
            guard let data = block.split(separator: "\n").first(where: { $0.hasPrefix(#"data: {"sequence":"#) }) else { return nil }
            return SequenceNumber(data.dropFirst(18).prefix { $0.isNumber })
        }
    }
    var text: String { String(decoding: received, as: UTF8.self) }
}

/// A subscriber with a slow sink in the place of a socket.
@NetLoop private final class SlowSubscriber: Subscriber {
    private let sink: SlowSink

    init(_ beginning: Beginning, _ sink: SlowSink) {
        self.sink = sink
        super.init(beginning, nil)
    }

    override func send(_ bytes: ArraySlice<UInt8>) -> Int { sink.send(bytes) }
    override func finish() { sink.finish() }
    override func close() { sink.abort() }
}

extension Feed {
    @NetLoop func subscribe(
        _ sink: SlowSink, _ subscription: Subscription, position: SequenceNumber?, epoch: String, maxSeconds: Int?
    ) -> Subscriber {
        subscribe(subscription, position: position, epoch: epoch, maxSeconds: maxSeconds) { SlowSubscriber($0, sink) }
    }
}

extension String {
    fileprivate func components(_ separator: String) -> [String] {
        var parts: [String] = []
        var rest = self[...]
        while let range = rest.firstRange(of: separator) {
            parts.append(String(rest[..<range.lowerBound]))
            rest = rest[range.upperBound...]
        }
        return parts
    }
}

@Suite(.serialized) struct SubscriberTests {
    init() { LoopThread.start() }

    @NetLoop private static func makeFeed(_ time: ManualTime, ringBytes: Int = 1 << 20) throws -> Feed {
        let telemetry = Telemetry.silent(time: time)
        let client = try RPCClient(
            .init(socketPath: "/nowhere/core.sock", role: .changefeed, instance: "test", seed: 1), telemetry: telemetry)
        var options = FeedOptions()
        options.ringBytes = ringBytes
        return Feed(client: client, options: options, seed: 1, telemetry: telemetry)
    }

    private static func page(_ sequences: ClosedRange<SequenceNumber>, bytes: Int = 20, epoch: String = "e0") -> ChangesPage {
        ChangesPage(
            changes: sequences.map { makeChange($0, pk: "k\($0 % 3)", bytes: bytes) }, nextAfter: sequences.upperBound,
            latest: sequences.upperBound, oldest: 1, epoch: epoch)
    }

    @Test func `a subscriber gets each record once and in order, however little its connection takes`() async throws {
        try await NetLoop.run {
            var random = SeededRandom(seed: Seed.current())
            let feed = try Self.makeFeed(ManualTime(), ringBytes: 4 << 20)
            feed.absorb(Self.page(1...10))
            let sink = SlowSink()
            let subscriber = feed.subscribe(sink, Subscription(), position: 0, epoch: "", maxSeconds: nil)
            feed.greet(subscriber)
            for round in 1...200 as ClosedRange<SequenceNumber> {
                sink.allowance = Int(random.next() % 4_000)
                subscriber.writable()
                feed.absorb(Self.page((round * 10 + 1)...(round * 10 + 10), bytes: Int(random.next() % 300)))
                feed.endOfTurn()
            }
            sink.allowance = .max
            subscriber.writable()
            feed.endOfTurn()
            #expect(sink.sequences == Array(1...2_010))
        }
    }

    @Test func `hello comes first and names the position`() async throws {
        try await NetLoop.run {
            let feed = try Self.makeFeed(ManualTime())
            feed.absorb(Self.page(1...5))
            let sink = SlowSink()
            let subscriber = feed.subscribe(sink, Subscription(), position: 3, epoch: "e0", maxSeconds: nil)
            feed.greet(subscriber)
            #expect(sink.text.hasPrefix("retry: "))
            #expect(sink.text.contains("id: e0-00000000000000000003\nevent: hello\ndata: {\"epoch\":\"e0\",\"resumes_after\":3,"))
            #expect(sink.sequences == [4, 5])
        }
    }

    @Test func `a filtered stream moves its bookmark although nothing matched`() async throws {
        try await NetLoop.run {
            let time = ManualTime()
            let feed = try Self.makeFeed(time)
            feed.absorb(Self.page(1...5))
            let sink = SlowSink()
            var subscription = Subscription()
            subscription.filter.table = "other"
            let subscriber = feed.subscribe(sink, subscription, position: 0, epoch: "", maxSeconds: nil)
            feed.greet(subscriber)
            #expect(sink.sequences == [])
            time.advance(milliseconds: 20_000)
            subscriber.tick(feed.now)
            #expect(sink.text.hasSuffix("id: e0-00000000000000000005\n\n"))
        }
    }

    @Test func `an idle stream gets heartbeats as comments`() async throws {
        try await NetLoop.run {
            let time = ManualTime()
            let feed = try Self.makeFeed(time)
            feed.absorb(Self.page(1...1))
            let sink = SlowSink()
            var subscription = Subscription()
            subscription.heartbeatMilliseconds = 1_000
            let subscriber = feed.subscribe(sink, subscription, position: nil, epoch: "", maxSeconds: nil)
            feed.greet(subscriber)
            let before = sink.received.count
            time.advance(milliseconds: 999)
            subscriber.tick(feed.now)
            #expect(sink.received.count == before)
            time.advance(milliseconds: 1)
            subscriber.tick(feed.now)
            #expect(sink.text.hasSuffix(": heartbeat\n\n"))
        }
    }

    @Test func `another epoch is told as a gap, never skipped silently`() async throws {
        try await NetLoop.run {
            let feed = try Self.makeFeed(ManualTime())
            feed.absorb(Self.page(1...5))
            let sink = SlowSink()
            let subscriber = feed.subscribe(sink, Subscription(), position: 0, epoch: "", maxSeconds: nil)
            feed.greet(subscriber)
            let jump: SequenceNumber = 1 << 40
            feed.absorb(Self.page((jump + 1)...(jump + 2), epoch: "f1"))
            feed.endOfTurn()
            #expect(sink.text.contains("event: gap\ndata: {\"reason\":\"epoch\",\"last_seen\":5,\"resumes_after\":\(jump),"))
            #expect(sink.sequences == [1, 2, 3, 4, 5, jump + 1, jump + 2])
            #expect(sink.text.contains("id: f1-"))
        }
    }

    @Test func `an end names its reason and where to resume`() async throws {
        try await NetLoop.run {
            let feed = try Self.makeFeed(ManualTime())
            feed.absorb(Self.page(1...5))
            let sink = SlowSink()
            let subscriber = feed.subscribe(sink, Subscription(), position: 0, epoch: "", maxSeconds: nil)
            feed.greet(subscriber)
            feed.drain(spreadMilliseconds: 10)
            #expect(sink.isFinished)
            #expect(sink.text.contains(#"event: end"# + "\n" + #"data: {"reason":"drain","resume":"e0-00000000000000000005"}"#))
            #expect(feed.subscriberCount == 0)
        }
    }

    @Test func `a reader that takes nothing is let go`() async throws {
        try await NetLoop.run {
            let time = ManualTime()
            let feed = try Self.makeFeed(time)
            feed.absorb(Self.page(1...5))
            let sink = SlowSink()
            sink.allowance = 10
            let subscriber = feed.subscribe(sink, Subscription(), position: 0, epoch: "", maxSeconds: nil)
            feed.greet(subscriber)
            time.advance(milliseconds: feed.options.stallMilliseconds + 1)
            subscriber.tick(feed.now)
            #expect(sink.isAborted)
            #expect(feed.subscriberCount == 0)
        }
    }

    /// Bytes that the allocator has reserved for `object`. Its sizes are 56, 72, 88 and so on.
    private static func allocatedBytes(of object: AnyObject) -> Int {
        typealias Size = @convention(c) (UnsafeMutableRawPointer?) -> Int
        guard let symbol = unsafe dlsym(dlopen(nil, RTLD_NOW), "malloc_usable_size") else { return 0 }
        return unsafe unsafeBitCast(symbol, to: Size.self)(Unmanaged.passUnretained(object).toOpaque())
    }

    @Test func `an idle subscriber, its socket included, is one object of 72 bytes`() async throws {
        try await NetLoop.run {
            let feed = try Self.makeFeed(ManualTime())
            feed.absorb(Self.page(1...5))
            let subscribers = (0..<32).map { _ in
                feed.subscribe(Subscription(), position: nil, epoch: "", maxSeconds: nil) { Subscriber($0, nil) }
            }
            // One alone may have got a larger place that was free.
            #expect(subscribers.map { Self.allocatedBytes(of: $0) }.min() == 72)
        }
    }
}
