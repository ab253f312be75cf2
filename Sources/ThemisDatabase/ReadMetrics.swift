import ThemisTelemetry

/// The instruments of reads, index builds and sweeps, asked for once.
struct ReadMetrics: Sendable {
    let cursorAnchorHits: Counter
    let rangeScanSteps: Counter
    let indexRebuilds: Counter
    let indexRebuildMilliseconds: Counter
    let indexRebuildEntities: Counter
    let ttlBacklog: Gauge
    let ttlSwept: Counter
    let ttlPaused: Gauge

    init(_ registry: MetricRegistry) {
        cursorAnchorHits = registry.counter(.cursorAnchorHits)
        rangeScanSteps = registry.counter(.rangeScanSteps)
        indexRebuilds = registry.counter(.indexRebuilds)
        indexRebuildMilliseconds = registry.counter(.indexRebuildMilliseconds)
        indexRebuildEntities = registry.counter(.indexRebuildEntities)
        ttlBacklog = registry.gauge(.ttlBacklog)
        ttlSwept = registry.counter(.ttlSwept)
        ttlPaused = registry.gauge(.ttlPaused)
    }
}
