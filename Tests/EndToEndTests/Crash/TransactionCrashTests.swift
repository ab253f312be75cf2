import Foundation
import Synchronization
import Testing
import ThemisBase
import ThemisTestKit

/// Transactions through real processes while the core is killed. `THEMIS_TRANSACTION_ROUNDS` says how often.
@Suite(.serialized) struct TransactionCrashTests {
    private static let rounds = ProcessInfo.processInfo.environment["THEMIS_TRANSACTION_ROUNDS"].flatMap(Int.init) ?? 4

    /// Kills the core under load, starts it again, and stops the load once it goes on.
    private func crash(_ set: ProcessSet, _ gate: WriterGate, _ random: inout SeededRandom, _ place: String) throws {
        gate.open()
        let target = gate.acknowledged + Int.random(in: 40...200, using: &random)
        try #require(
            gate.waitFor(target, seconds: 60), "\(place): the clients stand still\n\(set[.server]?.log.suffix(2_000) ?? "")")
        usleep(UInt32.random(in: 0...20_000, using: &random))
        set.kill(.server)
        try set.start(.server)
        try set.waitUntilHealthy(seconds: 30)
        try #require(gate.waitFor(gate.acknowledged + 20, seconds: 60), "\(place): nothing is committed after the restart")
        gate.close()
    }

    @Test func `transfers over several requests are serializable, whenever the core is killed`() throws {
        let seed = Seed.current()
        var random = SeededRandom(seed: seed)
        let set = try ProcessSet()
        try set.startCore(with: .gateway)
        let admin = set.client()
        #expect(try admin.post("/index/create", #"{"table":"bank","column":"n","type":"range"}"#).status == 201)
        try openAccounts(admin)
        let gate = WriterGate()
        let shared = SharedHistory()
        let clients = (0..<12).map { HistoryClient(index: $0, port: set.gatewayPort, gate: gate, shared: shared) }
        for (index, client) in clients.enumerated() { client.start(seed: seed &+ UInt64(index) &+ 1) }
        defer {
            gate.end()
            for client in clients { client.join() }
        }
        var unanswered = 0
        var outcomes: [RecordedTransaction.Outcome] = []
        for round in 1...Self.rounds {
            let place = "round \(round), seed \(seed)"
            try crash(set, gate, &random, place)
            unanswered += try settle(shared, admin, place)
            let page = try admin.get("/entities?table=bank&limit=1000")
            let accounts = HistoryClient.accounts(page)
            let sum = accounts.values.reduce(0) { $0 + $1.balance }
            #expect(sum == HistoryClient.accounts.count * HistoryClient.startBalance, "\(place): \(page.text)")
            let (transactions, complaints) = shared.state.withLock { ($0.transactions, $0.complaints) }
            try #require(complaints == [], "\(place)")
            let found = SerializabilityChecker.complaints(transactions, final: accounts.mapValues(\.list))
            try #require(found == [], "\(place)")
            guard round % 10 == 0 || round == Self.rounds else { continue }
            // Lists that grow without end would say no more.
            outcomes += transactions.map(\.outcome)
            shared.state.withLock { $0.transactions = [] }
            try openAccounts(admin)
        }
        try checkGroups(admin)
        let committed = outcomes.count { $0 == .committed }
        print(
            "• \(Self.rounds) kills, \(committed) of \(outcomes.count) transactions committed, \(unanswered) commits unanswered, "
                + "seed \(seed)")
    }

    private static let fresh = HistoryClient.document(HistoryClient.startBalance, [])

    private func openAccounts(_ client: HTTPClient) throws {
        for key in HistoryClient.accounts { #expect(try client.put("/entities/bank:\(key)", Self.fresh).status < 300) }
    }

    /// Asks what became of commits that nobody answered: the id tells it for certain.
    private func settle(_ shared: SharedHistory, _ client: HTTPClient, _ place: String) throws -> Int {
        let unknown = shared.state.withLock { state in
            defer { state.unknown = [] }
            return state.unknown
        }
        for (index, id) in unknown {
            let answer = try client.get("/transaction/\(id)")
            let isCommitted = answer.status == 200 && answer.json["state"] as? String == "committed"
            if !isCommitted {
                #expect(answer.status == 409, "\(place): \(answer.text)")
                #expect(answer.json["outcome"] as? String == "not_committed", "\(place): \(answer.text)")
            }
            shared.state.withLock { $0.transactions[index].outcome = isCommitted ? .committed : .aborted }
            guard isCommitted else { continue }
            // Sent once more it changes nothing.
            let again = try client.send("POST", "/transaction/commit", ["X-Transaction-Id": id])
            #expect(again.status == 200 && again["idempotency-replayed"] == "true", "\(place): \(again.text)")
        }
        return unknown.count
    }

    /// Every transfer is one group of two changes, one behind the other.
    private func checkGroups(_ client: HTTPClient) throws {
        var history = ChangeHistory()
        try history.extend(client)
        let changes = history.events.filter { $0.key.hasPrefix("bank:") && $0.value != Self.fresh }
        #expect(changes.count % 2 == 0)
        for start in stride(from: changes.startIndex, to: changes.endIndex - 1, by: 2) {
            let pair = changes[start...(start + 1)]
            #expect(pair.map(\.transactionIndex) == [0, 1] && pair[start].sequence + 1 == pair[start + 1].sequence)
        }
    }

    @Test func `a unique value has never two holders, with 64 writers and a core that is killed`() throws {
        let seed = Seed.current()
        var random = SeededRandom(seed: seed)
        let set = try ProcessSet()
        try set.startCore(with: .gateway)
        let admin = set.client()
        #expect(try admin.post("/index/create", #"{"table":"u","column":"v","type":"equality","unique":true}"#).status == 201)
        let gate = WriterGate()
        let writers = (0..<64).map { UniqueWriter(index: $0, port: set.gatewayPort, gate: gate) }
        for (index, writer) in writers.enumerated() { writer.start(seed: seed &+ UInt64(index) &+ 1) }
        defer {
            gate.end()
            for writer in writers { writer.join() }
        }
        for round in 1...Self.rounds {
            let place = "round \(round), seed \(seed)"
            try crash(set, gate, &random, place)
            for writer in writers { #expect(writer.complaints.withLock { $0 } == [], "\(place)") }
            let page = try admin.get("/entities?table=u&limit=1000")
            var holders: [Int: [String]] = [:]
            for entity in page.json["entities"] as? [[String: Any]] ?? [] {
                let value = ((entity["document"] as? [String: Any])?["v"] as? NSNumber)?.intValue ?? -1
                holders[value, default: []].append(entity["key"] as? String ?? "")
            }
            for (value, keys) in holders where keys.count > 1 { Issue.record("\(place): \(value) is held by \(keys)") }
            for value in 0..<UniqueWriter.values {
                let query = #"{"table":"u","predicates":[{"column":"v","value":\#(value)}],"return":"keys"}"#
                let found = try admin.post("/query", query).json["keys"] as? [String]
                #expect(found == holders[value] ?? [], "\(place): value \(value)")
            }
            let verified = try admin.post("/admin/verify", "{}")
            #expect(verified.text.contains(": 0 entries missing, 0 dangling, 0 indexes miscounted, 0 gaps"), "\(place): \(verified.text)")
        }
    }
}
