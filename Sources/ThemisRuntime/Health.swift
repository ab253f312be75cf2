import ThemisBase

/// How well something does.
public enum HealthStatus: String, Sendable, Comparable {
    /// All is well.
    case healthy
    /// It serves, but someone has to look.
    case degraded
    /// It does not serve.
    case unhealthy

    /// By badness.
    public static func < (left: HealthStatus, right: HealthStatus) -> Bool { left.badness < right.badness }

    private var badness: Int {
        switch self {
        case .healthy: 0
        case .degraded: 1
        case .unhealthy: 2
        }
    }
}

/// One part of the set, as GET /health shows it.
public struct ComponentHealth: Sendable, Equatable {
    /// `core`, `changefeed`, `exporter`, `gateway`.
    public let name: String
    /// How well it does.
    public let status: HealthStatus
    /// What an operator should know; empty when there is nothing.
    public let detail: String
    /// How long it took to answer; nil when it was not asked or did not answer.
    public let latencyMilliseconds: Int64?
    /// Whether the set as a whole cannot serve without it.
    public let isVital: Bool

    /// The health of the part `name`.
    public init(
        _ name: String, _ status: HealthStatus, detail: String = "", latencyMilliseconds: Int64? = nil, vital: Bool = false
    ) {
        self.name = name
        self.status = status
        self.detail = detail
        self.latencyMilliseconds = latencyMilliseconds
        isVital = vital
    }
}

extension ComponentHealth {
    /// The core, as a sidecar that asked it sees it: its own word for its state, or that it did not answer.
    public static func core(isReachable: Bool, state: String, detail: String, latencyMilliseconds: Int64) -> ComponentHealth {
        guard isReachable else { return ComponentHealth("core", .unhealthy, detail: detail, vital: true) }
        let status: HealthStatus =
            switch state {
            case "healthy": .healthy
            case "degraded", "recovering": .degraded
            default: .unhealthy
            }
        return ComponentHealth("core", status, detail: detail, latencyMilliseconds: latencyMilliseconds, vital: true)
    }
}

/// What GET /health answers.
public struct HealthReport: Sendable, Equatable {
    /// Seconds since the answering process started.
    public let uptimeSeconds: Double
    /// The parts, in the order in which they are shown.
    public let components: [ComponentHealth]

    /// A report about `components`.
    public init(uptimeSeconds: Double, components: [ComponentHealth]) {
        self.uptimeSeconds = uptimeSeconds
        self.components = components
    }

    /// The worst of the vital parts; another part that is not healthy only degrades the set.
    public var status: HealthStatus {
        components.reduce(.healthy) { worst, part in max(worst, part.isVital ? part.status : min(part.status, .degraded)) }
    }

    /// 200, or 503 when unhealthy.
    public var httpStatus: Int { status == .unhealthy ? 503 : 200 }

    /// The body of GET /health.
    public func json() -> [UInt8] {
        var parts = JSONObject()
        for part in components {
            var object = JSONObject()
            object.add("status", part.status.rawValue)
            object.add("detail", part.detail)
            object.add("latency_ms", raw: Array((part.latencyMilliseconds.map { String($0) } ?? "null").utf8))
            parts.add(part.name, raw: object.bytes)
        }
        var object = JSONObject()
        object.add("status", status.rawValue)
        object.add("version", Build.version)
        object.add("uptime_seconds", raw: Array(Self.seconds(uptimeSeconds).utf8))
        object.add("components", raw: parts.bytes)
        return object.bytes
    }

    /// The body of GET /health/live: this process answers, so it lives.
    public static func liveJSON(uptimeSeconds: Double) -> [UInt8] {
        var object = JSONObject()
        object.add("status", "live")
        object.add("version", Build.version)
        object.add("uptime_seconds", raw: Array(seconds(uptimeSeconds).utf8))
        return object.bytes
    }

    /// The body and status of GET /health/ready: 200, or 503 with what is missing.
    public static func ready(missing detail: String?) -> (httpStatus: Int, json: [UInt8]) {
        var object = JSONObject()
        object.add("status", detail == nil ? "ready" : "not_ready")
        if let detail { object.add("detail", detail) }
        return (detail == nil ? 200 : 503, object.bytes)
    }

    private static func seconds(_ value: Double) -> String {
        guard value.isFinite, value >= 0, value < 1e12 else { return "0" }
        return "\((value * 1_000).rounded() / 1_000)"
    }
}
