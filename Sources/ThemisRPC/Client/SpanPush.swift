import ThemisBase
import ThemisNet
import ThemisTelemetry

/// Brings a sidecar's finished spans to the core, behind everything else: only while no call waits, one message at a time, small enough
/// to need no credit that data could use, and no more than the core has asked for. Lives on the loop.
@NetLoop final class SpanPush {
    private static let intervalMilliseconds = 200
    /// How long the core may take for an answer.
    private static let deadlineMilliseconds: UInt32 = 2_000

    private let client: RPCClient
    private let telemetry: Telemetry
    private var timer: LoopTimer?
    private var isPushing = false
    /// Spans that the core takes now; it says so with every answer. 0 while no exporter is connected.
    var credit = 0

    init(_ client: RPCClient, _ telemetry: Telemetry) {
        self.client = client
        self.telemetry = telemetry
    }

    func start() {
        let timer = LoopTimer { [weak self] in
            guard let self, mayPush else { return }
            NetLoop.spawn { await self.push() }
        }
        timer.scheduleRepeating(milliseconds: Self.intervalMilliseconds)
        self.timer = timer
    }

    /// Pushes what is left.
    func stop() async {
        timer = nil
        if mayPush { await push() }
    }

    private var mayPush: Bool {
        !isPushing && credit > 0 && client.state.isConnected && !client.hasWaitingCalls && telemetry.spans.waitingCount > 0
    }

    private func push() async {
        isPushing = true
        defer { isPushing = false }
        repeat {
            let batch = telemetry.spans.take(limit: credit, maxBytes: Limits.spanPushBytes)
            guard batch.count > 0 else { return }
            do throws(ThemisError) {
                let answer = try await client.spansPush(
                    SpansPushRequest(spans: batch.bytes), CoreLink.metadata(milliseconds: Self.deadlineMilliseconds))
                credit = Int(answer.spanCredit)
                telemetry.spans.settle(batch, isPassed: true)
            } catch {
                // Whether they arrived is not known; sent again they might be there twice.
                credit = 0
                telemetry.spans.settle(batch, isPassed: false)
                telemetry.log.debug("spans not pushed", [(.count, String(batch.count)), (.error, error.code.word)])
            }
        } while credit > 0 && client.state.isConnected && !client.hasWaitingCalls
    }
}
