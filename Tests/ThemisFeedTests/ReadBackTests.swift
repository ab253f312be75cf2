import Foundation
import Testing
import ThemisBase
import ThemisNet
import ThemisRPC
import ThemisTelemetry
import ThemisTestKit

@testable import ThemisFeed

@Suite(.serialized) struct ReadBackTests {
    init() { LoopThread.start() }

    /// Lets a slow sink take what the test allows until everything up to `last` has gone to it.
    @NetLoop private static func drain(
        _ sink: SlowSink, _ subscriber: Subscriber, of feed: Feed, to last: SequenceNumber, _ random: inout SeededRandom
    ) async throws {
        var turns = 0
        while subscriber.position != last || subscriber.state != .live {
            sink.allowance = Int(random.next() % 200_000)
            subscriber.writable()
            // A way to the core and back: what was asked before has been answered.
            _ = try await feed.info()
            turns += 1
            try #require(turns < 10_000, "the stream stands still")
        }
    }

    @Test(arguments: [0, 16]) func `a slow reader far behind gets each record once, whether or not it may hold a page`(
        held: Int
    ) async throws {
        var random = SeededRandom(seed: Seed.current())
        let log = FakeLog()
        try await log.start()
        let feed = try await log.makeFeed(ManualTime()) {
            $0.ringBytes = 200_000
            $0.heldPages = held
        }
        await NetLoop.run { for first in stride(from: UInt64(1), to: 3_000, by: 100) { feed.absorb(log.page(first...(first + 99))) } }
        let sink = SlowSink()
        let subscriber = await NetLoop.run {
            log.bytes = { Int($0 % 7) * 300 }
            sink.allowance = 0
            let subscriber = feed.subscribe(sink, Subscription(), position: 0, epoch: "", maxSeconds: nil)
            feed.greet(subscriber)
            return subscriber
        }
        try await Self.drain(sink, subscriber, of: feed, to: 3_000, &random)
        await NetLoop.run {
            #expect(sink.sequences == Array(1...3_000))
            #expect(feed.heldPages == 0)
            subscriber.abort()
            log.stop()
        }
    }

    @Test func `nothing follows the end of a stream, although a page was on its way`() async throws {
        let log = FakeLog()
        try await log.start()
        let feed = try await log.makeFeed(ManualTime()) { $0.ringBytes = 1_000 }
        let sink = SlowSink()
        let subscriber = await NetLoop.run {
            log.holds = true
            feed.absorb(log.page(1...500))
            let subscriber = feed.subscribe(sink, Subscription(), position: 0, epoch: "", maxSeconds: nil)
            feed.greet(subscriber)
            return subscriber
        }
        await log.wait { log.reads == 1 }
        await NetLoop.run {
            sink.allowance = 5
            subscriber.end(reason: "rotation", retryMilliseconds: 1_000)
            #expect(!sink.isFinished)
            log.release()
        }
        _ = try await feed.info()
        await NetLoop.run {
            sink.allowance = .max
            subscriber.writable()
            #expect(sink.isFinished)
            #expect(sink.sequences == [])
            #expect(sink.text.hasSuffix(#"data: {"reason":"rotation","resume":"e0-00000000000000000000"}"# + "\n\n"))
            log.stop()
        }
    }

    @Test func `a page of the old history that comes late is not shown as the new one`() async throws {
        let log = FakeLog()
        try await log.start()
        let feed = try await log.makeFeed(ManualTime()) { $0.ringBytes = 1_000 }
        let sink = SlowSink()
        let jump: SequenceNumber = 1 << 40
        let subscriber = await NetLoop.run {
            log.holds = true
            feed.absorb(log.page(1...500))
            let subscriber = feed.subscribe(sink, Subscription(), position: 0, epoch: "", maxSeconds: nil)
            feed.greet(subscriber)
            return subscriber
        }
        await log.wait { log.reads == 1 }
        await NetLoop.run {
            log.epoch = "f1"
            feed.absorb(log.page((jump + 1)...(jump + 2)))
            log.release()
        }
        var random = SeededRandom(seed: Seed.current())
        try await Self.drain(sink, subscriber, of: feed, to: jump + 2, &random)
        await NetLoop.run {
            #expect(sink.sequences == [jump + 1, jump + 2])
            #expect(sink.text.components(separatedBy: "event: gap").count == 2)
            subscriber.abort()
            log.stop()
        }
    }

    @Test func `history that is gone is told once, and the rest follows`() async throws {
        let log = FakeLog()
        try await log.start()
        let feed = try await log.makeFeed(ManualTime()) { $0.ringBytes = 1_000 }
        let sink = SlowSink()
        let subscriber = await NetLoop.run {
            feed.absorb(log.page(1...500))
            log.oldest = 101
            let subscriber = feed.subscribe(sink, Subscription(), position: 10, epoch: "", maxSeconds: nil)
            feed.greet(subscriber)
            return subscriber
        }
        var random = SeededRandom(seed: Seed.current())
        try await Self.drain(sink, subscriber, of: feed, to: 500, &random)
        await NetLoop.run {
            #expect(sink.sequences == Array(101...500))
            #expect(sink.text.contains(#"data: {"reason":"retention","last_seen":10,"resumes_after":100,"#))
            subscriber.abort()
            log.stop()
        }
    }

    @Test func `an error that asking again does not cure ends the stream with its name`() async throws {
        let log = FakeLog()
        try await log.start()
        let feed = try await log.makeFeed(ManualTime()) { $0.ringBytes = 1_000 }
        let sink = SlowSink()
        await NetLoop.run {
            log.failure = ThemisError(.dataCorrupt, "damaged")
            feed.absorb(log.page(1...500))
            feed.greet(feed.subscribe(sink, Subscription(), position: 0, epoch: "", maxSeconds: nil))
        }
        await log.wait { log.reads == 1 }
        for _ in 0..<1_000 where await !sink.isFinished { _ = try await feed.info() }
        await NetLoop.run {
            #expect(sink.isFinished)
            #expect(sink.text.contains(#"{"reason":"data_corrupt","resume":"e0-00000000000000000000"}"#))
            log.stop()
        }
    }

    // System records share the sequence of the data record before them, and so did their ids: a reader that left behind the first of
    // several was shown it again when it came back. Their ids now say which one it was.
    @Test func `a reader that leaves behind any record of any kind gets the rest, each once`() async throws {
        let log = FakeLog()
        try await log.start()
        let feed = try await log.makeFeed(ManualTime())
        await NetLoop.run {
            log.system = [0: 1, 2: 3, 4: 2]
            feed.absorb(log.page(1...6))
        }
        let whole = try await Self.identifiers(feed, of: log, behind: nil)
        #expect(
            whole.map { $0.drop { $0 != "-" }.drop { $0 == "-" || $0 == "0" } } == [
                ".1", "1", "2", "2.1", "2.2", "2.3", "3", "4", "4.1", "4.2", "5", "6",
            ])
        for (index, identifier) in whole.enumerated() {
            let rest = try await Self.identifiers(feed, of: log, behind: identifier)
            #expect(rest == Array(whole[(index + 1)...]), "behind \(identifier)")
        }
        await NetLoop.run { log.stop() }
    }

    /// The ids of the records that a stream brings until the newest, and proves that its greeting repeats where it began.
    private static func identifiers(_ feed: Feed, of log: FakeLog, behind last: String?) async throws -> [String] {
        let sink = SlowSink()
        let query = try ChangefeedQuery({ $0 == "types" ? "PUT,SYSTEM" : nil }, lastEventID: last)
        let subscriber = await NetLoop.run {
            let subscriber = feed.subscribe(sink, query.subscription, position: query.position, epoch: query.epoch, maxSeconds: nil)
            feed.greet(subscriber)
            return subscriber
        }
        for _ in 0..<100 where await subscriber.position < 6 { _ = try await feed.info() }
        let text = await NetLoop.run {
            subscriber.abort()
            return sink.text
        }
        let frames = text.components(separatedBy: "\n\n")
        let hello = frames.first { $0.contains("event: hello") }?.split(separator: "\n").first { $0.hasPrefix("id: ") }
        if let last { #expect(hello == "id: \(last)") }
        return frames.filter { $0.contains(#"data: {"sequence":"#) }.compactMap { frame in
            frame.split(separator: "\n").first { $0.hasPrefix("id: ") }.map { String($0.dropFirst(4)) }
        }
    }

    @Test func `subscribers of system records ask the core only when there is something new`() async throws {
        let log = FakeLog()
        try await log.start()
        let feed = try await log.makeFeed(ManualTime())
        let subscribers = await NetLoop.run {
            feed.absorb(log.page(1...5))
            var subscription = Subscription()
            subscription.filter.kinds = .system
            return (0..<20).map { _ in
                let subscriber = feed.subscribe(SlowSink(), subscription, position: nil, epoch: "", maxSeconds: nil)
                feed.greet(subscriber)
                return subscriber
            }
        }
        _ = try await feed.info()
        await NetLoop.run {
            #expect(log.reads == 0)
            feed.absorb(log.page(6...6))
        }
        await log.wait { log.reads == 20 }
        _ = try await feed.info()
        await NetLoop.run {
            #expect(log.reads == 20)
            #expect(subscribers.allSatisfy { $0.position == 6 })
            for subscriber in subscribers { subscriber.abort() }
            log.stop()
        }
    }

    @Test func `a request that waits is woken by the record it wants and holds no call meanwhile`() async throws {
        let log = FakeLog()
        try await log.start()
        let feed = try await log.makeFeed(SystemTime())
        await NetLoop.run { feed.absorb(log.page(1...5)) }
        var subscription = Subscription()
        subscription.filter.table = "t"
        let wanted = subscription
        let answer = Task { () -> ChangesPage in
            var request = ChangesReadRequest(after: 5, limit: 10, waitMilliseconds: 60_000)
            request.filter = wanted.filter
            return try await feed.read(request, wanted) { RequestMetadata(deadlineMilliseconds: 5_000, scopes: .cdcRead) }
        }
        await log.wait { log.reads == 1 }
        _ = try await feed.info()
        await NetLoop.run {
            #expect(log.reads == 1)
            #expect(feed.polls.count == 1)
            var other = log.page(6...6)
            other.changes[0].table = "elsewhere"
            feed.absorb(other)
        }
        _ = try await feed.info()
        await NetLoop.run {
            #expect(log.reads == 1)
            feed.absorb(log.page(7...7))
        }
        let page = try await answer.value
        #expect(page.changes.map(\.sequence) == [7])
        await NetLoop.run { log.stop() }
    }

    @Test func `a wait ends with the position it has looked up to, and at once when the process stops`() async throws {
        let log = FakeLog()
        try await log.start()
        let feed = try await log.makeFeed(SystemTime())
        await NetLoop.run { feed.absorb(log.page(1...5)) }
        for isDraining in [false, true] {
            let answer = Task {
                try await feed.read(
                    ChangesReadRequest(after: 5, limit: 10, waitMilliseconds: isDraining ? 60_000 : 30), Subscription()
                ) { RequestMetadata(deadlineMilliseconds: 5_000, scopes: .cdcRead) }
            }
            if isDraining {
                await log.wait { log.reads == 2 }
                _ = try await feed.info()
                await NetLoop.run { feed.drain(spreadMilliseconds: 1) }
            }
            let page = try await answer.value
            #expect(page.changes.isEmpty)
            #expect(page.nextAfter == 5)
        }
        await NetLoop.run { log.stop() }
    }

    @Test func `a position that the core has never reached is told when the core is back`() async throws {
        let log = FakeLog()
        try await log.start()
        let feed = try await log.makeFeed(ManualTime())
        let sink = SlowSink()
        let subscriber = await NetLoop.run {
            let subscriber = feed.subscribe(sink, Subscription(), position: 1_000, epoch: "", maxSeconds: nil)
            feed.greet(subscriber)
            feed.absorb(log.page(1...5))
            return subscriber
        }
        for _ in 0..<1_000 where await subscriber.position != 5 { _ = try await feed.info() }
        await NetLoop.run {
            #expect(sink.text.contains(#"event: gap"# + "\n" + #"data: {"reason":"ahead","last_seen":1000,"resumes_after":5,"#))
            feed.absorb(log.page(6...6))
            feed.endOfTurn()
            #expect(sink.sequences == [6])
            subscriber.abort()
            log.stop()
        }
    }

    @Test func `a process that stops waits for the ends of streams that are being read`() async throws {
        let log = FakeLog()
        let feed = try await log.makeFeed(SystemTime())
        let sink = SlowSink()
        let subscriber = await NetLoop.run {
            feed.absorb(log.page(1...500))
            sink.allowance = 100
            let subscriber = feed.subscribe(sink, Subscription(), position: 0, epoch: "", maxSeconds: nil)
            feed.greet(subscriber)
            feed.drain(spreadMilliseconds: 1)
            #expect(!sink.isFinished)
            return subscriber
        }
        async let ends: Void = feed.awaitEnds(milliseconds: 60_000)
        while await feed.polls.isEmpty { await Task.yield() }
        await NetLoop.run {
            sink.allowance = .max
            subscriber.writable()
        }
        await ends
        await NetLoop.run {
            #expect(sink.isFinished)
            #expect(sink.text.contains(#""reason":"drain","resume":"e0-"#))
            #expect(feed.subscriberCount == 0)
        }
    }

    @Test func `streams end when the changefeed is switched off`() async throws {
        let log = FakeLog()
        let feed = try await log.makeFeed(ManualTime())
        await NetLoop.run {
            let sink = SlowSink()
            feed.absorb(log.page(1...5))
            feed.greet(feed.subscribe(sink, Subscription(), position: 5, epoch: "", maxSeconds: nil))
            feed.endStreams(reason: "feature_off", spreadMilliseconds: 1)
            #expect(sink.isFinished)
            #expect(sink.text.contains(#""reason":"feature_off""#))
        }
    }
}
