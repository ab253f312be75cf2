import Glibc
import Synchronization
import ThemisBase

/// Keeps the metrics of this process up to date: age, CPU, memory, descriptors and the rate of requests. Any thread; `refresh`
/// once a second.
public final class ProcessMetrics: Sendable {
    private struct Rate: Sendable {
        /// Requests counted at the last 61 refreshes, oldest first.
        var marks: [(milliseconds: Int64, requests: UInt64)] = []
        var refreshes: UInt64 = 0
    }

    /// Seconds over which `vccdb_qps` is a mean.
    private static let rateSeconds = 60
    /// Refreshes between two counts of descriptors where the kernel does not simply tell.
    private static let countEvery: UInt64 = 10

    private let started: Int64
    private let time: any TimeSource
    private let requests: Counter?
    private let qps: Gauge?
    private let uptime: Gauge
    private let cpu: Counter
    private let memory: Gauge
    private let files: Gauge
    private let rate = Mutex(Rate())

    /// Starts counting now.
    ///
    /// - Parameter answersRequests: whether this process has `vccdb_qps`.
    public init(_ telemetry: Telemetry, answersRequests: Bool) {
        time = telemetry.time
        started = telemetry.time.monotonicMilliseconds()
        requests = answersRequests ? telemetry.metrics.counter(.requests) : nil
        qps = answersRequests ? telemetry.metrics.gauge(.qps) : nil
        uptime = telemetry.metrics.gauge(.uptime)
        cpu = telemetry.metrics.counter(.processCPU)
        memory = telemetry.metrics.gauge(.processMemory)
        files = telemetry.metrics.gauge(.processFiles)
        telemetry.metrics.gauge(.buildInfo, Build.version, Build.commit).set(1)
        var limit = rlimit()
        if unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 {
            telemetry.metrics.gauge(.processFileLimit).set(Double(limit.rlim_cur))
        }
        refresh()
    }

    /// Seconds since this process started.
    public var uptimeSeconds: Double { Double(time.monotonicMilliseconds() - started) / 1_000 }

    /// Reads the kernel's numbers again.
    public func refresh() {
        let now = time.monotonicMilliseconds()
        uptime.set(Double(now - started) / 1_000)
        var spent = timespec()
        if unsafe clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &spent) == 0 {
            cpu.set(UInt64(spent.tv_sec) * 1_000_000 + UInt64(spent.tv_nsec) / 1_000)
        }
        if let pages = Self.residentPages() { memory.set(Double(pages) * Double(sysconf(Int32(_SC_PAGESIZE)))) }
        let refreshes = rate.withLock { rate in
            advance(&rate, now)
            rate.refreshes += 1
            return rate.refreshes
        }
        if let count = Self.openFiles(counting: refreshes % Self.countEvery == 1) { files.set(Double(count)) }
    }

    private func advance(_ rate: inout Rate, _ now: Int64) {
        guard let requests, let qps else { return }
        rate.marks.append((now, requests.value))
        if rate.marks.count > Self.rateSeconds + 1 { rate.marks.removeFirst() }
        // Until a minute is over the mean is over the whole minute all the same, so that a young process does not seem busy.
        let first = rate.marks[0]
        let elapsed =
            rate.marks.count > Self.rateSeconds ? max(Double(now - first.milliseconds) / 1_000, 1) : Double(Self.rateSeconds)
        qps.set(Double(requests.value &- first.requests) / elapsed)
    }

    private static func residentPages() -> UInt64? {
        guard let text = SmallFile.read("/proc/self/statm") else { return nil }
        let fields = text.split(separator: " ")
        return fields.count > 1 ? UInt64(fields[1]) : nil
    }

    /// Linux 6.2 and newer tell the number as the directory's size; older kernels are asked name by name, and more rarely.
    private static func openFiles(counting: Bool) -> Int? {
        var status = stat()
        guard unsafe stat("/proc/self/fd", &status) == 0 else { return nil }
        if status.st_size > 0 { return Int(status.st_size) }
        guard counting, let directory = unsafe opendir("/proc/self/fd") else { return nil }
        defer { unsafe closedir(directory) }
        var count = 0
        while unsafe readdir(directory) != nil { count += 1 }
        // Without `.`, `..` and the directory itself.
        return max(0, count - 3)
    }
}

/// Reads small files of the kernel.
public enum SmallFile {
    /// The file's text, nil when it cannot be read or has more than 64 KiB.
    public static func read(_ path: String) -> String? {
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: 64 << 10)
        var used = 0
        while used < bytes.count {
            let count = unsafe bytes.withUnsafeMutableBytes { buffer in
                unsafe Glibc.read(descriptor, buffer.baseAddress.map { unsafe $0 + used }, buffer.count - used)
            }
            if count < 0 && errno == EINTR { continue }
            guard count >= 0 else { return nil }
            if count == 0 { return String(decoding: bytes[..<used], as: UTF8.self) }
            used += count
        }
        return nil
    }
}
