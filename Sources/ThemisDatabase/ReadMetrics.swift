import ThemisTelemetry

/// The instruments of reads, asked for once.
struct ReadMetrics: Sendable {
    let cursorAnchorHits: Counter
    let rangeScanSteps: Counter

    init(_ registry: MetricRegistry) {
        cursorAnchorHits = registry.counter(.cursorAnchorHits)
        rangeScanSteps = registry.counter(.rangeScanSteps)
    }
}
