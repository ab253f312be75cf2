import ThemisBase
import ThemisNet

/// What a received frame means for who owns the connection.
enum ConnectionEvent: Equatable {
    /// Nothing that concerns the owner.
    case none
    /// Server: a request was opened; `isWhole` when its body is in the frame.
    case request(isWhole: Bool)
    /// Server: a request was answered with BUSY.
    case refused
    /// Server: the client gave up a call; the server still owes the terminal frame.
    case cancelled
    /// Client: the answer; `isWhole` when its body is in the frame, which was the stream's last.
    case response(isWhole: Bool)
    /// Client: the call failed; the stream is over.
    case failure
    /// Client: the request was not begun; the stream is over.
    case busy
    /// Payload; `isLast` ends the peer's half, and on the client the stream.
    case data(isLast: Bool)
    /// Client: the server drains.
    case goAway
    /// Credit came; `takeRelieved` names the streams that may send again.
    case credit
}

/// One connection after its greetings: streams, credit and order, without input and output.
///
/// The owner feeds frames in and gets told what they mean; frames to send are appended to a buffer that it passes in. Both sides
/// use it, so that a rule exists once. What a correct peer never does throws, and the owner closes the connection.
struct ConnectionState {
    /// Which end this is.
    enum Side { case client, server }

    let side: Side
    let limits: ConnectionLimits
    private var streams: [UInt32: StreamState] = [:]
    private var sendCredit: Int
    private var receiving: ReceiveWindow
    /// Streams with outgoing payload, in the order of their turns.
    private var queue: [UInt32] = []
    private var relieved: [UInt32] = []
    private var freeIDs: [UInt32] = []
    private var nextID: UInt32 = 1
    /// Whether GOAWAY was sent (server) or received (client).
    private(set) var isDraining = false

    /// Output above which no more payload is framed: the rest waits in its stream, and others get their turn.
    static let outputBytes = 1 << 20

    init(_ side: Side, limits: ConnectionLimits) {
        self.side = side
        self.limits = limits
        sendCredit = Int(limits.connectionCreditBytes)
        receiving = ReceiveWindow(Int(limits.connectionCreditBytes))
    }

    /// Streams that are open.
    var openStreams: Int { streams.count }
    /// Whether no further request may be opened now.
    var isFull: Bool { streams.count >= Int(limits.requestsInFlight) }
    /// Whether `stream` is open.
    func isOpen(_ stream: UInt32) -> Bool { streams[stream] != nil }
    /// Payload of `stream` that waits for credit, in bytes.
    func outgoingBytes(_ stream: UInt32) -> Int { streams[stream]?.outgoingBytes ?? 0 }
    /// For tests: credit to send on the connection and on a stream.
    func credit(_ stream: UInt32) -> (connection: Int, stream: Int) { (sendCredit, streams[stream]?.sendCredit ?? 0) }
    /// For tests: what the peer may still send on the connection, and what is received and not used up.
    var receivable: (open: Int, held: Int) { (receiving.open, receiving.held) }

    /// Streams that were asked to wait and may send again.
    mutating func takeRelieved() -> [UInt32] {
        guard !relieved.isEmpty else { return [] }
        defer { relieved.removeAll(keepingCapacity: true) }
        return relieved
    }
}

// MARK: Receiving

extension ConnectionState {
    /// Takes a frame in. Answers that need no decision (PONG, BUSY, credit for what nobody waits for) are appended to `out`.
    mutating func receive(_ frame: Frame, _ out: inout ByteBuffer) throws(ProtocolViolation) -> ConnectionEvent {
        let header = unsafe frame.header
        switch header.type {
        case .data: return try receiveData(header, unsafe frame.body.count, &out)
        case .credit: return try unsafe receiveCredit(header, frame.body, &out)
        case .ping:
            guard unsafe frame.body.count == 8 else { throw ProtocolViolation(.body, "a PING has 8 bytes") }
            unsafe FrameHeader(type: .pong).append(to: &out, body: frame.body)
            return .none
        case .pong: return .none
        default:
            guard header.stream != 0 || header.type == .goAway else {
                throw ProtocolViolation(.stream, "frame type \(header.type.number) belongs to a stream")
            }
            return side == .server
                ? try unsafe receiveFromClient(frame, &out) : try unsafe receiveFromServer(header, frame.body.count, &out)
        }
    }

    private mutating func receiveFromClient(_ frame: Frame, _ out: inout ByteBuffer) throws(ProtocolViolation) -> ConnectionEvent
    {
        let header = unsafe frame.header
        switch header.type {
        case .request:
            guard streams[header.stream] == nil else {
                throw ProtocolViolation(.stream, "stream \(header.stream) is open already")
            }
            let isWhole = header.flags.contains(.end)
            guard !isFull, !isDraining else {
                unsafe FrameHeader(type: .busy, flags: .end, stream: header.stream).append(to: &out)
                return .refused
            }
            var stream = StreamState(windowBytes: Int(limits.streamCreditBytes))
            stream.peerHasEnded = isWhole
            streams[header.stream] = stream
            return .request(isWhole: isWhole)
        case .cancel:
            // The answer may have crossed it: then there is nothing to cancel any more.
            guard streams[header.stream] != nil else { return .none }
            streams[header.stream]?.isCancelled = true
            return .cancelled
        default: throw ProtocolViolation(.order, "a client does not send frames of type \(header.type.number)")
        }
    }

    private mutating func receiveFromServer(
        _ header: FrameHeader, _ count: Int, _ out: inout ByteBuffer
    ) throws(ProtocolViolation) -> ConnectionEvent {
        if header.type == .goAway {
            isDraining = true
            return .goAway
        }
        guard let stream = streams[header.stream] else {
            throw ProtocolViolation(
                .stream, "a frame of type \(header.type.number) for stream \(header.stream), which is not open")
        }
        switch header.type {
        case .response:
            guard !stream.hasResponse else { throw ProtocolViolation(.order, "a second RESPONSE") }
            guard header.flags.contains(.end) else {
                guard count == 0 else { throw ProtocolViolation(.body, "a RESPONSE whose body follows has none itself") }
                streams[header.stream]?.hasResponse = true
                return stream.isCancelled ? .none : .response(isWhole: false)
            }
            close(header.stream, &out)
            return stream.isCancelled ? .none : .response(isWhole: true)
        case .error:
            close(header.stream, &out)
            return stream.isCancelled ? .none : .failure
        case .busy:
            guard !stream.hasResponse else { throw ProtocolViolation(.order, "BUSY after the answer began") }
            close(header.stream, &out)
            return stream.isCancelled ? .none : .busy
        default: throw ProtocolViolation(.order, "a server does not send frames of type \(header.type.number)")
        }
    }

    private mutating func receiveData(
        _ header: FrameHeader, _ count: Int, _ out: inout ByteBuffer
    ) throws(ProtocolViolation) -> ConnectionEvent {
        let isLast = header.flags.contains(.end)
        guard header.stream != 0 else { throw ProtocolViolation(.stream, "DATA belongs to a stream") }
        guard count <= Limits.frameBodyBytes, count > 0 || isLast else {
            throw ProtocolViolation(.body, "DATA of \(count) bytes")
        }
        try receiving.receive(count)
        guard var stream = streams[header.stream] else {
            // The server has answered or refused already, and this crossed it. A client keeps its streams until the last frame.
            guard side == .server else { throw ProtocolViolation(.stream, "DATA for stream \(header.stream), which is not open") }
            grantConnection(count, &out)
            return .none
        }
        guard !stream.peerHasEnded, side == .server || stream.hasResponse else {
            throw ProtocolViolation(.order, "DATA where none may come")
        }
        try stream.receiving.receive(count)
        stream.peerHasEnded = isLast
        streams[header.stream] = stream
        if stream.isCancelled {
            if side == .client, isLast { close(header.stream, &out) } else { grant(count, of: header.stream, &out) }
            return .none
        }
        // The payload of the last frame stays in the hands of the owner; its credit goes back with the stream.
        if side == .client, isLast { close(header.stream, &out) }
        return .data(isLast: isLast)
    }

    private mutating func receiveCredit(
        _ header: FrameHeader, _ body: UnsafeRawBufferPointer, _ out: inout ByteBuffer
    ) throws(ProtocolViolation) -> ConnectionEvent {
        guard body.count == 4 else { throw ProtocolViolation(.body, "a CREDIT has 4 bytes") }
        let amount = unsafe Int(UInt32(littleEndian: body.loadUnaligned(as: UInt32.self)))
        if header.stream == 0 {
            guard amount > 0, amount <= Int(limits.connectionCreditBytes) - sendCredit else {
                throw ProtocolViolation(.credit, "\(amount) bytes of credit are more than the connection's window")
            }
            sendCredit += amount
        } else {
            // Credit for a stream that was answered meanwhile: nobody needs it.
            guard let stream = streams[header.stream] else { return .none }
            guard amount > 0, amount <= Int(limits.streamCreditBytes) - stream.sendCredit else {
                throw ProtocolViolation(.credit, "\(amount) bytes of credit are more than the stream's window")
            }
            streams[header.stream]?.sendCredit += amount
            if stream.outgoingBytes > 0 { enqueue(header.stream) }
        }
        pump(&out)
        return .credit
    }

    /// Counts payload as used up; grants credit when half of a window is owed. Does nothing on a stream that is over or given up:
    /// its credit went back then.
    mutating func use(_ count: Int, of stream: UInt32, _ out: inout ByteBuffer) {
        if side == .client, streams[stream]?.isCancelled == true { return }
        grant(count, of: stream, &out)
    }

    private mutating func grant(_ count: Int, of stream: UInt32, _ out: inout ByteBuffer) {
        guard count > 0, let state = streams[stream] else { return }
        if let grant = streams[stream]?.receiving.use(count), grant > 0, !state.peerHasEnded {
            Self.appendCredit(grant, stream, &out)
        }
        grantConnection(count, &out)
    }

    private mutating func grantConnection(_ count: Int, _ out: inout ByteBuffer) {
        let grant = receiving.use(count)
        if grant > 0 { Self.appendCredit(grant, 0, &out) }
    }

    private static func appendCredit(_ amount: Int, _ stream: UInt32, _ out: inout ByteBuffer) {
        FrameHeader(type: .credit, stream: stream).append(to: &out) { out in
            for shift in [0, 8, 16, 24] { out.append(byte: UInt8(truncatingIfNeeded: amount >> shift)) }
        }
    }

    /// Forgets a stream. What was received on it and not used up goes back to the connection.
    private mutating func close(_ stream: UInt32, _ out: inout ByteBuffer) {
        guard let state = streams.removeValue(forKey: stream) else { return }
        if side == .client { freeIDs.append(stream) }
        if state.receiving.held > 0 { grantConnection(state.receiving.held, &out) }
    }
}

// MARK: Sending

extension ConnectionState {
    /// Client: opens a stream. `body` appends metadata and body of the request; with `endsHere` false the body follows as DATA.
    ///
    /// - Returns: nil when no stream may be opened now.
    mutating func open(
        _ method: UInt16, endsHere: Bool, _ out: inout ByteBuffer, body: (inout ByteBuffer) -> Void
    ) -> UInt32? {
        guard !isFull, !isDraining else { return nil }
        let id: UInt32
        if let free = freeIDs.popLast() {
            id = free
        } else {
            id = nextID
            nextID += 1
        }
        var stream = StreamState(windowBytes: Int(limits.streamCreditBytes))
        stream.hasEnded = endsHere
        streams[id] = stream
        FrameHeader(type: .request, flags: endsHere ? .end : [], method: method, stream: id).append(to: &out, body: body)
        return id
    }

    /// Client: gives a call up. The stream stays until the server's last frame has come; what comes until then is dropped.
    mutating func cancel(_ stream: UInt32, _ out: inout ByteBuffer) {
        guard let state = streams[stream], !state.isCancelled else { return }
        streams[stream]?.isCancelled = true
        streams[stream]?.dropOutgoing()
        streams[stream]?.endsAfterOutgoing = false
        unsafe FrameHeader(type: .cancel, stream: stream).append(to: &out)
        grant(state.receiving.held, of: stream, &out)
    }

    /// Server: answers with a body that `body` appends; one that is larger than a frame flows as DATA.
    ///
    /// - Throws: what `body` throws; nothing is answered then.
    mutating func respond(
        _ stream: UInt32, _ out: inout ByteBuffer, body: (inout ByteBuffer) throws(ThemisError) -> Void
    ) throws(ThemisError) {
        guard let state = streams[stream] else { return }
        precondition(!state.hasResponse, "a call is answered once")
        let header = FrameHeader(type: .response, flags: .end, stream: stream)
        let start = header.begin(&out)
        do {
            try body(&out)
        } catch {
            out.removeLast(out.count - start)
            throw error
        }
        let size = out.count - start - FrameHeader.bytes
        if size <= Limits.frameBodyBytes {
            header.finish(&out, from: start)
            return close(stream, &out)
        }
        let large = unsafe Array(out.readable[(start + FrameHeader.bytes)...])
        out.removeLast(size + FrameHeader.bytes)
        beginResponse(stream, &out)
        send(stream, large, isLast: true, &out)
    }

    /// Server: begins an answer whose payload follows as DATA.
    mutating func beginResponse(_ stream: UInt32, _ out: inout ByteBuffer) {
        guard let state = streams[stream], !state.hasResponse else { return }
        streams[stream]?.hasResponse = true
        unsafe FrameHeader(type: .response, stream: stream).append(to: &out)
    }

    /// Server: ends a call with an error, whose body `body` appends; also in the middle of an answer.
    mutating func fail(_ stream: UInt32, _ out: inout ByteBuffer, body: (inout ByteBuffer) -> Void) {
        guard streams[stream] != nil else { return }
        FrameHeader(type: .error, flags: .end, stream: stream).append(to: &out, body: body)
        close(stream, &out)
    }

    /// Server: takes no further request; those in flight go on.
    mutating func goAway(_ out: inout ByteBuffer) {
        guard !isDraining else { return }
        isDraining = true
        unsafe FrameHeader(type: .goAway).append(to: &out)
    }

    /// Sends payload as far as credit reaches; the rest waits and goes out as credit comes.
    mutating func send(_ stream: UInt32, _ payload: [UInt8], isLast: Bool, _ out: inout ByteBuffer) {
        guard var state = streams.removeValue(forKey: stream) else { return }
        precondition(!state.hasEnded && !state.endsAfterOutgoing, "nothing is sent behind the end of a stream")
        if state.isCancelled && side == .client {
            streams[stream] = state
            return
        }
        if state.outgoingBytes == 0 {
            state.outgoing = payload
            state.outgoingHead = 0
        } else {
            state.outgoing.append(contentsOf: payload)
        }
        state.endsAfterOutgoing = isLast
        streams[stream] = state
        enqueue(stream)
        pump(&out)
    }

    /// Frames waiting payload, one frame a stream in turn, until credit or room is used up. The owner calls it when output has
    /// drained.
    mutating func pump(_ out: inout ByteBuffer) {
        var index = 0
        pumping: while index < queue.count, out.count < Self.outputBytes {
            let stream = queue[index]
            switch sendOne(stream, &out) {
            case .more: queue.append(stream)
            case .idle: streams[stream]?.isQueued = false
            case .stuck: break pumping
            }
            index += 1
        }
        queue.removeFirst(index)
    }

    private enum Progress {
        /// The stream has more payload and credit of its own.
        case more
        /// Nothing to send, or no credit of the stream: CREDIT puts it back into the queue.
        case idle
        /// No credit of the connection: nobody can send.
        case stuck
    }

    private mutating func enqueue(_ stream: UInt32) {
        guard streams[stream]?.isQueued == false else { return }
        streams[stream]?.isQueued = true
        queue.append(stream)
    }

    private mutating func sendOne(_ stream: UInt32, _ out: inout ByteBuffer) -> Progress {
        guard var state = streams.removeValue(forKey: stream) else { return .idle }
        let waiting = state.outgoingBytes
        let count = min(waiting, state.sendCredit, sendCredit, Limits.frameBodyBytes)
        guard count > 0 || (waiting == 0 && state.endsAfterOutgoing && !state.hasEnded) else {
            streams[stream] = state
            return waiting > 0 && state.sendCredit > 0 ? .stuck : .idle
        }
        let isLast = state.endsAfterOutgoing && count == waiting
        let head = state.outgoingHead
        unsafe state.outgoing.withUnsafeBytes { bytes in
            unsafe FrameHeader(type: .data, flags: isLast ? .end : [], stream: stream).append(
                to: &out, body: UnsafeRawBufferPointer(rebasing: bytes[head..<(head + count)]))
        }
        state.sendCredit -= count
        sendCredit -= count
        state.takeOutgoing(count)
        state.hasEnded = isLast
        if waiting > Self.lowOutgoingBytes, waiting - count <= Self.lowOutgoingBytes { relieved.append(stream) }
        streams[stream] = state
        // The server's last frame ends the stream, whatever the client still wanted to send.
        if isLast, side == .server { close(stream, &out) }
        return waiting == count ? .idle : .more
    }

    /// Waiting payload of a stream at which its sender should stop, and below which it may go on.
    static let lowOutgoingBytes = 64 << 10
    static let highOutgoingBytes = 256 << 10
}
