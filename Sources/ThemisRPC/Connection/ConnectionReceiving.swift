import ThemisBase
import ThemisNet

/// What comes from the peer.
extension ConnectionState {
    /// Takes a frame in. Answers that need no decision (PONG, BUSY, credit for what nobody waits for) are appended to `out`.
    func receive(_ frame: Frame, _ out: inout ByteBuffer) throws(ProtocolViolation) -> ConnectionEvent {
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

    /// Server: opens the stream of a REQUEST; false when it must be answered with BUSY.
    func accept(_ header: FrameHeader) throws(ProtocolViolation) -> Bool {
        guard header.stream != 0 else { throw ProtocolViolation(.stream, "a REQUEST belongs to a stream") }
        guard !isOpen(header.stream) else { throw ProtocolViolation(.stream, "stream \(header.stream) is open already") }
        guard !isFull, !isDraining, !isOverloaded else { return false }
        var stream = StreamState(windowBytes: Int(limits.streamCreditBytes))
        stream.peerHasEnded = header.flags.contains(.end)
        streams.insert(stream, at: header.stream)
        return true
    }

    private func receiveFromClient(_ frame: Frame, _ out: inout ByteBuffer) throws(ProtocolViolation) -> ConnectionEvent {
        let header = unsafe frame.header
        switch header.type {
        case .request:
            if try accept(header) { return .request(isWhole: header.flags.contains(.end)) }
            unsafe FrameHeader(type: .busy, flags: .end, stream: header.stream).append(to: &out)
            return .refused
        case .cancel:
            // The answer may have crossed it: then there is nothing to cancel any more.
            guard streams[header.stream] != nil else { return .none }
            streams[header.stream]?.isCancelled = true
            return .cancelled
        default: throw ProtocolViolation(.order, "a client does not send frames of type \(header.type.number)")
        }
    }

    private func receiveFromServer(
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

    private func receiveData(
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

    private func receiveCredit(
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
    func use(_ count: Int, of stream: UInt32, _ out: inout ByteBuffer) {
        if side == .client, streams[stream]?.isCancelled == true { return }
        grant(count, of: stream, &out)
    }

    func grant(_ count: Int, of stream: UInt32, _ out: inout ByteBuffer) {
        guard count > 0, let state = streams[stream] else { return }
        if let grant = streams[stream]?.receiving.use(count), grant > 0, !state.peerHasEnded {
            Self.appendCredit(grant, stream, &out)
        }
        grantConnection(count, &out)
    }

    private func grantConnection(_ count: Int, _ out: inout ByteBuffer) {
        let grant = receiving.use(count)
        if grant > 0 { Self.appendCredit(grant, 0, &out) }
    }

    private static func appendCredit(_ amount: Int, _ stream: UInt32, _ out: inout ByteBuffer) {
        FrameHeader(type: .credit, stream: stream).append(to: &out) { out in
            for shift in [0, 8, 16, 24] { out.append(byte: UInt8(truncatingIfNeeded: amount >> shift)) }
        }
    }

    /// Forgets a stream. What was received on it and not used up goes back to the connection.
    func close(_ stream: UInt32, _ out: inout ByteBuffer) {
        guard let state = streams.remove(stream) else { return }
        backlogBytes -= state.outgoingBytes
        if side == .client { freeIDs.append(stream) }
        if state.receiving.held > 0 { grantConnection(state.receiving.held, &out) }
    }
}
