import CThemisRPC
public import ThemisBase
public import ThemisNet

/// A request that is JSON text, which the core parses: Query, IndexCreate, IndexDrop, IndexList, IndexStats, IndexRebuild, IndexReindex,
/// Verify.
public struct TextRequest: RPCMessage, @unsafe ProtobufMessage, Equatable {
    /// The JSON text.
    public var text: [UInt8]

    /// A message with these members.
    public init(text: [UInt8]) {
        self.text = text
    }

    /// Decodes a body, or throws `invalid_request`.
    public init(decoding bytes: UnsafeRawBufferPointer) throws(ThemisError) {
        self = try unsafe Self.unpack(bytes)
    }

    /// Appends the body, or throws `invalid_request` when a text holds a zero character.
    public func encode(into out: inout ByteBuffer) throws(ThemisError) {
        try unsafe pack(into: &out)
    }

    static func initialize(_ raw: UnsafeMutablePointer<Themis__V1__TextRequest>) { unsafe themis__v1__text_request__init(raw) }

    static func unpack(
        _ allocator: UnsafeMutablePointer<ProtobufCAllocator>, _ count: Int, _ bytes: UnsafePointer<UInt8>?
    ) -> UnsafeMutablePointer<Themis__V1__TextRequest>? { unsafe themis__v1__text_request__unpack(allocator, count, bytes) }

    init(raw: UnsafePointer<Themis__V1__TextRequest>) throws(ThemisError) {
        text = unsafe Protobuf.bytes(raw.pointee.text)
    }

    func fill(_ raw: UnsafeMutablePointer<Themis__V1__TextRequest>, _ arena: inout MessageArena) throws(ThemisError) {
    }

    func copyPayload(_ raw: UnsafeMutablePointer<Themis__V1__TextRequest>, _ arena: inout MessageArena) throws(ThemisError) {
        try unsafe arena.set(&raw.pointee.text, text)
    }

    func lendPayload(
        _ raw: UnsafeMutablePointer<Themis__V1__TextRequest>, _ arena: inout MessageArena, _ use: () throws(ThemisError) -> Void
    ) throws(ThemisError) {
        try unsafe Protobuf.lend(text, to: &raw.pointee.text, use)
    }
}

/// The answer to IndexCreate.
public struct IndexCreateResponse: RPCMessage, @unsafe ProtobufMessage {
    /// The index, JSON.
    public var text: [UInt8]
    /// Whether it is new.
    public var created: Bool
    /// The job that makes its entries; nil when it is complete.
    public var job: JobMessage?
    /// Whether it is the answer to an earlier request under the same idempotency key.
    public var replayed: Bool

    /// A message with these members.
    public init(text: [UInt8], created: Bool = false, job: JobMessage? = nil, replayed: Bool = false) {
        self.text = text
        self.created = created
        self.job = job
        self.replayed = replayed
    }

    /// Decodes a body, or throws `invalid_request`.
    public init(decoding bytes: UnsafeRawBufferPointer) throws(ThemisError) {
        self = try unsafe Self.unpack(bytes)
    }

    /// Appends the body, or throws `invalid_request` when a text holds a zero character.
    public func encode(into out: inout ByteBuffer) throws(ThemisError) {
        try unsafe pack(into: &out)
    }

    static func initialize(_ raw: UnsafeMutablePointer<Themis__V1__IndexCreateResponse>) {
        unsafe themis__v1__index_create_response__init(raw)
    }

    static func unpack(
        _ allocator: UnsafeMutablePointer<ProtobufCAllocator>, _ count: Int, _ bytes: UnsafePointer<UInt8>?
    ) -> UnsafeMutablePointer<Themis__V1__IndexCreateResponse>? {
        unsafe themis__v1__index_create_response__unpack(allocator, count, bytes)
    }

    init(raw: UnsafePointer<Themis__V1__IndexCreateResponse>) throws(ThemisError) {
        text = unsafe Protobuf.bytes(raw.pointee.text)
        created = unsafe raw.pointee.created != 0
        job = try unsafe Protobuf.optional(raw.pointee.job) { raw throws(ThemisError) in try unsafe JobMessage(raw: raw) }
        replayed = unsafe raw.pointee.replayed != 0
    }

    func fill(_ raw: UnsafeMutablePointer<Themis__V1__IndexCreateResponse>, _ arena: inout MessageArena) throws(ThemisError) {
        try unsafe arena.set(&raw.pointee.text, text)
        unsafe raw.pointee.created = created ? 1 : 0
        unsafe raw.pointee.replayed = replayed ? 1 : 0
        if let job { unsafe raw.pointee.job = try unsafe arena.make(job) }
    }
}
