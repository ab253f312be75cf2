import Synchronization
import ThemisBase

/// Adds up the metrics of all processes of a set, also of those that ended. Any thread.
///
/// Every process pushes absolute values with the id of its boot. A process that ends leaves its counters and histograms behind,
/// so that a sum never falls; its gauges go with it. One whose connection broke, but which comes back with the same boot id, is
/// not counted twice.
public final class MetricAggregator: Sendable {
    private struct Source: Sendable {
        var role: String
        var bootID: UInt64
        var snapshot: MetricSnapshot
    }

    private struct State: Sendable {
        var live: [String: Source] = [:]
        /// Ended processes that may still come back, oldest first.
        var retired: [(instance: String, source: Source)] = []
        /// What older ones counted, by role. Roles are a closed set.
        var folded: [String: MetricSnapshot] = [:]
    }

    private let state = Mutex(State())

    /// An aggregator of no process.
    public init() {}

    /// Takes the newest absolute values of a process.
    ///
    /// - Parameter bootID: chosen at random by each process when it starts; another one under the same `instance` is a restart.
    /// - Returns: false when `Limits.metricInstances` processes are known already; the values are not taken.
    @discardableResult
    public func add(instance: String, role: String, bootID: UInt64, snapshot: MetricSnapshot) -> Bool {
        state.withLock { state in
            if let present = state.live[instance], present.bootID != bootID { Self.retire(&state, instance) }
            guard state.live[instance] != nil || state.live.count < Limits.metricInstances else { return false }
            state.retired.removeAll { $0.source.bootID == bootID && $0.instance == instance }
            // A process has values of its own only: what someone else has added up would be counted twice.
            let own = MetricSnapshot(families: snapshot.families.filter { $0.addedLabels.isEmpty })
            state.live[instance] = Source(role: role, bootID: bootID, snapshot: own)
            return true
        }
    }

    /// Notes that a process ended or lost its connection.
    public func retire(instance: String) { state.withLock { Self.retire(&$0, instance) } }

    /// Processes that report now.
    public var instances: [String] { state.withLock { Array($0.live.keys) } }

    /// The whole set: what `/metrics` of a gateway shows. The runbook's rows are always in it.
    public func total() -> MetricSnapshot {
        let state = state.withLock { $0 }
        var builder = SnapshotBuilder()
        let hasCore = state.live.values.contains { $0.role == "core" }
        for (_, source) in state.live.sorted(by: { $0.key < $1.key }) {
            Self.merge(source.snapshot, role: source.role, isLive: true, hasCore: hasCore, into: &builder)
        }
        for (_, source) in state.retired {
            Self.merge(source.snapshot, role: source.role, isLive: false, hasCore: hasCore, into: &builder)
        }
        for (role, snapshot) in state.folded { Self.merge(snapshot, role: role, isLive: false, hasCore: hasCore, into: &builder) }
        return builder.build().completed()
    }

    /// Each live process by itself, with the labels `instance` and `role`: what `/metrics` of an exporter shows.
    public func perInstance() -> MetricSnapshot {
        var builder = SnapshotBuilder()
        for (instance, source) in state.withLock({ $0.live }) {
            for family in source.snapshot.families {
                for series in family.series {
                    builder.add(
                        family.metric, series.labels + [instance, source.role], series.value, addedLabels: ["instance", "role"])
                }
            }
        }
        return builder.build()
    }

    private static func retire(_ state: inout State, _ instance: String) {
        guard let source = state.live.removeValue(forKey: instance) else { return }
        state.retired.append((instance, source))
        guard state.retired.count > Limits.metricRetiredInstances else { return }
        let oldest = state.retired.removeFirst().source
        var builder = SnapshotBuilder()
        for snapshot in [state.folded[oldest.role], oldest.snapshot].compactMap({ $0 }) {
            for family in snapshot.families where family.metric.kind != .gauge {
                for series in family.series { builder.add(family.metric, series.labels, series.value) }
            }
        }
        state.folded[oldest.role] = builder.build()
    }

    private static func merge(
        _ snapshot: MetricSnapshot, role: String, isLive: Bool, hasCore: Bool, into builder: inout SnapshotBuilder
    ) {
        for family in snapshot.families where isLive || family.metric.kind != .gauge {
            let metric = family.metric
            for series in family.series {
                switch (metric.merge, metric.kind) {
                case (.byRole, _): builder.add(metric, series.labels + [role], series.value, addedLabels: ["role"])
                case (.max, .gauge): builder.add(metric, series.labels, series.value) { $0.larger($1) }
                case (.core, .gauge):
                    if role == "core" || !hasCore { builder.add(metric, series.labels, series.value) { $0.larger($1) } }
                default: builder.add(metric, series.labels, series.value)
                }
            }
        }
    }
}
