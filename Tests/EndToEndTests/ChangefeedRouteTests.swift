import Foundation
import Testing
import ThemisBase
import ThemisTestKit

/// Details of the changefeed's routes that a client relies on.
@Suite struct ChangefeedRouteTests {
    @Test(arguments: ChangefeedGuaranteeTests.addresses)
    func `a long poll is woken by the commit`(role: ServiceRole) throws {
        let set = try FeedFixture.started()
        let answered = Monitor<(seconds: Double, count: UInt64?)?>(nil)
        let time = SystemTime()
        let poller = WorkThread(name: "poller") {
            let began = time.monotonicMilliseconds()
            let answer = try? HTTPClient(port: set.port(role)).get("/changefeed?from_seq=0&long_poll_ms=20000")
            answered.withLock { $0 = (Double(time.monotonicMilliseconds() - began) / 1_000, answer?.number("count")) }
        }
        try FeedFixture.write(set, 1)
        poller.join()
        let answer = try #require(answered.withLock { $0 })
        #expect(answer.count == 1)
        #expect(answer.seconds < 10)
    }

    @Test(arguments: ChangefeedGuaranteeTests.addresses)
    func `a stream says hello at once and beats while nothing happens`(role: ServiceRole) throws {
        let set = try FeedFixture.started()
        let stream = try EventStreamClient(port: set.port(role), "/changefeed/stream?heartbeat_ms=100")
        #expect(stream.status == 200)
        let fields = Dictionary(stream.fields.map { ($0.name, $0.value) }, uniquingKeysWith: { first, _ in first })
        #expect(fields["content-type"]?.hasPrefix("text/event-stream") == true)
        #expect(fields["x-accel-buffering"] == "no")
        #expect(fields["cache-control"] == "no-store, no-transform")
        #expect(try stream.nextEvent()?.event == "hello")
        var beats = 0
        while beats < 3 { beats += try stream.next()?.comments.count ?? 3 }
    }

    @Test(arguments: ChangefeedGuaranteeTests.addresses)
    func `filters choose by table, key prefix and type`(role: ServiceRole) throws {
        let set = try FeedFixture.started()
        try FeedFixture.write(set, 3, to: "a")
        try FeedFixture.write(set, 3, to: "b")
        #expect(try set.client().send("DELETE", "/entities/a:1").status == 200)
        let port = set.port(role)
        #expect(try FeedFixture.pages(port, limit: 2, "&table=b").map(\.key) == ["b:0", "b:1", "b:2"])
        #expect(try FeedFixture.pages(port, limit: 2, "&key_prefix=a:1").map(\.type) == ["PUT", "DELETE"])
        #expect(try FeedFixture.pages(port, limit: 2, "&types=DELETE").map(\.sequence) == [7])
        #expect(try FeedFixture.pages(port, limit: 2, from: 5).map(\.sequence) == [6, 7])
    }

    @Test(arguments: ChangefeedGuaranteeTests.addresses)
    func `an unknown or impossible parameter is refused and named`(role: ServiceRole) throws {
        let set = try FeedFixture.started()
        let client = HTTPClient(port: set.port(role))
        for (target, word) in [
            ("/changefeed?form_seq=1", "form_seq"), ("/changefeed?limit=0", "limit"), ("/changefeed?limit=10001", "limit"),
            ("/changefeed?long_poll_ms=60001", "long_poll_ms"), ("/changefeed?types=POST", "types"),
            ("/changefeed/stream?heartbeat_ms=99", "heartbeat_ms"),
        ] {
            let answer = try client.get(target)
            #expect(answer.status == 400, "\(target)")
            #expect(answer.text.contains(word), "\(target): \(answer.text)")
        }
    }

    @Test(arguments: ChangefeedGuaranteeTests.addresses)
    func `the statistics count sequences and subscribers`(role: ServiceRole) throws {
        let set = try FeedFixture.started()
        try FeedFixture.write(set, 4)
        let stream = try EventStreamClient(port: set.port(role), "/changefeed/stream?from_seq=0")
        _ = try FeedFixture.events(stream, 4)
        let answer = try HTTPClient(port: set.port(role)).get("/changefeed/stats")
        #expect(answer.status == 200)
        #expect(answer.number("latest_sequence") == 4)
        #expect(answer.number("subscribers") == 1, "\(answer.text)")
    }
}
