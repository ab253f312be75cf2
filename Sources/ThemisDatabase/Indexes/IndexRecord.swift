import ThemisBase

/// The stored form of indexes (docs/data-format.md, "Meta"): definitions stand in the row of their table, counts in rows of their own.
enum IndexRecord {
    /// `generation u32 | state u8 | flags u8 | birth u64 | replaces u32 | created ms u64 | type | columns varint | columns`, texts with
    /// their length; with flag 2 (ttl seconds) `ttl seconds u64` behind it. Flag 1: unique; flag 4: the column holds the expiry.
    static func append(_ index: Index, to bytes: inout [UInt8]) {
        bytes.appendBigEndian(index.generation)
        bytes.append(index.state.rawValue)
        let settings = index.definition.settings
        bytes.append((index.definition.isUnique ? 1 : 0) | (settings.ttlSeconds != nil ? 2 : 0) | (settings.isExpiryInColumn ? 4 : 0))
        bytes.appendBigEndian(index.birth)
        bytes.appendBigEndian(index.replaces)
        bytes.appendBigEndian(UInt64(bitPattern: index.createdMilliseconds))
        bytes.appendLengthPrefixed(index.definition.type.utf8)
        bytes.appendVarint(UInt64(index.definition.columns.count))
        for column in index.definition.columns { bytes.appendLengthPrefixed(column.text.utf8) }
        if let seconds = settings.ttlSeconds { bytes.appendBigEndian(UInt64(bitPattern: seconds)) }
    }

    /// - Throws: `data_corrupt`.
    static func read(_ reader: inout ByteReader, table: TableName) throws(ThemisError) -> Index {
        guard let generation = reader.bigEndian(UInt32.self), let state = reader.byte().flatMap(IndexState.init(rawValue:)),
            let flags = reader.byte(), let birth = reader.bigEndian(UInt64.self), let replaces = reader.bigEndian(UInt32.self),
            let created = reader.bigEndian(UInt64.self), let type = reader.lengthPrefixed(), let count = reader.varint(),
            count <= UInt64(reader.remaining)
        else { throw MetaRecords.damaged("an index") }
        do throws(ThemisError) {
            var columns: [JSONPath] = []
            for _ in 0..<count { columns.append(try JSONPath(String(decoding: reader.lengthPrefixed() ?? [], as: UTF8.self))) }
            var settings = IndexSettings(isExpiryInColumn: flags & 4 != 0)
            if flags & 2 != 0 {
                guard let seconds = reader.bigEndian(UInt64.self) else { throw MetaRecords.damaged("an index") }
                settings.ttlSeconds = Int64(bitPattern: seconds)
            }
            let definition = try IndexDefinition(
                table: table, type: String(decoding: type, as: UTF8.self), columns: columns, isUnique: flags & 1 != 0,
                settings: settings)
            return Index(
                generation: generation, definition: definition, state: state, birth: birth, replaces: replaces,
                createdMilliseconds: Int64(bitPattern: created))
        } catch {
            throw MetaRecords.damaged("an index")
        }
    }

    /// `entries u64 | bytes u64 | built through`, the last to the end.
    static func encode(_ counts: IndexCounters.State) -> [UInt8] {
        MetaRecords.pair(counts.entries, counts.bytes) + counts.builtThrough
    }

    /// - Throws: `data_corrupt`.
    static func decodeCounts(_ bytes: [UInt8]) throws(ThemisError) -> IndexCounters.State {
        var reader = ByteReader(bytes)
        guard let entries = reader.bigEndian(UInt64.self), let size = reader.bigEndian(UInt64.self) else {
            throw MetaRecords.damaged("the counts of an index")
        }
        return IndexCounters.State(entries: entries, bytes: size, builtThrough: Array(reader.rest()))
    }
}
