import CThemisRPC
public import ThemisBase
public import ThemisNet

/// One entity as it was read.
public struct EntityMessage: RPCMessage, @unsafe ProtobufMessage, Equatable {
    /// The table.
    public var table: String
    /// The primary key.
    public var pk: String
    /// The version; 0 when it is missing.
    public var version: UInt64
    /// The document as JSON text.
    public var document: [UInt8]
    /// Whether there is no such entity.
    public var missing: Bool
    /// When it expires, in milliseconds since 1970; 0 never.
    public var expiresAtMilliseconds: Int64

    /// A message with these members.
    public init(
        table: String, pk: String, version: UInt64 = 0, document: [UInt8] = [], missing: Bool = false,
        expiresAtMilliseconds: Int64 = 0
    ) {
        self.table = table
        self.pk = pk
        self.version = version
        self.document = document
        self.missing = missing
        self.expiresAtMilliseconds = expiresAtMilliseconds
    }

    /// Decodes a body, or throws `invalid_request`.
    public init(decoding bytes: UnsafeRawBufferPointer) throws(ThemisError) {
        self = try unsafe Self.unpack(bytes)
    }

    /// Appends the body, or throws `invalid_request` when a text holds a zero character.
    public func encode(into out: inout ByteBuffer) throws(ThemisError) {
        if !encodePlainly(into: &out) { try unsafe pack(into: &out) }
    }

    static func initialize(_ raw: UnsafeMutablePointer<Themis__V1__Entity>) { unsafe themis__v1__entity__init(raw) }

    static func unpack(
        _ allocator: UnsafeMutablePointer<ProtobufCAllocator>, _ count: Int, _ bytes: UnsafePointer<UInt8>?
    ) -> UnsafeMutablePointer<Themis__V1__Entity>? { unsafe themis__v1__entity__unpack(allocator, count, bytes) }

    init(raw: UnsafePointer<Themis__V1__Entity>) throws(ThemisError) {
        table = try unsafe Protobuf.text(raw.pointee.table, "table")
        pk = try unsafe Protobuf.text(raw.pointee.pk, "pk")
        version = unsafe raw.pointee.version
        document = unsafe Protobuf.bytes(raw.pointee.document)
        missing = unsafe raw.pointee.missing != 0
        expiresAtMilliseconds = unsafe raw.pointee.expires_at_ms
    }

    func fill(_ raw: UnsafeMutablePointer<Themis__V1__Entity>, _ arena: inout MessageArena) throws(ThemisError) {
        try unsafe arena.set(&raw.pointee.table, table)
        try unsafe arena.set(&raw.pointee.pk, pk)
        unsafe raw.pointee.version = version
        unsafe raw.pointee.missing = missing ? 1 : 0
        unsafe raw.pointee.expires_at_ms = expiresAtMilliseconds
    }

    func copyPayload(_ raw: UnsafeMutablePointer<Themis__V1__Entity>, _ arena: inout MessageArena) throws(ThemisError) {
        try unsafe arena.set(&raw.pointee.document, document)
    }

    func lendPayload(
        _ raw: UnsafeMutablePointer<Themis__V1__Entity>, _ arena: inout MessageArena, _ use: () throws(ThemisError) -> Void
    ) throws(ThemisError) {
        try unsafe Protobuf.lend(document, to: &raw.pointee.document, use)
    }
}

/// The body of Get, which answers with an `EntityMessage`.
public struct GetRequest: RPCMessage, @unsafe ProtobufMessage, Equatable {
    /// The table.
    public var table: String
    /// The primary key.
    public var pk: String
    /// The projection; empty = the whole document.
    public var fields: [String]
    /// When the entity has this version, the answer carries no document; 0 none.
    public var unlessVersion: UInt64

    /// A message with these members.
    public init(table: String, pk: String, fields: [String] = [], unlessVersion: UInt64 = 0) {
        self.table = table
        self.pk = pk
        self.fields = fields
        self.unlessVersion = unlessVersion
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

    static func initialize(_ raw: UnsafeMutablePointer<Themis__V1__GetRequest>) { unsafe themis__v1__get_request__init(raw) }

    static func unpack(
        _ allocator: UnsafeMutablePointer<ProtobufCAllocator>, _ count: Int, _ bytes: UnsafePointer<UInt8>?
    ) -> UnsafeMutablePointer<Themis__V1__GetRequest>? { unsafe themis__v1__get_request__unpack(allocator, count, bytes) }

    init(raw: UnsafePointer<Themis__V1__GetRequest>) throws(ThemisError) {
        table = try unsafe Protobuf.text(raw.pointee.table, "table")
        pk = try unsafe Protobuf.text(raw.pointee.pk, "pk")
        fields = try unsafe Protobuf.texts(raw.pointee.fields, raw.pointee.n_fields, "fields")
        unlessVersion = unsafe raw.pointee.unless_version
    }

    func fill(_ raw: UnsafeMutablePointer<Themis__V1__GetRequest>, _ arena: inout MessageArena) throws(ThemisError) {
        try unsafe arena.set(&raw.pointee.table, table)
        try unsafe arena.set(&raw.pointee.pk, pk)
        try unsafe arena.set(&raw.pointee.fields, &raw.pointee.n_fields, fields)
        unsafe raw.pointee.unless_version = unlessVersion
    }
}

/// The body of MultiGet.
public struct MultiGetRequest: RPCMessage, @unsafe ProtobufMessage, Equatable {
    /// What to read: only `table` and `pk` are looked at; at most `Limits.pageEntities`.
    public var keys: [EntityMessage]
    /// The projection; empty = whole documents.
    public var fields: [String]

    /// A message with these members.
    public init(keys: [EntityMessage] = [], fields: [String] = []) {
        self.keys = keys
        self.fields = fields
    }

    /// Decodes a body, or throws `invalid_request`.
    public init(decoding bytes: UnsafeRawBufferPointer) throws(ThemisError) {
        var keys: [EntityMessage] = []
        self = try unsafe Self.unpack(bytes, elementLimit: Limits.pageEntities) { element throws(ThemisError) in
            keys.append(try unsafe EntityMessage(decoding: element))
        }
        self.keys = keys
    }

    /// Appends the body, or throws `invalid_request` when a text holds a zero character.
    public func encode(into out: inout ByteBuffer) throws(ThemisError) {
        for element in keys { try unsafe Self.pack(element: element, into: &out) }
        try unsafe pack(into: &out)
    }

    static func initialize(_ raw: UnsafeMutablePointer<Themis__V1__MultiGetRequest>) {
        unsafe themis__v1__multi_get_request__init(raw)
    }

    static func unpack(
        _ allocator: UnsafeMutablePointer<ProtobufCAllocator>, _ count: Int, _ bytes: UnsafePointer<UInt8>?
    ) -> UnsafeMutablePointer<Themis__V1__MultiGetRequest>? {
        unsafe themis__v1__multi_get_request__unpack(allocator, count, bytes)
    }

    init(raw: UnsafePointer<Themis__V1__MultiGetRequest>) throws(ThemisError) {
        keys = []
        fields = try unsafe Protobuf.texts(raw.pointee.fields, raw.pointee.n_fields, "fields")
    }

    func fill(_ raw: UnsafeMutablePointer<Themis__V1__MultiGetRequest>, _ arena: inout MessageArena) throws(ThemisError) {
        try unsafe arena.set(&raw.pointee.fields, &raw.pointee.n_fields, fields)
    }
}

/// The answer to MultiGet.
public struct MultiGetResponse: RPCMessage, @unsafe ProtobufMessage, Equatable {
    /// The entities in the order asked; what does not exist is `missing`.
    public var entities: [EntityMessage]
    /// How many of the last keys did not fit; 0 when all were read.
    public var unread: UInt32

    /// A message with these members.
    public init(entities: [EntityMessage] = [], unread: UInt32 = 0) {
        self.entities = entities
        self.unread = unread
    }

    /// Decodes a body, or throws `invalid_request`.
    public init(decoding bytes: UnsafeRawBufferPointer) throws(ThemisError) {
        var entities: [EntityMessage] = []
        self = try unsafe Self.unpack(bytes, elementLimit: Limits.pageEntities) { element throws(ThemisError) in
            entities.append(try unsafe EntityMessage(decoding: element))
        }
        self.entities = entities
    }

    /// Appends the body, or throws `invalid_request` when a text holds a zero character.
    public func encode(into out: inout ByteBuffer) throws(ThemisError) {
        for element in entities { try unsafe Self.pack(element: element, into: &out) }
        try unsafe pack(into: &out)
    }

    static func initialize(_ raw: UnsafeMutablePointer<Themis__V1__MultiGetResponse>) {
        unsafe themis__v1__multi_get_response__init(raw)
    }

    static func unpack(
        _ allocator: UnsafeMutablePointer<ProtobufCAllocator>, _ count: Int, _ bytes: UnsafePointer<UInt8>?
    ) -> UnsafeMutablePointer<Themis__V1__MultiGetResponse>? {
        unsafe themis__v1__multi_get_response__unpack(allocator, count, bytes)
    }

    init(raw: UnsafePointer<Themis__V1__MultiGetResponse>) throws(ThemisError) {
        entities = []
        unread = unsafe raw.pointee.unread
    }

    func fill(_ raw: UnsafeMutablePointer<Themis__V1__MultiGetResponse>, _ arena: inout MessageArena) throws(ThemisError) {
        unsafe raw.pointee.unread = unread
    }
}

/// The body of List, and of Export (which does not look at `cursor` and `limit`).
public struct ListRequest: RPCMessage, @unsafe ProtobufMessage, Equatable {
    /// The table.
    public var table: String
    /// The beginning of the primary keys; empty = all.
    public var prefix: String
    /// Where the page before ended, opaque; empty = from the start.
    public var cursor: String
    /// At most so many entities, up to `Limits.pageEntities`.
    public var limit: UInt32
    /// Whether to go down.
    public var reverse: Bool
    /// Whether to leave out the documents.
    public var keysOnly: Bool

    /// A message with these members.
    public init(
        table: String, prefix: String = "", cursor: String = "", limit: UInt32 = 0, reverse: Bool = false,
        keysOnly: Bool = false
    ) {
        self.table = table
        self.prefix = prefix
        self.cursor = cursor
        self.limit = limit
        self.reverse = reverse
        self.keysOnly = keysOnly
    }

    /// Decodes a body, or throws `invalid_request`.
    public init(decoding bytes: UnsafeRawBufferPointer) throws(ThemisError) {
        self = try unsafe Self.unpack(bytes)
    }

    /// Appends the body, or throws `invalid_request` when a text holds a zero character.
    public func encode(into out: inout ByteBuffer) throws(ThemisError) {
        try unsafe pack(into: &out)
    }

    static func initialize(_ raw: UnsafeMutablePointer<Themis__V1__ListRequest>) { unsafe themis__v1__list_request__init(raw) }

    static func unpack(
        _ allocator: UnsafeMutablePointer<ProtobufCAllocator>, _ count: Int, _ bytes: UnsafePointer<UInt8>?
    ) -> UnsafeMutablePointer<Themis__V1__ListRequest>? { unsafe themis__v1__list_request__unpack(allocator, count, bytes) }

    init(raw: UnsafePointer<Themis__V1__ListRequest>) throws(ThemisError) {
        table = try unsafe Protobuf.text(raw.pointee.table, "table")
        prefix = try unsafe Protobuf.text(raw.pointee.prefix, "prefix")
        cursor = try unsafe Protobuf.text(raw.pointee.cursor, "cursor")
        limit = unsafe raw.pointee.limit
        reverse = unsafe raw.pointee.reverse != 0
        keysOnly = unsafe raw.pointee.keys_only != 0
    }

    func fill(_ raw: UnsafeMutablePointer<Themis__V1__ListRequest>, _ arena: inout MessageArena) throws(ThemisError) {
        try unsafe arena.set(&raw.pointee.table, table)
        try unsafe arena.set(&raw.pointee.prefix, prefix)
        try unsafe arena.set(&raw.pointee.cursor, cursor)
        unsafe raw.pointee.limit = limit
        unsafe raw.pointee.reverse = reverse ? 1 : 0
        unsafe raw.pointee.keys_only = keysOnly ? 1 : 0
    }
}

/// The answer to List.
public struct ListResponse: RPCMessage, @unsafe ProtobufMessage, Equatable {
    /// The page, in order.
    public var entities: [EntityMessage]
    /// Where to go on, opaque; empty at the end.
    public var nextCursor: String
    /// The state that was read.
    public var sequence: UInt64

    /// A message with these members.
    public init(entities: [EntityMessage] = [], nextCursor: String = "", sequence: UInt64 = 0) {
        self.entities = entities
        self.nextCursor = nextCursor
        self.sequence = sequence
    }

    /// Decodes a body, or throws `invalid_request`.
    public init(decoding bytes: UnsafeRawBufferPointer) throws(ThemisError) {
        var entities: [EntityMessage] = []
        self = try unsafe Self.unpack(bytes, elementLimit: Limits.pageEntities) { element throws(ThemisError) in
            entities.append(try unsafe EntityMessage(decoding: element))
        }
        self.entities = entities
    }

    /// Appends the body, or throws `invalid_request` when a text holds a zero character.
    public func encode(into out: inout ByteBuffer) throws(ThemisError) {
        for element in entities { try unsafe Self.pack(element: element, into: &out) }
        try unsafe pack(into: &out)
    }

    static func initialize(_ raw: UnsafeMutablePointer<Themis__V1__ListResponse>) { unsafe themis__v1__list_response__init(raw) }

    static func unpack(
        _ allocator: UnsafeMutablePointer<ProtobufCAllocator>, _ count: Int, _ bytes: UnsafePointer<UInt8>?
    ) -> UnsafeMutablePointer<Themis__V1__ListResponse>? { unsafe themis__v1__list_response__unpack(allocator, count, bytes) }

    init(raw: UnsafePointer<Themis__V1__ListResponse>) throws(ThemisError) {
        entities = []
        nextCursor = try unsafe Protobuf.text(raw.pointee.next_cursor, "next_cursor")
        sequence = unsafe raw.pointee.sequence
    }

    func fill(_ raw: UnsafeMutablePointer<Themis__V1__ListResponse>, _ arena: inout MessageArena) throws(ThemisError) {
        try unsafe arena.set(&raw.pointee.next_cursor, nextCursor)
        unsafe raw.pointee.sequence = sequence
    }
}
