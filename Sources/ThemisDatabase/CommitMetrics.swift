import ThemisTelemetry

/// The instruments of the commit path, asked for once.
struct CommitMetrics: Sendable {
    let records: Histogram
    let seconds: Histogram
    let refused: Counter
    let stale: Counter

    init(_ registry: MetricRegistry) {
        records = registry.histogram(.commitBatchRecords)
        seconds = registry.histogram(.commitSyncSeconds)
        refused = registry.counter(.commitRefused)
        stale = registry.counter(.commitStale)
    }
}
