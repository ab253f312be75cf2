import Foundation
import ThemisBase

/// The programs of the set.
public enum ServiceRole: String, Sendable, CaseIterable {
    /// The core, or with `--role all` the parent of a whole set.
    case server
    /// The gateway.
    case gateway
    /// The changefeed.
    case changefeed
    /// The exporter.
    case exporter

    /// The file name of the program.
    public var executable: String { "themis_\(rawValue)" }
}

/// A set of real processes with a data directory, a socket and ports of its own. Any thread.
///
/// The programs come from `THEMIS_BIN`, or from the build that the tests belong to. Everything is killed and removed with the object;
/// `THEMIS_KEEP=1` keeps the directory with data and logs.
public final class ProcessSet: Sendable {
    /// A fresh directory below the system's temporary one.
    public let directory: String
    /// The gateway's port.
    public let gatewayPort: UInt16
    /// The changefeed's port.
    public let changefeedPort: UInt16
    /// The exporter's port.
    public let exporterPort: UInt16
    private let environment: [String: String]
    private let running = Monitor<[ServiceRole: LaunchedProcess]>([:])

    /// Chooses a directory and ports; starts nothing.
    ///
    /// - Parameter environment: for every process, such as `LD_PRELOAD` or `THEMIS_LOG_LEVEL`.
    public init(environment: [String: String] = [:]) throws {
        directory = TestDirectory.path("set")
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        let ports = try FreePort.some(3)
        (gatewayPort, changefeedPort, exporterPort) = (ports[0], ports[1], ports[2])
        self.environment = environment
    }

    deinit {
        for process in running.withLock({ $0.values.map { $0 } }) { process.killNow() }
        if ProcessInfo.processInfo.environment["THEMIS_KEEP"] != "1" { try? FileManager.default.removeItem(atPath: directory) }
    }

    /// The data directory.
    public var dataPath: String { directory + "/data" }
    /// The RPC socket, in a directory of its own.
    public var socketPath: String { directory + "/run/core.sock" }
    /// The log of `role`, appended to over restarts.
    public func logPath(_ role: ServiceRole) -> String { "\(directory)/\(role.rawValue).log" }

    /// The folder of the built programs.
    public static let programs: String = ProcessInfo.processInfo.environment["THEMIS_BIN"] ?? build + "/debug"

    /// The folder of test tools that `make install` has unpacked.
    public static let tools = build + "/tools/usr/bin"

    /// The folder of the Python environment `group` that `make install` has made.
    public static func venv(_ group: String) -> String { build + "/venv/" + group }

    private static let build = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appendingPathComponent(".build").path

    /// The running process of `role`.
    public subscript(role: ServiceRole) -> LaunchedProcess? { running.withLock { $0[role] } }

    /// Starts a program with exactly these arguments.
    @discardableResult
    public func launch(
        _ role: ServiceRole, _ arguments: [String], environment added: [String: String] = [:]
    ) throws -> LaunchedProcess {
        let process = try LaunchedProcess(
            "\(Self.programs)/\(role.executable)", arguments, environment: environment.merging(added) { _, given in given },
            logPath: logPath(role))
        running.withLock { $0[role] = process }
        return process
    }

    /// Starts one process of the set: the core alone, or a sidecar.
    @discardableResult
    public func start(
        _ role: ServiceRole, _ more: [String] = [], environment added: [String: String] = [:]
    ) throws -> LaunchedProcess {
        let own: [String] =
            switch role {
            case .server: ["--role", "core", "--data", dataPath]
            case .gateway: ["--host", "127.0.0.1", "--port", String(gatewayPort)]
            case .changefeed: ["--port", String(changefeedPort)]
            case .exporter: ["--port", String(exporterPort)]
            }
        return try launch(role, own + ["--socket", socketPath] + more, environment: added)
    }

    /// Starts the core and the sidecars named, each as a process of its own, and waits until they are ready.
    public func startCore(with sidecars: ServiceRole...) throws {
        try start(.server)
        for role in sidecars { try start(role) }
        for role in sidecars { try waitUntilReady(role) }
        if sidecars.isEmpty { try waitForCore() }
    }

    /// Starts `themis_server` as a stranger does: the parent with the whole set under it, on this set's ports.
    public func startAll(_ more: [String] = []) throws {
        let ports = ["THEMIS_CHANGEFEED_PORT": String(changefeedPort), "THEMIS_EXPORTER_PORT": String(exporterPort)]
        try launch(
            .server, ["--data", dataPath, "--port", String(gatewayPort), "--socket", socketPath] + more, environment: ports)
        for role in [ServiceRole.gateway, .changefeed, .exporter] { try waitUntilReady(role) }
    }

    /// The port of a sidecar.
    public func port(_ role: ServiceRole) -> UInt16 {
        switch role {
        case .server, .gateway: gatewayPort
        case .changefeed: changefeedPort
        case .exporter: exporterPort
        }
    }

    /// Waits until a sidecar says that it is ready.
    public func waitUntilReady(_ role: ServiceRole, seconds: Double = 20) throws {
        try waitFor(role, "/health/ready", seconds)
    }

    /// Waits until the core answers the gateway: `/health` is 200 and says that the core is healthy.
    public func waitUntilHealthy(seconds: Double = 20) throws {
        let client = HTTPClient(port: gatewayPort, milliseconds: 3_000)
        try Patience.wait(seconds, "a healthy core", log: logPath(.server)) {
            guard let answer = try? client.get("/health"), answer.status == 200 else { return false }
            let core = (answer.json["components"] as? [String: Any])?["core"] as? [String: Any]
            return core?["status"] as? String == "healthy"
        }
    }

    private func waitFor(_ role: ServiceRole, _ target: String, _ seconds: Double) throws {
        let client = HTTPClient(port: port(role), milliseconds: 3_000)
        let process = self[role] ?? self[.server]
        try Patience.wait(seconds, "\(role.executable) to answer \(target)", log: process?.logPath) {
            if process?.isRunning == false {
                throw ClientFailure("\(role.executable) ended:\n\(process?.log.suffix(4_000) ?? "")")
            }
            return (try? client.get(target).status) == 200
        }
    }

    /// Waits until the core accepts connections on its socket.
    public func waitForCore(seconds: Double = 20) throws {
        try Patience.wait(seconds, "the core's socket", log: logPath(.server)) {
            if self[.server]?.isRunning == false {
                throw ClientFailure("the core ended:\n\(self[.server]?.log.suffix(4_000) ?? "")")
            }
            return (try? ClientSocket(path: self.socketPath)) != nil
        }
    }

    /// `kill -9` of one process.
    public func kill(_ role: ServiceRole) { self[role]?.killNow() }

    /// Asks one process to stop and gives its exit code.
    public func stop(_ role: ServiceRole, within seconds: Double = 5) throws -> Int {
        guard let process = self[role] else { throw ClientFailure("\(role.executable) was not started") }
        process.signal(SIGTERM)
        return try process.exitCode(within: seconds)
    }

    /// A client of the gateway.
    public func client() -> HTTPClient { HTTPClient(port: gatewayPort) }
}
