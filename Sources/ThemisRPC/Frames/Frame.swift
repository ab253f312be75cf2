import ThemisBase
import ThemisNet

/// What a frame is. The number of a type is never reused; a type with the bit `optional` may be skipped by who does not know it.
struct FrameType: Hashable, Sendable {
    let number: UInt8

    /// The bit of types that a receiver may skip.
    static let optional: UInt8 = 0x80

    static let hello = FrameType(number: 1)
    static let helloOK = FrameType(number: 2)
    static let helloRefused = FrameType(number: 3)
    static let request = FrameType(number: 4)
    static let response = FrameType(number: 5)
    static let error = FrameType(number: 6)
    static let data = FrameType(number: 7)
    static let credit = FrameType(number: 8)
    static let cancel = FrameType(number: 9)
    static let busy = FrameType(number: 10)
    static let goAway = FrameType(number: 11)
    static let ping = FrameType(number: 12)
    static let pong = FrameType(number: 13)

    static let known = 1...13

    var isKnown: Bool { number >= 1 && number <= 13 }
    var isOptional: Bool { number & Self.optional != 0 }

    /// Where bodies and metadata travel; every other type carries at most `controlBytes`.
    var carriesBody: Bool { self == .request || self == .response || self == .error || self == .data }

    /// The largest body of a control frame.
    static let controlBytes = 1_024
}

/// Bits beside the type. Bits without a name must be zero.
struct FrameFlags: OptionSet, Sendable {
    let rawValue: UInt8
    /// On REQUEST, RESPONSE and DATA: the sender's last frame of the stream. Without it, DATA frames follow.
    static let end = FrameFlags(rawValue: 1)
    static let known: FrameFlags = [.end]
}

/// What stands before every body: 16 bytes, little-endian.
///
/// `length u32 | type u8 | flags u8 | method u16 | stream u32 | crc32c u32`. The length counts the bytes behind the header; the
/// checksum covers the first 12 bytes of the header and the body.
struct FrameHeader: Equatable, Sendable {
    var type: FrameType
    var flags: FrameFlags = []
    /// On REQUEST: the method; else 0.
    var method: UInt16 = 0
    /// The stream; 0 for frames about the connection.
    var stream: UInt32 = 0

    static let bytes = 16
    static let bodyLimit = Limits.frameBodyBytes + Limits.frameMetadataBytes
    private static let checksumOffset = 12

    /// Appends a whole frame to `out`; `body` appends its body there, in place.
    func append(to out: inout ByteBuffer, body: (inout ByteBuffer) -> Void) {
        let start = begin(&out)
        body(&out)
        finish(&out, from: start)
    }

    /// Appends a whole frame to `out`.
    func append(to out: inout ByteBuffer, body: UnsafeRawBufferPointer = unsafe UnsafeRawBufferPointer(start: nil, count: 0)) {
        let start = begin(&out)
        unsafe out.append(body)
        finish(&out, from: start)
    }

    /// Leaves room for the header and returns where it begins.
    func begin(_ out: inout ByteBuffer) -> Int {
        let start = out.count
        _ = unsafe out.writable(minimum: Self.bytes)
        out.advance(Self.bytes)
        return start
    }

    /// Writes the header of the frame that reaches from `start` to the end of `out`.
    func finish(_ out: inout ByteBuffer, from start: Int) {
        let length = out.count - start - Self.bytes
        precondition(length <= Self.bodyLimit, "a frame of \(length) bytes: larger bodies flow as DATA")
        // The buffer is ours alone here, and nothing appends while the pointer is in use.
        let bytes = unsafe UnsafeMutableRawBufferPointer(mutating: UnsafeRawBufferPointer(rebasing: out.readable[start...]))
        unsafe bytes.storeBytes(of: UInt32(length).littleEndian, toByteOffset: 0, as: UInt32.self)
        unsafe bytes[4] = type.number
        unsafe bytes[5] = flags.rawValue
        unsafe bytes.storeBytes(of: method.littleEndian, toByteOffset: 6, as: UInt16.self)
        unsafe bytes.storeBytes(of: stream.littleEndian, toByteOffset: 8, as: UInt32.self)
        let crc = unsafe Self.checksum(UnsafeRawBufferPointer(bytes))
        unsafe bytes.storeBytes(of: crc.littleEndian, toByteOffset: Self.checksumOffset, as: UInt32.self)
    }

    /// The checksum of a whole frame; what stands in its own place is left out.
    static func checksum(_ frame: UnsafeRawBufferPointer) -> UInt32 {
        let header = unsafe Digest.crc32c(UnsafeRawBufferPointer(rebasing: frame[..<checksumOffset]))
        return unsafe Digest.crc32c(UnsafeRawBufferPointer(rebasing: frame[bytes...]), seed: header)
    }
}

extension ByteBuffer {
    /// Appends `count` bytes that `fill` writes.
    mutating func append(count: Int, _ fill: (UnsafeMutablePointer<UInt8>) -> Void) {
        guard count > 0, let base = unsafe writable(minimum: count).baseAddress else { return }
        unsafe fill(base.assumingMemoryBound(to: UInt8.self))
        advance(count)
    }
}
