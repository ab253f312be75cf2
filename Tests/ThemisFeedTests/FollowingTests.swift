import Testing
import ThemisBase
import ThemisNet
import ThemisTelemetry
import ThemisTestKit

@testable import ThemisFeed

@Suite(.serialized) struct FollowingTests {
    init() { LoopThread.start() }

    // On the loop, so that nothing comes between an answer and the look at it.
    @Test @NetLoop func `the core is followed only while somebody waits for records`() async throws {
        let log = FakeLog()
        try log.start()
        let feed = try log.makeFeed(ManualTime()) { $0.restMilliseconds = 1 }
        feed.start()
        // Whatever was asked before the feed began to follow has come first.
        _ = try await feed.info()
        await NetLoop.run { #expect(log.followers == 0) }

        await feed.awaitNewest()
        // It may have left already.
        await log.wait { log.follows == 1 && log.followers == 0 }

        let reader = Reader()
        // In one turn: a feed whose newest position is known rests soon without readers.
        await NetLoop.spawn {
            await feed.awaitNewest()
            #expect(feed.isFollowing && feed.epoch == "e0")
            reader.subscriber = feed.subscribe(reader.sink, Subscription(), position: nil, epoch: "", maxSeconds: nil)
        }.value
        // Longer than the rest of a feed without readers.
        for _ in 0..<100 { _ = try await feed.info() }
        await NetLoop.run {
            #expect(log.followers == 1)
            reader.subscriber?.abort()
        }
        await log.wait { log.followers == 0 }
        await NetLoop.run {
            #expect(feed.epoch.isEmpty && !feed.isFollowing)
            log.stop()
        }
    }
}

@NetLoop private final class Reader {
    let sink = SlowSink()
    var subscriber: Subscriber?
}
