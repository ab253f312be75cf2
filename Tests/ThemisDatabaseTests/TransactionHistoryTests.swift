import Foundation
import Synchronization
import Testing
import ThemisBase
import ThemisDatabase
import ThemisStorage
import ThemisTestKit

/// Transactions at once on few keys, with failing syncs and restarts; the checker says whether one order explains all answers.
///
/// `THEMIS_TRANSACTION_ROUNDS` says how often everything is begun anew.
@Suite struct TransactionHistoryTests {
    static let rounds = ProcessInfo.processInfo.environment["THEMIS_TRANSACTION_ROUNDS"].flatMap { Int($0) } ?? 3
    private static let clients = 8
    private static let keys = 5

    /// What all clients of one history share.
    private final class Shared: Sendable {
        let history = Mutex<[RecordedTransaction]>([])
        /// Transactions of which the client was not told what became.
        let unknown = Mutex<[(place: Int, reference: TransactionReference)]>([])
        let clock = Atomic<Int>(0)
        let values = Atomic<Int>(0)
        let isOver = Atomic<Bool>(false)

        func now() -> Int { clock.add(1, ordering: .sequentiallyConsistent).newValue }
    }

    private struct Client {
        let fixture: DatabaseFixture
        let shared: Shared
        var random: SeededRandom
        let isBank: Bool

        private func list(_ document: ArraySlice<UInt8>) throws -> (balance: Int, list: [Int]) {
            let value = try JSONValue(parsing: Array(document))
            return (
                Int(value["n"]?.int64Value ?? 0), (value["l"]?.elements ?? []).compactMap { $0.int64Value.map { Int($0) } }
            )
        }

        private func read(_ key: String, _ transaction: OpenTransaction) throws -> (balance: Int, list: [Int]) {
            guard let text = try transaction.get("t:\(key)") else { return (0, []) }
            return try list(Array(text.utf8)[...])
        }

        private func write(_ key: String, _ balance: Int, _ values: [Int], _ transaction: OpenTransaction) throws {
            try transaction.put("t:\(key)", #"{"n":\#(balance),"l":[\#(values.map(String.init).joined(separator: ","))]}"#)
        }

        private func readAll(_ transaction: OpenTransaction, byIndex: Bool) throws -> [String: (balance: Int, list: [Int])] {
            var found: [String: (balance: Int, list: [Int])] = [:]
            if byIndex {
                let body = #"{"table":"t","range":[{"column":"n","gte":-1000000}],"limit":1000}"#
                let answer = try JSONValue(parsing: fixture.database.query(Array(body.utf8), in: transaction.reference))
                for entity in answer["entities"]?.elements ?? [] {
                    guard let key = entity["key"]?.stringValue, let document = entity["document"] else { continue }
                    found[String(key.dropFirst(2))] = try list(document.bytes[...])
                }
            } else {
                let table = try TableName(validating: "t")
                for entity in try fixture.database.list(ListRequest(table: table), limit: 1_000, in: transaction.reference).entities {
                    found[entity.key.pk] = try list(entity.document)
                }
            }
            return found
        }

        /// Moves money and notes the transfer in both accounts, or looks at all accounts.
        private mutating func bank(_ transaction: OpenTransaction) throws -> [RecordedTransaction.Operation] {
            if Int.random(in: 0..<3, using: &random) == 0 {
                let all = try readAll(transaction, byIndex: Bool.random(using: &random))
                #expect(all.values.reduce(0) { $0 + $1.balance } == 100 * keys, "money was made or lost: \(all)")
                return all.map { .read($0.key, $0.value.list) }
            }
            let pair = (0..<keys).shuffled(using: &random).prefix(2).map { "k\($0)" }
            let amount = Int.random(in: 1...20, using: &random)
            let value = shared.values.add(1, ordering: .relaxed).newValue
            var operations: [RecordedTransaction.Operation] = []
            for (key, change) in zip(pair, [-amount, amount]) {
                let (balance, list) = try read(key, transaction)
                operations += [.read(key, list), .append(key, value)]
                try write(key, balance + change, list + [value], transaction)
            }
            return operations
        }

        private mutating func lists(_ transaction: OpenTransaction) throws -> [RecordedTransaction.Operation] {
            var operations: [RecordedTransaction.Operation] = []
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                let key = "k\(Int.random(in: 0..<keys, using: &random))"
                switch Int.random(in: 0..<5, using: &random) {
                case 0:
                    let all = try readAll(transaction, byIndex: Bool.random(using: &random))
                    operations += (0..<keys).map { .read("k\($0)", all["k\($0)"]?.list ?? []) }
                case 1, 2: operations.append(.read(key, try read(key, transaction).list))
                default:
                    let (balance, list) = try read(key, transaction)
                    let value = shared.values.add(1, ordering: .relaxed).newValue
                    operations += [.read(key, list), .append(key, value)]
                    // Another balance each time: the entry in the index moves too.
                    try write(key, balance + 1, list + [value], transaction)
                }
            }
            return operations
        }

        private var keys: Int { TransactionHistoryTests.keys }

        mutating func run(_ name: String, transactions: Int) {
            for number in 0..<transactions where !shared.isOver.load(ordering: .relaxed) {
                let began = shared.now()
                do {
                    let transaction = try fixture.begin()
                    var recorded = RecordedTransaction("\(name).\(number)", [], .aborted, began: began)
                    recorded.operations = try isBank ? bank(transaction) : lists(transaction)
                    let result = transaction.submitCommit().result()
                    recorded.ended = shared.now()
                    var isUnknown = false
                    switch result {
                    case .success: recorded.outcome = .committed
                    case .failure(let error):
                        isUnknown = error.outcome != .notCommitted
                        // It may happen at any time from now on, as far as its client knows.
                        if isUnknown { recorded.ended = .max }
                        if ![.transactionConflict, .commitUnknown, .shuttingDown].contains(error.code) {
                            Issue.record("\(recorded.name): \(error)")
                        }
                    }
                    let finished = recorded
                    shared.history.withLock { history in
                        history.append(finished)
                        if isUnknown {
                            shared.unknown.withLock { $0.append((history.count - 1, transaction.reference)) }
                        }
                    }
                } catch let error as ThemisError where [.shuttingDown, .commitUnknown].contains(error.code) {
                    return
                } catch {
                    Issue.record("\(name): \(error)")
                    return
                }
            }
        }
    }

    private func runClients(_ fixture: DatabaseFixture, _ shared: Shared, seed: UInt64, isBank: Bool, transactions: Int) {
        let threads = (0..<Self.clients).map { index in
            WorkThread(name: "test-\(index)") {
                var client = Client(
                    fixture: fixture, shared: shared, random: SeededRandom(seed: seed &+ UInt64(index)), isBank: isBank)
                client.run("\(seed % 1_000).\(index)", transactions: transactions)
            }
        }
        for thread in threads { thread.join() }
    }

    private func prepare(_ fixture: DatabaseFixture, isBank: Bool) throws {
        try fixture.index("range", "n")
        guard isBank else { return }
        for key in 0..<Self.keys { try fixture.put("t:k\(key)", #"{"n":100,"l":[]}"#) }
    }

    /// What every key holds at the end.
    private func final(_ fixture: DatabaseFixture, isBank: Bool, _ hint: String) throws -> [String: [Int]] {
        var lists: [String: [Int]] = [:]
        var sum = 0
        for key in 0..<Self.keys {
            guard let text = try fixture.document("t:k\(key)") else {
                lists["k\(key)"] = []
                continue
            }
            let value = try JSONValue(parsing: Array(text.utf8))
            lists["k\(key)"] = (value["l"]?.elements ?? []).compactMap { $0.int64Value.map { Int($0) } }
            sum += Int(value["n"]?.int64Value ?? 0)
        }
        if isBank { #expect(sum == 100 * Self.keys, "\(hint): money was made or lost") }
        let verification = try fixture.ended(fixture.database.verify(repairs: false))
        #expect(verification.detail.contains(": 0 entries missing, 0 dangling, 0 indexes miscounted, 0 gaps"), "\(hint)")
        return lists
    }

    @Test(arguments: [true, false])
    func `histories of transfers and appends are serializable, with syncs that fail and restarts`(isBank: Bool) throws {
        for round in 0..<Self.rounds {
            let seed = Seed.current() &+ UInt64(round) * 7_919
            var random = SeededRandom(seed: seed)
            let shared = Shared()
            let time = ManualTime()
            var engine = FaultyEngine()
            var fixture = try DatabaseFixture(engine: engine, time: time)
            try prepare(fixture, isBank: isBank)
            for life in 0..<4 {
                let hint = "seed \(seed), life \(life)"
                if life < 3 {
                    engine.fail(commit: Int.random(in: 5...60, using: &random), Bool.random(using: &random) ? .loseSync : .keepSync)
                }
                runClients(fixture, shared, seed: seed &+ UInt64(life) * 104_729, isBank: isBank, transactions: 25)
                fixture.database.close()
                engine = try engine.crash()
                fixture = try DatabaseFixture(engine: engine, time: time)
                // The id tells what became of those that nobody answered.
                for (place, reference) in shared.unknown.withLock({ $0 }) {
                    let isCommitted = (try? fixture.database.transactionState(reference)) != nil
                    shared.history.withLock { $0[place].outcome = isCommitted ? .committed : .aborted }
                }
                shared.unknown.withLock { $0 = [] }
                let complaints = SerializabilityChecker.complaints(
                    shared.history.withLock { $0 }, final: try final(fixture, isBank: isBank, hint))
                #expect(complaints == [], "\(hint)")
            }
            let history = shared.history.withLock { $0 }
            #expect(history.count { $0.outcome == .committed } > 50, "seed \(seed): too few commits to tell")
        }
    }

    @Test(arguments: [true, false])
    func `the same holds on the real engine`(isBank: Bool) throws {
        for round in 0..<Self.rounds {
            let seed = Seed.current() &+ UInt64(round) * 7_919 &+ 1
            let shared = Shared()
            let rocks = try RocksDBFixture()
            try prepare(rocks.fixture, isBank: isBank)
            for life in 0..<2 {
                runClients(rocks.fixture, shared, seed: seed &+ UInt64(life), isBank: isBank, transactions: 20)
                try rocks.reopen()
                let complaints = SerializabilityChecker.complaints(
                    shared.history.withLock { $0 }, final: try final(rocks.fixture, isBank: isBank, "seed \(seed)"))
                #expect(complaints == [], "seed \(seed), life \(life)")
            }
        }
    }
}
