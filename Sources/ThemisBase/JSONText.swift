/// Writes JSON text (RFC 8259) by hand. Values: any thread.
public enum JSONText {
    /// Appends `text` as a JSON string.
    public static func appendString(_ text: String, to out: inout [UInt8]) {
        out.append(0x22)
        for byte in text.utf8 { appendEscaped(byte, to: &out) }
        out.append(0x22)
    }

    /// Appends UTF-8 `bytes` as a JSON string. The caller knows that they are valid UTF-8.
    public static func appendString(utf8 bytes: some Collection<UInt8>, to out: inout [UInt8]) {
        out.append(0x22)
        for byte in bytes { appendEscaped(byte, to: &out) }
        out.append(0x22)
    }

    @inline(__always) private static func appendEscaped(_ byte: UInt8, to out: inout [UInt8]) {
        switch byte {
        case 0x22, 0x5C:
            out.append(0x5C)
            out.append(byte)
        case 0x0A: out.append(contentsOf: [0x5C, 0x6E])
        case 0x0D: out.append(contentsOf: [0x5C, 0x72])
        case 0x09: out.append(contentsOf: [0x5C, 0x74])
        case 0..<0x20, 0x7F:
            let digits: StaticString = "0123456789abcdef"
            out.append(contentsOf: [0x5C, 0x75, 0x30, 0x30])
            out.append(unsafe digits.utf8Start[Int(byte >> 4)])
            out.append(unsafe digits.utf8Start[Int(byte & 15)])
        default: out.append(byte)
        }
    }
}
