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
extension EventStreamSocket: EventSink {
    func abort() { close() }
}

extension Subscriber: EventStreamOwner {
    func becameWritable(_ stream: EventStreamSocket) { writable() }

    func closed(_ stream: EventStreamSocket) { abort() }
}

/// Owns a stream for the moment before its subscriber is there.
@NetLoop final class StreamRecipient: EventStreamOwner {
    static let shared = StreamRecipient()

    func becameWritable(_ stream: EventStreamSocket) {}
    func closed(_ stream: EventStreamSocket) {}
}
