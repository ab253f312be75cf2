import ThemisStorage
import ThemisTelemetry

/// The engine's numbers under the names of the metric catalog.
struct EngineMetrics: Sendable {
    private let registry: MetricRegistry

    init(_ registry: MetricRegistry) { self.registry = registry }

    /// Copies `numbers` over.
    func refresh(_ numbers: EngineStatistics) {
        registry.gauge(.blockCacheUsage).set(Double(numbers.blockCacheUsedBytes))
        registry.gauge(.blockCacheCapacity).set(Double(numbers.blockCacheCapacityBytes))
        registry.gauge(.pendingCompaction).set(Double(numbers.pendingCompactionBytes))
        registry.gauge(.estimatedKeys).set(Double(numbers.keyspaces.reduce(0) { $0 + $1.estimatedKeys }))
        registry.counter(.rocksdbStallSeconds).set(numbers.stallMicroseconds)
        registry.gauge(.rocksdbWriteStopped).set(numbers.isWriteStopped ? 1 : 0)
        registry.gauge(.rocksdbWALBytes).set(Double(numbers.logBytes))
        registry.counter(.rocksdbCacheHits).set(numbers.blockCacheHits)
        registry.counter(.rocksdbCacheMisses).set(numbers.blockCacheMisses)
        for level in 0..<(numbers.keyspaces.map(\.filesPerLevel.count).max() ?? 0) {
            let files = numbers.keyspaces.reduce(UInt64(0)) { $0 + (level < $1.filesPerLevel.count ? $1.filesPerLevel[level] : 0) }
            registry.gauge(.rocksdbLevelFiles, String(level)).set(Double(files))
        }
    }
}
