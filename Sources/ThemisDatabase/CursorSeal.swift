import ThemisBase

/// Makes cursors that only this data directory can have made: text with a keyed digest (HMAC-SHA-256, RFC 2104, cut to 16 bytes).
struct CursorSeal: Sendable {
    private static let tagBytes = 16
    private let inner: [UInt8]
    private let outer: [UInt8]

    init(key: [UInt8]) {
        let block = key + [UInt8](repeating: 0, count: 64 - key.count)
        inner = block.map { $0 ^ 0x36 }
        outer = block.map { $0 ^ 0x5C }
    }

    private func tag(_ payload: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        Digest.sha256(outer + Digest.sha256(inner + payload)).prefix(Self.tagBytes)
    }

    /// The payload with its tag, in letters, digits, `-` and `_`.
    func seal(_ payload: [UInt8]) -> String { Base64URL.encode(tag(payload[...]) + payload) }

    /// - Throws: `invalid_cursor`.
    func open(_ text: String) throws(ThemisError) -> [UInt8] {
        guard let bytes = Base64URL.decode(text), bytes.count > Self.tagBytes else { throw Self.invalid }
        let payload = bytes[Self.tagBytes...]
        // Every byte is looked at: the time tells nothing about the tag.
        var difference: UInt8 = 0
        for (left, right) in zip(tag(payload), bytes) { difference |= left ^ right }
        guard difference == 0 else { throw Self.invalid }
        return Array(payload)
    }

    static var invalid: ThemisError {
        ThemisError(.invalidCursor, "the cursor was not made by this server for this request; start again without one")
    }
}

/// RFC 4648 §5 without padding.
enum Base64URL {
    private static let digits = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)
    private static let values: [UInt8] = {
        var values = [UInt8](repeating: 0xFF, count: 256)
        for (value, digit) in digits.enumerated() { values[Int(digit)] = UInt8(value) }
        return values
    }()

    static func encode(_ bytes: some Collection<UInt8>) -> String {
        var text: [UInt8] = []
        text.reserveCapacity((bytes.count * 4 + 2) / 3)
        var bits: UInt32 = 0
        var width = 0
        for byte in bytes {
            bits = bits << 8 | UInt32(byte)
            width += 8
            while width >= 6 {
                width -= 6
                text.append(digits[Int(bits >> UInt32(width)) & 63])
            }
        }
        if width > 0 { text.append(digits[Int(bits << UInt32(6 - width)) & 63]) }
        return String(decoding: text, as: UTF8.self)
    }

    /// Nil for what `encode` does not make.
    static func decode(_ text: String) -> [UInt8]? {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.utf8.count * 3 / 4)
        var bits: UInt32 = 0
        var width = 0
        for digit in text.utf8 {
            let value = values[Int(digit)]
            guard value != 0xFF else { return nil }
            bits = bits << 6 | UInt32(value)
            width += 6
            if width >= 8 {
                width -= 8
                bytes.append(UInt8(truncatingIfNeeded: bits >> UInt32(width)))
            }
        }
        // Rests have one spelling.
        guard width < 6, bits & ((1 << UInt32(width)) - 1) == 0 else { return nil }
        return bytes
    }
}
