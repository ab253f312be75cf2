public import ThemisBase
public import ThemisNet
public import ThemisTelemetry

/// A sidecar's end of the RPC: one connection to the core, kept up in the background.
///
/// Lives on the loop. Calls wait for a connection for a short while, so that a restart of the core is bridged; what was sent when
/// a connection broke is repeated if it only reads, and has an unknown outcome if it writes. `stop` ends it.
@NetLoop public final class RPCClient {
    /// What a client is told when it is made.
    public struct Options: Sendable {
        /// Where the core listens.
        public var socketPath: String
        /// What this process is.
        public var role: PeerRole
        /// Its name among those of its role, at most `Limits.instanceBytes` bytes.
        public var instance: String
        /// How long a call waits for a connection, in milliseconds; its own deadline may be sooner.
        public var connectWaitMilliseconds = 2_000
        /// How long connecting and greeting may take each, in milliseconds.
        public var connectTimeoutMilliseconds = 5_000
        /// Silence of the core after which it is asked whether it lives, in milliseconds.
        public var pingMilliseconds = 10_000
        /// First pause before connecting again, in milliseconds; doubles up to `longestPauseMilliseconds`, less some jitter.
        public var firstPauseMilliseconds = 10
        /// Longest pause before connecting again, in milliseconds.
        public var longestPauseMilliseconds = 1_000
        /// Seed of the jitter.
        public var seed: UInt64

        /// Options with these members.
        public init(socketPath: String, role: PeerRole, instance: String, seed: UInt64) {
            self.socketPath = socketPath
            self.role = role
            self.instance = instance
            self.seed = seed
        }
    }

    /// What is known of the core.
    public struct State: Sendable, Equatable {
        /// Whether requests reach it now.
        public var isConnected = false
        /// Names the start of the core that was spoken to last; nil before the first time.
        public var bootID: BootID?
        /// The epoch of its change log; empty before the first time.
        public var epoch = ""
        /// Its build.
        public var coreVersion = ""
        /// The protocol version in use.
        public var rpcVersion: RPCVersion?
    }

    let options: Options
    let telemetry: Telemetry
    let address: SocketAddress
    /// What is known of the core now.
    public internal(set) var state = State()
    var observers: [@NetLoop (State) -> Void] = []
    var connection: ClientConnection?
    var waiting: [ClientCall] = []
    var firstWaiting = 0
    private var timer: LoopTimer?
    private var timerDueNanoseconds = UInt64.max
    private var runner: Task<Void, Never>?
    var isStopped = false
    var connectionCount: UInt64 = 0
    var random: SeededRandom
    var lastFailure = ""
    var hasWarned = false

    /// A client that does not connect yet.
    ///
    /// - Throws: `invalid_configuration` when the path of the socket is too long.
    public init(_ options: Options, telemetry: Telemetry) throws(ThemisError) {
        self.options = options
        self.telemetry = telemetry
        address = try SocketAddress(unixPath: options.socketPath)
        random = SeededRandom(seed: options.seed)
    }

    /// Connects in the background from now on.
    public func start() {
        guard runner == nil, !isStopped else { return }
        timer = LoopTimer { [weak self] in self?.expire() }
        let due = timerDueNanoseconds
        timerDueNanoseconds = .max
        schedule(due)
        runner = NetLoop.spawn { [self] in await run() }
    }

    /// Ends every call with `shutting_down`, and the connection.
    public func stop() {
        isStopped = true
        runner?.cancel()
        for call in takeWaiting() { call.fail(Self.stopped) }
        connection?.close()
        timer = nil
    }

    /// Calls `observer` now and whenever `state` changes, until the client goes.
    public func onStateChange(_ observer: @escaping @NetLoop (State) -> Void) {
        observers.append(observer)
        observer(state)
    }

    // MARK: Calls

    /// Asks `method` with an encoded body; returns the encoded answer.
    ///
    /// - Throws: what the core answered, `core_unavailable`, `commit_unknown`, `deadline_exceeded`, `overloaded`, or `cancelled`
    /// when the
    ///   task was cancelled.
    public func call(_ method: RPCMethod, _ metadata: RequestMetadata, body: [UInt8]) async throws(ThemisError) -> [UInt8] {
        try await unsafe ask(method, metadata, body) { answer throws(ThemisError) in unsafe Array(answer) }
    }

    /// Asks `method` with a message; returns the answer as a message.
    ///
    /// - Throws: as `call(_:_:body:)`.
    public func call<Response: RPCMessage>(
        _ method: RPCMethod, _ metadata: RequestMetadata, _ request: some RPCMessage, answer: Response.Type = Response.self
    ) async throws(ThemisError) -> Response {
        try await unsafe ask(method, metadata, request.encoded()) { bytes throws(ThemisError) in
            try unsafe Response(decoding: bytes)
        }
    }

    private func ask<Response: Sendable>(
        _ method: RPCMethod, _ metadata: RequestMetadata, _ body: [UInt8],
        decode: @escaping @NetLoop (UnsafeRawBufferPointer) throws(ThemisError) -> Response
    ) async throws(ThemisError) -> Response {
        precondition(method.shape == .unary, "\(method.name) is a stream")
        let call = try makeCall(method, metadata, body)
        let result: Result<Response, ThemisError> = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                unsafe call.whenDone { answer in
                    switch unsafe answer {
                    case .failure(let error): continuation.resume(returning: .failure(error))
                    case .success(let bytes):
                        do throws(ThemisError) {
                            continuation.resume(returning: .success(try unsafe decode(bytes)))
                        } catch {
                            continuation.resume(returning: .failure(error))
                        }
                    }
                }
                submit(call)
            }
        } onCancel: {
            NetLoop.post { self.giveUp(call) }
        }
        return try result.get()
    }

    /// Opens a stream: returns when the request was sent.
    ///
    /// - Throws: `core_unavailable`, `deadline_exceeded`, `overloaded`, `cancelled`. What the core answers shows when the stream
    /// is read.
    public func open<Request: RPCMessage, Response: RPCMessage>(
        _ method: RPCMethod, _ metadata: RequestMetadata, body: [UInt8] = []
    ) async throws(ThemisError) -> RPCStream<Request, Response> {
        precondition(method.shape != .unary, "\(method.name) is not a stream")
        let call = try makeCall(method, metadata, body)
        await withTaskCancellationHandler {
            submit(call)
            await call.awaitStart()
        } onCancel: {
            NetLoop.post { self.giveUp(call) }
        }
        // Sent, or refused before that.
        if call.attempts == 0, let end = call.streamEnd, let error = end { throw error }
        return RPCStream(self, call)
    }

    func makeCall(_ method: RPCMethod, _ metadata: RequestMetadata, _ body: [UInt8]) throws(ThemisError) -> ClientCall {
        try metadata.validate()
        guard body.count <= Limits.messageBytes else {
            throw ThemisError(.bodyTooLarge, "an RPC message has at most \(Limits.messageBytes) bytes")
        }
        let now = telemetry.time.monotonicNanoseconds()
        let call = ClientCall(self, method, metadata, body, nowNanoseconds: now)
        if let trace = metadata.trace, trace.isSampled { call.beginSpan(under: trace, telemetry.spans, socket: options.socketPath, now) }
        return call
    }

    /// Sends `call`, now or when there is room. `nowNanoseconds` is the monotonic clock, when somebody has just read it.
    func submit(_ call: ClientCall, nowNanoseconds: UInt64? = nil) {
        guard !isStopped else { return call.fail(Self.stopped) }
        if firstWaiting == waiting.count, let connection, connection.accepts {
            connection.send(call, nowNanoseconds: nowNanoseconds ?? telemetry.time.monotonicNanoseconds())
        } else {
            guard waiting.count - firstWaiting < Limits.callsWaiting else {
                return call.fail(
                    outcome(.notCommitted, for: call, ThemisError(.overloaded, "too many calls wait", retryAfterSeconds: 1)))
            }
            waiting.append(call)
            schedule(min(call.deadlineNanoseconds ?? .max, connection?.isOpen == true ? .max : call.connectByNanoseconds))
            return
        }
        if let deadline = call.deadlineNanoseconds { schedule(deadline) }
    }

    /// Whether calls wait for a connection or a free place in flight.
    var hasWaitingCalls: Bool { firstWaiting < waiting.count }

    /// Sends what waits, as far as the connection takes it.
    func sendWaiting() {
        guard firstWaiting < waiting.count, let connection else { return }
        let now = telemetry.time.monotonicNanoseconds()
        while firstWaiting < waiting.count, connection.accepts {
            let call = waiting[firstWaiting]
            firstWaiting += 1
            guard call.place == .waiting else { continue }
            connection.send(call, nowNanoseconds: now)
            if let deadline = call.deadlineNanoseconds { schedule(deadline) }
        }
        if firstWaiting == waiting.count {
            waiting.removeAll(keepingCapacity: true)
            firstWaiting = 0
        } else if firstWaiting >= 1_024 {
            waiting.removeFirst(firstWaiting)
            firstWaiting = 0
        }
    }

    func takeWaiting() -> ArraySlice<ClientCall> {
        let calls = waiting[firstWaiting...]
        waiting = []
        firstWaiting = 0
        return calls.filter { $0.place == .waiting }[...]
    }

    /// Nobody waits for `call` any more.
    func giveUp(_ call: ClientCall) { end(call, ThemisError(.cancelled, "the caller gave up")) }

    private func end(_ call: ClientCall, _ error: ThemisError) {
        switch call.place {
        case .done: return
        case .waiting: call.fail(outcome(.notCommitted, for: call, error))
        case .active(let stream):
            connection?.giveUp(call, stream)
            call.fail(outcome(.unknown, for: call, error))
        }
    }

    func outcome(_ outcome: WriteOutcome, for call: ClientCall, _ error: ThemisError) -> ThemisError {
        call.method.effect == .write ? error.with(outcome: outcome) : error
    }

    // MARK: Deadlines

    func schedule(_ dueNanoseconds: UInt64) {
        guard dueNanoseconds < timerDueNanoseconds else { return }
        timerDueNanoseconds = dueNanoseconds
        let now = telemetry.time.monotonicNanoseconds()
        timer?.schedule(microseconds: Int64(clamping: dueNanoseconds > now ? (dueNanoseconds - now) / 1_000 + 1 : 0))
    }

    private func expire() {
        timerDueNanoseconds = .max
        let now = telemetry.time.monotonicNanoseconds()
        let isConnected = connection?.isOpen == true
        var next = UInt64.max
        for call in waiting[firstWaiting...] + (connection?.activeCalls ?? []) where call.place != .done {
            if let deadline = call.deadlineNanoseconds {
                if deadline <= now {
                    end(call, ThemisError(.deadlineExceeded, "no answer within \(call.metadata.deadlineMilliseconds) ms"))
                    continue
                }
                next = min(next, deadline)
            }
            if call.place == .waiting, !isConnected {
                if call.connectByNanoseconds <= now {
                    end(call, unavailable)
                    continue
                }
                next = min(next, call.connectByNanoseconds)
            }
        }
        if next != .max { schedule(next) }
    }

    var unavailable: ThemisError {
        let reason = lastFailure.isEmpty ? "" : ": \(lastFailure)"
        return ThemisError(.coreUnavailable, "the core is not reachable\(reason)", retryAfterSeconds: 1)
    }

    // MARK: Streams

    func takeMessage(of call: ClientCall) -> [UInt8]? {
        // What has come is given out even when the connection has gone.
        if let connection, connection.number == call.connection { return connection.takeMessage(of: call) }
        return call.assembler?.takeMessage()?.message
    }

    func isWritable(_ call: ClientCall) -> Bool {
        guard case .active(let stream) = call.place else { return true }
        return connection?.isWritable(stream) ?? true
    }

    func send(_ payload: [UInt8], on call: ClientCall, isLast: Bool) {
        if case .active(let stream) = call.place { connection?.send(payload, on: stream, isLast: isLast) }
    }

    static let stopped = ThemisError(.shuttingDown, "this process is shutting down", retryAfterSeconds: 1)
}
