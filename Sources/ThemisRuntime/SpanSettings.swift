public import ThemisTelemetry

extension SpanRecorder {
    /// Records as the configuration says: `tracing.enabled`, `tracing.sample_ratio`. Any thread.
    public func obey(_ configuration: Configuration) {
        configure(isEnabled: configuration[Settings.tracingEnabled], ratio: configuration[Settings.tracingSampleRatio])
    }
}
