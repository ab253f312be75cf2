/// A configuration file as nested values, with the line of each.
indirect enum ConfigurationTree: Sendable {
    /// A word, number or text, as it is spelled.
    case scalar(String, isQuoted: Bool, line: Int)
    /// Keys and values, in their order.
    case mapping([Member], line: Int)
    /// A list.
    case sequence([ConfigurationTree], line: Int)

    struct Member: Sendable {
        let key: String
        let line: Int
        let value: ConfigurationTree
    }

    var line: Int {
        switch self {
        case .scalar(_, _, let line), .mapping(_, let line), .sequence(_, let line): line
        }
    }

    /// How an error names what was found.
    var description: String {
        switch self {
        case .scalar(let text, let isQuoted, _):
            isQuoted ? "the text \"\(Self.excerpt(text))\"" : text.isEmpty ? "nothing" : Self.excerpt(text)
        case .mapping: "a mapping"
        case .sequence: "a list"
        }
    }

    /// A short form of `text` for messages.
    static func excerpt(_ text: String) -> String {
        let clean = String(String.UnicodeScalarView(text.unicodeScalars.map { $0.value < 0x20 ? " " : $0 }))
        return clean.count <= 40 ? clean : String(clean.prefix(40)) + "…"
    }
}

/// Why a file could not be read as a tree.
struct ConfigurationSyntaxError: Error, Equatable {
    let line: Int
    let message: String
}
