public import Foundation
import ThemisBase

/// A program that a test has started. Any thread.
///
/// Whatever the test does, the process is killed and reaped with the object.
public final class LaunchedProcess: Sendable {
    /// What to call it in messages.
    public let name: String
    /// The process id.
    public let pid: pid_t
    /// The file that takes its standard output and error.
    public let logPath: String
    private let state = Monitor<Int32?>(nil)

    /// Starts `executable` with `arguments`.
    ///
    /// - Parameters:
    ///   - environment: added to the test's own, of which nothing named `THEMIS_…` is passed on.
    ///   - logPath: output and errors are appended here.
    public init(_ executable: String, _ arguments: [String], environment: [String: String] = [:], logPath: String) throws {
        name = (executable as NSString).lastPathComponent
        self.logPath = logPath
        // What steers the tests is no setting of the programs, and a developer's own settings are not the test's.
        let inherited = ProcessInfo.processInfo.environment.filter { !$0.key.hasPrefix("THEMIS_") }
        let merged = inherited.merging(environment) { _, given in given }
        pid = try Self.spawn([executable] + arguments, merged.map { "\($0.key)=\($0.value)" }.sorted(), logPath)
    }

    deinit {
        if status(waiting: false) == nil {
            kill(pid, SIGKILL)
            _ = status(waiting: true)
        }
    }

    private static func spawn(_ arguments: [String], _ environment: [String], _ logPath: String) throws -> pid_t {
        var actions = unsafe posix_spawn_file_actions_t()
        unsafe posix_spawn_file_actions_init(&actions)
        defer { unsafe posix_spawn_file_actions_destroy(&actions) }
        unsafe posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        unsafe posix_spawn_file_actions_addopen(&actions, 1, logPath, O_WRONLY | O_CREAT | O_APPEND, 0o644)
        unsafe posix_spawn_file_actions_adddup2(&actions, 1, 2)
        var attributes = posix_spawnattr_t()
        unsafe posix_spawnattr_init(&attributes)
        defer { unsafe posix_spawnattr_destroy(&attributes) }
        // A group of its own: Ctrl-C in the terminal ends the tests, and they end their processes. The threads of a test block
        // signals; a program must not inherit that.
        unsafe posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK))
        var none = sigset_t()
        unsafe sigemptyset(&none)
        unsafe posix_spawnattr_setsigmask(&attributes, &none)
        var argv = unsafe arguments.map { unsafe strdup($0) } + [nil]
        var envp = unsafe environment.map { unsafe strdup($0) } + [nil]
        defer { unsafe (argv + envp).forEach { unsafe free($0) } }
        var pid: pid_t = 0
        let status = unsafe posix_spawn(&pid, arguments[0], &actions, &attributes, &argv, &envp)
        guard status == 0 else {
            throw ClientFailure("\(arguments[0]) does not start: errno \(status); build it first (swift build)")
        }
        return pid
    }

    /// Whether it has not ended yet.
    public var isRunning: Bool { status(waiting: false) == nil }

    /// The wait status, reaped once; nil while it runs and `waiting` is false.
    private func status(waiting: Bool) -> Int32? {
        state.withLock { known in
            if known != nil { return known }
            var status: Int32 = 0
            let reaped = unsafe waitpid(pid, &status, waiting ? 0 : WNOHANG)
            if reaped == pid { known = status }
            return known
        }
    }

    /// Sends a signal; nothing happens when it has ended.
    public func signal(_ number: Int32) {
        if isRunning { kill(pid, number) }
    }

    /// `kill -9`, and waits until it is gone.
    public func killNow() {
        signal(SIGKILL)
        _ = status(waiting: true)
    }

    /// How it ended: the exit code, or 128 + the signal's number, as a shell says it.
    ///
    /// - Throws: with the log's end when it still runs after `seconds`.
    public func exitCode(within seconds: Double) throws -> Int {
        try Patience.wait(seconds, "\(name) (pid \(pid)) to end", log: logPath) { !self.isRunning }
        guard let status = status(waiting: true) else { throw ClientFailure("\(name) was reaped by someone else") }
        let signal = status & 0x7F
        return signal == 0 ? Int((status >> 8) & 0xFF) : 128 + Int(signal)
    }

    /// What it has written so far.
    public var log: String { (try? String(contentsOfFile: logPath, encoding: .utf8)) ?? "" }
}

/// Waits for what a test cannot be told about: it asks again and again, for a bounded time.
public enum Patience {
    /// Asks until `isTrue`, at most `seconds`.
    ///
    /// - Throws: saying what was waited for, with the end of the file `log`.
    public static func wait(_ seconds: Double, _ what: String, log: String? = nil, _ isTrue: () throws -> Bool) throws {
        let time = SystemTime()
        let end = time.monotonicMilliseconds() + Int64(seconds * 1_000)
        while try !isTrue() {
            guard time.monotonicMilliseconds() < end else {
                let tail = log.flatMap { try? String(contentsOfFile: $0, encoding: .utf8) }?.suffix(4_000) ?? ""
                throw ClientFailure("waited \(seconds) s for \(what)\n\(tail)")
            }
            usleep(2_000)
        }
    }
}
