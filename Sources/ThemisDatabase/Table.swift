import Synchronization
public import ThemisBase

/// What an operator can set on a table.
public struct TableSettings: Sendable, Equatable {
    /// Whether change records carry the value before the change.
    public var keepsOldValues = false
    /// Seconds after its last write at which an entity of this table expires; 0 for never.
    public var defaultTTLSeconds: Int64 = 0

    /// The settings of a table that is made by its first write.
    public init() {}
}

/// A change of a table's settings; nil leaves a setting as it is.
public struct TableSettingsChange: Sendable {
    /// See `TableSettings.keepsOldValues`.
    public var keepsOldValues: Bool?
    /// See `TableSettings.defaultTTLSeconds`. 0–`Limits.ttlSeconds`.
    public var defaultTTLSeconds: Int64?

    /// Leaves everything as it is.
    public init(keepsOldValues: Bool? = nil, defaultTTLSeconds: Int64? = nil) {
        self.keepsOldValues = keepsOldValues
        self.defaultTTLSeconds = defaultTTLSeconds
    }
}

/// A table as the operator sees it.
public struct TableInfo: Sendable {
    /// Its name.
    public var name: TableName
    /// Its number in keys; a table that is dropped or truncated never gets the same one again.
    public var id: UInt32
    /// Its settings.
    public var settings: TableSettings
    /// When it was made, in milliseconds since 1970.
    public var createdMilliseconds: Int64
    /// How many entities it stores, exactly, with those that have expired and are not swept yet.
    public var entities: UInt64
    /// Bytes of their primary keys and documents, exactly.
    public var bytes: UInt64
}

/// What dropping or truncating a table removed.
public struct TableDropResult: Sendable {
    /// Entities that were there.
    public var deleted: UInt64
    /// The last sequence of data when it happened. The change log shows one system record after it, not one per entity.
    public var sequence: SequenceNumber
}

/// Counts of one table, as far as they are published. Any thread.
final class TableCounters: Sendable {
    let entities = Atomic<UInt64>(0)
    let bytes = Atomic<UInt64>(0)
}

/// A table of the catalog. Settings or indexes that change make a new object with the same id and counters.
final class Table: Sendable {
    let id: UInt32
    let name: TableName
    let settings: TableSettings
    let createdMilliseconds: Int64
    /// The last sequence before the table was there: no entity of this id is older.
    let birth: SequenceNumber
    let counters: TableCounters
    let indexes: TableIndexes
    /// Its stored form: whoever reads a snapshot compares it.
    let record: [UInt8]

    init(
        id: UInt32, name: TableName, settings: TableSettings, createdMilliseconds: Int64, birth: SequenceNumber,
        counters: TableCounters = TableCounters(), indexes: TableIndexes = .none
    ) {
        self.id = id
        self.name = name
        self.settings = settings
        self.createdMilliseconds = createdMilliseconds
        self.birth = birth
        self.counters = counters
        self.indexes = indexes
        record = TableRecord.encode(
            id: id, settings: settings, createdMilliseconds: createdMilliseconds, birth: birth, indexes: indexes.all)
    }

    /// The same table with other settings.
    func with(_ settings: TableSettings) -> Table {
        Table(
            id: id, name: name, settings: settings, createdMilliseconds: createdMilliseconds, birth: birth, counters: counters,
            indexes: indexes)
    }

    /// The same table with other indexes.
    func with(_ indexes: [Index]) -> Table {
        Table(
            id: id, name: name, settings: settings, createdMilliseconds: createdMilliseconds, birth: birth, counters: counters,
            indexes: TableIndexes(indexes))
    }

    var info: TableInfo {
        TableInfo(
            name: name, id: id, settings: settings, createdMilliseconds: createdMilliseconds,
            entities: counters.entities.load(ordering: .relaxed), bytes: counters.bytes.load(ordering: .relaxed))
    }
}
