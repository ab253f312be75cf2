import Foundation
import ThemisBase
import ThemisNet
import ThemisRPC
import ThemisTelemetry
import ThemisTestKit

@testable import ThemisFeed

/// A core that has a change log and nothing else, in the test's process.
@NetLoop final class FakeLog {
    let path = TestDirectory.path("log") + "/core.sock"
    var epoch = "e0"
    var oldest: SequenceNumber = 1
    var latest: SequenceNumber = 0
    /// Bytes of the document with a sequence.
    var bytes: @Sendable (SequenceNumber) -> Int = { _ in 20 }
    /// How many system records hang at a sequence; they come with the data record behind it.
    var system: [SequenceNumber: UInt32] = [:]
    /// What every read is refused with.
    var failure: ThemisError?
    /// Whether reads are held until `release`.
    var holds = false
    var reads = 0
    /// Streams of followers that are open.
    private(set) var followers = 0
    /// Streams of followers that were ever opened.
    private(set) var follows = 0
    private var held: [(call: RPCServerCall, page: ChangesPage)] = []
    private var server: RPCServer?
    private var observers: [CheckedContinuation<Void, Never>] = []

    func start() throws {
        let server = RPCServer(.init(socketPath: path, bootID: .random(), epoch: epoch), telemetry: .silent()) { [unowned self] in take($0)
        }
        try server.start()
        self.server = server
    }

    func stop() { server?.stop() }

    /// A feed that asks this core. It does not follow it: tests say what it hears.
    func makeFeed(_ time: some TimeSource, _ adjust: (inout FeedOptions) -> Void = { _ in }) throws -> Feed {
        let client = try RPCClient(.init(socketPath: path, role: .changefeed, instance: "test", seed: 1), telemetry: .silent())
        client.start()
        var options = FeedOptions()
        adjust(&options)
        return Feed(client: client, options: options, seed: 1, telemetry: .silent(time: time))
    }

    /// A page as the follow stream brings it.
    func page(_ sequences: ClosedRange<SequenceNumber>) -> ChangesPage {
        latest = max(latest, sequences.upperBound)
        return page(after: sequences.lowerBound - 1, limit: sequences.count)
    }

    private func page(after: SequenceNumber, limit: Int) -> ChangesPage {
        let last = min(latest, after + UInt64(limit))
        return ChangesPage(
            changes: last > after ? ((after + 1)...last).map { makeChange($0, bytes: bytes($0)) } : [], nextAfter: max(after, last),
            latest: latest, oldest: oldest, epoch: epoch)
    }

    /// Waits until `condition` holds, which is looked at whenever a request comes or a follower leaves.
    func wait(until condition: @NetLoop () -> Bool) async {
        while !condition() { await withCheckedContinuation { observers.append($0) } }
    }

    /// Answers the reads that were held, with what they would have got when they came.
    func release() {
        holds = false
        for (call, page) in held { call.respond(page) }
        held = []
    }

    private func take(_ call: RPCServerCall) {
        do throws(ThemisError) { try answer(call) } catch { call.fail(error) }
        tellObservers()
    }

    private func tellObservers() {
        let waiting = observers
        observers = []
        for observer in waiting { observer.resume() }
    }

    private func follow(_ call: RPCServerCall) throws(ThemisError) {
        followers += 1
        follows += 1
        call.onCancel = { [unowned self] in
            followers -= 1
            call.finish()
            tellObservers()
        }
        var payload = MessagePayload()
        try payload.append(page(after: latest, limit: 0))
        call.send(payload)
    }

    private func answer(_ call: RPCServerCall) throws(ThemisError) {
        if call.method == .changesFollow { return try follow(call) }
        guard call.method == .changesRead else {
            return call.respond(ChangesInfoResponse(latest: latest, oldest: oldest, epoch: epoch))
        }
        reads += 1
        if let failure { throw failure }
        let request = try call.decode(ChangesReadRequest.self)
        guard request.epoch.isEmpty || request.epoch == epoch else { throw ThemisError(.epochChanged, "another epoch") }
        guard request.after + 1 >= oldest else { throw ThemisError(.historyGone, "gone") }
        var answer = page(after: request.after, limit: Int(request.limit))
        if let kinds = request.filter?.kinds, kinds.contains(.system) { addSystem(to: &answer, behind: request.after, kinds) }
        if holds { held.append((call, answer)) } else { call.respond(answer) }
    }

    private func addSystem(to page: inout ChangesPage, behind after: SequenceNumber, _ kinds: ChangeKinds) {
        var changes: [ChangeMessage] = []
        for sequence in after..<page.nextAfter {
            for index in 0..<(system[sequence] ?? 0) {
                changes.append(
                    ChangeMessage(sequence: sequence, ordinal: index + 1, kind: .system, table: "t", pk: "", value: [0x7B, 0x7D]))
            }
            if kinds.contains(.put) { changes += page.changes.filter { $0.sequence == sequence + 1 } }
        }
        page.changes = changes
    }
}
