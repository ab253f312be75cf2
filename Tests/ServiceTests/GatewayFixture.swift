import ThemisBase
import ThemisFeed
import ThemisNet
import ThemisRPC
import ThemisTelemetry
import ThemisTestKit

@testable import ThemisGateway

/// The blocking client of the tests, not the one that services use.
typealias TestClient = ThemisTestKit.HTTPClient
/// What it receives.
typealias TestAnswer = ThemisTestKit.HTTPAnswer

/// A gateway in the test's process over a fake core.
@NetLoop final class GatewayFixture {
    let core: FakeCore
    let gateway: Gateway
    let server: HTTPServer
    let telemetry: Telemetry
    private let client: RPCClient
    private let feed: Feed
    private let metrics: RequestMetrics

    init(startsCore: Bool = true, requestTimeoutMilliseconds: Int = 10_000, bodyBytes: Int = 10 << 20) throws {
        telemetry = .silent()
        core = FakeCore()
        if startsCore { try core.start() }
        var options = RPCClient.Options(socketPath: core.path, role: .gateway, instance: "test", seed: Seed.current())
        options.connectWaitMilliseconds = 200
        client = try RPCClient(options, telemetry: telemetry)
        let link = CoreLink(client, bootID: 7, telemetry: telemetry)
        gateway = Gateway(
            link, options: Gateway.Options(bodyBytes: bodyBytes, servesChangefeed: true), bootID: 7, telemetry: telemetry,
            process: ProcessMetrics(telemetry, answersRequests: true))
        feed = Feed(client: client, options: FeedOptions(), seed: 7, telemetry: telemetry)
        let routes = RouteCatalog.routes(gateway) + ChangefeedRoutes.routes(feed, isEnabled: { true })
        metrics = RequestMetrics(routes, telemetry.metrics)
        server = HTTPServer(
            HTTPServerOptions(port: 0, requestTimeoutMilliseconds: requestTimeoutMilliseconds), router: Router(routes),
            telemetry: telemetry)
        server.observer = { [metrics] in metrics.observe($0) }
        try server.start()
        link.start()
    }

    var port: UInt16 { UInt16(server.localPort) }

    func stop() {
        server.stop()
        client.stop()
        core.stop()
    }

    /// Runs `body` with a gateway and a blocking client of it.
    nonisolated static func with(
        startsCore: Bool = true, requestTimeoutMilliseconds: Int = 10_000, bodyBytes: Int = 10 << 20,
        _ body: (GatewayFixture, TestClient) async throws -> Void
    ) async throws {
        LoopThread.start()
        let fixture = try await GatewayFixture(
            startsCore: startsCore, requestTimeoutMilliseconds: requestTimeoutMilliseconds, bodyBytes: bodyBytes)
        if startsCore { await fixture.connected() }
        let client = TestClient(port: await fixture.port)
        do {
            try await body(fixture, client)
        } catch {
            await fixture.stop()
            throw error
        }
        client.close()
        await fixture.stop()
    }

    /// Waits until the gateway has met the core.
    func connected() async {
        await withCheckedContinuation { continuation in
            var isDone = false
            client.onStateChange { state in
                guard !isDone, state.isConnected else { return }
                isDone = true
                continuation.resume()
            }
        }
    }
}
