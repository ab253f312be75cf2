import CThemisRPC
public import ThemisBase
public import ThemisNet

/// A three-way setting: left as it is, off, or on.
public enum TableSwitch: UInt32, Sendable {
    /// Not changed.
    case unchanged = 0
    /// Switched off.
    case off = 1
    /// Switched on.
    case on = 2
}

/// One table with its settings and exact sizes.
public struct TableMessage: RPCMessage, @unsafe ProtobufMessage, Equatable {
    /// The name.
    public var name: String
    /// Entities, exactly.
    public var entities: UInt64
    /// Bytes of keys and documents, exactly.
    public var bytes: UInt64
    /// Whether changes carry the value before.
    public var oldValues: Bool
    /// Life of an entity that names no other, in seconds; 0 without end.
    public var defaultTTLSeconds: Int64
    /// When it was made, in milliseconds since 1970.
    public var createdMilliseconds: Int64
    /// The id in stored keys.
    public var id: UInt32

    /// A message with these members.
    public init(
        name: String, entities: UInt64 = 0, bytes: UInt64 = 0, oldValues: Bool = false, defaultTTLSeconds: Int64 = 0,
        createdMilliseconds: Int64 = 0, id: UInt32 = 0
    ) {
        self.name = name
        self.entities = entities
        self.bytes = bytes
        self.oldValues = oldValues
        self.defaultTTLSeconds = defaultTTLSeconds
        self.createdMilliseconds = createdMilliseconds
        self.id = id
    }

    /// Decodes a body, or throws `invalid_request`.
    public init(decoding bytes: UnsafeRawBufferPointer) throws(ThemisError) {
        self = try unsafe Self.unpack(bytes)
    }

    /// Appends the body, or throws `invalid_request` when a text holds a zero character.
    public func encode(into out: inout ByteBuffer) throws(ThemisError) {
        try unsafe pack(into: &out)
    }

    static func initialize(_ raw: UnsafeMutablePointer<Themis__V1__Table>) { unsafe themis__v1__table__init(raw) }

    static func unpack(
        _ allocator: UnsafeMutablePointer<ProtobufCAllocator>, _ count: Int, _ bytes: UnsafePointer<UInt8>?
    ) -> UnsafeMutablePointer<Themis__V1__Table>? { unsafe themis__v1__table__unpack(allocator, count, bytes) }

    init(raw: UnsafePointer<Themis__V1__Table>) throws(ThemisError) {
        name = try unsafe Protobuf.text(raw.pointee.name, "name")
        entities = unsafe raw.pointee.entities
        bytes = unsafe raw.pointee.bytes
        oldValues = unsafe raw.pointee.old_values != 0
        defaultTTLSeconds = unsafe raw.pointee.default_ttl_seconds
        createdMilliseconds = unsafe raw.pointee.created_ms
        id = unsafe raw.pointee.id
    }

    func fill(_ raw: UnsafeMutablePointer<Themis__V1__Table>, _ arena: inout MessageArena) throws(ThemisError) {
        try unsafe arena.set(&raw.pointee.name, name)
        unsafe raw.pointee.entities = entities
        unsafe raw.pointee.bytes = bytes
        unsafe raw.pointee.old_values = oldValues ? 1 : 0
        unsafe raw.pointee.default_ttl_seconds = defaultTTLSeconds
        unsafe raw.pointee.created_ms = createdMilliseconds
        unsafe raw.pointee.id = id
    }
}

/// The answer to TableList.
public struct TableListResponse: RPCMessage, @unsafe ProtobufMessage, Equatable {
    /// All tables, by name.
    public var tables: [TableMessage]

    /// A message with these members.
    public init(tables: [TableMessage] = []) {
        self.tables = tables
    }

    /// Decodes a body, or throws `invalid_request`.
    public init(decoding bytes: UnsafeRawBufferPointer) throws(ThemisError) {
        var tables: [TableMessage] = []
        self = try unsafe Self.unpack(bytes, elementLimit: Limits.tables) { element throws(ThemisError) in
            tables.append(try unsafe TableMessage(decoding: element))
        }
        self.tables = tables
    }

    /// Appends the body, or throws `invalid_request` when a text holds a zero character.
    public func encode(into out: inout ByteBuffer) throws(ThemisError) {
        for element in tables { try unsafe Self.pack(element: element, into: &out) }
        try unsafe pack(into: &out)
    }

    static func initialize(_ raw: UnsafeMutablePointer<Themis__V1__TableListResponse>) {
        unsafe themis__v1__table_list_response__init(raw)
    }

    static func unpack(
        _ allocator: UnsafeMutablePointer<ProtobufCAllocator>, _ count: Int, _ bytes: UnsafePointer<UInt8>?
    ) -> UnsafeMutablePointer<Themis__V1__TableListResponse>? {
        unsafe themis__v1__table_list_response__unpack(allocator, count, bytes)
    }

    init(raw: UnsafePointer<Themis__V1__TableListResponse>) throws(ThemisError) {
        tables = []
    }

    func fill(_ raw: UnsafeMutablePointer<Themis__V1__TableListResponse>, _ arena: inout MessageArena) throws(ThemisError) {
    }
}

/// The body of TableGet, TableDrop and TableTruncate.
public struct TableRequest: RPCMessage, @unsafe ProtobufMessage, Equatable {
    /// The table.
    public var name: String

    /// A message with these members.
    public init(name: String) {
        self.name = name
    }

    /// Decodes a body, or throws `invalid_request`.
    public init(decoding bytes: UnsafeRawBufferPointer) throws(ThemisError) {
        self = try unsafe Self.unpack(bytes)
    }

    /// Appends the body, or throws `invalid_request` when a text holds a zero character.
    public func encode(into out: inout ByteBuffer) throws(ThemisError) {
        try unsafe pack(into: &out)
    }

    static func initialize(_ raw: UnsafeMutablePointer<Themis__V1__TableRequest>) { unsafe themis__v1__table_request__init(raw) }

    static func unpack(
        _ allocator: UnsafeMutablePointer<ProtobufCAllocator>, _ count: Int, _ bytes: UnsafePointer<UInt8>?
    ) -> UnsafeMutablePointer<Themis__V1__TableRequest>? { unsafe themis__v1__table_request__unpack(allocator, count, bytes) }

    init(raw: UnsafePointer<Themis__V1__TableRequest>) throws(ThemisError) {
        name = try unsafe Protobuf.text(raw.pointee.name, "name")
    }

    func fill(_ raw: UnsafeMutablePointer<Themis__V1__TableRequest>, _ arena: inout MessageArena) throws(ThemisError) {
        try unsafe arena.set(&raw.pointee.name, name)
    }
}

/// The body of TablePut, which makes a table or changes its settings.
public struct TablePutRequest: RPCMessage, @unsafe ProtobufMessage, Equatable {
    /// The table.
    public var name: String
    /// Whether changes carry the value before.
    public var oldValues: TableSwitch
    /// Whether `defaultTTLSeconds` is meant.
    public var setsDefaultTTL: Bool
    /// Life of an entity that names no other, in seconds; 0 without end.
    public var defaultTTLSeconds: Int64

    /// A message with these members.
    public init(name: String, oldValues: TableSwitch = .unchanged, setsDefaultTTL: Bool = false, defaultTTLSeconds: Int64 = 0) {
        self.name = name
        self.oldValues = oldValues
        self.setsDefaultTTL = setsDefaultTTL
        self.defaultTTLSeconds = defaultTTLSeconds
    }

    /// Decodes a body, or throws `invalid_request`.
    public init(decoding bytes: UnsafeRawBufferPointer) throws(ThemisError) {
        self = try unsafe Self.unpack(bytes)
    }

    /// Appends the body, or throws `invalid_request` when a text holds a zero character.
    public func encode(into out: inout ByteBuffer) throws(ThemisError) {
        try unsafe pack(into: &out)
    }

    static func initialize(_ raw: UnsafeMutablePointer<Themis__V1__TablePutRequest>) {
        unsafe themis__v1__table_put_request__init(raw)
    }

    static func unpack(
        _ allocator: UnsafeMutablePointer<ProtobufCAllocator>, _ count: Int, _ bytes: UnsafePointer<UInt8>?
    ) -> UnsafeMutablePointer<Themis__V1__TablePutRequest>? {
        unsafe themis__v1__table_put_request__unpack(allocator, count, bytes)
    }

    init(raw: UnsafePointer<Themis__V1__TablePutRequest>) throws(ThemisError) {
        name = try unsafe Protobuf.text(raw.pointee.name, "name")
        oldValues = try unsafe Protobuf.word(raw.pointee.old_values, "old_values")
        setsDefaultTTL = unsafe raw.pointee.set_default_ttl != 0
        defaultTTLSeconds = unsafe raw.pointee.default_ttl_seconds
    }

    func fill(_ raw: UnsafeMutablePointer<Themis__V1__TablePutRequest>, _ arena: inout MessageArena) throws(ThemisError) {
        try unsafe arena.set(&raw.pointee.name, name)
        unsafe raw.pointee.old_values = oldValues.rawValue
        unsafe raw.pointee.set_default_ttl = setsDefaultTTL ? 1 : 0
        unsafe raw.pointee.default_ttl_seconds = defaultTTLSeconds
    }
}

/// The answer to TableGet and TablePut.
public struct TableResponse: RPCMessage, @unsafe ProtobufMessage, Equatable {
    /// The table as it is now.
    public var table: TableMessage
    /// Whether it did not exist before.
    public var created: Bool

    /// A message with these members.
    public init(table: TableMessage, created: Bool = false) {
        self.table = table
        self.created = created
    }

    /// Decodes a body, or throws `invalid_request`.
    public init(decoding bytes: UnsafeRawBufferPointer) throws(ThemisError) {
        self = try unsafe Self.unpack(bytes)
    }

    /// Appends the body, or throws `invalid_request` when a text holds a zero character.
    public func encode(into out: inout ByteBuffer) throws(ThemisError) {
        try unsafe pack(into: &out)
    }

    static func initialize(_ raw: UnsafeMutablePointer<Themis__V1__TableResponse>) {
        unsafe themis__v1__table_response__init(raw)
    }

    static func unpack(
        _ allocator: UnsafeMutablePointer<ProtobufCAllocator>, _ count: Int, _ bytes: UnsafePointer<UInt8>?
    ) -> UnsafeMutablePointer<Themis__V1__TableResponse>? { unsafe themis__v1__table_response__unpack(allocator, count, bytes) }

    init(raw: UnsafePointer<Themis__V1__TableResponse>) throws(ThemisError) {
        table = try unsafe Protobuf.required(raw.pointee.table, "table") { raw throws(ThemisError) in
            try unsafe TableMessage(raw: raw)
        }
        created = unsafe raw.pointee.created != 0
    }

    func fill(_ raw: UnsafeMutablePointer<Themis__V1__TableResponse>, _ arena: inout MessageArena) throws(ThemisError) {
        unsafe raw.pointee.table = try unsafe arena.make(table)
        unsafe raw.pointee.created = created ? 1 : 0
    }
}

/// The answer to TableDrop and TableTruncate.
public struct TableDropResponse: RPCMessage, @unsafe ProtobufMessage, Equatable {
    /// Entities that are gone.
    public var deleted: UInt64
    /// The sequence of the last change record.
    public var sequence: UInt64

    /// A message with these members.
    public init(deleted: UInt64 = 0, sequence: UInt64 = 0) {
        self.deleted = deleted
        self.sequence = sequence
    }

    /// Decodes a body, or throws `invalid_request`.
    public init(decoding bytes: UnsafeRawBufferPointer) throws(ThemisError) {
        self = try unsafe Self.unpack(bytes)
    }

    /// Appends the body, or throws `invalid_request` when a text holds a zero character.
    public func encode(into out: inout ByteBuffer) throws(ThemisError) {
        try unsafe pack(into: &out)
    }

    static func initialize(_ raw: UnsafeMutablePointer<Themis__V1__TableDropResponse>) {
        unsafe themis__v1__table_drop_response__init(raw)
    }

    static func unpack(
        _ allocator: UnsafeMutablePointer<ProtobufCAllocator>, _ count: Int, _ bytes: UnsafePointer<UInt8>?
    ) -> UnsafeMutablePointer<Themis__V1__TableDropResponse>? {
        unsafe themis__v1__table_drop_response__unpack(allocator, count, bytes)
    }

    init(raw: UnsafePointer<Themis__V1__TableDropResponse>) throws(ThemisError) {
        deleted = unsafe raw.pointee.deleted
        sequence = unsafe raw.pointee.sequence
    }

    func fill(_ raw: UnsafeMutablePointer<Themis__V1__TableDropResponse>, _ arena: inout MessageArena) throws(ThemisError) {
        unsafe raw.pointee.deleted = deleted
        unsafe raw.pointee.sequence = sequence
    }
}
