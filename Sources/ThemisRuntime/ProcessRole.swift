/// What a process is in the set.
public enum ProcessRole: String, Sendable, CaseIterable {
    /// The parent that starts and watches all others on one machine.
    case all
    /// The database.
    case core
    /// The public HTTP door.
    case gateway
    /// The change streams.
    case changefeed
    /// Metrics of the set.
    case exporter

    /// The executable.
    public var program: String {
        switch self {
        case .all, .core: "themis_server"
        case .gateway: "themis_gateway"
        case .changefeed: "themis_changefeed"
        case .exporter: "themis_exporter"
        }
    }

    /// Whether it is a client of the core.
    public var isSidecar: Bool { self == .gateway || self == .changefeed || self == .exporter }
}
