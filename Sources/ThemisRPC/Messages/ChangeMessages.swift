import CThemisRPC
public import ThemisBase
public import ThemisNet

/// Kinds of change records, as bits of a filter.
public struct ChangeKinds: OptionSet, Sendable {
    /// The bits.
    public let rawValue: UInt32
    /// Any bits; unknown ones mean nothing.
    public init(rawValue: UInt32) { self.rawValue = rawValue }
    /// An entity was stored.
    public static let put = ChangeKinds(rawValue: 1)
    /// An entity was removed.
    public static let delete = ChangeKinds(rawValue: 2)
    /// A record of the system: index, feature, restore.
    public static let system = ChangeKinds(rawValue: 4)
}

/// Why a change happened.
public enum ChangeCause: UInt32, Sendable {
    /// A client asked for it.
    case request = 0
    /// The entity's time was over.
    case ttl = 1
    /// The table was dropped or truncated.
    case table = 2
    /// A range was deleted.
    case range = 3
}

/// Which change records are wanted.
public struct ChangesFilter: RPCMessage, @unsafe ProtobufMessage, Equatable {
    /// Only this table; empty = all.
    public var table: String
    /// Only keys (`table:pk`) that begin so; empty = all.
    public var keyPrefix: String
    /// Only these kinds; empty = PUT and DELETE.
    public var kinds: ChangeKinds

    /// A message with these members.
    public init(table: String = "", keyPrefix: String = "", kinds: ChangeKinds = []) {
        self.table = table
        self.keyPrefix = keyPrefix
        self.kinds = kinds
    }

    /// Decodes a body, or throws `invalid_request`.
    public init(decoding bytes: UnsafeRawBufferPointer) throws(ThemisError) {
        self = try unsafe Self.unpack(bytes)
    }

    /// Appends the body, or throws `invalid_request` when a text holds a zero character.
    public func encode(into out: inout ByteBuffer) throws(ThemisError) {
        try unsafe pack(into: &out)
    }

    static func initialize(_ raw: UnsafeMutablePointer<Themis__V1__ChangesFilter>) {
        unsafe themis__v1__changes_filter__init(raw)
    }

    static func unpack(
        _ allocator: UnsafeMutablePointer<ProtobufCAllocator>, _ count: Int, _ bytes: UnsafePointer<UInt8>?
    ) -> UnsafeMutablePointer<Themis__V1__ChangesFilter>? { unsafe themis__v1__changes_filter__unpack(allocator, count, bytes) }

    init(raw: UnsafePointer<Themis__V1__ChangesFilter>) throws(ThemisError) {
        table = try unsafe Protobuf.text(raw.pointee.table, "table")
        keyPrefix = try unsafe Protobuf.text(raw.pointee.key_prefix, "key_prefix")
        kinds = unsafe ChangeKinds(rawValue: raw.pointee.types)
    }

    func fill(_ raw: UnsafeMutablePointer<Themis__V1__ChangesFilter>, _ arena: inout MessageArena) throws(ThemisError) {
        try unsafe arena.set(&raw.pointee.table, table)
        try unsafe arena.set(&raw.pointee.key_prefix, keyPrefix)
        unsafe raw.pointee.types = kinds.rawValue
    }
}

/// One change record.
public struct ChangeMessage: RPCMessage, @unsafe ProtobufMessage, Equatable {
    /// Its position.
    public var sequence: UInt64
    /// 0 for data; records of the system hang behind the data record with the same sequence.
    public var ordinal: UInt32
    /// Its kind, one bit.
    public var kind: ChangeKinds
    /// The table.
    public var table: String
    /// The primary key.
    public var pk: String
    /// The version of the entity, which is the sequence for data.
    public var version: UInt64
    /// The version before; 0 when there was none.
    public var previousVersion: UInt64
    /// When it was committed, in milliseconds since 1970; never decreases.
    public var timestampMilliseconds: Int64
    /// Its place in its transaction, from 0.
    public var transactionIndex: UInt32
    /// Records of its transaction.
    public var transactionCount: UInt32
    /// Why it happened.
    public var cause: ChangeCause
    /// The document as JSON text; empty for a deletion.
    public var value: [UInt8]
    /// The document before.
    public var oldValue: [UInt8]
    /// Whether `oldValue` is meant.
    public var hasOldValue: Bool

    /// A message with these members.
    public init(
        sequence: UInt64, ordinal: UInt32 = 0, kind: ChangeKinds, table: String, pk: String, version: UInt64 = 0,
        previousVersion: UInt64 = 0, timestampMilliseconds: Int64 = 0, transactionIndex: UInt32 = 0,
        transactionCount: UInt32 = 1, cause: ChangeCause = .request, value: [UInt8] = [], oldValue: [UInt8] = [],
        hasOldValue: Bool = false
    ) {
        self.sequence = sequence
        self.ordinal = ordinal
        self.kind = kind
        self.table = table
        self.pk = pk
        self.version = version
        self.previousVersion = previousVersion
        self.timestampMilliseconds = timestampMilliseconds
        self.transactionIndex = transactionIndex
        self.transactionCount = transactionCount
        self.cause = cause
        self.value = value
        self.oldValue = oldValue
        self.hasOldValue = hasOldValue
    }

    /// Decodes a body, or throws `invalid_request`.
    public init(decoding bytes: UnsafeRawBufferPointer) throws(ThemisError) {
        self = try unsafe Self.unpack(bytes)
    }

    /// Appends the body, or throws `invalid_request` when a text holds a zero character.
    public func encode(into out: inout ByteBuffer) throws(ThemisError) {
        try unsafe pack(into: &out)
    }

    static func initialize(_ raw: UnsafeMutablePointer<Themis__V1__Change>) { unsafe themis__v1__change__init(raw) }

    static func unpack(
        _ allocator: UnsafeMutablePointer<ProtobufCAllocator>, _ count: Int, _ bytes: UnsafePointer<UInt8>?
    ) -> UnsafeMutablePointer<Themis__V1__Change>? { unsafe themis__v1__change__unpack(allocator, count, bytes) }

    init(raw: UnsafePointer<Themis__V1__Change>) throws(ThemisError) {
        sequence = unsafe raw.pointee.sequence
        ordinal = unsafe raw.pointee.ordinal
        kind = unsafe ChangeKinds(rawValue: raw.pointee.type)
        table = try unsafe Protobuf.text(raw.pointee.table, "table")
        pk = try unsafe Protobuf.text(raw.pointee.pk, "pk")
        version = unsafe raw.pointee.version
        previousVersion = unsafe raw.pointee.previous_version
        timestampMilliseconds = unsafe raw.pointee.timestamp_ms
        transactionIndex = unsafe raw.pointee.txn_index
        transactionCount = unsafe raw.pointee.txn_count
        cause = try unsafe Protobuf.word(raw.pointee.cause, "cause")
        value = unsafe Protobuf.bytes(raw.pointee.value)
        oldValue = unsafe Protobuf.bytes(raw.pointee.old_value)
        hasOldValue = unsafe raw.pointee.has_old_value != 0
    }

    func fill(_ raw: UnsafeMutablePointer<Themis__V1__Change>, _ arena: inout MessageArena) throws(ThemisError) {
        unsafe raw.pointee.sequence = sequence
        unsafe raw.pointee.ordinal = ordinal
        unsafe raw.pointee.type = kind.rawValue
        try unsafe arena.set(&raw.pointee.table, table)
        try unsafe arena.set(&raw.pointee.pk, pk)
        unsafe raw.pointee.version = version
        unsafe raw.pointee.previous_version = previousVersion
        unsafe raw.pointee.timestamp_ms = timestampMilliseconds
        unsafe raw.pointee.txn_index = transactionIndex
        unsafe raw.pointee.txn_count = transactionCount
        unsafe raw.pointee.cause = cause.rawValue
        try unsafe arena.set(&raw.pointee.old_value, oldValue)
        unsafe raw.pointee.has_old_value = hasOldValue ? 1 : 0
    }

    func copyPayload(_ raw: UnsafeMutablePointer<Themis__V1__Change>, _ arena: inout MessageArena) throws(ThemisError) {
        try unsafe arena.set(&raw.pointee.value, value)
    }

    func lendPayload(
        _ raw: UnsafeMutablePointer<Themis__V1__Change>, _ arena: inout MessageArena, _ use: () throws(ThemisError) -> Void
    ) throws(ThemisError) {
        try unsafe Protobuf.lend(value, to: &raw.pointee.value, use)
    }
}

/// The body of ChangesRead, and of ChangesFollow (which does not look at `limit` and `waitMilliseconds`).
public struct ChangesReadRequest: RPCMessage, @unsafe ProtobufMessage, Equatable {
    /// The position before the first record wanted.
    public var after: UInt64
    /// Whether to begin at the newest; `after` is not looked at.
    public var fromNow: Bool
    /// The epoch that `after` belongs to; empty = whichever.
    public var epoch: String
    /// At most so many records, up to `Limits.changefeedPage`.
    public var limit: UInt32
    /// How long to wait for a record when there is none, up to `Limits.longPollMilliseconds`.
    public var waitMilliseconds: UInt32
    /// Which records are wanted; nil = PUT and DELETE of all tables.
    public var filter: ChangesFilter?
    /// Whether the values before are wanted.
    public var oldValues: Bool

    /// A message with these members.
    public init(
        after: UInt64 = 0, fromNow: Bool = false, epoch: String = "", limit: UInt32 = 0, waitMilliseconds: UInt32 = 0,
        filter: ChangesFilter? = nil, oldValues: Bool = false
    ) {
        self.after = after
        self.fromNow = fromNow
        self.epoch = epoch
        self.limit = limit
        self.waitMilliseconds = waitMilliseconds
        self.filter = filter
        self.oldValues = oldValues
    }

    /// Decodes a body, or throws `invalid_request`.
    public init(decoding bytes: UnsafeRawBufferPointer) throws(ThemisError) {
        self = try unsafe Self.unpack(bytes)
    }

    /// Appends the body, or throws `invalid_request` when a text holds a zero character.
    public func encode(into out: inout ByteBuffer) throws(ThemisError) {
        try unsafe pack(into: &out)
    }

    static func initialize(_ raw: UnsafeMutablePointer<Themis__V1__ChangesReadRequest>) {
        unsafe themis__v1__changes_read_request__init(raw)
    }

    static func unpack(
        _ allocator: UnsafeMutablePointer<ProtobufCAllocator>, _ count: Int, _ bytes: UnsafePointer<UInt8>?
    ) -> UnsafeMutablePointer<Themis__V1__ChangesReadRequest>? {
        unsafe themis__v1__changes_read_request__unpack(allocator, count, bytes)
    }

    init(raw: UnsafePointer<Themis__V1__ChangesReadRequest>) throws(ThemisError) {
        after = unsafe raw.pointee.after
        fromNow = unsafe raw.pointee.from_now != 0
        epoch = try unsafe Protobuf.text(raw.pointee.epoch, "epoch")
        limit = unsafe raw.pointee.limit
        waitMilliseconds = unsafe raw.pointee.wait_ms
        filter = try unsafe Protobuf.optional(raw.pointee.filter) { raw throws(ThemisError) in try unsafe ChangesFilter(raw: raw)
        }
        oldValues = unsafe raw.pointee.old_values != 0
    }

    func fill(_ raw: UnsafeMutablePointer<Themis__V1__ChangesReadRequest>, _ arena: inout MessageArena) throws(ThemisError) {
        unsafe raw.pointee.after = after
        unsafe raw.pointee.from_now = fromNow ? 1 : 0
        try unsafe arena.set(&raw.pointee.epoch, epoch)
        unsafe raw.pointee.limit = limit
        unsafe raw.pointee.wait_ms = waitMilliseconds
        if let filter { unsafe raw.pointee.filter = try unsafe arena.make(filter) }
        unsafe raw.pointee.old_values = oldValues ? 1 : 0
    }
}

/// The answer to ChangesRead, and one message of the stream of ChangesFollow.
public struct ChangesPage: RPCMessage, @unsafe ProtobufMessage, Equatable {
    /// The records, oldest first; ends at the end of a transaction.
    public var changes: [ChangeMessage]
    /// The position after this page; moves on also when nothing matched.
    public var nextAfter: UInt64
    /// The newest sequence.
    public var latest: UInt64
    /// The oldest sequence still kept.
    public var oldest: UInt64
    /// The epoch.
    public var epoch: String

    /// A message with these members.
    public init(
        changes: [ChangeMessage] = [], nextAfter: UInt64 = 0, latest: UInt64 = 0, oldest: UInt64 = 0, epoch: String = ""
    ) {
        self.changes = changes
        self.nextAfter = nextAfter
        self.latest = latest
        self.oldest = oldest
        self.epoch = epoch
    }

    /// Decodes a body, or throws `invalid_request`.
    public init(decoding bytes: UnsafeRawBufferPointer) throws(ThemisError) {
        var changes: [ChangeMessage] = []
        self = try unsafe Self.unpack(bytes, elementLimit: Limits.changefeedPage) { element throws(ThemisError) in
            changes.append(try unsafe ChangeMessage(decoding: element))
        }
        self.changes = changes
    }

    /// Appends the body, or throws `invalid_request` when a text holds a zero character.
    public func encode(into out: inout ByteBuffer) throws(ThemisError) {
        for element in changes { try unsafe Self.pack(element: element, into: &out) }
        try unsafe pack(into: &out)
    }

    static func initialize(_ raw: UnsafeMutablePointer<Themis__V1__ChangesPage>) { unsafe themis__v1__changes_page__init(raw) }

    static func unpack(
        _ allocator: UnsafeMutablePointer<ProtobufCAllocator>, _ count: Int, _ bytes: UnsafePointer<UInt8>?
    ) -> UnsafeMutablePointer<Themis__V1__ChangesPage>? { unsafe themis__v1__changes_page__unpack(allocator, count, bytes) }

    init(raw: UnsafePointer<Themis__V1__ChangesPage>) throws(ThemisError) {
        changes = []
        nextAfter = unsafe raw.pointee.next_after
        latest = unsafe raw.pointee.latest
        oldest = unsafe raw.pointee.oldest
        epoch = try unsafe Protobuf.text(raw.pointee.epoch, "epoch")
    }

    func fill(_ raw: UnsafeMutablePointer<Themis__V1__ChangesPage>, _ arena: inout MessageArena) throws(ThemisError) {
        unsafe raw.pointee.next_after = nextAfter
        unsafe raw.pointee.latest = latest
        unsafe raw.pointee.oldest = oldest
        try unsafe arena.set(&raw.pointee.epoch, epoch)
    }
}

/// The answer to ChangesInfo.
public struct ChangesInfoResponse: RPCMessage, @unsafe ProtobufMessage, Equatable {
    /// The newest sequence.
    public var latest: UInt64
    /// The oldest sequence still kept.
    public var oldest: UInt64
    /// The epoch.
    public var epoch: String
    /// Bytes of the log, about.
    public var bytes: UInt64
    /// When the oldest was committed, in milliseconds since 1970.
    public var oldestMilliseconds: Int64
    /// When the newest was committed.
    public var latestMilliseconds: Int64
    /// Streams of ChangesFollow.
    public var followers: UInt64

    /// A message with these members.
    public init(
        latest: UInt64 = 0, oldest: UInt64 = 0, epoch: String = "", bytes: UInt64 = 0, oldestMilliseconds: Int64 = 0,
        latestMilliseconds: Int64 = 0, followers: UInt64 = 0
    ) {
        self.latest = latest
        self.oldest = oldest
        self.epoch = epoch
        self.bytes = bytes
        self.oldestMilliseconds = oldestMilliseconds
        self.latestMilliseconds = latestMilliseconds
        self.followers = followers
    }

    /// Decodes a body, or throws `invalid_request`.
    public init(decoding bytes: UnsafeRawBufferPointer) throws(ThemisError) {
        self = try unsafe Self.unpack(bytes)
    }

    /// Appends the body, or throws `invalid_request` when a text holds a zero character.
    public func encode(into out: inout ByteBuffer) throws(ThemisError) {
        try unsafe pack(into: &out)
    }

    static func initialize(_ raw: UnsafeMutablePointer<Themis__V1__ChangesInfoResponse>) {
        unsafe themis__v1__changes_info_response__init(raw)
    }

    static func unpack(
        _ allocator: UnsafeMutablePointer<ProtobufCAllocator>, _ count: Int, _ bytes: UnsafePointer<UInt8>?
    ) -> UnsafeMutablePointer<Themis__V1__ChangesInfoResponse>? {
        unsafe themis__v1__changes_info_response__unpack(allocator, count, bytes)
    }

    init(raw: UnsafePointer<Themis__V1__ChangesInfoResponse>) throws(ThemisError) {
        latest = unsafe raw.pointee.latest
        oldest = unsafe raw.pointee.oldest
        epoch = try unsafe Protobuf.text(raw.pointee.epoch, "epoch")
        bytes = unsafe raw.pointee.bytes
        oldestMilliseconds = unsafe raw.pointee.oldest_ms
        latestMilliseconds = unsafe raw.pointee.latest_ms
        followers = unsafe raw.pointee.followers
    }

    func fill(_ raw: UnsafeMutablePointer<Themis__V1__ChangesInfoResponse>, _ arena: inout MessageArena) throws(ThemisError) {
        unsafe raw.pointee.latest = latest
        unsafe raw.pointee.oldest = oldest
        try unsafe arena.set(&raw.pointee.epoch, epoch)
        unsafe raw.pointee.bytes = bytes
        unsafe raw.pointee.oldest_ms = oldestMilliseconds
        unsafe raw.pointee.latest_ms = latestMilliseconds
        unsafe raw.pointee.followers = followers
    }
}
