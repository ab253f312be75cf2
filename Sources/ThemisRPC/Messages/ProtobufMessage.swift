import CThemisRPC
public import ThemisBase

/// Where encoded messages go: an array, or the output buffer of a connection.
public protocol MessageOutput: ~Copyable {
    /// Appends `count` bytes that `fill` writes. `fill` gets exactly `count` writable bytes.
    mutating func append(count: Int, _ fill: (UnsafeMutablePointer<UInt8>) -> Void)
}

extension Array: MessageOutput where Element == UInt8 {
    /// Appends `count` bytes that `fill` writes.
    public mutating func append(count: Int, _ fill: (UnsafeMutablePointer<UInt8>) -> Void) {
        guard count > 0 else { return }
        let start = self.count
        append(contentsOf: repeatElement(0, count: count))
        unsafe withUnsafeMutableBufferPointer { unsafe fill($0.baseAddress.unsafelyUnwrapped + start) }
    }
}

/// A body of a frame: a value that travels between the core and its sidecars. Any thread.
public protocol RPCMessage: Sendable {
    /// Decodes a message body.
    ///
    /// - Throws: `invalid_request` naming what is wrong. Memory is bounded by `Limits.arenaFactor` times the body.
    init(decoding bytes: UnsafeRawBufferPointer) throws(ThemisError)

    /// Appends the message body.
    ///
    /// - Throws: `invalid_request` when a text holds a zero character, which the wire cannot carry.
    func encode(into out: inout some MessageOutput & ~Copyable) throws(ThemisError)
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
        var out: [UInt8] = []
        try encode(into: &out)
        return out
    }
}

/// The message without members: the body of methods that ask or answer nothing.
public struct EmptyMessage: RPCMessage, Equatable {
    /// The one value.
    public init() {}

    /// Accepts any bytes: members that a newer peer sends are skipped.
    public init(decoding bytes: UnsafeRawBufferPointer) throws(ThemisError) {}

    /// Appends nothing.
    public func encode(into out: inout some MessageOutput & ~Copyable) throws(ThemisError) {}
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
    func fill(_ raw: UnsafeMutablePointer<Raw>, _ arena: inout MessageArena) throws(ThemisError)
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

    func pack(into out: inout some MessageOutput & ~Copyable) throws(ThemisError) {
        // What this process sends needs no budget: it is bounded where it is made.
        try MessageArena.with(budget: Int.max) { arena throws(ThemisError) in
            let raw = try unsafe arena.make(self)
            unsafe raw.withMemoryRebound(to: ProtobufCMessage.self, capacity: 1) { base in
                unsafe out.append(count: protobuf_c_message_get_packed_size(base)) {
                    unsafe _ = protobuf_c_message_pack(base, $0)
                }
            }
        }
    }

    /// Packs `element` as member 1.
    static func pack(element: some ProtobufMessage, into out: inout some MessageOutput & ~Copyable) throws(ThemisError) {
        try MessageArena.with(budget: Int.max) { arena throws(ThemisError) in
            let raw = try unsafe arena.make(element)
            unsafe raw.withMemoryRebound(to: ProtobufCMessage.self, capacity: 1) { base in
                let size = unsafe protobuf_c_message_get_packed_size(base)
                var prefix: [UInt8] = [ProtobufWalk.elementTag]
                prefix.appendVarint(UInt64(size))
                unsafe out.append(count: prefix.count + size) { place in
                    for (index, byte) in prefix.enumerated() { unsafe place[index] = byte }
                    unsafe _ = protobuf_c_message_pack(base, place + prefix.count)
                }
            }
        }
    }
}
