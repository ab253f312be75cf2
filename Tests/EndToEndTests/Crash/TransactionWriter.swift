import Foundation
import ThemisBase
import ThemisTestKit

/// A client of the crash test whose every write is a transaction over five keys of its own: all five change, or none.
final class TransactionWriter: Sendable {
    static let size = 5

    struct State {
        /// Acknowledged transactions that no check has seen yet: their last sequence and number.
        var acknowledged: [UInt64: UInt64] = [:]
        var complaints: [String] = []
        var brokenConnections = 0
    }

    let state = Monitor(State())
    let keys: [String]
    private let name: String
    private let port: UInt16
    private let gate: WriterGate
    private let thread = Monitor<WorkThread?>(nil)

    init(index: Int, port: UInt16, gate: WriterGate) {
        name = "t\(index)"
        keys = (0..<Self.size).map { "group:t\(index)/\($0)" }
        self.port = port
        self.gate = gate
    }

    func start(seed: UInt64) {
        let body = WorkThread(name: name) { self.run(SeededRandom(seed: seed)) }
        thread.withLock { $0 = body }
    }

    func join() { thread.withLock { $0 }?.join() }

    private func run(_ seeded: SeededRandom) {
        var random = seeded
        var number: UInt64 = 0
        let client = HTTPClient(port: port, milliseconds: 40_000)
        while gate.enter() {
            number += 1
            let isAcknowledged = perform(number, client)
            gate.leave(isAcknowledged: isAcknowledged)
            if !isAcknowledged { usleep(UInt32.random(in: 1_000...10_000, using: &random)) }
        }
    }

    private func perform(_ number: UInt64, _ client: HTTPClient) -> Bool {
        let lines = keys.map { "{\"op\":\"put\",\"key\":\"\($0)\",\"document\":{\"number\":\(number)}}\n" }.joined()
        do {
            let answer = try client.post("/entities?atomic=true", lines, type: "application/x-ndjson")
            return state.withLock { state in
                if answer.status == 200, let sequence = answer["x-themis-sequence"].flatMap(UInt64.init) {
                    state.acknowledged[sequence] = number
                    return true
                }
                if answer.json["outcome"] as? String == nil || (answer.status != 503 && answer.status != 504) {
                    state.complaints.append("\(name) transaction \(number): \(answer.status) \(answer.text)")
                }
                return false
            }
        } catch {
            state.withLock { $0.brokenConnections += 1 }
            return false
        }
    }
}

extension CrashCheck {
    /// Transactions are whole in the changefeed, and those that were acknowledged are there.
    func compareTransactions(_ writers: [TransactionWriter], _ fresh: ArraySlice<ChangeEvent>) -> [String] {
        var complaints: [String] = []
        let parts = fresh.filter { $0.key.hasPrefix("group:") }
        for start in stride(from: parts.startIndex, to: parts.endIndex, by: TransactionWriter.size) {
            let whole = parts[start..<min(start + TransactionWriter.size, parts.endIndex)]
            let isWhole =
                whole.map(\.transactionIndex) == Array(0..<TransactionWriter.size) && Set(whole.map(\.number)).count == 1
                && zip(whole, whole.dropFirst()).allSatisfy { $0.sequence + 1 == $1.sequence }
            if !isWhole { complaints.append("a transaction is not whole: \(whole.map { "\($0)" })") }
        }
        for writer in writers {
            let state = writer.state.withLock { state in
                defer { state = TransactionWriter.State(brokenConnections: state.brokenConnections) }
                return state
            }
            complaints += state.complaints
            for (sequence, number) in state.acknowledged {
                let event = history[sequence]
                if event?.key != writer.keys.last || event?.number != number {
                    complaints.append(
                        "transaction \(number) was acknowledged with \(sequence), which is \(event.map { "\($0)" } ?? "lost")")
                }
            }
        }
        return complaints
    }
}
