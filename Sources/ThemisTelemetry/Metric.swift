/// How a metric behaves.
public enum MetricKind: UInt8, Sendable {
    /// Only grows while the process lives.
    case counter
    /// Moves both ways.
    case gauge
    /// Counts observations in buckets.
    case histogram

    /// The word of the text formats and of `docs/metrics.md`.
    public var word: String {
        switch self {
        case .counter: "counter"
        case .gauge: "gauge"
        case .histogram: "histogram"
        }
    }
}

/// What the whole set shows when several processes have the metric. Counters and histograms are always added up.
public enum MetricMerge: UInt8, Sendable {
    /// The sum of all processes.
    case sum
    /// The largest value.
    case max
    /// The core's value; the largest of the others while the core is away.
    case core
    /// One series for each process role, by an extra label `role`; within a role the sum.
    case byRole

    /// The word of `docs/metrics.md`.
    public var word: String {
        switch self {
        case .sum: "sum"
        case .max: "maximum"
        case .core: "the core's"
        case .byRole: "sum by role"
        }
    }
}

/// A row of the metric catalog. Labels are closed sets: route pattern, method, kind; never user input.
public struct Metric: Sendable, Hashable {
    /// Names for the parts of a histogram that the runbook fixed before there was a convention.
    public struct Parts: Sendable {
        /// The cumulative counts, with the label `le`.
        public let bucket: String
        /// The sum of what was observed.
        public let sum: String
        /// How often something was observed.
        public let count: String
    }

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
    /// What the whole set shows.
    public let merge: MetricMerge
    /// What is counted divided by this is shown: 1, or for instance 1 000 000 for a counter of microseconds that shows seconds.
    public let divisor: Double
    /// Whether `/metrics` shows it with the value 0 before anything was counted. Only the runbook's rows.
    public let isAlwaysShown: Bool
    /// The runbook's names of the parts of a histogram; nil for the usual suffixes.
    public let parts: Parts?

    /// Two metrics are equal when their names are.
    public static func == (left: Metric, right: Metric) -> Bool { left.name == right.name }
    /// Hashes the name.
    public func hash(into hasher: inout Hasher) { hasher.combine(name) }

    init(
        _ name: String, _ kind: MetricKind, _ help: String, labels: [String] = [], buckets: [Double] = [],
        merge: MetricMerge = .sum,
        divisor: Double = 1, alwaysShown: Bool = false, parts: Parts? = nil
    ) {
        self.name = name
        self.kind = kind
        self.help = help
        self.labels = labels
        self.buckets = buckets
        self.merge = merge
        self.divisor = divisor
        self.isAlwaysShown = alwaysShown
        self.parts = parts
    }

    private static let byName: [String: Int] = {
        var index: [String: Int] = [:]
        for (position, metric) in all.enumerated() { index[metric.name] = position }
        return index
    }()

    /// The row named `name`, nil when this build has none.
    public static func named(_ name: String) -> Metric? { byName[name].map { all[$0] } }

    /// The place of the row in `all`. A row outside the catalog would be a bug.
    var position: Int {
        guard let position = Self.byName[name] else { preconditionFailure("\(name) is missing in Metric.all") }
        return position
    }

    /// The unit that the name ends with (before `_total`), nil when it has none.
    public var unit: String? {
        let base = name.hasSuffix("_total") ? String(name.dropLast(6)) : name
        return ["microseconds", "seconds", "bytes", "ratio"].first { base.hasSuffix("_" + $0) }
    }
}
