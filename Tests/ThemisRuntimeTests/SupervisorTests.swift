import Foundation
import Testing
import ThemisBase
import ThemisNet
import ThemisTelemetry
import ThemisTestKit

@testable import ThemisRuntime

/// A supervisor of small shell scripts, and what it tells.
@NetLoop private final class Fixture {
    let events: AsyncStream<Supervisor.Event>
    let supervisor: Supervisor
    private var iterator: AsyncStream<Supervisor.Event>.AsyncIterator
    private let failures: AsyncStream<ExitCode>

    /// - Parameter scripts: name, role, script.
    init(
        _ scripts: [(String, ProcessRole, String)], once: [String] = [],
        options change: (inout Supervisor.Options) -> Void = { _ in }
    ) {
        var options = Supervisor.Options()
        options.restart.firstMilliseconds = 1
        options.restart.longestMilliseconds = 4
        change(&options)
        let (events, tell) = AsyncStream.makeStream(of: Supervisor.Event.self)
        let (failures, fail) = AsyncStream.makeStream(of: ExitCode.self)
        self.events = events
        self.failures = failures
        iterator = events.makeAsyncIterator()
        let specs = scripts.map { name, role, script in
            ChildSpec(name: name, role: role, executable: "/bin/sh", arguments: ["-c", script, name])
        }
        supervisor = Supervisor(specs, onceForCore: once, options: options, telemetry: .silent(), observer: { tell.yield($0) }) {
            code, _ in
            fail.yield(code)
        }
    }

    func next() async -> Supervisor.Event? {
        var copy = iterator
        defer { iterator = copy }
        return await copy.next(isolation: #isolation)
    }

    /// The pids after the first start.
    func start(_ count: Int) async throws -> [Int32] {
        try supervisor.start()
        var pids: [Int32] = []
        for _ in 0..<count {
            guard case .started(_, let pid) = await next() else { throw CancellationError() }
            pids.append(pid)
        }
        return pids
    }

    func failureCode() async -> ExitCode? {
        for await code in failures { return code }
        return nil
    }
}

/// Runs until it is asked to stop. What outlives it does not hold the output of the tests open.
private let patient = "trap 'exit 0' TERM; while :; do sleep 60 >/dev/null 2>&1 & wait $!; done"

@Suite(.serialized, .timeLimit(.minutes(1))) struct SupervisorTests {
    init() { LoopThread.start() }

    /// Runs `body` on the loop.
    private func onLoop(_ body: @escaping @Sendable @NetLoop () async throws -> Void) async throws {
        let result: Result<Void, any Error> = await withCheckedContinuation { continuation in
            NetLoop.spawn {
                do {
                    try await body()
                    continuation.resume(returning: .success(()))
                } catch {
                    continuation.resume(returning: .failure(error))
                }
            }
        }
        try result.get()
    }

    @Test func `a child that dies is started again, and the others do not notice`() async throws {
        try await onLoop {
            let fixture = Fixture([("core", .core, patient), ("gateway", .gateway, patient)])
            let pids = try await fixture.start(2)
            kill(pids[1], SIGKILL)
            #expect(await fixture.next() == .ended("gateway", .killed(SIGKILL)))
            guard case .started("gateway", let pid) = await fixture.next() else { return #expect(Bool(false)) }
            #expect(pid != pids[1])
            #expect(kill(pids[0], 0) == 0)
            await fixture.supervisor.drain()
        }
    }

    @Test func `sidecars are stopped before the core`() async throws {
        try await onLoop {
            let fixture = Fixture([("core", .core, patient), ("gateway", .gateway, patient), ("exporter", .exporter, patient)])
            _ = try await fixture.start(3)
            await fixture.supervisor.drain()
            var names: [String] = []
            while case .ended(let name, let end) = await fixture.next() {
                // A shell may be asked before it has set its trap.
                #expect(end == .exited(0) || end == .killed(SIGTERM))
                names.append(name)
            }
            #expect(names.count == 3 && names.last == "core")
        }
    }

    @Test func `a child that does not stop is killed`() async throws {
        try await onLoop {
            let fixture = Fixture([("gateway", .gateway, "trap '' TERM; while :; do sleep 60 >/dev/null 2>&1; done")]) {
                $0.stopMilliseconds = 3_600_000
            }
            let pids = try await fixture.start(1)
            // Stopped, it cannot even take the signal: the test does not depend on how fast the shell is.
            kill(pids[0], SIGSTOP)
            var status: Int32 = 0
            #expect(unsafe waitpid(pids[0], &status, WUNTRACED) == pids[0])
            fixture.supervisor.stop()
            #expect(fixture.supervisor.killTimer?.isScheduled == true)
            // What the timer does when the hour is over.
            fixture.supervisor.killStage()
            #expect(await fixture.next() == .ended("gateway", .killed(SIGKILL)))
            #expect(await fixture.next() == .stopped)
        }
    }

    @Test(arguments: [64, 73, 78])
    func `a child that cannot start ends the set with its code`(code: Int32) async throws {
        try await onLoop {
            let fixture = Fixture([("core", .core, patient), ("gateway", .gateway, "exit \(code)")])
            _ = try await fixture.start(2)
            #expect(await fixture.failureCode() == ExitCode(rawValue: code))
            #expect(await fixture.next() == .ended("gateway", .exited(code)))
            guard case .ended("core", _) = await fixture.next() else { return #expect(Bool(false)) }
        }
    }

    @Test func `a port that is taken later is waited for`() async throws {
        try await onLoop {
            let fixture = Fixture([("gateway", .gateway, "exit 73")]) {
                $0.upMilliseconds = 0
                $0.restart.crashes = 4
            }
            _ = try await fixture.start(1)
            #expect(await fixture.failureCode() == .temporary)
        }
    }

    @Test func `a child that dies again and again ends the set with 75`() async throws {
        try await onLoop {
            let fixture = Fixture([("core", .core, "exit 70"), ("gateway", .gateway, patient)])
            _ = try await fixture.start(2)
            #expect(await fixture.failureCode() == .temporary)
            var starts = 1
            while let event = await fixture.next(), event != .stopped {
                if case .started("core", _) = event { starts += 1 }
            }
            #expect(starts == 10)
        }
    }

    @Test func `flags for the first start of the core are given once`() async throws {
        let path = NSTemporaryDirectory() + "/themis-once-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: path) }
        try await onLoop {
            let fixture = Fixture([("core", .core, "echo $# >> \(path); exit 70")], once: ["--salvage"]) {
                $0.restart.crashes = 3
            }
            _ = try await fixture.start(1)
            #expect(await fixture.failureCode() == .temporary)
        }
        #expect(try String(contentsOfFile: path, encoding: .utf8) == "1\n0\n0\n")
    }

    @Test func `a missing program is named`() async throws {
        try await onLoop {
            let spec = ChildSpec(name: "gateway", role: .gateway, executable: "/no/such/themis_gateway", arguments: [])
            let supervisor = Supervisor([spec], telemetry: .silent()) { _, _ in }
            #expect(throws: StartFailure.self) { try supervisor.start() }
        }
    }
}

@Suite struct RestartPolicyTests {
    @Test func `waits double up to a bound, with jitter, and begin anew after a good run`() {
        var random = SeededRandom(seed: Seed.current())
        var bounds = RestartPolicy.Bounds()
        bounds.crashes = 1_000
        var policy = RestartPolicy(bounds)
        var waits: [Int64] = []
        for _ in 0..<10 {
            guard case .restart(let wait) = policy.ended(at: 0, ranMilliseconds: 0, using: &random) else {
                return #expect(Bool(false))
            }
            waits.append(wait)
        }
        for (wait, base) in zip(waits, [100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000, 5_000, 5_000] as [Int64]) {
            #expect((base / 2...base).contains(wait))
        }
        guard case .restart(let wait) = policy.ended(at: 0, ranMilliseconds: 10_000, using: &random) else {
            return #expect(Bool(false))
        }
        #expect(wait <= 100)
    }

    @Test func `ten ends in five minutes are too many, spread over a day they are not`() {
        var random = SeededRandom(seed: 1)
        var policy = RestartPolicy()
        for number in 1...9 { #expect(policy.ended(at: Int64(number), ranMilliseconds: 1, using: &random) != .giveUp) }
        #expect(policy.ended(at: 10, ranMilliseconds: 1, using: &random) == .giveUp)
        var slow = RestartPolicy()
        for number in 1...100 { #expect(slow.ended(at: Int64(number) * 40_000, ranMilliseconds: 1, using: &random) != .giveUp) }
    }

    @Test func `a reason that passes is waited for, however often`() {
        var random = SeededRandom(seed: 1)
        var policy = RestartPolicy()
        for number in 1...100 {
            let decision = policy.ended(at: Int64(number), ranMilliseconds: 1, isPassing: true, using: &random)
            #expect(decision != .giveUp)
        }
        for number in 101...109 { #expect(policy.ended(at: Int64(number), ranMilliseconds: 1, using: &random) != .giveUp) }
        #expect(policy.ended(at: 110, ranMilliseconds: 1, using: &random) == .giveUp)
    }
}

@Suite struct ChildSpecTests {
    @Test func `each program gets the flags it has, and the socket and data directory of the set`() throws {
        let words = ["--data", "/d", "--port", "9", "--host", "127.0.0.2", "--threads", "3", "--socket", "/s"]
        let arguments = try Arguments(words, role: .all)
        let environment = makeEnvironment(files: ["./config.yaml": "gateway: {processes: 2}"])
        let configuration = try Configuration.load(arguments: arguments, role: .all, environment: environment)
        let specs = ChildSpec.set(configuration, arguments, directory: "/bin", parent: 7)
        #expect(specs.map(\.name) == ["core", "gateway-1", "gateway-2", "changefeed", "exporter"])
        let common = ["--parent", "7", "--instance"]
        let shared = ["--config", "./config.yaml", "--socket", "/s", "--data", "/d"]
        #expect(specs[0].executable == "/bin/themis_server")
        #expect(
            specs[0].arguments == ["--role", "core"] + common + ["core"] + shared + [
                "--port", "9", "--host", "127.0.0.2", "--threads", "3",
            ])
        #expect(specs[2].executable == "/bin/themis_gateway")
        #expect(specs[2].arguments == common + ["gateway-2"] + shared + ["--port", "9", "--host", "127.0.0.2"])
        #expect(specs[3].arguments == common + ["changefeed"] + shared)
        // Every child understands what it is given.
        for spec in specs {
            let own = spec.role == .core ? [ProgramFlag("--role", value: "ROLE", help: nil)] : []
            _ = try Arguments(spec.arguments, role: spec.role, programFlags: own + ServiceMain.hiddenFlags)
        }
    }

    @Test func `the status of waitpid is read`() {
        #expect(ChildEnd(waitStatus: 78 << 8) == .exited(78))
        #expect(ChildEnd(waitStatus: 9) == .killed(9))
        #expect(ChildEnd(waitStatus: 0x8B) == .killed(11))
        #expect(ChildEnd.killed(9).text == "signal 9")
    }
}
