public import ThemisBase
public import ThemisTelemetry

/// One request and its answer, as a handler sees them.
///
/// The handler answers exactly once: `respond`, `fail`, `beginStream` … `end`, or `beginEventStream`. What it throws becomes the
/// problem document of the error. It runs as a task that is cancelled when the client goes away or the deadline passes, or leaves what
/// it waits for in `pending`; an answer that comes after that is dropped silently.
@NetLoop public final class HTTPExchange {
    /// The request's head: method, target, headers.
    public let head: HTTPRequestHead
    /// The id of the request: the caller's `X-Request-Id`, or a made one. Always returned.
    public var requestID: String { name.text }
    /// What the path's `{…}` hold, decoded, in their order.
    public private(set) var pathParameters: [(name: String, value: String)] = []
    /// The query's parameters, decoded, each known to the route and given once.
    public private(set) var queryParameters: [(name: String, value: String)] = []
    /// Who asks.
    public var principal = "anonymous"
    /// What the principal may do.
    public var scopes = Scopes.all
    /// What became of the write so far; named in the answer when the deadline passes.
    public var writeOutcome: WriteOutcome?
    /// What a handler without a task waits for; abandoned when the client goes away or the deadline passes.
    public var pending: (any PendingWork)?
    /// Whether the client has gone.
    public private(set) var isClientGone = false

    enum Answer { case none, streaming, ended, detached }

    let server: HTTPServer
    let name: RequestName
    let startedNanoseconds: UInt64
    /// Nil once the exchange is over.
    var connection: HTTPConnection?
    var body: RequestBody
    /// What a handler without a task does with the body.
    var wholeBody: WholeBody?
    /// Its share of the server's load.
    var share = HTTPLoad()
    /// Set while it is behind the gate of its work.
    var turn: HTTPTurn?
    /// Whether it was refused, and the refusal waits for its turn.
    var awaitsRefusal = false
    /// Whether the request has a body, perhaps an empty one.
    let hasBody: Bool
    private(set) var answer = Answer.none
    private(set) var routeIndex: Int?
    private(set) var isChunking = false
    private var deflater: GzipDeflater?
    private var isCodingRefused = false
    private var answeredStatus = 0
    private var answeredBytes = 0
    private var task: Task<Void, Never>?
    /// Nil for requests that are not recorded.
    private var span: ActiveSpan?
    /// Milliseconds of the monotonic clock; nil without a bound.
    var deadlineMilliseconds: Int64?

    init(_ head: consuming HTTPRequestHead, name: RequestName, server: HTTPServer, connection: HTTPConnection, nowNanoseconds: UInt64) {
        body = RequestBody(framing: head.framing, isGzipped: false)
        hasBody = head.framing != .none
        self.head = head
        self.name = name
        self.server = server
        self.connection = connection
        startedNanoseconds = nowNanoseconds
    }

    // MARK: The request

    /// The position that calls made for this request name as theirs: the request's own span or, when it is not recorded, the position
    /// that the caller gave. Nil without either.
    public var traceparent: Traceparent? { span?.context ?? callerPosition }

    /// How the bounds of this request work: its route's class, or the one it became. Nil without a route.
    public private(set) var routeClass: RouteClass?

    /// For routes that are a stream only for some requests, as their headers say: from now on the bounds of `routeClass` hold.
    /// Called before the body is read and before the answer begins.
    public func become(_ routeClass: RouteClass) {
        self.routeClass = routeClass
        switch routeClass {
        case .streamIn, .streamOut: deadlineMilliseconds = nil
        case .unary, .job, .wait: setDeadline()
        }
    }

    private func setDeadline() {
        deadlineMilliseconds = Int64(startedNanoseconds / 1_000_000) + Int64(server.requestTimeoutMilliseconds)
    }

    // MARK: Running

    /// Finds the route, checks what can be checked without the handler, and starts the handler.
    func start() {
        if server.telemetry.spans.isEnabled { span = beginSpan() }
        do throws(ThemisError) {
            let index = try matched()
            routeIndex = index
            let route = server.router.routes[index]
            if let scope = route.scope, !scopes.isSuperset(of: scope) {
                throw ThemisError(.forbidden, "the scope \(scope.text) is needed")
            }
            queryParameters = try RequestTarget.parameters(head.rawQuery, allowed: route.parameters)
            guard head.expectation != .unknown else {
                throw ThemisError(.expectationFailed, "only `Expect: 100-continue` is known")
            }
            body.isGzipped = try isGzipped()
            become(route.routeClass)
            guard isAdmitted(route) else { return }
            switch route.handler {
            case .task(let handler): continueAsTask(handler)
            case .direct(let handler): try handler(self)
            }
        } catch {
            fail(error)
        }
    }

    private func matched() throws(ThemisError) -> Int {
        // RFC 9112 §3.2.4: an address without a path is how OPTIONS names the server as a whole through a proxy.
        if head.isAsterisk || (head.method == .options && head.target.isEmpty) {
            throw Refusal.options("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS").error
        }
        switch try server.router.match(head.rawPath, head.method) {
        case .found(let index, let values):
            pathParameters = values
            return index
        case .wrongMethod(let allow):
            throw head.method == .options ? Refusal.options(allow).error : Refusal.wrongMethod(allow).error
        case .unknown:
            throw ThemisError(.notFound, "there is no such path; see docs/openapi.yaml for those that are")
        }
    }

    private func isGzipped() throws(ThemisError) -> Bool {
        guard let coding = head.fields.slice("content-encoding") else { return false }
        if head.fields.count("content-encoding") == 1 {
            if ASCII.isEqualIgnoringCase(coding, "gzip".utf8) || ASCII.isEqualIgnoringCase(coding, "x-gzip".utf8) { return true }
            if coding.isEmpty || ASCII.isEqualIgnoringCase(coding, "identity".utf8) { return false }
        }
        isCodingRefused = true
        throw ThemisError(.unsupportedMediaType, "Content-Encoding is not known; send gzip, once, or nothing")
    }

    /// For direct handlers of routes that need a task for some requests: `handler` takes over.
    public func continueAsTask(_ handler: @escaping HTTPHandler) {
        guard let route else { return }
        task = NetLoop.spawn { await self.run(route, handler) }
    }

    private func run(_ route: Route, _ handler: HTTPHandler) async {
        do {
            try await handler(self)
            switch answer {
            case .none:
                guard connection != nil else { return }
                server.telemetry.log.error("a handler did not answer", [(.route, route.label), (.request_id, requestID)])
                fail(ThemisError(.internalError, "the request was not answered"))
            case .streaming: end()
            case .ended, .detached: break
            }
        } catch {
            failed(with: error, route)
        }
    }

    private func failed(with error: any Error, _ route: Route) {
        guard connection != nil, answer == .none || answer == .streaming else { return }
        if let error = error as? ThemisError { return fail(error) }
        if error is CancellationError { return fail(ThemisError(.shuttingDown, "the process is stopping", retryAfterSeconds: 1)) }
        // The text of an unknown error may tell more than a stranger should know.
        server.telemetry.log.error(
            "a handler failed", [(.route, route.label), (.request_id, requestID), (.error, String(describing: error))])
        fail(ThemisError(.internalError, "an internal error; the log has more under this request id"))
    }

    /// Ends the exchange from outside: a deadline, a body that does not come, the end of a drain.
    func abort(with error: ThemisError) {
        guard connection != nil else { return }
        var error = error
        if error.outcome == nil, let writeOutcome { error = error.with(outcome: writeOutcome) }
        body.fail(error)
        let (running, abandoned) = (task, pending)
        fail(error)
        running?.cancel()
        abandoned?.abandon()
    }

    /// The client went away.
    func clientGone() {
        guard connection != nil else { return }
        connection = nil
        isClientGone = true
        body.fail(ThemisError(.cancelled, "the client went away"))
        task?.cancel()
        observe(status: answer == .none ? ErrorCode.cancelled.status : answeredStatus, server.nowNanoseconds)
        let abandoned = pending
        pending = nil
        wholeBody = nil
        leaveLoad()
        abandoned?.abandon()
    }

    // MARK: The answer as a whole

    /// Whether an answer has begun, or nobody waits for one any more.
    public var hasAnswered: Bool { answer != .none || connection == nil }

    /// Answers with a whole body.
    ///
    /// - Parameters:
    ///   - contentType: nil only without a body. JSON and text get `charset=utf-8`.
    ///   - headers: more headers; control bytes in values become blanks.
    public func respond(
        _ status: Int, contentType: String? = "application/json", headers: [(name: String, value: String)] = [],
        body: [UInt8] = []
    ) {
        respond(status, contentType: contentType, headers: headers, bytes: unsafe body.span.bytes)
    }

    /// Answers with a whole body, which goes straight to the connection: valid during the call is enough. Else as `respond` with an
    /// array.
    public func respond(
        _ status: Int, contentType: String?, headers: [(name: String, value: String)], bytes: RawSpan
    ) {
        guard answer == .none, let connection else { return }
        let hasNoBody = status == 204 || status == 304 || status < 200
        let canVary = !hasNoBody && bytes.byteCount >= Limits.gzipSmallestBytes && MediaTypes.isCompressible(contentType)
        let isHead = head.method == .head
        var gzipped: [UInt8]?
        if canVary, bytes.byteCount <= Limits.gzipLargestBytes, acceptsGzip {
            gzipped = unsafe GzipDeflater.gzip(bytes.withUnsafeBytes { unsafe Array($0) })
        }
        let length = gzipped?.count ?? bytes.byteCount
        let closes = connection.closesAfterAnswer
        let now = server.nowNanoseconds
        let sendsBody = !hasNoBody && !isHead
        connection.stream.write { out in
            let answerHead = AnswerHead(
                status: status, contentType: hasNoBody || bytes.isEmpty ? nil : contentType.map(MediaTypes.withCharset),
                contentLength: hasNoBody ? nil : length, isChunked: false, isGzipped: gzipped != nil, varies: canVary, closes: closes,
                saysKeepAlive: head.isHTTP10, request: name, date: server.currentDate(now), headers: headers)
            answerHead.write(to: &out, reserving: sendsBody ? length : 0)
            guard sendsBody else { return }
            if let gzipped { out.append(gzipped) } else { out.append(bytes) }
        }
        answeredBytes = sendsBody ? length : 0
        finish(status: status, closes: closes, now)
    }

    /// Answers with the problem document of `error`. Once an answer has begun, nothing but closing the connection can tell of an
    /// error.
    public func fail(_ error: ThemisError) {
        guard let connection else { return }
        guard answer == .none else {
            guard answer == .streaming else { return }
            // A reader that leaves in the middle is everyday life, and nobody has to act.
            let hasLeft = error.code == .cancelled || !connection.stream.isOpen
            server.telemetry.log.log(
                hasLeft ? .debug : .warn, "an answer was broken off",
                [(.code, error.code.word), (.request_id, requestID), (.detail, error.message)])
            breakOff(error, connection)
            return
        }
        if let allow = Refusal.allow(in: error) {
            if head.method == .options { return respond(204, contentType: nil, headers: [("Allow", allow)]) }
            return respondProblem(Refusal.plain(error), [("Allow", allow)])
        }
        switch error.code {
        // RFC 9110 §12.5.3: the header says that the coding was the reason, not the type.
        case .unsupportedMediaType where isCodingRefused: respondProblem(error, [("Accept-Encoding", "gzip")])
        case .unauthenticated: respondProblem(error, [("WWW-Authenticate", "Bearer")])
        default: respondProblem(error, [])
        }
    }

    /// Ends an answer that has begun so that the client sees it is not whole: what was sent arrives, the last chunk does not.
    private func breakOff(_ error: ThemisError, _ connection: HTTPConnection) {
        answer = .ended
        self.connection = nil
        task = nil
        pending = nil
        leaveLoad()
        observeOnce()
        // Without chunks only a reset tells a broken answer from a whole one.
        if isChunking { connection.stream.finish() } else { connection.stream.close() }
        body.fail(error)
    }

    private func respondProblem(_ error: ThemisError, _ headers: [(name: String, value: String)]) {
        var headers = headers
        let status = error.code.status
        if let seconds = error.retryAfterSeconds ?? (status == 429 || status == 503 ? 1 : nil) {
            headers.append(("Retry-After", String(seconds)))
        }
        respond(
            status, contentType: ProblemDocument.contentType, headers: headers,
            body: ProblemDocument.render(error, requestID: requestID))
    }

    private var acceptsGzip: Bool { head.fields.slices("accept-encoding").contains { AcceptEncoding.acceptsGzip($0) } }

    // MARK: The answer as a stream

    /// Begins an answer whose length is not known; `send` and `end` follow.
    ///
    /// It is compressed when the client accepts that and the type suits. A client of HTTP/1.0 sees the end by the closing.
    public func beginStream(_ status: Int, contentType: String, headers: [(name: String, value: String)] = []) {
        guard answer == .none, let connection else { return }
        // The body of such a request is read while its answer is sent, and the client sends none before it was asked to.
        if routeClass == .streamIn { connection.askForBody(of: self) }
        let canVary = MediaTypes.isCompressible(contentType)
        let isGzip = canVary && acceptsGzip
        isChunking = !head.isHTTP10
        let answerHead = AnswerHead(
            status: status, contentType: MediaTypes.withCharset(contentType), contentLength: nil, isChunked: isChunking,
            isGzipped: isGzip,
            varies: canVary, closes: connection.closesAfterStream || !isChunking, saysKeepAlive: false, request: name,
            date: server.currentDate(server.nowNanoseconds), headers: headers)
        connection.stream.write { answerHead.write(to: &$0) }
        connection.mustClose = answerHead.closes
        if isGzip, head.method != .head { deflater = GzipDeflater() }
        answeredStatus = status
        answer = .streaming
    }

    /// Sends a piece and waits while the client takes too little.
    ///
    /// - Throws: `cancelled` or `CancellationError` when the client has gone.
    public func send(_ bytes: [UInt8]) async throws {
        guard answer == .streaming, let connection else { throw ThemisError(.cancelled, "the answer is over") }
        guard !bytes.isEmpty, head.method != .head else { return }
        writeChunk(deflater?.deflate(bytes, isLast: false) ?? bytes, to: connection)
        try await connection.stream.awaitWritable()
    }

    /// Ends the stream.
    public func end() {
        guard answer == .streaming, let connection else { return }
        if let deflater { writeChunk(deflater.deflate([], isLast: true), to: connection) }
        deflater = nil
        if isChunking, head.method != .head { connection.stream.write { $0.append("0\r\n\r\n") } }
        finish(
            status: answeredStatus, closes: connection.mustClose || !(body.isComplete || head.framing == .none),
            server.nowNanoseconds)
    }

    private func writeChunk(_ bytes: [UInt8], to connection: HTTPConnection) {
        guard !bytes.isEmpty else { return }
        answeredBytes += bytes.count
        connection.stream.write { out in
            if isChunking {
                out.append(hexadecimal: bytes.count)
                out.append("\r\n")
            }
            out.append(bytes)
            if isChunking { out.append("\r\n") }
        }
    }

    // MARK: The end

    private func finish(status: Int, closes: Bool, _ nowNanoseconds: UInt64) {
        answer = .ended
        answeredStatus = status
        observe(status: status, nowNanoseconds)
        let over = connection
        connection = nil
        task = nil
        pending = nil
        wholeBody = nil
        leaveLoad(status: status)
        over?.answered(self, closes: closes, nowMilliseconds: Int64(nowNanoseconds / 1_000_000))
    }

    func becameDetached(status: Int) {
        answer = .detached
        answeredStatus = status
        leaveLoad()
        observeOnce()
        connection = nil
        task = nil
    }

    private func observeOnce() { observe(status: answeredStatus, server.nowNanoseconds) }

    private func observe(status: Int, _ nowNanoseconds: UInt64) {
        if let span { endSpan(span, status: status, route: route) }
        guard let observer = server.observer else { return }
        let elapsed = nowNanoseconds - startedNanoseconds
        observer(
            HTTPObservation(
                routeIndex: routeIndex, routeClass: routeClass, method: head.method, status: status,
                microseconds: Int64(elapsed / 1_000),
                requestBytes: body.receivedBytes, answerBytes: answeredBytes))
    }
}
