import ThemisBase

/// Changes that become visible and durable together, encoded as they are added.
///
/// The encoding is deterministic and engine-free (docs/data-format.md, "Batch"), so that the same bytes can be applied elsewhere:
/// `put = 1 | keyspace u8 | key length varint | key | value length varint | value`, `delete = 2 | keyspace | key length | key`,
/// `deleteRange = 3 | keyspace | lower length | lower | upper length | upper` (upper exclusive). Not thread-safe.
public struct WriteBatch: Sendable {
    /// The encoded operations.
    public private(set) var bytes: [UInt8] = []
    /// How many operations were added.
    public private(set) var count = 0

    /// An empty batch.
    public init() {}

    /// Whether nothing was added.
    public var isEmpty: Bool { count == 0 }

    /// Sets `key` to `value`.
    public mutating func put(_ keyspace: Keyspace, _ key: [UInt8], _ value: [UInt8]) {
        begin(1, keyspace)
        bytes.appendLengthPrefixed(key)
        bytes.appendLengthPrefixed(value)
    }

    /// Removes `key`; removing what is absent is no error.
    public mutating func delete(_ keyspace: Keyspace, _ key: [UInt8]) {
        begin(2, keyspace)
        bytes.appendLengthPrefixed(key)
    }

    /// Removes every key in `lower..<upper`.
    public mutating func deleteRange(_ keyspace: Keyspace, from lower: [UInt8], to upper: [UInt8]) {
        begin(3, keyspace)
        bytes.appendLengthPrefixed(lower)
        bytes.appendLengthPrefixed(upper)
    }

    /// Sets a key of `count` bytes, which `append` appends, to nothing: without memory for the key alone.
    public mutating func put(_ keyspace: Keyspace, keyBytes count: Int, _ append: (inout [UInt8]) -> Void) {
        begin(1, keyspace)
        appendKey(count, append)
        bytes.append(0)
    }

    /// Removes a key of `count` bytes, which `append` appends.
    public mutating func delete(_ keyspace: Keyspace, keyBytes count: Int, _ append: (inout [UInt8]) -> Void) {
        begin(2, keyspace)
        appendKey(count, append)
    }

    /// Adds the operations of another batch.
    public mutating func append(_ other: WriteBatch) {
        bytes.append(contentsOf: other.bytes)
        count += other.count
    }

    /// Takes memory for so many bytes at once.
    public mutating func reserve(bytes count: Int) { bytes.reserveCapacity(count) }

    /// Forgets everything, keeping the memory.
    public mutating func removeAll() {
        bytes.removeAll(keepingCapacity: true)
        count = 0
    }

    private mutating func appendKey(_ count: Int, _ append: (inout [UInt8]) -> Void) {
        bytes.appendVarint(UInt64(count))
        let end = bytes.count + count
        append(&bytes)
        precondition(bytes.count == end, "a key has the bytes that were announced")
    }

    private mutating func begin(_ operation: UInt8, _ keyspace: Keyspace) {
        bytes.append(operation)
        bytes.append(keyspace.rawValue)
        count += 1
    }
}
