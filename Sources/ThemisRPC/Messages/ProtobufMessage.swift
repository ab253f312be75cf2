import CThemisRPC
public import ThemisBase
public import ThemisNet

/// A body of a frame: a value that travels between the core and its sidecars. Any thread.
public protocol RPCMessage: Sendable {
    /// Decodes a message body.
    ///
    /// - Throws: `invalid_request` naming what is wrong. Memory is bounded by `Limits.arenaFactor` times the body.
    init(decoding bytes: UnsafeRawBufferPointer) throws(ThemisError)

    /// Appends the message body.
    ///
    /// - Throws: `invalid_request` when a text holds a zero character, which the wire cannot carry.
    func encode(into out: inout ByteBuffer) throws(ThemisError)
}

extension RPCMessage {
    /// Decodes a message body.
    ///
    /// - Throws: `invalid_request` naming what is wrong.
    public init(decoding bytes: [UInt8]) throws(ThemisError) {
        self = try unsafe bytes.withUnsafeBufferPointer { bytes throws(ThemisError) in
            try unsafe Self(decoding: UnsafeRawBufferPointer(bytes))
        }
    }

    /// The message body.
    ///
    /// - Throws: `invalid_request` when a text holds a zero character, which the wire cannot carry.
    public func encoded() throws(ThemisError) -> [UInt8] {
        var out = ByteBuffer()
        try encode(into: &out)
        return unsafe Array(out.readable)
    }
}

/// The message without members: the body of methods that ask or answer nothing.
public struct EmptyMessage: RPCMessage, Equatable {
    /// The one value.
    public init() {}

    /// Accepts any bytes: members that a newer peer sends are skipped.
    public init(decoding bytes: UnsafeRawBufferPointer) throws(ThemisError) {}

    /// Appends nothing.
    public func encode(into out: inout ByteBuffer) throws(ThemisError) {}
}

/// A message that protobuf-c packs and unpacks through its generated C struct.
///
/// A message with a list packs and unpacks the list element by element, each with an arena of its own: the concatenation of
/// encodings is the encoding of the whole, by protobuf's own rule, and a page of 32 MiB needs no second 128 MiB.
protocol ProtobufMessage: RPCMessage {
    /// The generated struct, which begins with a `ProtobufCMessage`.
    associatedtype Raw

    static func initialize(_ raw: UnsafeMutablePointer<Raw>)
    static func unpack(
        _ allocator: UnsafeMutablePointer<ProtobufCAllocator>, _ count: Int, _ bytes: UnsafePointer<UInt8>?
    ) -> UnsafeMutablePointer<Raw>?
    init(raw: UnsafePointer<Raw>) throws(ThemisError)
    /// Fills every member but the payload.
    func fill(_ raw: UnsafeMutablePointer<Raw>, _ arena: inout MessageArena) throws(ThemisError)
    /// Fills the payload, the one large member, with a copy: for a message within another one.
    func copyPayload(_ raw: UnsafeMutablePointer<Raw>, _ arena: inout MessageArena) throws(ThemisError)
    /// Lends the payload to the C struct while `use` runs: a document of 8 MiB is not copied to be packed.
    func lendPayload(
        _ raw: UnsafeMutablePointer<Raw>, _ arena: inout MessageArena, _ use: () throws(ThemisError) -> Void
    ) throws(ThemisError)
}

extension ProtobufMessage {
    func copyPayload(_ raw: UnsafeMutablePointer<Raw>, _ arena: inout MessageArena) throws(ThemisError) {}

    func lendPayload(
        _ raw: UnsafeMutablePointer<Raw>, _ arena: inout MessageArena, _ use: () throws(ThemisError) -> Void
    ) throws(ThemisError) { try use() }
}

extension ProtobufMessage {
    static func unpack(_ bytes: UnsafeRawBufferPointer) throws(ThemisError) -> Self {
        let budget = bytes.count * Limits.arenaFactor + Limits.arenaBytes
        return try MessageArena.with(budget: budget) { arena throws(ThemisError) in
            let raw = unsafe arena.withAllocator { allocator in
                unsafe Self.unpack(allocator, bytes.count, bytes.baseAddress?.assumingMemoryBound(to: UInt8.self))
            }
            guard let raw = unsafe raw else {
                throw ThemisError(
                    .invalidRequest,
                    arena.isSpent
                        ? "message \(Self.self) of \(bytes.count) bytes needs more than \(budget) bytes of memory"
                        : "message \(Self.self) is malformed")
            }
            return try unsafe Self(raw: raw)
        }
    }

    /// Gives every element of member 1 to `take`, and unpacks the rest.
    static func unpack(
        _ bytes: UnsafeRawBufferPointer, elementLimit: Int, _ take: (UnsafeRawBufferPointer) throws(ThemisError) -> Void
    ) throws(ThemisError) -> Self {
        var walk = unsafe ProtobufWalk(bytes)
        var rest: [UInt8] = []
        var elements = 0
        while let member = try unsafe walk.next() {
            if unsafe member.isElement {
                elements += 1
                guard elements <= elementLimit else {
                    throw ThemisError(.invalidRequest, "message \(Self.self) has more than \(elementLimit) elements")
                }
                try unsafe take(member.content)
            } else {
                unsafe rest.append(contentsOf: member.whole)
            }
        }
        return try unsafe rest.withUnsafeBufferPointer { rest throws(ThemisError) in
            try unsafe unpack(UnsafeRawBufferPointer(rest))
        }
    }

    func pack(into out: inout ByteBuffer) throws(ThemisError) {
        try unsafe withPacked { size, base throws(ThemisError) in unsafe Self.pack(base, size, into: &out) }
    }

    /// The packed message in one allocation of its size.
    func packed() throws(ThemisError) -> [UInt8] {
        var packed: [UInt8] = []
        try unsafe withPacked { size, base throws(ThemisError) in
            packed = unsafe Array(unsafeUninitializedCapacity: size) { place, count in
                if let start = place.baseAddress { unsafe _ = protobuf_c_message_pack(base, start) }
                count = size
            }
        }
        return packed
    }

    /// Packs `element` as member 1.
    static func pack(element: some ProtobufMessage, into out: inout ByteBuffer) throws(ThemisError) {
        try unsafe element.withPacked { size, base throws(ThemisError) in
            out.append(byte: ProtobufWalk.elementTag)
            var rest = size
            while rest >= 0x80 {
                out.append(byte: UInt8(truncatingIfNeeded: rest) | 0x80)
                rest >>= 7
            }
            out.append(byte: UInt8(rest))
            unsafe pack(base, size, into: &out)
        }
    }

    private static func pack(_ base: UnsafePointer<ProtobufCMessage>, _ size: Int, into out: inout ByteBuffer) {
        unsafe out.append(count: size) { unsafe _ = protobuf_c_message_pack(base, $0) }
    }

    /// Fills the C struct and hands it to `use` with its packed size.
    private func withPacked(
        _ use: (Int, UnsafePointer<ProtobufCMessage>) throws(ThemisError) -> Void
    ) throws(ThemisError) {
        // What this process sends needs no budget: it is bounded where it is made.
        try MessageArena.with(budget: Int.max) { arena throws(ThemisError) in
            let raw = try unsafe arena.makeWithoutPayload(self)
            try unsafe lendPayload(raw, &arena) { () throws(ThemisError) in
                // Every generated struct begins with a ProtobufCMessage.
                let base = unsafe UnsafeRawPointer(raw).assumingMemoryBound(to: ProtobufCMessage.self)
                try unsafe use(protobuf_c_message_get_packed_size(base), base)
            }
        }
    }
}
