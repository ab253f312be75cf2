import ThemisBase
import ThemisNet

/// One connection to the core: greeting, frames, keep-alive. The client outlives it.
@NetLoop final class ClientConnection: ByteStreamHandler {
    private unowned let client: RPCClient
    private let stream: ByteStream
    private var state: ConnectionState?
    private var decoder = FrameDecoder()
    private var active = StreamTable<ClientCall>()
    private var watch: LoopTimer?
    private var receivedAtLastLook: UInt64 = 0
    private var isPinged = false
    private var assembledBytes = 0
    private var closing: CheckedContinuation<Bool, Never>?
    private var isFinished = false

    /// Tells the connections of a client apart.
    let number: UInt64

    init(_ client: RPCClient, _ stream: ByteStream, number: UInt64) {
        self.client = client
        self.number = number
        self.stream = stream
    }

    /// Greets and serves until the connection ends. Returns whether it was ever open.
    func run() async -> Bool {
        await withCheckedContinuation { continuation in
            closing = continuation
            // Answers free places and memory: they come before more questions.
            stream.lane = .pressing
            stream.start(self)
            let hello = Hello(role: client.options.role, instance: client.options.instance)
            send(.hello, hello.encoded())
            let timer = LoopTimer { [weak self] in self?.close("the core did not answer HELLO") }
            timer.schedule(milliseconds: client.options.connectTimeoutMilliseconds)
            watch = timer
        }
    }

    /// Whether a request may be sent now.
    var accepts: Bool {
        guard let state, stream.isOpen else { return false }
        return !state.isFull && !state.isDraining
    }
    /// Whether the greeting is done and the core does not drain.
    var isOpen: Bool { stream.isOpen && state?.isDraining == false }
    /// Calls that were sent and are not over.
    var activeCalls: [ClientCall] { active.values }

    func close(_ reason: String = "") {
        if !reason.isEmpty { client.connectionBroke(reason) }
        stream.close()
    }

    private func send(_ type: FrameType, _ body: [UInt8]) {
        stream.write { out in FrameHeader(type: type).append(to: &out) { $0.append(body) } }
    }

    // MARK: Bytes

    func received(_ bytes: UnsafeRawBufferPointer, on stream: ByteStream) -> Int {
        decoder.restart()
        do throws(ProtocolViolation) {
            while stream.isOpen, let frame = try unsafe decoder.next(bytes) { try unsafe handle(frame) }
        } catch {
            close("the core broke the protocol (\(error.kind.rawValue)): \(error.detail)")
            return bytes.count
        }
        if state != nil { client.sendWaiting() }
        return decoder.consumed
    }

    func ended(_ stream: ByteStream) { stream.close(.peer) }

    func drained(_ stream: ByteStream) { pump() }

    func closed(_ stream: ByteStream, _ reason: CloseReason) {
        watch = nil
        let lost = active.removeAll()
        let wasOpen = state != nil
        state = nil
        client.connectionClosed(self, lost: lost, reason)
        closing?.resume(returning: wasOpen)
        closing = nil
    }

    /// Pings a silent core, and gives it up when it stays silent.
    private func look() {
        if stream.receivedBytes != receivedAtLastLook {
            receivedAtLastLook = stream.receivedBytes
            isPinged = false
        } else if isPinged {
            close("the core does not answer PING")
        } else {
            isPinged = true
            send(.ping, [UInt8](repeating: 0, count: 8))
        }
    }

    // MARK: Frames

    private func handle(_ frame: Frame) throws(ProtocolViolation) {
        guard let state else { return try unsafe greet(frame) }
        let id = unsafe frame.header.stream
        var result = Result<ConnectionEvent, ProtocolViolation>.success(.none)
        stream.write { out in
            do throws(ProtocolViolation) {
                result = .success(try unsafe state.receive(frame, &out))
            } catch {
                result = .failure(error)
            }
        }
        switch try result.get() {
        case .none: break
        case .response(isWhole: true):
            guard let call = active.remove(id) else { break }
            unsafe answer(call, frame.body)
        case .response(isWhole: false):
            guard let call = active[id] else { break }
            call.assembler = MessageAssembler(call.method.shape == .unary ? .body : .messages, limit: Limits.messageBytes)
        case .data(let isLast): unsafe receive(frame.body, of: id, isLast: isLast)
        case .failure:
            guard let call = active.remove(id) else { break }
            if call.method.shape == .unary { forget(call) }
            client.failed(call, unsafe Self.error(frame.body))
        case .busy:
            guard let call = active.remove(id) else { break }
            client.refused(call, isDraining: state.isDraining)
        case .goAway: client.coreDrains()
        case .credit: tellRelieved()
        case .request, .refused, .cancelled: preconditionFailure("the state of a client gives no events of a server")
        }
        if state.isDraining, state.openStreams == 0 { stream.finish() }
    }

    private func answer(_ call: ClientCall, _ body: UnsafeRawBufferPointer) {
        if call.method.shape == .unary { return unsafe call.succeed(body) }
        guard unsafe body.isEmpty else {
            return call.fail(ThemisError(.internalError, "the core answered a stream with one body"))
        }
        call.endStream(nil)
    }

    private static func error(_ body: UnsafeRawBufferPointer) -> ThemisError {
        do { return try unsafe ThemisError(decoding: body) } catch {
            return ThemisError(.internalError, "the core sent an error that cannot be read: \(error.message)")
        }
    }

    private func receive(_ payload: UnsafeRawBufferPointer, of id: UInt32, isLast: Bool) {
        guard let call = active[id] else { return use(payload.count, of: id) }
        if isLast { _ = active.remove(id) }
        let before = call.assembler?.keptBytes ?? 0
        var failure: ThemisError?
        do throws(ThemisError) {
            let grant = try unsafe call.assembler?.append(payload) ?? payload.count
            use(grant, of: id)
        } catch {
            failure = error
        }
        assembledBytes += (call.assembler?.keptBytes ?? 0) - before
        if assembledBytes > Limits.assemblyBytes {
            failure = ThemisError(.overloaded, "too many large answers at once", retryAfterSeconds: 1)
        }
        if let failure {
            if !isLast { giveUp(call, id) } else { forget(call) }
            return call.fail(failure)
        }
        if call.method.shape != .unary {
            call.readable.fire()
            guard isLast else { return }
            let isWhole = call.assembler?.isBetweenMessages ?? true
            call.endStream(isWhole ? nil : ThemisError(.internalError, "the core's stream ends within a message"))
        } else if isLast {
            assembledBytes -= call.assembler?.keptBytes ?? 0
            let body = call.assembler?.takeBody() ?? []
            unsafe body.withUnsafeBytes { unsafe call.succeed($0) }
        }
    }

    /// Drops what was put together for a call that nobody reads any more.
    private func forget(_ call: ClientCall) {
        assembledBytes -= call.assembler?.keptBytes ?? 0
        call.assembler = nil
    }

    private func use(_ count: Int, of id: UInt32) {
        guard count > 0 else { return }
        stream.write { state?.use(count, of: id, &$0) }
    }

    private func pump() {
        guard state?.hasQueue == true else { return }
        stream.write { state?.pump(&$0) }
        tellRelieved()
    }

    private func tellRelieved() {
        guard let relieved = state?.takeRelieved() else { return }
        for id in relieved { active[id]?.writable.fire() }
    }

    // MARK: Greeting

    private func greet(_ frame: Frame) throws(ProtocolViolation) {
        switch unsafe frame.header.type {
        case .helloOK:
            let hello = try unsafe HelloOK(decoding: frame.body)
            guard hello.version >= .oldest, hello.version <= .current else {
                throw ProtocolViolation(.hello, "the core chose RPC \(hello.version)")
            }
            state = ConnectionState(.client, limits: hello.limits)
            let timer = LoopTimer { [weak self] in self?.look() }
            timer.scheduleRepeating(milliseconds: client.options.pingMilliseconds)
            watch = timer
            client.connectionOpened(hello)
        case .helloRefused:
            let refusal = try unsafe HelloRefused(decoding: frame.body)
            client.connectionRefused(ThemisError(ErrorCode.numbered(refusal.code), refusal.message))
            stream.close()
        default: throw ProtocolViolation(.hello, "the core's first frame is of type \(unsafe frame.header.type.number)")
        }
    }

    // MARK: Calls

    /// Sends the request of `call`. `accepts` was asked before.
    func send(_ call: ClientCall, nowNanoseconds: UInt64) {
        guard let state else { preconditionFailure("a connection that accepts requests has been greeted") }
        let limit = Int(state.limits.messageBytes)
        guard call.body.count <= limit else {
            return call.fail(ThemisError(.bodyTooLarge, "the core takes RPC messages of at most \(limit) bytes"))
        }
        let remaining = call.remainingMilliseconds(nowNanoseconds: nowNanoseconds)
        let isInline = call.method.shape != .duplex && call.body.count <= Limits.frameBodyBytes
        var id: UInt32?
        stream.write { out in
            id = state.open(call.method.number, endsHere: isInline, &out) { out in
                call.metadata.encode(into: &out, deadlineMilliseconds: remaining)
                if isInline { out.append(call.body) }
            }
            if !isInline, call.method.shape != .duplex, let id { state.send(id, call.body, isLast: true, &out) }
        }
        guard let id else { preconditionFailure("a connection that accepts requests has a free stream") }
        active.insert(call, at: id)
        call.connection = number
        call.sent(on: id)
    }

    /// Tells the core that nobody waits for `call` any more.
    func giveUp(_ call: ClientCall, _ id: UInt32) {
        _ = active.remove(id)
        forget(call)
        stream.write { state?.cancel(id, &$0) }
    }

    func isWritable(_ id: UInt32) -> Bool { (state?.outgoingBytes(id) ?? 0) < ConnectionState.highOutgoingBytes }

    func send(_ payload: [UInt8], on id: UInt32, isLast: Bool) {
        stream.write { state?.send(id, payload, isLast: isLast, &$0) }
    }

    /// The next message of the stream `call`, which was opened on this connection.
    func takeMessage(of call: ClientCall) -> [UInt8]? {
        guard let (message, grant) = call.assembler?.takeMessage() else { return nil }
        assembledBytes -= message.count + MessageAssembler.prefixBytes
        if case .active(let id) = call.place { use(grant, of: id) }
        return message
    }
}
