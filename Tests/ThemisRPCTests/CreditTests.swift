import Testing
import ThemisBase
import ThemisTestKit

@testable import ThemisRPC

/// Random traffic over a small pair of connections: what both sides do, in any order.
private struct Traffic {
    static let streams = 12
    static let streamWindow = 3_000
    static let connectionWindow = 9_000

    var random: SeededRandom
    var pair: Pair
    private var atServer: Set<UInt32> = []
    private var uploads: Set<UInt32> = []
    private var answered: Set<UInt32> = []
    private var unusedAtServer: [(UInt32, Int)] = []
    private var unusedAtClient: [(UInt32, Int)] = []

    init(seed: UInt64) {
        random = SeededRandom(seed: seed)
        var limits = ConnectionLimits()
        limits.requestsInFlight = UInt32(Self.streams)
        limits.streamCreditBytes = UInt32(Self.streamWindow)
        limits.connectionCreditBytes = UInt32(Self.connectionWindow)
        pair = Pair(limits)
    }

    private mutating func number(_ range: Range<Int>) -> Int { Int.random(in: range, using: &random) }

    /// One step that a client takes.
    mutating func clientStep() {
        switch number(0..<4) {
        case 0:
            let endsHere = number(0..<2) == 0
            if let id = pair.open(number(0..<500), endsHere: endsHere), !endsHere { uploads.insert(id) }
        case 1:
            guard let id = uploads.randomElement(using: &random) else { break }
            let isLast = number(0..<3) == 0
            if isLast { uploads.remove(id) }
            let payload = [UInt8](repeating: 0, count: number(0..<8_000))
            pair.onClient { state, out in state.send(id, payload, isLast: isLast, &out) }
        case 2:
            let id = UInt32(number(1..<Self.streams + 1))
            uploads.remove(id)
            unusedAtClient.removeAll { $0.0 == id }
            pair.onClient { state, out in state.cancel(id, &out) }
        default: useAtClient()
        }
    }

    mutating func useAtClient() {
        guard let (id, count) = unusedAtClient.popLast() else { return }
        pair.onClient { state, out in state.use(count, of: id, &out) }
    }

    /// One step that the server takes.
    mutating func serverStep() {
        if let (id, count) = unusedAtServer.popLast() { pair.onServer { state, out in state.use(count, of: id, &out) } }
        guard number(0..<2) == 0, let id = atServer.subtracting(answered).randomElement(using: &random) else { return }
        answered.insert(id)
        if number(0..<4) == 0 { pair.fail(id) } else { pair.respond(id, number(0..<90_000)) }
    }

    /// Carries some bytes both ways, and takes note of what they meant.
    mutating func deliver() throws {
        try pair.deliverToServer(number(0..<90_000))
        try pair.deliverToClient(number(0..<90_000))
        for (event, id, count) in pair.serverEvents {
            switch event {
            case .request:
                atServer.insert(id)
                answered.remove(id)
                unusedAtServer.removeAll { $0.0 == id }
            case .data: unusedAtServer.append((id, count))
            // An answer that still flows: its owner ends it.
            case .cancelled where answered.contains(id): pair.fail(id)
            default: break
            }
        }
        for (event, id, count) in pair.clientEvents {
            switch event {
            case .data(isLast: false): unusedAtClient.append((id, count))
            case .data(isLast: true), .response(isWhole: true), .failure, .busy:
                uploads.remove(id)
                unusedAtClient.removeAll { $0.0 == id }
            default: break
            }
        }
        pair.serverEvents = []
        pair.clientEvents = []
    }

    mutating func finishUploads() {
        for id in uploads { pair.onClient { state, out in state.send(id, [], isLast: true, &out) } }
        uploads = []
    }

    /// Whether every credit is between zero and its window, and no more streams are open than may be.
    var isSound: Bool {
        for id in UInt32(1)...UInt32(Self.streams) {
            for credit in [pair.client.credit(id), pair.server.credit(id)] {
                guard credit.connection >= 0, credit.connection <= Self.connectionWindow else { return false }
                guard credit.stream >= 0, credit.stream <= Self.streamWindow else { return false }
            }
        }
        return pair.server.openStreams <= Self.streams && pair.client.openStreams <= Self.streams
    }
}

@Suite struct CreditTests {
    @Test(arguments: 0..<12) func `credit never falls below zero and all of it comes back, in any interleaving`(
        round: UInt64
    ) throws {
        let seed = Seed.current() &+ round
        var traffic = Traffic(seed: seed)
        for _ in 0..<1_500 {
            switch Int.random(in: 0..<4, using: &traffic.random) {
            case 0, 1: traffic.clientStep()
            case 2: traffic.serverStep()
            default: try traffic.deliver()
            }
            try #require(traffic.isSound, "seed \(seed)")
        }
        // Let everything come to its end.
        traffic.finishUploads()
        for _ in 0..<20_000 {
            guard traffic.pair.client.openStreams > 0 || !traffic.pair.toServer.isEmpty || !traffic.pair.toClient.isEmpty else {
                break
            }
            traffic.serverStep()
            traffic.useAtClient()
            try traffic.deliver()
            try #require(traffic.isSound, "seed \(seed)")
        }
        try traffic.pair.deliverAll()
        let (client, server) = (traffic.pair.client, traffic.pair.server)
        #expect(client.openStreams == 0 && server.openStreams == 0, "seed \(seed)")
        #expect(client.receivable.held == 0 && server.receivable.held == 0, "seed \(seed)")
        #expect(client.credit(0).connection == server.receivable.open, "seed \(seed)")
        #expect(server.credit(0).connection == client.receivable.open, "seed \(seed)")
    }
}
