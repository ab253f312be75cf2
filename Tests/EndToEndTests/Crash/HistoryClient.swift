import Foundation
import Synchronization
import ThemisBase
import ThemisTestKit

/// What the clients of one history share. Any thread.
final class SharedHistory: Sendable {
    struct State {
        var transactions: [RecordedTransaction] = []
        /// Commits that nobody answered: place in `transactions`, and id.
        var unknown: [(place: Int, id: String)] = []
        var complaints: [String] = []
    }

    let state = Mutex(State())
    private let clock = Atomic<Int>(0)
    private let values = Atomic<Int>(0)

    /// Greater with each call.
    func now() -> Int { clock.add(1, ordering: .sequentiallyConsistent).newValue }
    /// Never given twice.
    func newValue() -> Int { values.add(1, ordering: .relaxed).newValue }
    func complain(_ text: String) { state.withLock { $0.complaints.append(text) } }
}

/// A client that moves money between accounts in transactions over HTTP, and notes each transfer in both: a thread of its own.
final class HistoryClient: Sendable {
    static let accounts = (0..<6).map { "k\($0)" }
    static let startBalance = 100

    private let name: String
    private let port: UInt16
    private let gate: WriterGate
    private let shared: SharedHistory
    private let thread = Monitor<WorkThread?>(nil)

    init(index: Int, port: UInt16, gate: WriterGate, shared: SharedHistory) {
        name = "c\(index)"
        self.port = port
        self.gate = gate
        self.shared = shared
    }

    func start(seed: UInt64) {
        let body = WorkThread(name: name) { self.run(SeededRandom(seed: seed)) }
        thread.withLock { $0 = body }
    }

    func join() { thread.withLock { $0 }?.join() }

    private func run(_ seeded: SeededRandom) {
        var random = seeded
        var number = 0
        let client = HTTPClient(port: port, milliseconds: 40_000)
        while gate.enter() {
            number += 1
            let isCommitted = perform("\(name).\(number)", client, &random)
            gate.leave(isAcknowledged: isCommitted)
            if !isCommitted { usleep(UInt32.random(in: 500...5_000, using: &random)) }
        }
    }

    /// An answer that says that the transaction cannot go on.
    private struct Ended: Error { let answer: HTTPAnswer }

    private func perform(_ name: String, _ client: HTTPClient, _ random: inout SeededRandom) -> Bool {
        var recorded = RecordedTransaction(name, [], .aborted, began: shared.now())
        var id = ""
        var isSent = false
        do {
            let begun = try client.post("/transaction/begin", "{}")
            guard begun.status == 201, let text = begun.json["transaction_id"] as? String else { throw Ended(answer: begun) }
            id = text
            recorded.operations = try work(client, id, &random)
            isSent = true
            let answer = try client.send("POST", "/transaction/commit", ["X-Transaction-Id": id])
            guard answer.status == 200 else { throw Ended(answer: answer) }
            recorded.outcome = .committed
        } catch let ended as Ended {
            let code = ended.answer.json["code"] as? String ?? ""
            let outcome = ended.answer.json["outcome"] as? String
            if isSent, outcome != "not_committed" { recorded.outcome = .unknown }
            let isExpected = ["transaction_conflict", "transaction_lost", "transaction_too_old"].contains(code)
            if !isExpected, ended.answer.status != 503, ended.answer.status != 504 {
                shared.complain("\(name): \(ended.answer.status) \(ended.answer.text)")
            }
        } catch {
            if isSent { recorded.outcome = .unknown }
        }
        // What nobody answered may happen at any time from now on, as far as this client knows.
        if recorded.outcome != .unknown { recorded.ended = shared.now() }
        let finished = recorded
        shared.state.withLock { state in
            state.transactions.append(finished)
            if finished.outcome == .unknown { state.unknown.append((state.transactions.count - 1, id)) }
        }
        return recorded.outcome == .committed
    }

    private func work(_ client: HTTPClient, _ id: String, _ random: inout SeededRandom) throws -> [RecordedTransaction.Operation] {
        if Int.random(in: 0..<4, using: &random) == 0 { return try lookAtAll(client, id, byIndex: Bool.random(using: &random)) }
        let pair = Self.accounts.shuffled(using: &random).prefix(2)
        let amount = Int.random(in: 1...20, using: &random)
        let value = shared.newValue()
        var operations: [RecordedTransaction.Operation] = []
        for (key, change) in zip(pair, [-amount, amount]) {
            let read = try client.get("/entities/bank:\(key)", ["X-Transaction-Id": id])
            guard read.status == 200 else { throw Ended(answer: read) }
            let (balance, list) = Self.account(read.json)
            let document = Self.document(balance + change, list + [value])
            let written = try client.put("/entities/bank:\(key)", document, ["X-Transaction-Id": id])
            guard written.status == 200 else { throw Ended(answer: written) }
            operations += [.read(key, list), .append(key, value)]
        }
        return operations
    }

    private func lookAtAll(_ client: HTTPClient, _ id: String, byIndex: Bool) throws -> [RecordedTransaction.Operation] {
        let fields = ["X-Transaction-Id": id, "Content-Type": "application/json"]
        let query = #"{"table":"bank","range":[{"column":"n","gte":-1000000}],"limit":1000}"#
        let answer =
            byIndex
            ? try client.send("POST", "/query", fields, body: Array(query.utf8))
            : try client.get("/entities?table=bank&limit=1000", ["X-Transaction-Id": id])
        guard answer.status == 200 else { throw Ended(answer: answer) }
        let all = Self.accounts(answer)
        let sum = all.values.reduce(0) { $0 + $1.balance }
        if sum != Self.accounts.count * Self.startBalance { shared.complain("money was made or lost within \(id): \(answer.text)") }
        return all.map { .read($0.key, $0.value.list) }
    }

    static func document(_ balance: Int, _ list: [Int]) -> String {
        #"{"n":\#(balance),"l":[\#(list.map(String.init).joined(separator: ","))]}"#
    }

    static func account(_ document: [String: Any]) -> (balance: Int, list: [Int]) {
        ((document["n"] as? NSNumber)?.intValue ?? 0, (document["l"] as? [NSNumber])?.map(\.intValue) ?? [])
    }

    /// The accounts in a page or in the answer of a query.
    static func accounts(_ answer: HTTPAnswer) -> [String: (balance: Int, list: [Int])] {
        var found: [String: (balance: Int, list: [Int])] = [:]
        for entity in answer.json["entities"] as? [[String: Any]] ?? [] {
            guard let key = entity["key"] as? String, let document = entity["document"] as? [String: Any] else { continue }
            found[String(key.dropFirst("bank:".count))] = account(document)
        }
        return found
    }
}
