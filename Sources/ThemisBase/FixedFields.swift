/// Big-endian numbers at fixed places of records. A place outside is a bug of the caller: records from outside are checked first.
extension Array where Element == UInt8 {
    /// Writes `value` at `offset`.
    @inlinable public mutating func store<Value: FixedWidthInteger>(_ value: Value, at offset: Int) {
        precondition(offset >= 0 && offset <= count - Value.bitWidth / 8, "a fixed field lies inside its record")
        unsafe withUnsafeMutableBytes { unsafe $0.storeBytes(of: value.bigEndian, toByteOffset: offset, as: Value.self) }
    }

    /// Reads the number at `offset`.
    @inlinable public func load<Value: FixedWidthInteger>(_ type: Value.Type, at offset: Int) -> Value {
        precondition(offset >= 0 && offset <= count - Value.bitWidth / 8, "a fixed field lies inside its record")
        return unsafe withUnsafeBytes { Value(bigEndian: unsafe $0.loadUnaligned(fromByteOffset: offset, as: Value.self)) }
    }
}
