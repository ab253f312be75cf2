import Foundation
import ThemisBase
import ThemisTestKit

/// Compares what clients were told with what the database holds, while nobody writes.
struct CrashCheck {
    private(set) var history = ChangeHistory()
    private var checked = 0
    /// Sequences that a write of the ledger explains.
    private var explained: Set<UInt64> = []
    /// What was checked, for the closing line of the test.
    private(set) var acknowledged = 0
    private(set) var decidedLater = 0

    /// Reads the changefeed on and checks every writer's ledger and every entity. Returns what is wrong, in words.
    mutating func run(
        _ writers: [LedgerWriter], _ transactions: [TransactionWriter], _ client: HTTPClient
    ) throws -> [String] {
        try history.extend(client)
        let fresh = history.events[checked...]
        checked = history.events.count
        var complaints: [String] = []
        let freshNumbers = Dictionary(grouping: fresh.filter { $0.number != nil }) { "\($0.key)#\($0.number ?? 0)" }
        for (write, events) in freshNumbers where events.count > 1 {
            complaints.append("\(write) is in the changefeed \(events.count) times")
        }

        let current = history.current
        for writer in writers {
            let waiting = writer.ledger.withLock { ledger -> Set<String> in
                complaints += ledger.complaints
                ledger.complaints = []
                complaints += compareAcknowledged(ledger)
                acknowledged += ledger.acknowledged.count
                ledger.acknowledged = [:]
                for write in ledger.refused where freshNumbers["\(write.key)#\(write.number)"] != nil && write.kind != .delete {
                    complaints.append("\(write) was refused as not committed and is in the changefeed")
                }
                ledger.refused = []
                return decide(&ledger, fresh, isKeyed: writer.repeatsUntilHeard)
            }
            complaints += compareHeld(writer, current, except: waiting)
        }
        complaints += compareTransactions(transactions, fresh)
        for event in fresh where event.key.hasPrefix("crash:") && !explained.contains(event.sequence) {
            complaints.append("nobody wrote \(event)")
        }
        complaints += try compareEntities(writers.flatMap(\.keys) + transactions.flatMap(\.keys), current, client)
        return complaints
    }

    /// Every acknowledged write stands in the changefeed under the sequence it was acknowledged with.
    private mutating func compareAcknowledged(_ ledger: WriterLedger) -> [String] {
        ledger.acknowledged.sorted { $0.key < $1.key }.compactMap { sequence, write in
            guard let event = history[sequence] else { return "acknowledged and lost: \(write), sequence \(sequence)" }
            guard explained.insert(sequence).inserted else { return "sequence \(sequence) was given out twice, then to \(write)" }
            let isRight =
                event.key == write.key
                && (write.kind == .delete ? event.type == "DELETE" : event.type == "PUT" && event.number == write.number)
            return isRight ? nil : "sequence \(sequence) was acknowledged for \(write) and is \(event)"
        }
    }

    /// Finds out what became of writes that nobody answered; returns the keys of those that their writer goes on repeating.
    private mutating func decide(_ ledger: inout WriterLedger, _ fresh: ArraySlice<ChangeEvent>, isKeyed: Bool) -> Set<String> {
        for write in ledger.undecided {
            let event = fresh.first {
                $0.key == write.key && !explained.contains($0.sequence)
                    && (write.kind == .delete ? $0.type == "DELETE" : $0.number == write.number)
            }
            guard let event else { continue }
            decidedLater += 1
            // A repeated write will be acknowledged with this sequence; until then it is explained by the repetition.
            if isKeyed { continue }
            explained.insert(event.sequence)
            ledger.held[write.key] = write.kind == .delete ? nil : (write.number, "\"\(event.version)\"")
        }
        guard isKeyed else {
            ledger.undecided = []
            return []
        }
        return Set(ledger.undecided.map(\.key))
    }

    /// What the writer believes of its keys is what the changefeed says of them.
    private func compareHeld(_ writer: LedgerWriter, _ current: [String: ChangeEvent], except waiting: Set<String>) -> [String] {
        let held = writer.ledger.withLock { $0.held }
        return writer.keys.filter { !waiting.contains($0) }.compactMap { key in
            let event = current[key].flatMap { $0.type == "PUT" ? $0 : nil }
            guard event?.number == held[key]?.number else {
                return "\(key): last acknowledged number \(held[key]?.number ?? 0), in the changefeed \(event?.number ?? 0)"
            }
            let version = event.map { "\"\($0.version)\"" }
            return version == held[key]?.version
                ? nil : "\(key): version \(held[key]?.version ?? "none"), in the changefeed \(version ?? "none")"
        }
    }

    /// No write is half there: each entity is exactly what its last change record says.
    private func compareEntities(_ keys: [String], _ current: [String: ChangeEvent], _ client: HTTPClient) throws -> [String] {
        var complaints: [String] = []
        let body = try JSONSerialization.data(withJSONObject: ["keys": keys])
        let answer = try client.post("/entities/get", String(decoding: body, as: UTF8.self))
        guard let entities = answer.json["entities"] as? [[String: Any]], entities.count == keys.count else {
            return ["POST /entities/get: \(answer.status) \(answer.text.prefix(500))"]
        }
        for (key, entity) in zip(keys, entities) {
            let event = current[key].flatMap { $0.type == "PUT" ? $0 : nil }
            let version = (entity["version"] as? NSNumber)?.uint64Value ?? (entity["version"] as? String).flatMap(UInt64.init)
            let number = ((entity["document"] as? [String: Any])?["number"] as? NSNumber)?.uint64Value
            if entity["key"] as? String != key || version != event?.version || number != event?.number {
                complaints.append("\(key): the entity is \(entity), its last change \(event.map { "\($0)" } ?? "a deletion")")
            }
        }
        let present = keys.filter { $0.hasPrefix("crash:") && current[$0]?.type == "PUT" }.count
        let listed = try client.get("/entities?table=crash&return=keys&limit=1000")
        let listedCount = (listed.json["keys"] as? [Any])?.count ?? -1
        if listedCount != present {
            complaints.append("the table lists \(listedCount) keys, \(present) are there: \(listed.text.prefix(200))")
        }
        return complaints
    }
}
