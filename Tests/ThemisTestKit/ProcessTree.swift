public import Foundation

/// What the kernel says about processes.
public enum ProcessTree {
    /// The children of `pid`, by program name.
    public static func children(of pid: pid_t) -> [String: pid_t] {
        let entries = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        var found: [String: pid_t] = [:]
        for child in entries.compactMap(pid_t.init) {
            guard let fields = stat(child), fields.parent == pid, fields.state != "Z" else { continue }
            let path = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(child)/exe")) ?? ""
            found[(path as NSString).lastPathComponent + (isCore(child) ? " core" : "")] = child
        }
        return found
    }

    /// Whether the process was started with `--role core`.
    private static func isCore(_ pid: pid_t) -> Bool {
        let line = FileManager.default.contents(atPath: "/proc/\(pid)/cmdline") ?? Data()
        return line.split(separator: 0).map { String(decoding: $0, as: UTF8.self) }.contains("core")
    }

    /// Processor time that `pid` has used, in hundredths of a second; nil when it is gone.
    public static func ticks(of pid: pid_t) -> Int? { stat(pid)?.ticks }

    /// Processor time that the threads of `pid` have used, in nanoseconds: what the kernel's scheduler counts, without a tick's rounding.
    public static func nanoseconds(of pid: pid_t) -> UInt64 {
        let threads = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(pid)/task")) ?? []
        return threads.reduce(0) { sum, thread in
            let text = FileManager.default.contents(atPath: "/proc/\(pid)/task/\(thread)/schedstat").map {
                String(decoding: $0, as: UTF8.self)
            }
            return sum + (text?.split(separator: " ").first.flatMap { UInt64($0) } ?? 0)
        }
    }

    private static func stat(_ pid: pid_t) -> (state: String, parent: pid_t, ticks: Int)? {
        // The name in parentheses may hold anything; what follows the last one is plain.
        guard let data = FileManager.default.contents(atPath: "/proc/\(pid)/stat") else { return nil }
        let text = String(decoding: data, as: UTF8.self)
        guard let close = text.lastIndex(of: ")") else { return nil }
        let fields = text[text.index(after: close)...].split(separator: " ")
        guard fields.count > 12, let parent = pid_t(fields[1]), let user = Int(fields[11]), let system = Int(fields[12]) else {
            return nil
        }
        return (state: String(fields[0]), parent: parent, ticks: user + system)
    }
}
