import ThemisNet

/// Credit of one direction of traffic, counted by who receives: for a stream, or for the connection.
struct ReceiveWindow {
    private let size: Int
    /// Bytes that the peer may still send.
    private(set) var open: Int
    /// Bytes that were used up here and not granted yet.
    private(set) var owed = 0

    init(_ size: Int) {
        self.size = size
        open = size
    }

    /// Counts payload on arrival.
    mutating func receive(_ count: Int) throws(ProtocolViolation) {
        guard count <= open else { throw ProtocolViolation(.credit, "\(count) bytes against a credit of \(open)") }
        open -= count
    }

    /// Counts bytes as used up; returns what to grant now: nothing, until half of the window is owed.
    mutating func use(_ count: Int) -> Int {
        owed += count
        precondition(open + owed <= size, "no more is granted than was received")
        guard owed >= size / 2 else { return 0 }
        defer { owed = 0 }
        open += owed
        return owed
    }

    /// Bytes received and not used up yet.
    var held: Int { size - open - owed }
}

/// One stream, as one side sees it.
struct StreamState {
    /// Bytes that this side may send.
    var sendCredit: Int
    var receiving: ReceiveWindow
    /// Payload that waits for credit.
    var outgoing: [UInt8] = []
    var outgoingHead = 0
    /// Whether the stream ends here behind what is outgoing.
    var endsAfterOutgoing = false
    /// Whether this side has sent its last frame.
    var hasEnded = false
    /// Whether the peer has sent its last frame of payload.
    var peerHasEnded = false
    /// On the client: whether RESPONSE has come. On the server: whether it was sent.
    var hasResponse = false
    /// Whether the client gave the call up.
    var isCancelled = false
    /// Whether it stands in the queue of blocked streams.
    var isQueued = false

    init(windowBytes: Int) {
        sendCredit = windowBytes
        receiving = ReceiveWindow(windowBytes)
    }

    var outgoingBytes: Int { outgoing.count - outgoingHead }

    /// Drops the first `count` bytes of what waits.
    mutating func takeOutgoing(_ count: Int) {
        outgoingHead += count
        if outgoingHead == outgoing.count {
            dropOutgoing()
        } else if outgoingHead >= 1 << 20, outgoingHead >= outgoing.count / 2 {
            // A stream that never runs dry must not keep what it has sent.
            outgoing.removeFirst(outgoingHead)
            outgoingHead = 0
        }
    }

    mutating func dropOutgoing() {
        outgoing = []
        outgoingHead = 0
    }
}
