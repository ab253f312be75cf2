import ThemisBase

/// What a process says when it ends. The numbers are those of sysexits.h.
public enum ExitCode: Int32, Sendable {
    /// It was asked to stop and has.
    case success = 0
    /// The command line is wrong: starting again changes nothing.
    case usage = 64
    /// A bug.
    case software = 70
    /// Something that this process needs alone is taken: a port, the data directory, a file.
    case cannotCreate = 73
    /// The process had to end, such as after a failed sync; starting again is the cure.
    case temporary = 75
    /// The configuration or the data does not fit: starting again changes nothing.
    case configuration = 78
}

/// Why a process does not start: what, why, and the command to fix it, one line each.
public struct StartFailure: Error, Sendable, Equatable {
    /// How the process ends.
    public let code: ExitCode
    /// What could not be done.
    public let what: String
    /// Why; several lines when there are several reasons.
    public let why: [String]
    /// The command to fix it, or what to do.
    public let fix: String

    /// A failure for an operator who has just typed a command.
    public init(_ code: ExitCode, what: String, why: [String], fix: String) {
        self.code = code
        self.what = what
        self.why = why
        self.fix = fix
    }

    /// The failure of `program` that an error of any kind means.
    public init(_ error: any Error, program: String) {
        switch error {
        case let failure as StartFailure: self = failure
        case let error as ThemisError: self.init(error, program)
        case let fault as ConfigurationFault:
            self.init(
                .configuration, what: "\(program): the configuration is not valid", why: fault.problems.map(\.description),
                fix: "correct what is named, then: \(program) --validate")
        case let error as UsageError:
            self.init(
                .usage, what: "\(program): the command line is not understood", why: [error.message], fix: "\(program) --help")
        default:
            self.init(
                .software, what: "\(program): cannot start", why: ["\(error)"], fix: "report this as a bug, with the log")
        }
    }

    private init(_ error: ThemisError, _ program: String) {
        let code: ExitCode =
            switch error.code {
            case .addressInUse, .dataLocked, .alreadyExists: .cannotCreate
            case .invalidConfiguration, .logDamaged, .formatTooNew, .dataCorrupt, .storageReadOnly, .protocolMismatch:
                .configuration
            case .internalError: .software
            default: .temporary
            }
        self.init(
            code, what: "\(program): \(error.code.title.lowercased())",
            why: [error.message] + error.fields.map { "\($0.field): \($0.message)" }, fix: Self.command(for: error.code, program))
    }

    private static func command(for code: ErrorCode, _ program: String) -> String {
        switch code {
        case .addressInUse: "stop the process that is named, or: \(program) --port N"
        case .dataLocked: "stop the process that is named, or: \(program) --data DIRECTORY"
        case .invalidConfiguration: "\(program) --validate"
        case .logDamaged: "\(program) --salvage (keeps what can be read, under a new epoch), or restore a snapshot"
        default: code.advice
        }
    }

    /// The lines for standard error.
    public var text: String { "error: \(what)\n  why: \(why.joined(separator: "\n       "))\n  fix: \(fix)\n" }
}
