import Foundation
import Testing
import ThemisBase
import ThemisTestKit

/// The four programs as an operator meets them: flags, exit codes, messages.
@Suite struct CommandLineTests {
    private static func run(
        _ role: ServiceRole, _ arguments: [String], _ environment: [String: String] = [:]
    ) throws -> (code: Int, text: String) {
        let log = NSTemporaryDirectory() + "themis-run-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: log) }
        let process = try LaunchedProcess(
            "\(ProcessSet.programs)/\(role.executable)", arguments, environment: environment, logPath: log)
        return (try process.exitCode(within: 10), process.log)
    }

    @Test(arguments: ServiceRole.allCases)
    func `every program tells its version and its flags`(role: ServiceRole) throws {
        let version = try Self.run(role, ["--version"])
        #expect(version.code == 0)
        #expect(version.text.contains(Build.version))
        let help = try Self.run(role, ["--help"])
        #expect(help.code == 0)
        for flag in ["--config", "--socket", "--version", "--help"] { #expect(help.text.contains(flag), "\(flag)") }
    }

    @Test(arguments: ServiceRole.allCases)
    func `an unknown flag is named and ends with 64`(role: ServiceRole) throws {
        let answer = try Self.run(role, ["--prot", "1"])
        #expect(answer.code == 64)
        #expect(answer.text.contains("--prot"))
    }

    @Test func `a setting that is no setting ends with 78 and is named`() throws {
        let answer = try Self.run(.gateway, ["--port", "1234567"])
        #expect(answer.code == 64 || answer.code == 78)
        #expect(answer.text.contains("port"))
        let directory = NSTemporaryDirectory() + "themis-config-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: directory) }
        try "server:\n  prot: 1\n".write(toFile: "\(directory)/config.yaml", atomically: true, encoding: .utf8)
        let file = try Self.run(.gateway, ["--config", "\(directory)/config.yaml"])
        #expect(file.code == 78)
        #expect(file.text.contains("server.prot"))
    }

    @Test func `a taken port ends with the holder's process id and the repair`() throws {
        let set = try ProcessSet()
        try set.startCore(with: .gateway)
        let holder = try #require(set[.gateway])
        let answer = try Self.run(
            .gateway, ["--socket", set.socketPath, "--host", "127.0.0.1", "--port", String(set.gatewayPort)])
        #expect([73, 75].contains(answer.code))
        #expect(answer.text.contains(String(set.gatewayPort)))
        #expect(answer.text.contains(String(holder.pid)), "\(answer.text)")
    }

    @Test func `a locked data directory ends with the holder's process id`() throws {
        let set = try ProcessSet()
        try set.startCore(with: .gateway)
        let holder = try #require(set[.server])
        let answer = try Self.run(
            .server, ["--role", "core", "--data", set.dataPath, "--socket", "\(set.directory)/run/second.sock"])
        #expect([73, 75].contains(answer.code))
        #expect(answer.text.contains(String(holder.pid)), "\(answer.text)")
        #expect(try set.client().put("/entities/t:1", "{}").status == 201)
    }

    @Test func `a stale socket never blocks a start`() throws {
        let set = try ProcessSet()
        try set.startCore(with: .gateway)
        set.kill(.server)
        #expect(FileManager.default.fileExists(atPath: set.socketPath))
        try set.start(.server)
        try set.waitUntilHealthy()
    }

    @Test func `the first line of a log is the version`() throws {
        let set = try ProcessSet(environment: ["THEMIS_LOGGING_FORMAT": "json"])
        try set.startCore(with: .gateway)
        for role in [ServiceRole.server, .gateway] {
            let lines = try #require(set[role]).log.split(separator: "\n")
            #expect(lines.first?.contains(Build.version) == true)
            for line in lines { #expect((try? JSONSerialization.jsonObject(with: Data(line.utf8))) != nil, "\(line)") }
        }
    }
}
