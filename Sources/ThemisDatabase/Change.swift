public import ThemisBase

/// What a change record tells.
public enum ChangeType: UInt8, Sendable {
    /// An entity has a new value.
    case put = 1
    /// An entity is gone.
    case delete = 2
    /// Something other than data changed, such as a table.
    case system = 4
}

/// A set of change types.
public struct ChangeTypes: OptionSet, Sendable {
    /// Bits by `ChangeType.rawValue`.
    public let rawValue: UInt8
    /// The set with these bits.
    public init(rawValue: UInt8) { self.rawValue = rawValue }
    /// See `ChangeType.put`.
    public static let put = ChangeTypes(rawValue: 1)
    /// See `ChangeType.delete`.
    public static let delete = ChangeTypes(rawValue: 2)
    /// See `ChangeType.system`.
    public static let system = ChangeTypes(rawValue: 4)
    /// What a reader sees that asks for nothing special.
    public static let data: ChangeTypes = [.put, .delete]
}

/// Why a change happened.
public enum ChangeCause: UInt8, Sendable {
    /// Someone asked for it.
    case request = 0
    /// The entity expired.
    case ttl = 1
    /// Its table was dropped or truncated.
    case table = 2
    /// It fell into a range that was deleted.
    case range = 3
}

/// One record of the change log.
public struct Change: Sendable {
    /// Its position; gapless within an epoch.
    public var sequence: SequenceNumber
    /// 0 for data; system records hang at 1 and above of the data record before them.
    public var ordinal: UInt16
    /// What it tells.
    public var type: ChangeType
    /// The table. A dropped table keeps its name as long as the log holds its records.
    public var table: TableName
    /// The primary key; empty for system records.
    public var pk: String
    /// The entity's version after the change: the sequence.
    public var version: UInt64
    /// The version before it; 0 when there was none.
    public var previousVersion: UInt64
    /// When it was committed, in milliseconds since 1970; never less than the record before.
    public var timestampMilliseconds: Int64
    /// The place in its transaction, from 0.
    public var transactionIndex: UInt32
    /// Records of its transaction.
    public var transactionCount: UInt32
    /// Why it happened.
    public var cause: ChangeCause
    /// The new value as JSON text; empty for a delete.
    public var value: ArraySlice<UInt8>
    /// The value before, when the record keeps it and the reader asked for it.
    public var oldValue: ArraySlice<UInt8>?
}

/// Which records a reader wants.
public struct ChangesFilter: Sendable {
    /// Only this table; nil for all.
    public var table: TableName?
    /// Only keys (`table:pk`) that begin with it.
    public var keyPrefix: String
    /// Only these types.
    public var types: ChangeTypes

    /// Without arguments: all data.
    public init(table: TableName? = nil, keyPrefix: String = "", types: ChangeTypes = .data) {
        self.table = table
        self.keyPrefix = keyPrefix
        self.types = types
    }
}

/// What `readChanges` reads.
public struct ChangesRequest: Sendable {
    /// The position after which to read; nil for the newest.
    public var after: SequenceNumber?
    /// Must be the current epoch when it is given.
    public var epoch: String?
    /// Records wanted, 1–10,000; more come when the last transaction needs it.
    public var limit: Int
    /// Bytes of values wanted; more come when the last transaction needs it.
    public var maxBytes: Int
    /// Which records.
    public var filter: ChangesFilter
    /// Whether to give the values before the changes.
    public var oldValues: Bool

    /// Puts the parts together.
    public init(
        after: SequenceNumber?, epoch: String? = nil, limit: Int = 100, maxBytes: Int = Limits.changefeedPageBytes,
        filter: ChangesFilter = ChangesFilter(), oldValues: Bool = false
    ) {
        self.after = after
        self.epoch = epoch
        self.limit = limit
        self.maxBytes = maxBytes
        self.filter = filter
        self.oldValues = oldValues
    }
}

/// One page of the change log: whole transactions.
public struct ChangesPage: Sendable {
    /// Oldest first.
    public var changes: [Change]
    /// The position after this page, also when the filter matched nothing.
    public var nextAfter: SequenceNumber
    /// The newest durable record.
    public var latest: SequenceNumber
    /// The oldest record kept.
    public var oldest: SequenceNumber
    /// The current epoch.
    public var epoch: String

    /// Whether more records may be read at once, without waiting for a commit.
    public var hasMore: Bool { nextAfter < latest }
}

/// The change log in numbers.
public struct ChangesInfo: Sendable {
    /// The newest durable record.
    public var latest: SequenceNumber
    /// The oldest record kept.
    public var oldest: SequenceNumber
    /// The current epoch.
    public var epoch: String
    /// Approximate bytes on disk.
    public var bytes: UInt64
    /// When the oldest record was committed, in milliseconds since 1970; 0 when there is none.
    public var oldestMilliseconds: Int64
    /// When the newest record was committed, in milliseconds since 1970; 0 when there is none.
    public var latestMilliseconds: Int64
}
