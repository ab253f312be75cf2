import ThemisBase
import ThemisNet

/// Where a value came from.
public enum SettingOrigin: Sendable, Equatable {
    /// The catalog.
    case standard
    /// The configuration file, with the line.
    case file(line: Int)
    /// An environment variable.
    case environment(String)
    /// A flag of the command line.
    case flag(String)
    /// The core, for a sidecar.
    case core

    /// The word of GET /config.
    public var word: String {
        switch self {
        case .standard: "default"
        case .file: "file"
        case .environment: "env"
        case .flag: "flag"
        case .core: "core"
        }
    }
}

/// One thing that is wrong with a configuration.
public struct ConfigurationProblem: Error, Sendable, Equatable, CustomStringConvertible {
    /// Where: `config.yaml:12`, the variable or the flag.
    public let place: String
    /// The key, empty when the file itself is meant.
    public let key: String
    /// What is wrong and what to do.
    public let message: String

    /// `place: key: message`.
    public var description: String { key.isEmpty ? "\(place): \(message)" : "\(place): \(key): \(message)" }
}

/// Everything that is wrong with a configuration. Exit code 78.
public struct ConfigurationFault: Error, Sendable {
    /// Every problem, in the order in which they were met.
    public let problems: [ConfigurationProblem]
}

/// A checked value for every row of the catalog, with its origin. A value: any thread.
public struct Configuration: Sendable {
    /// A value and where it came from.
    public struct Entry: Sendable, Equatable {
        /// The value.
        public var value: SettingValue
        /// Where it came from.
        public var origin: SettingOrigin
    }

    /// By key; every row has one once the configuration is loaded.
    private(set) var entries: [String: Entry] = [:]
    /// What the file says, by key: what the drift is measured against.
    private(set) var fileValues: [String: SettingValue] = [:]
    /// The file that was read, nil when there was none.
    public private(set) var file: String?
    /// What an operator should know, though it stops nothing.
    public private(set) var warnings: [String] = []

    init() {}

    /// The value of `setting`.
    public subscript<Value>(setting: Setting<Value>) -> Value {
        let path = setting.row.path
        guard let entry = entries[path], let value = Value(setting: entry.value) else {
            preconditionFailure("the catalog row \(path) has a value of another type than its setting")
        }
        return value
    }

    /// The value and origin of the row with this key.
    public func entry(_ path: String) -> Entry? { entries[path] }

    /// Where the value of `setting` came from.
    public func origin<Value>(of setting: Setting<Value>) -> SettingOrigin { entries[setting.row.path]?.origin ?? .standard }

    mutating func set(_ path: String, _ value: SettingValue, _ origin: SettingOrigin) {
        entries[path] = Entry(value: value, origin: origin)
        if case .file = origin { fileValues[path] = value }
    }

    mutating func setFile(_ path: String) { file = path }

    mutating func warn(_ text: String) { warnings.append(text) }

    // MARK: From the core to its sidecars

    /// What the core tells its sidecars: every row that is not a bootstrap row and no secret, as text.
    public var shared: [(path: String, text: String)] {
        Settings.all.compactMap { row in
            guard !row.isBootstrap, !row.isSecret, let entry = entries[row.path] else { return nil }
            return (row.path, entry.value.text)
        }
    }

    /// The same with the values that the core told. Rows that this build does not have, or values that it cannot have, are left
    /// out: the core may be a version ahead.
    ///
    /// - Returns: the configuration and the keys that were left out.
    public func taking(shared values: [(path: String, text: String)]) -> (configuration: Configuration, ignored: [String]) {
        var copy = self
        var ignored: [String] = []
        for (path, text) in values {
            guard let row = Settings.row(path), !row.isBootstrap, case .success(let value) = row.parse(text: text) else {
                ignored.append(path)
                continue
            }
            copy.set(path, value, .core)
        }
        return (copy, ignored)
    }
}

extension SettingRow {
    /// The value that a flag or environment variable spells.
    func parse(text: String) -> Result<SettingValue, ConfigurationProblem> {
        if text.isEmpty, isOptional { return .success(.absent) }
        switch kind {
        case .bool:
            switch text {
            case "true", "1": return .success(.bool(true))
            case "false", "0": return .success(.bool(false))
            default: return .failure(problem("write true or false, not `\(ConfigurationTree.excerpt(text))`"))
            }
        case .integer: return integer(text)
        case .ratio: return ratio(text)
        case .host, .url, .name, .path, .choice: return check(text: text)
        case .roles:
            var roles: [UInt32: ProcessRole] = [:]
            for part in text.split(separator: ",") {
                let sides = part.split(separator: "=", omittingEmptySubsequences: false)
                guard sides.count == 2, add(String(sides[0]), String(sides[1]), to: &roles) else {
                    return .failure(problem("write UID=ROLE,… with the roles gateway, changefeed, exporter"))
                }
            }
            return .success(.roles(roles))
        }
    }

    /// The value that a file gives.
    func parse(tree: ConfigurationTree) -> Result<SettingValue, ConfigurationProblem> {
        switch (kind, tree) {
        case (.roles, .mapping(let members, _)):
            var roles: [UInt32: ProcessRole] = [:]
            for member in members {
                guard case .scalar(let role, _, _) = member.value, add(member.key, role, to: &roles) else {
                    return .failure(
                        problem(
                            "`\(ConfigurationTree.excerpt(member.key))` must be a user id with gateway, changefeed or exporter"))
                }
            }
            return .success(.roles(roles))
        case (_, .scalar(let text, let isQuoted, _)):
            let isEmpty = !isQuoted && ["", "~", "null"].contains(text)
            if isEmpty {
                return isOptional
                    ? .success(.absent) : .failure(problem("has no value; write \(expectation), or leave the key out"))
            }
            switch kind {
            case .bool:
                guard !isQuoted, text == "true" || text == "false" else {
                    return .failure(problem("must be true or false, not \(tree.description)"))
                }
                return .success(.bool(text == "true"))
            case .integer:
                guard !isQuoted else { return .failure(problem("must be \(expectation), not \(tree.description)")) }
                return integer(text)
            case .ratio:
                guard !isQuoted else { return .failure(problem("must be \(expectation), not \(tree.description)")) }
                return ratio(text)
            case .host, .url, .name, .path, .choice: return check(text: text)
            case .roles: return .failure(problem("must be a mapping of user ids to roles, not \(tree.description)"))
            }
        default: return .failure(problem("must be \(expectation), not \(tree.description)"))
        }
    }

    private var expectation: String {
        switch kind {
        case .bool: "true or false"
        case .integer(let range): "a whole number \(range.lowerBound)–\(range.upperBound)"
        case .ratio: "a number 0–1, such as 0.05"
        case .host: "an IP address or localhost"
        case .url: "an address such as http://127.0.0.1:4318"
        case .name: "a name of 1–128 visible characters"
        case .path: "a path"
        case .choice(let words): "one of \(words.joined(separator: ", "))"
        case .roles: "a mapping of user ids to roles"
        }
    }

    private func problem(_ message: String) -> ConfigurationProblem {
        ConfigurationProblem(place: "", key: path, message: message)
    }

    private func integer(_ text: String) -> Result<SettingValue, ConfigurationProblem> {
        let digits = text.hasPrefix("-") ? text.dropFirst() : text[...]
        guard !digits.isEmpty, digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else {
            return .failure(problem("must be \(expectation), not `\(ConfigurationTree.excerpt(text))`"))
        }
        // YAML 1.1 reads 010 as eight, 1.2 as ten.
        guard digits.count == 1 || !digits.hasPrefix("0") else {
            return .failure(
                problem("`\(ConfigurationTree.excerpt(text))` begins with a zero, which some read as octal; write it without"))
        }
        guard case .integer(let range) = kind, let value = Int64(text), range.contains(value) else {
            return .failure(problem("must be \(expectation), not \(ConfigurationTree.excerpt(text))"))
        }
        return .success(.integer(value))
    }

    private func ratio(_ text: String) -> Result<SettingValue, ConfigurationProblem> {
        let isPlain = !text.isEmpty && text.utf8.count <= 32 && text.utf8.allSatisfy { (0x30...0x39).contains($0) || $0 == 0x2E }
        guard isPlain, let value = Double(text), (0...1).contains(value) else {
            return .failure(problem("must be \(expectation), not `\(ConfigurationTree.excerpt(text))`"))
        }
        return .success(.decimal(value))
    }

    private func check(text: String) -> Result<SettingValue, ConfigurationProblem> {
        switch kind {
        case .choice(let words):
            guard words.contains(text) else {
                return .failure(problem("must be \(expectation), not `\(ConfigurationTree.excerpt(text))`"))
            }
        case .host:
            guard FileSystem.isAddress(text) else { return .failure(problem("must be an IP address or localhost")) }
        case .name:
            let isPlain = text.unicodeScalars.allSatisfy { !$0.properties.isWhitespace && $0.value >= 0x20 && $0.value != 0x7F }
            guard (1...128).contains(text.count), isPlain else { return .failure(problem("must be \(expectation)")) }
        case .url:
            guard HTTPOrigin(parsing: text) != nil else {
                return .failure(problem("must be \(expectation): no user, query or fragment, not `\(ConfigurationTree.excerpt(text))`"))
            }
        default:
            guard !text.isEmpty, text.utf8.count <= 4_000, text.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7F }) else {
                return .failure(problem("must be a path of 1–4000 bytes without control characters"))
            }
        }
        return .success(.text(text))
    }

    private func add(_ user: String, _ role: String, to roles: inout [UInt32: ProcessRole]) -> Bool {
        guard let user = UInt32(user), let role = ProcessRole(rawValue: role), role.isSidecar else { return false }
        roles[user] = role
        return true
    }
}
