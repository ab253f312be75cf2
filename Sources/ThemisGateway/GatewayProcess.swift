import ThemisBase
import ThemisFeed
import ThemisNet
import ThemisRPC
import ThemisRuntime
import ThemisTelemetry

/// The running gateway: one connection to the core, one HTTP server, and the changefeed's routes when they are mounted here.
@NetLoop final class GatewayProcess: Service {
    /// Requests in progress may finish for this long when the process stops, in milliseconds.
    private static let graceMilliseconds = 2_500
    /// Event streams are told to come back within this time, in milliseconds.
    private static let spreadMilliseconds = 4_000

    private let gateway: Gateway
    private let feed: Feed?
    private let server: HTTPServer
    private let metrics: RequestMetrics
    private var configuration: Configuration

    init(_ context: ServiceContext) async throws {
        let configuration = context.configuration
        let client = try RPCClient(
            RPCClient.Options(
                socketPath: configuration[Settings.rpcSocket], role: .gateway, instance: context.instance, seed: context.bootID),
            telemetry: context.telemetry)
        let link = CoreLink(client, bootID: context.bootID, telemetry: context.telemetry)
        let servesChangefeed = configuration[Settings.gatewayServesChangefeed]
        let gateway = Gateway(
            link,
            options: Gateway.Options(bodyBytes: configuration[Settings.maxRequestSize] << 20, servesChangefeed: servesChangefeed),
            bootID: context.bootID, telemetry: context.telemetry, process: context.process)
        let feed = servesChangefeed ? Self.feed(client, context) : nil
        let state = ChangefeedSwitch()
        let routes = RouteCatalog.routes(gateway) + (feed.map { ChangefeedRoutes.routes($0, isEnabled: { state.isOn }) } ?? [])
        let metrics = RequestMetrics(routes, context.telemetry.metrics)
        let server = HTTPServer(
            HTTPServerOptions(
                host: configuration[Settings.serverHost], port: UInt16(configuration[Settings.serverPort]),
                reusesPort: configuration[Settings.gatewayProcesses] > 1, maxConnections: configuration[Settings.maxConnections],
                requestTimeoutMilliseconds: configuration[Settings.requestTimeout]),
            router: Router(routes), telemetry: context.telemetry)
        server.observer = { metrics.observe($0) }
        (self.gateway, self.feed, self.server, self.metrics, self.configuration) = (gateway, feed, server, metrics, configuration)
        link.onSettings = { [weak self] values in
            guard let self else { return }
            let taken = self.configuration.taking(shared: values)
            self.configuration = taken.configuration
            server.requestTimeoutMilliseconds = taken.configuration[Settings.requestTimeout]
            context.telemetry.spans.obey(taken.configuration)
            state.isOn = taken.configuration[Settings.cdc]
            if !state.isOn { feed?.endStreams(reason: "feature_off", spreadMilliseconds: Self.spreadMilliseconds) }
        }
        client.onStateChange { [weak gateway] in gateway?.coreStateChanged($0) }
        try server.start()
        link.start()
        feed?.start()
        context.telemetry.log.info("gateway listens", [(.port, String(server.localPort))])
    }

    private static func feed(_ client: RPCClient, _ context: ServiceContext) -> Feed {
        var options = FeedOptions()
        options.maxSubscribers = context.configuration[Settings.maxConnections]
        return Feed(client: client, options: options, seed: context.bootID, telemetry: context.telemetry)
    }

    /// Ends every stream with the id to resume after, lets requests finish, says goodbye to the core.
    func drain() async {
        gateway.isDraining = true
        feed?.drain(spreadMilliseconds: Self.spreadMilliseconds)
        let ends = NetLoop.spawn { [feed] in await feed?.awaitEnds(milliseconds: Self.graceMilliseconds) }
        await server.drain(graceMilliseconds: Self.graceMilliseconds)
        await ends.value
        feed?.stop()
        server.stop()
        await gateway.link.stop()
    }
}

/// Whether the changefeed is switched on, as the core last said.
@NetLoop private final class ChangefeedSwitch {
    var isOn = true
}
