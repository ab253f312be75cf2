import ThemisBase
public import ThemisNet
public import ThemisTelemetry

/// A running process's own part: made by `ServiceDefinition.start`, ended by `drain`.
@NetLoop public protocol Service: AnyObject, Sendable {
    /// Takes no new work, ends what is in flight, and returns when nothing is left. Bounded by
    /// `ServiceDefinition.drainMilliseconds`.
    func drain() async
    /// SIGHUP: the log file has been opened anew.
    func reopenLog()
}

extension Service {
    /// Most services have nothing else to open anew.
    public func reopenLog() {}
}

/// What a program is in one of its roles.
public struct ServiceDefinition: Sendable {
    /// The role.
    public let role: ProcessRole
    /// What `--help` says about it.
    public let summary: String
    /// Flags of this program that are not settings.
    public let programFlags: [ProgramFlag]
    /// Further words of the version line, such as `rocksdb 7.8.3`.
    public let versions: String
    /// Whether it counts `vccdb_requests_total`.
    public let answersRequests: Bool
    /// How long `drain` may take; what is not done then is cut off.
    public let drainMilliseconds: Int
    /// Starts the service on the loop.
    ///
    /// What it throws ends the process: a `StartFailure`, a `ThemisError`, or anything else as a bug.
    public let start: @Sendable @NetLoop (ServiceContext) async throws -> any Service

    /// A program in the role `role`.
    public init(
        role: ProcessRole, summary: String, programFlags: [ProgramFlag] = [], versions: String = "",
        answersRequests: Bool = false,
        drainMilliseconds: Int = 4_500, start: @escaping @Sendable @NetLoop (ServiceContext) async throws -> any Service
    ) {
        self.role = role
        self.summary = summary
        self.programFlags = programFlags
        self.versions = versions
        self.answersRequests = answersRequests
        self.drainMilliseconds = drainMilliseconds
        self.start = start
    }

    /// The line of `--version`, of GET /version and at the head of the log.
    public var versionLine: String { Build.line + (versions.isEmpty ? "" : " " + versions) }
}

/// What a service starts with.
public struct ServiceContext: Sendable {
    /// The role.
    public let role: ProcessRole
    /// The checked configuration.
    public let configuration: Configuration
    /// The log, metrics and clock of the process.
    public let telemetry: Telemetry
    /// The command line.
    public let arguments: Arguments
    /// What the process found when it started.
    public let environment: LaunchEnvironment
    /// The name of this process in the set: it stays over restarts when the parent gave it.
    public let instance: String
    /// A random number that another start of the same instance does not have.
    public let bootID: UInt64
    /// Age, CPU and memory of the process; refreshed every second.
    public let process: ProcessMetrics
    /// The version line.
    public let versionLine: String

    /// Ends the process at once, without cleaning up: for faults after which only a new process is right, such as a failed sync.
    /// Any thread.
    public func end(_ code: ExitCode, _ message: String, _ metadata: [(LogKey, String)] = []) -> Never {
        telemetry.log.error(message, metadata + [(.exit_code, String(code.rawValue))])
        ProcessEnd.now(code.rawValue)
    }
}
