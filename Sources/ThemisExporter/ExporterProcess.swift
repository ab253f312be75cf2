import ThemisBase
import ThemisNet
import ThemisRPC
import ThemisRuntime
import ThemisTelemetry

/// The running exporter: asks the core for everyone's metrics whenever it is scraped.
@NetLoop final class ExporterProcess: Service {
    private let link: CoreLink
    private let server: HTTPServer

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
        try server.start()
        link.start()
        telemetry.log.info("exporter listens", [(.port, String(server.localPort))])
    }

    func drain() async {
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
