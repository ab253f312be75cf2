import ThemisBase
import ThemisNet
import ThemisRPC

/// How a request ended.
enum WireAnswer: Equatable {
    case success
    case failure(String)
}

/// The least client of the core that keeps the rules of docs/rpc.md: requests are encoded beforehand, so that the machine's time goes to
/// the server. It shares no code with the server's own framing. Safe: a body is looked at only during the call that hands it out.
@safe @NetLoop final class CoreWire: ByteStreamHandler {
    /// A request was answered: its stream, how, and its body.
    typealias Answered = @NetLoop (UInt32, WireAnswer, UnsafeRawBufferPointer) -> Void

    private let stream: ByteStream
    private let answered: Answered
    private var ready: CheckedContinuation<Void, any Error>?
    /// Why the connection is gone; nil while it stands.
    private(set) var lost: String?

    private init(_ stream: ByteStream, _ answered: @escaping Answered) {
        self.stream = stream
        unsafe self.answered = unsafe answered
    }

    /// Connects to the core at `path` and greets.
    static func connect(_ path: String, answered: @escaping Answered) async throws -> CoreWire {
        let options = ByteStream.Options(keptOutputBytes: 1 << 20)
        let stream = try await Connector.connect(SocketAddress(unixPath: path), timeoutMilliseconds: 5_000, options: options)
        let wire = unsafe CoreWire(stream, answered)
        try await withCheckedThrowingContinuation { continuation in
            wire.ready = continuation
            stream.start(wire)
            var hello: [UInt8] = []
            hello.append(contentsOf: "THMS".utf8)
            hello.appendLittleEndian(UInt16(0x100))
            hello.appendLittleEndian(UInt16(0x100))
            hello.appendLittleEndian(UInt64(0))
            hello.append(5)
            for text in ["bench", "bench"] {
                hello.append(UInt8(text.utf8.count))
                hello.append(contentsOf: text.utf8)
            }
            stream.write(Self.frame(type: 1, flags: 0, method: 0, stream: 0, hello))
        }
        return wire
    }

    /// The metadata block of a request without deadline, with every scope.
    nonisolated static let metadata: [UInt8] = {
        var block: [UInt8] = []
        block.appendLittleEndian(UInt16(50))
        block.append(contentsOf: [UInt8](repeating: 0, count: 30))
        block.appendLittleEndian(UInt32(0xFF))
        block.append(contentsOf: [UInt8](repeating: 0, count: 16))
        return block
    }()

    /// The body of a request: the metadata block, then the message.
    nonisolated static func body(_ message: some RPCMessage) throws(ThemisError) -> ArraySlice<UInt8> {
        (metadata + (try message.encoded()))[...]
    }

    /// A whole frame.
    nonisolated static func frame(type: UInt8, flags: UInt8, method: UInt16, stream: UInt32, _ body: [UInt8]) -> [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity(16 + body.count)
        out.appendLittleEndian(UInt32(body.count))
        out.append(type)
        out.append(flags)
        out.appendLittleEndian(method)
        out.appendLittleEndian(stream)
        out.appendLittleEndian(Digest.crc32c(body, seed: Digest.crc32c(out)))
        out.append(contentsOf: body)
        return out
    }

    /// Sends a request of `method` on `stream`; `body` begins with the metadata block.
    func send(_ method: UInt16, on id: UInt32, _ body: ArraySlice<UInt8>) {
        stream.write { out in
            unsafe body.withUnsafeBytes { body in
                var words: (UInt64, UInt64) = (0, 0)
                words.0 = UInt64(UInt32(body.count)) | 4 << 32 | 1 << 40 | UInt64(method) << 48
                unsafe withUnsafeMutableBytes(of: &words) { header in
                    unsafe header.storeBytes(of: id, toByteOffset: 8, as: UInt32.self)
                    let seed = unsafe Digest.crc32c(UnsafeRawBufferPointer(rebasing: header[..<12]))
                    let sum = unsafe Digest.crc32c(body, seed: seed)
                    unsafe header.storeBytes(of: sum, toByteOffset: 12, as: UInt32.self)
                    unsafe out.append(UnsafeRawBufferPointer(header))
                }
                unsafe out.append(body)
            }
        }
    }

    /// Ends the connection.
    func close() { stream.close() }

    func received(_ bytes: UnsafeRawBufferPointer, on stream: ByteStream) -> Int {
        var used = 0
        while bytes.count - used >= 16 {
            let length = Int(unsafe bytes.loadUnaligned(fromByteOffset: used, as: UInt32.self))
            guard bytes.count - used >= 16 + length else { break }
            let type = unsafe bytes[used + 4]
            let isLast = unsafe bytes[used + 5] & 1 == 1
            let id = unsafe bytes.loadUnaligned(fromByteOffset: used + 8, as: UInt32.self)
            let body = unsafe UnsafeRawBufferPointer(rebasing: bytes[(used + 16)..<(used + 16 + length)])
            used += 16 + length
            unsafe handle(type, isLast, id, body)
        }
        return used
    }

    private func handle(_ type: UInt8, _ isLast: Bool, _ id: UInt32, _ body: UnsafeRawBufferPointer) {
        switch type {
        case 2:
            ready?.resume()
            ready = nil
        case 5 where isLast: unsafe answered(id, .success, body)
        case 6:
            // The body begins with field 1, the number of the error.
            var reader = unsafe ByteReader(Array(body))
            _ = reader.byte()
            let number = UInt16(clamping: reader.varint() ?? 0)
            unsafe answered(id, .failure(ErrorCode.numbered(number).word), body)
        case 10: unsafe answered(id, .failure("BUSY"), body)
        case 12: unsafe stream.write(Self.frame(type: 13, flags: 0, method: 0, stream: 0, Array(body)))
        case 8, 13: break
        default: stop("the core sent a frame of type \(type) that a benchmark does not ask for")
        }
    }

    private func stop(_ why: String) {
        if lost == nil { lost = why }
        stream.close()
    }

    func ended(_ stream: ByteStream) { stop("the core closed the connection") }

    func drained(_ stream: ByteStream) {}

    func closed(_ stream: ByteStream, _ reason: CloseReason) {
        if lost == nil { lost = reason.text }
        ready?.resume(throwing: ThemisError(.coreUnavailable, "the core does not greet: \(lost ?? "")"))
        ready = nil
    }
}
