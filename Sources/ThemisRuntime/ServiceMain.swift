import Glibc
import ThemisBase
import ThemisNet
import ThemisTelemetry

/// The life of every process: command line, configuration, log, loop, signals, exit code.
public enum ServiceMain {
    /// Hidden flags by which a parent speaks to its children, and the role of a program that has several.
    static let hiddenFlags: [ProgramFlag] = [
        ProgramFlag("--parent", value: "PID", help: nil), ProgramFlag("--instance", value: "NAME", help: nil),
    ]

    /// Runs a program until it is asked to stop. The main thread calls it once, and it never returns.
    ///
    /// SIGTERM and SIGINT drain and end with 0; a second one ends at once. SIGHUP opens the log file anew. SIGPIPE is ignored.
    ///
    /// - Parameter definitions: the roles that the program can have, chosen by `--role`; the first one is the default.
    public static func run(_ definitions: [ServiceDefinition]) -> Never {
        signal(SIGPIPE, SIG_IGN)
        // Whoever started this process may have had signals blocked: a parent that never hears of its children's end cannot mend anything.
        var none = sigset_t()
        unsafe sigemptyset(&none)
        unsafe pthread_sigmask(SIG_SETMASK, &none, nil)
        let words = Array(CommandLine.arguments.dropFirst())
        let program = definitions[0].role.program
        do {
            try run(choose(definitions, words))
        } catch {
            ProcessEnd.failed(StartFailure(error, program: program))
        }
    }

    /// The role that the command line asks for, and the command line read as that role reads it.
    struct Chosen {
        let definition: ServiceDefinition
        let arguments: Arguments
        /// What `--help` lists beside the settings.
        let programFlags: [ProgramFlag]
    }

    /// Finds the role and reads the command line for it.
    static func choose(_ definitions: [ServiceDefinition], _ words: [String]) throws(UsageError) -> Chosen {
        var definition = definitions[0]
        let names = definitions.map(\.role.rawValue).joined(separator: ", ")
        let roleFlag = ProgramFlag(
            "--role", value: "ROLE",
            help: "Be this part of the set: \(names); default \(definition.role.rawValue).")
        // Looked for before the rest is read: which flags there are depends on it.
        let asked =
            words.firstIndex(of: "--role").map { $0 + 1 < words.count ? words[$0 + 1] : "" }
            ?? words.first { $0.hasPrefix("--role=") }.map { String($0.dropFirst("--role=".count)) }
        if let asked, definitions.count > 1 {
            guard let found = definitions.first(where: { $0.role.rawValue == asked }) else {
                throw UsageError(message: "--role must be one of \(names)")
            }
            definition = found
        }
        let own = definition.programFlags + (definitions.count > 1 ? [roleFlag] : [])
        let arguments = try Arguments(words, role: definition.role, programFlags: own + hiddenFlags)
        return Chosen(definition: definition, arguments: arguments, programFlags: own)
    }

    private static func run(_ chosen: Chosen) throws -> Never {
        let (definition, arguments) = (chosen.definition, chosen.arguments)
        if arguments.has("--help") {
            let help = Arguments.help(role: definition.role, summary: definition.summary, programFlags: chosen.programFlags)
            ProcessEnd.write(help, to: 1)
            ProcessEnd.now(0)
        }
        if arguments.has("--version") {
            ProcessEnd.write(definition.versionLine + "\n", to: 1)
            ProcessEnd.now(0)
        }
        if let parent = arguments.flags["--parent"].flatMap({ Int32($0) }), !ParentProcess.endWithParent(parent, signal: SIGTERM) {
            throw StartFailure(
                .temporary, what: "\(definition.role.program): the parent process is gone",
                why: ["it ended while this one started"],
                fix: "start the parent again")
        }
        let environment = LaunchEnvironment.current()
        if arguments.has("--validate") { Validation.run(arguments: arguments, role: definition.role, environment: environment) }
        let configuration = try Configuration.load(arguments: arguments, role: definition.role, environment: environment)
        let context = try makeContext(definition, arguments, configuration, environment)
        context.telemetry.log.info(context.versionLine, [(.pid, String(getpid())), (.instance, context.instance)])
        for warning in configuration.warnings { context.telemetry.log.warning("configuration", [(.detail, warning)]) }
        try EventLoop.run { try ServiceLife(definition, context).start() }
        ProcessEnd.now(0)
    }

    private static func makeContext(
        _ definition: ServiceDefinition, _ arguments: Arguments, _ configuration: Configuration, _ environment: LaunchEnvironment
    ) throws -> ServiceContext {
        let time = SystemTime()
        let metrics = MetricRegistry()
        let output: any LogOutput
        if let path = configuration[Settings.logFile] {
            do throws(ThemisError) {
                output = try FileOutput(
                    path: path, maximumBytes: configuration[Settings.logRotationSize] << 20,
                    maximumFiles: configuration[Settings.logMaxFiles])
            } catch {
                throw StartFailure(
                    .cannotCreate, what: "\(definition.role.program): the log file cannot be opened",
                    why: ["\(path): \(error.message)"],
                    fix: "make its directory writable, or leave `logging.file` out")
            }
        } else {
            output = DescriptorOutput.standardError
        }
        let log = Logger(
            role: definition.role == .all ? "parent" : definition.role.rawValue, level: configuration[Settings.logLevel],
            format: configuration[Settings.logFormat], time: time, output: output, metrics: metrics)
        let telemetry = Telemetry(log: log, metrics: metrics, time: time)
        var random = ByteReader(Digest.random(8))
        return ServiceContext(
            role: definition.role, configuration: configuration, telemetry: telemetry, arguments: arguments,
            environment: environment,
            instance: arguments.flags["--instance"] ?? "\(definition.role.rawValue)-\(getpid())",
            bootID: random.bigEndian(UInt64.self) ?? 1,
            process: ProcessMetrics(telemetry, answersRequests: definition.answersRequests), versionLine: definition.versionLine)
    }
}

/// The running process: its signals, its second hand, its service.
@NetLoop private final class ServiceLife {
    private let definition: ServiceDefinition
    private let context: ServiceContext
    private var signals: [SignalWatcher] = []
    private var second: LoopTimer?
    private var drainLimit: LoopTimer?
    private var service: (any Service)?
    private var isStopping = false

    init(_ definition: ServiceDefinition, _ context: ServiceContext) {
        self.definition = definition
        self.context = context
    }

    /// Starts everything; the timers and tasks keep this object.
    func start() throws {
        signals = try [SIGTERM, SIGINT].map { number in try SignalWatcher(number) { self.stop(number) } }
        signals.append(try SignalWatcher(SIGHUP) { self.reopenLog() })
        let second = LoopTimer {
            self.context.telemetry.log.flush()
            self.context.process.refresh()
        }
        second.scheduleRepeating(milliseconds: 1_000)
        self.second = second
        NetLoop.spawn { await self.begin() }
    }

    private func begin() async {
        do {
            let service = try await definition.start(context)
            self.service = service
        } catch {
            let failure = StartFailure(error, program: context.role.program)
            // Where the log is text on standard error, the three lines say it already.
            if context.configuration[Settings.logFile] != nil || context.configuration[Settings.logFormat] == .json {
                context.telemetry.log.error(
                    "start failed",
                    [
                        (.reason, failure.what), (.detail, failure.why.joined(separator: "; ")),
                        (.exit_code, String(failure.code.rawValue)),
                    ])
            }
            ProcessEnd.failed(failure)
        }
    }

    private func stop(_ signal: Int32) {
        guard !isStopping else {
            context.telemetry.log.warning("stopping at once", [(.signal, String(signal))])
            ProcessEnd.now(128 + signal)
        }
        isStopping = true
        context.telemetry.log.info("stopping", [(.signal, String(signal))])
        // Still starting: nothing is in flight, and what is on disk is whole at every moment.
        guard let service else { ProcessEnd.now(0) }
        let limit = LoopTimer {
            self.context.end(.temporary, "stopping took too long", [(.milliseconds, String(self.definition.drainMilliseconds))])
        }
        limit.schedule(milliseconds: definition.drainMilliseconds)
        drainLimit = limit
        drain(service)
    }

    private func drain(_ service: any Service) {
        NetLoop.spawn {
            await service.drain()
            self.context.telemetry.log.info("stopped")
            self.context.telemetry.log.flush()
            EventLoop.stop()
        }
    }

    private func reopenLog() {
        context.telemetry.log.reopen()
        context.telemetry.log.info("log opened anew")
        service?.reopenLog()
    }
}
