/// Writes JSON text (RFC 8259) by hand. Values: any thread.
public enum JSONText {
    /// Appends `text` as a JSON string.
    public static func appendString(_ text: String, to out: inout [UInt8]) {
        out.append(0x22)
        let isWritten: Void? = unsafe text.utf8.withContiguousStorageIfAvailable { unsafe appendEscaped($0, to: &out) }
        if isWritten == nil { unsafe Array(text.utf8).withUnsafeBufferPointer { unsafe appendEscaped($0, to: &out) } }
        out.append(0x22)
    }

    /// Appends UTF-8 `bytes` as a JSON string. The caller knows that they are valid UTF-8.
    public static func appendString(utf8 bytes: some Collection<UInt8>, to out: inout [UInt8]) {
        out.append(0x22)
        let isWritten: Void? = bytes.withContiguousStorageIfAvailable { unsafe appendEscaped($0, to: &out) }
        if isWritten == nil { unsafe Array(bytes).withUnsafeBufferPointer { unsafe appendEscaped($0, to: &out) } }
        out.append(0x22)
    }

    /// Appends two pieces of UTF-8 as one JSON string. The caller knows that they are valid UTF-8.
    public static func appendString(utf8 first: [UInt8], _ second: [UInt8], to out: inout [UInt8]) {
        out.append(0x22)
        unsafe first.withUnsafeBufferPointer { unsafe appendEscaped($0, to: &out) }
        unsafe second.withUnsafeBufferPointer { unsafe appendEscaped($0, to: &out) }
        out.append(0x22)
    }

    /// Appends a whole number in decimal digits.
    public static func appendInteger(_ number: UInt64, to out: inout [UInt8]) {
        let start = out.count
        var rest = number
        repeat {
            out.append(UInt8(truncatingIfNeeded: 0x30 + rest % 10))
            rest /= 10
        } while rest > 0
        out[start...].reverse()
    }

    /// Copies runs of plain bytes and escapes what lies between them.
    private static func appendEscaped(_ bytes: UnsafeBufferPointer<UInt8>, to out: inout [UInt8]) {
        var runStart = 0
        for index in 0..<bytes.count {
            let byte = unsafe bytes[index]
            guard byte < 0x20 || byte == 0x22 || byte == 0x5C || byte == 0x7F else { continue }
            unsafe out.append(contentsOf: bytes[runStart..<index])
            appendEscape(byte, to: &out)
            runStart = index + 1
        }
        unsafe out.append(contentsOf: bytes[runStart..<bytes.count])
    }

    private static func appendEscape(_ byte: UInt8, to out: inout [UInt8]) {
        out.append(0x5C)
        switch byte {
        case 0x22, 0x5C: out.append(byte)
        case 0x0A: out.append(0x6E)
        case 0x0D: out.append(0x72)
        case 0x09: out.append(0x74)
        default:
            let digits: StaticString = "0123456789abcdef"
            out.append(contentsOf: [0x75, 0x30, 0x30])
            out.append(unsafe digits.utf8Start[Int(byte >> 4)])
            out.append(unsafe digits.utf8Start[Int(byte & 15)])
        }
    }
}
