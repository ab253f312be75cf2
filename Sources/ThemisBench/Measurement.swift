import ThemisBase

/// What one run counts between the end of its warm-up and its end, and the line that it prints.
struct Measurement {
    private let time = SystemTime()
    private let pids: [String]
    /// Latencies of what succeeded.
    private(set) var latencies = Histogram()
    /// Latencies of answers that were failures.
    private var refusals = Histogram()
    /// How often each failure came, by its word.
    private(set) var failures: [String: UInt64] = [:]
    /// Things done besides, by name: rows, events, bytes.
    var extra: [(name: String, value: Double)] = []
    private var began: UInt64 = 0
    private var ended: UInt64 = 0
    private var processors: [String: Double] = [:]
    private var own = 0.0
    /// Whether the warm-up is over and the end has not come.
    private(set) var isRunning = false

    /// Counts the processor time of `pids` besides.
    init(pids: [String]) { self.pids = pids }

    /// Nanoseconds of the monotonic clock.
    var now: UInt64 { time.monotonicNanoseconds() }

    /// The warm-up is over.
    mutating func begin() {
        began = now
        isRunning = true
        processors = Dictionary(uniqueKeysWithValues: pids.map { ($0, ProcessorTime.seconds(of: $0) ?? 0) })
        own = ProcessorTime.seconds(of: "self") ?? 0
    }

    /// The run is over.
    mutating func end() {
        guard isRunning else { return }
        ended = now
        isRunning = false
        for pid in pids { processors[pid] = (ProcessorTime.seconds(of: pid) ?? 0) - (processors[pid] ?? 0) }
        own = (ProcessorTime.seconds(of: "self") ?? 0) - own
    }

    /// One success that took from `start` to `end`.
    mutating func succeeded(from start: UInt64, to end: UInt64) {
        if isRunning { latencies.record(end > start ? end - start : 0) }
    }

    /// One answer that is a failure, and took from `start` to `end`.
    mutating func refused(_ word: String, from start: UInt64, to end: UInt64) {
        failed(word)
        if isRunning { refusals.record(end > start ? end - start : 0) }
    }

    /// One failure.
    mutating func failed(_ word: String) {
        if isRunning { failures[word, default: 0] += 1 }
    }

    /// One line of JSON.
    func line(_ mode: String) -> String {
        let seconds = Double(ended - began) / 1e9
        var members = [
            "\"mode\":\"\(mode)\"", "\"seconds\":\(Self.text(seconds))", "\"count\":\(latencies.count)",
            "\"rate\":\(Self.text(Double(latencies.count) / seconds))",
        ]
        for (name, quantile) in [("p50_us", 0.5), ("p90_us", 0.9), ("p99_us", 0.99), ("p999_us", 0.999)] {
            members.append("\"\(name)\":\(Self.text(latencies.microseconds(quantile)))")
        }
        members.append("\"max_us\":\(Self.text(Double(latencies.max) / 1_000))")
        let words = failures.sorted { $0.key < $1.key }.map { "\"\($0.key)\":\($0.value)" }
        members.append("\"errors\":{\(words.joined(separator: ","))}")
        if refusals.count > 0 { members.append("\"refused_p99_us\":\(Self.text(refusals.microseconds(0.99)))") }
        members += extra.map { "\"\($0.name)\":\(Self.text($0.value))" }
        let cpu = pids.map { "\"\($0)\":\(Self.text(processors[$0] ?? 0))" }
        members.append("\"cpu_seconds\":{\(cpu.joined(separator: ","))}")
        members.append("\"client_cpu_seconds\":\(Self.text(own))")
        return "{\(members.joined(separator: ","))}"
    }

    /// `value` with three digits behind the point.
    private static func text(_ value: Double) -> String {
        guard value.isFinite else { return "0" }
        let thousandths = Int64((value * 1_000).rounded())
        let rest = String(thousandths.magnitude % 1_000)
        let sign = thousandths < 0 ? "-" : ""
        return "\(sign)\(thousandths.magnitude / 1_000).\(String(repeating: "0", count: 3 - rest.utf8.count))\(rest)"
    }
}
