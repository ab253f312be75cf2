import ThemisBase
import ThemisFeed
import ThemisNet
import ThemisRPC
import ThemisRuntime
import ThemisTelemetry

/// The running changefeed: one connection to the core, one ring, many streams.
@NetLoop final class ChangefeedProcess: Service {
    /// Streams that end are told to come back within this time, in milliseconds.
    private static let spreadMilliseconds = 4_000

    private let link: CoreLink
    private let feed: Feed
    private let server: HTTPServer
    private var configuration: Configuration

    init(_ context: ServiceContext) async throws {
        configuration = context.configuration
        let configuration = context.configuration
        let client = try RPCClient(
            .init(
                socketPath: configuration[Settings.rpcSocket], role: .changefeed, instance: context.instance, seed: context.bootID),
            telemetry: context.telemetry)
        let link = CoreLink(client, bootID: context.bootID, telemetry: context.telemetry)
        var options = FeedOptions()
        options.maxSubscribers = configuration[Settings.maxConnections]
        let feed = Feed(client: client, options: options, seed: context.bootID, telemetry: context.telemetry)
        let state = FeatureState()
        let process = context.process
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
            + ChangefeedRoutes.routes(feed, isEnabled: { state.isEnabled })
        server = HTTPServer(
            HTTPServerOptions(
                host: configuration[Settings.changefeedHost], port: UInt16(configuration[Settings.changefeedPort]),
                reusesPort: configuration[Settings.changefeedProcesses] > 1, maxConnections: configuration[Settings.maxConnections],
                requestTimeoutMilliseconds: configuration[Settings.requestTimeout]),
            router: Router(routes), telemetry: context.telemetry)
        self.link = link
        self.feed = feed
        link.onSettings = { [weak self] values in
            guard let self else { return }
            self.configuration = self.configuration.taking(shared: values).configuration
            context.telemetry.spans.obey(self.configuration)
            state.isEnabled = self.configuration[Settings.cdc]
            if !state.isEnabled { feed.endStreams(reason: "feature_off", spreadMilliseconds: Self.spreadMilliseconds) }
            server.requestTimeoutMilliseconds = self.configuration[Settings.requestTimeout]
        }
        try server.start()
        link.start()
        feed.start()
        context.telemetry.log.info("changefeed listens", [(.port, String(server.localPort))])
    }

    /// Ends every stream with the id to resume after, lets requests finish, says goodbye to the core.
    func drain() async {
        feed.drain(spreadMilliseconds: Self.spreadMilliseconds)
        let ends = NetLoop.spawn { [feed] in await feed.awaitEnds(milliseconds: 2_500) }
        await server.drain(graceMilliseconds: 2_500)
        await ends.value
        feed.stop()
        server.stop()
        await link.stop()
    }
}

/// Whether the changefeed is switched on, as the core last said.
@NetLoop private final class FeatureState {
    var isEnabled = true
}
