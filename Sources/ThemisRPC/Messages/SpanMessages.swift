import CThemisRPC
public import ThemisBase
public import ThemisNet

/// The answer to MetricsPush.
public struct MetricsPushResponse: RPCMessage, @unsafe ProtobufMessage, Equatable {
    /// Spans that the core takes in the next SpansPush of this process; 0 while no exporter is connected.
    public var spanCredit: UInt32

    /// A message with these members.
    public init(spanCredit: UInt32 = 0) {
        self.spanCredit = spanCredit
    }

    /// Decodes a body, or throws `invalid_request`.
    public init(decoding bytes: UnsafeRawBufferPointer) throws(ThemisError) {
        self = try unsafe Self.unpack(bytes)
    }

    /// Appends the body, or throws `invalid_request` when a text holds a zero character.
    public func encode(into out: inout ByteBuffer) throws(ThemisError) {
        try unsafe pack(into: &out)
    }

    static func initialize(_ raw: UnsafeMutablePointer<Themis__V1__MetricsPushResponse>) {
        unsafe themis__v1__metrics_push_response__init(raw)
    }

    static func unpack(
        _ allocator: UnsafeMutablePointer<ProtobufCAllocator>, _ count: Int, _ bytes: UnsafePointer<UInt8>?
    ) -> UnsafeMutablePointer<Themis__V1__MetricsPushResponse>? {
        unsafe themis__v1__metrics_push_response__unpack(allocator, count, bytes)
    }

    init(raw: UnsafePointer<Themis__V1__MetricsPushResponse>) throws(ThemisError) {
        spanCredit = unsafe raw.pointee.span_credit
    }

    func fill(_ raw: UnsafeMutablePointer<Themis__V1__MetricsPushResponse>, _ arena: inout MessageArena) throws(ThemisError) {
        unsafe raw.pointee.span_credit = spanCredit
    }
}

/// The body of SpansPush.
public struct SpansPushRequest: RPCMessage, @unsafe ProtobufMessage, Equatable {
    /// Encoded spans, each behind its length.
    public var spans: [UInt8]

    /// A message with these members.
    public init(spans: [UInt8]) {
        self.spans = spans
    }

    /// Decodes a body, or throws `invalid_request`.
    public init(decoding bytes: UnsafeRawBufferPointer) throws(ThemisError) {
        self = try unsafe Self.unpack(bytes)
    }

    /// Appends the body, or throws `invalid_request` when a text holds a zero character.
    public func encode(into out: inout ByteBuffer) throws(ThemisError) {
        try unsafe pack(into: &out)
    }

    static func initialize(_ raw: UnsafeMutablePointer<Themis__V1__SpansPushRequest>) { unsafe themis__v1__spans_push_request__init(raw) }

    static func unpack(
        _ allocator: UnsafeMutablePointer<ProtobufCAllocator>, _ count: Int, _ bytes: UnsafePointer<UInt8>?
    ) -> UnsafeMutablePointer<Themis__V1__SpansPushRequest>? { unsafe themis__v1__spans_push_request__unpack(allocator, count, bytes) }

    init(raw: UnsafePointer<Themis__V1__SpansPushRequest>) throws(ThemisError) {
        spans = unsafe Protobuf.bytes(raw.pointee.spans)
    }

    func fill(_ raw: UnsafeMutablePointer<Themis__V1__SpansPushRequest>, _ arena: inout MessageArena) throws(ThemisError) {
    }

    func copyPayload(_ raw: UnsafeMutablePointer<Themis__V1__SpansPushRequest>, _ arena: inout MessageArena) throws(ThemisError) {
        try unsafe arena.set(&raw.pointee.spans, spans)
    }

    func lendPayload(
        _ raw: UnsafeMutablePointer<Themis__V1__SpansPushRequest>, _ arena: inout MessageArena, _ use: () throws(ThemisError) -> Void
    ) throws(ThemisError) {
        try unsafe Protobuf.lend(spans, to: &raw.pointee.spans, use)
    }
}

/// The answer to SpansPush.
public struct SpansPushResponse: RPCMessage, @unsafe ProtobufMessage, Equatable {
    /// Spans that the core takes in the next SpansPush of this process; 0 while no exporter is connected.
    public var spanCredit: UInt32

    /// A message with these members.
    public init(spanCredit: UInt32 = 0) {
        self.spanCredit = spanCredit
    }

    /// Decodes a body, or throws `invalid_request`.
    public init(decoding bytes: UnsafeRawBufferPointer) throws(ThemisError) {
        self = try unsafe Self.unpack(bytes)
    }

    /// Appends the body, or throws `invalid_request` when a text holds a zero character.
    public func encode(into out: inout ByteBuffer) throws(ThemisError) {
        try unsafe pack(into: &out)
    }

    static func initialize(_ raw: UnsafeMutablePointer<Themis__V1__SpansPushResponse>) { unsafe themis__v1__spans_push_response__init(raw) }

    static func unpack(
        _ allocator: UnsafeMutablePointer<ProtobufCAllocator>, _ count: Int, _ bytes: UnsafePointer<UInt8>?
    ) -> UnsafeMutablePointer<Themis__V1__SpansPushResponse>? { unsafe themis__v1__spans_push_response__unpack(allocator, count, bytes) }

    init(raw: UnsafePointer<Themis__V1__SpansPushResponse>) throws(ThemisError) {
        spanCredit = unsafe raw.pointee.span_credit
    }

    func fill(_ raw: UnsafeMutablePointer<Themis__V1__SpansPushResponse>, _ arena: inout MessageArena) throws(ThemisError) {
        unsafe raw.pointee.span_credit = spanCredit
    }
}

/// The body of SpansTake.
public struct SpansTakeRequest: RPCMessage, @unsafe ProtobufMessage, Equatable {
    /// The batch that has arrived since the last call; 0 = none.
    public var arrived: UInt64
    /// How long to wait for spans.
    public var waitMilliseconds: UInt32

    /// A message with these members.
    public init(arrived: UInt64 = 0, waitMilliseconds: UInt32 = 0) {
        self.arrived = arrived
        self.waitMilliseconds = waitMilliseconds
    }

    /// Decodes a body, or throws `invalid_request`.
    public init(decoding bytes: UnsafeRawBufferPointer) throws(ThemisError) {
        self = try unsafe Self.unpack(bytes)
    }

    /// Appends the body, or throws `invalid_request` when a text holds a zero character.
    public func encode(into out: inout ByteBuffer) throws(ThemisError) {
        try unsafe pack(into: &out)
    }

    static func initialize(_ raw: UnsafeMutablePointer<Themis__V1__SpansTakeRequest>) { unsafe themis__v1__spans_take_request__init(raw) }

    static func unpack(
        _ allocator: UnsafeMutablePointer<ProtobufCAllocator>, _ count: Int, _ bytes: UnsafePointer<UInt8>?
    ) -> UnsafeMutablePointer<Themis__V1__SpansTakeRequest>? { unsafe themis__v1__spans_take_request__unpack(allocator, count, bytes) }

    init(raw: UnsafePointer<Themis__V1__SpansTakeRequest>) throws(ThemisError) {
        arrived = unsafe raw.pointee.arrived
        waitMilliseconds = unsafe raw.pointee.wait_ms
    }

    func fill(_ raw: UnsafeMutablePointer<Themis__V1__SpansTakeRequest>, _ arena: inout MessageArena) throws(ThemisError) {
        unsafe raw.pointee.arrived = arrived
        unsafe raw.pointee.wait_ms = waitMilliseconds
    }
}

/// Spans of one process.
public struct SpanGroup: RPCMessage, @unsafe ProtobufMessage, Equatable {
    /// What the process is.
    public var role: String
    /// Its name among those of its role.
    public var instance: String
    /// Its build.
    public var version: String
    /// Encoded spans, each behind its length.
    public var spans: [UInt8]

    /// A message with these members.
    public init(role: String, instance: String, version: String, spans: [UInt8]) {
        self.role = role
        self.instance = instance
        self.version = version
        self.spans = spans
    }

    /// Decodes a body, or throws `invalid_request`.
    public init(decoding bytes: UnsafeRawBufferPointer) throws(ThemisError) {
        self = try unsafe Self.unpack(bytes)
    }

    /// Appends the body, or throws `invalid_request` when a text holds a zero character.
    public func encode(into out: inout ByteBuffer) throws(ThemisError) {
        try unsafe pack(into: &out)
    }

    static func initialize(_ raw: UnsafeMutablePointer<Themis__V1__SpanGroup>) { unsafe themis__v1__span_group__init(raw) }

    static func unpack(
        _ allocator: UnsafeMutablePointer<ProtobufCAllocator>, _ count: Int, _ bytes: UnsafePointer<UInt8>?
    ) -> UnsafeMutablePointer<Themis__V1__SpanGroup>? { unsafe themis__v1__span_group__unpack(allocator, count, bytes) }

    init(raw: UnsafePointer<Themis__V1__SpanGroup>) throws(ThemisError) {
        role = try unsafe Protobuf.text(raw.pointee.role, "role")
        instance = try unsafe Protobuf.text(raw.pointee.instance, "instance")
        version = try unsafe Protobuf.text(raw.pointee.version, "version")
        spans = unsafe Protobuf.bytes(raw.pointee.spans)
    }

    func fill(_ raw: UnsafeMutablePointer<Themis__V1__SpanGroup>, _ arena: inout MessageArena) throws(ThemisError) {
        try unsafe arena.set(&raw.pointee.role, role)
        try unsafe arena.set(&raw.pointee.instance, instance)
        try unsafe arena.set(&raw.pointee.version, version)
    }

    func copyPayload(_ raw: UnsafeMutablePointer<Themis__V1__SpanGroup>, _ arena: inout MessageArena) throws(ThemisError) {
        try unsafe arena.set(&raw.pointee.spans, spans)
    }

    func lendPayload(
        _ raw: UnsafeMutablePointer<Themis__V1__SpanGroup>, _ arena: inout MessageArena, _ use: () throws(ThemisError) -> Void
    ) throws(ThemisError) {
        try unsafe Protobuf.lend(spans, to: &raw.pointee.spans, use)
    }
}

/// The answer to SpansTake.
public struct SpansTakeResponse: RPCMessage, @unsafe ProtobufMessage, Equatable {
    /// The spans, by process.
    public var groups: [SpanGroup]
    /// Names this batch; 0 when it is empty.
    public var batch: UInt64
    /// Whether this exporter also exports the metrics of the set.
    public var leads: Bool

    /// A message with these members.
    public init(groups: [SpanGroup] = [], batch: UInt64 = 0, leads: Bool = false) {
        self.groups = groups
        self.batch = batch
        self.leads = leads
    }

    /// Decodes a body, or throws `invalid_request`.
    public init(decoding bytes: UnsafeRawBufferPointer) throws(ThemisError) {
        var groups: [SpanGroup] = []
        self = try unsafe Self.unpack(bytes, elementLimit: Limits.spanGroups) { element throws(ThemisError) in
            groups.append(try unsafe SpanGroup(decoding: element))
        }
        self.groups = groups
    }

    /// Appends the body, or throws `invalid_request` when a text holds a zero character.
    public func encode(into out: inout ByteBuffer) throws(ThemisError) {
        for element in groups { try unsafe Self.pack(element: element, into: &out) }
        try unsafe pack(into: &out)
    }

    static func initialize(_ raw: UnsafeMutablePointer<Themis__V1__SpansTakeResponse>) { unsafe themis__v1__spans_take_response__init(raw) }

    static func unpack(
        _ allocator: UnsafeMutablePointer<ProtobufCAllocator>, _ count: Int, _ bytes: UnsafePointer<UInt8>?
    ) -> UnsafeMutablePointer<Themis__V1__SpansTakeResponse>? { unsafe themis__v1__spans_take_response__unpack(allocator, count, bytes) }

    init(raw: UnsafePointer<Themis__V1__SpansTakeResponse>) throws(ThemisError) {
        groups = []
        batch = unsafe raw.pointee.batch
        leads = unsafe raw.pointee.leads != 0
    }

    func fill(_ raw: UnsafeMutablePointer<Themis__V1__SpansTakeResponse>, _ arena: inout MessageArena) throws(ThemisError) {
        unsafe raw.pointee.batch = batch
        unsafe raw.pointee.leads = leads ? 1 : 0
    }
}
