import ThemisNet
import ThemisTelemetry

/// Counts every answered request: as a whole under the runbook's names, and by route pattern and method.
@NetLoop final class RequestMetrics {
    /// Shared by reference: a copy of its instruments would count each of them.
    private final class Row {
        let requests: Counter
        let clientErrors: Counter
        let serverErrors: Counter
        /// Nil for streams, waits and jobs: their time says nothing about how fast the set is.
        let duration: Histogram?

        init(_ route: String, _ method: String, isTimed: Bool, _ metrics: MetricRegistry) {
            requests = metrics.counter(.httpRequests, route, method)
            clientErrors = metrics.counter(.httpErrors, route, method, "4xx")
            serverErrors = metrics.counter(.httpErrors, route, method, "5xx")
            duration = isTimed ? metrics.histogram(.httpDuration, route, method) : nil
        }
    }

    private let requests: Counter
    private let errors: Counter
    private let latency: Histogram
    private let rows: [Row]
    private let unmatched: Row

    /// Instruments for each of `routes`, asked for once.
    init(_ routes: [Route], _ metrics: MetricRegistry) {
        requests = metrics.counter(.requests)
        errors = metrics.counter(.errors)
        latency = metrics.histogram(.latency)
        rows = routes.map { Row($0.label, $0.method.rawValue, isTimed: $0.routeClass == .unary, metrics) }
        unmatched = Row("none", "other", isTimed: false, metrics)
    }

    /// Counts one answer.
    func observe(_ observation: HTTPObservation) {
        let row = if let index = observation.routeIndex { rows[index] } else { unmatched }
        requests.add()
        row.requests.add()
        if observation.status >= 400 {
            errors.add()
            (observation.status >= 500 ? row.serverErrors : row.clientErrors).add()
        }
        guard observation.routeClass == .unary, let duration = row.duration else { return }
        latency.observe(Double(observation.microseconds))
        duration.observe(Double(observation.microseconds) / 1_000_000)
    }
}
