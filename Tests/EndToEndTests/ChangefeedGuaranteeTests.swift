import Foundation
import Testing
import ThemisBase
import ThemisTestKit

/// What the changefeed promises, one test per promise, against the built programs and at both addresses that serve it.
@Suite struct ChangefeedGuaranteeTests {
    static let addresses: [ServiceRole] = [.changefeed, .gateway]

    @Test(arguments: addresses)
    func `ordered: concurrent writes come in the order of their sequences and keep each key's order`(role: ServiceRole) throws {
        let set = try FeedFixture.started()
        let acknowledged = try FeedFixture.writeConcurrently(8, each: 40, set)
        let events = try FeedFixture.pages(set.port(role), limit: 100)
        #expect(events.count == acknowledged.count)
        #expect(zip(events, events.dropFirst()).allSatisfy { $0.sequence < $1.sequence })
        for event in events {
            #expect(acknowledged[event.sequence]?.key == event.key)
            #expect(acknowledged[event.sequence]?.number == event.number)
            #expect(event.version == event.sequence)
        }
        for (key, changes) in Dictionary(grouping: events, by: \.key) {
            #expect(changes.compactMap(\.number) == Array(1...40), "\(key)")
        }
    }

    @Test(arguments: addresses)
    func `unique: pages of every size and the stream give each sequence once`(role: ServiceRole) throws {
        let set = try FeedFixture.started()
        try FeedFixture.write(set, 60)
        let whole = try FeedFixture.pages(set.port(role), limit: 10_000)
        #expect(Set(whole.map(\.sequence)).count == 60)
        for limit in [1, 7, 59, 60, 61] {
            #expect(try FeedFixture.pages(set.port(role), limit: limit) == whole, "limit \(limit)")
        }
        let stream = try EventStreamClient(port: set.port(role), "/changefeed/stream?from_seq=0")
        #expect(try FeedFixture.events(stream, 60) == whole)
    }

    @Test(arguments: addresses)
    func `gapless: every sequence from the first to the latest is there`(role: ServiceRole) throws {
        let set = try FeedFixture.started()
        let client = set.client()
        try FeedFixture.write(set, 30)
        // What writes nothing takes no number.
        #expect(try client.send("DELETE", "/entities/t:none").status == 200)
        #expect(try client.put("/entities/t:1", "{}", ["If-Match": "\"999\""]).status == 412)
        #expect(try client.put("/entities/t:1", "{").status == 400)
        #expect(try client.send("DELETE", "/entities/t:1").status == 200)
        let events = try FeedFixture.pages(set.port(role), limit: 7)
        #expect(events.map(\.sequence) == Array(1...31))
        #expect(events.last?.type == "DELETE")
    }

    @Test(arguments: addresses)
    func `atomic per transaction: a page goes on to the end of the transaction it has begun`(role: ServiceRole) throws {
        let set = try FeedFixture.started()
        try FeedFixture.write(set, 3)
        let lines =
            (0..<20).map { "{\"op\":\"put\",\"key\":\"a:\($0)\",\"document\":{\"n\":\($0)}}" }.joined(separator: "\n") + "\n"
        #expect(try set.client().post("/entities?atomic=true", lines, type: "application/x-ndjson").status == 200)
        let page = try HTTPClient(port: set.port(role)).get("/changefeed?from_seq=0&limit=5")
        #expect(page.number("count") == 23)
        let list = page.json["events"] as? [[String: Any]] ?? []
        let transactions = list.dropFirst(3).compactMap { ($0["metadata"] as? [String: Any])?["txn"] as? [String: Any] }
        #expect(transactions.compactMap { ($0["index"] as? NSNumber)?.intValue } == Array(0..<20))
        #expect(transactions.allSatisfy { ($0["count"] as? NSNumber)?.intValue == 20 })
    }

    @Test(arguments: addresses)
    func `resumable: a stream goes on behind the last event id exactly`(role: ServiceRole) throws {
        let set = try FeedFixture.started()
        try FeedFixture.write(set, 40)
        let port = set.port(role)
        let first = try EventStreamClient(port: port, "/changefeed/stream?from_seq=0")
        #expect(try FeedFixture.events(first, 15).map(\.sequence) == Array(1...15))
        let id = try #require(first.lastEventID)
        first.shut()
        let byHeader = try EventStreamClient(port: port, "/changefeed/stream?from_seq=3", ["Last-Event-ID": id])
        #expect(try FeedFixture.events(byHeader, 25).map(\.sequence) == Array(16...40))
        let byParameter = try EventStreamClient(port: port, "/changefeed/stream?last_event_id=\(id)")
        #expect(try FeedFixture.events(byParameter, 25).map(\.sequence) == Array(16...40))
    }

    @Test(arguments: addresses)
    func `resumable: a stream stays open while the core is killed and goes on without gap or double`(role: ServiceRole) throws {
        let set = try FeedFixture.started()
        try FeedFixture.write(set, 5)
        let stream = try EventStreamClient(port: set.port(role), "/changefeed/stream?from_seq=0&heartbeat_ms=200")
        #expect(try FeedFixture.events(stream, 5).map(\.sequence) == Array(1...5))
        set.kill(.server)
        try set.start(.server)
        try set.waitUntilHealthy()
        try FeedFixture.write(set, 5, from: 5)
        #expect(try FeedFixture.events(stream, 5).map(\.sequence) == Array(6...10))
    }

    @Test(arguments: addresses)
    func `bookmarkable: a filter that matches nothing still moves the position on`(role: ServiceRole) throws {
        let set = try FeedFixture.started()
        try FeedFixture.write(set, 12, to: "other")
        let page = try HTTPClient(port: set.port(role)).get("/changefeed?from_seq=0&table=wanted")
        #expect(page.number("count") == 0)
        #expect(page.number("next_seq") == 12)

        let stream = try EventStreamClient(port: set.port(role), "/changefeed/stream?from_seq=0&table=wanted&heartbeat_ms=100")
        try FeedFixture.write(set, 3, to: "other", from: 12)
        try Patience.wait(10, "a bookmark at 15") {
            guard let frame = try stream.next() else { throw ClientFailure("the stream ended") }
            #expect(frame.data == nil || frame.event == "hello")
            return stream.lastEventID?.hasSuffix("-00000000000000000015") == true
        }
        let id = try #require(stream.lastEventID)
        try FeedFixture.write(set, 1, to: "wanted")
        let resumed = try EventStreamClient(port: set.port(role), "/changefeed/stream?table=wanted", ["Last-Event-ID": id])
        #expect(try FeedFixture.events(resumed, 1).map(\.sequence) == [16])
    }

    @Test(arguments: addresses)
    func `never a silent loss: a position that the server cannot continue from is named`(role: ServiceRole) throws {
        let set = try FeedFixture.started()
        try FeedFixture.write(set, 2)
        let client = HTTPClient(port: set.port(role))
        let ahead = try client.get("/changefeed?from_seq=3")
        #expect(ahead.status == 400)
        #expect(ahead.json["code"] as? String == "sequence_ahead")
        let epoch = try #require(try client.get("/changefeed?from_seq=1").json["epoch"] as? String)
        let other = String(epoch.map { $0 == "1" ? "2" : "1" })
        let foreign = try client.get("/changefeed?from_seq=1&epoch=\(other)")
        #expect(foreign.status == 410)
        #expect(foreign.json["code"] as? String == "epoch_changed")

        let stream = try EventStreamClient(
            port: set.port(role), "/changefeed/stream", ["Last-Event-ID": "\(other)-00000000000000000001"])
        var frame = try stream.nextEvent()
        if frame?.event == "hello" { frame = try stream.nextEvent() }
        #expect(frame?.event == "gap")
        #expect(frame?.data?.contains("epoch") == true)
    }
}
