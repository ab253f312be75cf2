import COTLP
import Glibc

/// The memory of one request to a collector while its C structs are put together and packed. Not thread-safe.
///
/// Safe: every pointer that it gives out is its own allocation, and is used only while it lives.
@safe final class ProtocolMemory {
    private var pieces: [UnsafeMutableRawPointer]

    init() { unsafe pieces = [] }

    deinit { unsafe pieces.forEach { unsafe free($0) } }

    /// Room for `count` values, zeroed.
    func space<Value>(of type: Value.Type, count: Int = 1) -> UnsafeMutablePointer<Value> {
        guard let piece = unsafe calloc(max(1, count), MemoryLayout<Value>.stride) else {
            fatalError("out of memory for a request to the collector")
        }
        unsafe pieces.append(piece)
        return unsafe piece.bindMemory(to: Value.self, capacity: max(1, count))
    }

    /// A C string; it ends at a zero character.
    func text(_ text: String) -> UnsafeMutablePointer<CChar> {
        var text = text
        return text.withUTF8 { bytes in
            let copy = unsafe space(of: CChar.self, count: bytes.count + 1)
            for index in 0..<bytes.count { unsafe copy[index] = CChar(bitPattern: bytes[index]) }
            return unsafe copy
        }
    }

    /// Sets a member to bytes: big-endian numbers in a row.
    func set(_ member: inout ProtobufCBinaryData, _ numbers: UInt64...) {
        let copy = unsafe space(of: UInt8.self, count: numbers.count * 8)
        for (index, number) in numbers.enumerated() {
            for byte in 0..<8 { unsafe copy[index * 8 + byte] = UInt8(truncatingIfNeeded: number >> UInt64(56 - 8 * byte)) }
        }
        unsafe themis_otlp_set_bytes(&member, copy, numbers.count * 8)
    }

    /// A list of pointers to messages.
    func list<Message>(_ messages: [UnsafeMutablePointer<Message>]) -> UnsafeMutablePointer<UnsafeMutablePointer<Message>?> {
        let list = unsafe space(of: UnsafeMutablePointer<Message>?.self, count: messages.count)
        for index in unsafe messages.indices { unsafe list[index] = unsafe messages[index] }
        return unsafe list
    }

    /// A list of numbers.
    func numbers<Number>(_ values: [Number]) -> UnsafeMutablePointer<Number> {
        let list = unsafe space(of: Number.self, count: values.count)
        for index in values.indices { unsafe list[index] = values[index] }
        return unsafe list
    }

    /// The bytes of a message that is put together.
    func packed<Message>(_ message: UnsafeMutablePointer<Message>) -> [UInt8] {
        // Every generated struct begins with a ProtobufCMessage.
        let base = unsafe UnsafeRawPointer(message).assumingMemoryBound(to: ProtobufCMessage.self)
        let size = unsafe protobuf_c_message_get_packed_size(base)
        return unsafe [UInt8](unsafeUninitializedCapacity: size) { bytes, count in
            count = unsafe bytes.baseAddress.map { unsafe protobuf_c_message_pack(base, $0) } ?? 0
        }
    }
}
