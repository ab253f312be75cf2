import ThemisBase
import ThemisNet
import ThemisRPC
import ThemisRuntime
import ThemisTelemetry

/// What is asked of the set as a whole: health, version, metrics, statistics, configuration.
@NetLoop struct SetRoutes {
    let gateway: Gateway

    /// How long the core may take to answer for GET /health, in milliseconds.
    private static let healthMilliseconds: Int64 = 1_000
    /// How long it may take to add its part to what this process can answer alone, in milliseconds.
    private static let sideMilliseconds: UInt32 = 500

    /// The parts of the set: the core is asked, the others are known by their connections to it.
    func health() async -> HealthReport {
        let started = gateway.telemetry.time.monotonicMilliseconds()
        let core = await gateway.link.probe()
        let left = Self.healthMilliseconds - (gateway.telemetry.time.monotonicMilliseconds() - started)
        let roles = core.isReachable ? await connectedRoles(withinMilliseconds: UInt32(clamping: max(1, left))) : nil
        let parts = [
            ComponentHealth.core(
                isReachable: core.isReachable, state: core.state, detail: core.detail,
                latencyMilliseconds: core.latencyMilliseconds),
            SidecarHealth.component(
                "changefeed", roles, otherwise: gateway.options.servesChangefeed ? "served by the gateway" : nil),
            SidecarHealth.component("exporter", roles, otherwise: nil),
        ]
        return HealthReport(uptimeSeconds: gateway.process.uptimeSeconds, components: parts)
    }

    /// GET `/version`.
    func version(_ exchange: HTTPExchange) async throws {
        if gateway.rocksDBVersion == nil,
            let answer = try? await gateway.placement.main.ping(CoreLink.metadata(milliseconds: Self.sideMilliseconds))
        {
            gateway.rocksDBVersion = answer.rocksDB
        }
        exchange.respondJSON(200, Self.versionJSON(rocksDB: gateway.rocksDBVersion))
    }

    /// GET `/metrics`.
    func metrics(_ exchange: HTTPExchange) async throws {
        let accept = exchange.values("accept")
        let type = MediaType.preferred(accept.isEmpty ? nil : accept.joined(separator: ","), offered: [.plainText, .openMetrics])
        let snapshot = await wholeSnapshot()
        if type == .openMetrics {
            exchange.respond(200, contentType: OpenMetricsText.mediaType, body: OpenMetricsText.write(snapshot))
        } else {
            exchange.respond(200, contentType: PrometheusText.mediaType, body: PrometheusText.write(snapshot))
        }
    }

    /// GET `/stats`.
    func stats(_ exchange: HTTPExchange) async throws {
        exchange.respondJSON(200, try await gateway.placement.main.stats(exchange.metadata()).text)
    }

    /// GET `/config`.
    func config(_ exchange: HTTPExchange) async throws {
        let view = exchange.queryParameter("view") ?? ""
        switch view {
        case "", "drift", "schema": break
        case "history":
            throw ThemisError(
                .notImplemented,
                "this version keeps no history of configuration changes; view=drift shows what differs from the file")
        default:
            let message = "must be drift, history or schema"
            throw ThemisError(.invalidRequest, "view \(message)", fields: [FieldError("view", message)])
        }
        let response = try await gateway.placement.main.configGet(ConfigRequest(view: view), exchange.metadata())
        exchange.respondJSON(200, response.text)
    }

    // MARK: Parts

    /// The roles of the processes that the core knows, nil when it does not say in time.
    private func connectedRoles(withinMilliseconds milliseconds: UInt32) async -> [String]? {
        guard
            let text = try? await gateway.placement.main.stats(
                CoreLink.metadata(milliseconds: milliseconds, scopes: .metricsRead)
            ).text,
            let peers = try? JSONValue(parsing: text)["peers"]?.elements
        else { return nil }
        return peers.compactMap { $0["role"]?.stringValue }
    }

    /// The whole set; this process alone while the core is away.
    private func wholeSnapshot() async -> MetricSnapshot {
        gateway.process.refresh()
        let coreUp = gateway.telemetry.metrics.gauge(.coreUp)
        coreUp.set(1)
        do throws(ThemisError) {
            // The core adds up what was pushed: push first, so that the answer holds this very moment of this process.
            let core = gateway.placement.main
            let metadata = CoreLink.metadata(milliseconds: Self.sideMilliseconds, scopes: .metricsRead)
            let own = MetricsPushRequest(snapshot: gateway.telemetry.metrics.snapshot().encoded(), bootID: gateway.bootID)
            _ = try await core.metricsPush(own, metadata)
            let answer = try await core.metricsRead(MetricsReadRequest(), metadata)
            return try MetricSnapshot(decoding: answer.snapshot).completed()
        } catch {
            coreUp.set(0)
            let alone = MetricAggregator()
            alone.add(
                instance: "gateway", role: "gateway", bootID: gateway.bootID, snapshot: gateway.telemetry.metrics.snapshot())
            return alone.total()
        }
    }

    /// The body of GET /version.
    static func versionJSON(rocksDB: String?) -> [UInt8] {
        var out: [UInt8] = []
        out.append(contentsOf: #"{"name":"themis","version":"\#(Build.version)","commit":"\#(Build.commit)","build_date":"#.utf8)
        JSONText.appendString(Build.date, to: &out)
        out.append(contentsOf: #","swift":"#.utf8)
        JSONText.appendString(Build.swift, to: &out)
        out.append(contentsOf: #","rocksdb":"#.utf8)
        if let rocksDB, !rocksDB.isEmpty { JSONText.appendString(rocksDB, to: &out) } else { out.append(contentsOf: "null".utf8) }
        out.append(contentsOf: #","api":1,"rpc":{"min":"#.utf8)
        JSONText.appendString(RPCVersion.oldest.description, to: &out)
        out.append(contentsOf: #","max":"#.utf8)
        JSONText.appendString(RPCVersion.current.description, to: &out)
        out.append(contentsOf: "}}".utf8)
        return out
    }
}
