import ThemisBase
import ThemisStorage

@testable import ThemisDatabase

/// Records as they come from the disk: anything decodes or is `data_corrupt`, and what decodes encodes alike.
enum RecordFuzz {
    /// Which record, then its bytes.
    static func check(_ bytes: [UInt8]) throws {
        var input = FuzzInput(bytes)
        let which = input.choice(8)
        let record = input.all()
        switch which {
        case 0: try entity(record)
        case 1: try change(record)
        case 2:
            if let job = accepted({ try IndexBuildRecord.decode(record) }) {
                try require(try IndexBuildRecord.decode(job.encoded()).encoded() == job.encoded(), "a build is not stable")
            }
            if let job = accepted({ try DeleteRangeRecord.decode(record) }) {
                let again = try DeleteRangeRecord.decode(job.encoded())
                try require(again.encoded() == job.encoded(), "a job is not stable")
            }
        case 3:
            if let epochs = accepted({ try Epoch.decode(record) }) {
                try require(try Epoch.decode(Epoch.encode(epochs)) == epochs, "epochs are not stable")
            }
        case 4:
            if let end = accepted({ try LogEnd(record) }) { try require(end.encoded == record, "the end of the log changes") }
        case 5:
            if let answer = accepted({ try IdempotencyRecord.decode(record) }) {
                try require(answer.results.count <= Limits.atomicOperations, "\(answer.results.count) results")
            }
        case 6: try table(record)
        default: try cursor(record)
        }
    }

    private static func entity(_ record: [UInt8]) throws {
        guard let state = accepted({ try StoredState(stored: record) }) else { return }
        var value = EntityRecord.value(document: Array(EntityRecord.document(of: record)))
        EntityRecord.set(version: state.version, expiresAt: state.expiresAt, in: &value)
        let again = try StoredState(stored: value)
        try require(again.version == state.version && again.expiresAt == state.expiresAt, "an entity is not stable")
        try require(again.documentBytes == state.documentBytes && state.documentBytes >= 0, "a document changes its size")
        for now in [Int64.min, 0, Int64.max] { try require(!(state.isExpired(at: now) && state.isPresent(at: now)), "both") }
    }

    private static func change(_ record: [UInt8]) throws {
        guard accepted({ try ChangeRecord.check(record) }) != nil else { return }
        let name = TableName(stored: "t")
        let change = ChangeRecord.change(sequence: 1, ordinal: 0, record: record, table: name, oldValues: true)
        try require(change.value.count == ChangeRecord.valueBytes(of: record), "a value of another size")
        let pk = ChangeRecord.pk(of: record)
        let built = ChangeRecord.data(table: ChangeRecord.table(of: record), pk: pk, value: change.value, oldValue: change.oldValue)
        try ChangeRecord.check(built)
        let again = ChangeRecord.change(sequence: 1, ordinal: 0, record: built, table: name, oldValues: true)
        try require(again.value == change.value && again.oldValue == change.oldValue && again.pk == change.pk, "a change is not stable")
    }

    private static func table(_ record: [UInt8]) throws {
        if let table = accepted({ try TableRecord.decode(record, name: TableName(stored: "t")) }) {
            let encoded = table.record
            try require(try TableRecord.decode(encoded, name: table.name).record == encoded, "a table is not stable")
        }
        if let retired = accepted({ try TableRecord.decodeRetired(record) }) {
            try require(try TableRecord.decodeRetired(TableRecord.encode(retired)) == retired, "a retired table is not stable")
        }
        _ = accepted { try ChangeRecord.position(ofKey: record) }
        _ = IdempotencyRecord.place(ofTimeKey: record)
    }

    /// A cursor is opened only by who made it, and says what it was made of.
    private static func cursor(_ record: [UInt8]) throws {
        let seal = CursorSeal(key: [UInt8](repeating: 7, count: 32))
        if !record.isEmpty { try require(try seal.open(seal.seal(record)) == record, "a seal does not open") }
        let text = String(decoding: record, as: UTF8.self)
        try require(accepted { try seal.open(text) } == nil, "a forged cursor opens")
        if let bytes = Base64URL.decode(text) { try require(Base64URL.encode(bytes) == text, "one cursor has two spellings") }
        let request = ListRequest(table: TableName(stored: "t"), prefix: "", reverse: false)
        _ = accepted { try ListCursor.pk(in: record, for: request) }
    }
}
