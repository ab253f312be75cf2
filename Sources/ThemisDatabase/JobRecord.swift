import ThemisBase
import ThemisStorage

/// The stored form of a job that deletes a range (docs/data-format.md, "Meta"): it goes on after a restart.
///
/// `format u8 | state u8 | table id u32 | last sequence u64 | started ms u64 | ended ms u64 | done u64 | total u64 | table |
/// prefix`, texts with their length.
struct DeleteRangeRecord: Sendable {
    static let format: UInt8 = 1

    var state: JobState
    var tableID: UInt32
    /// Entities that changed later stay.
    var upTo: SequenceNumber
    var startedMilliseconds: Int64
    var endedMilliseconds: Int64
    var done: UInt64
    var total: UInt64
    var table: TableName
    var prefix: String

    func encoded() -> [UInt8] {
        var bytes: [UInt8] = [Self.format, state.rawValue]
        bytes.appendBigEndian(tableID)
        bytes.appendBigEndian(upTo)
        bytes.appendBigEndian(UInt64(bitPattern: startedMilliseconds))
        bytes.appendBigEndian(UInt64(bitPattern: endedMilliseconds))
        bytes.appendBigEndian(done)
        bytes.appendBigEndian(total)
        bytes.appendLengthPrefixed(table.text.utf8)
        bytes.appendLengthPrefixed(prefix.utf8)
        return bytes
    }

    /// - Throws: `data_corrupt`.
    static func decode(_ bytes: [UInt8]) throws(ThemisError) -> DeleteRangeRecord {
        var reader = ByteReader(bytes)
        guard reader.byte() == format, let state = reader.byte().flatMap(JobState.init(rawValue:)),
            let tableID = reader.bigEndian(UInt32.self), let upTo = reader.bigEndian(UInt64.self),
            let started = reader.bigEndian(UInt64.self), let ended = reader.bigEndian(UInt64.self),
            let done = reader.bigEndian(UInt64.self), let total = reader.bigEndian(UInt64.self),
            let table = reader.lengthPrefixed(), let prefix = reader.lengthPrefixed(), reader.remaining == 0
        else { throw MetaRecords.damaged("a job") }
        return DeleteRangeRecord(
            state: state, tableID: tableID, upTo: upTo, startedMilliseconds: Int64(bitPattern: started),
            endedMilliseconds: Int64(bitPattern: ended), done: done, total: total,
            table: TableName(stored: String(decoding: table, as: UTF8.self)), prefix: String(decoding: prefix, as: UTF8.self))
    }

    func job(_ id: String) -> Job {
        Job(
            id: id, kind: "delete_range", state: state, done: done, total: total, startedMilliseconds: startedMilliseconds,
            endedMilliseconds: endedMilliseconds, detail: "\(table.text):\(prefix)", error: nil)
    }
}
