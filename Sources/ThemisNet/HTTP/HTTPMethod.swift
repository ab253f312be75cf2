import Glibc

/// A request method. Methods that no route of THEMIS can have are kept as `other`.
public enum HTTPMethod: String, Sendable, CaseIterable {
    case get = "GET"
    case head = "HEAD"
    case post = "POST"
    case put = "PUT"
    case patch = "PATCH"
    case delete = "DELETE"
    case options = "OPTIONS"
    /// Well-formed, but never routed: answered with 405 or 404.
    case other = "OTHER"

    init(_ bytes: UnsafeRawBufferPointer) {
        func isEqual(_ word: StaticString) -> Bool { unsafe ASCII.isEqual(bytes, word) }
        self =
            switch bytes.count {
            case 3: isEqual("GET") ? .get : isEqual("PUT") ? .put : .other
            case 4: isEqual("POST") ? .post : isEqual("HEAD") ? .head : .other
            case 5: isEqual("PATCH") ? .patch : .other
            case 6: isEqual("DELETE") ? .delete : .other
            case 7: isEqual("OPTIONS") ? .options : .other
            default: .other
            }
    }
}

/// Classes of bytes in HTTP (RFC 9110, RFC 9112).
enum ASCII {
    static let tab: UInt8 = 0x09
    static let lineFeed: UInt8 = 0x0A
    static let carriageReturn: UInt8 = 0x0D
    static let space: UInt8 = 0x20
    static let percent: UInt8 = 0x25
    static let comma: UInt8 = 0x2C
    static let slash: UInt8 = 0x2F
    static let colon: UInt8 = 0x3A
    static let semicolon: UInt8 = 0x3B

    // One bit a character: "!#$%&'*+-.^_`|~", digits and letters.
    private static let tokenLow: UInt64 = 0x03FF_6CFA_0000_0000
    private static let tokenHigh: UInt64 = 0x57FF_FFFF_C7FF_FFFE

    /// A character of a token, such as a header's name.
    @inline(__always) static func isToken(_ byte: UInt8) -> Bool {
        if byte < 64 { return tokenLow >> UInt64(byte) & 1 == 1 }
        return byte < 128 && tokenHigh >> UInt64(byte - 64) & 1 == 1
    }

    // The same of what a host and port can be made of (RFC 3986): no user information, no path, no list.
    private static let hostLow: UInt64 = 0x2FFF_6FF2_0000_0000
    private static let hostHigh: UInt64 = 0x47FF_FFFE_AFFF_FFFE

    /// A character of a host with its port.
    @inline(__always) static func isHost(_ byte: UInt8) -> Bool {
        if byte < 64 { return hostLow >> UInt64(byte) & 1 == 1 }
        return byte < 128 && hostHigh >> UInt64(byte - 64) & 1 == 1
    }

    /// A byte that may stand in a header's value; bytes from 0x80 on are opaque.
    @inline(__always) static func isFieldText(_ byte: UInt8) -> Bool { (byte >= 0x20 && byte != 0x7F) || byte == tab }

    @inline(__always) static func isDigit(_ byte: UInt8) -> Bool { byte >= 0x30 && byte <= 0x39 }

    @inline(__always) static func hexValue(_ byte: UInt8) -> UInt8? {
        switch byte {
        case 0x30...0x39: byte - 0x30
        case 0x41...0x46: byte - 0x37
        case 0x61...0x66: byte - 0x57
        default: nil
        }
    }

    @inline(__always) static func lower(_ byte: UInt8) -> UInt8 { byte >= 0x41 && byte <= 0x5A ? byte | 0x20 : byte }

    static func isEqual(_ bytes: UnsafeRawBufferPointer, _ word: StaticString) -> Bool {
        unsafe isEqual(bytes, UnsafeRawBufferPointer(start: word.utf8Start, count: word.utf8CodeUnitCount))
    }

    static func isEqual(_ left: UnsafeRawBufferPointer, _ right: UnsafeRawBufferPointer) -> Bool {
        guard left.count == right.count else { return false }
        guard let start = left.baseAddress, let other = right.baseAddress else { return true }
        return unsafe memcmp(start, other, left.count) == 0
    }

    /// Where `byte` stands first; nil when it does not.
    static func firstIndex(of byte: UInt8, in bytes: UnsafeRawBufferPointer) -> Int? {
        guard let start = bytes.baseAddress, let found = unsafe memchr(start, Int32(byte), bytes.count) else { return nil }
        return unsafe UnsafeRawPointer(found) - start
    }

    /// Compares without regard to the case of ASCII letters; `lowercase` is lower case already.
    static func isEqualIgnoringCase(_ bytes: some Collection<UInt8>, _ lowercase: some Collection<UInt8>) -> Bool {
        bytes.count == lowercase.count && zip(bytes, lowercase).allSatisfy { lower($0) == $1 }
    }

    /// `bytes` without spaces and tabs at both ends.
    static func trimmed(_ bytes: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        var slice = bytes
        while let first = slice.first, first == space || first == tab { slice.removeFirst() }
        while let last = slice.last, last == space || last == tab { slice.removeLast() }
        return slice
    }

    /// A decimal number of at most 18 digits and nothing else.
    static func decimal(_ bytes: some Collection<UInt8>) -> Int? {
        guard !bytes.isEmpty, bytes.count <= 18 else { return nil }
        var value = 0
        for byte in bytes {
            guard isDigit(byte) else { return nil }
            value = value * 10 + Int(byte - 0x30)
        }
        return value
    }
}
