/// Big-endian numbers at fixed places of stored records. The caller knows that the place lies inside.
extension Array where Element == UInt8 {
    @inline(__always) mutating func store<Value: FixedWidthInteger>(_ value: Value, at offset: Int) {
        precondition(offset >= 0 && offset + Value.bitWidth / 8 <= count, "a fixed field lies inside its record")
        unsafe withUnsafeMutableBytes { unsafe $0.storeBytes(of: value.bigEndian, toByteOffset: offset, as: Value.self) }
    }

    @inline(__always) func load<Value: FixedWidthInteger>(_ type: Value.Type, at offset: Int) -> Value {
        precondition(offset >= 0 && offset + Value.bitWidth / 8 <= count, "a fixed field lies inside its record")
        return unsafe withUnsafeBytes { Value(bigEndian: unsafe $0.loadUnaligned(fromByteOffset: offset, as: Value.self)) }
    }
}
