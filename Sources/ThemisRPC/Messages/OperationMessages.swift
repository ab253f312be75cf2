import CThemisRPC
public import ThemisBase
public import ThemisNet

/// What an operation does with its entity.
public enum OperationKind: UInt32, Sendable {
    /// Stores the document, whether there was one or not.
    case put = 1
    /// Applies a JSON merge patch (RFC 7396).
    case mergePatch = 2
    /// Applies a JSON patch (RFC 6902).
    case jsonPatch = 3
    /// Removes the entity, whether there was one or not.
    case delete = 4
}

/// What must hold for an operation to be carried out; else `precondition_failed`.
public enum OperationCondition: Sendable, Equatable {
    /// Nothing.
    case none
    /// The entity has this version.
    case version(UInt64)
    /// There is no entity.
    case absent
    /// There is an entity.
    case exists

    /// The two members of the wire.
    var encoded: (condition: UInt32, version: UInt64) {
        switch self {
        case .none: (0, 0)
        case .version(let version): (1, version)
        case .absent: (2, 0)
        case .exists: (3, 0)
        }
    }

    init(condition: UInt32, version: UInt64) throws(ThemisError) {
        switch condition {
        case 0: self = .none
        case 1: self = .version(version)
        case 2: self = .absent
        case 3: self = .exists
        default: throw ThemisError(.invalidRequest, "message member condition has the unknown value \(condition)")
        }
    }
}

/// One change of one entity.
public struct OperationMessage: RPCMessage, @unsafe ProtobufMessage, Equatable {
    /// What is done.
    public var kind: OperationKind
    /// The table.
    public var table: String
    /// The primary key.
    public var pk: String
    /// The document or patch as JSON text; empty for a deletion. Parsed in the core.
    public var body: [UInt8]
    /// What must hold.
    public var condition: OperationCondition

    /// A message with these members.
    public init(kind: OperationKind, table: String, pk: String, body: [UInt8] = [], condition: OperationCondition = .none) {
        self.kind = kind
        self.table = table
        self.pk = pk
        self.body = body
        self.condition = condition
    }

    /// Decodes a body, or throws `invalid_request`.
    public init(decoding bytes: UnsafeRawBufferPointer) throws(ThemisError) {
        self = try unsafe Self.unpack(bytes)
    }

    /// Appends the body, or throws `invalid_request` when a text holds a zero character.
    public func encode(into out: inout ByteBuffer) throws(ThemisError) {
        try unsafe pack(into: &out)
    }

    static func initialize(_ raw: UnsafeMutablePointer<Themis__V1__Operation>) { unsafe themis__v1__operation__init(raw) }

    static func unpack(
        _ allocator: UnsafeMutablePointer<ProtobufCAllocator>, _ count: Int, _ bytes: UnsafePointer<UInt8>?
    ) -> UnsafeMutablePointer<Themis__V1__Operation>? { unsafe themis__v1__operation__unpack(allocator, count, bytes) }

    init(raw: UnsafePointer<Themis__V1__Operation>) throws(ThemisError) {
        kind = try unsafe Protobuf.word(raw.pointee.kind, "kind")
        table = try unsafe Protobuf.text(raw.pointee.table, "table")
        pk = try unsafe Protobuf.text(raw.pointee.pk, "pk")
        body = unsafe Protobuf.bytes(raw.pointee.body)
        condition = try unsafe OperationCondition(condition: raw.pointee.condition, version: raw.pointee.if_version)
    }

    func fill(_ raw: UnsafeMutablePointer<Themis__V1__Operation>, _ arena: inout MessageArena) throws(ThemisError) {
        unsafe raw.pointee.kind = kind.rawValue
        try unsafe arena.set(&raw.pointee.table, table)
        try unsafe arena.set(&raw.pointee.pk, pk)
        unsafe (raw.pointee.condition, raw.pointee.if_version) = condition.encoded
    }

    func copyPayload(_ raw: UnsafeMutablePointer<Themis__V1__Operation>, _ arena: inout MessageArena) throws(ThemisError) {
        try unsafe arena.set(&raw.pointee.body, body)
    }

    func lendPayload(
        _ raw: UnsafeMutablePointer<Themis__V1__Operation>, _ arena: inout MessageArena, _ use: () throws(ThemisError) -> Void
    ) throws(ThemisError) {
        try unsafe Protobuf.lend(body, to: &raw.pointee.body, use)
    }
}

/// What an operation did.
public struct OperationResult: RPCMessage, @unsafe ProtobufMessage, Equatable {
    /// The version of the entity now; 0 after a deletion.
    public var version: UInt64
    /// The sequence of its change record; 0 when nothing changed (the deletion of what is absent).
    public var sequence: UInt64
    /// Whether the entity did not exist before.
    public var created: Bool
    /// Whether an entity was removed.
    public var deleted: Bool
    /// Whether it is on disk; false only under `storage.durability: relaxed`.
    public var durable: Bool
    /// Whether this is the remembered answer of an idempotency key.
    public var replayed: Bool

    /// A message with these members.
    public init(
        version: UInt64 = 0, sequence: UInt64 = 0, created: Bool = false, deleted: Bool = false, durable: Bool = true,
        replayed: Bool = false
    ) {
        self.version = version
        self.sequence = sequence
        self.created = created
        self.deleted = deleted
        self.durable = durable
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

    static func initialize(_ raw: UnsafeMutablePointer<Themis__V1__OperationResult>) {
        unsafe themis__v1__operation_result__init(raw)
    }

    static func unpack(
        _ allocator: UnsafeMutablePointer<ProtobufCAllocator>, _ count: Int, _ bytes: UnsafePointer<UInt8>?
    ) -> UnsafeMutablePointer<Themis__V1__OperationResult>? {
        unsafe themis__v1__operation_result__unpack(allocator, count, bytes)
    }

    init(raw: UnsafePointer<Themis__V1__OperationResult>) throws(ThemisError) {
        version = unsafe raw.pointee.version
        sequence = unsafe raw.pointee.sequence
        created = unsafe raw.pointee.created != 0
        deleted = unsafe raw.pointee.deleted != 0
        durable = unsafe raw.pointee.durable != 0
        replayed = unsafe raw.pointee.replayed != 0
    }

    func fill(_ raw: UnsafeMutablePointer<Themis__V1__OperationResult>, _ arena: inout MessageArena) throws(ThemisError) {
        unsafe raw.pointee.version = version
        unsafe raw.pointee.sequence = sequence
        unsafe raw.pointee.created = created ? 1 : 0
        unsafe raw.pointee.deleted = deleted ? 1 : 0
        unsafe raw.pointee.durable = durable ? 1 : 0
        unsafe raw.pointee.replayed = replayed ? 1 : 0
    }
}

/// The body of Write. The idempotency key stands in the metadata of the request.
public struct WriteRequest: RPCMessage, @unsafe ProtobufMessage, Equatable {
    /// What to do.
    public var operation: OperationMessage
    /// SHA-256 of what identifies the request, 32 bytes; empty without an idempotency key.
    public var fingerprint: [UInt8]

    /// A message with these members.
    public init(operation: OperationMessage, fingerprint: [UInt8] = []) {
        self.operation = operation
        self.fingerprint = fingerprint
    }

    /// Decodes a body, or throws `invalid_request`.
    public init(decoding bytes: UnsafeRawBufferPointer) throws(ThemisError) {
        if let plain = unsafe Self(plain: bytes) { self = plain } else { self = try unsafe Self.unpack(bytes) }
    }

    /// Appends the body, or throws `invalid_request` when a text holds a zero character.
    public func encode(into out: inout ByteBuffer) throws(ThemisError) {
        try unsafe pack(into: &out)
    }

    /// The body, made in one piece: one is sent for every request of a client.
    public func encoded() throws(ThemisError) -> [UInt8] {
        if let plain = plainlyEncoded { return plain }
        return try unsafe packed()
    }

    static func initialize(_ raw: UnsafeMutablePointer<Themis__V1__WriteRequest>) { unsafe themis__v1__write_request__init(raw) }

    static func unpack(
        _ allocator: UnsafeMutablePointer<ProtobufCAllocator>, _ count: Int, _ bytes: UnsafePointer<UInt8>?
    ) -> UnsafeMutablePointer<Themis__V1__WriteRequest>? { unsafe themis__v1__write_request__unpack(allocator, count, bytes) }

    init(raw: UnsafePointer<Themis__V1__WriteRequest>) throws(ThemisError) {
        operation = try unsafe Protobuf.required(raw.pointee.operation, "operation") { raw throws(ThemisError) in
            try unsafe OperationMessage(raw: raw)
        }
        fingerprint = unsafe Protobuf.bytes(raw.pointee.fingerprint)
    }

    func fill(_ raw: UnsafeMutablePointer<Themis__V1__WriteRequest>, _ arena: inout MessageArena) throws(ThemisError) {
        unsafe raw.pointee.operation = try unsafe arena.makeWithoutPayload(operation)
        try unsafe arena.set(&raw.pointee.fingerprint, fingerprint)
    }

    func copyPayload(_ raw: UnsafeMutablePointer<Themis__V1__WriteRequest>, _ arena: inout MessageArena) throws(ThemisError) {
        try unsafe operation.copyPayload(raw.pointee.operation, &arena)
    }

    func lendPayload(
        _ raw: UnsafeMutablePointer<Themis__V1__WriteRequest>, _ arena: inout MessageArena, _ use: () throws(ThemisError) -> Void
    ) throws(ThemisError) {
        try unsafe operation.lendPayload(raw.pointee.operation, &arena, use)
    }
}

/// The answer to Write.
public struct WriteResponse: RPCMessage, @unsafe ProtobufMessage, Equatable {
    /// What was done.
    public var result: OperationResult

    /// A message with these members.
    public init(result: OperationResult) {
        self.result = result
    }

    /// Decodes a body, or throws `invalid_request`.
    public init(decoding bytes: UnsafeRawBufferPointer) throws(ThemisError) {
        if let plain = unsafe Self(plain: bytes) { self = plain } else { self = try unsafe Self.unpack(bytes) }
    }

    /// Appends the body, or throws `invalid_request` when a text holds a zero character.
    public func encode(into out: inout ByteBuffer) throws(ThemisError) {
        try unsafe pack(into: &out)
    }

    /// The body, made in one piece: one is sent for every write.
    public func encoded() -> [UInt8] { plainlyEncoded }

    static func initialize(_ raw: UnsafeMutablePointer<Themis__V1__WriteResponse>) {
        unsafe themis__v1__write_response__init(raw)
    }

    static func unpack(
        _ allocator: UnsafeMutablePointer<ProtobufCAllocator>, _ count: Int, _ bytes: UnsafePointer<UInt8>?
    ) -> UnsafeMutablePointer<Themis__V1__WriteResponse>? { unsafe themis__v1__write_response__unpack(allocator, count, bytes) }

    init(raw: UnsafePointer<Themis__V1__WriteResponse>) throws(ThemisError) {
        result = try unsafe Protobuf.required(raw.pointee.result, "result") { raw throws(ThemisError) in
            try unsafe OperationResult(raw: raw)
        }
    }

    func fill(_ raw: UnsafeMutablePointer<Themis__V1__WriteResponse>, _ arena: inout MessageArena) throws(ThemisError) {
        unsafe raw.pointee.result = try unsafe arena.make(result)
    }
}
