import ThemisBase

/// The body of one request between the parser and the handler.
struct RequestBody {
    let framing: HTTPBodyFraming
    var isGzipped: Bool
    /// Bytes that came and were not asked for yet.
    private(set) var buffered: [UInt8] = []
    /// Whether the parser has seen the end.
    private(set) var isComplete: Bool
    /// Bytes received, as they came over the wire.
    private(set) var receivedBytes = 0
    private(set) var error: ThemisError?
    private var waiter: CheckedContinuation<Void, Never>?
    var inflater: GzipInflater?

    init(framing: HTTPBodyFraming, isGzipped: Bool) {
        self.framing = framing
        self.isGzipped = isGzipped
        isComplete = false
    }

    /// Whether all of it is kept until it is whole: its own limit bounds it then.
    var gathersAll = false

    /// Whether reading from the socket should pause.
    @inline(__always) var isFull: Bool { !gathersAll && buffered.count >= Limits.bodyBufferBytes }

    /// Bytes that are still to come, nil when nobody can know.
    @inline(__always) var remainingBytes: Int? {
        if isComplete { return 0 }
        if case .length(let count) = framing { return count - receivedBytes }
        return nil
    }

    mutating func receive(_ bytes: UnsafeRawBufferPointer) {
        receivedBytes += bytes.count
        unsafe buffered.append(contentsOf: bytes)
        wake()
    }

    mutating func discard(_ count: Int) { receivedBytes += count }

    mutating func complete() {
        isComplete = true
        wake()
    }

    mutating func fail(_ error: ThemisError) {
        if self.error == nil { self.error = error }
        wake()
    }

    mutating func take() -> [UInt8] {
        var taken: [UInt8] = []
        swap(&taken, &buffered)
        return taken
    }

    mutating func wait(_ continuation: CheckedContinuation<Void, Never>) {
        waiter = continuation
        if isComplete || error != nil || !buffered.isEmpty { wake() }
    }

    private mutating func wake() {
        waiter?.resume()
        waiter = nil
    }
}

extension HTTPExchange {
    /// The next piece of the body, decompressed, at most a few hundred KiB; nil after the last one. Reading from the client
    /// pauses while nobody asks.
    ///
    /// - Throws: `cancelled` when the client went away, `request_incomplete` when it was too slow, `invalid_request` for broken
    ///   gzip,
    ///   `body_too_large` when it expands too much.
    public func nextBodyChunk() async throws -> [UInt8]? {
        while true {
            guard let raw = try await nextRawChunk() else {
                if let inflater = body.inflater, !inflater.isComplete {
                    throw ThemisError(.invalidRequest, "the gzip body ends too early")
                }
                return nil
            }
            guard body.isGzipped else { return raw }
            let inflater = body.inflater ?? GzipInflater()
            body.inflater = inflater
            var plain: [UInt8] = []
            try inflater.inflate(raw, into: &plain, limit: Limits.bodyBufferBytes * Limits.inflateRatio)
            if !plain.isEmpty { return plain }
        }
    }

    /// The whole body, decompressed.
    ///
    /// - Throws: `body_too_large` beyond `limit` bytes, before reading them when the length is told; else as `nextBodyChunk`.
    public func body(limit: Int) async throws -> [UInt8] {
        if case .length(let count) = body.framing, count > limit { throw Self.tooLarge(limit) }
        var whole: [UInt8] = []
        while let raw = try await nextRawChunk() {
            if body.isGzipped {
                let inflater = body.inflater ?? GzipInflater()
                body.inflater = inflater
                try inflater.inflate(raw, into: &whole, limit: limit)
            } else {
                guard whole.count + raw.count <= limit else { throw Self.tooLarge(limit) }
                if whole.isEmpty { whole = raw } else { whole += raw }
            }
        }
        if let inflater = body.inflater, !inflater.isComplete {
            throw ThemisError(.invalidRequest, "the gzip body ends too early")
        }
        return whole
    }

    static func tooLarge(_ limit: Int) -> ThemisError {
        ThemisError(.bodyTooLarge, "the body is larger than \(limit) bytes", members: [("limit_bytes", .number(UInt64(limit)))])
    }

    private func nextRawChunk() async throws -> [UInt8]? {
        while true {
            if let error = body.error { throw error }
            if !body.buffered.isEmpty {
                let taken = body.take()
                connection?.bodyWasTaken()
                return taken
            }
            if body.isComplete { return nil }
            guard let connection else { throw ThemisError(.cancelled, "the client went away") }
            connection.wantsBody(of: self)
            await withTaskCancellationHandler {
                await withCheckedContinuation { body.wait($0) }
            } onCancel: {
                NetLoop.post { self.body.fail(ThemisError(.cancelled, "the request was cancelled")) }
            }
        }
    }
}
