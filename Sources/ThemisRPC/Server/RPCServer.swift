import Glibc
public import ThemisBase
public import ThemisNet
public import ThemisTelemetry

/// A process that is connected to the core.
public struct RPCPeer: Sendable {
    /// What it is.
    public let role: PeerRole
    /// Its name among those of its role.
    public let instance: String
    /// Its build.
    public let version: String
    /// Its process id, as the kernel says.
    public let pid: Int32
    /// Its user id, as the kernel says.
    public let uid: UInt32
    /// When it connected, in milliseconds since 1970.
    public let connectedMilliseconds: Int64
    /// Tells connections apart for as long as the core runs.
    public let connection: UInt64
    /// Requests not answered yet; set in what `peers` returns.
    public var inFlight = 0
}

/// A peer as its calls share it.
final class AdmittedPeer: Sendable {
    let peer: RPCPeer

    init(_ peer: RPCPeer) { self.peer = peer }
}

/// The core's end of the RPC: listens on a Unix socket, admits peers, and hands every request to one handler.
///
/// Lives on the loop. The loop only frames: a handler that would take long passes the call to another thread and answers by
/// `reply`.
@NetLoop public final class RPCServer {
    /// What a server is told when it is made.
    public struct Options: Sendable {
        /// Where it listens.
        public var socketPath: String
        /// Who may connect besides the core's own user: user ids with the roles that they may have.
        public var roles: [UInt32: Set<PeerRole>]
        /// Changes with every start.
        public var bootID: BootID
        /// The epoch of the change log.
        public var epoch: String
        /// Time for HELLO after connecting, in milliseconds.
        public var helloTimeoutMilliseconds = 5_000
        /// How long a peer may leave its answers unread, in milliseconds.
        public var stallMilliseconds = 30_000
        var limits = ConnectionLimits()

        /// Options with these members.
        public init(socketPath: String, roles: [UInt32: Set<PeerRole>] = [:], bootID: BootID, epoch: String) {
            self.socketPath = socketPath
            self.roles = roles
            self.bootID = bootID
            self.epoch = epoch
        }

        /// Requests one connection may have unanswered; above it BUSY.
        public var requestsInFlight: Int {
            get { Int(limits.requestsInFlight) }
            set { limits.requestsInFlight = UInt32(clamping: max(1, newValue)) }
        }
    }

    /// Takes a request. Called on the loop; must not block; ends the call now or later, once.
    public typealias Handler = @NetLoop (RPCServerCall) -> Void

    /// Asked for each request, with the bytes of its body that came with it and the monotonic clock in nanoseconds, before anything is done
    /// for it; false is answered with BUSY.
    public typealias Admission = @NetLoop (RPCMethod, _ bytes: Int, _ nowNanoseconds: UInt64) -> Bool

    /// What else may refuse a request. Set before `start`.
    public var admission: Admission?
    /// Told of each admitted call that is over; false: its connection broke before the answer. Set before `start`.
    public var onEnd: (@NetLoop (RPCServerCall, _ isAnswered: Bool) -> Void)?

    let options: Options
    let telemetry: Telemetry
    let handler: Handler
    nonisolated let completions = CompletionQueue()
    let counters: Counters
    private var socket: SocketFile?
    private var connections: [ObjectIdentifier: ServerConnection] = [:]
    private var nextConnection: UInt64 = 1
    private var sweeper: LoopTimer?
    private var isDraining = false
    private var callsInFlight = 0
    private var progress = Signal()

    /// Instruments, asked for once.
    struct Counters {
        let received: Counter
        let sent: Counter
        let busy: Counter
        let garbage: Counter
        let inFlight: Gauge
        /// By method number.
        let requests: [Counter?]

        init(_ metrics: MetricRegistry) {
            received = metrics.counter(.rpcReceivedBytes)
            sent = metrics.counter(.rpcSentBytes)
            busy = metrics.counter(.rpcBusy)
            garbage = metrics.counter(.rpcGarbageFrames)
            inFlight = metrics.gauge(.rpcInFlight)
            let last = RPCMethod.all.map(\.number).max() ?? 0
            requests = (0...last).map { number in RPCMethod.numbered(number).map { metrics.counter(.rpcRequests, $0.name) } }
        }
    }

    /// A server that does not listen yet.
    public init(_ options: Options, telemetry: Telemetry, handler: @escaping Handler) {
        self.options = options
        self.telemetry = telemetry
        self.handler = handler
        counters = Counters(telemetry.metrics)
    }

    /// Listens. A socket that a dead core left behind is replaced.
    ///
    /// - Throws: `address_in_use` naming the process that serves the socket, `invalid_configuration` when the path cannot be
    /// used.
    public func start() throws(ThemisError) {
        precondition(socket == nil, "a server starts once")
        let socket = try SocketFile(path: options.socketPath, telemetry: telemetry)
        self.socket = socket
        socket.listener.start { [self] descriptor in
            let connection = ServerConnection(self, descriptor)
            connections[ObjectIdentifier(connection)] = connection
            connection.start()
        }
        let sweeper = LoopTimer { [weak self] in self?.sweep() }
        sweeper.scheduleRepeating(milliseconds: sweepMilliseconds)
        self.sweeper = sweeper
        telemetry.log.info("rpc server listens", [(.socket, options.socketPath)])
    }

    /// Who is connected, for `/stats`: in the order in which they came.
    public func peers() -> [RPCPeer] {
        connections.values.compactMap { connection in
            guard var peer = connection.peer?.peer else { return nil }
            peer.inFlight = connection.inFlight
            return peer
        }.sorted { $0.connection < $1.connection }
    }

    /// Requests of all connections that are not answered yet.
    public var inFlight: Int { connections.values.reduce(0) { $0 + $1.inFlight } }

    /// Runs `body`, which replies to many calls, with one wake-up of the loop for all of them; other replies wait until it returns. Any
    /// thread.
    public nonisolated func holdReplies(_ body: () -> Void) { completions.hold(body) }

    /// Takes no further connections and requests, ends endless calls, and waits until the others are answered.
    ///
    /// What is not answered within `graceMilliseconds` ends with `shutting_down`. Returns when every answer was handed to the
    /// kernel or its peer is gone.
    public func drain(graceMilliseconds: Int) async {
        guard !isDraining else { return }
        isDraining = true
        socket?.stopListening()
        for connection in connections.values { connection.drain() }
        let grace = LoopTimer { [weak self] in
            guard let self else { return }
            for connection in connections.values { connection.failAll() }
            progressed()
        }
        grace.schedule(milliseconds: graceMilliseconds)
        await wait { $0.inFlight == 0 || !grace.isScheduled }
        grace.cancel()
        for connection in connections.values { connection.finish() }
        let patience = LoopTimer { [weak self] in
            guard let self else { return }
            for connection in connections.values { connection.close() }
        }
        patience.schedule(milliseconds: Self.flushMilliseconds)
        await wait { $0.connections.isEmpty }
        patience.cancel()
    }

    private func wait(until condition: (RPCServer) -> Bool) async {
        while true {
            let ticket = progress.ticket
            if condition(self) { return }
            await withCheckedContinuation { progress.add($0, since: ticket) }
        }
    }

    /// Closes every connection at once, and gives the socket back.
    public func stop() {
        isDraining = true
        sweeper = nil
        for connection in connections.values { connection.close() }
        socket?.close()
        socket = nil
    }

    private func sweep() {
        for connection in connections.values { connection.sweep(milliseconds: sweepMilliseconds) }
    }

    private var sweepMilliseconds: Int { min(5_000, max(10, options.stallMilliseconds / 3)) }
    private static let flushMilliseconds = 1_000

    // MARK: Connections

    /// Decides on a HELLO.
    func admit(
        _ hello: Hello, _ credentials: (uid: UInt32, gid: UInt32, pid: Int32)?
    ) throws(ThemisError) -> (version: RPCVersion, peer: RPCPeer) {
        guard !isDraining else { throw ThemisError(.shuttingDown, "the core is shutting down") }
        guard let version = hello.commonVersion(oldest: .oldest, newest: .current) else {
            throw ThemisError(
                .protocolMismatch,
                "core \(Build.version) speaks RPC \(RPCVersion.oldest) to \(RPCVersion.current), "
                    + "the peer \(hello.build) speaks \(hello.oldest) to \(hello.newest)")
        }
        guard let role = PeerRole(rawValue: hello.role) else {
            throw ThemisError(.forbidden, "role \(hello.role) is unknown to the core")
        }
        guard let credentials else { throw ThemisError(.forbidden, "the kernel does not say who the peer is") }
        guard credentials.uid == geteuid() || options.roles[credentials.uid]?.contains(role) == true else {
            throw ThemisError(
                .forbidden, "user id \(credentials.uid) may not connect as \(role.word); add it to rpc.roles")
        }
        defer { nextConnection += 1 }
        return (
            version,
            RPCPeer(
                role: role, instance: hello.instance, version: hello.build, pid: credentials.pid, uid: credentials.uid,
                connectedMilliseconds: telemetry.time.wallMilliseconds(), connection: nextConnection)
        )
    }

    func opened(_ peer: RPCPeer) {
        telemetry.log.info(
            "peer connected",
            [(.role, peer.role.word), (.instance, peer.instance), (.version, peer.version), (.pid, String(peer.pid))])
    }

    func began(_ call: RPCServerCall) {
        callsInFlight += 1
        counters.inFlight.set(Double(callsInFlight))
    }

    /// The calls went with their connection.
    func abandoned(_ calls: [RPCServerCall]) {
        callsInFlight -= calls.count
        counters.inFlight.set(Double(callsInFlight))
        if let onEnd { for call in calls { onEnd(call, false) } }
    }

    func ended(_ call: RPCServerCall) {
        counters.requests[Int(call.method.number)]?.add()
        onEnd?(call, true)
        callsInFlight -= 1
        counters.inFlight.set(Double(callsInFlight))
        // The state forgets the stream right behind this call: look when the turn is over.
        if isDraining { NetLoop.later { [self] in progressed() } }
    }

    /// Something was answered or closed.
    func progressed() { if isDraining { progress.fire() } }

    func remove(_ connection: ServerConnection) {
        connections[ObjectIdentifier(connection)] = nil
        if let peer = connection.peer?.peer {
            telemetry.log.info(
                "peer disconnected", [(.role, peer.role.word), (.instance, peer.instance), (.pid, String(peer.pid))])
        }
        progressed()
    }

    func report(_ violation: ProtocolViolation, _ peer: RPCPeer?) {
        counters.garbage.add()
        telemetry.log.warning(
            "rpc connection closed: the peer broke the protocol",
            [
                (.reason, violation.kind.rawValue), (.detail, violation.detail),
                (.peer, peer.map { "\($0.role.word) \($0.instance)" } ?? "none"),
            ])
    }

    func reportRefusal(_ hello: Hello, _ error: ThemisError) {
        telemetry.log.warning(
            "rpc peer refused", [(.instance, hello.instance), (.version, hello.build), (.error, error.description)])
    }
}
