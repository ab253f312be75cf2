import Synchronization

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
        guard case .counter(let counter) = instrument(metric, labels) else { preconditionFailure("\(metric.name) is not a counter") }
        return counter
    }

    /// The gauge `metric` with these label values, made at the first call.
    public func gauge(_ metric: Metric, _ labels: String...) -> Gauge {
        guard case .gauge(let gauge) = instrument(metric, labels) else { preconditionFailure("\(metric.name) is not a gauge") }
        return gauge
    }

    /// The histogram `metric` with these label values, made at the first call.
    public func histogram(_ metric: Metric, _ labels: String...) -> Histogram {
        guard case .histogram(let histogram) = instrument(metric, labels) else { preconditionFailure("\(metric.name) is not a histogram") }
        return histogram
    }

    private func instrument(_ metric: Metric, _ labels: [String]) -> Instrument {
        precondition(labels.count == metric.labels.count, "\(metric.name) has the labels \(metric.labels)")
        return series.withLock { series in
            if let found = series[metric]?[labels] { return found }
            let made: Instrument =
                switch metric.kind {
                case .counter: .counter(Counter())
                case .gauge: .gauge(Gauge())
                case .histogram: .histogram(Histogram(bounds: metric.buckets))
                }
            series[metric, default: [:]][labels] = made
            return made
        }
    }
}
