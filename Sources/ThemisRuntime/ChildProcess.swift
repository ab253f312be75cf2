import Glibc

/// A process that the parent of a set starts and watches.
public struct ChildSpec: Sendable, Equatable {
    /// Its name in the set, such as `gateway-1`.
    public let name: String
    /// What it is.
    public let role: ProcessRole
    /// The file to run.
    public let executable: String
    /// Its command line without the program's name.
    public let arguments: [String]

    /// A child of this command line.
    public init(name: String, role: ProcessRole, executable: String, arguments: [String]) {
        self.name = name
        self.role = role
        self.executable = executable
        self.arguments = arguments
    }

    /// The children of one machine's set: the core, then its sidecars, each with the flags that its program has.
    ///
    /// - Parameters:
    ///   - directory: where the executables lie.
    ///   - parent: the process id that they expect as their parent.
    public static func set(
        _ configuration: Configuration, _ arguments: Arguments, directory: String, parent: Int32
    ) -> [ChildSpec] {
        let counts: [(ProcessRole, Int)] = [
            (.core, 1), (.gateway, configuration[Settings.gatewayProcesses]),
            (.changefeed, configuration[Settings.changefeedProcesses]),
            (.exporter, 1),
        ]
        return counts.flatMap { role, count in
            (1...count).map { number in
                let name = count == 1 ? role.rawValue : "\(role.rawValue)-\(number)"
                var words = role == .core ? ["--role", "core"] : []
                words += ["--parent", String(parent), "--instance", name]
                if let file = configuration.file { words += ["--config", file] }
                words += ["--socket", configuration[Settings.rpcSocket], "--data", configuration[Settings.storagePath]]
                for (row, flag, text) in arguments.settings where flag != "--socket" && flag != "--data" {
                    if row.flags.contains(where: { $0.name == flag && $0.roles.contains(role) }) { words += [flag, text] }
                }
                return ChildSpec(name: name, role: role, executable: "\(directory)/\(role.program)", arguments: words)
            }
        }
    }
}

/// How a process ended.
public enum ChildEnd: Sendable, Equatable {
    /// By itself, with this code.
    case exited(Int32)
    /// By this signal.
    case killed(Int32)

    /// From the status of waitpid.
    init(waitStatus status: Int32) {
        let signal = status & 0x7F
        self = signal == 0 ? .exited((status >> 8) & 0xFF) : .killed(signal)
    }

    /// For logs.
    public var text: String {
        switch self {
        case .exited(let code): "exit code \(code)"
        case .killed(let signal): "signal \(signal)"
        }
    }
}

/// The system's side of children.
enum ChildProcess {
    /// Starts `spec` and gives its pid. Standard input is /dev/null, output and error are the parent's.
    ///
    /// Must be called on the main thread: the kernel tells a child that its parent is gone when the *thread* that started it
    /// ends.
    static func spawn(_ spec: ChildSpec) throws(StartFailure) -> pid_t {
        var actions = unsafe posix_spawn_file_actions_t()
        unsafe posix_spawn_file_actions_init(&actions)
        defer { unsafe posix_spawn_file_actions_destroy(&actions) }
        unsafe posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        var attributes = posix_spawnattr_t()
        unsafe posix_spawnattr_init(&attributes)
        defer { unsafe posix_spawnattr_destroy(&attributes) }
        // A group of its own: Ctrl-C in a terminal reaches the parent only, which then stops everyone in order.
        // Whatever the parent was started with, a child can be asked to stop.
        var signals = sigset_t()
        unsafe sigemptyset(&signals)
        unsafe posix_spawnattr_setsigmask(&attributes, &signals)
        for signal in [SIGTERM, SIGINT, SIGHUP, SIGCHLD, SIGPIPE] { unsafe sigaddset(&signals, signal) }
        unsafe posix_spawnattr_setsigdefault(&attributes, &signals)
        unsafe posix_spawnattr_setflags(
            &attributes, Int16(POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))
        var argv = unsafe ([spec.executable] + spec.arguments).map { unsafe strdup($0) } + [nil]
        defer { unsafe argv.forEach { unsafe free($0) } }
        var pid: pid_t = 0
        let status = unsafe posix_spawn(&pid, spec.executable, &actions, &attributes, &argv, environ)
        guard status == 0 else {
            throw StartFailure(
                status == EAGAIN || status == ENOMEM ? .temporary : .configuration,
                what: "themis_server: cannot start \(spec.name)",
                why: ["\(spec.executable): \(unsafe String(cString: strerror(status)))"],
                fix: "put all programs of one build beside themis_server: swift build")
        }
        return pid
    }

    /// How the process `pid` ended, nil while it runs.
    static func reap(_ pid: pid_t) -> ChildEnd? {
        var status: Int32 = 0
        return unsafe waitpid(pid, &status, WNOHANG) == pid ? ChildEnd(waitStatus: status) : nil
    }
}
