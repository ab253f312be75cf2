import Synchronization
public import ThemisBase
public import ThemisNet
public import ThemisTelemetry

/// A request that the core works on: what was asked, by whom, until when, and how to answer.
///
/// Lives on the loop. What is `nonisolated` may be used on any thread: the members of the request, `isCancelled`, and the
/// replies. Answering a call whose connection has gone does nothing.
///
/// Safe: `borrowed` is set only while `dispatch` runs, as long as the input it points to.
@safe @NetLoop public final class RPCServerCall {
    /// What is asked.
    public nonisolated let method: RPCMethod
    /// What stood before the body.
    public nonisolated let metadata: RequestMetadata
    /// The process that asks.
    public nonisolated var peer: RPCPeer { admitted.peer }
    /// Bytes of the body that came with the request itself.
    public nonisolated let requestBytes: Int
    /// When the request arrived, by the monotonic clock, in nanoseconds.
    public nonisolated let arrivedNanoseconds: UInt64
    /// When the answer is worth nothing any more, by the monotonic clock; nil without a deadline. The wait in any queue counts.
    public nonisolated let deadlineNanoseconds: UInt64?
    /// The span of the call; nil when it is not recorded. Ends with the answer.
    public nonisolated let span: ActiveSpan?

    /// Called once when the caller gives up, the deadline has passed at the caller, or the connection breaks. The call must still
    /// end.
    public var onCancel: (@NetLoop () -> Void)?
    /// Called when `takeMessage` has something new. For methods that take a stream.
    public var onReadable: (@NetLoop () -> Void)? {
        get { traffic?.onReadable }
        set { traffic?.onReadable = newValue }
    }
    /// Called when `isWritable` has become true again. For methods that answer with a stream.
    public var onWritable: (@NetLoop () -> Void)? {
        get { traffic?.onWritable }
        set { traffic?.onWritable = newValue }
    }

    private nonisolated let admitted: AdmittedPeer
    private nonisolated let cancellation = Atomic<Bool>(false)
    private nonisolated let completions: CompletionQueue
    private var connection: ServerConnection?
    let stream: UInt32
    /// The body while the request is being dispatched: still in the input of the connection.
    private var borrowed: UnsafeRawBufferPointer?
    private var owned: [UInt8] = []
    /// What only streams and large bodies need; nil for all other calls.
    private let traffic: CallTraffic?

    init(
        _ connection: ServerConnection, stream: UInt32, method: RPCMethod, metadata: RequestMetadata, peer: AdmittedPeer,
        requestBytes: Int, arrivedNanoseconds: UInt64, completions: CompletionQueue, traffic: CallTraffic?, span: ActiveSpan?
    ) {
        self.connection = connection
        self.stream = stream
        self.method = method
        self.metadata = metadata
        admitted = peer
        self.requestBytes = requestBytes
        self.arrivedNanoseconds = arrivedNanoseconds
        deadlineNanoseconds =
            metadata.deadlineMilliseconds == 0 ? nil : arrivedNanoseconds + UInt64(metadata.deadlineMilliseconds) * 1_000_000
        self.completions = completions
        self.traffic = traffic
        self.span = span
        unsafe borrowed = nil
    }

    // MARK: The request

    /// Whether the work may stop: nobody waits for its result. Any thread.
    public nonisolated var isCancelled: Bool { cancellation.load(ordering: .relaxed) }

    /// Whether the deadline has passed at `nowNanoseconds` of the monotonic clock. Any thread.
    public nonisolated func isExpired(nowNanoseconds: UInt64) -> Bool {
        deadlineNanoseconds.map { nowNanoseconds >= $0 } ?? false
    }

    /// The body of the request; copied when it is asked for.
    public var body: [UInt8] {
        if let borrowed = unsafe borrowed { return unsafe Array(borrowed) }
        return owned
    }

    /// The body of the request as a message; decoded without a copy while the handler runs.
    ///
    /// - Throws: `invalid_request`.
    public func decode<Message: RPCMessage>(_ type: Message.Type = Message.self) throws(ThemisError) -> Message {
        if let borrowed = unsafe borrowed { return try unsafe Message(decoding: borrowed) }
        return try Message(decoding: owned)
    }

    /// Runs `handler` with the body still in the input of the connection.
    func dispatch(_ body: UnsafeRawBufferPointer, to handler: @NetLoop (RPCServerCall) -> Void) {
        unsafe borrowed = unsafe body
        handler(self)
        // Whoever looks at the body later needs one of its own.
        if connection != nil { owned = unsafe Array(body) }
        unsafe borrowed = nil
    }

    func take(body: [UInt8]) { owned = body }

    /// Puts the request's payload together, while there is more to come or to take.
    var assembler: MessageAssembler? {
        get { traffic?.assembler }
        _modify {
            if let traffic {
                yield &traffic.assembler
            } else {
                var none: MessageAssembler?
                yield &none
            }
        }
    }

    // MARK: The answer

    /// Whether the call still waits for its answer.
    public var isOpen: Bool { connection != nil }

    /// Answers. A body of more than 64 KiB flows as DATA by itself.
    public func respond(_ message: some RPCMessage) {
        end()?.respond(self) { out throws(ThemisError) in try message.encode(into: &out) }
    }

    /// Answers with `entity` and, instead of its own, a document that stays where it is.
    public func respond(_ entity: EntityMessage, document: ArraySlice<UInt8>) {
        end()?.respond(self) { out throws(ThemisError) in
            if entity.encodePlainly(with: document, into: &out) { return }
            var whole = entity
            whole.document = Array(document)
            try whole.encode(into: &out)
        }
    }

    /// Answers with an encoded body.
    public func respond(_ body: [UInt8]) { end()?.respond(self) { out throws(ThemisError) in out.append(body) } }

    /// Ends the call with an error, also in the middle of a stream.
    public func fail(_ error: ThemisError) {
        if let span, connection != nil {
            span.set(.rpcStatus, error.code.word)
            span.fail(error.code.word)
        }
        end()?.fail(self, error)
    }

    /// Answers from any thread. Replies of one burst reach the loop by one wake-up.
    public nonisolated func reply(_ message: some RPCMessage) {
        do { completions.add(.init(call: self, result: .success(try message.encoded()))) } catch { reply(failing: error) }
    }

    /// Answers with an encoded body, from any thread.
    public nonisolated func reply(_ body: [UInt8]) { completions.add(.init(call: self, result: .success(body))) }

    /// Ends the call with an error, from any thread.
    public nonisolated func reply(failing error: ThemisError) { completions.add(.init(call: self, result: .failure(error))) }

    /// Lets go of the connection: the call is over for its handler.
    private func end() -> ServerConnection? {
        guard let connection else { return nil }
        self.connection = nil
        endSpan()
        forgetClosures()
        return connection
    }

    private func endSpan() {
        guard let span else { return }
        if isCancelled { span.fail(ErrorCode.cancelled.word) }
        span.end()
    }

    private func forgetClosures() {
        if onCancel != nil { onCancel = nil }
        traffic?.end()
    }

    /// The caller gave up: the handler hears of it, and the answer is still owed.
    func cancel() {
        guard !cancellation.exchange(true, ordering: .relaxed) else { return }
        let action = onCancel
        onCancel = nil
        action?()
        traffic?.becameReadable()
        traffic?.becameWritable()
    }

    /// The connection is gone: nobody can be answered, whatever the handler does when it hears of it.
    func abandon() {
        connection = nil
        cancel()
        endSpan()
        forgetClosures()
    }

    /// Ends the call with `error`; then the handler hears that nobody waits, and what it answers is not sent.
    func revoke(_ error: ThemisError) {
        let action = cancellation.exchange(true, ordering: .relaxed) ? nil : onCancel
        fail(error)
        action?()
    }

    // MARK: A stream of messages in

    /// What `takeMessage` found.
    public enum Incoming: Sendable {
        /// The next message, encoded.
        case message([UInt8])
        /// The client will send no more.
        case end
        /// Nothing now; `onReadable` tells.
        case nothing
    }

    /// The next message of the request's stream.
    ///
    /// - Throws: `cancelled` when the caller gave up.
    public func takeMessage() throws(ThemisError) -> Incoming {
        guard !isCancelled, let connection else { throw ThemisError(.cancelled, "the caller gave up") }
        if let message = connection.takeMessage(of: self) { return .message(message) }
        return traffic?.requestHasEnded != false ? .end : .nothing
    }

    /// Waits for the next message of the request's stream; nil at its end. One reader at a time.
    ///
    /// - Throws: `cancelled` when the caller gave up.
    public func nextMessage() async throws(ThemisError) -> [UInt8]? {
        while true {
            let ticket = traffic?.readable.ticket ?? 0
            switch try takeMessage() {
            case .message(let message): return message
            case .end: return nil
            case .nothing: await withCheckedContinuation { traffic?.readable.add($0, since: ticket) }
            }
        }
    }

    func becameReadable(isEnd: Bool) {
        if isEnd { traffic?.requestHasEnded = true }
        traffic?.becameReadable()
    }

    // MARK: A stream of messages out

    /// Whether a polite handler goes on sending: less than 256 KiB wait for credit.
    public var isWritable: Bool { connection?.isWritable(self) ?? false }

    /// Sends encoded messages of the answer's stream; what exceeds the credit waits here, so look at `isWritable` first.
    public func send(_ payload: MessagePayload) { connection?.send(self, payload.bytes) }

    /// Sends one message, after waiting until the client has room for it.
    ///
    /// - Throws: `cancelled` when the caller gave up, `invalid_request` when the message cannot be encoded.
    public func send(_ message: some RPCMessage) async throws(ThemisError) {
        try await awaitWritable()
        var payload = MessagePayload()
        try payload.append(message)
        send(payload)
    }

    /// Waits until `isWritable`.
    ///
    /// - Throws: `cancelled` when the caller gave up.
    public func awaitWritable() async throws(ThemisError) {
        while true {
            let ticket = traffic?.writable.ticket ?? 0
            guard !isCancelled, connection != nil else { throw ThemisError(.cancelled, "the caller gave up") }
            if isWritable { return }
            await withCheckedContinuation { traffic?.writable.add($0, since: ticket) }
        }
    }

    /// Ends the answer's stream in order.
    public func finish() { end()?.finish(self) }

    func becameWritable() { traffic?.becameWritable() }
}

/// What a call with a stream, or with a body that is still coming, needs beside its request.
@NetLoop final class CallTraffic {
    var assembler: MessageAssembler?
    var requestHasEnded = false
    var readable = Signal()
    var writable = Signal()
    var onReadable: (@NetLoop () -> Void)?
    var onWritable: (@NetLoop () -> Void)?

    init(_ assembler: MessageAssembler?) { self.assembler = assembler }

    func becameReadable() {
        onReadable?()
        readable.fire()
    }

    func becameWritable() {
        onWritable?()
        writable.fire()
    }

    func end() {
        onReadable = nil
        onWritable = nil
        readable.fire()
        writable.fire()
    }
}
