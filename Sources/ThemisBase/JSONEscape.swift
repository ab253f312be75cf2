/// The escapes of JSON strings. Any thread.
enum JSONEscape {
    /// The content of a string token without its quotes, unescaped to UTF-8. A lone surrogate becomes its three bytes of
    /// generalised UTF-8 (WTF-8), so that different strings stay different.
    ///
    /// Bytes that are not a valid token give some bytes, never a trap.
    static func unescaped(_ token: some RandomAccessCollection<UInt8>) -> [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity(token.count)
        var index = token.startIndex
        while index < token.endIndex {
            let byte = token[index]
            index = token.index(after: index)
            guard byte == 0x5C, index < token.endIndex else {
                out.append(byte)
                continue
            }
            let letter = token[index]
            index = token.index(after: index)
            switch letter {
            case 0x62: out.append(0x08)
            case 0x66: out.append(0x0C)
            case 0x6E: out.append(0x0A)
            case 0x72: out.append(0x0D)
            case 0x74: out.append(0x09)
            case 0x75:
                guard let unit = codeUnit(token, at: &index) else { return out }
                appendScalar(unit, token, at: &index, to: &out)
            default: out.append(letter)
            }
        }
        return out
    }

    /// Appends `unit`, joined with the low surrogate that follows it, if one does.
    private static func appendScalar<Token: RandomAccessCollection<UInt8>>(
        _ unit: UInt32, _ token: Token, at index: inout Token.Index, to out: inout [UInt8]
    ) {
        var scalar = unit
        if (0xD800...0xDBFF).contains(unit), token.distance(from: index, to: token.endIndex) >= 6, token[index] == 0x5C {
            var next = token.index(after: index)
            if token[next] == 0x75 {
                next = token.index(after: next)
                if let low = codeUnit(token, at: &next), (0xDC00...0xDFFF).contains(low) {
                    scalar = 0x10000 + (unit - 0xD800) << 10 + (low - 0xDC00)
                    index = next
                }
            }
        }
        appendUTF8(scalar, to: &out)
    }

    /// Four hexadecimal digits. Nil, and `index` behind some of them, when they are not.
    private static func codeUnit<Token: RandomAccessCollection<UInt8>>(_ token: Token, at index: inout Token.Index) -> UInt32? {
        guard token.distance(from: index, to: token.endIndex) >= 4 else { return nil }
        var unit: UInt32 = 0
        for _ in 0..<4 {
            let byte = token[index]
            switch byte {
            case 0x30...0x39: unit = unit << 4 | UInt32(byte - 0x30)
            case 0x41...0x46: unit = unit << 4 | UInt32(byte - 0x41 + 10)
            case 0x61...0x66: unit = unit << 4 | UInt32(byte - 0x61 + 10)
            default: return nil
            }
            index = token.index(after: index)
        }
        return unit
    }

    /// A spelling, without quotes, of text in generalised UTF-8: `unescaped` gives the text again. Lone surrogates are escaped.
    static func spelled(_ text: [UInt8]) -> [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity(text.count)
        var index = 0
        while index < text.count {
            let byte = text[index]
            if byte == 0xED, index + 2 < text.count, text[index + 1] >= 0xA0 {
                let unit = 0xD000 | UInt32(text[index + 1] & 0x3F) << 6 | UInt32(text[index + 2] & 0x3F)
                out.append(contentsOf: "\\u\(String(unit, radix: 16))".utf8)
                index += 3
                continue
            }
            switch byte {
            case 0x22, 0x5C: out.append(contentsOf: [0x5C, byte])
            case 0..<0x20: out.append(contentsOf: "\\u00\(byte < 16 ? "0" : "")\(String(byte, radix: 16))".utf8)
            default: out.append(byte)
            }
            index += 1
        }
        return out
    }

    private static func appendUTF8(_ scalar: UInt32, to out: inout [UInt8]) {
        func tail(_ shift: UInt32) -> UInt8 { 0x80 | UInt8(truncatingIfNeeded: scalar >> shift) & 0x3F }
        switch scalar {
        case 0..<0x80: out.append(UInt8(truncatingIfNeeded: scalar))
        case 0x80..<0x800:
            out.append(0xC0 | UInt8(truncatingIfNeeded: scalar >> 6))
            out.append(tail(0))
        case 0x800..<0x10000:
            out.append(0xE0 | UInt8(truncatingIfNeeded: scalar >> 12))
            out.append(tail(6))
            out.append(tail(0))
        default:
            out.append(0xF0 | UInt8(truncatingIfNeeded: scalar >> 18) & 0x07)
            out.append(tail(12))
            out.append(tail(6))
            out.append(tail(0))
        }
    }
}
