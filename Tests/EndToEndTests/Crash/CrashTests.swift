import Foundation
import Testing
import ThemisBase
import ThemisTestKit

/// The core is killed at random points while 64 clients write, again and again. `THEMIS_CRASH_ROUNDS` says how often.
@Suite(.serialized) struct CrashTests {
    private static let writerCount = 58
    private static let transactionCount = 6
    private static let rounds = ProcessInfo.processInfo.environment["THEMIS_CRASH_ROUNDS"].flatMap(Int.init) ?? 20

    @Test func `no acknowledged write is lost and none is half there after kill -9 under load`() throws {
        let seed = Seed.current()
        var random = SeededRandom(seed: seed)
        let set = try ProcessSet()
        try set.startCore(with: .gateway, .changefeed)
        let gate = WriterGate()
        let writers = (0..<Self.writerCount).map { LedgerWriter(index: $0, port: set.gatewayPort, gate: gate) }
        let transactions = (0..<Self.transactionCount).map { TransactionWriter(index: $0, port: set.gatewayPort, gate: gate) }
        let witnesses = [StreamWitness(port: set.changefeedPort), StreamWitness(port: set.gatewayPort)]
        for (index, writer) in writers.enumerated() { writer.start(seed: seed &+ UInt64(index) &+ 1) }
        for (index, writer) in transactions.enumerated() { writer.start(seed: seed &+ UInt64(index) &+ 1_000) }
        for witness in witnesses { witness.start() }
        defer {
            gate.end()
            for writer in writers { writer.join() }
            for writer in transactions { writer.join() }
            for witness in witnesses { witness.end() }
        }

        var check = CrashCheck()
        for round in 1...Self.rounds {
            let killsAll = round % 5 == 0
            let before = (breaks: witnesses.map(\.breaks), connections: Self.brokenConnections(writers, transactions))
            gate.open()
            let target = gate.acknowledged + Int.random(in: 30...600, using: &random)
            try #require(
                gate.waitFor(target, seconds: 60),
                "round \(round), seed \(seed): the writers stand still\n\(set[.server]?.log.suffix(2_000) ?? "")")
            usleep(UInt32.random(in: 0...20_000, using: &random))
            try Self.crash(set, killsAll: killsAll)
            // The writers go on: they meet the core as it comes back.
            try #require(
                gate.waitFor(gate.acknowledged + 64, seconds: 60),
                "round \(round), seed \(seed): no write is acknowledged after the restart")
            gate.close()

            let complaints = try check.run(writers, transactions, set.client())
            try #require(complaints.isEmpty, "round \(round), seed \(seed):\n\(complaints.prefix(20).joined(separator: "\n"))")
            for (index, witness) in witnesses.enumerated() {
                try Self.compare(witness, check.history, "round \(round), seed \(seed), stream \(index)")
                if !killsAll {
                    #expect(
                        witness.breaks == before.breaks[index],
                        "round \(round): stream \(index) broke though only the core was killed")
                }
            }
            if !killsAll {
                #expect(
                    Self.brokenConnections(writers, transactions) == before.connections,
                    "round \(round): the gateway dropped connections instead of answering")
            }
        }
        #expect(check.acknowledged > Self.rounds * 90)
        print(
            "• \(Self.rounds) kills, \(check.acknowledged) acknowledged writes, \(check.decidedLater) unanswered ones that were committed, "
                + "\(check.history.events.count) changes, seed \(seed)")
    }

    private static func brokenConnections(_ writers: [LedgerWriter], _ transactions: [TransactionWriter]) -> Int {
        writers.map { $0.ledger.withLock { $0.brokenConnections } }.reduce(0, +)
            + transactions.map { $0.state.withLock { $0.brokenConnections } }.reduce(0, +)
    }

    /// Kills the core, or every process, and starts again what was killed. Sidecars that live must find the core by themselves.
    private static func crash(_ set: ProcessSet, killsAll: Bool) throws {
        let sidecars: [ServiceRole] = [.gateway, .changefeed]
        set.kill(.server)
        if killsAll { for role in sidecars { set.kill(role) } }
        try set.start(.server)
        if killsAll { for role in sidecars { try set.start(role) } }
        try set.waitUntilHealthy(seconds: 30)
        for role in sidecars { try set.waitUntilReady(role) }
    }

    /// A subscriber has seen every change of the history once, in order, with the same content.
    private static func compare(_ witness: StreamWitness, _ history: ChangeHistory, _ place: String) throws {
        let latest = UInt64(history.events.count)
        try #require(
            witness.waitFor(latest, seconds: 30), "\(place): stands at \(witness.state.withLock { $0.events.count }) of \(latest)"
        )
        let (events, complaints) = witness.state.withLock { ($0.events, $0.complaints) }
        try #require(complaints.isEmpty, "\(place): \(complaints.prefix(5))")
        try #require(events == history.events, "\(place): the stream and the pages differ")
    }
}
