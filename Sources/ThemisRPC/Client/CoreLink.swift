public import ThemisBase
public import ThemisNet
public import ThemisTelemetry

/// What every sidecar does with its connection to the core: reports its metrics each second and its spans as they come, and takes over
/// the settings that the core holds for the whole set. Lives on the loop.
@NetLoop public final class CoreLink {
    /// The connection.
    public let client: RPCClient
    /// Whether the core was reached at least once: a sidecar is ready from then on, also while the core is away.
    public private(set) var hasConnected = false
    /// Called with the core's settings, as key and text, after each connect. The set's configuration is the core's.
    public var onSettings: (@NetLoop ([(path: String, text: String)]) -> Void)?

    private let telemetry: Telemetry
    private let bootID: UInt64
    private let spans: SpanPush
    private var second: LoopTimer?
    private var isPushing = false
    private var lacksSettings = false
    private var isFetching = false

    /// A link over `client`. `bootID` differs with every start of this process, so that the core adds counters up rightly.
    public init(_ client: RPCClient, bootID: UInt64, telemetry: Telemetry) {
        self.client = client
        self.bootID = bootID
        self.telemetry = telemetry
        spans = SpanPush(client, telemetry)
    }

    /// Connects and keeps connected.
    public func start() {
        client.onStateChange { [weak self] state in
            guard let self else { return }
            telemetry.metrics.gauge(.coreUp).set(state.isConnected ? 1 : 0)
            guard state.isConnected else { return }
            hasConnected = true
            lacksSettings = true
            NetLoop.spawn { await self.fetchSettings() }
        }
        client.start()
        let second = LoopTimer { [weak self] in
            guard let self, client.state.isConnected else { return }
            // A core that was busy when it was asked is asked again.
            if lacksSettings { NetLoop.spawn { await self.fetchSettings() } }
            guard !isPushing else { return }
            isPushing = true
            NetLoop.spawn { await self.pushMetrics() }
        }
        second.scheduleRepeating(milliseconds: 1_000)
        self.second = second
        spans.start()
    }

    /// Reports the metrics a last time, and ends the connection.
    public func stop() async {
        second = nil
        await spans.stop()
        if client.state.isConnected, !isPushing { await pushMetrics() }
        client.stop()
    }

    /// What keeps this process from being ready; nil when nothing does. A core that went away later is not of that kind.
    public var missing: String? { hasConnected ? nil : "the core was not reached yet" }

    /// Asks the core how it does, within a second.
    public func probe() async -> (isReachable: Bool, state: String, detail: String, latencyMilliseconds: Int64) {
        let begin = telemetry.time.monotonicMilliseconds()
        do throws(ThemisError) {
            let answer = try await client.ping(Self.metadata(milliseconds: 1_000))
            return (true, answer.state, answer.detail, telemetry.time.monotonicMilliseconds() - begin)
        } catch {
            return (false, "unreachable", error.message, telemetry.time.monotonicMilliseconds() - begin)
        }
    }

    /// Metadata of what a sidecar asks in its own name.
    public static func metadata(milliseconds: UInt32, scopes: Scopes = []) -> RequestMetadata {
        RequestMetadata(deadlineMilliseconds: milliseconds, principal: "sidecar", scopes: scopes)
    }

    private func pushMetrics() async {
        let request = MetricsPushRequest(snapshot: telemetry.metrics.snapshot().encoded(), bootID: bootID)
        do throws(ThemisError) {
            let answer = try await client.metricsPush(request, Self.metadata(milliseconds: 1_000))
            spans.credit = Int(answer.spanCredit)
        } catch {
            // Values are absolute: the next push says the same.
            telemetry.log.debug("metrics not pushed", [(.error, error.code.word)])
        }
        isPushing = false
    }

    private func fetchSettings() async {
        guard lacksSettings, !isFetching else { return }
        isFetching = true
        lacksSettings = false
        defer { isFetching = false }
        do throws(ThemisError) {
            let answer = try await client.configGet(
                ConfigRequest(view: "shared"), Self.metadata(milliseconds: 5_000, scopes: .configRead))
            onSettings?(try Self.settings(answer.text))
        } catch {
            lacksSettings = true
            telemetry.log.warning("settings of the core could not be read", [(.error, error.description)])
        }
    }

    private static func settings(_ text: [UInt8]) throws(ThemisError) -> [(path: String, text: String)] {
        guard let members = try JSONValue(parsing: text).members else {
            throw ThemisError(.internalError, "the core's settings are not an object")
        }
        return members.compactMap { member in member.value.stringValue.map { (member.name.text, $0) } }
    }
}
