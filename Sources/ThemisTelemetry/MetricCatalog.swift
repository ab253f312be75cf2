/// How a metric behaves.
public enum MetricKind: UInt8, Sendable {
    /// Only grows while the process lives.
    case counter
    /// Moves both ways.
    case gauge
    /// Counts observations in buckets.
    case histogram
}

/// A row of the metric catalog. Labels are closed sets: route pattern, method, kind; never user input.
public struct Metric: Sendable, Hashable {
    /// The name at `/metrics`, with its unit last.
    public let name: String
    /// How it behaves.
    public let kind: MetricKind
    /// What it says, with its unit.
    public let help: String
    /// Names of its labels, in order.
    public let labels: [String]
    /// Upper bounds of histogram buckets; empty for others.
    public let buckets: [Double]

    /// Two metrics are equal when their names are.
    public static func == (left: Metric, right: Metric) -> Bool { left.name == right.name }
    /// Hashes the name.
    public func hash(into hasher: inout Hasher) { hasher.combine(name) }

    init(_ name: String, _ kind: MetricKind, _ help: String, labels: [String] = [], buckets: [Double] = []) {
        self.name = name
        self.kind = kind
        self.help = help
        self.labels = labels
        self.buckets = buckets
    }
}

/// The one list of metrics. `docs/metrics.md` is generated from `all`.
extension Metric {
    /// Seconds since this process started.
    public static let uptime = Metric("process_uptime_seconds", .gauge, "Seconds since the process started.")

    /// Every row, in the order in which `/metrics` shows them: the runbook's first.
    public static let all: [Metric] = [uptime]
}
