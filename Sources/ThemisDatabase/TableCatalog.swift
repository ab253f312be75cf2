import ThemisBase

/// The tables by name and id, with the names of those that are gone but still stand in the change log.
///
/// A value: the committer has its own, readers have the published one.
struct TableCatalog: Sendable {
    /// A table that was dropped or truncated.
    struct Retired: Sendable, Equatable {
        var name: TableName
        /// The last sequence of data when it went: no record of it is newer.
        var sequence: SequenceNumber
    }

    private(set) var byName: [String: Table] = [:]
    private(set) var byID: [UInt32: Table] = [:]
    private(set) var retired: [UInt32: Retired] = [:]
    var nextID: UInt32 = 1
    /// The generation of the next index.
    var nextIndex: UInt32 = 1

    mutating func insert(_ table: Table) {
        byName[table.name.text] = table
        byID[table.id] = table
    }

    mutating func remove(_ table: Table) {
        byName[table.name.text] = nil
        byID[table.id] = nil
    }

    mutating func retire(_ id: UInt32, _ entry: Retired) { retired[id] = entry }
    mutating func forget(_ id: UInt32) { retired[id] = nil }

    /// The name that the id has or had.
    func name(of id: UInt32) -> TableName? { byID[id]?.name ?? retired[id]?.name }

    /// The ids that tables of this name have or had.
    func ids(of name: TableName) -> Set<UInt32> {
        var ids = Set(retired.filter { $0.value.name == name }.keys)
        if let table = byName[name.text] { ids.insert(table.id) }
        return ids
    }
}

/// The stored form of tables (docs/data-format.md, "Meta").
enum TableRecord {
    /// Format 1 had no indexes.
    static let format: UInt8 = 2

    /// `format u8 | id u32 | created ms u64 | birth u64 | flags u8 | default ttl s u64 | shard key length varint | shard key | indexes
    /// varint`, then each index.
    static func encode(
        id: UInt32, settings: TableSettings, createdMilliseconds: Int64, birth: SequenceNumber, indexes: [Index]
    ) -> [UInt8] {
        var bytes: [UInt8] = [format]
        bytes.appendBigEndian(id)
        bytes.appendBigEndian(UInt64(bitPattern: createdMilliseconds))
        bytes.appendBigEndian(birth)
        bytes.append(settings.keepsOldValues ? 1 : 0)
        bytes.appendBigEndian(UInt64(bitPattern: settings.defaultTTLSeconds))
        // The shard key: reserved in the format, empty on one core.
        bytes.appendLengthPrefixed([])
        bytes.appendVarint(UInt64(indexes.count))
        for index in indexes { IndexRecord.append(index, to: &bytes) }
        return bytes
    }

    /// - Throws: `data_corrupt`.
    static func decode(_ bytes: [UInt8], name: TableName) throws(ThemisError) -> Table {
        var reader = ByteReader(bytes)
        guard let version = reader.byte(), (1...format).contains(version), let id = reader.bigEndian(UInt32.self),
            let created = reader.bigEndian(UInt64.self), let birth = reader.bigEndian(UInt64.self), let flags = reader.byte(),
            let ttl = reader.bigEndian(UInt64.self), reader.lengthPrefixed() != nil
        else { throw MetaRecords.damaged("a table") }
        var indexes: [Index] = []
        if version >= 2 {
            guard let count = reader.varint(), count <= UInt64(reader.remaining) else { throw MetaRecords.damaged("a table") }
            for _ in 0..<count { indexes.append(try IndexRecord.read(&reader, table: name)) }
        }
        guard reader.remaining == 0 else { throw MetaRecords.damaged("a table") }
        var settings = TableSettings()
        settings.keepsOldValues = flags & 1 != 0
        settings.defaultTTLSeconds = Int64(bitPattern: ttl)
        return Table(
            id: id, name: name, settings: settings, createdMilliseconds: Int64(bitPattern: created), birth: birth,
            indexes: TableIndexes(indexes))
    }

    static func encode(_ retired: TableCatalog.Retired) -> [UInt8] {
        MetaRecords.number(retired.sequence) + retired.name.text.utf8
    }

    /// - Throws: `data_corrupt`.
    static func decodeRetired(_ bytes: [UInt8]) throws(ThemisError) -> TableCatalog.Retired {
        var reader = ByteReader(bytes)
        guard let sequence = reader.bigEndian(UInt64.self) else { throw MetaRecords.damaged("a retired table") }
        return TableCatalog.Retired(name: TableName(stored: String(decoding: reader.rest(), as: UTF8.self)), sequence: sequence)
    }
}
