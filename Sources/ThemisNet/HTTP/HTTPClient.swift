import ThemisBase

/// A whole answer. A value; any thread.
public struct HTTPAnswer: Sendable {
    /// Status and headers.
    public let head: HTTPResponseHead
    /// The body, as received: a Content-Encoding is not undone.
    public let body: [UInt8]

    /// The status.
    public var status: Int { head.status }
}

/// A small HTTP/1.1 client for one server: one request a connection at a time; a connection that the server keeps is used again.
@NetLoop public final class HTTPClient {
    /// Bounds of one request.
    public struct Options: Sendable {
        /// For connecting and the whole answer, in milliseconds.
        public var timeoutMilliseconds: Int
        /// The largest body taken.
        public var bodyLimitBytes: Int

        /// Ten seconds, four MiB.
        public init(timeoutMilliseconds: Int = 10_000, bodyLimitBytes: Int = 4 << 20) {
            self.timeoutMilliseconds = timeoutMilliseconds
            self.bodyLimitBytes = bodyLimitBytes
        }
    }

    private let address: SocketAddress
    private let host: String
    private let options: Options
    private let tls: TLSClient?
    private var idle: HTTPCall?

    /// A client of the server at `address`; `host` is sent as the Host header. Connects with the first request.
    ///
    /// - Parameter tls: encrypts, and checks the server's certificate; nil for plain HTTP.
    public init(_ address: SocketAddress, host: String, options: Options = Options(), tls: TLSClient? = nil) {
        self.address = address
        self.host = host
        self.options = options
        self.tls = tls
    }

    /// Sends a request and waits for the whole answer.
    ///
    /// A request that may be repeated is sent once more when a kept connection turns out to be closed.
    ///
    /// - Throws: `core_unavailable` when there is no connection, `deadline_exceeded`, `body_too_large`, `malformed_http`, TLSFailure,
    ///   `CancellationError`.
    public func request(
        _ method: HTTPMethod, _ target: String, headers: [(name: String, value: String)] = [], body: [UInt8] = []
    ) async throws -> HTTPAnswer {
        let kept = idle
        idle = nil
        if let kept, kept.isUsable {
            do {
                return try await exchange(on: kept, method, target, headers, body)
            } catch let error as ThemisError
                where kept.isUntouched && method != .post && method != .patch && error.code == .coreUnavailable
            {
                // The server closed the kept connection before it saw the request: a new one is made below.
            }
        }
        let stream = try await Connector.connect(address, timeoutMilliseconds: options.timeoutMilliseconds)
        guard let tls else { return try await exchange(on: HTTPCall(.plain(stream)), method, target, headers, body) }
        let encrypted = try await TLSStream.open(stream, tls, timeoutMilliseconds: options.timeoutMilliseconds)
        return try await exchange(on: HTTPCall(.encrypted(encrypted)), method, target, headers, body)
    }

    /// Closes the kept connection.
    public func close() {
        idle?.stream.close()
        idle = nil
    }

    private func exchange(
        on call: HTTPCall, _ method: HTTPMethod, _ target: String, _ headers: [(name: String, value: String)], _ body: [UInt8]
    ) async throws -> HTTPAnswer {
        call.stream.write { out in
            HeaderText.append(method.rawValue, to: &out)
            out.append(byte: ASCII.space)
            HeaderText.append(target, to: &out)
            out.append(" HTTP/1.1\r\nHost: ")
            HeaderText.append(host, to: &out)
            for (name, value) in headers {
                out.append("\r\n")
                HeaderText.append(name, to: &out)
                out.append(": ")
                HeaderText.append(value, to: &out)
            }
            if !body.isEmpty || method == .post || method == .put || method == .patch {
                out.append("\r\nContent-Length: ")
                out.append(decimal: body.count)
            }
            out.append("\r\n\r\n")
            out.append(body)
        }
        let answer = try await call.answer(toHead: method == .head, options)
        if answer.head.keepsAlive, call.stream.isOpen, idle == nil { idle = call } else { call.stream.close() }
        return answer
    }
}

/// How bytes get to the server.
@NetLoop private enum HTTPTransport {
    case plain(ByteStream)
    case encrypted(TLSStream)

    var isOpen: Bool {
        switch self {
        case .plain(let stream): stream.isOpen
        case .encrypted(let stream): stream.isOpen
        }
    }

    func start(_ handler: any ByteStreamHandler) {
        switch self {
        case .plain(let stream): stream.start(handler)
        case .encrypted(let stream): stream.start(handler)
        }
    }

    func write(_ fill: (inout ByteBuffer) -> Void) {
        switch self {
        case .plain(let stream): stream.write(fill)
        case .encrypted(let stream): stream.write(fill)
        }
    }

    func close() {
        switch self {
        case .plain(let stream): stream.close()
        case .encrypted(let stream): stream.close()
        }
    }
}

/// One connection of the client and the answer it waits for.
@NetLoop private final class HTTPCall: ByteStreamHandler {
    let stream: HTTPTransport
    /// Whether no byte of the answer has come.
    private(set) var isUntouched = true
    private var parser = HTTPResponseParser()
    private var head: HTTPResponseHead?
    private var body: [UInt8] = []
    private var limit = 0
    /// Whether the server has not closed it, as far as is known.
    var isUsable: Bool { stream.isOpen && !hasEnded }
    private var waiting: CheckedContinuation<HTTPAnswer, any Error>?
    private var hasEnded = false

    init(_ stream: HTTPTransport) {
        self.stream = stream
        stream.start(self)
    }

    func answer(toHead: Bool, _ options: HTTPClient.Options) async throws -> HTTPAnswer {
        guard isUsable else { throw Self.closed }
        parser = HTTPResponseParser(toHead: toHead)
        (head, body, isUntouched, limit) = (nil, [], true, options.bodyLimitBytes)
        let timer = LoopTimer { [weak self] in
            self?.fail(ThemisError(.deadlineExceeded, "no whole answer within \(options.timeoutMilliseconds) ms"))
        }
        timer.schedule(milliseconds: options.timeoutMilliseconds)
        defer { timer.cancel() }
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { waiting = $0 }
        } onCancel: {
            NetLoop.post { self.fail(CancellationError()) }
        }
    }

    func received(_ bytes: UnsafeRawBufferPointer, on stream: ByteStream) -> Int {
        var used = 0
        isUntouched = false
        do {
            while waiting != nil {
                let rest = unsafe UnsafeRawBufferPointer(rebasing: bytes[used...])
                switch unsafe try parser.next(rest, used: &used) {
                case .incomplete: return used
                case .head(let head): self.head = head
                case .body(let range):
                    guard body.count + range.count <= limit else {
                        throw ThemisError(.bodyTooLarge, "the answer is larger than \(limit) bytes")
                    }
                    unsafe body.append(contentsOf: rest[range])
                case .end: succeed()
                }
            }
        } catch {
            fail(error)
            return bytes.count
        }
        // Nobody asked: whatever this is, the connection is of no use any more.
        if used < bytes.count { stream.close() }
        return bytes.count
    }

    func ended(_ stream: ByteStream) {
        hasEnded = true
        if parser.endsWithConnection { succeed() }
        stream.close(.peer)
    }

    func drained(_ stream: ByteStream) {}

    func closed(_ stream: ByteStream, _ reason: CloseReason) { fail(Self.closed) }

    private func succeed() {
        guard let head, let waiting else { return }
        self.waiting = nil
        waiting.resume(returning: HTTPAnswer(head: head, body: body))
        body = []
    }

    private func fail(_ error: any Error) {
        stream.close()
        waiting?.resume(throwing: error)
        waiting = nil
    }

    private static let closed = ThemisError(.coreUnavailable, "the connection was closed before the answer", retryAfterSeconds: 1)
}
