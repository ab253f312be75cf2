import Glibc
import Synchronization
public import ThemisBase

/// How much an operator must care.
public enum LogLevel: UInt8, Sendable, CaseIterable, Comparable {
    case trace, debug, info, warn, error

    /// The word of the configuration.
    public var word: String {
        switch self {
        case .trace: "trace"
        case .debug: "debug"
        case .info: "info"
        case .warn: "warn"
        case .error: "error"
        }
    }

    /// The level named `word`.
    public init?(word: String) {
        guard let level = Self.allCases.first(where: { $0.word == word }) else { return nil }
        self = level
    }

    /// By urgency.
    public static func < (left: LogLevel, right: LogLevel) -> Bool { left.rawValue < right.rawValue }
}

/// How a record is written.
public enum LogFormat: String, Sendable {
    /// `time LEVEL role message key=value …`
    case text
    /// One JSON object a line.
    case json
}

/// Metadata keys of log records. A record's text is constant; what varies stands under one of these.
public enum LogKey: String, Sendable {
    case address, attempt, bytes, code, count, detail, directory, error, epoch, exit_code, file, instance, job, key, limit, method, milliseconds
    case microseconds, path, peer, pid, port, reason, request_id, revision, role, route, sequence, setting, signal, socket, status, stream
    case suppressed, table, uid, value, version
}

/// Writes log records as lines. Any thread; never blocks longer than one `write` of a line.
public final class Logger: Sendable {
    /// Where finished lines go: the whole line with its newline.
    public typealias Sink = @Sendable ([UInt8]) -> Void

    private struct State {
        var level: LogLevel
        var format: LogFormat
        var windows: [String: Window] = [:]
    }

    private struct Window {
        var second: Int64
        var lines: Int
        var suppressed: Int
        var level: LogLevel
    }

    private let state: Mutex<State>
    private let threshold: Atomic<UInt8>
    private let role: String
    private let time: any TimeSource
    private let sink: Sink

    /// A logger of the process role `role`, writing to `sink` (default: file descriptor 2).
    public init(
        role: String, level: LogLevel = .info, format: LogFormat = .text, time: any TimeSource = SystemTime(),
        sink: @escaping Sink = Logger.standardError
    ) {
        state = Mutex(State(level: level, format: format))
        threshold = Atomic(level.rawValue)
        self.role = role
        self.time = time
        self.sink = sink
    }

    /// Writes a line to file descriptor 2.
    @Sendable public static func standardError(_ line: [UInt8]) {
        unsafe line.withUnsafeBytes { _ = unsafe write(2, $0.baseAddress, $0.count) }
    }

    /// Whether a record of `level` would be written.
    public func isEnabled(_ level: LogLevel) -> Bool { level.rawValue >= threshold.load(ordering: .relaxed) }

    /// Changes level and format from the next record on.
    public func configure(level: LogLevel, format: LogFormat) {
        state.withLock {
            $0.level = level
            $0.format = format
        }
        threshold.store(level.rawValue, ordering: .relaxed)
    }

    /// Writes a record. `message` is constant text; at most `Limits.logLinesPerSecond` records with the same text in a second.
    public func log(_ level: LogLevel, _ message: String, _ metadata: [(LogKey, String)] = []) {
        guard isEnabled(level) else { return }
        let now = time.wallMilliseconds()
        let lines: [[UInt8]] = state.withLock { state in
            var lines: [[UInt8]] = []
            let second = now / 1_000
            var window = state.windows[message] ?? Window(second: second, lines: 0, suppressed: 0, level: level)
            if window.second != second {
                if window.suppressed > 0 {
                    lines.append(
                        LogLine.render(
                            state.format, milliseconds: now, level: window.level, role: role, message: message,
                            metadata: [(.suppressed, String(window.suppressed))]))
                }
                window = Window(second: second, lines: 0, suppressed: 0, level: level)
            }
            if window.lines < Limits.logLinesPerSecond {
                window.lines += 1
                lines.append(
                    LogLine.render(state.format, milliseconds: now, level: level, role: role, message: message, metadata: metadata))
            } else {
                window.suppressed += 1
            }
            state.windows[message] = window
            return lines
        }
        for line in lines { sink(line) }
    }

    /// For us: what happens inside.
    public func debug(_ message: String, _ metadata: [(LogKey, String)] = []) { log(.debug, message, metadata) }
    /// State changed.
    public func info(_ message: String, _ metadata: [(LogKey, String)] = []) { log(.info, message, metadata) }
    /// Someone will have to act.
    public func warning(_ message: String, _ metadata: [(LogKey, String)] = []) { log(.warn, message, metadata) }
    /// Someone must act.
    public func error(_ message: String, _ metadata: [(LogKey, String)] = []) { log(.error, message, metadata) }
}

/// Turns a record into a line that is always whole and, as JSON, always valid.
enum LogLine {
    static func render(
        _ format: LogFormat, milliseconds: Int64, level: LogLevel, role: String, message: String, metadata: [(LogKey, String)]
    ) -> [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity(160)
        switch format {
        case .json:
            out.append(contentsOf: #"{"time":""#.utf8)
            out.append(contentsOf: timestamp(milliseconds).utf8)
            out.append(contentsOf: #"","level":""#.utf8)
            out.append(contentsOf: level.word.utf8)
            out.append(contentsOf: #"","role":"#.utf8)
            JSONText.appendString(role, to: &out)
            out.append(contentsOf: #","message":"#.utf8)
            JSONText.appendString(message, to: &out)
            for (key, value) in metadata {
                out.append(contentsOf: ",".utf8)
                JSONText.appendString(key.rawValue, to: &out)
                out.append(contentsOf: ":".utf8)
                JSONText.appendString(value, to: &out)
            }
            out.append(contentsOf: "}\n".utf8)
        case .text:
            out.append(contentsOf: timestamp(milliseconds).utf8)
            out.append(contentsOf: " \(level.word.uppercased()) \(role) \(message)".utf8)
            for (key, value) in metadata {
                out.append(contentsOf: " \(key.rawValue)=".utf8)
                let isPlain = !value.isEmpty && value.utf8.allSatisfy { $0 > 0x20 && $0 != 0x22 && $0 != 0x7F }
                if isPlain { out.append(contentsOf: value.utf8) } else { JSONText.appendString(value, to: &out) }
            }
            out.append(0x0A)
        }
        return out
    }

    /// RFC 3339 in UTC with milliseconds.
    static func timestamp(_ milliseconds: Int64) -> String {
        var seconds = time_t(milliseconds.quotientAndRemainder(dividingBy: 1_000).quotient)
        var parts = tm()
        unsafe gmtime_r(&seconds, &parts)
        func padded(_ value: Int32, _ width: Int) -> String {
            let text = String(value)
            return String(repeating: "0", count: max(0, width - text.count)) + text
        }
        return "\(padded(parts.tm_year + 1_900, 4))-\(padded(parts.tm_mon + 1, 2))-\(padded(parts.tm_mday, 2))T\(padded(parts.tm_hour, 2)):"
            + "\(padded(parts.tm_min, 2)):\(padded(parts.tm_sec, 2)).\(padded(Int32(milliseconds % 1_000), 3))Z"
    }
}
