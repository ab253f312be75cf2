public import ThemisBase
public import ThemisNet

/// A stream of messages to and from the core. Dropping it gives the call up.
///
/// Lives on the loop; one reader and one writer at a time.
@NetLoop public final class RPCStream<Request: RPCMessage, Response: RPCMessage> {
    let client: RPCClient
    let call: ClientCall
    private var hasFinished = false

    init(_ client: RPCClient, _ call: ClientCall) {
        self.client = client
        self.call = call
    }

    deinit {
        let (client, call) = (client, call)
        NetLoop.post { client.giveUp(call) }
    }

    /// The next message; nil at the end of the stream.
    ///
    /// - Throws: what the core ended the stream with, `core_unavailable` when the connection broke, `cancelled`.
    public func next() async throws(ThemisError) -> Response? {
        while true {
            let ticket = call.readable.ticket
            if let message = client.takeMessage(of: call) { return try Response(decoding: message) }
            if let end = call.streamEnd {
                if let error = end { throw error }
                return nil
            }
            let (client, call) = (client, call)
            await withTaskCancellationHandler {
                await withCheckedContinuation { call.readable.add($0, since: ticket) }
            } onCancel: {
                NetLoop.post { client.giveUp(call) }
            }
        }
    }

    /// Sends a message, after waiting until the core has room for it.
    ///
    /// - Throws: what the core ended the stream with, or `invalid_request` when the message cannot be encoded.
    public func send(_ message: Request) async throws(ThemisError) {
        var payload = MessagePayload()
        try payload.append(message)
        try await send(payload)
    }

    /// Sends several messages at once, after waiting until the core has room.
    ///
    /// - Throws: what the core ended the stream with.
    public func send(_ payload: MessagePayload) async throws(ThemisError) {
        precondition(!hasFinished, "nothing is sent behind the end of a stream")
        while true {
            let ticket = call.writable.ticket
            if let end = call.streamEnd { throw end ?? ThemisError(.cancelled, "the core has ended the stream") }
            if client.isWritable(call) { break }
            await withCheckedContinuation { call.writable.add($0, since: ticket) }
        }
        client.send(payload.bytes, on: call, isLast: false)
    }

    /// Sends no more; the core's messages still come.
    public func finish() {
        guard !hasFinished else { return }
        hasFinished = true
        client.send([], on: call, isLast: true)
    }

    /// Gives the call up.
    public func cancel() { client.giveUp(call) }
}

extension RPCStream {
    /// The next message when it is here already; nil when `next` would wait, and at the end of the stream.
    ///
    /// - Throws: `invalid_request` when it cannot be decoded.
    public func nextIfHere() throws(ThemisError) -> Response? {
        guard let message = client.takeMessage(of: call) else { return nil }
        return try Response(decoding: message)
    }
}
