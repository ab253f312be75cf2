import ThemisBase

/// Walks over the members of an encoded message, one level deep.
@safe struct ProtobufWalk {
    /// The tag of a list: member 1, with a length.
    static let elementTag: UInt8 = 0x0A

    /// One member; valid as long as the bytes walked over.
    @unsafe struct Member {
        /// Tag and value.
        let whole: UnsafeRawBufferPointer
        /// The value without tag and length.
        let content: UnsafeRawBufferPointer
        let tag: UInt64
        /// The value of a number.
        let value: UInt64

        /// The number of the member.
        var number: UInt64 { unsafe tag >> 3 }
        /// How the value is written: 0 a number, 2 bytes.
        var wireType: UInt64 { unsafe tag & 7 }
        /// Whether it is an element of the list.
        var isElement: Bool { unsafe tag == UInt64(ProtobufWalk.elementTag) }
    }

    private let bytes: UnsafeRawBufferPointer
    private var position = 0

    init(_ bytes: UnsafeRawBufferPointer) { unsafe self.bytes = unsafe bytes }

    /// The next member, nil at the end.
    mutating func next() throws(ThemisError) -> Member? {
        guard unsafe position < bytes.count else { return nil }
        let start = position
        let tag = try varint()
        var contentStart = position
        var value: UInt64 = 0
        switch tag & 7 {
        case 0: value = try varint()
        case 1: try skip(8)
        case 2:
            let count = try varint()
            contentStart = position
            try skip(count)
        case 5: try skip(4)
        default: throw Self.malformed
        }
        return unsafe Member(
            whole: UnsafeRawBufferPointer(rebasing: bytes[start..<position]),
            content: UnsafeRawBufferPointer(rebasing: bytes[contentStart..<position]), tag: tag, value: value)
    }

    private mutating func skip(_ count: UInt64) throws(ThemisError) {
        guard unsafe count <= UInt64(bytes.count - position) else { throw Self.malformed }
        position += Int(count)
    }

    private mutating func varint() throws(ThemisError) -> UInt64 {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while unsafe position < bytes.count, shift < 64 {
            let byte = unsafe bytes[position]
            position += 1
            value |= UInt64(byte & 0x7F) << shift
            if byte < 0x80 { return value }
            shift += 7
        }
        throw Self.malformed
    }

    private static let malformed = ThemisError(.invalidRequest, "message is malformed")
}
