import ThemisBase
import ThemisNet
import ThemisRPC
import ThemisTelemetry

/// Brings the metrics of the set to a collector every few seconds: each process as a resource of its own. Lives on the loop.
@NetLoop final class MetricExport {
    /// Encoded already: what is repeated is what was seen.
    typealias Payload = [UInt8]

    private static let intervalMilliseconds = 10_000
    private static let coreMilliseconds: UInt32 = 2_000
    /// Data points that may wait: some of the newest snapshots, each a thousand.
    private static let capacityItems = 20_000

    private let client: RPCClient
    private let telemetry: Telemetry
    private let sender: Sender<Payload>
    private let leads: @NetLoop () -> Bool
    private var starts = StartTimes()
    private var service = ""
    private var isOn = false
    private var isReading = false
    private var timer: LoopTimer?

    /// - Parameter leads: whether this exporter is the one that exports metrics.
    init(_ client: RPCClient, seed: UInt64, telemetry: Telemetry, leads: @escaping @NetLoop () -> Bool) {
        self.client = client
        self.telemetry = telemetry
        self.leads = leads
        var options = Delivery<Payload>.Options(capacityItems: Self.capacityItems, capacityBytes: 8 << 20)
        options.batchItems = 1
        options.lingerMilliseconds = 0
        options.dropsOldest = true
        sender = Sender("metrics", path: "/v1/metrics", options, seed: seed, telemetry: telemetry) { $0.flatMap { $0 } }
    }

    /// Exports to another collector from now on, or to none.
    func configure(_ origin: HTTPOrigin?, service: String) {
        self.service = service
        isOn = origin != nil
        sender.configure(origin)
        guard isOn, timer == nil else { return }
        let timer = LoopTimer { [weak self] in self?.tick() }
        timer.scheduleRepeating(milliseconds: Self.intervalMilliseconds)
        self.timer = timer
    }

    /// Sends what is here, within `milliseconds`.
    func finish(milliseconds: Int) async {
        timer = nil
        await sender.finish(milliseconds: milliseconds)
    }

    private func tick() {
        guard isOn, !isReading, leads(), client.state.isConnected else { return }
        isReading = true
        NetLoop.spawn {
            await self.read()
            self.isReading = false
        }
    }

    private func read() async {
        do throws(ThemisError) {
            let answer = try await client.metricsRead(
                MetricsReadRequest(byInstance: true), CoreLink.metadata(milliseconds: Self.coreMilliseconds, scopes: .metricsRead))
            let snapshot = try MetricSnapshot(decoding: answer.snapshot)
            let now = UInt64(max(0, telemetry.time.wallNanoseconds()))
            let parts = MetricParts.parts(of: snapshot, service: service, nowNanoseconds: now, &starts)
            let (body, points) = OTLPMetrics.encode(parts, atNanoseconds: now)
            if points > 0 { sender.add(body, items: points, bytes: body.count) }
        } catch {
            telemetry.log.debug("metrics not read", [(.error, error.code.word)])
        }
    }
}

/// The metrics of a set, process by process.
enum MetricParts {
    private struct Owner: Hashable {
        let instance: String
        let role: String
    }

    /// Splits a snapshot by its labels `instance` and `role`.
    static func parts(
        of snapshot: MetricSnapshot, service: String, nowNanoseconds now: UInt64, _ starts: inout StartTimes
    ) -> [OTLPMetrics.Part] {
        var families: [Owner: [MetricSnapshot.Family]] = [:]
        for family in snapshot.families where family.addedLabels == ["instance", "role"] {
            let own = family.metric.labels.count
            var split: [Owner: [MetricSnapshot.Series]] = [:]
            for series in family.series where series.labels.count == own + 2 {
                let owner = Owner(instance: series.labels[own], role: series.labels[own + 1])
                split[owner, default: []].append(.init(labels: Array(series.labels[..<own]), value: series.value))
            }
            for (owner, series) in split { families[owner, default: []].append(.init(metric: family.metric, series: series)) }
        }
        starts.keep(Set(families.keys.map(\.instance)))
        return families.sorted { ($0.key.role, $0.key.instance) < ($1.key.role, $1.key.instance) }.map { owner, families in
            let snapshot = MetricSnapshot(families: families)
            var uptime: Double?
            if case .gauge(let seconds)? = snapshot.value(.uptime) { uptime = seconds }
            // The labels of the row are version and commit.
            let version = snapshot.family(.buildInfo)?.series.first?.labels.first ?? ""
            return OTLPMetrics.Part(
                resource: OTLPResource(service: service, instance: owner.instance, role: owner.role, version: version),
                startNanoseconds: starts.start(of: owner.instance, uptimeSeconds: uptime, nowNanoseconds: now), families: families)
        }
    }
}

/// When each process began to count: the same at every export until it has restarted.
struct StartTimes: Sendable {
    /// Uptime is told in seconds and late: a start that seems to move less is the same one.
    private static let slackNanoseconds: UInt64 = 5_000_000_000

    private var known: [String: UInt64] = [:]

    init() {}

    /// Nanoseconds since 1970.
    mutating func start(of instance: String, uptimeSeconds: Double?, nowNanoseconds now: UInt64) -> UInt64 {
        let age = UInt64(max(0, min(uptimeSeconds ?? 0, Double(now / 1_000_000_000))) * 1e9)
        let seen = now - min(now, age)
        if let start = known[instance], uptimeSeconds == nil || seen <= start + Self.slackNanoseconds { return start }
        known[instance] = seen
        return seen
    }

    /// Forgets processes that are gone.
    mutating func keep(_ instances: Set<String>) { known = known.filter { instances.contains($0.key) } }
}
