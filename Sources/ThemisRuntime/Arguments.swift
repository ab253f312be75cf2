/// A flag of one program that is not a setting.
public struct ProgramFlag: Sendable {
    /// The flag with its dashes.
    public let name: String
    /// What stands behind it, nil for a flag without a value.
    public let value: String?
    /// What it does; nil hides it from `--help`.
    public let help: String?

    /// A flag of a program.
    public init(_ name: String, value: String? = nil, help: String?) {
        self.name = name
        self.value = value
        self.help = help
    }

    /// The flags that every program has.
    static let common: [ProgramFlag] = [
        ProgramFlag("--config", value: "FILE", help: "Read this configuration file instead of looking for one."),
        ProgramFlag("--validate", help: "Check configuration and machine, print what was found, and end."),
        ProgramFlag("--version", help: "Print the version and end."),
        ProgramFlag("--help", help: "Print this and end."),
    ]
}

/// A command line that cannot be understood. Exit code 64.
public struct UsageError: Error, Equatable, Sendable {
    /// What is wrong with it.
    public let message: String
}

/// A command line, split into flags and values.
public struct Arguments: Sendable {
    /// Values of settings by key, with the flag that gave them.
    public private(set) var settings: [(row: SettingRow, flag: String, text: String)] = []
    /// Values of the program's other flags; an empty text for those without a value.
    public private(set) var flags: [String: String] = [:]

    /// Reads `words`, which are the command line without the program's name.
    ///
    /// - Throws: `UsageError` for an unknown flag, one without its value, one given twice, and for words that are no flags.
    public init(_ words: [String], role: ProcessRole, programFlags: [ProgramFlag] = []) throws(UsageError) {
        let known = ProgramFlag.common + programFlags
        let rows = Self.rows(of: role)
        var seen: Set<String> = []
        var index = 0
        while index < words.count {
            let word = words[index]
            index += 1
            guard word.hasPrefix("--"), word.count > 2 else {
                throw UsageError(message: "`\(ConfigurationTree.excerpt(word))` is not a flag")
            }
            let parts = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            let name = parts[0]
            let row = rows.first { $0.flag == name }?.row
            let program = known.first { $0.name == name }
            guard row != nil || program != nil else {
                let names = rows.map(\.flag) + known.filter { $0.help != nil }.map(\.name)
                let hint = Spelling.nearest(to: name, in: names).map { "; did you mean \($0)?" } ?? ""
                throw UsageError(message: "unknown flag \(ConfigurationTree.excerpt(name))\(hint)")
            }
            guard seen.insert(name).inserted else { throw UsageError(message: "\(name) is given twice") }
            if let program, program.value == nil {
                guard parts.count == 1 else { throw UsageError(message: "\(name) takes no value") }
                flags[name] = ""
                continue
            }
            let text: String
            if parts.count == 2 {
                text = parts[1]
            } else {
                guard index < words.count else { throw UsageError(message: "\(name) needs a value") }
                text = words[index]
                index += 1
            }
            if let row { settings.append((row, name, text)) } else { flags[name] = text }
        }
    }

    /// Whether a flag without a value was given.
    public func has(_ name: String) -> Bool { flags[name] != nil }

    /// The settings that `role` can set by flag.
    static func rows(of role: ProcessRole) -> [(flag: String, row: SettingRow)] {
        Settings.all.flatMap { row in row.flags.filter { $0.roles.contains(role) }.map { ($0.name, row) } }.sorted {
            $0.flag < $1.flag
        }
    }

    /// The text of `--help`.
    public static func help(role: ProcessRole, summary: String, programFlags: [ProgramFlag] = []) -> String {
        var lines: [(String, String)] = []
        for flag in ProgramFlag.common + programFlags {
            guard let help = flag.help else { continue }
            lines.append((flag.value.map { "\(flag.name) \($0)" } ?? flag.name, help))
        }
        for (flag, row) in rows(of: role) {
            lines.append(("\(flag) \(row.kind.word.uppercased())", "\(row.help) (\(row.path), default: \(row.standardText))"))
        }
        let width = lines.map(\.0.count).max() ?? 0
        var text = "\(role.program): \(summary)\n\nUsage: \(role.program) [flags]\n\n"
        for (flag, help) in lines.sorted(by: { $0.0 < $1.0 }) {
            text += "  \(flag)\(String(repeating: " ", count: width - flag.count))  \(help)\n"
        }
        return text
            + """

            Every setting can stand in a file (config.yaml, .yml or .json in ., ./config or /etc/vccdb) and in the environment
            (logging.level is THEMIS_LOGGING_LEVEL). A flag wins over the environment, the environment over the file.
            docs/configuration.md lists all settings.

            """
    }
}

/// Finds what a misspelled word was meant to be.
enum Spelling {
    /// The nearest of `words` by edit distance, nil when none is near.
    static func nearest(to word: String, in words: [String]) -> String? {
        // Long input is no typing mistake, and the distance costs the product of both lengths.
        guard word.utf8.count <= 80 else { return nil }
        let bytes = Array(word.utf8)
        let found = words.map { (word: $0, distance: distance(bytes, Array($0.utf8))) }.min { $0.distance < $1.distance }
        guard let found, found.distance <= max(2, word.utf8.count / 3) else { return nil }
        return found.word
    }

    private static func distance(_ left: [UInt8], _ right: [UInt8]) -> Int {
        var row = Array(0...right.count)
        for (index, byte) in left.enumerated() {
            var diagonal = row[0]
            row[0] = index + 1
            for (column, other) in right.enumerated() {
                let above = row[column + 1]
                row[column + 1] = min(diagonal + (byte == other ? 0 : 1), above + 1, row[column] + 1)
                diagonal = above
            }
        }
        return row[right.count]
    }
}
