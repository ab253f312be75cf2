import ThemisBase

extension Configuration {
    /// Where a configuration file is looked for, in this order.
    public static let searchPath: [String] = ["./", "./config/", "/etc/vccdb/"].flatMap { directory in
        ["yaml", "yml", "json"].map { directory + "config." + $0 }
    }

    /// Variables with the prefix `THEMIS_` that are no settings: of the tests and of the build.
    private static let foreignVariables: Set<String> = ["THEMIS_SEED", "THEMIS_REWRITE", "THEMIS_STRICT"]

    /// Puts the configuration of a process together: flag over environment over file over default.
    ///
    /// - Throws: `ConfigurationFault` with every problem of every source.
    public static func load(
        arguments: Arguments, role: ProcessRole, environment: LaunchEnvironment
    ) throws(ConfigurationFault) -> Configuration {
        var configuration = Configuration()
        var problems: [ConfigurationProblem] = []
        configuration.readFile(named: arguments.flags["--config"], environment, &problems)
        configuration.readEnvironment(environment, &problems)
        for (row, flag, text) in arguments.settings {
            configuration.take(row.path, row.parse(text: text), .flag(flag), place: flag, &problems)
        }
        configuration.fillIn(role, environment)
        configuration.checkTogether(role, &problems)
        guard problems.isEmpty else { throw ConfigurationFault(problems: problems) }
        return configuration
    }

    private mutating func take(
        _ path: String, _ result: Result<SettingValue, ConfigurationProblem>, _ origin: SettingOrigin, place: String,
        _ problems: inout [ConfigurationProblem]
    ) {
        switch result {
        case .success(let value): set(path, value, origin)
        case .failure(let problem):
            problems.append(ConfigurationProblem(place: place, key: problem.key, message: problem.message))
        }
    }

    // MARK: File

    private mutating func readFile(
        named name: String?, _ environment: LaunchEnvironment, _ problems: inout [ConfigurationProblem]
    ) {
        for path in name.map({ [$0] }) ?? Self.searchPath {
            switch environment.readFile(path) {
            case .missing where name == nil: continue
            case .missing: problems.append(ConfigurationProblem(place: path, key: "", message: "there is no such file"))
            case .unreadable(let reason):
                problems.append(ConfigurationProblem(place: path, key: "", message: "cannot be read: \(reason)"))
            case .bytes(let bytes):
                setFile(path)
                readTree(bytes, path, &problems)
            }
            return
        }
    }

    private mutating func readTree(_ bytes: [UInt8], _ path: String, _ problems: inout [ConfigurationProblem]) {
        // JSON is read by the YAML reader too, so that types and errors are the same; but first it must be JSON.
        if path.hasSuffix(".json") {
            do throws(ThemisError) {
                try JSONDocument.validate(bytes, depth: Limits.configurationDepth)
            } catch {
                problems.append(ConfigurationProblem(place: path, key: "", message: error.message))
                return
            }
        }
        do throws(ConfigurationSyntaxError) {
            let tree = try YAMLReader.read(bytes)
            if case .scalar(let text, false, _) = tree, ["", "~", "null"].contains(text) { return }
            guard case .mapping = tree else {
                problems.append(ConfigurationProblem(place: "\(path):\(tree.line)", key: "", message: "must be keys with values"))
                return
            }
            walk(tree, prefix: "", path, &problems)
        } catch {
            problems.append(ConfigurationProblem(place: "\(path):\(error.line)", key: "", message: error.message))
        }
    }

    private mutating func walk(
        _ tree: ConfigurationTree, prefix: String, _ file: String, _ problems: inout [ConfigurationProblem]
    ) {
        guard case .mapping(let members, _) = tree else { return }
        for member in members {
            let key = prefix + member.key
            let place = "\(file):\(member.line)"
            if let row = Settings.row(key) {
                take(key, row.parse(tree: member.value), .file(line: member.line), place: place, &problems)
            } else if Settings.all.contains(where: { $0.path.hasPrefix(key + ".") }) {
                switch member.value {
                case .mapping: walk(member.value, prefix: key + ".", file, &problems)
                // A group whose keys are all commented out.
                case .scalar("", false, _): continue
                default:
                    problems.append(
                        ConfigurationProblem(
                            place: place, key: key, message: "is a group of keys, not \(member.value.description)"))
                }
            } else {
                problems.append(
                    ConfigurationProblem(place: place, key: ConfigurationTree.excerpt(key), message: Self.unknown(key)))
            }
        }
    }

    /// The message for a key that no row has.
    static func unknown(_ key: String) -> String {
        let last = key.split(separator: ".").last.map(String.init) ?? key
        let paths = Settings.all.map(\.path)
        let near = paths.first { $0.hasSuffix("." + last) } ?? Spelling.nearest(to: key, in: paths)
        return "unknown key" + (near.map { "; did you mean `\($0)`?" } ?? "; docs/configuration.md lists all keys")
    }

    // MARK: Environment

    private mutating func readEnvironment(_ environment: LaunchEnvironment, _ problems: inout [ConfigurationProblem]) {
        var known = Self.foreignVariables
        for row in Settings.all {
            // The mechanical name wins over the alias: it is the more exact one.
            for name in row.aliases + [row.environmentName] {
                known.insert(name)
                guard let text = environment.variables[name] else { continue }
                take(row.path, row.parse(text: text), .environment(name), place: name, &problems)
            }
        }
        // Only told, not refused: a cluster makes variables of its own for a service that is called themis.
        for name in environment.variables.keys.sorted() where name.hasPrefix("THEMIS_") && !known.contains(name) {
            warn("environment variable \(ConfigurationTree.excerpt(name)) is no setting")
        }
    }

    // MARK: Defaults and rules

    private mutating func fillIn(_ role: ProcessRole, _ environment: LaunchEnvironment) {
        for row in Settings.all where entry(row.path) == nil {
            switch row.standard {
            case .value(let value): set(row.path, value, .standard)
            case .machine(_, let make): set(row.path, make(environment), .standard)
            case .derived: continue
            }
        }
        // Last: these depend on the others.
        for row in Settings.all where entry(row.path) == nil {
            if case .derived(_, let make) = row.standard { set(row.path, make(self, role, environment), .standard) }
        }
    }

    private func checkTogether(_ role: ProcessRole, _ problems: inout [ConfigurationProblem]) {
        checkSocket(&problems)
        guard self[Settings.authMode] == "none", !self[Settings.allowAnonymousRemote] else { return }
        let listeners: [(Setting<String>, [ProcessRole])] = [
            (Settings.serverHost, [.all, .gateway]), (Settings.changefeedHost, [.all, .changefeed]),
            (Settings.exporterHost, [.all, .exporter]),
        ]
        for (setting, roles) in listeners where roles.contains(role) && !Self.isLoopback(self[setting]) {
            problems.append(
                ConfigurationProblem(
                    place: place(of: origin(of: setting)), key: setting.row.path,
                    message:
                        "`\(self[setting])` is not a loopback address and `auth.mode` is `none`: everyone who reaches it could "
                        + "read and write; listen on 127.0.0.1 behind a proxy, or set `auth.allow_anonymous_remote: true`"))
        }
    }

    private func checkSocket(_ problems: inout [ConfigurationProblem]) {
        let socket = self[Settings.rpcSocket]
        if socket.utf8.count > Limits.socketPathBytes {
            problems.append(
                ConfigurationProblem(
                    place: place(of: origin(of: Settings.rpcSocket)), key: Settings.rpcSocket.row.path,
                    message: "the path has \(socket.utf8.count) bytes; a socket's may have \(Limits.socketPathBytes)"))
        }
    }

    private func place(of origin: SettingOrigin) -> String {
        switch origin {
        case .standard: "default"
        case .file(let line): "\(file ?? "file"):\(line)"
        case .environment(let name), .flag(let name): name
        case .core: "core"
        }
    }

    /// Whether only this machine can reach `host`.
    static func isLoopback(_ host: String) -> Bool {
        if host == "localhost" || host == "::1" { return true }
        let parts = host.split(separator: ".", omittingEmptySubsequences: false)
        return parts.count == 4 && parts[0] == "127" && parts.allSatisfy { UInt8($0) != nil }
    }
}
