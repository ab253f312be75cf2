import Synchronization
public import ThemisBase

/// Writes log records as lines. Any thread; never waits for a reader that does not read.
///
/// At most `Limits.logLinesPerSecond` records with the same text are written in a second; the others are counted, and their
/// number stands in a record of its own as soon as the second is over: with the next record of any kind, or at `flush`.
public final class Logger: Sendable {
    /// Where finished lines go in tests: the whole line with its newline.
    public typealias Sink = @Sendable ([UInt8]) -> Void

    private struct State {
        var format: LogFormat
        var second: Int64 = 0
        var windows: [String: Window] = [:]
    }

    private struct Window {
        var lines = 0
        var suppressed = 0
        var level: LogLevel
    }

    /// The text under which records share a window when there are too many different ones.
    private static let otherRecords = "other records"

    private let state: Mutex<State>
    private let threshold: Atomic<UInt8>
    private let role: String
    private let time: any TimeSource
    private let output: any LogOutput
    private let suppressed: Counter
    private let dropped: Counter

    /// A logger of the process role `role`, writing to `output`.
    ///
    /// - Parameter metrics: counts what is suppressed and dropped; nil in tests.
    public init(
        role: String, level: LogLevel = .info, format: LogFormat = .text, time: any TimeSource = SystemTime(),
        output: any LogOutput = DescriptorOutput.standardError, metrics: MetricRegistry? = nil
    ) {
        state = Mutex(State(format: format))
        threshold = Atomic(level.rawValue)
        self.role = role
        self.time = time
        self.output = output
        suppressed = metrics?.counter(.logSuppressed) ?? Counter()
        dropped = metrics?.counter(.logDropped) ?? Counter()
    }

    /// A logger whose lines go to `sink`.
    public convenience init(
        role: String, level: LogLevel = .info, format: LogFormat = .text, time: any TimeSource = SystemTime(),
        sink: @escaping Sink
    ) {
        self.init(role: role, level: level, format: format, time: time, output: SinkOutput(sink: sink))
    }

    /// Whether a record of `level` would be written.
    public func isEnabled(_ level: LogLevel) -> Bool { level.rawValue >= threshold.load(ordering: .relaxed) }

    /// Changes level and format from the next record on.
    public func configure(level: LogLevel, format: LogFormat) {
        state.withLock { $0.format = format }
        threshold.store(level.rawValue, ordering: .relaxed)
    }

    /// Writes a record. `message` is constant text; what varies stands in `metadata`.
    public func log(_ level: LogLevel, _ message: String, _ metadata: [(LogKey, String)] = []) {
        guard isEnabled(level) else { return }
        let now = time.wallMilliseconds()
        let lines: [[UInt8]] = state.withLock { state in
            var lines = closeWindows(&state, now)
            let isFull = state.windows.count >= Limits.logWindows && state.windows[message] == nil
            let key = isFull ? Self.otherRecords : message
            var window = state.windows[key] ?? Window(level: level)
            if window.lines < Limits.logLinesPerSecond {
                window.lines += 1
                lines.append(
                    LogLine.render(
                        state.format, milliseconds: now, level: level, role: role, message: message, metadata: metadata))
            } else {
                window.suppressed += 1
                window.level = max(window.level, level)
                suppressed.add()
            }
            state.windows[key] = window
            return lines
        }
        write(lines)
    }

    /// Writes the numbers of suppressed records of past seconds. Called every second.
    public func flush() {
        let now = time.wallMilliseconds()
        write(state.withLock { closeWindows(&$0, now) })
    }

    /// Opens the log file anew, for tools that rename it. Called at SIGHUP.
    public func reopen() { output.reopen() }

    /// For us: what happens inside.
    public func debug(_ message: String, _ metadata: [(LogKey, String)] = []) { log(.debug, message, metadata) }
    /// State changed.
    public func info(_ message: String, _ metadata: [(LogKey, String)] = []) { log(.info, message, metadata) }
    /// Someone will have to act.
    public func warning(_ message: String, _ metadata: [(LogKey, String)] = []) { log(.warn, message, metadata) }
    /// Someone must act.
    public func error(_ message: String, _ metadata: [(LogKey, String)] = []) { log(.error, message, metadata) }

    /// When the second has changed: a line for each text that was suppressed, and fresh windows. At most `Limits.logWindows`
    /// lines.
    private func closeWindows(_ state: inout State, _ now: Int64) -> [[UInt8]] {
        let second = now / 1_000
        guard second != state.second else { return [] }
        state.second = second
        let lines = state.windows.filter { $0.value.suppressed > 0 }.sorted { $0.key < $1.key }.map { message, window in
            LogLine.render(
                state.format, milliseconds: now, level: window.level, role: role, message: message,
                metadata: [(.suppressed, String(window.suppressed))])
        }
        state.windows.removeAll(keepingCapacity: true)
        return lines
    }

    private func write(_ lines: [[UInt8]]) {
        for line in lines where !output.write(line) { dropped.add() }
    }
}

/// Hands lines to a closure.
private struct SinkOutput: LogOutput {
    let sink: Logger.Sink

    func write(_ line: [UInt8]) -> Bool {
        sink(line)
        return true
    }

    func reopen() {}
}
