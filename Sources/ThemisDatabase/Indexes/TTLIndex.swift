public import ThemisBase

/// What an index can be told beside its columns.
public struct IndexSettings: Sendable, Equatable {
    /// Of a TTL index: seconds from the last write after which an entity with the column expires. 1–`Limits.ttlSeconds`.
    public var ttlSeconds: Int64?
    /// Of a TTL index: whether the column holds the time at which its entity expires.
    public var isExpiryInColumn = false

    /// Nothing is said.
    public init(ttlSeconds: Int64? = nil, isExpiryInColumn: Bool = false) {
        self.ttlSeconds = ttlSeconds
        self.isExpiryInColumn = isExpiryInColumn
    }

    var isEmpty: Bool { self == IndexSettings() }
}

/// When a document expires, as far as it is known before its write has a time.
struct DocumentExpiry: Sendable, Equatable {
    /// Milliseconds after the write.
    var afterMilliseconds: Int64?
    /// Milliseconds since 1970.
    var atMilliseconds: Int64?

    static let never = DocumentExpiry()

    var isNever: Bool { self == .never }

    /// The earlier of both.
    mutating func join(_ other: DocumentExpiry) {
        afterMilliseconds = Self.earlier(afterMilliseconds, other.afterMilliseconds)
        atMilliseconds = Self.earlier(atMilliseconds, other.atMilliseconds)
    }

    /// The time for a write at `now`, as it is stored: 0 for never.
    func stored(now: Int64) -> Int64 {
        Self.earlier(atMilliseconds, afterMilliseconds.map { now + $0 }).map { max(1, $0) } ?? 0
    }

    private static func earlier(_ left: Int64?, _ right: Int64?) -> Int64? {
        guard let left, let right else { return left ?? right }
        return min(left, right)
    }
}

/// Lets entities expire: a time after their last write, or at the time that a column holds. Its entries only tell which ones.
struct TTLIndex: IndexKind {
    static let word = "ttl"
    static let canBeUnique = false
    let columns: [JSONPath]
    let settings: IndexSettings

    init(columns: [JSONPath]) throws(ThemisError) { try self.init(columns: columns, settings: IndexSettings()) }

    /// - Throws: `invalid_request` unless there is one column in one place and exactly one setting.
    init(columns: [JSONPath], settings: IndexSettings) throws(ThemisError) {
        guard columns.count == 1, !columns[0].isExpanded else {
            throw IndexDefinition.error("columns", "a ttl index has one column, without [*]")
        }
        guard (settings.ttlSeconds != nil) != settings.isExpiryInColumn else {
            throw IndexDefinition.error("config", "a ttl index needs either ttl_seconds or expire_at: true")
        }
        if let seconds = settings.ttlSeconds, !(1...Limits.ttlSeconds).contains(seconds) {
            throw IndexDefinition.error("config.ttl_seconds", "must be 1–\(Limits.ttlSeconds)")
        }
        self.columns = columns
        self.settings = settings
    }

    /// One for each entity that expires by it.
    func entries(of columns: [ColumnValues]) throws(ThemisError) -> [[UInt8]] {
        let expiry = try expiry(of: columns)
        return expiry.isNever ? [] : [OrderedCoding.coding(of: expiry.atMilliseconds.map { .integer($0) } ?? true)]
    }

    /// Its entries are no values to look for.
    func access(_ conjunction: Conjunction) -> IndexRanges? { nil }
    var isComplete: Bool { false }
    var isOrdered: Bool { false }
    var paths: [JSONPath] { columns }
    var entryValues: Int { 1 }
    var isValueItself: Bool { false }
    var skipsNull: Bool { false }

    /// When a document with these values expires.
    ///
    /// - Throws: `unprocessable` when the column should hold a time and does not.
    func expiry(of columns: [ColumnValues]) throws(ThemisError) -> DocumentExpiry {
        guard let coding = columns[0].codings.first, !OrderedCoding.isNull(coding) else { return .never }
        if let seconds = settings.ttlSeconds { return DocumentExpiry(afterMilliseconds: seconds * 1_000) }
        var reader = ByteReader(coding)
        guard let time = OrderedCoding.value(from: &reader).flatMap(Self.milliseconds) else {
            throw ThemisError(
                .unprocessable, "column \(columns[0].path) says when the entity expires; it must hold a time",
                fields: [FieldError(columns[0].path.text, "seconds or milliseconds since 1970, or an RFC 3339 time, or null")])
        }
        return DocumentExpiry(atMilliseconds: time)
    }

    /// The first number that counts milliseconds: as seconds it is in the year 5138, as milliseconds in 1973.
    private static let firstMilliseconds = 100_000_000_000.0
    /// The end of the year 9999, in milliseconds.
    private static let lastMilliseconds = 253_402_300_799_999.0

    private static func milliseconds(_ value: JSONValue) -> Int64? {
        if let text = value.stringValue { return Timestamp.milliseconds(parsing: text) }
        guard let number = value.doubleValue, number >= 0, number <= lastMilliseconds else { return nil }
        return Int64(number < firstMilliseconds ? number * 1_000 : number)
    }
}

extension IndexSettings {
    /// `"config":{…}` of the public interface; nothing when nothing was said.
    public var members: [JSONMember] {
        if let ttlSeconds { return [JSONMember("config", .object([JSONMember("ttl_seconds", .integer(ttlSeconds))]))] }
        return isExpiryInColumn ? [JSONMember("config", .object([JSONMember("expire_at", true)]))] : []
    }
}
