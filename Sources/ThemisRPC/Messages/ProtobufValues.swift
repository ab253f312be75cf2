import CThemisRPC
import Glibc
import ThemisBase

/// From the C structs of protobuf-c to Swift values.
enum Protobuf {
    /// Runs `use` while `place` points to `bytes`.
    static func lend(
        _ bytes: [UInt8], to place: UnsafeMutablePointer<ProtobufCBinaryData>, _ use: () throws(ThemisError) -> Void
    ) throws(ThemisError) {
        try unsafe bytes.withUnsafeBufferPointer { bytes throws(ThemisError) in
            // protobuf-c only reads what it packs.
            unsafe place.pointee = unsafe ProtobufCBinaryData(len: bytes.count, data: UnsafeMutablePointer(mutating: bytes.baseAddress))
            try use()
        }
    }

    static func text(_ text: UnsafePointer<CChar>?, _ member: StaticString) throws(ThemisError) -> String {
        guard let text = unsafe text else { return "" }
        // protobuf-c does not look at what is in a string.
        guard let text = unsafe String(validatingCString: text) else {
            throw ThemisError(.invalidRequest, "message member \(member) is not UTF-8")
        }
        return text
    }

    static func texts(
        _ texts: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?, _ count: Int, _ member: StaticString
    ) throws(ThemisError) -> [String] {
        guard let texts = unsafe texts else { return [] }
        var result: [String] = []
        result.reserveCapacity(count)
        for index in 0..<count { result.append(try unsafe text(texts[index], member)) }
        return result
    }

    static func bytes(_ data: ProtobufCBinaryData) -> [UInt8] {
        guard let start = unsafe data.data, unsafe data.len > 0 else { return [] }
        return unsafe Array(UnsafeBufferPointer(start: start, count: data.len))
    }

    static func required<Raw, Value>(
        _ raw: UnsafeMutablePointer<Raw>?, _ member: StaticString, _ make: (UnsafePointer<Raw>) throws(ThemisError) -> Value
    ) throws(ThemisError) -> Value {
        guard let raw = unsafe raw else { throw ThemisError(.invalidRequest, "message member \(member) is missing") }
        return try unsafe make(raw)
    }

    static func optional<Raw, Value>(
        _ raw: UnsafeMutablePointer<Raw>?, _ make: (UnsafePointer<Raw>) throws(ThemisError) -> Value
    ) throws(ThemisError) -> Value? {
        guard let raw = unsafe raw else { return nil }
        return try unsafe make(raw)
    }

    static func word<Word: RawRepresentable>(_ number: UInt32, _ member: StaticString) throws(ThemisError) -> Word
    where Word.RawValue == UInt32 {
        guard let word = Word(rawValue: number) else {
            throw ThemisError(.invalidRequest, "message member \(member) has the unknown value \(number)")
        }
        return word
    }
}

/// From Swift values to the C structs of protobuf-c.
extension MessageArena {
    /// A filled C struct of `message`.
    mutating func make<Message: ProtobufMessage>(_ message: Message) throws(ThemisError) -> UnsafeMutablePointer<Message.Raw> {
        let raw = try unsafe makeWithoutPayload(message)
        try unsafe message.copyPayload(raw, &self)
        return unsafe raw
    }

    /// A C struct of `message` whose payload is lent later.
    mutating func makeWithoutPayload<Message: ProtobufMessage>(
        _ message: Message
    ) throws(ThemisError) -> UnsafeMutablePointer<Message.Raw> {
        let raw = try unsafe space(of: Message.Raw.self)
        unsafe Message.initialize(raw)
        try unsafe message.fill(raw, &self)
        return unsafe raw
    }

    mutating func set(_ place: inout UnsafeMutablePointer<CChar>?, _ text: String) throws(ThemisError) {
        guard !text.isEmpty else { return }
        var text = text
        let count = text.utf8.count
        let copy = try unsafe space(count + 1)
        // protobuf-c measures strings by their terminating zero: a zero inside would cut a prefix short, and a range delete grow.
        let isWhole = text.withUTF8 { bytes in
            guard let base = bytes.baseAddress, unsafe memchr(base, 0, count) == nil else { return false }
            unsafe copy.copyMemory(from: base, byteCount: count)
            return true
        }
        guard isWhole else { throw ThemisError(.invalidRequest, "a text holds a zero character") }
        unsafe copy.storeBytes(of: 0, toByteOffset: count, as: UInt8.self)
        unsafe place = unsafe copy.assumingMemoryBound(to: CChar.self)
    }

    mutating func set(_ place: inout ProtobufCBinaryData, _ bytes: [UInt8]) throws(ThemisError) {
        guard !bytes.isEmpty else { return }
        let copy = try unsafe space(bytes.count)
        unsafe bytes.withUnsafeBytes { unsafe copy.copyMemory(from: $0.baseAddress.unsafelyUnwrapped, byteCount: $0.count) }
        unsafe place = unsafe ProtobufCBinaryData(len: bytes.count, data: copy.assumingMemoryBound(to: UInt8.self))
    }

    mutating func set(
        _ place: inout UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?, _ count: inout Int, _ texts: [String]
    ) throws(ThemisError) {
        guard !texts.isEmpty else { return }
        let pointers = try unsafe list(of: UnsafeMutablePointer<CChar>.self, count: texts.count)
        for (index, text) in texts.enumerated() {
            let empty = try unsafe space(1)
            unsafe empty.storeBytes(of: 0, as: UInt8.self)
            unsafe pointers[index] = unsafe empty.assumingMemoryBound(to: CChar.self)
            try unsafe set(&pointers[index], text)
        }
        unsafe place = unsafe pointers
        count = texts.count
    }

    /// Room for `count` pointers, all nil.
    mutating func list<Element>(of type: Element.Type, count: Int) throws(ThemisError) -> UnsafeMutablePointer<Element?> {
        let list = try unsafe space(count * MemoryLayout<Element?>.stride).bindMemory(to: Element?.self, capacity: count)
        unsafe list.initialize(repeating: nil, count: count)
        return unsafe list
    }

    /// Room for one `Raw`, not initialised.
    mutating func space<Raw>(of type: Raw.Type) throws(ThemisError) -> UnsafeMutablePointer<Raw> {
        try unsafe space(MemoryLayout<Raw>.size).bindMemory(to: Raw.self, capacity: 1)
    }

    private mutating func space(_ count: Int) throws(ThemisError) -> UnsafeMutableRawPointer {
        guard let space = unsafe allocate(count) else { throw ThemisError(.internalError, "out of memory for a message") }
        return unsafe space
    }
}
