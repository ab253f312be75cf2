public import ThemisBase
import ThemisNet
public import ThemisTelemetry

/// What stands before the body of every REQUEST: who asks, how long it may take, what must hold. A value; any thread.
public struct RequestMetadata: Sendable, Equatable {
    /// Time left for the whole call, in milliseconds, counted from the call on; 0 = no deadline.
    public var deadlineMilliseconds: UInt32
    /// The span that asks; nil outside of any trace.
    public var trace: Traceparent?
    /// Who asks; empty = anonymous. At most `Limits.principalBytes` bytes.
    public var principal: String
    /// What the principal may do; the core checks it again.
    public var scopes: Scopes
    /// 0 is ordinary; greater numbers wait behind smaller ones.
    public var priority: UInt8
    /// Repeats the answer of the first request with this key; empty = none. At most `Limits.idempotencyKeyBytes` bytes.
    public var idempotencyKey: String
    /// The transaction that the request belongs to.
    public var transaction: TransactionID?
    /// The read waits until this sequence is visible; 0 = does not wait.
    public var minSequence: SequenceNumber
    /// The shard; 0, the only one.
    public var shard: UInt32

    /// Metadata with these members.
    public init(
        deadlineMilliseconds: UInt32 = 0, trace: Traceparent? = nil, principal: String = "", scopes: Scopes = [],
        priority: UInt8 = 0,
        idempotencyKey: String = "", transaction: TransactionID? = nil, minSequence: SequenceNumber = 0, shard: UInt32 = 0
    ) {
        self.deadlineMilliseconds = deadlineMilliseconds
        self.trace = trace
        self.principal = principal
        self.scopes = scopes
        self.priority = priority
        self.idempotencyKey = idempotencyKey
        self.transaction = transaction
        self.minSequence = minSequence
        self.shard = shard
    }

    /// Refuses what does not fit into the block.
    ///
    /// - Throws: `invalid_request` naming the member.
    func validate() throws(ThemisError) {
        guard principal.utf8.count <= Limits.principalBytes else {
            throw ThemisError(.invalidRequest, "a principal has at most \(Limits.principalBytes) bytes")
        }
        guard idempotencyKey.utf8.count <= Limits.idempotencyKeyBytes else {
            throw ThemisError(.invalidRequest, "an idempotency key has at most \(Limits.idempotencyKeyBytes) bytes")
        }
    }

    // MARK: Block

    /// Bytes before the parts of varying length.
    private static let fixedBytes = 49

    /// Appends the block. `validate` has accepted the texts.
    func encode(into out: inout ByteBuffer) { encode(into: &out, deadlineMilliseconds: deadlineMilliseconds) }

    /// Appends the block with another deadline.
    func encode(into out: inout ByteBuffer, deadlineMilliseconds: UInt32) {
        let size = Self.fixedBytes + 3 + principal.utf8.count + idempotencyKey.utf8.count + (transaction == nil ? 0 : 16)
        unsafe out.append(count: size) { place in
            var writer = unsafe BlockWriter(place)
            writer.put(UInt16(size - 2))
            writer.put(deadlineMilliseconds)
            writer.put(UInt8(0))
            writer.put((trace?.traceHigh ?? 0).bigEndian)
            writer.put((trace?.traceLow ?? 0).bigEndian)
            writer.put((trace?.span ?? 0).bigEndian)
            writer.put(UInt8(trace?.isSampled == true ? 1 : 0))
            writer.put(scopes.rawValue)
            writer.put(priority)
            writer.put(minSequence)
            writer.put(shard)
            writer.put(principal)
            writer.put(idempotencyKey)
            writer.put(UInt8(transaction == nil ? 0 : 16))
            if let transaction {
                writer.put(transaction.high.bigEndian)
                writer.put(transaction.low.bigEndian)
            }
        }
    }

    /// Reads the block at the front of a REQUEST and returns where the body begins. Bytes behind the known members are skipped: a
    /// newer sender may have more of them.
    static func decode(_ bytes: UnsafeRawBufferPointer) throws(ProtocolViolation) -> (metadata: RequestMetadata, bodyStart: Int) {
        guard bytes.count >= fixedBytes + 3 else { throw ProtocolViolation(.metadata, "a metadata block of \(bytes.count) bytes") }
        let length = unsafe Int(Self.load(bytes, 0) as UInt16)
        let end = 2 + length
        guard length >= fixedBytes - 2 + 3, end <= bytes.count else {
            throw ProtocolViolation(.metadata, "a metadata block of \(length) bytes in a frame of \(bytes.count)")
        }
        // The fixed part is there as a whole: its members need no further look at the bounds.
        var metadata = RequestMetadata()
        metadata.deadlineMilliseconds = unsafe Self.load(bytes, 2)
        guard unsafe bytes[6] == 0 else { throw ProtocolViolation(.metadata, "the trace context has an unknown version") }
        metadata.trace = unsafe Traceparent(
            traceHigh: (Self.load(bytes, 7) as UInt64).byteSwapped, traceLow: (Self.load(bytes, 15) as UInt64).byteSwapped,
            span: (Self.load(bytes, 23) as UInt64).byteSwapped, isSampled: bytes[31] & 1 == 1)
        metadata.scopes = unsafe Scopes(rawValue: Self.load(bytes, 32))
        metadata.priority = unsafe bytes[36]
        metadata.minSequence = unsafe Self.load(bytes, 37)
        metadata.shard = unsafe Self.load(bytes, 45)
        var reader = unsafe BlockReader(bytes, from: fixedBytes)
        metadata.principal = try reader.text(limit: Limits.principalBytes)
        metadata.idempotencyKey = try reader.text(limit: Limits.idempotencyKeyBytes)
        switch try reader.take(UInt8.self) {
        case 0: break
        case 16:
            let high = UInt64(bigEndian: try reader.take(UInt64.self))
            metadata.transaction = TransactionID(high: high, low: UInt64(bigEndian: try reader.take(UInt64.self)))
        default: throw ProtocolViolation(.metadata, "a transaction id has 16 bytes")
        }
        guard reader.position <= end else { throw ProtocolViolation(.metadata, "the members do not fit into the metadata block") }
        return (metadata, end)
    }
}

extension RequestMetadata {
    /// A number of the fixed part, little-endian.
    fileprivate static func load<Value: FixedWidthInteger>(_ bytes: UnsafeRawBufferPointer, _ offset: Int) -> Value {
        unsafe Value(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: Value.self))
    }
}

/// Writes numbers, little-endian, into room that was measured before.
@safe struct BlockWriter: ~Copyable {
    private var place: UnsafeMutablePointer<UInt8>

    init(_ place: UnsafeMutablePointer<UInt8>) { unsafe self.place = unsafe place }

    mutating func put<Value: FixedWidthInteger>(_ value: Value) {
        unsafe UnsafeMutableRawPointer(place).storeBytes(of: value.littleEndian, as: Value.self)
        unsafe place += MemoryLayout<Value>.size
    }

    /// A text of at most 255 bytes behind its length.
    mutating func put(_ text: String) {
        let count = text.utf8.count
        put(UInt8(count))
        guard count > 0 else { return }
        unsafe place.copy(text.utf8)
        unsafe place += count
    }
}

/// Reads numbers, little-endian, and never past the end.
@safe struct BlockReader: ~Copyable {
    private let bytes: UnsafeRawBufferPointer
    private(set) var position: Int

    init(_ bytes: UnsafeRawBufferPointer, from position: Int = 0) {
        unsafe self.bytes = unsafe bytes
        self.position = position
    }

    mutating func take<Value: FixedWidthInteger>(_ type: Value.Type) throws(ProtocolViolation) -> Value {
        guard unsafe bytes.count - position >= MemoryLayout<Value>.size else { throw Self.short }
        defer { position += MemoryLayout<Value>.size }
        return unsafe Value(littleEndian: bytes.loadUnaligned(fromByteOffset: position, as: Value.self))
    }

    /// A text of at most `limit` bytes behind its length.
    mutating func text(limit: Int) throws(ProtocolViolation) -> String {
        let count = Int(try take(UInt8.self))
        guard count <= limit, unsafe bytes.count - position >= count else { throw Self.short }
        guard count > 0 else { return "" }
        defer { position += count }
        let part = unsafe UnsafeRawBufferPointer(rebasing: bytes[position..<(position + count)])
        // The validating initialiser costs a thousand instructions even for a short ASCII word, which nearly all texts here are.
        if unsafe part.allSatisfy({ $0 < 0x80 }) { return unsafe String(decoding: part, as: UTF8.self) }
        guard let text = unsafe String(validating: part, as: UTF8.self) else {
            throw ProtocolViolation(.metadata, "a text of the metadata block is not UTF-8")
        }
        return text
    }

    private static let short = ProtocolViolation(.metadata, "the metadata block is too short")
}
