/// The position of a change record: gapless within an epoch, starting at 1.
public typealias SequenceNumber = UInt64

/// The name of a table, proved once: `[A-Za-z_][A-Za-z0-9_-]{0,63}`.
public struct TableName: Sendable, Hashable, CustomStringConvertible {
    /// The name's text.
    public let text: String

    /// Proves `text`.
    ///
    /// - Throws: `invalid_key` when it does not have the form of a table name.
    public init(validating text: String) throws(ThemisError) {
        guard Self.isValid(text) else {
            throw ThemisError(
                .invalidKey, "table name must be 1–\(Limits.tableNameBytes) letters, digits, '_' or '-' and begin with a letter or '_'")
        }
        self.text = text
    }

    /// A name that was proved before it was stored.
    public init(stored text: String) { self.text = text }

    private static func isValid(_ text: String) -> Bool {
        func isLetter(_ byte: UInt8) -> Bool { (byte | 0x20 >= 0x61 && byte | 0x20 <= 0x7A) || byte == 0x5F }
        return unsafe text.withBytes { bytes in
            guard let first = unsafe bytes.first, bytes.count <= Limits.tableNameBytes, isLetter(first) else { return false }
            return unsafe bytes.allSatisfy { isLetter($0) || ($0 >= 0x30 && $0 <= 0x39) || $0 == 0x2D }
        }
    }

    /// The name's text.
    public var description: String { text }
}

/// The key of an entity: `table:pk`, split at the first colon.
public struct EntityKey: Sendable, Hashable, CustomStringConvertible {
    /// The table.
    public let table: TableName
    /// The primary key, 1–512 bytes of UTF-8 without control characters. May hold `:` and `/`.
    public let pk: String

    /// Proves `text`, already percent-decoded.
    ///
    /// - Throws: `invalid_key` saying which part is wrong.
    public init(validating text: String) throws(ThemisError) {
        let parts: (table: String, pk: String)? = unsafe text.withBytes { bytes in
            guard let colon = unsafe bytes.firstIndex(of: 0x3A) else { return nil }
            // What is UTF-8 as a whole is so on both sides of an ASCII character.
            return unsafe (
                String(decoding: UnsafeBufferPointer(rebasing: bytes[..<colon]), as: UTF8.self),
                String(decoding: UnsafeBufferPointer(rebasing: bytes[(colon + 1)...]), as: UTF8.self)
            )
        }
        guard let parts else { throw ThemisError(.invalidKey, "key has no ':'; write it as table:pk") }
        try self.init(table: TableName(validating: parts.table), pk: parts.pk)
    }

    /// Proves `pk` for a table that is proved already.
    ///
    /// - Throws: `invalid_key` when the pk is empty, too long or holds a control character.
    public init(table: TableName, pk: String) throws(ThemisError) {
        guard Self.isValidPrimaryKey(pk) else {
            throw ThemisError(
                .invalidKey, "pk must be 1–\(Limits.primaryKeyBytes) bytes of UTF-8 without control characters")
        }
        self.table = table
        self.pk = pk
    }

    /// A key that was proved before it was stored.
    public init(stored table: TableName, pk: String) {
        self.table = table
        self.pk = pk
    }

    /// Two keys are equal when their bytes are: canonically equivalent spellings are different keys, as they are in storage.
    public static func == (left: EntityKey, right: EntityKey) -> Bool {
        left.pk.utf8.elementsEqual(right.pk.utf8) && left.table.text.utf8.elementsEqual(right.table.text.utf8)
    }

    /// Hashes the bytes.
    public func hash(into hasher: inout Hasher) {
        hasher.combine(table)
        var text = pk
        text.withUTF8 { unsafe hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
    }

    /// Whether `pk` may be a primary key. C0, DEL and C1 characters are control characters.
    public static func isValidPrimaryKey(_ pk: String) -> Bool {
        let count = pk.utf8.count
        guard count >= 1, count <= Limits.primaryKeyBytes else { return false }
        let (hasControls, isASCII) = unsafe pk.withBytes { bytes in
            var (hasControls, joined) = (false, UInt8(0))
            for index in 0..<bytes.count {
                let byte = unsafe bytes[index]
                hasControls = hasControls || byte < 0x20 || byte == 0x7F
                joined |= byte
            }
            return (hasControls, joined < 0x80)
        }
        if hasControls { return false }
        // Nearly all keys are ASCII: nothing of them has to be decoded.
        return isASCII || pk.unicodeScalars.allSatisfy { !(0x80...0x9F).contains($0.value) }
    }

    /// `table:pk`.
    public var description: String { "\(table.text):\(pk)" }
}

/// The id of a transaction: 16 bytes that the core gave out. As text 32 hexadecimal digits.
public struct TransactionID: Sendable, Hashable, CustomStringConvertible {
    /// The boot of the core.
    public let high: UInt64
    /// When it began, in seconds since 1970, and its number: 32 bits each.
    public let low: UInt64

    /// The id with these halves.
    public init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// The id that `description` gives, in either case; nil for another text.
    public init?(_ text: String) {
        guard text.utf8.count == 32,
            text.utf8.allSatisfy({ UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 || UInt8(ascii: "a")...UInt8(ascii: "f") ~= $0 | 0x20 }),
            let high = UInt64(text.prefix(16), radix: 16), let low = UInt64(text.suffix(16), radix: 16)
        else { return nil }
        self.init(high: high, low: low)
    }

    /// The 16 bytes.
    public var bytes: [UInt8] {
        var bytes: [UInt8] = []
        bytes.appendBigEndian(high)
        bytes.appendBigEndian(low)
        return bytes
    }

    /// 32 digits.
    public var description: String { Digest.hex(bytes) }
}

extension String {
    /// Looks at the UTF-8 in one piece: many times cheaper than one byte after the other by the string's own indices.
    @inline(__always) func withBytes<Result>(_ body: (UnsafeBufferPointer<UInt8>) -> Result) -> Result {
        if let result = unsafe utf8.withContiguousStorageIfAvailable(body) { return result }
        var text = self
        return text.withUTF8(body)
    }
}
