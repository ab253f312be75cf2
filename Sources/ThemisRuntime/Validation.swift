import Glibc
import ThemisBase
import ThemisNet
import ThemisTelemetry

/// What `--validate` checks: configuration, storage path, ports, memory, threads.
enum Validation {
    /// One line of the answer.
    struct Check: Equatable {
        let name: String
        let isGood: Bool
        let detail: String

        var text: String { "\(isGood ? "ok  " : "FAIL")  \(name): \(detail)\n" }
    }

    /// Prints the five checks and ends the process: 0 when all are good, else 78.
    static func run(arguments: Arguments, role: ProcessRole, environment: LaunchEnvironment) -> Never {
        let checks: [Check]
        do {
            let configuration = try Configuration.load(arguments: arguments, role: role, environment: environment)
            checks = all(configuration, role, environment)
        } catch {
            let skipped = ["storage path", "port", "memory", "worker threads"].map { name in
                Check(name: name, isGood: false, detail: "not checked, because the configuration is not valid")
            }
            checks = error.problems.map { Check(name: "configuration", isGood: false, detail: $0.description) } + skipped
        }
        ProcessEnd.write(checks.map(\.text).joined(), to: 1)
        ProcessEnd.now(checks.allSatisfy(\.isGood) ? 0 : ExitCode.configuration.rawValue)
    }

    static func all(_ configuration: Configuration, _ role: ProcessRole, _ environment: LaunchEnvironment) -> [Check] {
        let file = configuration.file.map { "\($0) is valid" } ?? "no file, defaults are valid"
        return [
            Check(name: "configuration", isGood: true, detail: file), storage(configuration, environment),
            ports(configuration, role),
            memory(configuration, environment), threads(configuration, environment),
        ]
    }

    static func storage(_ configuration: Configuration, _ environment: LaunchEnvironment) -> Check {
        let path = environment.absolute(configuration[Settings.storagePath])
        func check(_ isGood: Bool, _ detail: String) -> Check { Check(name: "storage path", isGood: isGood, detail: detail) }
        if environment.resolve(path) != nil {
            guard environment.isWritableDirectory(path) else {
                return check(false, "\(path) is not a directory that can be written")
            }
            guard !FileSystem.isRemote(path, mounts: SmallFile.read("/proc/self/mountinfo") ?? "") else {
                return check(false, "\(path) lies on a network file system, where a lock does not keep a second server away")
            }
            return check(true, "\(path) is accessible")
        }
        // It will be made: the nearest directory that exists decides.
        var parent = path
        while let slash = parent.lastIndex(of: "/") {
            parent = slash == parent.startIndex ? "/" : String(parent[..<slash])
            if environment.resolve(parent) != nil || parent == "/" { break }
        }
        return environment.isWritableDirectory(parent)
            ? check(true, "\(path) does not exist yet and can be made")
            : check(false, "\(path) does not exist, and \(parent) cannot be written")
    }

    /// Tries to listen, as the process would.
    static func ports(_ configuration: Configuration, _ role: ProcessRole) -> Check {
        let listeners: [(roles: [ProcessRole], host: Setting<String>, port: Setting<Int>)] = [
            ([.all, .gateway], Settings.serverHost, Settings.serverPort),
            ([.all, .changefeed], Settings.changefeedHost, Settings.changefeedPort),
            ([.all, .exporter], Settings.exporterHost, Settings.exporterPort),
        ]
        let own = listeners.filter { $0.roles.contains(role) }
        guard !own.isEmpty else { return Check(name: "port", isGood: true, detail: "this role listens on no port") }
        var free: [String] = []
        var faults: [String] = []
        do {
            try EventLoop.run {
                for (_, host, port) in own {
                    do throws(ThemisError) {
                        let address = try SocketAddress(host: configuration[host], port: UInt16(clamping: configuration[port]))
                        try Listener(address, telemetry: Telemetry.silent()).close()
                        free.append(address.text)
                    } catch {
                        faults.append(error.message)
                    }
                }
                EventLoop.stop()
            }
        } catch {
            faults.append("\(error)")
        }
        let detail = (faults + (free.isEmpty ? [] : ["\(free.joined(separator: ", ")) free"])).joined(separator: "; ")
        return Check(name: "port", isGood: faults.isEmpty, detail: detail)
    }

    /// Block cache and write buffers, of which two exist while one is written, may take three quarters of the budget.
    static func memory(_ configuration: Configuration, _ environment: LaunchEnvironment) -> Check {
        let limit = configuration[Settings.memoryLimit]
        let planned = configuration[Settings.blockCacheSize] + 2 * configuration[Settings.memtableSize]
        let machine = Int(clamping: environment.memoryBytes >> 20)
        func check(_ isGood: Bool, _ detail: String) -> Check { Check(name: "memory", isGood: isGood, detail: detail) }
        guard limit <= machine else { return check(false, "memory.limit_mb is \(limit), but there are \(machine) MiB") }
        guard planned * 4 <= limit * 3 else {
            return check(
                false, "block cache and write buffers take \(planned) MiB, more than three quarters of memory.limit_mb (\(limit))"
            )
        }
        return check(true, "\(planned) MiB planned of \(limit), \(machine) MiB there")
    }

    static func threads(_ configuration: Configuration, _ environment: LaunchEnvironment) -> Check {
        let threads = configuration[Settings.workerThreads]
        let isGood = threads <= environment.processors * 16
        return Check(
            name: "worker threads", isGood: isGood,
            detail: "\(threads) on \(environment.processors) processors"
                + (isGood ? "" : ", more than 16 each only wait for one another"))
    }
}
