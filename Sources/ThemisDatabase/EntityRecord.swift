import ThemisBase

/// The stored form of an entity (docs/data-format.md, "Entities").
///
/// Key: `table id u32 | pk`. Value: `format u8 | version u64 | expires at ms u64 | flags u8 | document`. Numbers are big-endian.
/// Version and expiry stand at fixed places, so that the committer sets them in a value that was built before it was ordered.
enum EntityRecord {
    static let format: UInt8 = 1
    static let headerBytes = 18
    private static let versionOffset = 1
    private static let expiryOffset = 9

    /// A key whose table may still be unknown (id 0).
    static func key(table: UInt32, pk: String) -> [UInt8] {
        var key: [UInt8] = []
        let utf8 = pk.utf8
        key.reserveCapacity(4 + utf8.count)
        key.appendBigEndian(table)
        key.append(contentsOf: utf8)
        return key
    }

    /// The first key of a table.
    static func lowerBound(table: UInt32) -> [UInt8] {
        var key: [UInt8] = []
        key.appendBigEndian(table)
        return key
    }

    /// The key behind the last one of a table. Ids end below `UInt32.max`.
    static func upperBound(table: UInt32) -> [UInt8] { lowerBound(table: table + 1) }

    /// The bounds of the keys of `table` whose pk begins with `prefix`.
    static func bounds(table: UInt32, prefix: String) -> (lower: [UInt8], upper: [UInt8]) {
        let lower = key(table: table, pk: prefix)
        var upper = lower
        // UTF-8 has no byte 0xFF, so the last byte of a prefix can always be raised.
        while upper.count > 4 {
            let last = upper.removeLast()
            if last < 0xFF {
                upper.append(last + 1)
                return (lower, upper)
            }
        }
        return (lower, upperBound(table: table))
    }

    /// A value with neither version nor expiry.
    static func value(document: [UInt8]) -> [UInt8] {
        var value: [UInt8] = []
        value.reserveCapacity(headerBytes + document.count)
        value.append(format)
        value.append(contentsOf: repeatElement(0, count: headerBytes - 1))
        value.append(contentsOf: document)
        return value
    }

    static func set(version: UInt64, expiresAt: Int64, in value: inout [UInt8]) {
        value.store(version, at: versionOffset)
        value.store(UInt64(bitPattern: expiresAt), at: expiryOffset)
    }

    static func version(of value: [UInt8]) -> UInt64 { value.load(UInt64.self, at: versionOffset) }
    static func expiry(of value: [UInt8]) -> Int64 { Int64(bitPattern: value.load(UInt64.self, at: expiryOffset)) }
    static func document(of value: [UInt8]) -> ArraySlice<UInt8> { value[headerBytes...] }

    /// Checks what comes from the disk.
    ///
    /// - Throws: `data_corrupt`.
    static func check(_ value: [UInt8]) throws(ThemisError) {
        guard value.count >= headerBytes, value[0] == format else {
            throw ThemisError(.dataCorrupt, "a stored entity of \(value.count) bytes has no header of a known format")
        }
    }
}

/// The newest state of an entity, as a write needs it.
struct StoredState: Sendable {
    /// 0 when there is nothing.
    var version: UInt64
    var expiresAt: Int64
    var documentBytes: Int
    /// The whole stored value; nil when it was not needed or there is nothing.
    var value: [UInt8]?

    static let absent = StoredState(version: 0, expiresAt: 0, documentBytes: 0, value: nil)

    /// - Throws: `data_corrupt`.
    init(stored value: [UInt8]?) throws(ThemisError) {
        guard let value else {
            self = .absent
            return
        }
        try EntityRecord.check(value)
        self.init(
            version: EntityRecord.version(of: value), expiresAt: EntityRecord.expiry(of: value),
            documentBytes: value.count - EntityRecord.headerBytes, value: value)
    }

    init(version: UInt64, expiresAt: Int64, documentBytes: Int, value: [UInt8]?) {
        self.version = version
        self.expiresAt = expiresAt
        self.documentBytes = documentBytes
        self.value = value
    }

    /// Whether something is stored, expired or not.
    var isStored: Bool { version != 0 }

    /// Whether it is stored and, at `now`, expired: absent for everyone.
    func isExpired(at now: Int64) -> Bool { version != 0 && expiresAt != 0 && expiresAt <= now }

    /// Whether it is there for a reader at `now`.
    func isPresent(at now: Int64) -> Bool { version != 0 && !isExpired(at: now) }
}
