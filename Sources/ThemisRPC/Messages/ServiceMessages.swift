import CThemisRPC
public import ThemisBase
public import ThemisNet

/// The answer to Ping.
public struct PingResponse: RPCMessage, @unsafe ProtobufMessage, Equatable {
    /// `healthy`, `degraded`, `read_only` or `recovering`.
    public var state: String
    /// What is wrong, for people.
    public var detail: String
    /// The newest sequence.
    public var latest: UInt64
    /// The version of the core.
    public var version: String
    /// The version of RocksDB.
    public var rocksDB: String
    /// Milliseconds since the core started.
    public var uptimeMilliseconds: UInt64

    /// A message with these members.
    public init(
        state: String, detail: String = "", latest: UInt64 = 0, version: String = "", rocksDB: String = "",
        uptimeMilliseconds: UInt64 = 0
    ) {
        self.state = state
        self.detail = detail
        self.latest = latest
        self.version = version
        self.rocksDB = rocksDB
        self.uptimeMilliseconds = uptimeMilliseconds
    }

    /// Decodes a body, or throws `invalid_request`.
    public init(decoding bytes: UnsafeRawBufferPointer) throws(ThemisError) {
        self = try unsafe Self.unpack(bytes)
    }

    /// Appends the body, or throws `invalid_request` when a text holds a zero character.
    public func encode(into out: inout ByteBuffer) throws(ThemisError) {
        try unsafe pack(into: &out)
    }

    static func initialize(_ raw: UnsafeMutablePointer<Themis__V1__PingResponse>) { unsafe themis__v1__ping_response__init(raw) }

    static func unpack(
        _ allocator: UnsafeMutablePointer<ProtobufCAllocator>, _ count: Int, _ bytes: UnsafePointer<UInt8>?
    ) -> UnsafeMutablePointer<Themis__V1__PingResponse>? { unsafe themis__v1__ping_response__unpack(allocator, count, bytes) }

    init(raw: UnsafePointer<Themis__V1__PingResponse>) throws(ThemisError) {
        state = try unsafe Protobuf.text(raw.pointee.state, "state")
        detail = try unsafe Protobuf.text(raw.pointee.detail, "detail")
        latest = unsafe raw.pointee.latest
        version = try unsafe Protobuf.text(raw.pointee.version, "version")
        rocksDB = try unsafe Protobuf.text(raw.pointee.rocksdb, "rocksdb")
        uptimeMilliseconds = unsafe raw.pointee.uptime_ms
    }

    func fill(_ raw: UnsafeMutablePointer<Themis__V1__PingResponse>, _ arena: inout MessageArena) throws(ThemisError) {
        try unsafe arena.set(&raw.pointee.state, state)
        try unsafe arena.set(&raw.pointee.detail, detail)
        unsafe raw.pointee.latest = latest
        try unsafe arena.set(&raw.pointee.version, version)
        try unsafe arena.set(&raw.pointee.rocksdb, rocksDB)
        unsafe raw.pointee.uptime_ms = uptimeMilliseconds
    }
}

/// The answer to Stats and ConfigGet: JSON text made by the core.
public struct TextResponse: RPCMessage, @unsafe ProtobufMessage, Equatable {
    /// The JSON text.
    public var text: [UInt8]
    /// IndexDrop: whether it is the answer to an earlier request under the same idempotency key.
    public var replayed: Bool

    /// A message with these members.
    public init(text: [UInt8], replayed: Bool = false) {
        self.text = text
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

    static func initialize(_ raw: UnsafeMutablePointer<Themis__V1__TextResponse>) { unsafe themis__v1__text_response__init(raw) }

    static func unpack(
        _ allocator: UnsafeMutablePointer<ProtobufCAllocator>, _ count: Int, _ bytes: UnsafePointer<UInt8>?
    ) -> UnsafeMutablePointer<Themis__V1__TextResponse>? { unsafe themis__v1__text_response__unpack(allocator, count, bytes) }

    init(raw: UnsafePointer<Themis__V1__TextResponse>) throws(ThemisError) {
        text = unsafe Protobuf.bytes(raw.pointee.text)
        replayed = unsafe raw.pointee.replayed != 0
    }

    func fill(_ raw: UnsafeMutablePointer<Themis__V1__TextResponse>, _ arena: inout MessageArena) throws(ThemisError) {
        unsafe raw.pointee.replayed = replayed ? 1 : 0
    }

    func copyPayload(_ raw: UnsafeMutablePointer<Themis__V1__TextResponse>, _ arena: inout MessageArena) throws(ThemisError) {
        try unsafe arena.set(&raw.pointee.text, text)
    }

    func lendPayload(
        _ raw: UnsafeMutablePointer<Themis__V1__TextResponse>, _ arena: inout MessageArena, _ use: () throws(ThemisError) -> Void
    ) throws(ThemisError) {
        try unsafe Protobuf.lend(text, to: &raw.pointee.text, use)
    }
}

/// The body of ConfigGet.
public struct ConfigRequest: RPCMessage, @unsafe ProtobufMessage, Equatable {
    /// Empty, `drift` or `schema`.
    public var view: String

    /// A message with these members.
    public init(view: String = "") {
        self.view = view
    }

    /// Decodes a body, or throws `invalid_request`.
    public init(decoding bytes: UnsafeRawBufferPointer) throws(ThemisError) {
        self = try unsafe Self.unpack(bytes)
    }

    /// Appends the body, or throws `invalid_request` when a text holds a zero character.
    public func encode(into out: inout ByteBuffer) throws(ThemisError) {
        try unsafe pack(into: &out)
    }

    static func initialize(_ raw: UnsafeMutablePointer<Themis__V1__ConfigRequest>) {
        unsafe themis__v1__config_request__init(raw)
    }

    static func unpack(
        _ allocator: UnsafeMutablePointer<ProtobufCAllocator>, _ count: Int, _ bytes: UnsafePointer<UInt8>?
    ) -> UnsafeMutablePointer<Themis__V1__ConfigRequest>? { unsafe themis__v1__config_request__unpack(allocator, count, bytes) }

    init(raw: UnsafePointer<Themis__V1__ConfigRequest>) throws(ThemisError) {
        view = try unsafe Protobuf.text(raw.pointee.view, "view")
    }

    func fill(_ raw: UnsafeMutablePointer<Themis__V1__ConfigRequest>, _ arena: inout MessageArena) throws(ThemisError) {
        try unsafe arena.set(&raw.pointee.view, view)
    }
}

/// The body of MetricsPush, which answers with an empty body.
public struct MetricsPushRequest: RPCMessage, @unsafe ProtobufMessage, Equatable {
    /// An encoded metric snapshot of the sidecar.
    public var snapshot: [UInt8]
    /// Another number at every start of the process, so that its counters are added up rightly.
    public var bootID: UInt64

    /// A message with these members.
    public init(snapshot: [UInt8], bootID: UInt64) {
        self.snapshot = snapshot
        self.bootID = bootID
    }

    /// Decodes a body, or throws `invalid_request`.
    public init(decoding bytes: UnsafeRawBufferPointer) throws(ThemisError) {
        self = try unsafe Self.unpack(bytes)
    }

    /// Appends the body, or throws `invalid_request` when a text holds a zero character.
    public func encode(into out: inout ByteBuffer) throws(ThemisError) {
        try unsafe pack(into: &out)
    }

    static func initialize(_ raw: UnsafeMutablePointer<Themis__V1__MetricsPushRequest>) {
        unsafe themis__v1__metrics_push_request__init(raw)
    }

    static func unpack(
        _ allocator: UnsafeMutablePointer<ProtobufCAllocator>, _ count: Int, _ bytes: UnsafePointer<UInt8>?
    ) -> UnsafeMutablePointer<Themis__V1__MetricsPushRequest>? {
        unsafe themis__v1__metrics_push_request__unpack(allocator, count, bytes)
    }

    init(raw: UnsafePointer<Themis__V1__MetricsPushRequest>) throws(ThemisError) {
        snapshot = unsafe Protobuf.bytes(raw.pointee.snapshot)
        bootID = unsafe raw.pointee.boot_id
    }

    func fill(_ raw: UnsafeMutablePointer<Themis__V1__MetricsPushRequest>, _ arena: inout MessageArena) throws(ThemisError) {
        try unsafe arena.set(&raw.pointee.snapshot, snapshot)
        unsafe raw.pointee.boot_id = bootID
    }
}

/// The body of MetricsRead.
public struct MetricsReadRequest: RPCMessage, @unsafe ProtobufMessage, Equatable {
    /// Whether each process stands for itself; else they are summed.
    public var byInstance: Bool

    /// A message with these members.
    public init(byInstance: Bool = false) {
        self.byInstance = byInstance
    }

    /// Decodes a body, or throws `invalid_request`.
    public init(decoding bytes: UnsafeRawBufferPointer) throws(ThemisError) {
        self = try unsafe Self.unpack(bytes)
    }

    /// Appends the body, or throws `invalid_request` when a text holds a zero character.
    public func encode(into out: inout ByteBuffer) throws(ThemisError) {
        try unsafe pack(into: &out)
    }

    static func initialize(_ raw: UnsafeMutablePointer<Themis__V1__MetricsReadRequest>) {
        unsafe themis__v1__metrics_read_request__init(raw)
    }

    static func unpack(
        _ allocator: UnsafeMutablePointer<ProtobufCAllocator>, _ count: Int, _ bytes: UnsafePointer<UInt8>?
    ) -> UnsafeMutablePointer<Themis__V1__MetricsReadRequest>? {
        unsafe themis__v1__metrics_read_request__unpack(allocator, count, bytes)
    }

    init(raw: UnsafePointer<Themis__V1__MetricsReadRequest>) throws(ThemisError) {
        byInstance = unsafe raw.pointee.by_instance != 0
    }

    func fill(_ raw: UnsafeMutablePointer<Themis__V1__MetricsReadRequest>, _ arena: inout MessageArena) throws(ThemisError) {
        unsafe raw.pointee.by_instance = byInstance ? 1 : 0
    }
}

/// The answer to MetricsRead.
public struct MetricsReadResponse: RPCMessage, @unsafe ProtobufMessage, Equatable {
    /// An encoded metric snapshot.
    public var snapshot: [UInt8]

    /// A message with these members.
    public init(snapshot: [UInt8]) {
        self.snapshot = snapshot
    }

    /// Decodes a body, or throws `invalid_request`.
    public init(decoding bytes: UnsafeRawBufferPointer) throws(ThemisError) {
        self = try unsafe Self.unpack(bytes)
    }

    /// Appends the body, or throws `invalid_request` when a text holds a zero character.
    public func encode(into out: inout ByteBuffer) throws(ThemisError) {
        try unsafe pack(into: &out)
    }

    static func initialize(_ raw: UnsafeMutablePointer<Themis__V1__MetricsReadResponse>) {
        unsafe themis__v1__metrics_read_response__init(raw)
    }

    static func unpack(
        _ allocator: UnsafeMutablePointer<ProtobufCAllocator>, _ count: Int, _ bytes: UnsafePointer<UInt8>?
    ) -> UnsafeMutablePointer<Themis__V1__MetricsReadResponse>? {
        unsafe themis__v1__metrics_read_response__unpack(allocator, count, bytes)
    }

    init(raw: UnsafePointer<Themis__V1__MetricsReadResponse>) throws(ThemisError) {
        snapshot = unsafe Protobuf.bytes(raw.pointee.snapshot)
    }

    func fill(_ raw: UnsafeMutablePointer<Themis__V1__MetricsReadResponse>, _ arena: inout MessageArena) throws(ThemisError) {
    }

    func copyPayload(_ raw: UnsafeMutablePointer<Themis__V1__MetricsReadResponse>, _ arena: inout MessageArena) throws(ThemisError) {
        try unsafe arena.set(&raw.pointee.snapshot, snapshot)
    }

    func lendPayload(
        _ raw: UnsafeMutablePointer<Themis__V1__MetricsReadResponse>, _ arena: inout MessageArena, _ use: () throws(ThemisError) -> Void
    ) throws(ThemisError) {
        try unsafe Protobuf.lend(snapshot, to: &raw.pointee.snapshot, use)
    }
}
