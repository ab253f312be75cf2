import Glibc

/// Processor time of processes, as the kernel counts it: in hundredths of a second.
enum ProcessorTime {
    /// Seconds in user and kernel mode of all threads of `pid` ("self" for this process); nil when it is gone.
    static func seconds(of pid: String) -> Double? {
        guard let text = read("/proc/\(pid)/stat"), let name = text.lastIndex(of: 0x29) else { return nil }
        let fields = text[(name + 1)...].split(separator: 0x20)
        guard fields.count > 12, let user = number(fields[11]), let system = number(fields[12]) else { return nil }
        return Double(user + system) / Double(sysconf(Int32(_SC_CLK_TCK)))
    }

    private static func number(_ digits: ArraySlice<UInt8>) -> Int? { Int(String(decoding: digits, as: UTF8.self)) }

    private static func read(_ path: String) -> [UInt8]? {
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { _ = close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: 4_096)
        let count = unsafe Glibc.read(descriptor, &bytes, bytes.count)
        return count > 0 ? Array(bytes.prefix(count)) : nil
    }
}
