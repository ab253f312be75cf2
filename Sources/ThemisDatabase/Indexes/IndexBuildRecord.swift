import ThemisBase

/// The stored form of a job that builds an index (docs/data-format.md, "Meta"): it goes on after a restart.
///
/// `format u8 | kind u8 | state u8 | generation u32 | table id u32 | started ms u64 | ended ms u64 | done u64 | total u64 | table |
/// detail | error`, texts with their length. How far the build is stands beside the counts of the index.
struct IndexBuildRecord: Sendable {
    /// Not that of a range deletion: both stand under `job/`.
    static let format: UInt8 = 2

    enum Kind: UInt8, Sendable {
        case create = 1
        case rebuild = 2

        var word: String { self == .create ? "index_build" : "index_rebuild" }
    }

    var kind: Kind
    var state: JobState
    var generation: UInt32
    var tableID: UInt32
    var table: TableName
    var startedMilliseconds: Int64
    var endedMilliseconds: Int64
    var done: UInt64
    var total: UInt64
    var detail: String
    /// The word of the error's code and its text, with a space between them; empty for none.
    var error: String

    /// A build that begins.
    init(of index: Index, kind: Kind, table id: UInt32, now: Int64, total: UInt64) {
        self.kind = kind
        state = .running
        generation = index.generation
        tableID = id
        table = index.definition.table
        startedMilliseconds = now
        endedMilliseconds = 0
        done = 0
        self.total = total
        detail = "\(index.definition.table.text): \(index.definition.type) index on \(index.definition.name)"
        error = ""
    }

    func encoded() -> [UInt8] {
        var bytes: [UInt8] = [Self.format, kind.rawValue, state.rawValue]
        bytes.appendBigEndian(generation)
        bytes.appendBigEndian(tableID)
        bytes.appendBigEndian(UInt64(bitPattern: startedMilliseconds))
        bytes.appendBigEndian(UInt64(bitPattern: endedMilliseconds))
        bytes.appendBigEndian(done)
        bytes.appendBigEndian(total)
        bytes.appendLengthPrefixed(table.text.utf8)
        bytes.appendLengthPrefixed(detail.utf8)
        bytes.appendLengthPrefixed(error.utf8)
        return bytes
    }

    /// - Throws: `data_corrupt`.
    static func decode(_ bytes: [UInt8]) throws(ThemisError) -> IndexBuildRecord {
        var reader = ByteReader(bytes)
        guard reader.byte() == format, let kind = reader.byte().flatMap(Kind.init(rawValue:)),
            let state = reader.byte().flatMap(JobState.init(rawValue:)), let generation = reader.bigEndian(UInt32.self),
            let tableID = reader.bigEndian(UInt32.self), let started = reader.bigEndian(UInt64.self),
            let ended = reader.bigEndian(UInt64.self), let done = reader.bigEndian(UInt64.self),
            let total = reader.bigEndian(UInt64.self), let table = reader.lengthPrefixed(), let detail = reader.lengthPrefixed(),
            let error = reader.lengthPrefixed(), reader.remaining == 0
        else { throw MetaRecords.damaged("a job") }
        return IndexBuildRecord(
            kind: kind, state: state, generation: generation, tableID: tableID,
            table: TableName(stored: String(decoding: table, as: UTF8.self)), startedMilliseconds: Int64(bitPattern: started),
            endedMilliseconds: Int64(bitPattern: ended), done: done, total: total, detail: String(decoding: detail, as: UTF8.self),
            error: String(decoding: error, as: UTF8.self))
    }

    private init(
        kind: Kind, state: JobState, generation: UInt32, tableID: UInt32, table: TableName, startedMilliseconds: Int64,
        endedMilliseconds: Int64, done: UInt64, total: UInt64, detail: String, error: String
    ) {
        self.kind = kind
        self.state = state
        self.generation = generation
        self.tableID = tableID
        self.table = table
        self.startedMilliseconds = startedMilliseconds
        self.endedMilliseconds = endedMilliseconds
        self.done = done
        self.total = total
        self.detail = detail
        self.error = error
    }

    func job(_ id: String) -> Job {
        let parts = error.split(separator: " ", maxSplits: 1).map(String.init)
        let code = ErrorCode.all.first { $0.word == parts.first }
        return Job(
            id: id, kind: kind.word, state: state, done: done, total: total, startedMilliseconds: startedMilliseconds,
            endedMilliseconds: endedMilliseconds, detail: detail, error: code.map { ThemisError($0, parts.last ?? "") })
    }
}

/// Entities of one piece of a build, with the entries that they are to have.
struct IndexBuildPiece: Sendable {
    struct Row: Sendable {
        let key: RecentKey
        let version: UInt64
        let expiresAt: Int64
        let entries: [[UInt8]]
        let checks: [UniqueCheck]

        var pk: ArraySlice<UInt8> { key.bytes[4...] }
    }

    let tableID: UInt32
    let generation: UInt32
    var rows: [Row] = []
    /// Every commit up to it is in the state that was read.
    let readPoint: SequenceNumber
    /// The last primary key that was looked at.
    var through: [UInt8] = []
    /// Entities looked at.
    var seen: UInt64 = 0
}
