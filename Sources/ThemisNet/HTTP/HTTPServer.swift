public import ThemisBase
public import ThemisTelemetry

/// The clocks of a connection, in milliseconds.
public struct HTTPTimeouts: Sendable {
    /// For the headers of one request, and for a new connection to begin one.
    public var headerMilliseconds = Limits.headerMilliseconds
    /// For the body of one request that is not streamed.
    public var bodyMilliseconds = Limits.bodyMilliseconds
    /// Between two requests.
    public var keepAliveMilliseconds = Limits.keepAliveMilliseconds
    /// Between two pieces of a streamed body.
    public var streamIdleMilliseconds = Limits.streamIdleMilliseconds
    /// The window in which a streamed body must bring `Limits.streamRateBytes`.
    public var streamRateMilliseconds = Limits.streamRateMilliseconds
    /// For an answer after the client has closed its sending half.
    public var halfCloseMilliseconds = Limits.halfCloseMilliseconds
    /// For a reader that takes not one byte of its answer.
    public var writeStallMilliseconds = Limits.writeStallMilliseconds

    /// The clocks of the limits table.
    public init() {}

    var shortest: Int {
        min(
            headerMilliseconds, bodyMilliseconds, keepAliveMilliseconds, streamIdleMilliseconds, streamRateMilliseconds,
            halfCloseMilliseconds, writeStallMilliseconds)
    }
}

/// Where and how a server listens.
public struct HTTPServerOptions: Sendable {
    /// An IP address, `localhost`, or `*`.
    public var host: String
    /// The port; 0 lets the kernel choose.
    public var port: UInt16
    /// Whether several processes share the port.
    public var reusesPort: Bool
    /// Connections at once, event streams included; more are answered with 503.
    public var maxConnections: Int
    /// `request_timeout_ms` at the start.
    public var requestTimeoutMilliseconds: Int
    /// The clocks.
    public var timeouts: HTTPTimeouts
    /// Requests that wait for their answers at once; more are answered with 503.
    public var maxRequests = Limits.httpRequestsInProgress
    /// Bytes of their bodies held at once; more are answered with 503.
    public var maxBodyBytes = Limits.httpBodyBytes
    /// When writes are refused. Under way in any case are as many as fill a batch while another one goes to the disk.
    public var writes = AdmissionGate.Bounds(floor: 512, capacity: Limits.httpRequestsInProgress, capacityBytes: Limits.httpBodyBytes)
    /// When scans and queries are refused, which may take milliseconds each.
    public var scans = AdmissionGate.Bounds(floor: 64, capacity: 1_024, capacityBytes: Limits.httpBodyBytes)

    /// The defaults of the configuration.
    public init(
        host: String = "127.0.0.1", port: UInt16 = 8_765, reusesPort: Bool = false, maxConnections: Int = 10_000,
        requestTimeoutMilliseconds: Int = 30_000, timeouts: HTTPTimeouts = HTTPTimeouts()
    ) {
        self.host = host
        self.port = port
        self.reusesPort = reusesPort
        self.maxConnections = maxConnections
        self.requestTimeoutMilliseconds = requestTimeoutMilliseconds
        self.timeouts = timeouts
    }
}

/// An HTTP/1.1 server on the loop.
@NetLoop public final class HTTPServer {
    /// The routes.
    public let router: Router
    /// Called for every answered request, before the next one of its connection begins. Must be quick.
    public var observer: (@NetLoop (HTTPObservation) -> Void)?
    /// `request_timeout_ms`, for requests that begin from now on.
    public var requestTimeoutMilliseconds: Int
    /// Whether no new connections are accepted any more.
    public private(set) var isDraining = false

    let options: HTTPServerOptions
    let telemetry: Telemetry
    var random: SeededRandom
    private var listener: Listener?
    private(set) var connections: [HTTPConnection] = []
    private var eventStreams = 0
    private var refusals = 0
    /// What is admitted now: changed by the exchanges themselves.
    var load = HTTPLoad()
    /// What waits too long: changed by the exchanges themselves.
    var gates: HTTPGates
    let refusalPace = RefusalPace()
    /// How long connections wait until they are read, in nanoseconds.
    var socketWait: @NetLoop () -> UInt64 = { ReadingSet.ordinary.waitNanoseconds }
    /// The newest connections that have not asked for anything: one of them may be an operator with a question.
    private var newcomers = [HTTPConnection?](repeating: nil, count: Limits.newcomers)
    private var nextNewcomer = 0
    private var sweeper: LoopTimer?
    /// Connections in front of this index wait for the rest of a pass.
    private var sweepRest: Int?
    private var restTimer: LoopTimer?
    private var drained: [CheckedContinuation<Void, Never>] = []
    private var date = StaticDate()
    private var dateDueNanoseconds: UInt64 = 0
    private let openConnections: Gauge
    private let acceptedConnections: Counter
    private let refusedConnections: Counter
    private let parseErrors: Counter

    /// A server that does not listen yet.
    public init(_ options: HTTPServerOptions, router: Router, telemetry: Telemetry) {
        self.options = options
        self.router = router
        self.telemetry = telemetry
        gates = HTTPGates(write: options.writes, scan: options.scans)
        requestTimeoutMilliseconds = options.requestTimeoutMilliseconds
        random = SeededRandom(seed: Digest.random(8).reduce(0) { $0 << 8 | UInt64($1) })
        openConnections = telemetry.metrics.gauge(.httpConnections)
        acceptedConnections = telemetry.metrics.counter(.httpConnectionsAccepted)
        refusedConnections = telemetry.metrics.counter(.httpConnectionsRefused)
        parseErrors = telemetry.metrics.counter(.httpParseErrors)
    }

    /// The port listened on, 0 before `start`.
    public var localPort: Int { listener?.localPort ?? 0 }

    /// Open connections, event streams included.
    public var connectionCount: Int { connections.count + eventStreams }

    /// Listens.
    ///
    /// - Throws: `address_in_use` naming the holder, `invalid_configuration` when the address cannot be used.
    public func start() throws(ThemisError) {
        let address = try SocketAddress(host: options.host, port: options.port)
        let listener = try Listener(address, reusesPort: options.reusesPort, telemetry: telemetry)
        self.listener = listener
        sweeper = LoopTimer { [weak self] in self?.sweep() }
        listener.start { [weak self] descriptor in
            guard let self else { return OwnedDescriptor(descriptor).close() }
            accept(descriptor)
        }
    }

    private func accept(_ descriptor: Int32) {
        let stream = ByteStream(descriptor: descriptor)
        guard connectionCount < options.maxConnections else { return refuse(stream) }
        acceptedConnections.add()
        let connection = HTTPConnection(stream, server: self)
        connection.slot = connections.count
        connections.append(connection)
        openConnections.set(Double(connectionCount))
        startSweeping()
        welcome(connection)
        stream.start(connection)
        stream.receiveAtOnce()
    }

    private func welcome(_ connection: HTTPConnection) {
        if let older = newcomers[nextNewcomer] {
            older.newcomer = nil
            older.stream.lane = .ordinary
        }
        newcomers[nextNewcomer] = connection
        connection.newcomer = nextNewcomer
        connection.stream.lane = .pressing
        nextNewcomer = (nextNewcomer + 1) % newcomers.count
    }

    func newcomerLeft(_ connection: HTTPConnection) {
        guard let place = connection.newcomer else { return }
        connection.newcomer = nil
        newcomers[place] = nil
    }

    /// One connection too many: says so and closes. The number of such farewells is bounded too.
    private func refuse(_ stream: ByteStream) {
        refusedConnections.add()
        guard refusals < Self.farewells else { return stream.close() }
        refusals += 1
        let error = ThemisError(.overloaded, "there are \(options.maxConnections) connections already (server.max_connections)")
        let name = makeName()
        let body = ProblemDocument.render(error, requestID: name.text)
        let head = AnswerHead(
            status: 503, contentType: MediaTypes.withCharset(ProblemDocument.contentType), contentLength: body.count, isChunked: false,
            isGzipped: false, varies: false, closes: true, saysKeepAlive: false, request: name, date: currentDate(nowNanoseconds),
            headers: [("Retry-After", "1")])
        stream.start(Farewell { [weak self] in self?.refusals -= 1 })
        stream.write { out in
            head.write(to: &out)
            out.append(body)
        }
        stream.finish()
    }

    private static let farewells = 256

    // MARK: Ends

    /// Stops accepting, closes idle connections, lets what is in progress finish with `Connection: close`, and cuts the rest
    /// after `graceMilliseconds`. Event streams belong to their owners and are not waited for.
    public func drain(graceMilliseconds: Int) async {
        isDraining = true
        // What the kernel has already accepted on our behalf is served, not reset.
        listener?.acceptPending()
        listener?.close()
        guard !connections.isEmpty else { return }
        // A request may be on its way on a connection that looks idle: it is answered, and told that it was the last.
        let linger = LoopTimer { [weak self] in
            guard let self else { return }
            for connection in connections { connection.closeIfIdle() }
        }
        linger.schedule(milliseconds: min(Limits.drainLingerMilliseconds, graceMilliseconds))
        let cut = LoopTimer { [weak self] in
            guard let self else { return }
            for connection in connections { connection.cut() }
            finishDrain()
        }
        cut.schedule(milliseconds: graceMilliseconds)
        await withCheckedContinuation { drained.append($0) }
        linger.cancel()
        cut.cancel()
    }

    private func finishDrain() {
        let waiting = drained
        drained = []
        for continuation in waiting { continuation.resume() }
    }

    /// Stops at once: every connection is closed.
    public func stop() {
        isDraining = true
        listener?.close()
        for connection in connections { connection.stream.close() }
    }

    // MARK: For connections

    func remove(_ connection: HTTPConnection) {
        newcomerLeft(connection)
        let slot = connection.slot
        guard slot < connections.count, connections[slot] === connection else { return }
        connections[slot] = connections[connections.count - 1]
        connections[slot].slot = slot
        connections.removeLast()
        openConnections.set(Double(connectionCount))
        if connections.isEmpty {
            sweeper?.cancel()
            finishDrain()
        }
    }

    var hasEventStreams: Bool { eventStreams > 0 }

    func eventStreamOpened() {
        eventStreams += 1
        openConnections.set(Double(connectionCount))
    }

    func eventStreamClosed() {
        eventStreams -= 1
        openConnections.set(Double(connectionCount))
    }

    func countParseError() { parseErrors.add() }

    /// A name for a request whose caller gave none.
    func makeName() -> RequestName { .made(random.next()) }

    /// The date header's text. The wall clock is asked ten times a second, not for every answer.
    func currentDate(_ nowNanoseconds: UInt64) -> StaticDate {
        if nowNanoseconds >= dateDueNanoseconds {
            dateDueNanoseconds = nowNanoseconds + Self.dateNanoseconds
            date.refresh(wallMilliseconds: telemetry.time.wallMilliseconds())
        }
        return date
    }

    private static let dateNanoseconds: UInt64 = 100_000_000

    var nowNanoseconds: UInt64 { telemetry.time.monotonicNanoseconds() }

    var nowMilliseconds: Int64 { telemetry.time.monotonicMilliseconds() }

    // MARK: Time

    /// One timer for all connections, running while there are any: comparing a number for each of them is cheaper than a timer
    /// each.
    private func startSweeping() {
        guard let sweeper, !sweeper.isScheduled else { return }
        sweeper.scheduleRepeating(milliseconds: min(500, max(5, min(options.timeouts.shortest, requestTimeoutMilliseconds) / 4)))
    }

    private func sweep() {
        let now = nowMilliseconds
        var ends = 0
        // Backwards: an ended connection makes room by moving the last one, which was looked at already.
        var index = min(sweepRest ?? connections.count, connections.count)
        sweepRest = nil
        while index > 0 {
            index -= 1
            guard index < connections.count else { continue }
            let connection = connections[index]
            let wasEnding = connection.stream.isFinishing
            connection.sweep(now)
            if !wasEnding, connection.stream.isFinishing || !connection.stream.isOpen { ends += 1 }
            guard ends < Limits.connectionEnds else {
                sweepRest = index
                let timer = restTimer ?? LoopTimer { [weak self] in self?.sweep() }
                restTimer = timer
                return timer.schedule(milliseconds: Self.restMilliseconds)
            }
        }
    }

    private static let restMilliseconds = 2
}

/// Handles a connection that is only told to go.
@NetLoop private final class Farewell: ByteStreamHandler {
    private let isOver: @NetLoop () -> Void

    init(_ isOver: @escaping @NetLoop () -> Void) { self.isOver = isOver }

    func received(_ bytes: UnsafeRawBufferPointer, on stream: ByteStream) -> Int { bytes.count }
    func ended(_ stream: ByteStream) {}
    func drained(_ stream: ByteStream) {}
    func closed(_ stream: ByteStream, _ reason: CloseReason) { isOver() }
}
