import ThemisBase

/// One client connection: parses requests, keeps one exchange at a time, answers in order.
@NetLoop final class HTTPConnection: ByteStreamHandler {
    let stream: ByteStream
    private let server: HTTPServer
    private var parser = HTTPRequestParser()
    private var current: HTTPExchange?
    private var isParsing = false
    private var isDiscardingBody = false
    private var hasPeerEnded = false
    private var hasSentContinue = false
    /// The answer in progress is the last one.
    var mustClose = false
    /// Its place among the newcomers, while it is one.
    var newcomer: Int?
    /// Its place in the server's list.
    var slot = 0

    // Milliseconds of the monotonic clock, compared by `sweep`.
    private var idleSince: Int64
    private var headSince: Int64?
    private var isFresh = true
    private var trickle = TrickleGauge()
    private var bodySince: Int64 = 0
    private var bodyProgressAt: Int64 = 0
    private var bodyProgressBytes = 0
    private var windowBytes = 0
    private var isBodyPaused = false
    /// The next request waits until the answers before it have gone.
    private var isOutputFull = false
    private var endedSince: Int64?
    private var takenBytes: UInt64 = 0
    private var takenAt: Int64

    init(_ stream: ByteStream, server: HTTPServer) {
        self.stream = stream
        self.server = server
        idleSince = server.nowMilliseconds
        takenAt = idleSince
    }

    // MARK: Input

    func received(_ bytes: UnsafeRawBufferPointer, on stream: ByteStream) -> Int {
        var used = 0
        isParsing = true
        defer { isParsing = false }
        do {
            while stream.isOpen, !stream.isFinishing, unsafe try step(UnsafeRawBufferPointer(rebasing: bytes[used...]), &used) {}
        } catch {
            refuse(error)
            return bytes.count
        }
        if trickle.noteRead(receivedBytes: stream.receivedBytes, isUnfinished: parser.isWithinRequest), stream.isOpen {
            server.newcomerLeft(self)
            stream.lane = .trickling
        }
        return used
    }

    /// One event of the parser. Returns false when more bytes, or an answer, must come first.
    private func step(_ bytes: UnsafeRawBufferPointer, _ used: inout Int) throws(ThemisError) -> Bool {
        if let current {
            if current.body.isComplete { return false }
            if current.hasBody, !isDiscardingBody, mustWait(for: current, bytes.count) {
                stream.pauseReading()
                return false
            }
        } else if stream.isAboveHighWater {
            // Who sends requests and reads no answers is owed one answer, not one for each.
            isOutputFull = true
            stream.pauseReading()
            return false
        }
        let event = unsafe try parser.next(bytes, used: &used)
        switch event {
        case .incomplete:
            if current == nil { noteIncompleteHead() }
            return false
        case .head(let head): begin(head)
        case .body(let range):
            if isDiscardingBody || current?.awaitsRefusal == true {
                discard(range.count)
            } else {
                unsafe current?.body.receive(UnsafeRawBufferPointer(rebasing: bytes[range]))
                current?.bodyArrived(range.count)
            }
        case .end:
            if !isDiscardingBody { current?.takeTurn() }
            current?.body.complete()
            current?.bodyCompleted()
            if isDiscardingBody { nextRequest() }
        }
        return true
    }

    /// Whether the body of `exchange`, of which `available` bytes have come, is not read now.
    private func mustWait(for exchange: HTTPExchange, _ available: Int) -> Bool {
        // A refused body is not read before its refusal has gone. What came together with the head is dropped here: keeping it, and pausing
        // and resuming the socket, would cost more than the refusal.
        if exchange.awaitsRefusal, !hasCome(exchange.body.remainingBytes, available) { return true }
        // The end of a body that has come is told at once: it takes no bytes, and none may follow that would bring the parser back here.
        guard exchange.body.isFull, exchange.body.remainingBytes != 0 else { return false }
        isBodyPaused = true
        return true
    }

    private func noteIncompleteHead() {
        if parser.isWithinRequest {
            if headSince == nil { headSince = server.nowMilliseconds }
        } else if hasPeerEnded {
            stream.finish()
        }
    }

    private func begin(_ head: consuming HTTPRequestHead) {
        headSince = nil
        isFresh = false
        hasSentContinue = false
        isBodyPaused = false
        mustClose = false
        let nowNanoseconds = server.nowNanoseconds
        let now = Int64(nowNanoseconds / 1_000_000)
        (bodySince, bodyProgressAt, bodyProgressBytes, windowBytes) = (now, now, 0, 0)
        let given = head.fields["x-request-id"]
        var isUsable: Bool?
        if let given { isUsable = head.fields.count("x-request-id") == 1 && Self.isRequestID(given) }
        let exchange = HTTPExchange(
            head, name: isUsable == true ? .given(given ?? "") : server.makeName(), server: server, connection: self,
            nowNanoseconds: nowNanoseconds)
        current = exchange
        if isUsable == false {
            exchange.fail(
                ThemisError(
                    .invalidRequest, "a header cannot be used",
                    fields: [FieldError("X-Request-Id", "1 to \(Limits.requestIDBytes) visible ASCII characters, once")]))
        } else {
            exchange.start()
        }
    }

    private static func isRequestID(_ text: String) -> Bool {
        !text.isEmpty && text.utf8.count <= Limits.requestIDBytes && text.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F }
    }

    /// Whether all that is left of a body is among `available` bytes, and little enough to be read over.
    private func hasCome(_ remaining: Int?, _ available: Int) -> Bool {
        guard let remaining else { return false }
        return remaining <= min(available, Limits.bodyDrainBytes)
    }

    private func discard(_ count: Int) {
        current?.body.discard(count)
        windowBytes += count
        if windowBytes > Limits.bodyDrainBytes { stream.finish() }
    }

    /// Not HTTP, or not one way to read it: answer and close.
    private func refuse(_ error: ThemisError) {
        if error.code != .requestTimeout { server.countParseError() }
        mustClose = true
        if let current {
            current.abort(with: error)
            if stream.isOpen { stream.finish() }
            return
        }
        headSince = nil
        let status = error.code.status
        let name = server.makeName()
        let body = ProblemDocument.render(error, requestID: name.text)
        let head = AnswerHead(
            status: status, contentType: MediaTypes.withCharset(ProblemDocument.contentType), contentLength: body.count,
            isChunked: false,
            isGzipped: false, varies: false, closes: true, saysKeepAlive: false, request: name,
            date: server.currentDate(server.nowNanoseconds), headers: [])
        stream.write { out in
            head.write(to: &out)
            out.append(body)
        }
        server.observer?(
            HTTPObservation(
                routeIndex: nil, routeClass: nil, method: .other, status: status, microseconds: 0, requestBytes: 0,
                answerBytes: body.count))
        stream.finish()
    }

    // MARK: The body and its handler

    /// The handler waits for bytes of the body.
    func wantsBody(of exchange: HTTPExchange) {
        guard exchange === current else { return }
        if !exchange.hasAnswered { askForBody(of: exchange) }
        bodyWasTaken()
    }

    /// Says `100 Continue` to a client that waits for it. Nothing but the answer may follow once that has begun.
    func askForBody(of exchange: HTTPExchange) {
        guard exchange === current, exchange.head.expectation == .continue100, !hasSentContinue, !exchange.head.isHTTP10,
            exchange.body.receivedBytes == 0
        else { return }
        hasSentContinue = true
        stream.write { $0.append("HTTP/1.1 100 Continue\r\n\r\n") }
        restartBodyClock()
    }

    /// The handler took what was buffered: there is room again.
    func bodyWasTaken() {
        guard isBodyPaused else { return }
        isBodyPaused = false
        restartBodyClock()
        stream.resumeReading()
    }

    private func restartBodyClock() {
        let now = server.nowMilliseconds
        (bodySince, bodyProgressAt, windowBytes) = (now, now, current?.body.receivedBytes ?? 0)
    }

    /// How long what was read last has waited in the socket, at most: since the answer before it, and not longer than others wait now.
    func ageNanoseconds(_ now: UInt64) -> UInt64 {
        guard stream.lane == .ordinary else { return 0 }
        let waited = server.socketWait()
        return waited == 0 ? 0 : min(waited, now - min(now, UInt64(max(0, idleSince)) * 1_000_000))
    }

    // MARK: Answers

    /// Whether the connection cannot be kept after the answer that is about to be written.
    var closesAfterAnswer: Bool {
        guard let current, !mustClose, !server.isDraining, current.head.keepsAlive else { return true }
        if current.body.isComplete || current.head.framing == .none { return false }
        // The client that still waits for 100 Continue may send the body or not: the connection cannot be understood any more.
        if current.head.expectation == .continue100, !hasSentContinue { return true }
        return current.body.remainingBytes.map { $0 > Limits.bodyDrainBytes } ?? false
    }

    /// The same for an answer that streams: its handler is expected to read the body meanwhile.
    var closesAfterStream: Bool { mustClose || server.isDraining || current?.head.keepsAlive != true }

    /// The answer is written.
    func answered(_ exchange: HTTPExchange, closes: Bool, nowMilliseconds: Int64) {
        guard exchange === current else { return }
        idleSince = nowMilliseconds
        if closes { return stream.finish() }
        // Only now: who asks once, or becomes an event stream, never needs a place among the ordinary ones, nor the loop's memory for it.
        server.newcomerLeft(self)
        stream.lane = exchange.route?.isOfOperators == true ? .pressing : .ordinary
        if exchange.body.isComplete || exchange.head.framing == .none { return nextRequest() }
        // What is left of the body is read over.
        isDiscardingBody = true
        windowBytes = 0
        bodySince = idleSince
        isBodyPaused = false
        if !isParsing { stream.resumeReading() }
    }

    private func nextRequest() {
        if let current, !current.body.isComplete {
            // A request without a body is answered before the parser has told its end.
            isDiscardingBody = true
        } else {
            current = nil
            isDiscardingBody = false
            endedSince = nil
        }
        guard !isParsing else { return }
        stream.resumeReading()
        if hasPeerEnded, current == nil, !isOutputFull { stream.finish() }
    }

    /// Gives the socket away: the exchange goes on as an event stream.
    func detach() -> (descriptor: Int32, pending: [UInt8])? {
        guard let taken = stream.detach() else { return nil }
        current = nil
        server.remove(self)
        return taken
    }

    // MARK: Ends

    func ended(_ stream: ByteStream) {
        hasPeerEnded = true
        guard let current else {
            // Whatever is left is no whole request, unless it was not looked at yet.
            return isOutputFull ? () : stream.finish()
        }
        guard current.body.isComplete else {
            if isDiscardingBody { return stream.finish() }
            return stream.close(.peer)
        }
        mustClose = mustClose || !stream.hasUnusedInput
        switch current.routeClass {
        case .streamOut, .wait: stream.close(.peer)
        // A client that only closed its sending half still gets its answer, if that is quick.
        case .unary, .job, .streamIn, nil: endedSince = server.nowMilliseconds
        }
    }

    func drained(_ stream: ByteStream) {
        guard isOutputFull else { return }
        isOutputFull = false
        stream.resumeReading()
        if hasPeerEnded, current == nil, !isOutputFull { stream.finish() }
    }

    func closed(_ stream: ByteStream, _ reason: CloseReason) {
        server.remove(self)
        let gone = current
        current = nil
        gone?.clientGone()
    }

    /// Closes when nothing is in progress, as a drain begins.
    func closeIfIdle() { if current == nil, !parser.isWithinRequest { stream.finish() } }

    /// Ends what is in progress, as a drain ends.
    func cut() {
        current?.abort(with: ThemisError(.shuttingDown, "the process is stopping", retryAfterSeconds: 1))
        stream.finish()
    }

    // MARK: Time

    /// Compares every clock of the connection with `now`.
    func sweep(_ now: Int64) {
        let timeouts = server.options.timeouts
        if stream.pendingBytes > 0 {
            // What the reader took counts, not what our kernel did: megabytes may lie between the two.
            let taken = stream.acknowledgedBytes
            if taken != takenBytes { (takenBytes, takenAt) = (taken, now) }
            if now - takenAt > Int64(timeouts.writeStallMilliseconds) { return stream.close() }
        } else {
            takenAt = now
        }
        guard let current else {
            // Idle is who has its answers.
            if stream.pendingBytes > 0 { idleSince = now }
            if let headSince {
                if now - headSince > Int64(timeouts.headerMilliseconds) {
                    refuse(ThemisError(.requestTimeout, "the headers took longer than \(timeouts.headerMilliseconds) ms"))
                }
            } else if now - idleSince > Int64(isFresh ? timeouts.headerMilliseconds : timeouts.keepAliveMilliseconds) {
                stream.finish()
            }
            return
        }
        if let endedSince, now - endedSince > Int64(timeouts.halfCloseMilliseconds) { return stream.close(.peer) }
        if isDiscardingBody {
            if now - bodySince > Int64(timeouts.bodyMilliseconds) { stream.finish() }
            return
        }
        if let deadline = current.deadlineMilliseconds, now >= deadline {
            // It was the client who took the time.
            if isAwaitingBody(of: current) { return abortBody(of: current, "the body was not complete within request_timeout_ms") }
            return current.abort(
                with: ThemisError(.deadlineExceeded, "the request took longer than it may; see request_timeout_ms"))
        }
        sweepBody(current, now, timeouts)
    }

    private func sweepBody(_ exchange: HTTPExchange, _ now: Int64, _ timeouts: HTTPTimeouts) {
        let body = exchange.body
        guard isAwaitingBody(of: exchange) else { return restartWindow(body, now) }
        if body.receivedBytes != bodyProgressBytes { (bodyProgressBytes, bodyProgressAt) = (body.receivedBytes, now) }
        if exchange.routeClass == .streamIn {
            let isIdle = now - bodyProgressAt > Int64(timeouts.streamIdleMilliseconds)
            let isWindowOver = now - bodySince > Int64(timeouts.streamRateMilliseconds)
            let isTrickle =
                isWindowOver && body.receivedBytes - windowBytes < Limits.streamRateBytes && body.receivedBytes != windowBytes
            if isIdle || isTrickle {
                return abortBody(of: exchange, "the body came more slowly than \(Limits.streamRateBytes) bytes in a window")
            }
            if isWindowOver { restartWindow(body, now) }
        } else if now - bodySince > Int64(timeouts.bodyMilliseconds) {
            abortBody(of: exchange, "the body took longer than \(timeouts.bodyMilliseconds) ms")
        }
    }

    /// Whether it is the client's turn: its body is not whole, it was asked for, and there is room for more of it.
    private func isAwaitingBody(of exchange: HTTPExchange) -> Bool {
        let awaitsContinue = exchange.head.expectation == .continue100 && !hasSentContinue
        return !exchange.body.isComplete && !isBodyPaused && !awaitsContinue && exchange.head.framing != .none
    }

    private func abortBody(of exchange: HTTPExchange, _ detail: String) {
        mustClose = true
        exchange.abort(with: ThemisError(.requestTimeout, detail))
    }

    private func restartWindow(_ body: RequestBody, _ now: Int64) { (bodySince, windowBytes) = (now, body.receivedBytes) }
}
