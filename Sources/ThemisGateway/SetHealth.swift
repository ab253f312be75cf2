import ThemisBase
import ThemisRuntime

/// How the parts of the set are, judged by what the core said.
enum SetHealth {
    /// What the core answered to a ping.
    struct CoreAnswer {
        /// The word of the RPC contract: healthy, degraded, read_only, recovering.
        let state: String
        let detail: String
        let latencyMilliseconds: Int64
    }

    /// The parts that GET /health shows.
    ///
    /// - Parameters:
    ///   - core: the core's answer, or why there was none.
    ///   - roles: the roles of the processes connected to the core; nil when it did not say.
    ///   - servesChangefeed: whether this process answers the changefeed routes itself.
    static func components(core: Result<CoreAnswer, ThemisError>, roles: [String]?, servesChangefeed: Bool) -> [ComponentHealth] {
        [
            component(core), component("changefeed", roles, fallback: servesChangefeed ? "served by the gateway" : nil),
            component("exporter", roles, fallback: nil),
        ]
    }

    private static func component(_ core: Result<CoreAnswer, ThemisError>) -> ComponentHealth {
        switch core {
        case .failure(let error): return ComponentHealth("core", .unhealthy, detail: error.message, vital: true)
        case .success(let answer):
            let status: HealthStatus =
                switch answer.state {
                case "healthy": .healthy
                case "degraded": .degraded
                default: .unhealthy
                }
            let detail = answer.detail.isEmpty && status != .healthy ? answer.state : answer.detail
            return ComponentHealth("core", status, detail: detail, latencyMilliseconds: answer.latencyMilliseconds, vital: true)
        }
    }

    private static func component(_ role: String, _ roles: [String]?, fallback: String?) -> ComponentHealth {
        guard let roles else { return ComponentHealth(role, .degraded, detail: "unknown: the core did not say") }
        let count = roles.count { $0 == role }
        if count > 0 { return ComponentHealth(role, .healthy, detail: "\(count) connected") }
        if let fallback { return ComponentHealth(role, .healthy, detail: fallback) }
        return ComponentHealth(role, .degraded, detail: "not connected")
    }
}
