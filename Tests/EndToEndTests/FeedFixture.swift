import Foundation
import ThemisBase
import ThemisTestKit

/// Steps that tests of the changefeed share.
enum FeedFixture {
    /// A write that was answered.
    struct Acknowledged: Sendable {
        let key: String
        let number: UInt64
    }

    /// Core, gateway and changefeed on an empty directory.
    static func started() throws -> ProcessSet {
        let set = try ProcessSet()
        try set.startCore(with: .gateway, .changefeed)
        return set
    }

    /// Writes `count` documents `{"n": i}` to `table:0…`, one after the other.
    static func write(_ set: ProcessSet, _ count: Int, to table: String = "t", from first: Int = 0) throws {
        let client = set.client()
        for index in first..<(first + count) {
            let answer = try client.put("/entities/\(table):\(index)", "{\"n\":\(index)}")
            guard answer.status == 201 || answer.status == 200 else {
                throw ClientFailure("PUT: \(answer.status) \(answer.text)")
            }
        }
    }

    /// Writes from `writers` threads at once, each to one key of its own; gives the acknowledged sequences.
    static func writeConcurrently(
        _ writers: Int, each count: Int, _ set: ProcessSet
    ) throws -> [UInt64: Acknowledged] {
        let acknowledged = Monitor<[UInt64: Acknowledged]>([:])
        let failures = Monitor<[String]>([])
        let threads = (0..<writers).map { writer in
            WorkThread(name: "w\(writer)") {
                let client = set.client()
                for number in 1...UInt64(count) {
                    do {
                        let answer = try client.put("/entities/t:\(writer)", "{\"number\":\(number)}")
                        guard let sequence = answer.number("sequence") else {
                            throw ClientFailure("\(answer.status) \(answer.text)")
                        }
                        acknowledged.withLock { $0[sequence] = Acknowledged(key: "t:\(writer)", number: number) }
                    } catch {
                        failures.withLock { $0.append("\(error)") }
                        return
                    }
                }
            }
        }
        for thread in threads { thread.join() }
        if let failure = failures.withLock({ $0.first }) { throw ClientFailure(failure) }
        return acknowledged.withLock { $0 }
    }

    /// All changes after `position`, in pages of `limit`.
    static func pages(_ port: UInt16, limit: Int, from position: UInt64 = 0, _ more: String = "") throws -> [ChangeEvent] {
        let client = HTTPClient(port: port)
        var found: [ChangeEvent] = []
        var next = position
        while true {
            let answer = try client.get("/changefeed?from_seq=\(next)&limit=\(limit)\(more)")
            guard answer.status == 200, let list = answer.json["events"] as? [[String: Any]],
                let position = answer.number("next_seq"),
                let latest = answer.number("latest_sequence")
            else { throw ClientFailure("changefeed: \(answer.status) \(answer.text)") }
            found += list.compactMap(ChangeEvent.init)
            guard position > next || position >= latest else { throw ClientFailure("next_seq stays at \(position) of \(latest)") }
            next = position
            if position >= latest { return found }
        }
    }

    /// The next `count` change events of a stream.
    static func events(_ stream: EventStreamClient, _ count: Int) throws -> [ChangeEvent] {
        var found: [ChangeEvent] = []
        while found.count < count {
            guard let frame = try stream.nextEvent(), let data = frame.data else {
                throw ClientFailure("the stream ended after \(found.count)")
            }
            if frame.event == "hello" { continue }
            guard frame.event == "message", let event = ChangeEvent(text: data) else { throw ClientFailure("\(frame)") }
            found.append(event)
        }
        return found
    }
}
