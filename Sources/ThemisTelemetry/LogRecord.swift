import ThemisBase

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
public enum LogFormat: String, Sendable, CaseIterable {
    /// `time LEVEL role message key=value …`
    case text
    /// One JSON object a line.
    case json
}

/// Metadata keys of log records. A record's text is constant; what varies stands under one of these.
public enum LogKey: String, Sendable {
    case address, attempt, bytes, code, count, detail, directory, error, epoch, exit_code, file, instance, job, key, limit,
        method, milliseconds
    case microseconds, path, peer, pid, port, reason, request_id, revision, route, sequence, setting, signal, socket, status,
        stream
    case suppressed, table, uid, value, version
    /// The role of another process: a line's own `role` is its writer's.
    case role = "peer_role"
}

/// Turns a record into a line that is always whole and, as JSON, always valid.
enum LogLine {
    /// Most escaped bytes of a message or of one value.
    static let valueBytes = 4 << 10

    static func render(
        _ format: LogFormat, milliseconds: Int64, level: LogLevel, role: String, message: String, metadata: [(LogKey, String)]
    ) -> [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity(160)
        var seen: [LogKey] = []
        switch format {
        case .json:
            out.append(contentsOf: #"{"time":""#.utf8)
            out.append(contentsOf: Timestamp.text(milliseconds: milliseconds).utf8)
            out.append(contentsOf: #"","level":""#.utf8)
            out.append(contentsOf: level.word.utf8)
            out.append(contentsOf: #"","role":"#.utf8)
            appendQuoted(role, to: &out)
            out.append(contentsOf: #","message":"#.utf8)
            appendQuoted(message, to: &out)
            for (key, value) in metadata where !seen.contains(key) {
                seen.append(key)
                guard out.count + key.rawValue.utf8.count + valueBytes + 64 <= Limits.logLineBytes else {
                    out.append(contentsOf: #","truncated":true"#.utf8)
                    break
                }
                out.append(0x2C)
                appendQuoted(key.rawValue, to: &out)
                out.append(0x3A)
                appendQuoted(value, to: &out)
            }
            out.append(contentsOf: "}\n".utf8)
        case .text:
            out.append(contentsOf: Timestamp.text(milliseconds: milliseconds).utf8)
            out.append(contentsOf: " \(level.word.uppercased()) ".utf8)
            appendPlain(role, to: &out)
            out.append(0x20)
            appendPlain(message, to: &out)
            for (key, value) in metadata where !seen.contains(key) {
                seen.append(key)
                guard out.count + key.rawValue.utf8.count + valueBytes + 64 <= Limits.logLineBytes else {
                    out.append(contentsOf: " truncated=true".utf8)
                    break
                }
                out.append(contentsOf: " \(key.rawValue)=".utf8)
                let isPlain = !value.isEmpty && value.utf8.allSatisfy { $0 > 0x20 && $0 != 0x22 && $0 != 0x7F }
                if isPlain { appendPlain(value, to: &out) } else { appendQuoted(value, to: &out) }
            }
            out.append(0x0A)
        }
        return out
    }

    /// Appends `text` as a JSON string of at most `valueBytes`, cut between characters and then ended with `…`.
    private static func appendQuoted(_ text: String, to out: inout [UInt8]) {
        // Escaping makes six bytes of one; a text that short is never cut.
        if text.utf8.count <= valueBytes / 6 - 2 { return JSONText.appendString(text, to: &out) }
        let end = out.count + valueBytes - 8
        out.append(0x22)
        for scalar in text.unicodeScalars {
            guard out.count < end else {
                out.append(contentsOf: "…".utf8)
                break
            }
            var piece: [UInt8] = []
            JSONText.appendString(utf8: Array(String(scalar).utf8), to: &piece)
            out.append(contentsOf: piece[1..<(piece.count - 1)])
        }
        out.append(0x22)
    }

    /// Appends `text` on one line, at most `valueBytes` of it.
    private static func appendPlain(_ text: String, to out: inout [UInt8]) {
        let end = out.count + valueBytes - 8
        for scalar in text.unicodeScalars {
            guard out.count < end else {
                out.append(contentsOf: "…".utf8)
                break
            }
            if scalar.value < 0x20 || scalar.value == 0x7F {
                out.append(0x20)
            } else {
                out.append(contentsOf: String(scalar).utf8)
            }
        }
    }
}
