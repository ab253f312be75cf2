import ThemisBase
import ThemisNet
import ThemisRPC
import ThemisRuntime
import ThemisTelemetry

/// The running exporter: asks the core for everyone's metrics whenever it is scraped.
@NetLoop final class ExporterProcess: Service {
    private let link: CoreLink
    private let server: HTTPServer
    private let spans: SpanExport
    private let metrics: MetricExport
    private var configuration: Configuration

    init(_ context: ServiceContext) async throws {
        let configuration = context.configuration
        let client = try RPCClient(
            .init(socketPath: configuration[Settings.rpcSocket], role: .exporter, instance: context.instance, seed: context.bootID),
            telemetry: context.telemetry)
        let link = CoreLink(client, bootID: context.bootID, telemetry: context.telemetry)
        let process = context.process
        let telemetry = context.telemetry
        let routes =
            OperationsRoutes.routes(
                uptimeSeconds: { process.uptimeSeconds }, missing: { link.missing },
                health: {
                    let core = await link.probe()
                    let part = ComponentHealth.core(
                        isReachable: core.isReachable, state: core.state, detail: core.detail,
                        latencyMilliseconds: core.latencyMilliseconds)
                    return HealthReport(uptimeSeconds: process.uptimeSeconds, components: [part])
                })
            + [
                Route(
                    .get, "/metrics", scope: .metricsRead,
                    summary: "Metrics of the set by instance, in OpenMetrics 1.0 or, if asked for, in the Prometheus text form."
                ) { exchange in
                    try await Self.scrape(exchange, link, telemetry)
                }
            ]
        server = HTTPServer(
            HTTPServerOptions(
                host: configuration[Settings.exporterHost], port: UInt16(configuration[Settings.exporterPort]),
                requestTimeoutMilliseconds: configuration[Settings.requestTimeout]),
            router: Router(routes), telemetry: telemetry)
        self.link = link
        self.configuration = configuration
        let spans = SpanExport(client, seed: context.bootID, telemetry: telemetry)
        self.spans = spans
        metrics = MetricExport(client, seed: context.bootID, telemetry: telemetry) { spans.leads }
        link.onSettings = { [weak self] values in self?.take(values, telemetry) }
        try server.start()
        link.start()
        telemetry.log.info("exporter listens", [(.port, String(server.localPort))])
    }

    /// The core has told its settings.
    private func take(_ values: [(path: String, text: String)], _ telemetry: Telemetry) {
        configuration = configuration.taking(shared: values).configuration
        telemetry.spans.obey(configuration)
        let isOn = configuration[Settings.tracingEnabled]
        let origin = isOn ? configuration[Settings.tracingEndpoint].flatMap { HTTPOrigin(parsing: $0) } : nil
        let service = configuration[Settings.tracingServiceName]
        spans.configure(origin, service: service)
        metrics.configure(origin, service: service)
    }

    /// What was taken may still reach its collector within this time, in milliseconds.
    private static let finishMilliseconds = 1_500

    func drain() async {
        async let sentSpans: Void = spans.finish(milliseconds: Self.finishMilliseconds)
        async let sentMetrics: Void = metrics.finish(milliseconds: Self.finishMilliseconds)
        _ = await (sentSpans, sentMetrics)
        await server.drain(graceMilliseconds: 2_500)
        server.stop()
        await link.stop()
    }

    /// How long the core may take before the answer says that it is away, in milliseconds.
    private static let coreMilliseconds: UInt32 = 1_000

    private static func scrape(_ exchange: HTTPExchange, _ link: CoreLink, _ telemetry: Telemetry) async throws {
        var snapshot: MetricSnapshot
        do {
            let answer = try await link.client.metricsRead(
                MetricsReadRequest(byInstance: true), CoreLink.metadata(milliseconds: coreMilliseconds, scopes: .metricsRead))
            snapshot = try MetricSnapshot(decoding: answer.snapshot)
        } catch {
            // The core is away or too slow: what this process knows, and that it is so. What it reports later must not say so for good.
            let coreUp = telemetry.metrics.gauge(.coreUp)
            coreUp.set(0)
            snapshot = telemetry.metrics.snapshot()
            coreUp.set(link.client.state.isConnected ? 1 : 0)
        }
        let isPlain =
            exchange.head.fields["accept"].map { !$0.contains("application/openmetrics-text") && $0.contains("text/plain") } ?? false
        if isPlain {
            exchange.respond(200, contentType: PrometheusText.mediaType, body: PrometheusText.write(snapshot))
        } else {
            exchange.respond(200, contentType: OpenMetricsText.mediaType, body: OpenMetricsText.write(snapshot))
        }
    }
}
