/// Little helpers over `[UInt8]`, the currency of bytes in THEMIS. Values: any thread.
extension Array where Element == UInt8 {
    /// Appends `value` in big-endian order, which sorts as the number does.
    @inlinable public mutating func appendBigEndian<Value: FixedWidthInteger>(_ value: Value) {
        var shift = Value.bitWidth - 8
        while shift >= 0 {
            append(UInt8(truncatingIfNeeded: value >> Value(truncatingIfNeeded: shift)))
            shift -= 8
        }
    }

    /// Appends `value` in little-endian order.
    @inlinable public mutating func appendLittleEndian<Value: FixedWidthInteger>(_ value: Value) {
        var shift = 0
        while shift < Value.bitWidth {
            append(UInt8(truncatingIfNeeded: value >> Value(truncatingIfNeeded: shift)))
            shift += 8
        }
    }

    /// Appends an unsigned LEB128 number.
    @inlinable public mutating func appendVarint(_ value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        append(UInt8(rest))
    }

    /// Appends a length as varint, then the bytes.
    @inlinable public mutating func appendLengthPrefixed(_ bytes: some Collection<UInt8>) {
        appendVarint(UInt64(bytes.count))
        append(contentsOf: bytes)
    }
}

/// Reads a byte array from front to back and never past its end.
///
/// Every read returns nil when the bytes do not suffice; the caller names the error.
public struct ByteReader {
    @usableFromInline let bytes: [UInt8]
    /// The next byte to read.
    public private(set) var position: Int
    /// One past the last readable byte.
    public let end: Int

    /// Reads `bytes`, or only `range` of it.
    public init(_ bytes: [UInt8], in range: Range<Int>? = nil) {
        self.bytes = bytes
        position = range?.lowerBound ?? 0
        end = range?.upperBound ?? bytes.count
    }

    /// Bytes not read yet.
    public var remaining: Int { end - position }

    /// The next byte.
    public mutating func byte() -> UInt8? {
        guard position < end else { return nil }
        defer { position += 1 }
        return bytes[position]
    }

    /// A big-endian number.
    public mutating func bigEndian<Value: FixedWidthInteger>(_ type: Value.Type) -> Value? {
        let width = Value.bitWidth / 8
        guard remaining >= width else { return nil }
        var value: Value = 0
        for index in position..<(position + width) {
            value = (Value.bitWidth == 8 ? 0 : value << 8) | Value(truncatingIfNeeded: bytes[index])
        }
        position += width
        return value
    }

    /// A little-endian number.
    public mutating func littleEndian<Value: FixedWidthInteger>(_ type: Value.Type) -> Value? {
        bigEndian(type).map { $0.byteSwapped }
    }

    /// An unsigned LEB128 number of at most 64 bits.
    public mutating func varint() -> UInt64? {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while let next = byte() {
            guard shift < 63 || next <= 1 else { return nil }
            value |= UInt64(next & 0x7F) << shift
            if next < 0x80 { return value }
            shift += 7
        }
        return nil
    }

    /// The next `count` bytes.
    public mutating func take(_ count: Int) -> ArraySlice<UInt8>? {
        guard count >= 0, remaining >= count else { return nil }
        defer { position += count }
        return bytes[position..<(position + count)]
    }

    /// A varint length, then that many bytes.
    public mutating func lengthPrefixed() -> ArraySlice<UInt8>? {
        guard let count = varint(), count <= UInt64(remaining) else { return nil }
        return take(Int(count))
    }

    /// Everything that is left.
    public mutating func rest() -> ArraySlice<UInt8> {
        defer { position = end }
        return bytes[position..<end]
    }
}
