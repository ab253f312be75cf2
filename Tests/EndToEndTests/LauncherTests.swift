import Foundation
import Testing
import ThemisTestKit

/// The tools of this tier, against programs that every machine has.
@Suite struct LauncherTests {
    private static func log() -> String { NSTemporaryDirectory() + "themis-launcher-\(UUID().uuidString).log" }

    @Test func `a process is started with its environment and its output is kept`() throws {
        let log = Self.log()
        defer { try? FileManager.default.removeItem(atPath: log) }
        let process = try LaunchedProcess(
            "/bin/sh", ["-c", "echo out $WORD; echo err >&2; exit 7"], environment: ["WORD": "word"], logPath: log)
        #expect(try process.exitCode(within: 5) == 7)
        #expect(process.log == "out word\nerr\n")
    }

    @Test func `a killed process is reaped and says by which signal it ended`() throws {
        let log = Self.log()
        defer { try? FileManager.default.removeItem(atPath: log) }
        let process = try LaunchedProcess("/bin/sleep", ["60"], logPath: log)
        #expect(process.isRunning)
        process.killNow()
        #expect(!process.isRunning)
        #expect(try process.exitCode(within: 1) == 128 + 9)
    }

    @Test func `a program that is missing is named`() {
        #expect(throws: ClientFailure.self) { try LaunchedProcess("/nowhere/themis_server", [], logPath: "/dev/null") }
    }

    @Test func `free ports differ and nobody listens on them`() throws {
        let ports = try FreePort.some(5)
        #expect(Set(ports).count == 5)
        for port in ports { #expect(throws: ClientFailure.self) { try ClientSocket(port: port) } }
    }
}
