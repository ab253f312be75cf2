import ThemisBase

/// Keys and values of the keyspace `meta` (docs/data-format.md, "Meta"). Keys are words; numbers in values are big-endian.
enum MetaRecords {
    /// The format that this build writes and the newest that it reads.
    static let formatVersion: UInt16 = 4

    static let format = Array("format".utf8)
    static let last = Array("last".utf8)
    static let epochs = Array("epochs".utf8)
    static let oldest = Array("oldest".utf8)
    static let cursorKey = Array("cursor_key".utf8)
    static let nextTable = Array("next_table".utf8)
    static let nextIndex = Array("next_index".utf8)
    static let idempotency = Array("idempotency".utf8)
    static let clock = Array("clock".utf8)
    static let tablePrefix = Array("table/".utf8)
    static let retiredPrefix = Array("retired/".utf8)
    static let countPrefix = Array("count/".utf8)
    static let jobPrefix = Array("job/".utf8)
    static let indexPrefix = Array("index/".utf8)

    static func table(_ name: TableName) -> [UInt8] { tablePrefix + name.text.utf8 }
    static func job(_ id: String) -> [UInt8] { jobPrefix + id.utf8 }

    static func retired(_ id: UInt32) -> [UInt8] {
        var key = retiredPrefix
        key.appendBigEndian(id)
        return key
    }

    static func count(_ id: UInt32) -> [UInt8] {
        var key = countPrefix
        key.appendBigEndian(id)
        return key
    }

    /// The counts of an index.
    static func index(_ generation: UInt32) -> [UInt8] {
        var key = indexPrefix
        key.appendBigEndian(generation)
        return key
    }

    /// The key behind every key that begins with `prefix`, which ends in "/".
    static func end(of prefix: [UInt8]) -> [UInt8] { prefix.dropLast() + [prefix[prefix.count - 1] + 1] }

    static func damaged(_ what: String) -> ThemisError { ThemisError(.dataCorrupt, "the record of \(what) cannot be decoded") }

    static func number<Value: FixedWidthInteger>(_ value: Value) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.appendBigEndian(value)
        return bytes
    }

    static func pair(_ first: UInt64, _ second: UInt64) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(16)
        bytes.appendBigEndian(first)
        bytes.appendBigEndian(second)
        return bytes
    }

    /// Decodes `number`.
    static func number<Value: FixedWidthInteger>(_ bytes: [UInt8], of what: String) throws(ThemisError) -> Value {
        var reader = ByteReader(bytes)
        guard let value = reader.bigEndian(Value.self), reader.remaining == 0 else { throw damaged(what) }
        return value
    }

    /// Decodes `pair`.
    static func pair(_ bytes: [UInt8], of what: String) throws(ThemisError) -> (UInt64, UInt64) {
        var reader = ByteReader(bytes)
        guard let first = reader.bigEndian(UInt64.self), let second = reader.bigEndian(UInt64.self), reader.remaining == 0 else {
            throw damaged(what)
        }
        return (first, second)
    }
}

/// The end of the log: part of every batch.
struct LogEnd: Sendable, Equatable {
    /// The last sequence given to a data record.
    var sequence: SequenceNumber = 0
    /// The last ordinal given to a system record behind it.
    var ordinal: UInt16 = 0
    /// The newest commit time in milliseconds since 1970. Never decreases.
    var timestamp: Int64 = 0

    var encoded: [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(18)
        bytes.appendBigEndian(sequence)
        bytes.appendBigEndian(ordinal)
        bytes.appendBigEndian(UInt64(bitPattern: timestamp))
        return bytes
    }

    init() {}

    /// - Throws: `data_corrupt`.
    init(_ bytes: [UInt8]) throws(ThemisError) {
        var reader = ByteReader(bytes)
        guard let sequence = reader.bigEndian(UInt64.self), let ordinal = reader.bigEndian(UInt16.self),
            let timestamp = reader.bigEndian(UInt64.self), reader.remaining == 0
        else { throw MetaRecords.damaged("the end of the log") }
        self.sequence = sequence
        self.ordinal = ordinal
        self.timestamp = Int64(bitPattern: timestamp)
    }
}

/// A line of history: sequences of one epoch follow each other without a gap.
struct Epoch: Sendable, Equatable {
    /// Random, never used again.
    var id: String
    /// The first sequence that it may give.
    var first: SequenceNumber
    /// The last one before it. What lies between is the hole that a restore leaves.
    var previousLast: SequenceNumber

    /// New epochs begin at a multiple of it, beyond anything that the abandoned history can have given.
    static let stride: UInt64 = 1 << 40

    static func encode(_ epochs: [Epoch]) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.appendVarint(UInt64(epochs.count))
        for epoch in epochs {
            bytes.appendLengthPrefixed(epoch.id.utf8)
            bytes.appendBigEndian(epoch.first)
            bytes.appendBigEndian(epoch.previousLast)
        }
        return bytes
    }

    /// - Throws: `data_corrupt`.
    static func decode(_ bytes: [UInt8]) throws(ThemisError) -> [Epoch] {
        var reader = ByteReader(bytes)
        guard let count = reader.varint(), count >= 1, count <= UInt64(reader.remaining) else {
            throw MetaRecords.damaged("the epochs")
        }
        var epochs: [Epoch] = []
        for _ in 0..<count {
            guard let id = reader.lengthPrefixed(), let first = reader.bigEndian(UInt64.self),
                let previousLast = reader.bigEndian(UInt64.self), first > previousLast
            else { throw MetaRecords.damaged("the epochs") }
            epochs.append(Epoch(id: String(decoding: id, as: UTF8.self), first: first, previousLast: previousLast))
        }
        return epochs
    }

    /// The id as a number.
    var number: UInt64 { UInt64(id, radix: 16) ?? 0 }

    static func newID() -> String { Digest.hex(Digest.random(8)) }
}
