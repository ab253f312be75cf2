/// The value of one series.
public enum MetricValue: Sendable, Equatable {
    /// What a counter counted, before its row's divisor.
    case counter(UInt64)
    /// What a gauge shows.
    case gauge(Double)
    /// Counts per bucket (not cumulative; the last has no bound) and the sum of what was observed.
    case histogram(counts: [UInt64], sum: Double)

    /// The value before anything was counted.
    static func zero(of metric: Metric) -> MetricValue {
        switch metric.kind {
        case .counter: .counter(0)
        case .gauge: .gauge(0)
        case .histogram: .histogram(counts: Array(repeating: 0, count: metric.buckets.count + 1), sum: 0)
        }
    }

    /// Both together. Values of different kinds cannot meet: the row decides the kind.
    func adding(_ other: MetricValue) -> MetricValue {
        switch (self, other) {
        case (.counter(let left), .counter(let right)): .counter(left &+ right)
        case (.gauge(let left), .gauge(let right)): .gauge(left + right)
        case (.histogram(let counts, let sum), .histogram(let more, let moreSum)) where counts.count == more.count:
            .histogram(counts: zip(counts, more).map { $0 &+ $1 }, sum: sum + moreSum)
        default: self
        }
    }

    /// The larger of two gauges; other kinds are added.
    func larger(_ other: MetricValue) -> MetricValue {
        if case .gauge(let left) = self, case .gauge(let right) = other { return .gauge(left >= right ? left : right) }
        return adding(other)
    }
}

/// The values of all series at one moment: plain values that can be added, sent and written as text.
public struct MetricSnapshot: Sendable, Equatable {
    /// One series of a family.
    public struct Series: Sendable, Equatable {
        /// Values of the family's labels, in their order.
        public var labels: [String]
        /// The value.
        public var value: MetricValue

        /// A series with these label values.
        public init(labels: [String], value: MetricValue) {
            self.labels = labels
            self.value = value
        }
    }

    /// All series of one row.
    public struct Family: Sendable, Equatable {
        /// The row.
        public let metric: Metric
        /// Labels that an aggregation added behind the row's own: `role`, or `instance` and `role`.
        public let addedLabels: [String]
        /// The series, ordered by their labels.
        public var series: [Series]

        /// A family of the row `metric`.
        public init(metric: Metric, addedLabels: [String] = [], series: [Series]) {
            self.metric = metric
            self.addedLabels = addedLabels
            self.series = series
        }

        /// All label names, in order.
        public var labelNames: [String] { metric.labels + addedLabels }
    }

    /// The families, in the order of the catalog.
    public var families: [Family]

    /// A snapshot of `families`, which are in the order of the catalog.
    public init(families: [Family] = []) { self.families = families }

    /// The family of `metric`, nil when nothing was counted.
    public func family(_ metric: Metric) -> Family? { families.first { $0.metric == metric } }

    /// The value of `metric` with exactly these label values, nil when nothing was counted.
    public func value(_ metric: Metric, _ labels: String...) -> MetricValue? {
        family(metric)?.series.first { $0.labels == labels }?.value
    }

    /// The same with a zero series for each row that is shown before anything was counted.
    public func completed() -> MetricSnapshot {
        var found: [Metric: Family] = [:]
        for family in families { found[family.metric] = family }
        return MetricSnapshot(
            families: Metric.all.compactMap { metric in
                if let family = found[metric] { return family }
                guard metric.isAlwaysShown, metric.labels.isEmpty else { return nil }
                return Family(metric: metric, series: [Series(labels: [], value: .zero(of: metric))])
            })
    }
}

/// Gathers series and puts them in order.
struct SnapshotBuilder {
    private var values: [Metric: [[String]: MetricValue]] = [:]
    private var added: [Metric: [String]] = [:]

    /// Puts `value` in, joined with what is there by `join`.
    mutating func add(
        _ metric: Metric, _ labels: [String], _ value: MetricValue, addedLabels: [String] = [],
        join: (MetricValue, MetricValue) -> MetricValue = { $0.adding($1) }
    ) {
        if !addedLabels.isEmpty { added[metric] = addedLabels }
        if let present = values[metric]?[labels] {
            values[metric]?[labels] = join(present, value)
        } else {
            values[metric, default: [:]][labels] = value
        }
    }

    /// The families in the order of the catalog, their series ordered by labels.
    func build() -> MetricSnapshot {
        MetricSnapshot(
            families: values.sorted { $0.key.position < $1.key.position }.map { metric, series in
                MetricSnapshot.Family(
                    metric: metric, addedLabels: added[metric] ?? [],
                    series: series.sorted { $0.key.lexicographicallyPrecedes($1.key) }.map {
                        MetricSnapshot.Series(labels: $0, value: $1)
                    })
            })
    }
}
