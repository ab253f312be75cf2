import ThemisBase
import ThemisNet

/// What goes to the peer.
extension ConnectionState {
    /// Client: opens a stream. `body` appends metadata and body of the request; with `endsHere` false the body follows as DATA.
    ///
    /// - Returns: nil when no stream may be opened now.
    func open(
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
        streams.insert(stream, at: id)
        FrameHeader(type: .request, flags: endsHere ? .end : [], method: method, stream: id).append(to: &out, body: body)
        return id
    }

    /// Client: gives a call up. The stream stays until the server's last frame has come; what comes until then is dropped.
    func cancel(_ stream: UInt32, _ out: inout ByteBuffer) {
        guard let state = streams[stream], !state.isCancelled else { return }
        streams[stream]?.isCancelled = true
        backlogBytes -= state.outgoingBytes
        streams[stream]?.dropOutgoing()
        streams[stream]?.endsAfterOutgoing = false
        unsafe FrameHeader(type: .cancel, stream: stream).append(to: &out)
        grant(state.receiving.held, of: stream, &out)
    }

    /// Server: answers with a body that `body` appends; one that is larger than a frame flows as DATA.
    ///
    /// - Parameter mayBeRefused: the caller may ask again: a large answer is not kept when too much waits already.
    /// - Throws: what `body` throws, or `overloaded`; nothing is answered then.
    func respond(
        _ stream: UInt32, mayBeRefused: Bool = false, _ out: inout ByteBuffer, body: (inout ByteBuffer) throws(ThemisError) -> Void
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
        guard !mayBeRefused || !isOverloaded else {
            out.removeLast(size + FrameHeader.bytes)
            throw ThemisError(.overloaded, "too many large answers wait for this peer", retryAfterSeconds: 1)
        }
        let large = unsafe Array(out.readable[(start + FrameHeader.bytes)...])
        out.removeLast(size + FrameHeader.bytes)
        beginResponse(stream, &out)
        send(stream, large, isLast: true, &out)
    }

    /// Server: begins an answer whose payload follows as DATA.
    func beginResponse(_ stream: UInt32, _ out: inout ByteBuffer) {
        guard let state = streams[stream], !state.hasResponse else { return }
        streams[stream]?.hasResponse = true
        unsafe FrameHeader(type: .response, stream: stream).append(to: &out)
    }

    /// Server: ends a call with an error, whose body `body` appends; also in the middle of an answer.
    func fail(_ stream: UInt32, _ out: inout ByteBuffer, body: (inout ByteBuffer) -> Void) {
        guard streams[stream] != nil else { return }
        FrameHeader(type: .error, flags: .end, stream: stream).append(to: &out, body: body)
        close(stream, &out)
    }

    /// Server: ends a stream whose request is not begun.
    func refuse(_ stream: UInt32, _ out: inout ByteBuffer) {
        guard streams[stream] != nil else { return }
        unsafe FrameHeader(type: .busy, flags: .end, stream: stream).append(to: &out)
        close(stream, &out)
    }

    /// Server: takes no further request; those in flight go on.
    func goAway(_ out: inout ByteBuffer) {
        guard !isDraining else { return }
        isDraining = true
        unsafe FrameHeader(type: .goAway).append(to: &out)
    }

    /// Sends payload as far as credit reaches; the rest waits and goes out as credit comes.
    func send(_ stream: UInt32, _ payload: [UInt8], isLast: Bool, _ out: inout ByteBuffer) {
        guard var state = streams.remove(stream) else { return }
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
        backlogBytes += payload.count
        streams[stream] = state
        enqueue(stream)
        pump(&out)
    }

    /// Frames waiting payload, one frame a stream in turn, until credit or room is used up. The owner calls it when output has
    /// drained.
    func pump(_ out: inout ByteBuffer) {
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

    func enqueue(_ stream: UInt32) {
        guard streams[stream]?.isQueued == false else { return }
        streams[stream]?.isQueued = true
        queue.append(stream)
    }

    private func sendOne(_ stream: UInt32, _ out: inout ByteBuffer) -> Progress {
        guard var state = streams.remove(stream) else { return .idle }
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
        backlogBytes -= count
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
