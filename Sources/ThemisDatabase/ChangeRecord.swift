import ThemisBase

/// The stored form of a change (docs/data-format.md, "Changes").
///
/// Key: `sequence u64 | ordinal u16`. Value: `format u8 | flags u8 | cause u8 | commit ts u64 | table id u32 | version u64 |
/// previous version u64 | txn index u32 | txn count u32 | pk length u16 | value length u32 | pk | value | old value`.
/// Everything that the committer decides stands at a fixed place, so that the record is built before it is ordered.
enum ChangeRecord {
    static let format: UInt8 = 1
    static let headerBytes = 45
    private static let timestampOffset = 3
    private static let tableOffset = 11
    private static let versionOffset = 15
    private static let previousOffset = 23
    private static let indexOffset = 31
    private static let countOffset = 35
    private static let pkLengthOffset = 39
    private static let valueLengthOffset = 41

    private static let hasValue: UInt8 = 1
    private static let hasOldValue: UInt8 = 2
    private static let isSystem: UInt8 = 4

    static func key(_ sequence: SequenceNumber, ordinal: UInt16 = 0) -> [UInt8] {
        var key: [UInt8] = []
        key.reserveCapacity(10)
        key.appendBigEndian(sequence)
        key.appendBigEndian(ordinal)
        return key
    }

    /// The position of a key.
    ///
    /// - Throws: `data_corrupt`.
    static func position(ofKey key: [UInt8]) throws(ThemisError) -> (sequence: SequenceNumber, ordinal: UInt16) {
        guard key.count == 10 else {
            throw ThemisError(.dataCorrupt, "a key of the change log has \(key.count) bytes; 10 are right")
        }
        return (key.load(UInt64.self, at: 0), key.load(UInt16.self, at: 8))
    }

    /// A record without what the committer decides. `value` nil: a delete.
    static func data(
        table: UInt32, pk: some Collection<UInt8>, value: ArraySlice<UInt8>?, oldValue: ArraySlice<UInt8>?,
        cause: ChangeCause = .request
    ) -> [UInt8] {
        var record: [UInt8] = []
        record.reserveCapacity(headerBytes + pk.count + (value?.count ?? 0) + (oldValue?.count ?? 0))
        record.append(format)
        record.append((value == nil ? 0 : hasValue) | (oldValue == nil ? 0 : hasOldValue))
        record.append(cause.rawValue)
        record.append(contentsOf: repeatElement(0, count: headerBytes - 3))
        record.store(table, at: tableOffset)
        record.store(UInt16(truncatingIfNeeded: pk.count), at: pkLengthOffset)
        record.store(UInt32(truncatingIfNeeded: value?.count ?? 0), at: valueLengthOffset)
        record.append(contentsOf: pk)
        if let value { record.append(contentsOf: value) }
        if let oldValue { record.append(contentsOf: oldValue) }
        return record
    }

    /// A system record; `text` is JSON.
    static func system(table: UInt32, text: [UInt8], cause: ChangeCause = .request) -> [UInt8] {
        var record = data(table: table, pk: [], value: text[...], oldValue: nil, cause: cause)
        record[1] |= isSystem
        return record
    }

    static func set(table: UInt32, in record: inout [UInt8]) { record.store(table, at: tableOffset) }

    static func set(version: UInt64, previous: UInt64, timestamp: Int64, index: UInt32, in record: inout [UInt8]) {
        record.store(UInt64(bitPattern: timestamp), at: timestampOffset)
        record.store(version, at: versionOffset)
        record.store(previous, at: previousOffset)
        record.store(index, at: indexOffset)
    }

    static func set(count: UInt32, in record: inout [UInt8]) { record.store(count, at: countOffset) }

    /// Checks what comes from the disk.
    ///
    /// - Throws: `data_corrupt`.
    static func check(_ record: [UInt8]) throws(ThemisError) {
        guard record.count >= headerBytes, record[0] == format,
            record.count >= headerBytes + Int(record.load(UInt16.self, at: pkLengthOffset)) + valueBytes(of: record),
            ChangeCause(rawValue: record[2]) != nil
        else { throw ThemisError(.dataCorrupt, "a change record of \(record.count) bytes cannot be decoded") }
    }

    // What follows is asked of records that were built here or checked.

    static func type(of record: [UInt8]) -> ChangeType {
        if record[1] & isSystem != 0 { return .system }
        return record[1] & hasValue != 0 ? .put : .delete
    }

    static func table(of record: [UInt8]) -> UInt32 { record.load(UInt32.self, at: tableOffset) }
    static func timestamp(of record: [UInt8]) -> Int64 { Int64(bitPattern: record.load(UInt64.self, at: timestampOffset)) }
    static func transactionIndex(of record: [UInt8]) -> UInt32 { record.load(UInt32.self, at: indexOffset) }
    static func transactionCount(of record: [UInt8]) -> UInt32 { record.load(UInt32.self, at: countOffset) }

    static func pk(of record: [UInt8]) -> ArraySlice<UInt8> {
        record[headerBytes..<(headerBytes + Int(record.load(UInt16.self, at: pkLengthOffset)))]
    }

    static func valueBytes(of record: [UInt8]) -> Int { Int(record.load(UInt32.self, at: valueLengthOffset)) }

    /// The record for a reader; `name` is the name of its table.
    static func change(
        sequence: SequenceNumber, ordinal: UInt16, record: [UInt8], table name: TableName, oldValues: Bool
    ) -> Change {
        let pk = pk(of: record)
        let valueEnd = pk.endIndex + valueBytes(of: record)
        return Change(
            sequence: sequence, ordinal: ordinal, type: type(of: record), table: name, pk: String(decoding: pk, as: UTF8.self),
            version: record.load(UInt64.self, at: versionOffset), previousVersion: record.load(UInt64.self, at: previousOffset),
            timestampMilliseconds: timestamp(of: record), transactionIndex: transactionIndex(of: record),
            transactionCount: transactionCount(of: record), cause: ChangeCause(rawValue: record[2]) ?? .request,
            value: record[pk.endIndex..<valueEnd], oldValue: oldValues && record[1] & hasOldValue != 0 ? record[valueEnd...] : nil
        )
    }
}
