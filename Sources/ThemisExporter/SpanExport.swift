import ThemisBase
import ThemisNet
import ThemisRPC
import ThemisTelemetry

/// Takes the spans of the set from the core and brings them to a collector. Lives on the loop.
@NetLoop final class SpanExport {
    /// Spans of one process.
    struct Group: Sendable {
        let resource: OTLPResource
        let spans: [Span]
    }

    private static let waitMilliseconds: UInt32 = 5_000
    /// How long the core may take beyond the wait.
    private static let marginMilliseconds: UInt32 = 5_000
    private static let pauseMilliseconds = 1_000

    private let client: RPCClient
    private let telemetry: Telemetry
    private let sender: Sender<Group>
    private var service = ""
    private var isOn = false
    private var isStopped = false
    private var isTaking = false
    private var arrived: UInt64 = 0
    private var retry: LoopTimer?
    private var task: Task<Void, Never>?
    /// Whether of all exporters this one also exports the metrics.
    private(set) var leads = false

    init(_ client: RPCClient, seed: UInt64, telemetry: Telemetry) {
        self.client = client
        self.telemetry = telemetry
        let options = Delivery<Group>.Options(capacityItems: Limits.exporterSpans, capacityBytes: Limits.exporterSpanBytes)
        sender = Sender("spans", path: "/v1/traces", options, seed: seed, telemetry: telemetry) { groups in
            OTLPTraces.encode(groups.map { ($0.resource, $0.spans) })
        }
        sender.onRoom = { [weak self] in self?.take() }
        client.onStateChange { [weak self] state in if state.isConnected { self?.take() } }
    }

    /// Exports to another collector from now on, or to none.
    func configure(_ origin: HTTPOrigin?, service: String) {
        self.service = service
        isOn = origin != nil
        if !isOn { leads = false }
        sender.configure(origin)
        take()
    }

    /// Sends what is here, within `milliseconds`.
    func finish(milliseconds: Int) async {
        isStopped = true
        retry = nil
        task?.cancel()
        await sender.finish(milliseconds: milliseconds)
    }

    /// Asks the core for more while there is room: a full queue leaves the spans where they are.
    private func take() {
        guard isOn, !isStopped, !isTaking, sender.hasRoom, client.state.isConnected else { return }
        isTaking = true
        task = NetLoop.spawn {
            do throws(ThemisError) {
                let request = SpansTakeRequest(arrived: self.arrived, waitMilliseconds: Self.waitMilliseconds)
                let metadata = CoreLink.metadata(
                    milliseconds: Self.waitMilliseconds + Self.marginMilliseconds, scopes: .metricsRead)
                let answer = try await self.client.spansTake(request, metadata)
                self.isTaking = false
                self.add(answer)
                self.take()
            } catch {
                self.isTaking = false
                self.telemetry.log.debug("spans not taken", [(.error, error.code.word)])
                self.takeLater()
            }
        }
    }

    private func takeLater() {
        guard !isStopped else { return }
        let timer = LoopTimer { [weak self] in self?.take() }
        timer.schedule(milliseconds: Self.pauseMilliseconds)
        retry = timer
    }

    private func add(_ answer: SpansTakeResponse) {
        arrived = answer.batch
        leads = answer.leads
        for group in answer.groups {
            guard let batch = try? SpanBatch(group.spans) else {
                sender.addDamaged(1)
                continue
            }
            var spans: [Span] = []
            var bytes = 0
            var damaged = 0
            batch.forEach { encoded in
                if let span = try? Span(decoding: encoded) {
                    spans.append(span)
                    bytes += encoded.count
                } else {
                    damaged += 1
                }
            }
            if damaged > 0 { sender.addDamaged(damaged) }
            guard !spans.isEmpty else { continue }
            let resource = OTLPResource(service: service, instance: group.instance, role: group.role, version: group.version)
            sender.add(Group(resource: resource, spans: spans), items: spans.count, bytes: bytes)
        }
    }
}
