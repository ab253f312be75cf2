import CThemisRPC
public import ThemisBase
public import ThemisNet

/// How far a job is.
public enum JobState: UInt32, Sendable {
    /// It works.
    case running = 1
    /// It has ended well.
    case done = 2
    /// It has ended with an error.
    case failed = 3
    /// It was stopped.
    case cancelled = 4
}

/// One long piece of work in the core.
public struct JobMessage: RPCMessage, @unsafe ProtobufMessage {
    /// Its id.
    public var id: String
    /// What it does, one word.
    public var kind: String
    /// How far it is.
    public var state: JobState
    /// Units done.
    public var done: UInt64
    /// Units in all; 0 when that is not known.
    public var total: UInt64
    /// When it began, in milliseconds since 1970.
    public var startedMilliseconds: Int64
    /// When it ended; 0 while it runs.
    public var endedMilliseconds: Int64
    /// What it works on, for people.
    public var detail: String
    /// Why it failed.
    public var error: ThemisError?

    /// A message with these members.
    public init(
        id: String, kind: String, state: JobState, done: UInt64 = 0, total: UInt64 = 0, startedMilliseconds: Int64 = 0,
        endedMilliseconds: Int64 = 0, detail: String = "", error: ThemisError? = nil
    ) {
        self.id = id
        self.kind = kind
        self.state = state
        self.done = done
        self.total = total
        self.startedMilliseconds = startedMilliseconds
        self.endedMilliseconds = endedMilliseconds
        self.detail = detail
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

    static func initialize(_ raw: UnsafeMutablePointer<Themis__V1__Job>) { unsafe themis__v1__job__init(raw) }

    static func unpack(
        _ allocator: UnsafeMutablePointer<ProtobufCAllocator>, _ count: Int, _ bytes: UnsafePointer<UInt8>?
    ) -> UnsafeMutablePointer<Themis__V1__Job>? { unsafe themis__v1__job__unpack(allocator, count, bytes) }

    init(raw: UnsafePointer<Themis__V1__Job>) throws(ThemisError) {
        id = try unsafe Protobuf.text(raw.pointee.id, "id")
        kind = try unsafe Protobuf.text(raw.pointee.kind, "kind")
        state = try unsafe Protobuf.word(raw.pointee.state, "state")
        done = unsafe raw.pointee.done
        total = unsafe raw.pointee.total
        startedMilliseconds = unsafe raw.pointee.started_ms
        endedMilliseconds = unsafe raw.pointee.ended_ms
        detail = try unsafe Protobuf.text(raw.pointee.detail, "detail")
        error = try unsafe Protobuf.optional(raw.pointee.error) { raw throws(ThemisError) in try unsafe ThemisError(raw: raw) }
    }

    func fill(_ raw: UnsafeMutablePointer<Themis__V1__Job>, _ arena: inout MessageArena) throws(ThemisError) {
        try unsafe arena.set(&raw.pointee.id, id)
        try unsafe arena.set(&raw.pointee.kind, kind)
        unsafe raw.pointee.state = state.rawValue
        unsafe raw.pointee.done = done
        unsafe raw.pointee.total = total
        unsafe raw.pointee.started_ms = startedMilliseconds
        unsafe raw.pointee.ended_ms = endedMilliseconds
        try unsafe arena.set(&raw.pointee.detail, detail)
        if let error { unsafe raw.pointee.error = try unsafe arena.make(error) }
    }
}

/// The answer to JobList.
public struct JobListResponse: RPCMessage, @unsafe ProtobufMessage {
    /// The jobs, newest first.
    public var jobs: [JobMessage]

    /// A message with these members.
    public init(jobs: [JobMessage] = []) {
        self.jobs = jobs
    }

    /// Decodes a body, or throws `invalid_request`.
    public init(decoding bytes: UnsafeRawBufferPointer) throws(ThemisError) {
        var jobs: [JobMessage] = []
        self = try unsafe Self.unpack(bytes, elementLimit: Limits.jobsKept) { element throws(ThemisError) in
            jobs.append(try unsafe JobMessage(decoding: element))
        }
        self.jobs = jobs
    }

    /// Appends the body, or throws `invalid_request` when a text holds a zero character.
    public func encode(into out: inout ByteBuffer) throws(ThemisError) {
        for element in jobs { try unsafe Self.pack(element: element, into: &out) }
        try unsafe pack(into: &out)
    }

    static func initialize(_ raw: UnsafeMutablePointer<Themis__V1__JobListResponse>) {
        unsafe themis__v1__job_list_response__init(raw)
    }

    static func unpack(
        _ allocator: UnsafeMutablePointer<ProtobufCAllocator>, _ count: Int, _ bytes: UnsafePointer<UInt8>?
    ) -> UnsafeMutablePointer<Themis__V1__JobListResponse>? {
        unsafe themis__v1__job_list_response__unpack(allocator, count, bytes)
    }

    init(raw: UnsafePointer<Themis__V1__JobListResponse>) throws(ThemisError) {
        jobs = []
    }

    func fill(_ raw: UnsafeMutablePointer<Themis__V1__JobListResponse>, _ arena: inout MessageArena) throws(ThemisError) {
    }
}

/// The body of JobGet and JobCancel.
public struct JobRequest: RPCMessage, @unsafe ProtobufMessage, Equatable {
    /// The job.
    public var id: String

    /// A message with these members.
    public init(id: String) {
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

    static func initialize(_ raw: UnsafeMutablePointer<Themis__V1__JobRequest>) { unsafe themis__v1__job_request__init(raw) }

    static func unpack(
        _ allocator: UnsafeMutablePointer<ProtobufCAllocator>, _ count: Int, _ bytes: UnsafePointer<UInt8>?
    ) -> UnsafeMutablePointer<Themis__V1__JobRequest>? { unsafe themis__v1__job_request__unpack(allocator, count, bytes) }

    init(raw: UnsafePointer<Themis__V1__JobRequest>) throws(ThemisError) {
        id = try unsafe Protobuf.text(raw.pointee.id, "id")
    }

    func fill(_ raw: UnsafeMutablePointer<Themis__V1__JobRequest>, _ arena: inout MessageArena) throws(ThemisError) {
        try unsafe arena.set(&raw.pointee.id, id)
    }
}

/// The answer of every method that starts, reads or stops a job.
public struct JobResponse: RPCMessage, @unsafe ProtobufMessage {
    /// The job as it is now.
    public var job: JobMessage

    /// A message with these members.
    public init(job: JobMessage) {
        self.job = job
    }

    /// Decodes a body, or throws `invalid_request`.
    public init(decoding bytes: UnsafeRawBufferPointer) throws(ThemisError) {
        self = try unsafe Self.unpack(bytes)
    }

    /// Appends the body, or throws `invalid_request` when a text holds a zero character.
    public func encode(into out: inout ByteBuffer) throws(ThemisError) {
        try unsafe pack(into: &out)
    }

    static func initialize(_ raw: UnsafeMutablePointer<Themis__V1__JobResponse>) { unsafe themis__v1__job_response__init(raw) }

    static func unpack(
        _ allocator: UnsafeMutablePointer<ProtobufCAllocator>, _ count: Int, _ bytes: UnsafePointer<UInt8>?
    ) -> UnsafeMutablePointer<Themis__V1__JobResponse>? { unsafe themis__v1__job_response__unpack(allocator, count, bytes) }

    init(raw: UnsafePointer<Themis__V1__JobResponse>) throws(ThemisError) {
        job = try unsafe Protobuf.required(raw.pointee.job, "job") { raw throws(ThemisError) in try unsafe JobMessage(raw: raw) }
    }

    func fill(_ raw: UnsafeMutablePointer<Themis__V1__JobResponse>, _ arena: inout MessageArena) throws(ThemisError) {
        unsafe raw.pointee.job = try unsafe arena.make(job)
    }
}

/// The body of Compact, which answers with a `JobResponse`.
public struct CompactRequest: RPCMessage, @unsafe ProtobufMessage, Equatable {
    /// The key space; empty = all.
    public var keyspace: String
    /// Only the entities of this table; empty = the whole key space.
    public var table: String

    /// A message with these members.
    public init(keyspace: String = "", table: String = "") {
        self.keyspace = keyspace
        self.table = table
    }

    /// Decodes a body, or throws `invalid_request`.
    public init(decoding bytes: UnsafeRawBufferPointer) throws(ThemisError) {
        self = try unsafe Self.unpack(bytes)
    }

    /// Appends the body, or throws `invalid_request` when a text holds a zero character.
    public func encode(into out: inout ByteBuffer) throws(ThemisError) {
        try unsafe pack(into: &out)
    }

    static func initialize(_ raw: UnsafeMutablePointer<Themis__V1__CompactRequest>) {
        unsafe themis__v1__compact_request__init(raw)
    }

    static func unpack(
        _ allocator: UnsafeMutablePointer<ProtobufCAllocator>, _ count: Int, _ bytes: UnsafePointer<UInt8>?
    ) -> UnsafeMutablePointer<Themis__V1__CompactRequest>? { unsafe themis__v1__compact_request__unpack(allocator, count, bytes) }

    init(raw: UnsafePointer<Themis__V1__CompactRequest>) throws(ThemisError) {
        keyspace = try unsafe Protobuf.text(raw.pointee.keyspace, "keyspace")
        table = try unsafe Protobuf.text(raw.pointee.table, "table")
    }

    func fill(_ raw: UnsafeMutablePointer<Themis__V1__CompactRequest>, _ arena: inout MessageArena) throws(ThemisError) {
        try unsafe arena.set(&raw.pointee.keyspace, keyspace)
        try unsafe arena.set(&raw.pointee.table, table)
    }
}
