import ThemisBase

/// One frame in the input. Valid only while the input is.
@unsafe struct Frame {
    let header: FrameHeader
    let body: UnsafeRawBufferPointer
}

/// Why a connection is closed: the peer broke the protocol. The cases are the label values of `rpc_protocol_errors_total`.
enum ViolationKind: String, Sendable, CaseIterable {
    /// A frame claims to be longer than any may be.
    case length
    /// A checksum does not fit.
    case checksum
    /// A type that nobody knows and that may not be skipped.
    case type
    /// Flags that nobody knows.
    case flags
    /// HELLO or its answer is malformed, or another frame came first.
    case hello
    /// The metadata block of a request is malformed.
    case metadata
    /// The body of a control frame is malformed.
    case body
    /// A stream was opened that is open, or used that is not.
    case stream
    /// A frame that this side may not get, or not in this state.
    case order
    /// More bytes than the credit allows, or more credit than the window.
    case credit
    /// The peer did not do in time what it must.
    case timeout
}

/// The peer broke the protocol; the connection is closed.
struct ProtocolViolation: Error, Equatable {
    let kind: ViolationKind
    /// What was wrong, for the log.
    let detail: String

    init(_ kind: ViolationKind, _ detail: String) {
        self.kind = kind
        self.detail = detail
    }
}

/// Cuts bytes into frames. Holds no bytes itself: what is not a whole frame yet stays with the caller.
struct FrameDecoder {
    /// Bytes of the input that belong to frames already given out or skipped.
    private(set) var consumed = 0
    /// Optional frames that were skipped.
    private(set) var skipped: UInt64 = 0

    /// The next frame of `bytes`, nil when it is not whole yet.
    mutating func next(_ bytes: UnsafeRawBufferPointer) throws(ProtocolViolation) -> Frame? {
        while true {
            let available = bytes.count - consumed
            guard available >= FrameHeader.bytes else { return nil }
            let length = unsafe Int(UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: consumed, as: UInt32.self)))
            let type = unsafe FrameType(number: bytes[consumed + 4])
            // Before anything is waited for: garbage must not make this side wait for gigabytes.
            guard length <= (type.carriesBody ? FrameHeader.bodyLimit : FrameType.controlBytes) else {
                throw ProtocolViolation(.length, "a frame of type \(type.number) claims \(length) bytes")
            }
            guard type.isKnown || type.isOptional else { throw ProtocolViolation(.type, "frame type \(type.number) is unknown") }
            guard available - FrameHeader.bytes >= length else { return nil }
            let whole = unsafe UnsafeRawBufferPointer(rebasing: bytes[consumed..<(consumed + FrameHeader.bytes + length)])
            let crc = unsafe UInt32(littleEndian: whole.loadUnaligned(fromByteOffset: 12, as: UInt32.self))
            guard unsafe FrameHeader.checksum(whole) == crc else {
                throw ProtocolViolation(.checksum, "a frame of \(length) bytes has a wrong checksum")
            }
            consumed += whole.count
            guard type.isKnown else {
                skipped += 1
                continue
            }
            let flags = unsafe FrameFlags(rawValue: whole[5])
            guard flags.isSubset(of: .known) else { throw ProtocolViolation(.flags, "frame flags \(flags.rawValue) are unknown") }
            let header = unsafe FrameHeader(
                type: type, flags: flags, method: UInt16(littleEndian: whole.loadUnaligned(fromByteOffset: 6, as: UInt16.self)),
                stream: UInt32(littleEndian: whole.loadUnaligned(fromByteOffset: 8, as: UInt32.self)))
            return unsafe Frame(header: header, body: UnsafeRawBufferPointer(rebasing: whole[FrameHeader.bytes...]))
        }
    }

    /// Starts over with an input from which `consumed` bytes were dropped.
    mutating func restart() { consumed = 0 }
}
