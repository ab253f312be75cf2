public import ThemisBase

/// One operation of an encoded batch. The slices share the batch's bytes.
public enum BatchOperation: Sendable, Equatable {
    /// Sets a key to a value.
    case put(Keyspace, key: ArraySlice<UInt8>, value: ArraySlice<UInt8>)
    /// Removes a key.
    case delete(Keyspace, key: ArraySlice<UInt8>)
    /// Removes every key of `lower..<upper`; nothing when `upper` is not above `lower`.
    case deleteRange(Keyspace, lower: ArraySlice<UInt8>, upper: ArraySlice<UInt8>)
}

extension WriteBatch {
    /// Calls `body` with each operation of the encoded batch `bytes`, in their order.
    ///
    /// - Throws: `data_corrupt` where the bytes are no batch, after the operations before that place; what `body` throws.
    public static func forEachOperation(
        in bytes: [UInt8], _ body: (BatchOperation) throws(ThemisError) -> Void
    ) throws(ThemisError) {
        var reader = ByteReader(bytes)
        while reader.remaining > 0 {
            let position = reader.position
            guard let operation = operation(from: &reader) else {
                throw ThemisError(.dataCorrupt, "a write batch of \(bytes.count) bytes cannot be decoded at byte \(position)")
            }
            try body(operation)
        }
    }

    /// Calls `body` with each operation of this batch, in their order.
    public func forEachOperation(_ body: (BatchOperation) throws(ThemisError) -> Void) throws(ThemisError) {
        try Self.forEachOperation(in: bytes, body)
    }

    private static func operation(from reader: inout ByteReader) -> BatchOperation? {
        guard let kind = reader.byte(), let keyspace = reader.byte().flatMap(Keyspace.init(rawValue:)),
            let first = reader.lengthPrefixed()
        else { return nil }
        switch kind {
        case 1: return reader.lengthPrefixed().map { .put(keyspace, key: first, value: $0) }
        case 2: return .delete(keyspace, key: first)
        case 3: return reader.lengthPrefixed().map { .deleteRange(keyspace, lower: first, upper: $0) }
        default: return nil
        }
    }
}
