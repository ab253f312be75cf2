import CThemisRPC
public import ThemisBase
public import ThemisNet

/// The body of WriteAtomic: all or nothing, one transaction in the change log.
public struct WriteAtomicRequest: RPCMessage, @unsafe ProtobufMessage, Equatable {
    /// What to do, in this order; at most `Limits.atomicOperations`.
    public var operations: [OperationMessage]
    /// SHA-256 of what identifies the request, 32 bytes; empty without an idempotency key.
    public var fingerprint: [UInt8]

    /// A message with these members.
    public init(operations: [OperationMessage] = [], fingerprint: [UInt8] = []) {
        self.operations = operations
        self.fingerprint = fingerprint
    }

    /// Decodes a body, or throws `invalid_request`.
    public init(decoding bytes: UnsafeRawBufferPointer) throws(ThemisError) {
        var operations: [OperationMessage] = []
        self = try unsafe Self.unpack(bytes, elementLimit: Limits.atomicOperations) { element throws(ThemisError) in
            operations.append(try unsafe OperationMessage(decoding: element))
        }
        self.operations = operations
    }

    /// Appends the body, or throws `invalid_request` when a text holds a zero character.
    public func encode(into out: inout ByteBuffer) throws(ThemisError) {
        for element in operations { try unsafe Self.pack(element: element, into: &out) }
        try unsafe pack(into: &out)
    }

    static func initialize(_ raw: UnsafeMutablePointer<Themis__V1__WriteAtomicRequest>) {
        unsafe themis__v1__write_atomic_request__init(raw)
    }

    static func unpack(
        _ allocator: UnsafeMutablePointer<ProtobufCAllocator>, _ count: Int, _ bytes: UnsafePointer<UInt8>?
    ) -> UnsafeMutablePointer<Themis__V1__WriteAtomicRequest>? {
        unsafe themis__v1__write_atomic_request__unpack(allocator, count, bytes)
    }

    init(raw: UnsafePointer<Themis__V1__WriteAtomicRequest>) throws(ThemisError) {
        operations = []
        fingerprint = unsafe Protobuf.bytes(raw.pointee.fingerprint)
    }

    func fill(_ raw: UnsafeMutablePointer<Themis__V1__WriteAtomicRequest>, _ arena: inout MessageArena) throws(ThemisError) {
        try unsafe arena.set(&raw.pointee.fingerprint, fingerprint)
    }
}

/// The answer to WriteAtomic.
public struct WriteAtomicResponse: RPCMessage, @unsafe ProtobufMessage, Equatable {
    /// What each operation did, in the order of the request.
    public var results: [OperationResult]
    /// The last sequence of the transaction; 0 when nothing changed.
    public var sequence: UInt64

    /// A message with these members.
    public init(results: [OperationResult] = [], sequence: UInt64 = 0) {
        self.results = results
        self.sequence = sequence
    }

    /// Decodes a body, or throws `invalid_request`.
    public init(decoding bytes: UnsafeRawBufferPointer) throws(ThemisError) {
        var results: [OperationResult] = []
        self = try unsafe Self.unpack(bytes, elementLimit: Limits.atomicOperations) { element throws(ThemisError) in
            results.append(try unsafe OperationResult(decoding: element))
        }
        self.results = results
    }

    /// Appends the body, or throws `invalid_request` when a text holds a zero character.
    public func encode(into out: inout ByteBuffer) throws(ThemisError) {
        for element in results { try unsafe Self.pack(element: element, into: &out) }
        try unsafe pack(into: &out)
    }

    static func initialize(_ raw: UnsafeMutablePointer<Themis__V1__WriteAtomicResponse>) {
        unsafe themis__v1__write_atomic_response__init(raw)
    }

    static func unpack(
        _ allocator: UnsafeMutablePointer<ProtobufCAllocator>, _ count: Int, _ bytes: UnsafePointer<UInt8>?
    ) -> UnsafeMutablePointer<Themis__V1__WriteAtomicResponse>? {
        unsafe themis__v1__write_atomic_response__unpack(allocator, count, bytes)
    }

    init(raw: UnsafePointer<Themis__V1__WriteAtomicResponse>) throws(ThemisError) {
        results = []
        sequence = unsafe raw.pointee.sequence
    }

    func fill(_ raw: UnsafeMutablePointer<Themis__V1__WriteAtomicResponse>, _ arena: inout MessageArena) throws(ThemisError) {
        unsafe raw.pointee.sequence = sequence
    }
}

/// One answer of WriteStream, which takes a stream of `OperationMessage` and gives one of these for each, in the same order.
public struct WriteStreamResult: RPCMessage, @unsafe ProtobufMessage {
    /// What was done; nil when the operation failed.
    public var result: OperationResult?
    /// Why this operation failed; the stream goes on.
    public var error: ThemisError?

    /// A message with these members.
    public init(result: OperationResult? = nil, error: ThemisError? = nil) {
        self.result = result
        self.error = error
    }

    /// Decodes a body, or throws `invalid_request`.
    public init(decoding bytes: UnsafeRawBufferPointer) throws(ThemisError) {
        self = try unsafe Self.unpack(bytes)
    }

    /// Appends the body, or throws `invalid_request` when a text holds a zero character.
    public func encode(into out: inout ByteBuffer) throws(ThemisError) {
        try unsafe pack(into: &out)
    }

    static func initialize(_ raw: UnsafeMutablePointer<Themis__V1__WriteStreamResult>) {
        unsafe themis__v1__write_stream_result__init(raw)
    }

    static func unpack(
        _ allocator: UnsafeMutablePointer<ProtobufCAllocator>, _ count: Int, _ bytes: UnsafePointer<UInt8>?
    ) -> UnsafeMutablePointer<Themis__V1__WriteStreamResult>? {
        unsafe themis__v1__write_stream_result__unpack(allocator, count, bytes)
    }

    init(raw: UnsafePointer<Themis__V1__WriteStreamResult>) throws(ThemisError) {
        result = try unsafe Protobuf.optional(raw.pointee.result) { raw throws(ThemisError) in
            try unsafe OperationResult(raw: raw)
        }
        error = try unsafe Protobuf.optional(raw.pointee.error) { raw throws(ThemisError) in try unsafe ThemisError(raw: raw) }
    }

    func fill(_ raw: UnsafeMutablePointer<Themis__V1__WriteStreamResult>, _ arena: inout MessageArena) throws(ThemisError) {
        if let result { unsafe raw.pointee.result = try unsafe arena.make(result) }
        if let error { unsafe raw.pointee.error = try unsafe arena.make(error) }
    }
}

/// The body of DeleteRange, which answers with a `JobResponse`.
public struct DeleteRangeRequest: RPCMessage, @unsafe ProtobufMessage, Equatable {
    /// The table.
    public var table: String
    /// The beginning of the primary keys; empty = all.
    public var prefix: String

    /// A message with these members.
    public init(table: String, prefix: String = "") {
        self.table = table
        self.prefix = prefix
    }

    /// Decodes a body, or throws `invalid_request`.
    public init(decoding bytes: UnsafeRawBufferPointer) throws(ThemisError) {
        self = try unsafe Self.unpack(bytes)
    }

    /// Appends the body, or throws `invalid_request` when a text holds a zero character.
    public func encode(into out: inout ByteBuffer) throws(ThemisError) {
        try unsafe pack(into: &out)
    }

    static func initialize(_ raw: UnsafeMutablePointer<Themis__V1__DeleteRangeRequest>) {
        unsafe themis__v1__delete_range_request__init(raw)
    }

    static func unpack(
        _ allocator: UnsafeMutablePointer<ProtobufCAllocator>, _ count: Int, _ bytes: UnsafePointer<UInt8>?
    ) -> UnsafeMutablePointer<Themis__V1__DeleteRangeRequest>? {
        unsafe themis__v1__delete_range_request__unpack(allocator, count, bytes)
    }

    init(raw: UnsafePointer<Themis__V1__DeleteRangeRequest>) throws(ThemisError) {
        table = try unsafe Protobuf.text(raw.pointee.table, "table")
        prefix = try unsafe Protobuf.text(raw.pointee.prefix, "prefix")
    }

    func fill(_ raw: UnsafeMutablePointer<Themis__V1__DeleteRangeRequest>, _ arena: inout MessageArena) throws(ThemisError) {
        try unsafe arena.set(&raw.pointee.table, table)
        try unsafe arena.set(&raw.pointee.prefix, prefix)
    }
}
