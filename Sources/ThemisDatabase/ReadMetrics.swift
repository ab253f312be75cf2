import ThemisTelemetry

/// The instruments of reads and index builds, asked for once.
struct ReadMetrics: Sendable {
    let cursorAnchorHits: Counter
    let rangeScanSteps: Counter
    let indexRebuilds: Counter
    let indexRebuildMilliseconds: Counter
    let indexRebuildEntities: Counter

    init(_ registry: MetricRegistry) {
        cursorAnchorHits = registry.counter(.cursorAnchorHits)
        rangeScanSteps = registry.counter(.rangeScanSteps)
        indexRebuilds = registry.counter(.indexRebuilds)
        indexRebuildMilliseconds = registry.counter(.indexRebuildMilliseconds)
        indexRebuildEntities = registry.counter(.indexRebuildEntities)
    }
}
