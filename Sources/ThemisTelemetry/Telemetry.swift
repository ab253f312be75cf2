public import ThemisBase

/// What every part of a process reports to: handed down as an argument, never a global.
public struct Telemetry: Sendable {
    /// Writes log records.
    public let log: Logger
    /// Counts.
    public let metrics: MetricRegistry
    /// Where time comes from.
    public let time: any TimeSource
    /// Records spans; off until it is told otherwise.
    public let spans: SpanRecorder

    /// Puts the parts together.
    public init(log: Logger, metrics: MetricRegistry, time: any TimeSource) {
        self.log = log
        self.metrics = metrics
        self.time = time
        spans = SpanRecorder(metrics: metrics, time: time)
    }

    /// For tests: no log output, a registry of its own.
    public static func silent(time: any TimeSource = SystemTime()) -> Telemetry {
        Telemetry(
            log: Logger(role: "test", level: .error, format: .text, time: time) { _ in }, metrics: MetricRegistry(), time: time)
    }
}
