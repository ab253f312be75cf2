import Testing
import ThemisBase
import ThemisNet
import ThemisTestKit

@testable import ThemisRuntime

@NetLoop private final class Nothing: Service {
    func drain() async {}
}

@Suite struct StartTests {
    private func definition(_ role: ProcessRole, _ flags: [ProgramFlag] = []) -> ServiceDefinition {
        ServiceDefinition(role: role, summary: "test.", programFlags: flags, versions: "rpc 1") { _ in Nothing() }
    }

    @Test func `a program with several roles takes the one that is asked for, else its first`() throws {
        let both = [definition(.all), definition(.core, [ProgramFlag("--salvage", help: "Keep what is readable.")])]
        #expect(try ServiceMain.choose(both, []).definition.role == .all)
        #expect(try ServiceMain.choose(both, ["--role", "core", "--salvage"]).definition.role == .core)
        #expect(try ServiceMain.choose(both, ["--role=core"]).definition.role == .core)
        #expect(try ServiceMain.choose(both, ["--role=core", "--salvage"]).arguments.has("--salvage"))
        for bad in [["--role", "gateway"], ["--role"], ["--role="], ["--salvage"]] {
            #expect(throws: UsageError.self) { try ServiceMain.choose(both, bad) }
        }
        #expect(throws: UsageError.self) { try ServiceMain.choose([definition(.gateway)], ["--role", "gateway"]) }
    }

    @Test func `a failed start says what, why and the command to fix it`() {
        let failure = StartFailure(
            ThemisError(.addressInUse, "127.0.0.1:8765 is in use by process 7 (nginx); stop it or choose another port"),
            program: "themis_gateway")
        #expect(
            failure.text == """
                error: themis_gateway: address in use
                  why: 127.0.0.1:8765 is in use by process 7 (nginx); stop it or choose another port
                  fix: stop the process that is named, or: themis_gateway --port N

                """)
        #expect(failure.code == .cannotCreate)
    }

    @Test func `exit codes say whether starting again helps`() {
        func code(_ error: any Error) -> Int32 { StartFailure(error, program: "p").code.rawValue }
        #expect(code(UsageError(message: "")) == 64)
        #expect(code(ConfigurationFault(problems: [])) == 78)
        #expect(code(ThemisError(.dataLocked, "")) == 73)
        #expect(code(ThemisError(.formatTooNew, "")) == 78)
        #expect(code(ThemisError(.logDamaged, "")) == 78)
        #expect(code(ThemisError(.commitUnknown, "")) == 75)
        #expect(code(CancellationError()) == 70)
    }

    @Test func `the version line has version, commit and compiler`() {
        #expect(
            definition(.core).versionLine
                == "themis \(Build.version) commit \(Build.commit) built \(Build.date) swift \(Build.swift) rpc 1")
    }
}

@Suite struct ValidationTests {
    @Test func `the storage path must be a directory that can be written, or be makeable`() throws {
        func check(_ path: String, writable: Set<String>, existing: Set<String>) throws -> Validation.Check {
            let environment = makeEnvironment(writable: writable, existing: existing)
            let configuration = try Configuration.load(
                arguments: Arguments(["--data", path], role: .core), role: .core, environment: environment)
            return Validation.storage(configuration, environment)
        }
        #expect(try check("/d", writable: ["/d"], existing: ["/", "/d"]).isGood)
        #expect(try !check("/d", writable: [], existing: ["/", "/d"]).isGood)
        #expect(try check("/d/e/f", writable: ["/d"], existing: ["/", "/d"]).isGood)
        let bad = try check("/d/e/f", writable: ["/"], existing: ["/", "/d"])
        #expect(!bad.isGood && bad.detail == "/d/e/f does not exist, and /d cannot be written")
    }

    @Test func `caches must fit into the budget, the budget into the machine`() throws {
        func check(_ file: String) throws -> Validation.Check {
            let environment = makeEnvironment(files: ["./config.yaml": file])
            return Validation.memory(
                try Configuration.load(arguments: Arguments([], role: .core), role: .core, environment: environment), environment)
        }
        #expect(try check("memory: {limit_mb: 512}").isGood)
        #expect(try !check("memory: {limit_mb: 511}").isGood)
        #expect(try !check("memory: {limit_mb: 9000}").isGood)
        #expect(try !check("storage: {block_cache_size_mb: 4000}").isGood)
    }

    @Test func `hundreds of threads on few processors are no good plan`() throws {
        let environment = makeEnvironment()
        func check(_ count: String) throws -> Bool {
            let configuration = try Configuration.load(
                arguments: Arguments(["--threads", count], role: .core), role: .core, environment: environment)
            return Validation.threads(configuration, environment).isGood
        }
        #expect(try check("64"))
        #expect(try !check("65"))
    }

    @Test func `a network file system is told by the list of mounts`() {
        let mounts = """
            22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
            30 22 0:40 / /mnt/share rw - nfs4 server:/x rw
            31 30 8:2 / /mnt/share/local rw - ext4 /dev/sdb rw
            32 22 0:41 / /mnt/win rw - cifs //s/x rw
            garbage
            """
        #expect(FileSystem.isRemote("/mnt/share/data", mounts: mounts))
        #expect(FileSystem.isRemote("/mnt/win", mounts: mounts))
        #expect(!FileSystem.isRemote("/mnt/share/local/data", mounts: mounts))
        #expect(!FileSystem.isRemote("/mnt/shared", mounts: mounts))
        #expect(!FileSystem.isRemote("/data", mounts: ""))
    }
}
