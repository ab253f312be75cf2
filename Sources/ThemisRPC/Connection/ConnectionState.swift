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
/// use it, so that a rule exists once. What a correct peer never does throws, and the owner closes the connection. A class, so that a look
/// at it copies nothing; one owner.
final class ConnectionState {
    /// Which end this is.
    enum Side { case client, server }

    // The members are changed by the two extensions that receive and send, and by nobody else.

    let side: Side
    let limits: ConnectionLimits
    var streams = StreamTable<StreamState>()
    var sendCredit: Int
    var receiving: ReceiveWindow
    /// Streams with outgoing payload, in the order of their turns.
    var queue: [UInt32] = []
    var relieved: [UInt32] = []
    var freeIDs: [UInt32] = []
    var nextID: UInt32 = 1
    /// Payload of all streams that waits for credit or room, in bytes.
    var backlogBytes = 0
    /// Whether GOAWAY was sent (server) or received (client).
    var isDraining = false

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
    /// Whether so much waits for a peer that does not take it that large answers to reads are refused.
    var isOverloaded: Bool { backlogBytes >= Limits.assemblyBytes }
    /// Whether payload waits for its turn, for credit or for room.
    var hasQueue: Bool { !queue.isEmpty }
    /// Whether `stream` is open.
    func isOpen(_ stream: UInt32) -> Bool { streams.contains(stream) }
    /// Payload of `stream` that waits for credit, in bytes.
    func outgoingBytes(_ stream: UInt32) -> Int { streams[stream]?.outgoingBytes ?? 0 }
    /// For tests: credit to send on the connection and on a stream.
    func credit(_ stream: UInt32) -> (connection: Int, stream: Int) { (sendCredit, streams[stream]?.sendCredit ?? 0) }
    /// For tests: what the peer may still send on the connection, and what is received and not used up.
    var receivable: (open: Int, held: Int) { (receiving.open, receiving.held) }

    /// Streams that were asked to wait and may send again.
    func takeRelieved() -> [UInt32] {
        guard !relieved.isEmpty else { return [] }
        defer { relieved.removeAll(keepingCapacity: true) }
        return relieved
    }
}
