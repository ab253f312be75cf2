import ThemisNet

/// Where the frames of one subscriber go. Conformers: a detached HTTP connection; tests have one that is slow on purpose.
@NetLoop protocol EventSink: AnyObject {
    /// Sends from the front of `bytes`.
    ///
    /// - Returns: how many bytes were taken. After fewer than given, the next call must begin with exactly the rest, once the sink has
    ///   called `Subscriber.writable`.
    func send(_ bytes: ArraySlice<UInt8>) -> Int
    /// Ends the response in order and lets go of the connection.
    func finish()
    /// Lets go of the connection at once.
    func abort()
}

/// A subscriber's connection after its HTTP request is over.
@NetLoop final class StreamConnection: EventSink, EventStreamOwner {
    private var socket: EventStreamSocket?
    private weak var subscriber: Subscriber?

    /// Takes the connection over from the exchange.
    ///
    /// - Throws: `cancelled` when the client has gone.
    init(_ exchange: HTTPExchange, headers: [(name: String, value: String)]) throws {
        socket = try exchange.beginEventStream(headers: headers, owner: self)
    }

    /// Names the subscriber whose frames come here.
    func attach(_ subscriber: Subscriber) { self.subscriber = subscriber }

    func send(_ bytes: ArraySlice<UInt8>) -> Int {
        socket?.send(bytes) ?? 0
    }

    func finish() {
        socket?.finish()
        socket = nil
    }

    func abort() {
        socket?.close()
        socket = nil
    }

    func becameWritable(_ stream: EventStreamSocket) { subscriber?.writable() }

    func closed(_ stream: EventStreamSocket) {
        socket = nil
        subscriber?.abort()
    }
}
