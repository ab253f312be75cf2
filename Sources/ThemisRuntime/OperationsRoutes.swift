import ThemisBase
public import ThemisNet

/// The routes that every process with an HTTP door has: liveness, readiness, health.
public enum OperationsRoutes {
    /// The rows.
    ///
    /// - Parameters:
    ///   - uptimeSeconds: the age of the process.
    ///   - missing: what keeps the process from being ready, nil when nothing does. A core that went away is nothing of that kind: it shows
    ///     in the health and in the answers, but an emptied service would make proxies refuse streams for good.
    ///   - health: the parts as this process sees them; asks the core.
    public static func routes(
        uptimeSeconds: @escaping @Sendable @NetLoop () -> Double, missing: @escaping @Sendable @NetLoop () -> String?,
        health: @escaping @Sendable @NetLoop () async -> HealthReport
    ) -> [Route] {
        [
            Route(.get, "/health", scope: nil, summary: "How well the set does, part by part; really asks the core.") {
                exchange in
                let report = await health()
                answer(exchange, report.httpStatus, report.json())
            },
            // Without a task: these answer from here, at once, whatever else waits.
            .direct(
                .get, "/health/live", scope: nil, summary: "Whether this process lives.",
                handler: { exchange in answer(exchange, 200, HealthReport.liveJSON(uptimeSeconds: uptimeSeconds())) }),
            .direct(
                .get, "/health/ready", scope: nil, summary: "Whether this process may be sent requests.",
                handler: { exchange in
                    let (status, json) = HealthReport.ready(missing: missing())
                    answer(exchange, status, json)
                }),
        ]
    }

    @NetLoop private static func answer(_ exchange: HTTPExchange, _ status: Int, _ json: [UInt8]) {
        exchange.respond(status, contentType: "application/json", headers: [("Cache-Control", "no-store")], body: json)
    }
}
