import Testing
import ThemisBase
import ThemisRPC
import ThemisTestKit

@testable import ThemisFeed

func makeChange(_ sequence: SequenceNumber, table: String = "t", pk: String = "k", bytes: Int = 10) -> ChangeMessage {
    ChangeMessage(
        sequence: sequence, kind: .put, table: table, pk: pk, version: sequence, timestampMilliseconds: 1_700_000_000_000,
        value: Array(#"{"n":""#.utf8) + Array(repeating: 0x61, count: bytes) + Array(#""}"#.utf8))
}

func makeFrame(_ sequence: SequenceNumber, bytes: Int = 10) -> [UInt8] {
    FeedFrame.change(makeChange(sequence, bytes: bytes), format: .standard, epoch: "e0")
}

@Suite struct FeedRingTests {
    @Test func `frames behind any covered position are exactly the later records`() {
        var random = SeededRandom(seed: Seed.current())
        var ring = FeedRing(capacityBytes: 400_000, position: 41)
        var last: SequenceNumber = 41
        for _ in 0..<3_000 {
            last += 1
            let size = Int(random.next() % 400)
            let isTaken = ring.append(makeChange(last, bytes: size), frame: makeFrame(last, bytes: size))
            #expect(isTaken)
        }
        #expect(ring.first > 42)
        for _ in 0..<50 {
            var position = ring.first - 1 + random.next() % (last - ring.first + 1)
            #expect(ring.covers(position))
            var sent: [UInt8] = []
            var wanted: [UInt8] = []
            let start = position
            while let (bytes, reached) = ring.frames(after: position) {
                sent += bytes
                position = reached
            }
            #expect(position == last)
            for sequence in (start + 1)...max(start + 1, last) where sequence <= last { wanted += ring.frame(sequence) }
            #expect(sent == wanted)
        }
    }

    @Test func `a record that is not the next one is refused`() {
        var ring = FeedRing(capacityBytes: 1_000, position: 5)
        let answers = [5, 7, 6].map { ring.append(makeChange($0), frame: makeFrame($0)) }
        #expect(answers == [false, false, true])
        #expect(ring.latest == 6)
    }

    @Test func `the ring keeps to its bytes and knows what it no longer covers`() {
        var ring = FeedRing(capacityBytes: 300_000, position: 0)
        for sequence in 1...2_000 as ClosedRange<SequenceNumber> {
            _ = ring.append(makeChange(sequence, bytes: 500), frame: makeFrame(sequence, bytes: 500))
        }
        #expect(ring.count < 400)
        #expect(!ring.covers(0))
        #expect(!ring.covers(ring.first - 2))
        #expect(ring.covers(ring.first - 1))
        #expect(ring.covers(ring.latest))
    }
}

@Suite struct EventIdentifierTests {
    @Test func `an id reads back as it was written`() {
        let id = EventIdentifier(epoch: "00ff12", sequence: 42)
        #expect(id.text == "00ff12-00000000000000000042")
        #expect(EventIdentifier(id.text) == id)
        let system = EventIdentifier(epoch: "00ff12", sequence: 42, ordinal: 7)
        #expect(system.text == "00ff12-00000000000000000042.7")
        #expect(EventIdentifier(system.text) == system)
        let longest = EventIdentifier(epoch: String(repeating: "a", count: 37), sequence: .max, ordinal: 99_999)
        #expect(EventIdentifier(longest.text) == longest)
        // One digit more, and its own text could not be read.
        #expect(EventIdentifier(String(repeating: "a", count: 38) + "-1") == nil)
    }

    @Test(arguments: [
        "", "-", "abc", "abc-", "-5", "xyz-5", "abc-5x", "abc-18446744073709551616", "abc-000000000000000000001", "abc-1.", "abc-1.x",
        "abc-1.2.3", "abc-.1",
    ])
    func `a foreign id is none of ours`(text: String) { #expect(EventIdentifier(text) == nil) }
}

@Suite struct EventFormatTests {
    @Test func `the default event has the fields of the contract`() throws {
        var out: [UInt8] = []
        EventFormat.standard.append(makeChange(7, table: "users", pk: "a:b/c", bytes: 1), epoch: "e0", to: &out)
        let text = String(decoding: out, as: UTF8.self)
        #expect(
            text == #"{"sequence":7,"type":"PUT","key":"users:a:b/c","value":"{\"n\":\"a\"}","timestamp_ms":1700000000000,"#
                + #""metadata":{"table":"users","pk":"a:b/c","version":7,"txn":{"index":0,"count":1}}}"#)
        try JSONDocument.validate(out)
    }

    @Test func `a document with line ends stays one data line`() throws {
        var change = makeChange(1)
        change.value = Array("{\n \"a\" :\r\n 1}".utf8)
        var format = EventFormat()
        format.embedsDocument = true
        let frame = FeedFrame.change(change, format: format, epoch: "e0")
        let lines = frame.split(separator: 0x0A, omittingEmptySubsequences: false)
        #expect(lines.count == 4)
        #expect(!frame.contains(0x0D))
        var out: [UInt8] = []
        format.append(change, epoch: "e0", to: &out)
        try JSONDocument.validate(out)
    }

    @Test func `a cloud event carries the attributes of version 1`() throws {
        var format = EventFormat()
        format.isCloudEvent = true
        format.embedsDocument = true
        var out: [UInt8] = []
        format.append(makeChange(3, pk: "é"), epoch: "ab", to: &out)
        let event = try JSONValue(parsing: out)
        #expect(event["specversion"]?.stringValue == "1.0")
        #expect(event["id"]?.stringValue == "ab-00000000000000000003")
        #expect(event["type"]?.stringValue == "themis.entity.put")
        #expect(event["subject"]?.stringValue == "t:é")
        #expect(event["data"]?["value"]?["n"]?.stringValue?.count == 10)
    }
}

@Suite struct ChangefeedQueryTests {
    private func query(_ parameters: [String: String], lastEventID: String? = nil) throws -> ChangefeedQuery {
        try ChangefeedQuery({ parameters[$0] }, lastEventID: lastEventID)
    }

    @Test func `without parameters everything is read from the beginning`() throws {
        let query = try query([:])
        #expect(query.position == 0 && query.limit == 100 && query.longPollMilliseconds == 0)
        #expect(query.subscription.isPlain)
    }

    @Test func `the header of a reconnecting browser wins over its old address`() throws {
        let query = try query(["from_seq": "5", "last_event_id": "ab-7"], lastEventID: "ab-00000000000000000009")
        #expect(query.position == 9)
        #expect(query.epoch == "ab")
    }

    @Test func `now means the newest record`() throws { #expect(try query(["from_seq": "now"]).position == nil) }

    @Test func `every wrong parameter is named`() throws {
        let error = #expect(throws: ThemisError.self) {
            try query(["limit": "0", "from_seq": "-1", "types": "PUTT", "table": "1x", "heartbeat_ms": "99", "document": "yes"])
        }
        #expect(Set(error?.fields.map(\.field) ?? []) == ["limit", "from_seq", "types", "table", "heartbeat_ms", "document"])
    }

    @Test(arguments: [
        ("", "", true), ("users", "", true), ("user", "", false), ("", "users:a", true), ("", "users:b", false), ("", "us", true),
        ("", "users", true), ("", "usersx", false),
    ])
    func `filters match by table and by the beginning of the key`(table: String, prefix: String, isWanted: Bool) {
        var subscription = Subscription()
        subscription.filter.table = table
        subscription.filter.keyPrefix = prefix
        #expect(subscription.wants(makeChange(1, table: "users", pk: "a1")) == isWanted)
    }
}
