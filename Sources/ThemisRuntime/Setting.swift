public import ThemisTelemetry

/// A value of the configuration.
public enum SettingValue: Sendable, Equatable {
    /// An optional setting without a value.
    case absent
    /// Yes or no.
    case bool(Bool)
    /// A whole number.
    case integer(Int64)
    /// A number with a fraction.
    case decimal(Double)
    /// A word, address or path.
    case text(String)
    /// Roles by user id.
    case roles([UInt32: ProcessRole])
}

/// What values a setting takes.
public enum SettingKind: Sendable, Equatable {
    /// `true` or `false`.
    case bool
    /// A whole number in the range.
    case integer(ClosedRange<Int64>)
    /// A number from 0 to 1.
    case ratio
    /// An IP address or `localhost`.
    case host
    /// The `http` or `https` address of a service.
    case url
    /// A name of 1–128 visible characters.
    case name
    /// A path of the file system.
    case path
    /// One of these words.
    case choice([String])
    /// A mapping of user ids to roles of sidecars.
    case roles

    /// The type's word in `docs/configuration.md` and in the schema.
    public var word: String {
        switch self {
        case .bool: "boolean"
        case .integer: "integer"
        case .ratio: "number"
        case .host: "address"
        case .url: "URL"
        case .name: "text"
        case .path: "path"
        case .choice: "word"
        case .roles: "mapping"
        }
    }

    /// The limits in words; empty when there are none.
    public var limits: String {
        switch self {
        case .integer(let range): "\(range.lowerBound)–\(range.upperBound)"
        case .choice(let words): words.joined(separator: ", ")
        case .roles: "user id: gateway, changefeed or exporter"
        case .ratio: "0–1"
        case .name: "1–128 visible characters"
        case .bool, .host, .url, .path: ""
        }
    }
}

/// Where a value without file, environment or flag comes from.
public enum SettingDefault: Sendable {
    /// Always the same.
    case value(SettingValue)
    /// Depends on the machine: how it is described, and the function.
    case machine(String, @Sendable (LaunchEnvironment) -> SettingValue)
    /// Depends on other settings too: how it is described, and the function.
    case derived(String, @Sendable (Configuration, ProcessRole, LaunchEnvironment) -> SettingValue)
}

/// A row of the setting catalog, without the type of its value.
public struct SettingRow: Sendable {
    /// The key, with dots.
    public let path: String
    /// What values it takes.
    public let kind: SettingKind
    /// Whether it may be without a value.
    public let isOptional: Bool
    /// Its value when nobody gives one.
    public let standard: SettingDefault
    /// Whether a running set takes a new value.
    public let isHot: Bool
    /// Whether a sidecar takes it from its own file, environment and flags; other rows come from the core.
    public let isBootstrap: Bool
    /// Whether it is shown as `***`.
    public let isSecret: Bool
    /// Flags that set it, each with the roles that have it.
    public let flags: [Flag]
    /// Environment variables that set it beside the mechanical name.
    public let aliases: [String]
    /// What it does.
    public let help: String

    /// A flag of the command line that sets a row.
    public struct Flag: Sendable {
        /// The flag with its dashes.
        public let name: String
        /// The roles that have it.
        public let roles: [ProcessRole]

        static func all(_ name: String) -> Flag { Flag(name: name, roles: ProcessRole.allCases) }
        static func some(_ name: String, _ roles: ProcessRole...) -> Flag { Flag(name: name, roles: roles) }
    }

    /// The mechanical name of its environment variable.
    public var environmentName: String {
        "THEMIS_" + path.map { $0 == "." ? "_" : $0.uppercased() }.joined()
    }

    /// The default in words.
    public var standardText: String {
        switch standard {
        case .value(let value): value.text
        case .machine(let description, _), .derived(let description, _): description
        }
    }
}

/// A row of the setting catalog whose value has the type `Value`.
public struct Setting<Value: SettingConvertible>: Sendable {
    /// The row.
    public let row: SettingRow

    init(
        _ path: String, _ kind: SettingKind, _ standard: SettingDefault, hot: Bool = false, bootstrap: Bool = false,
        secret: Bool = false,
        flags: [SettingRow.Flag] = [], aliases: [String] = [], _ help: String
    ) {
        row = SettingRow(
            path: path, kind: kind, isOptional: Value.isOptional, standard: standard, isHot: hot, isBootstrap: bootstrap,
            isSecret: secret,
            flags: flags, aliases: aliases, help: help)
    }
}

/// A type that a setting's value can have.
public protocol SettingConvertible: Sendable {
    /// Whether a setting of this type may be without a value.
    static var isOptional: Bool { get }
    /// The value, nil when it has another type.
    init?(setting value: SettingValue)
}

extension SettingConvertible {
    /// Most types need a value.
    public static var isOptional: Bool { false }
}

extension Bool: SettingConvertible {
    /// From `.bool`.
    public init?(setting value: SettingValue) {
        guard case .bool(let value) = value else { return nil }
        self = value
    }
}

extension Int: SettingConvertible {
    /// From `.integer`.
    public init?(setting value: SettingValue) {
        guard case .integer(let value) = value else { return nil }
        self.init(exactly: value)
    }
}

extension Double: SettingConvertible {
    /// From `.decimal`.
    public init?(setting value: SettingValue) {
        guard case .decimal(let value) = value else { return nil }
        self = value
    }
}

extension String: SettingConvertible {
    /// From `.text`.
    public init?(setting value: SettingValue) {
        guard case .text(let value) = value else { return nil }
        self = value
    }
}

extension Optional: SettingConvertible where Wrapped: SettingConvertible {
    /// An optional value may be absent.
    public static var isOptional: Bool { true }
    /// From `.absent`, or what the wrapped type takes.
    public init?(setting value: SettingValue) {
        if value == .absent {
            self = .none
            return
        }
        guard let wrapped = Wrapped(setting: value) else { return nil }
        self = .some(wrapped)
    }
}

extension Dictionary: SettingConvertible where Key == UInt32, Value == ProcessRole {
    /// From `.roles`.
    public init?(setting value: SettingValue) {
        guard case .roles(let roles) = value else { return nil }
        self = roles
    }
}

extension LogLevel: SettingConvertible {
    /// From its word.
    public init?(setting value: SettingValue) {
        guard case .text(let word) = value else { return nil }
        self.init(word: word)
    }
}

extension LogFormat: SettingConvertible {
    /// From its word.
    public init?(setting value: SettingValue) {
        guard case .text(let word) = value else { return nil }
        self.init(rawValue: word)
    }
}

extension SettingValue {
    /// The value as a flag or environment variable spells it.
    public var text: String {
        switch self {
        case .absent: ""
        case .bool(let value): value ? "true" : "false"
        case .integer(let value): String(value)
        case .decimal(let value): SettingValue.text(of: value)
        case .text(let value): value
        case .roles(let roles): roles.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value.rawValue)" }.joined(separator: ",")
        }
    }
}

extension SettingValue {
    /// Whole numbers without `.0`.
    static func text(of value: Double) -> String { value == value.rounded() && abs(value) < 1e15 ? String(Int64(value)) : String(value) }
}
