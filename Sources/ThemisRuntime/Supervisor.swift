import Glibc
import ThemisBase
public import ThemisNet
public import ThemisTelemetry

/// Starts the processes of one machine's set, starts again what dies, and stops them in order: sidecars first, then the core.
///
/// A child that dies never touches the others. One that says that starting again is useless (exit codes 64 and 78, or 73 at its
/// first start) ends the set with the same code; one that dies too often ends it with 75. A child that was up and then
/// ends with 75 is waited for, however often.
@NetLoop public final class Supervisor: Service {
    /// Bounds of the supervision.
    public struct Options: Sendable {
        /// When a child is started again.
        public var restart = RestartPolicy.Bounds()
        /// How long a child may take to end before it is killed.
        public var stopMilliseconds = 5_000
        /// Who ran so long has got hold of what it needs alone.
        public var upMilliseconds: Int64 = 2_000

        /// The numbers of a real set.
        public nonisolated init() {}
    }

    /// What happened, for tests.
    public enum Event: Sendable, Equatable {
        /// A child runs.
        case started(String, pid: Int32)
        /// A child ended.
        case ended(String, ChildEnd)
        /// Every child has ended.
        case stopped
    }

    private struct Child {
        let spec: ChildSpec
        var pid: pid_t?
        var startedAt: Int64 = 0
        var wasUp = false
        var policy: RestartPolicy
        var restart: LoopTimer?
    }

    private let options: Options
    private let telemetry: Telemetry
    private let observer: (@NetLoop (Event) -> Void)?
    private let failed: @NetLoop (ExitCode, StartFailure?) -> Void
    private var random = SystemRandomNumberGenerator()
    private var children: [Child]
    /// Given to the core at its first start only, such as `--salvage`.
    private var onceForCore: [String]
    private var signal: SignalWatcher?
    private var isStopping = false
    private(set) var killTimer: LoopTimer?
    /// The roles that are being stopped now.
    private var stoppingCore = false
    private var waiting: [CheckedContinuation<Void, Never>] = []
    private var failure: (code: ExitCode, words: StartFailure?)?

    /// A supervisor of `children`; nothing is started yet.
    ///
    /// - Parameters:
    ///   - onceForCore: flags for the first start of the core.
    ///   - failed: called when the set has ended by itself and every child is gone; ends the process. The words are for standard
    ///     error; nil when the child has said its own there.
    public init(
        _ children: [ChildSpec], onceForCore: [String] = [], options: Options = Options(), telemetry: Telemetry,
        observer: (@NetLoop (Event) -> Void)? = nil, failed: @escaping @NetLoop (ExitCode, StartFailure?) -> Void
    ) {
        self.children = children.map { Child(spec: $0, policy: RestartPolicy(options.restart)) }
        self.onceForCore = onceForCore
        self.options = options
        self.telemetry = telemetry
        self.observer = observer
        self.failed = failed
    }

    /// The role `all` of `themis_server`.
    ///
    /// - Parameter coreFlags: flags of the core that are passed on to its first start.
    public nonisolated static func definition(versions: String, coreFlags: [ProgramFlag] = []) -> ServiceDefinition {
        ServiceDefinition(
            role: .all, summary: "the whole set on one machine: core, gateway, changefeed and exporter.", programFlags: coreFlags,
            versions: versions, drainMilliseconds: 11_000
        ) { context in
            let executable = context.environment.resolve("/proc/self/exe") ?? "/usr/bin/themis_server"
            let directory = String(executable[..<(executable.lastIndex(of: "/") ?? executable.startIndex)])
            let specs = ChildSpec.set(context.configuration, context.arguments, directory: directory, parent: getpid())
            let once = coreFlags.filter { context.arguments.has($0.name) }.flatMap { flag in
                flag.value == nil ? [flag.name] : [flag.name, context.arguments.flags[flag.name] ?? ""]
            }
            let supervisor = Supervisor(specs, onceForCore: once, telemetry: context.telemetry) { code, words in
                if let words { ProcessEnd.failed(words) }
                ProcessEnd.now(code.rawValue)
            }
            try supervisor.start()
            return supervisor
        }
    }

    /// Starts every child.
    ///
    /// - Throws: `StartFailure` when an executable cannot be run; what had been started is killed.
    public func start() throws {
        signal = try SignalWatcher(SIGCHLD) { [weak self] in self?.reap() }
        do throws(StartFailure) {
            for index in children.indices { try spawn(index) }
        } catch {
            isStopping = true
            for child in children { if let pid = child.pid { kill(pid, SIGKILL) } }
            throw error
        }
    }

    private func spawn(_ index: Int) throws(StartFailure) {
        var spec = children[index].spec
        if spec.role == .core, !onceForCore.isEmpty {
            spec = ChildSpec(name: spec.name, role: .core, executable: spec.executable, arguments: spec.arguments + onceForCore)
            onceForCore = []
        }
        let pid = try ChildProcess.spawn(spec)
        children[index].pid = pid
        children[index].startedAt = telemetry.time.monotonicMilliseconds()
        telemetry.log.info("process started", [(.instance, spec.name), (.pid, String(pid))])
        observer?(.started(spec.name, pid: pid))
    }

    // MARK: A child ends

    private func reap() {
        // Signals merge: every child is asked.
        for index in children.indices {
            guard let pid = children[index].pid, let end = ChildProcess.reap(pid) else { continue }
            ended(index, pid, end)
        }
    }

    private func ended(_ index: Int, _ pid: pid_t, _ end: ChildEnd) {
        let now = telemetry.time.monotonicMilliseconds()
        let ran = now - children[index].startedAt
        let name = children[index].spec.name
        children[index].pid = nil
        if ran >= options.upMilliseconds { children[index].wasUp = true }
        let metadata: [(LogKey, String)] = [(.instance, name), (.pid, String(pid)), (.reason, end.text)]
        observer?(.ended(name, end))
        if isStopping {
            telemetry.log.info("process ended", metadata)
            return continueStop()
        }
        if let code = lastWord(end, wasUp: children[index].wasUp) {
            return fail(code, nil, "the set ends because a process cannot start", metadata)
        }
        // A disk that fails or is full may stay so for hours: who was up once waits for it, and the others keep serving what they can.
        let isPassing = children[index].wasUp && end == .exited(ExitCode.temporary.rawValue)
        switch children[index].policy.ended(at: now, ranMilliseconds: ran, isPassing: isPassing, using: &random) {
        case .giveUp:
            let words = StartFailure(
                .temporary, what: "\(ProcessRole.all.program): \(name) died \(options.restart.crashes) times in a short while",
                why: ["the last time: \(end.text)"], fix: "look at the lines of \(name) in the log, mend the cause, start again")
            fail(.temporary, words, "the set ends because a process died too often", metadata)
        case .restart(let milliseconds):
            telemetry.log.warning("process ended, it is started again", metadata + [(.milliseconds, String(milliseconds))])
            let timer = LoopTimer { [weak self] in self?.restart(index) }
            timer.schedule(milliseconds: Int(milliseconds))
            children[index].restart = timer
        }
    }

    /// The exit code with which the whole set has to end, nil when starting again may help.
    private func lastWord(_ end: ChildEnd, wasUp: Bool) -> ExitCode? {
        guard case .exited(let number) = end, let code = ExitCode(rawValue: number) else { return nil }
        switch code {
        case .usage, .configuration: return code
        // Taken from the beginning, by someone else; later it may be a rest of our own that is about to go.
        case .cannotCreate: return wasUp ? nil : code
        case .success, .software, .temporary: return nil
        }
    }

    private func restart(_ index: Int) {
        children[index].restart = nil
        guard !isStopping else { return }
        do throws(StartFailure) {
            try spawn(index)
        } catch {
            fail(error.code, error, "the set ends because a process cannot start", [(.reason, error.why.joined(separator: "; "))])
        }
    }

    private func fail(_ code: ExitCode, _ words: StartFailure?, _ message: String, _ metadata: [(LogKey, String)]) {
        guard failure == nil else { return }
        failure = (code, words)
        telemetry.log.error(message, metadata)
        stop()
    }

    // MARK: Stopping

    /// Stops the sidecars, then the core, and returns when every child has ended.
    public func drain() async {
        await withCheckedContinuation { continuation in
            waiting.append(continuation)
            stop()
        }
    }

    /// Passed on: each process has the log file open itself.
    public func reopenLog() {
        for child in children { if let pid = child.pid { kill(pid, SIGHUP) } }
    }

    func stop() {
        guard !isStopping else { return continueStop() }
        isStopping = true
        for index in children.indices { children[index].restart = nil }
        stopAll()
    }

    /// Asks the children of this stage to end, and kills them when they take too long.
    private func stopAll() {
        signalStage(SIGTERM)
        let timer = LoopTimer { [weak self] in self?.killStage() }
        timer.schedule(milliseconds: options.stopMilliseconds)
        killTimer = timer
        continueStop()
    }

    /// Kills the children of this stage that have not ended in their time.
    func killStage() {
        for child in stage where child.pid != nil {
            telemetry.log.warning("process does not stop, it is killed", [(.instance, child.spec.name)])
        }
        signalStage(SIGKILL)
    }

    private var stage: [Child] { children.filter { ($0.spec.role == .core) == stoppingCore } }

    private func signalStage(_ number: Int32) {
        for child in stage { if let pid = child.pid { kill(pid, number) } }
    }

    private func continueStop() {
        guard isStopping, !stage.contains(where: { $0.pid != nil }) else { return }
        guard stoppingCore else {
            stoppingCore = true
            return stopAll()
        }
        killTimer = nil
        signal = nil
        observer?(.stopped)
        let done = waiting
        waiting = []
        for continuation in done { continuation.resume() }
        if let failure, done.isEmpty { failed(failure.code, failure.words) }
    }
}
