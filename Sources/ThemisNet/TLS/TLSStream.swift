import ThemisBase

/// An encrypted connection over a stream: bytes in and out by the same rules. Lives on the loop.
@NetLoop final class TLSStream: ByteStreamHandler {
    /// Decrypted bytes that the handler may leave unused: the longest head of an answer.
    private static let plainLimitBytes = 128 << 10

    private let raw: ByteStream
    private let session: TLSSession
    private var handler: (any ByteStreamHandler)?
    private var greeting: CheckedContinuation<Void, any Error>?
    private var plain: [UInt8] = []

    /// Whether neither side has closed the connection.
    var isOpen: Bool { raw.isOpen }

    private init(_ raw: ByteStream, _ client: TLSClient) throws(TLSFailure) {
        self.raw = raw
        session = try TLSSession(client)
    }

    /// Greets over the connected `raw` and checks the certificate.
    ///
    /// - Throws: TLSFailure; `CancellationError`.
    static func open(_ raw: ByteStream, _ client: TLSClient, timeoutMilliseconds: Int) async throws -> TLSStream {
        let stream = try TLSStream(raw, client)
        let timer = LoopTimer { stream.fail(TLSFailure("no greeting within \(timeoutMilliseconds) ms")) }
        timer.schedule(milliseconds: timeoutMilliseconds)
        defer { timer.cancel() }
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                stream.greeting = continuation
                raw.start(stream)
                stream.greet()
            }
        } onCancel: {
            NetLoop.post { stream.fail(CancellationError()) }
        }
        return stream
    }

    /// Whom decrypted bytes go to from now on.
    func start(_ handler: any ByteStreamHandler) { self.handler = handler }

    /// Encrypts and sends what `fill` appends.
    func write(_ fill: (inout ByteBuffer) -> Void) {
        var buffer = ByteBuffer()
        fill(&buffer)
        if case .failed = unsafe session.write(buffer.readable) { return raw.close() }
        sendOutput()
    }

    func close() { raw.close() }

    private func greet() {
        let step = session.handshake()
        sendOutput()
        switch step {
        case .done:
            greeting?.resume()
            greeting = nil
        case .needsInput: break
        case .ended: fail(TLSFailure("the peer ended the greeting"))
        case .failed(let failure):
            // The alert that says why is on its way: closing at once would destroy it.
            resume(throwing: failure)
            raw.finish()
        }
    }

    private func sendOutput() {
        let bytes = session.takeOutput()
        if !bytes.isEmpty { raw.write(bytes) }
    }

    private func fail(_ error: any Error) {
        guard greeting != nil else { return }
        resume(throwing: error)
        raw.close()
    }

    private func resume(throwing error: any Error) {
        greeting?.resume(throwing: error)
        greeting = nil
    }

    // MARK: Bytes

    func received(_ bytes: UnsafeRawBufferPointer, on stream: ByteStream) -> Int {
        let count = bytes.count
        unsafe session.receive(bytes)
        if greeting != nil { greet() }
        guard greeting == nil, stream.isOpen, !stream.isFinishing else { return count }
        let step = session.read(into: &plain)
        sendOutput()
        if let handler, !plain.isEmpty {
            let used = unsafe plain.withUnsafeBytes { unsafe handler.received($0, on: stream) }
            plain.removeFirst(min(used, plain.count))
        }
        switch step {
        case .ended: handler?.ended(stream)
        case .failed: stream.close()
        case .done, .needsInput: if plain.count > Self.plainLimitBytes { stream.close() }
        }
        return count
    }

    /// Without a word of farewell nobody knows whether all has come.
    func ended(_ stream: ByteStream) {
        fail(TLSFailure("the peer closed the connection"))
        stream.close(.peer)
    }

    func drained(_ stream: ByteStream) {}

    func closed(_ stream: ByteStream, _ reason: CloseReason) {
        resume(throwing: TLSFailure("the connection broke"))
        handler?.closed(stream, reason)
        handler = nil
    }
}
