import Glibc
import ThemisTelemetry

/// What a process finds when it starts: environment variables, the machine's size, the file system. An argument of everything
/// that depends on it, so that tests make their own.
public struct LaunchEnvironment: Sendable {
    /// What reading a file gave.
    public enum FileContent: Sendable {
        /// The bytes.
        case bytes([UInt8])
        /// There is no such file.
        case missing
        /// It cannot be read, with the system's reason.
        case unreadable(String)
    }

    /// Environment variables.
    public var variables: [String: String]
    /// The working directory, absolute.
    public var currentDirectory: String
    /// The effective user.
    public var userID: UInt32
    /// Processors that this process may use: the machine's, or fewer by the control group's quota.
    public var processors: Int
    /// Bytes of memory that this process may use: the machine's, or fewer by the control group's limit.
    public var memoryBytes: UInt64
    /// Reads a file of at most `Limits.configurationBytes`.
    public var readFile: @Sendable (String) -> FileContent
    /// Whether a path is a directory in which this process may make files.
    public var isWritableDirectory: @Sendable (String) -> Bool
    /// A path without symbolic links, nil when it does not exist.
    public var resolve: @Sendable (String) -> String?

    /// An environment of these parts.
    public init(
        variables: [String: String] = [:], currentDirectory: String = "/", userID: UInt32 = 0, processors: Int = 2,
        memoryBytes: UInt64 = 4 << 30, readFile: @escaping @Sendable (String) -> FileContent = { _ in .missing },
        isWritableDirectory: @escaping @Sendable (String) -> Bool = { _ in false },
        resolve: @escaping @Sendable (String) -> String? = { _ in nil }
    ) {
        self.variables = variables
        self.currentDirectory = currentDirectory
        self.userID = userID
        self.processors = processors
        self.memoryBytes = memoryBytes
        self.readFile = readFile
        self.isWritableDirectory = isWritableDirectory
        self.resolve = resolve
    }

    /// The real one.
    public static func current() -> LaunchEnvironment {
        let machine = MachineSize(read: SmallFile.read)
        return LaunchEnvironment(
            variables: environmentVariables(), currentDirectory: FileSystem.currentDirectory(), userID: geteuid(),
            processors: machine.processors(online: sysconf(Int32(_SC_NPROCESSORS_ONLN))), memoryBytes: machine.memoryBytes(),
            readFile: { FileSystem.read($0) }, isWritableDirectory: { FileSystem.isWritableDirectory($0) },
            resolve: { FileSystem.resolve($0) })
    }

    /// `path` as an absolute path without `.`, `..` and symbolic links. What does not exist yet is taken as it is spelled.
    public func absolute(_ path: String) -> String {
        var parts: [Substring] = []
        let whole = path.hasPrefix("/") ? path : currentDirectory + "/" + path
        for part in whole.split(separator: "/", omittingEmptySubsequences: true) {
            switch part {
            case ".": continue
            case "..": _ = parts.popLast()
            default: parts.append(part)
            }
        }
        var missing: [Substring] = []
        while !parts.isEmpty {
            if let resolved = resolve("/" + parts.joined(separator: "/")) {
                return missing.isEmpty
                    ? resolved : (resolved == "/" ? "" : resolved) + "/" + missing.reversed().joined(separator: "/")
            }
            missing.append(parts.removeLast())
        }
        return "/" + missing.reversed().joined(separator: "/")
    }

    private static func environmentVariables() -> [String: String] {
        var variables: [String: String] = [:]
        var entry = unsafe environ
        while let text = unsafe entry.pointee {
            let pair = unsafe String(cString: text)
            if let equals = pair.firstIndex(of: "=") {
                variables[String(pair[..<equals])] = String(pair[pair.index(after: equals)...])
            }
            unsafe entry += 1
        }
        return variables
    }
}

/// The size of the machine as control groups allow it, read from the kernel's files. Versions 1 and 2.
public struct MachineSize: Sendable {
    private let read: @Sendable (String) -> String?

    /// Reads the kernel's files by `read`.
    public init(read: @escaping @Sendable (String) -> String?) { self.read = read }

    /// Bytes of memory: the least of the machine's and of every control group's on the way to this process.
    public func memoryBytes() -> UInt64 {
        var least = UInt64.max
        if let text = read("/proc/meminfo"), let line = text.split(separator: "\n").first(where: { $0.hasPrefix("MemTotal:") }) {
            let fields = line.split(separator: " ")
            if fields.count > 1, let kilobytes = UInt64(fields[1]) { least = kilobytes << 10 }
        }
        for directory in directories("") + directories("memory") {
            for name in ["memory.max", "memory.limit_in_bytes"] {
                if let limit = number(directory + "/" + name) { least = min(least, limit) }
            }
        }
        return least == .max ? 1 << 30 : least
    }

    /// Processors: `online`, or the quota of the control group, rounded up.
    public func processors(online: Int) -> Int {
        var least = max(1, online)
        for directory in directories("") + directories("cpu") {
            var quota: Double?
            if let text = read(directory + "/cpu.max") {
                let fields = text.split(whereSeparator: \.isWhitespace).compactMap { Double($0) }
                if fields.count == 2, fields[1] > 0 { quota = fields[0] / fields[1] }
            } else if let micros = number(directory + "/cpu.cfs_quota_us"), let period = number(directory + "/cpu.cfs_period_us"),
                period > 0
            {
                quota = Double(micros) / Double(period)
            }
            if let quota, quota > 0, quota < Double(least) { least = max(1, Int(quota.rounded(.up))) }
        }
        return least
    }

    private func number(_ path: String) -> UInt64? {
        read(path).flatMap { $0.split(whereSeparator: \.isWhitespace).first }.flatMap { UInt64($0) }
    }

    /// The control group's directory and its parents. `controller` is empty for version 2.
    private func directories(_ controller: String) -> [String] {
        let root = controller.isEmpty ? "/sys/fs/cgroup" : "/sys/fs/cgroup/" + controller
        var found = [root]
        for line in (read("/proc/self/cgroup") ?? "").split(separator: "\n") {
            let fields = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            guard fields.count == 3,
                fields[1].split(separator: ",").contains(Substring(controller)) || (controller.isEmpty && fields[1].isEmpty)
            else { continue }
            var path = ""
            for part in fields[2].split(separator: "/").prefix(32) {
                path += "/" + part
                found.append(root + path)
            }
        }
        return found
    }
}
