import ThemisBase
import ThemisNet
import ThemisTelemetry

/// One call of a client, from its start to its end; a connection may be lost and another one found in between.
///
/// Safe: the bytes that a completion gets are those of the input, which outlives its call.
@safe @NetLoop final class ClientCall: PendingWork {
    /// Where a call is.
    enum Place: Equatable {
        /// Waits for a connection, or for a free place in flight.
        case waiting
        /// Sent, on this stream of the current connection.
        case active(UInt32)
        /// Over.
        case done
    }

    /// The end of a unary call; the bytes are valid only during the call.
    typealias Completion = @NetLoop (Result<UnsafeRawBufferPointer, ThemisError>) -> Void

    private let client: RPCClient
    let method: RPCMethod
    private(set) var metadata: RequestMetadata
    let body: [UInt8]
    /// When it is worth nothing any more, by the monotonic clock.
    let deadlineNanoseconds: UInt64?
    /// When it was made.
    let madeNanoseconds: UInt64
    /// When it stops to wait for a connection, while there is none.
    var connectByNanoseconds: UInt64
    /// How often it was sent.
    var attempts = 0
    var place = Place.waiting
    /// The number of the connection that it was sent on last.
    var connection: UInt64 = 0
    var assembler: MessageAssembler?
    private var completion: Completion?
    /// Nil for calls that are not recorded.
    private var span: ActiveSpan?

    // Streams.
    /// Set when a stream is over: nil in order, or why.
    private(set) var streamEnd: ThemisError??
    /// It was sent, or is over.
    private var started = Signal()
    /// A message has come, or the end.
    var readable = Signal()
    /// The core takes more, or it is over.
    var writable = Signal()

    init(_ client: RPCClient, _ method: RPCMethod, _ metadata: RequestMetadata, _ body: [UInt8], nowNanoseconds: UInt64) {
        self.client = client
        self.method = method
        self.metadata = metadata
        self.body = body
        madeNanoseconds = nowNanoseconds
        deadlineNanoseconds =
            metadata.deadlineMilliseconds == 0 ? nil : nowNanoseconds + UInt64(metadata.deadlineMilliseconds) * 1_000_000
        connectByNanoseconds = nowNanoseconds + UInt64(client.options.connectWaitMilliseconds) * 1_000_000
    }

    /// Nobody waits for it any more.
    func abandon() { client.giveUp(self) }

    /// Calls `completion` once at the end of a unary call.
    func whenDone(_ completion: @escaping Completion) { unsafe self.completion = unsafe completion }

    /// What is left of the deadline, in milliseconds, at least 1; 0 without one.
    func remainingMilliseconds(nowNanoseconds: UInt64) -> UInt32 {
        guard let deadlineNanoseconds else { return 0 }
        let left = deadlineNanoseconds > nowNanoseconds ? (deadlineNanoseconds - nowNanoseconds) / 1_000_000 : 0
        return UInt32(clamping: max(1, left))
    }

    /// Records the call as a step of `parent`; the core's work stands under it.
    func beginSpan(under parent: Traceparent, _ recorder: SpanRecorder, socket: String, _ nowNanoseconds: UInt64) {
        guard let span = recorder.continue(method.name, under: parent, .client, isRemote: false, atNanoseconds: nowNanoseconds) else {
            return
        }
        span.set(.rpcSystem, "themis")
        span.set(.rpcMethod, method.name)
        span.set(.dbSystem, "themis")
        span.set(.dbOperation, method.name)
        span.set(.serverAddress, socket)
        span.set(.transport, "unix")
        self.span = span
        metadata.trace = span.context
    }

    private func endSpan(_ error: ThemisError?) {
        guard let span else { return }
        if let error {
            span.set(.rpcStatus, error.code.word)
            span.fail(error.code.word)
        }
        span.end()
    }

    // MARK: Unary

    func succeed(_ body: UnsafeRawBufferPointer) {
        place = .done
        endSpan(nil)
        let action = unsafe completion
        unsafe completion = nil
        unsafe action?(.success(body))
    }

    /// Ends the call, unary or a stream.
    func fail(_ error: ThemisError) {
        guard place != .done else { return }
        place = .done
        endSpan(error)
        let action = unsafe completion
        unsafe completion = nil
        unsafe action?(.failure(error))
        if method.shape != .unary { endStream(error) }
    }

    // MARK: Streams

    /// Waits until it was sent, or is over.
    func awaitStart() async {
        while true {
            let ticket = started.ticket
            guard place == .waiting else { return }
            await withCheckedContinuation { started.add($0, since: ticket) }
        }
    }

    func sent(on stream: UInt32) {
        place = .active(stream)
        attempts += 1
        started.fire()
    }

    /// The server has ended the stream: in order, or with an error.
    func endStream(_ error: ThemisError?) {
        place = .done
        endSpan(error)
        if streamEnd == nil { streamEnd = .some(error) }
        started.fire()
        readable.fire()
        writable.fire()
    }
}
