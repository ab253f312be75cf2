import Foundation
import ThemisTestKit

/// A change as the changefeed tells it.
struct ChangeEvent: Equatable {
    let sequence: UInt64
    let type: String
    let key: String
    let value: String?
    let version: UInt64
    let transactionIndex: Int

    init?(_ json: [String: Any]) {
        guard let sequence = (json["sequence"] as? NSNumber)?.uint64Value, let type = json["type"] as? String,
            let key = json["key"] as? String, let metadata = json["metadata"] as? [String: Any],
            let version = (metadata["version"] as? NSNumber)?.uint64Value,
            let transaction = metadata["txn"] as? [String: Any], let index = (transaction["index"] as? NSNumber)?.intValue
        else { return nil }
        self.sequence = sequence
        self.type = type
        self.key = key
        value = json["value"] as? String
        self.version = version
        transactionIndex = index
    }

    init?(text: String) {
        guard let json = try? JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any] else { return nil }
        self.init(json)
    }

    /// The number of the write that the document came from.
    var number: UInt64? {
        guard let value, let json = try? JSONSerialization.jsonObject(with: Data(value.utf8)) as? [String: Any] else {
            return nil
        }
        return (json["number"] as? NSNumber)?.uint64Value
    }
}

/// All changes from the first on, read page by page; each page must go on exactly where the last one ended.
struct ChangeHistory {
    /// `events[n]` has the sequence n + 1.
    private(set) var events: [ChangeEvent] = []

    subscript(sequence: UInt64) -> ChangeEvent? {
        sequence >= 1 && sequence <= UInt64(events.count) ? events[Int(sequence) - 1] : nil
    }

    /// Reads what has come since.
    ///
    /// - Throws: on a gap, a double, or an answer that contradicts itself.
    mutating func extend(_ client: HTTPClient, page: Int = 1_000) throws {
        while true {
            let answer = try client.get("/changefeed?from_seq=\(events.count)&limit=\(page)")
            guard answer.status == 200, let latest = answer.number("latest_sequence"),
                let list = answer.json["events"] as? [[String: Any]]
            else { throw ClientFailure("changefeed: \(answer.status) \(answer.text.prefix(500))") }
            guard latest >= UInt64(events.count) else {
                throw ClientFailure("latest_sequence went back to \(latest), \(events.count) were read before")
            }
            for json in list {
                guard let event = ChangeEvent(json) else { throw ClientFailure("no change event: \(json)") }
                guard event.sequence == UInt64(events.count) + 1 else {
                    throw ClientFailure("after sequence \(events.count) came \(event.sequence)")
                }
                events.append(event)
            }
            guard answer.number("next_seq") == UInt64(events.count) else {
                throw ClientFailure("next_seq is \(answer.json["next_seq"] ?? "missing") after \(events.count)")
            }
            if UInt64(events.count) == latest { return }
            guard !list.isEmpty else { throw ClientFailure("an empty page at \(events.count), the latest is \(latest)") }
        }
    }

    /// The last event of every key.
    var current: [String: ChangeEvent] {
        events.reduce(into: [:]) { $0[$1.key] = $1 }
    }
}
