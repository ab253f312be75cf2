import Glibc
import ThemisBase
import ThemisNet
import ThemisTelemetry

/// One connected client, on the loop.
@NetLoop final class ServerConnection: ByteStreamHandler {
    private let server: RPCServer
    private let stream: ByteStream
    private var state: ConnectionState?
    /// When the input that is being looked at came; 0 until somebody asks.
    private var arrivedNanoseconds: UInt64 = 0
    private var calls = StreamTable<RPCServerCall>()
    private(set) var peer: AdmittedPeer?
    private var helloTimer: LoopTimer?
    private var isPausedForOutput = false
    private var isFinishing = false
    private var assembledBytes = 0
    private var countedSentBytes: UInt64 = 0
    private var sentAtLastSweep: UInt64 = 0
    private var stalledMilliseconds = 0

    init(_ server: RPCServer, _ descriptor: Int32) {
        self.server = server
        stream = ByteStream(descriptor: descriptor, options: ByteStream.Options(keptOutputBytes: Self.keptOutputBytes))
    }

    func start() {
        let timer = LoopTimer { [weak self] in self?.close(ProtocolViolation(.timeout, "no HELLO within the time for it")) }
        timer.schedule(milliseconds: server.options.helloTimeoutMilliseconds)
        helloTimer = timer
        stream.start(self)
    }

    /// Requests not answered yet.
    var inFlight: Int { state?.openStreams ?? 0 }

    // MARK: Bytes

    func received(_ bytes: UnsafeRawBufferPointer, on stream: ByteStream) -> Int {
        var decoder = FrameDecoder()
        arrivedNanoseconds = 0
        do throws(ProtocolViolation) {
            while stream.isOpen, !isFinishing, let frame = try unsafe decoder.next(bytes) {
                try unsafe handle(frame)
                // A client that sends but does not read must not fill our memory with its answers.
                if stream.pendingBytes >= Self.outputLimitBytes {
                    isPausedForOutput = true
                    stream.pauseReading()
                    break
                }
            }
        } catch {
            close(error)
            return bytes.count
        }
        server.counters.received.add(UInt64(decoder.consumed))
        countSent()
        return decoder.consumed
    }

    func ended(_ stream: ByteStream) { finish() }

    func drained(_ stream: ByteStream) {
        countSent()
        pump()
        if isPausedForOutput {
            isPausedForOutput = false
            stream.resumeReading()
        }
    }

    func closed(_ stream: ByteStream, _ reason: CloseReason) {
        helloTimer = nil
        countSent()
        let abandoned = calls.removeAll()
        state = nil
        server.abandoned(abandoned)
        for call in abandoned { call.abandon() }
        server.remove(self)
    }

    private func countSent() {
        server.counters.sent.add(stream.sentBytes - countedSentBytes)
        countedSentBytes = stream.sentBytes
    }

    /// Closes because the peer broke the protocol.
    private func close(_ violation: ProtocolViolation) {
        server.report(violation, peer?.peer)
        stream.close()
    }

    /// Closes after everything was sent.
    func finish() {
        isFinishing = true
        stream.finish()
    }

    /// Closes at once.
    func close() { stream.close() }

    /// Closes a connection whose output does not move. Called every `milliseconds`.
    func sweep(milliseconds: Int) {
        let isStalled = stream.pendingBytes > 0 && stream.sentBytes == sentAtLastSweep
        sentAtLastSweep = stream.sentBytes
        stalledMilliseconds = isStalled ? stalledMilliseconds + milliseconds : 0
        if stalledMilliseconds >= server.options.stallMilliseconds {
            close(ProtocolViolation(.timeout, "the peer does not read its answers"))
        }
    }

    // MARK: Frames

    private func handle(_ frame: Frame) throws(ProtocolViolation) {
        guard let state, let peer else { return try unsafe greet(frame) }
        let stream = unsafe frame.header.stream
        // Nearly every frame is a request that is accepted, which writes nothing yet.
        if unsafe frame.header.type == .request, try unsafe state.accept(frame.header) {
            return try unsafe open(frame, isWhole: frame.header.flags.contains(.end), peer)
        }
        switch try unsafe feed(frame) {
        case .none: break
        case .request: preconditionFailure("a request that is accepted was seen above")
        case .refused:
            server.counters.busy.add()
        case .cancelled:
            if let call = calls[stream] {
                call.cancel()
                // Nobody works on a request whose body has not come yet.
                if call.assembler?.form == .body { call.fail(Self.cancelled) }
            } else {
                // Answered already, and the answer still flows: nobody wants the rest.
                fail(stream, Self.cancelled)
            }
        case .data(let isLast): unsafe receive(frame.body, of: stream, isLast: isLast)
        case .credit:
            tellRelieved()
            server.progressed()
        case .response, .failure, .busy, .goAway: preconditionFailure("the state of a server gives no events of a client")
        }
    }

    private func feed(_ frame: Frame) throws(ProtocolViolation) -> ConnectionEvent {
        var result = Result<ConnectionEvent, ProtocolViolation>.success(.none)
        stream.write { out in
            do throws(ProtocolViolation) {
                result = .success(try unsafe state?.receive(frame, &out) ?? .none)
            } catch {
                result = .failure(error)
            }
        }
        return try result.get()
    }

    private func open(_ frame: Frame, isWhole: Bool, _ peer: AdmittedPeer) throws(ProtocolViolation) {
        let id = unsafe frame.header.stream
        let (metadata, bodyStart) = try unsafe RequestMetadata.decode(frame.body)
        let body = unsafe UnsafeRawBufferPointer(rebasing: frame.body[bodyStart...])
        guard body.count <= (isWhole ? Limits.frameBodyBytes : 0) else {
            throw ProtocolViolation(.body, "a REQUEST with \(body.count) bytes of body")
        }
        guard let method = unsafe RPCMethod.numbered(frame.header.method) else {
            let number = unsafe frame.header.method
            return fail(
                id, ThemisError(.notImplemented, "method \(number) is unknown to core \(Build.version); upgrade the core"))
        }
        if let admission = server.admission, !admission(method, body.count, arrival()) {
            server.counters.busy.add()
            return stream.write { state?.refuse(id, &$0) }
        }
        let call = RPCServerCall(
            self, stream: id, method: method, metadata: metadata, peer: peer, requestBytes: body.count, arrivedNanoseconds: arrival(),
            completions: server.completions, traffic: traffic(method, isWhole: isWhole), span: span(method, metadata.trace))
        calls.insert(call, at: id)
        server.began(call)
        if let refusal = Self.refusal(method, metadata, peer.peer.role) { return call.fail(refusal) }
        if method.shape == .duplex {
            if isWhole { call.becameReadable(isEnd: true) }
            server.handler(call)
        } else if isWhole {
            unsafe call.dispatch(body, to: server.handler)
        }
    }

    /// Recorded when the request was sampled where it entered.
    private func span(_ method: RPCMethod, _ caller: Traceparent?) -> ActiveSpan? {
        guard let caller, caller.isSampled else { return nil }
        let span = server.telemetry.spans.continue(method.name, under: caller, .server, isRemote: true, atNanoseconds: arrival())
        span?.set(.rpcSystem, "themis")
        span?.set(.rpcMethod, method.name)
        span?.set(.transport, "unix")
        return span
    }

    private func traffic(_ method: RPCMethod, isWhole: Bool) -> CallTraffic? {
        if method.shape == .duplex { return CallTraffic(MessageAssembler(.messages, limit: messageLimit)) }
        if !isWhole { return CallTraffic(MessageAssembler(.body, limit: messageLimit)) }
        return method.shape == .serverStream ? CallTraffic(nil) : nil
    }

    private var messageLimit: Int { Int(server.options.limits.messageBytes) }

    private func arrival() -> UInt64 {
        if arrivedNanoseconds == 0 { arrivedNanoseconds = server.telemetry.time.monotonicNanoseconds() }
        return arrivedNanoseconds
    }

    private static func refusal(_ method: RPCMethod, _ metadata: RequestMetadata, _ role: PeerRole) -> ThemisError? {
        guard method.allows(role) else {
            return ThemisError(.forbidden, "a peer of role \(role.word) may not call \(method.name)")
        }
        guard metadata.scopes.isSuperset(of: method.scope) else {
            return ThemisError(.forbidden, "\(method.name) needs the scope \(method.scope.text)")
        }
        guard metadata.shard == 0 else { return ThemisError(.invalidRequest, "there is only shard 0") }
        // Executed outside its transaction, or before what it should wait behind, a request would do something else than was asked.
        guard metadata.transaction == nil || method.joinsTransactions else {
            return ThemisError(.notImplemented, "\(method.name) cannot belong to a transaction")
        }
        guard metadata.priority == 0 else { return ThemisError(.notImplemented, "this core knows only the ordinary priority, 0") }
        return nil
    }

    private func receive(_ payload: UnsafeRawBufferPointer, of id: UInt32, isLast: Bool) {
        guard let call = calls[id], call.assembler != nil else { return use(payload.count, of: id) }
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
            failure = ThemisError(.overloaded, "too many large requests at once", outcome: .notCommitted, retryAfterSeconds: 1)
        }
        if let failure { return call.fail(failure) }
        if call.method.shape == .duplex {
            guard !isLast || call.assembler?.isBetweenMessages == true else {
                return call.fail(ThemisError(.invalidRequest, "the stream of messages ends within one"))
            }
            call.becameReadable(isEnd: isLast)
        } else if isLast {
            assembledBytes -= call.assembler?.keptBytes ?? 0
            call.take(body: call.assembler?.takeBody() ?? [])
            call.assembler = nil
            server.handler(call)
        }
    }

    private func use(_ count: Int, of id: UInt32) {
        guard count > 0 else { return }
        stream.write { state?.use(count, of: id, &$0) }
    }

    // MARK: Greetings

    private func greet(_ frame: Frame) throws(ProtocolViolation) {
        guard unsafe frame.header.type == .hello, unsafe frame.header.stream == 0 else {
            throw ProtocolViolation(.hello, "the first frame is not HELLO")
        }
        let hello = try unsafe Hello(decoding: frame.body)
        helloTimer = nil
        let accepted: (version: RPCVersion, peer: RPCPeer)
        do throws(ThemisError) {
            accepted = try server.admit(hello, stream.peerCredentials)
        } catch {
            server.reportRefusal(hello, error)
            send(.helloRefused, HelloRefused(error.code, error.message).encoded())
            return finish()
        }
        let options = server.options
        send(
            .helloOK,
            HelloOK(version: accepted.version, bootID: options.bootID, limits: options.limits, epoch: options.epoch).encoded())
        state = ConnectionState(.server, limits: options.limits)
        peer = AdmittedPeer(accepted.peer)
        server.opened(accepted.peer)
    }

    private func send(_ type: FrameType, _ body: [UInt8]) {
        stream.write { out in FrameHeader(type: type).append(to: &out) { $0.append(body) } }
    }

    // MARK: Answers

    func respond(_ call: RPCServerCall, _ body: (inout ByteBuffer) throws(ThemisError) -> Void) {
        guard !call.isCancelled else { return fail(call, Self.cancelled) }
        remove(call)
        var failure: ThemisError?
        stream.write { out in
            do throws(ThemisError) {
                try state?.respond(call.stream, mayBeRefused: call.method.effect == .read, &out, body: body)
            } catch {
                failure = error
            }
        }
        if let failure { fail(call.stream, failure) }
    }

    func fail(_ call: RPCServerCall, _ error: ThemisError) {
        remove(call)
        fail(call.stream, error)
    }

    private func fail(_ id: UInt32, _ error: ThemisError) {
        stream.write { out in
            state?.fail(id, &out) { out in
                // An error always encodes: its texts are made sendable.
                try? error.encode(into: &out)
            }
        }
    }

    private func remove(_ call: RPCServerCall) {
        if let assembler = call.assembler {
            assembledBytes -= assembler.keptBytes
            call.assembler = nil
        }
        _ = calls.remove(call.stream)
        server.ended(call)
    }

    func isWritable(_ call: RPCServerCall) -> Bool {
        guard let state else { return false }
        return state.outgoingBytes(call.stream) < ConnectionState.highOutgoingBytes
    }

    func send(_ call: RPCServerCall, _ payload: [UInt8]) {
        guard !call.isCancelled, !payload.isEmpty else { return }
        stream.write { out in
            state?.beginResponse(call.stream, &out)
            state?.send(call.stream, payload, isLast: false, &out)
        }
    }

    func finish(_ call: RPCServerCall) {
        guard !call.isCancelled else { return fail(call, Self.cancelled) }
        remove(call)
        stream.write { out in
            state?.beginResponse(call.stream, &out)
            state?.send(call.stream, [], isLast: true, &out)
        }
    }

    func takeMessage(of call: RPCServerCall) -> [UInt8]? {
        guard let (message, grant) = call.assembler?.takeMessage() else { return nil }
        assembledBytes -= message.count + MessageAssembler.prefixBytes
        use(grant, of: call.stream)
        return message
    }

    /// Frames what waits for room in the output.
    private func pump() {
        guard state?.hasQueue == true else { return }
        stream.write { state?.pump(&$0) }
        tellRelieved()
        server.progressed()
    }

    private func tellRelieved() {
        guard let relieved = state?.takeRelieved() else { return }
        for id in relieved { calls[id]?.becameWritable() }
    }

    // MARK: Draining

    /// Takes no further request, and ends the calls that would never end by themselves.
    func drain() {
        guard state != nil else { return finish() }
        stream.write { state?.goAway(&$0) }
        for call in calls.values where call.method.isEndless { failDraining(call) }
    }

    /// Ends what has not ended in time.
    func failAll() { for call in calls.values { failDraining(call) } }

    private func failDraining(_ call: RPCServerCall) {
        call.revoke(
            ThemisError(
                .shuttingDown, "the core is shutting down", outcome: call.method.effect == .write ? .unknown : nil,
                retryAfterSeconds: 1))
    }

    private static let cancelled = ThemisError(.cancelled, "the caller gave up")
    private static let outputLimitBytes = 8 << 20
    /// There are few peers and they talk all the time: the kernel need not hand out their output memory anew every turn.
    static let keptOutputBytes = 256 << 10
}
