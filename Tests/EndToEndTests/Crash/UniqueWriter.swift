import Foundation
import ThemisBase
import ThemisTestKit

/// One of many clients that want the same few unique values: by a plain write, or by a transaction that gives its own value up for another.
final class UniqueWriter: Sendable {
    static let values = 24

    let complaints = Monitor<[String]>([])
    private let name: String
    private let port: UInt16
    private let gate: WriterGate
    private let thread = Monitor<WorkThread?>(nil)

    init(index: Int, port: UInt16, gate: WriterGate) {
        name = "w\(index)"
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
        let client = HTTPClient(port: port, milliseconds: 40_000)
        while gate.enter() {
            let isDone = perform(client, &random)
            gate.leave(isAcknowledged: isDone)
            if !isDone { usleep(UInt32.random(in: 500...5_000, using: &random)) }
        }
    }

    private func perform(_ client: HTTPClient, _ random: inout SeededRandom) -> Bool {
        let value = Int.random(in: 0..<Self.values, using: &random)
        let keys = (0..<3).map { "u:\(name)_\($0)" }
        let key = keys.randomElement(using: &random) ?? keys[0]
        let other = keys.randomElement(using: &random) ?? keys[0]
        do {
            let answer: HTTPAnswer
            switch Int.random(in: 0..<5, using: &random) {
            case 0: answer = try client.send("DELETE", "/entities/\(key)")
            case 1, 2: answer = try client.put("/entities/\(key)", #"{"v":\#(value)}"#)
            case 3:
                let operations = #"{"op":"delete","key":"\#(other)"},{"op":"put","key":"\#(key)","document":{"v":\#(value)}}"#
                answer = try client.post("/transaction", #"{"operations":[\#(operations)]}"#)
            default:
                let begun = try client.post("/transaction/begin", #"{"isolation":"snapshot"}"#)
                guard let id = begun.json["transaction_id"] as? String else { return false }
                let fields = ["X-Transaction-Id": id]
                _ = try client.put("/entities/\(key)", #"{"v":\#(value)}"#, fields)
                if other != key { _ = try client.send("DELETE", "/entities/\(other)", fields) }
                answer = try client.send("POST", "/transaction/commit", fields)
            }
            let code = answer.json["code"] as? String ?? ""
            let isExpected =
                answer.status == 503 || answer.status == 504
                || ["unique_violation", "transaction_conflict", "transaction_lost", "transaction_expired"].contains(code)
            if answer.status >= 300, !isExpected { complaints.withLock { $0.append("\(name): \(answer.status) \(answer.text)") } }
            return answer.status < 300 || code == "unique_violation"
        } catch {
            return false
        }
    }
}
