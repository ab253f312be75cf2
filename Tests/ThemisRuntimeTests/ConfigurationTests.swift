import Foundation
import Testing
import ThemisBase
import ThemisTelemetry
import ThemisTestKit

@testable import ThemisRuntime

/// An environment with these files and variables.
func makeEnvironment(
    files: [String: String] = [:], variables: [String: String] = [:], writable: Set<String> = ["/tmp"],
    existing: Set<String> = ["/", "/here"]
) -> LaunchEnvironment {
    LaunchEnvironment(
        variables: variables, currentDirectory: "/here", userID: 1_000, processors: 4, memoryBytes: 8 << 30,
        readFile: { path in files[path].map { .bytes(Array($0.utf8)) } ?? .missing },
        isWritableDirectory: { writable.contains($0) },
        resolve: { existing.contains($0) ? $0 : nil })
}

func load(
    _ words: [String] = [], role: ProcessRole = .all, files: [String: String] = [:], variables: [String: String] = [:]
) throws -> Configuration {
    try Configuration.load(
        arguments: Arguments(words, role: role), role: role, environment: makeEnvironment(files: files, variables: variables))
}

/// The problems of a configuration that must not load.
func problems(
    _ words: [String] = [], role: ProcessRole = .all, files: [String: String] = [:], variables: [String: String] = [:]
) -> [String] {
    do {
        _ = try load(words, role: role, files: files, variables: variables)
        return []
    } catch let fault as ConfigurationFault {
        return fault.problems.map(\.description)
    } catch {
        return ["\(error)"]
    }
}

@Suite struct ConfigurationTests {
    @Test func `without file, environment and flags every row has its default`() throws {
        let configuration = try load()
        #expect(configuration.file == nil)
        #expect(configuration[Settings.serverPort] == 8_765)
        #expect(configuration[Settings.serverHost] == "127.0.0.1")
        #expect(configuration[Settings.storagePath] == "./data")
        #expect(configuration[Settings.workerThreads] == 4)
        #expect(configuration[Settings.memoryLimit] == 4_096)
        #expect(configuration[Settings.logFile] == nil)
        #expect(configuration[Settings.logLevel] == .info)
        #expect(configuration[Settings.rpcRoles] == [:])
        for row in Settings.all { #expect(configuration.entry(row.path)?.origin == .standard) }
    }

    @Test func `a flag wins over the environment, the environment over the file, the file over the default`() throws {
        let file = ["./config.yaml": "server:\n  port: 1\n"]
        let variable = ["THEMIS_SERVER_PORT": "2"]
        #expect(try load(files: file)[Settings.serverPort] == 1)
        #expect(try load(files: file)[Settings.serverPort] == load(files: file)[Settings.serverPort])
        let both = try load(files: file, variables: variable)
        #expect(both[Settings.serverPort] == 2)
        #expect(both.origin(of: Settings.serverPort) == .environment("THEMIS_SERVER_PORT"))
        let all = try load(["--port=3"], files: file, variables: variable)
        #expect(all[Settings.serverPort] == 3)
        #expect(all.origin(of: Settings.serverPort) == .flag("--port"))
        #expect(try load(files: file).origin(of: Settings.serverPort) == .file(line: 2))
    }

    @Test func `files are looked for in a fixed order, and --config names another`() throws {
        #expect(
            Configuration.searchPath == [
                "./config.yaml", "./config.yml", "./config.json", "./config/config.yaml", "./config/config.yml",
                "./config/config.json",
                "/etc/vccdb/config.yaml", "/etc/vccdb/config.yml", "/etc/vccdb/config.json",
            ])
        let files = [
            "/etc/vccdb/config.yaml": "server: {port: 3}", "./config/config.json": #"{"server":{"port":2}}"#,
            "other.yml": "server: {port: 1}",
        ]
        #expect(try load(files: files)[Settings.serverPort] == 2)
        #expect(try load(files: files).file == "./config/config.json")
        #expect(try load(["--config", "other.yml"], files: files)[Settings.serverPort] == 1)
        #expect(problems(["--config", "none.yaml"], files: files) == ["none.yaml: there is no such file"])
    }

    @Test func `aliases and flags of the contract set their rows`() throws {
        let variables = ["THEMIS_STORAGE_PATH": "/a", "THEMIS_WORKER_THREADS": "7", "THEMIS_LOG_LEVEL": "debug"]
        let configuration = try load(variables: variables)
        #expect(configuration[Settings.storagePath] == "/a")
        #expect(configuration[Settings.workerThreads] == 7)
        #expect(configuration[Settings.logLevel] == .debug)
        let flags = try load(
            ["--data", "/b", "--host", "::1", "--port", "9", "--threads", "3", "--socket", "/s/t"], variables: variables)
        #expect(flags[Settings.storagePath] == "/b")
        #expect(flags[Settings.serverHost] == "::1")
        #expect(flags[Settings.serverPort] == 9)
        #expect(flags[Settings.workerThreads] == 3)
        #expect(flags[Settings.rpcSocket] == "/s/t")
        #expect(try load(["--port", "9"], role: .changefeed)[Settings.changefeedPort] == 9)
        #expect(try load(["--port", "9"], role: .exporter)[Settings.exporterPort] == 9)
        // The exact name wins over the alias.
        let both = try load(variables: ["THEMIS_LOG_LEVEL": "debug", "THEMIS_LOGGING_LEVEL": "warn"])
        #expect(both[Settings.logLevel] == .warn)
    }

    @Test func `every problem of every source is listed`() {
        let file = """
            server:
              prot: 80
              port: 99999
              host: 0.0.0.0
            storage: 7
            tls:
              cert: a
            logging:
              level: loud
              file:
            worker_threads: 4
            request_timeout_ms:
            """
        let found = problems(["--threads", "many"], files: ["./config.yaml": file], variables: ["THEMIS_FEATURES_CDC": "on"])
        #expect(found.last?.hasPrefix("./config.yaml:4: server.host: `0.0.0.0` is not a loopback address") == true)
        #expect(
            found.dropLast() == [
                "./config.yaml:2: server.prot: unknown key; did you mean `server.port`?",
                "./config.yaml:3: server.port: must be a whole number 0–65535, not 99999",
                "./config.yaml:5: storage: is a group of keys, not 7",
                "./config.yaml:6: tls: unknown key; docs/configuration.md lists all keys",
                "./config.yaml:9: logging.level: must be one of trace, debug, info, warn, error, not `loud`",
                "./config.yaml:11: worker_threads: unknown key; did you mean `server.worker_threads`?",
                "./config.yaml:12: request_timeout_ms: has no value; write a whole number 1000–300000, or leave the key out",
                "THEMIS_FEATURES_CDC: features.cdc: write true or false, not `on`",
                "--threads: server.worker_threads: must be a whole number 1–1024, not `many`",
            ])
    }

    @Test(arguments: [
        ("features: {cdc: on}", "must be true or false, not on"), ("features: {cdc: yes}", "must be true or false, not yes"),
        ("features: {cdc: True}", "must be true or false, not True"), ("features: {cdc: \"true\"}", "not the text \"true\""),
        ("features: {cdc: 1}", "must be true or false, not 1"), ("server: {port: 010}", "octal"),
        ("server: {port: 0x10}", "not `0x10`"),
        ("server: {port: 0o10}", "not `0o10`"), ("server: {port: 8_765}", "not `8_765`"), ("server: {port: 1e3}", "not `1e3`"),
        ("server: {port: 80.0}", "not `80.0`"), ("server: {port: \"80\"}", "not the text \"80\""),
        ("server: {port: 1:30}", "not `1:30`"),
        ("server: {port: +80}", "not `+80`"), ("server: {port: ~}", "has no value"), ("server: {port: [80]}", "not a list"),
        ("server: {port: 99999999999999999999}", "not 99999999999999999999"),
        ("server: {port: 1, port: 2}", "stands there twice"),
        ("server: &a {port: 1}", "anchors"), ("server: {port: *a}", "aliases"), ("server: {port: !!int 1}", "tags"),
        ("server: {port: ! 1}", "tags"), ("server:\n  <<: {port: 1}", "merge keys"),
        ("server: {port: 1}\n---\nserver: {port: 2}", "several documents"),
        ("- a\n- b", "must be keys"), ("server: {[a]: 1}", "a key must be a word"), ("server: {port: 1", "config.yaml"),
        ("\t- x: 1", "config.yaml"),
        ("server: {host: example.org}", "an IP address or localhost"), ("server: {host: \"a b\"}", "an IP address or localhost"),
        ("logging: {file: \"a\\u0000b\"}", "without control characters"),
        ("rpc: {roles: {10002: core}}", "user id"), ("rpc: {roles: [gateway]}", "must be a mapping"),
        ("rpc: {roles: {-1: gateway}}", "user id"),
        ("%YAML 1.1\n---\nserver: {port: 010}", "octal"),
    ])
    func `YAML that surprises is refused by name`(file: String, message: String) {
        let found = problems(files: ["./config.yaml": file])
        #expect(found.count == 1 && found[0].contains(message), "\(found)")
    }

    @Test func `deep, large and binary files are refused`() {
        let deep = String(repeating: "{a: ", count: 100) + "1" + String(repeating: "}", count: 100)
        #expect(problems(files: ["./config.yaml": deep]).first?.contains("levels") == true)
        #expect(problems(files: ["./config.yaml": String(repeating: "[", count: 200_000)]).first?.contains("levels") == true)
        let many = "a: [" + String(repeating: "1,", count: Limits.configurationNodes + 1) + "1]"
        #expect(problems(files: ["./config.yaml": many]).first?.contains("values") == true)
        let environment = LaunchEnvironment(readFile: { $0 == "./config.yaml" ? .bytes([0x61, 0xFF, 0xFE]) : .missing })
        #expect(throws: ConfigurationFault.self) {
            try Configuration.load(arguments: Arguments([], role: .all), role: .all, environment: environment)
        }
    }

    @Test func `random bytes never trap`() {
        var random = SeededRandom(seed: Seed.current())
        let alphabet = Array("server: {port}\n-[]&*!|>'\"%@`#,?:~\t 01".utf8)
        for _ in 0..<2_000 {
            let bytes = (0..<Int.random(in: 0...60, using: &random)).map { _ in
                Bool.random(using: &random)
                    ? alphabet[Int.random(in: 0..<alphabet.count, using: &random)] : UInt8.random(in: 0...255, using: &random)
            }
            let environment = LaunchEnvironment(readFile: { $0 == "./config.yaml" ? .bytes(bytes) : .missing })
            _ = try? Configuration.load(arguments: Arguments([], role: .all), role: .all, environment: environment)
        }
    }

    @Test func `an empty file, empty groups and comments are no problem`() throws {
        for file in ["", "# nothing\n", "---\n", "server:\n  # port: 1\nlogging: {}\n", "~"] {
            #expect(problems(files: ["./config.yaml": file]) == [], "\(file)")
        }
        let file = "logging: {file: null}\nrpc: {roles: {10002: gateway, \"10003\": changefeed}}"
        let configuration = try load(files: ["./config.yaml": file])
        #expect(configuration[Settings.logFile] == nil)
        #expect(configuration[Settings.rpcRoles] == [10_002: .gateway, 10_003: .changefeed])
        #expect(try load(variables: ["THEMIS_RPC_ROLES": "7=exporter"])[Settings.rpcRoles] == [7: .exporter])
    }

    @Test func `a JSON file must be JSON`() throws {
        let text = #"{"server":{"host":"localhost","port":1},"logging":{"file":"a\/bé\t"}}"#
        #expect(problems(files: ["./config.json": text]).first?.contains("control characters") == true)
        let good = #"{ "server" : { "port" : 12 }, "logging" : { "file" : "a\/b\u00e9" }, "features":{"cdc":false} }"# + "\n"
        let configuration = try load(files: ["./config.json": good])
        #expect(configuration[Settings.serverPort] == 12)
        #expect(configuration[Settings.logFile] == "a/bé")
        #expect(!configuration[Settings.cdc])
        for bad in ["server: {port: 1}", #"{"server":{"port":1,}}"#, #"{"server":{"port":1,"port":2}}"#, "", "{} {}", "# x\n{}"] {
            #expect(problems(files: ["./config.json": bad]).count == 1, "\(bad)")
        }
    }

    @Test func `a process that everyone may use listens on loopback only, unless told`() throws {
        let open = ["./config.yaml": "server: {host: 0.0.0.0}"]
        #expect(problems(files: open).first?.contains("not a loopback address") == true)
        #expect(problems(files: open).count == 1)
        #expect(problems(role: .gateway, files: open).count == 1)
        // The core listens on no address, the changefeed on another one.
        #expect(problems(role: .core, files: open).isEmpty)
        #expect(problems(role: .changefeed, files: open).isEmpty)
        #expect(problems(files: ["./config.yaml": "server: {host: 0.0.0.0}\nauth: {allow_anonymous_remote: true}"]).isEmpty)
        for host in ["127.0.0.1", "127.9.9.9", "::1", "localhost"] { #expect(Configuration.isLoopback(host)) }
        for host in ["0.0.0.0", "127.1", "127.0.0.1.example", "::", "10.0.0.1", "127.0.0.999"] {
            #expect(!Configuration.isLoopback(host))
        }
        #expect(problems(files: ["./config.yaml": "auth: {mode: token}"]).first?.contains("one of none") == true)
    }

    @Test func `variables that are no settings are told, not refused`() throws {
        let configuration = try load(variables: ["THEMIS_PORT": "tcp://1.2.3.4", "THEMIS_SEED": "1", "PATH": "x"])
        #expect(configuration.warnings == ["environment variable THEMIS_PORT is no setting"])
    }

    @Test func `a sidecar takes the shared rows of the core and keeps its own`() throws {
        let core = try load(
            role: .core, files: ["./config.yaml": "request_timeout_ms: 5000\nserver: {port: 1}\nfeatures: {cdc: false}"])
        let shared = core.shared
        #expect(!shared.contains { $0.path == "server.port" })
        let (sidecar, ignored) = try load(["--port", "2"], role: .gateway).taking(
            shared: shared + [("key.of.tomorrow", "1"), ("storage.memtable_size_mb", "lots"), ("server.port", "3")])
        #expect(sidecar[Settings.requestTimeout] == 5_000)
        #expect(!sidecar[Settings.cdc])
        #expect(sidecar[Settings.serverPort] == 2)
        #expect(sidecar.origin(of: Settings.requestTimeout) == .core)
        #expect(ignored == ["key.of.tomorrow", "storage.memtable_size_mb", "server.port"])
    }
}

@Suite struct ConfigurationViewTests {
    private func object(_ bytes: [UInt8]) throws -> Any {
        try JSONSerialization.jsonObject(with: Data(bytes), options: .fragmentsAllowed)
    }

    @Test func `the running configuration is nested JSON with every key`() throws {
        let configuration = try load(["--port", "9"])
        let tree = try #require(try object(configuration.json()) as? [String: Any])
        for row in Settings.all {
            var node: Any = tree
            for part in row.path.split(separator: ".") {
                node = try #require((node as? [String: Any])?[String(part)], "\(row.path)")
            }
        }
        #expect((tree["server"] as? [String: Any])?["port"] as? Int == 9)
        #expect((tree["features"] as? [String: Any])?["cdc"] as? Bool == true)
        #expect(
            (tree["storage"] as? [String: Any])?["compression"] as? [String: String] == ["default": "lz4", "bottommost": "zstd"])
        #expect((tree["logging"] as? [String: Any])?["file"] is NSNull)
    }

    @Test func `the schema has a row for each key`() throws {
        let schema = try #require(try object(Configuration.schemaJSON()) as? [String: [[String: Any]]])
        let rows = try #require(schema["settings"])
        #expect(rows.count == Settings.all.count)
        let timeout = try #require(rows.first { $0["key"] as? String == "request_timeout_ms" })
        #expect(timeout["minimum"] as? Int == 1_000 && timeout["maximum"] as? Int == 300_000 && timeout["hot"] as? Bool == true)
        #expect(timeout["env"] as? [String] == ["THEMIS_REQUEST_TIMEOUT_MS"])
    }

    @Test func `the drift is what differs from the file`() throws {
        let file = ["./config.yaml": "server: {port: 1, host: 127.0.0.1}\nlogging: {level: warn}"]
        let configuration = try load(
            ["--port", "9", "--host", "127.0.0.1"], files: file,
            variables: ["THEMIS_LOG_LEVEL": "debug", "THEMIS_FEATURES_CDC": "false"])
        let drift = try #require(try object(configuration.driftJSON()) as? [[String: Any]])
        #expect(drift.compactMap { $0["key"] as? String } == ["features.cdc", "logging.level", "server.port"])
        #expect(drift.compactMap { $0["origin"] as? String } == ["env", "env", "flag"])
        #expect(drift.compactMap { $0["expected_from"] as? String } == ["default", "file", "file"])
        #expect(drift[2]["expected"] as? Int == 1 && drift[2]["value"] as? Int == 9)
    }
}

@Suite struct SettingCatalogTests {
    @Test func `keys, variables and flags are unique`() {
        let rows = Settings.all
        #expect(Set(rows.map(\.path)).count == rows.count)
        let variables = rows.flatMap { [$0.environmentName] + $0.aliases }
        #expect(Set(variables).count == variables.count)
        for role in ProcessRole.allCases {
            let flags = Arguments.rows(of: role).map(\.flag)
            #expect(Set(flags).count == flags.count)
        }
        // No key may be both a value and a group.
        for row in rows { #expect(!rows.contains { $0.path.hasPrefix(row.path + ".") }, "\(row.path)") }
    }

    @Test func `the mechanical variable is the path in capitals`() {
        #expect(Settings.bottommostCompression.row.environmentName == "THEMIS_STORAGE_COMPRESSION_BOTTOMMOST")
    }

    @Test func `every default is a value that the row takes`() throws {
        let configuration = try load()
        for row in Settings.all {
            let value = try #require(configuration.entry(row.path)?.value)
            #expect(try row.parse(text: value.text).get() == value, "\(row.path)")
        }
    }
}

@Suite struct ArgumentsTests {
    private func message(_ words: [String], _ role: ProcessRole = .all) -> String {
        do throws(UsageError) {
            _ = try Arguments(words, role: role)
            return ""
        } catch {
            return error.message
        }
    }

    @Test func `mistakes are usage errors with a hint`() {
        #expect(message(["--prot", "1"]) == "unknown flag --prot; did you mean --port?")
        #expect(message(["--zzzzzzzz"]) == "unknown flag --zzzzzzzz")
        #expect(message(["data"]) == "`data` is not a flag")
        #expect(message(["-h"]) == "`-h` is not a flag")
        #expect(message(["--port"]) == "--port needs a value")
        #expect(message(["--port", "1", "--port=2"]) == "--port is given twice")
        #expect(message(["--version=1"]) == "--version takes no value")
        #expect(message(["--threads", "1"], .gateway).hasPrefix("unknown flag --threads"))
        #expect(message(["--"]) == "`--` is not a flag")
    }

    @Test func `help names every flag of the role`() {
        let text = Arguments.help(role: .gateway, summary: "the public HTTP door.")
        for flag in [
            "--config FILE", "--validate", "--version", "--help", "--host ADDRESS", "--port INTEGER", "--socket PATH",
            "--data PATH",
        ] {
            #expect(text.contains("  \(flag)"), "\(flag)")
        }
        #expect(!text.contains("--threads"))
    }
}
