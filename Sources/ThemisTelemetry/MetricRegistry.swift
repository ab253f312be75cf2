import Synchronization
import ThemisBase

/// The instruments of one process. Any thread. Hot paths ask once and keep the instrument.
public final class MetricRegistry: Sendable {
    enum Instrument: Sendable {
        case counter(Counter)
        case gauge(Gauge)
        case histogram(Histogram)
    }

    private let series = Mutex<[Metric: [[String]: Instrument]]>([:])

    /// A registry without instruments.
    public init() {}

    /// The counter `metric` with these label values, made at the first call.
    public func counter(_ metric: Metric, _ labels: String...) -> Counter {
        guard case .counter(let counter) = instrument(metric, labels) else {
            preconditionFailure("\(metric.name) is not a counter")
        }
        return counter
    }

    /// The gauge `metric` with these label values, made at the first call.
    public func gauge(_ metric: Metric, _ labels: String...) -> Gauge {
        guard case .gauge(let gauge) = instrument(metric, labels) else { preconditionFailure("\(metric.name) is not a gauge") }
        return gauge
    }

    /// The histogram `metric` with these label values, made at the first call.
    public func histogram(_ metric: Metric, _ labels: String...) -> Histogram {
        guard case .histogram(let histogram) = instrument(metric, labels) else {
            preconditionFailure("\(metric.name) is not a histogram")
        }
        return histogram
    }

    /// The values of every instrument made so far.
    public func snapshot() -> MetricSnapshot {
        var builder = SnapshotBuilder()
        for (metric, instruments) in series.withLock({ $0 }) {
            for (labels, instrument) in instruments {
                switch instrument {
                case .counter(let counter): builder.add(metric, labels, .counter(counter.value))
                case .gauge(let gauge): builder.add(metric, labels, .gauge(gauge.value))
                case .histogram(let histogram):
                    let (counts, sum) = histogram.value
                    builder.add(metric, labels, .histogram(counts: counts, sum: sum))
                }
            }
        }
        return builder.build()
    }

    private func instrument(_ metric: Metric, _ labels: [String]) -> Instrument {
        precondition(labels.count == metric.labels.count, "\(metric.name) has the labels \(metric.labels)")
        return series.withLock { series in
            if let found = series[metric]?[labels] { return found }
            // Labels are closed sets; a set that turns out not to be one must not eat the memory.
            let isFull = (series[metric]?.count ?? 0) >= Limits.metricSeries
            let key = isFull ? Array(repeating: "other", count: labels.count) : labels
            if isFull, let found = series[metric]?[key] { return found }
            let made: Instrument =
                switch metric.kind {
                case .counter: .counter(Counter())
                case .gauge: .gauge(Gauge())
                case .histogram: .histogram(Histogram(bounds: metric.buckets))
                }
            series[metric, default: [:]][key] = made
            return made
        }
    }
}
