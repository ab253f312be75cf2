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

    @Test func `the test's own client understands a server that is not ours`() throws {
        let folder = NSTemporaryDirectory() + "themis-server-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try "{\"n\":1}".write(toFile: "\(folder)/a.json", atomically: true, encoding: .utf8)
        let port = try FreePort.some(1)[0]
        let server = try LaunchedProcess(
            "/usr/bin/python3",
            ["-m", "http.server", "--protocol", "HTTP/1.1", "--bind", "127.0.0.1", "--directory", folder, String(port)],
            logPath: "\(folder)/log")
        let client = HTTPClient(port: port, milliseconds: 2_000)
        try Patience.wait(10, "Python's server", log: server.logPath) { (try? client.get("/a.json").status) == 200 }
        let answer = try client.get("/a.json")
        #expect(answer.number("n") == 1)
        #expect(answer["content-type"] == "application/json")
        #expect(try client.get("/b.json").status == 404)
        #expect(try client.send("HEAD", "/a.json").body.isEmpty)
        #expect(try client.send("PUT", "/a.json", body: []).status == 501)
        #expect(try client.get("/a.json").status == 200)
    }
}
