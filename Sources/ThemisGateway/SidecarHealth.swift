import ThemisRuntime

/// How a kind of sidecar is, judged by its connections to the core.
enum SidecarHealth {
    /// The part `role` of GET /health.
    ///
    /// - Parameters:
    ///   - roles: the roles of the processes connected to the core; nil when it did not say.
    ///   - otherwise: why the set does well without one; nil when it does not.
    static func component(_ role: String, _ roles: [String]?, otherwise: String?) -> ComponentHealth {
        guard let roles else { return ComponentHealth(role, .degraded, detail: "unknown: the core did not say") }
        let count = roles.count { $0 == role }
        if count > 0 { return ComponentHealth(role, .healthy, detail: "\(count) connected") }
        if let otherwise { return ComponentHealth(role, .healthy, detail: otherwise) }
        return ComponentHealth(role, .degraded, detail: "not connected")
    }
}
