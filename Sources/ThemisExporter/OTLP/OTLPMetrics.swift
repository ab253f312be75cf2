import COTLP
import ThemisTelemetry

/// The metrics of the set as the body of a request to a collector's `/v1/metrics`.
enum OTLPMetrics {
    /// What one process has counted since it started.
    struct Part {
        let resource: OTLPResource
        /// When it began to count, in nanoseconds since 1970.
        let startNanoseconds: UInt64
        /// Its families, without the labels that name the process.
        let families: [MetricSnapshot.Family]
    }

    /// The encoded ExportMetricsServiceRequest, and how many data points it has.
    static func encode(_ parts: [Part], atNanoseconds now: UInt64) -> (body: [UInt8], points: Int) {
        let memory = ProtocolMemory()
        var points = 0
        let messages = unsafe parts.map { part in
            let metrics = unsafe part.families.map { family in
                points += family.series.count
                return unsafe metric(family, part.startNanoseconds, now, memory)
            }
            let scope = unsafe memory.space(of: Otlp__ScopeMetrics.self)
            unsafe otlp__scope_metrics__init(scope)
            unsafe scope.pointee.scope = unsafe memory.scope()
            unsafe scope.pointee.n_metrics = unsafe metrics.count
            unsafe scope.pointee.metrics = unsafe memory.list(metrics)
            let message = unsafe memory.space(of: Otlp__ResourceMetrics.self)
            unsafe otlp__resource_metrics__init(message)
            unsafe message.pointee.resource = unsafe memory.resource(part.resource)
            unsafe message.pointee.n_scope_metrics = 1
            unsafe message.pointee.scope_metrics = unsafe memory.list([scope])
            return unsafe message
        }
        let request = unsafe memory.space(of: Otlp__ExportMetricsServiceRequest.self)
        unsafe otlp__export_metrics_service_request__init(request)
        unsafe request.pointee.n_resource_metrics = unsafe messages.count
        unsafe request.pointee.resource_metrics = unsafe memory.list(messages)
        return unsafe (memory.packed(request), points)
    }

    /// Counts since the start, as opposed to since the last request.
    private static let cumulative: UInt32 = 2

    private static func metric(
        _ family: MetricSnapshot.Family, _ start: UInt64, _ now: UInt64, _ memory: ProtocolMemory
    ) -> UnsafeMutablePointer<Otlp__Metric> {
        let row = family.metric
        let metric = unsafe memory.space(of: Otlp__Metric.self)
        unsafe otlp__metric__init(metric)
        unsafe metric.pointee.name = unsafe memory.text(row.name)
        unsafe metric.pointee.description = unsafe memory.text(row.help)
        unsafe metric.pointee.unit = unsafe memory.text(unit(row))
        switch row.kind {
        case .counter:
            let sum = unsafe memory.space(of: Otlp__Sum.self)
            unsafe otlp__sum__init(sum)
            unsafe sum.pointee.n_data_points = family.series.count
            unsafe sum.pointee.data_points = unsafe memory.list(family.series.map { unsafe number($0, row, start, now, memory) })
            unsafe sum.pointee.aggregation_temporality = cumulative
            unsafe sum.pointee.is_monotonic = 1
            unsafe metric.pointee.data_case = OTLP__METRIC__DATA_SUM
            unsafe metric.pointee.sum = unsafe sum
        case .gauge:
            let gauge = unsafe memory.space(of: Otlp__Gauge.self)
            unsafe otlp__gauge__init(gauge)
            unsafe gauge.pointee.n_data_points = family.series.count
            unsafe gauge.pointee.data_points = unsafe memory.list(family.series.map { unsafe number($0, row, 0, now, memory) })
            unsafe metric.pointee.data_case = OTLP__METRIC__DATA_GAUGE
            unsafe metric.pointee.gauge = unsafe gauge
        case .histogram:
            let histogram = unsafe memory.space(of: Otlp__Histogram.self)
            unsafe otlp__histogram__init(histogram)
            unsafe histogram.pointee.n_data_points = family.series.count
            unsafe histogram.pointee.data_points = unsafe memory.list(
                family.series.map { unsafe distribution($0, row, start, now, memory) })
            unsafe histogram.pointee.aggregation_temporality = cumulative
            unsafe metric.pointee.data_case = OTLP__METRIC__DATA_HISTOGRAM
            unsafe metric.pointee.histogram = unsafe histogram
        }
        return unsafe metric
    }

    /// The unit in the words of UCUM.
    private static func unit(_ row: Metric) -> String {
        switch row.unit {
        case "seconds": "s"
        case "microseconds": "us"
        case "bytes": "By"
        case "ratio": "1"
        default: ""
        }
    }

    private static func labels(
        _ series: MetricSnapshot.Series, _ row: Metric, _ memory: ProtocolMemory
    ) -> (count: Int, list: UnsafeMutablePointer<UnsafeMutablePointer<Otlp__KeyValue>?>) {
        let pairs = unsafe zip(row.labels, series.labels).map { unsafe memory.attribute($0, .text($1)) }
        return unsafe (pairs.count, memory.list(pairs))
    }

    private static func number(
        _ series: MetricSnapshot.Series, _ row: Metric, _ start: UInt64, _ now: UInt64, _ memory: ProtocolMemory
    ) -> UnsafeMutablePointer<Otlp__NumberDataPoint> {
        let point = unsafe memory.space(of: Otlp__NumberDataPoint.self)
        unsafe otlp__number_data_point__init(point)
        unsafe point.pointee.start_time_unix_nano = start
        unsafe point.pointee.time_unix_nano = now
        unsafe (point.pointee.n_attributes, point.pointee.attributes) = unsafe labels(series, row, memory)
        switch series.value {
        case .counter(let value) where row.divisor == 1:
            unsafe point.pointee.value_case = OTLP__NUMBER_DATA_POINT__VALUE_AS_INT
            unsafe point.pointee.as_int = Int64(clamping: value)
        case .counter(let value):
            unsafe point.pointee.value_case = OTLP__NUMBER_DATA_POINT__VALUE_AS_DOUBLE
            unsafe point.pointee.as_double = Double(value) / row.divisor
        case .gauge(let value):
            unsafe point.pointee.value_case = OTLP__NUMBER_DATA_POINT__VALUE_AS_DOUBLE
            unsafe point.pointee.as_double = value / row.divisor
        case .histogram: break
        }
        return unsafe point
    }

    private static func distribution(
        _ series: MetricSnapshot.Series, _ row: Metric, _ start: UInt64, _ now: UInt64, _ memory: ProtocolMemory
    ) -> UnsafeMutablePointer<Otlp__HistogramDataPoint> {
        let point = unsafe memory.space(of: Otlp__HistogramDataPoint.self)
        unsafe otlp__histogram_data_point__init(point)
        unsafe point.pointee.start_time_unix_nano = start
        unsafe point.pointee.time_unix_nano = now
        unsafe (point.pointee.n_attributes, point.pointee.attributes) = unsafe labels(series, row, memory)
        guard case .histogram(let counts, let sum) = series.value else { return unsafe point }
        unsafe point.pointee.count = counts.reduce(0, &+)
        unsafe point.pointee.optional_sum_case = OTLP__HISTOGRAM_DATA_POINT__OPTIONAL_SUM_SUM
        unsafe point.pointee.sum = sum
        unsafe point.pointee.n_bucket_counts = counts.count
        unsafe point.pointee.bucket_counts = unsafe memory.numbers(counts)
        unsafe point.pointee.n_explicit_bounds = row.buckets.count
        unsafe point.pointee.explicit_bounds = unsafe memory.numbers(row.buckets)
        return unsafe point
    }
}
