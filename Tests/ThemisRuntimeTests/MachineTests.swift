import Foundation
import Testing
import ThemisBase

@testable import ThemisRuntime

@Suite struct SocketPathTests {
    @Test func `the first base directory that is writable holds the socket`() {
        func path(_ writable: Set<String>, _ variables: [String: String] = [:], data: String = "./data") -> String {
            SocketPath.standard(
                dataDirectory: data, serving: true, environment: makeEnvironment(variables: variables, writable: writable))
        }
        let runtime = ["XDG_RUNTIME_DIR": "/run/user/1000", "TMPDIR": "/scratch"]
        let all: Set<String> = ["/run/themis", "/run/user/1000", "/scratch", "/tmp"]
        let name = "data-" + Digest.hex(Digest.sha256(Array("/here/data".utf8)).prefix(6))
        #expect(path(all, runtime) == "/run/themis/\(name)/core.sock")
        #expect(path(all.subtracting(["/run/themis"]), runtime) == "/run/user/1000/themis-\(name)/core.sock")
        #expect(path(["/scratch", "/tmp"], runtime) == "/scratch/themis-1000-\(name)/core.sock")
        #expect(path(["/tmp"], runtime) == "/tmp/themis-1000-\(name)/core.sock")
        #expect(path(["/tmp"]) == "/tmp/themis-1000-\(name)/core.sock")
        // The same directory under another spelling is the same set, another directory another one.
        #expect(path(["/tmp"], data: "/here/x/../data/") == path(["/tmp"]))
        #expect(path(["/tmp"], data: "/other/data") != path(["/tmp"]))
        let long = "/" + String(repeating: "x", count: 100)
        #expect(path([long, "/tmp"], ["TMPDIR": long]).hasPrefix("/tmp/"))
    }

    @Test func `a client takes the socket that lies there`() {
        let name = "data-" + Digest.hex(Digest.sha256(Array("/here/data".utf8)).prefix(6))
        let environment = makeEnvironment(
            writable: ["/run/themis", "/tmp"], existing: ["/", "/here", "/tmp/themis-1000-\(name)/core.sock"])
        #expect(
            SocketPath.standard(dataDirectory: "data", serving: false, environment: environment)
                == "/tmp/themis-1000-\(name)/core.sock")
        #expect(
            SocketPath.standard(dataDirectory: "data", serving: true, environment: environment) == "/run/themis/\(name)/core.sock"
        )
    }

    @Test func `names of directories become plain`() {
        let path = SocketPath.standard(
            dataDirectory: "/a b/ü!" + String(repeating: "y", count: 80), serving: true, environment: makeEnvironment())
        #expect(path.hasPrefix("/tmp/themis-1000-___yyyyy"))
        #expect(path.utf8.count <= Limits.socketPathBytes)
        #expect(SocketPath.standard(dataDirectory: "/", serving: true, environment: makeEnvironment()).contains("root-"))
    }
}

@Suite struct MachineSizeTests {
    private func size(_ files: [String: String]) -> MachineSize { MachineSize { files[$0] } }

    @Test func `memory is the least of machine and control groups, versions 1 and 2`() {
        let machine = "MemTotal:       8388608 kB\nMemFree: 1 kB\n"
        #expect(size(["/proc/meminfo": machine]).memoryBytes() == 8 << 30)
        let two = [
            "/proc/meminfo": machine, "/proc/self/cgroup": "0::/a/b\n", "/sys/fs/cgroup/a/b/memory.max": "max\n",
            "/sys/fs/cgroup/a/memory.max": "1073741824\n",
        ]
        #expect(size(two).memoryBytes() == 1 << 30)
        let container = ["/proc/meminfo": machine, "/proc/self/cgroup": "0::/\n", "/sys/fs/cgroup/memory.max": "536870912\n"]
        #expect(size(container).memoryBytes() == 512 << 20)
        let one = [
            "/proc/meminfo": machine, "/proc/self/cgroup": "5:cpu,cpuacct:/x\n4:memory:/x/y\n",
            "/sys/fs/cgroup/memory/x/y/memory.limit_in_bytes": "2147483648\n",
            "/sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
        ]
        #expect(size(one).memoryBytes() == 2 << 30)
        #expect(size([:]).memoryBytes() == 1 << 30)
    }

    @Test func `processors are bounded by the quota`() {
        let two = ["/proc/self/cgroup": "0::/a\n", "/sys/fs/cgroup/a/cpu.max": "150000 100000\n"]
        #expect(size(two).processors(online: 8) == 2)
        #expect(size(["/sys/fs/cgroup/cpu.max": "max 100000\n"]).processors(online: 8) == 8)
        let one = [
            "/proc/self/cgroup": "5:cpu,cpuacct:/x\n", "/sys/fs/cgroup/cpu/x/cpu.cfs_quota_us": "50000\n",
            "/sys/fs/cgroup/cpu/x/cpu.cfs_period_us": "100000\n", "/sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
        ]
        #expect(size(one).processors(online: 8) == 1)
        #expect(size([:]).processors(online: 0) == 1)
    }

    @Test func `the real machine has processors and memory`() {
        let environment = LaunchEnvironment.current()
        #expect(environment.processors >= 1 && environment.memoryBytes > 1 << 20)
        #expect(environment.currentDirectory.hasPrefix("/"))
        #expect(environment.absolute("/tmp/../tmp/./no-such-thing") == (environment.resolve("/tmp") ?? "/tmp") + "/no-such-thing")
        #expect(environment.isWritableDirectory("/tmp") && !environment.isWritableDirectory("/proc/self/stat"))
        guard case .missing = environment.readFile("/no/such/file") else { return #expect(Bool(false)) }
        guard case .unreadable = environment.readFile("/tmp") else { return #expect(Bool(false)) }
    }
}

@Suite struct HealthTests {
    private func report(_ core: HealthStatus, _ changefeed: HealthStatus) -> HealthReport {
        HealthReport(
            uptimeSeconds: 1.23456,
            components: [
                ComponentHealth("core", core, latencyMilliseconds: 2, vital: true),
                ComponentHealth("changefeed", changefeed, detail: "gone"),
            ])
    }

    @Test func `the set is as well as its vital parts; another part only degrades it`() {
        #expect(report(.healthy, .healthy).status == .healthy)
        #expect(report(.healthy, .unhealthy).status == .degraded)
        #expect(report(.degraded, .healthy).status == .degraded)
        #expect(report(.unhealthy, .healthy).status == .unhealthy)
        #expect(report(.unhealthy, .healthy).httpStatus == 503)
        #expect(report(.healthy, .unhealthy).httpStatus == 200)
    }

    @Test func `the body is as the contract says`() {
        #expect(
            String(decoding: report(.healthy, .degraded).json(), as: UTF8.self)
                == #"{"status":"degraded","version":"\#(Build.version)","uptime_seconds":1.235,"components":{"#
                + #""core":{"status":"healthy","detail":"","latency_ms":2},"#
                + #""changefeed":{"status":"degraded","detail":"gone","latency_ms":null}}}"#
        )
        #expect(
            String(decoding: HealthReport.ready(missing: "no core").json, as: UTF8.self)
                == #"{"status":"not_ready","detail":"no core"}"#)
        #expect(HealthReport.ready(missing: nil).httpStatus == 200)
    }
}
