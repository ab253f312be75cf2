/// What a principal may do: the second half of every permission check, in the gateway and again in the core.
public struct Scopes: OptionSet, Sendable, Hashable {
    /// The bits that travel in the metadata of an RPC request. Never given a new meaning.
    public let rawValue: UInt32
    /// Any bits; unknown ones allow nothing.
    public init(rawValue: UInt32) { self.rawValue = rawValue }

    /// Read metrics and statistics.
    public static let metricsRead = Scopes(rawValue: 1 << 0)
    /// Read entities.
    public static let dataRead = Scopes(rawValue: 1 << 1)
    /// Write entities and tables.
    public static let dataWrite = Scopes(rawValue: 1 << 2)
    /// Read the changefeed.
    public static let cdcRead = Scopes(rawValue: 1 << 3)
    /// Change retention and consumers of the changefeed.
    public static let cdcAdmin = Scopes(rawValue: 1 << 4)
    /// Read the configuration.
    public static let configRead = Scopes(rawValue: 1 << 5)
    /// Change the configuration.
    public static let configWrite = Scopes(rawValue: 1 << 6)
    /// Operate: jobs, flush, compact, snapshots.
    public static let admin = Scopes(rawValue: 1 << 7)

    /// Every scope, in the order of the bits, with the word of the configuration.
    public static let words: [(scope: Scopes, word: String)] = [
        (.metricsRead, "metrics:read"), (.dataRead, "data:read"), (.dataWrite, "data:write"), (.cdcRead, "cdc:read"),
        (.cdcAdmin, "cdc:admin"), (.configRead, "config:read"), (.configWrite, "config:write"), (.admin, "admin"),
    ]

    /// All scopes together.
    public static let all = Scopes(rawValue: words.reduce(0) { $0 | $1.scope.rawValue })

    /// The scope named `word`, nil when there is none.
    public init?(word: String) {
        guard let row = Self.words.first(where: { $0.word == word }) else { return nil }
        self = row.scope
    }

    /// The words of the scopes, with blanks between; `none` without any.
    public var text: String {
        let words = Self.words.filter { contains($0.scope) }.map(\.word)
        return words.isEmpty ? "none" : words.joined(separator: " ")
    }
}
