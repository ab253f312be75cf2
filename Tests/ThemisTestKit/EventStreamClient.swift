/// One event of a stream of server-sent events.
public struct ServerSentEvent: Sendable, Equatable {
    /// The `event:` field; `message` when there is none.
    public var event = "message"
    /// The `data:` lines, joined by line feeds; nil for a frame that only moves the id.
    public var data: String?
    /// The `id:` field of this frame.
    public var id: String?
    /// The `retry:` field, in milliseconds.
    public var retryMilliseconds: Int?
    /// Comment lines, without their colon.
    public var comments: [String] = []
}

/// Reads a stream of server-sent events over a plain socket, frame by frame. One thread at a time.
public final class EventStreamClient {
    /// The status of the answer.
    public let status: Int
    /// Header fields, names in lower case.
    public let fields: [(name: String, value: String)]
    /// The newest id, as a browser would send it back in `Last-Event-ID`.
    public private(set) var lastEventID: String?

    private let socket: ClientSocket
    private let isChunked: Bool
    private var pending: [UInt8] = []
    private var isFinished = false

    /// Opens the stream at `target` on 127.0.0.1:`port`.
    public init(
        port: UInt16, _ target: String = "/changefeed/stream", _ fields: [String: String] = [:], milliseconds: Int32 = 10_000
    ) throws {
        socket = try ClientSocket(port: port)
        var head = "GET \(target) HTTP/1.1\r\nHost: 127.0.0.1:\(port)\r\nAccept: text/event-stream\r\n"
        for (name, value) in fields.sorted(by: { $0.key < $1.key }) { head += "\(name): \(value)\r\n" }
        try socket.send(head + "\r\n")
        let answer = try HTTPHead(from: socket, milliseconds: milliseconds)
        status = answer.status
        self.fields = answer.fields
        isChunked = answer["transfer-encoding"] == "chunked"
        lastEventID = fields["Last-Event-ID"]
    }

    /// Closes the connection, so that a reader in another thread ends too.
    public func shut() { socket.shut() }

    /// The next frame, comments and id-only frames included; nil when the stream has ended.
    ///
    /// - Throws: when nothing at all came within `milliseconds`, or the connection broke.
    public func next(milliseconds: Int32 = 10_000) throws -> ServerSentEvent? {
        var frame = ServerSentEvent()
        var isEmpty = true
        while let line = try nextLine(milliseconds: milliseconds) {
            if line.isEmpty {
                if isEmpty { continue }
                if let id = frame.id { lastEventID = id }
                return frame
            }
            isEmpty = false
            let parts = line.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            var value = parts.count > 1 ? String(parts[1]) : ""
            if value.hasPrefix(" ") { value.removeFirst() }
            switch parts[0] {
            case "": frame.comments.append(value)
            case "event": frame.event = value
            case "id": frame.id = value
            case "retry": frame.retryMilliseconds = Int(value)
            case "data": frame.data = frame.data.map { $0 + "\n" + value } ?? value
            default: throw ClientFailure("an unknown field in the stream: \(line)")
            }
        }
        return nil
    }

    /// The next frame that carries data, whatever its event; nil when the stream has ended.
    public func nextEvent(milliseconds: Int32 = 10_000) throws -> ServerSentEvent? {
        while let frame = try next(milliseconds: milliseconds) {
            if frame.data != nil { return frame }
        }
        return nil
    }

    private func nextLine(milliseconds: Int32) throws -> String? {
        guard isChunked else { return try socket.receiveLine(milliseconds: milliseconds) }
        while true {
            if let end = pending.firstIndex(of: 0x0A) {
                let line = pending[..<end]
                pending.removeFirst(end + 1)
                return String(decoding: line.last == 0x0D ? line.dropLast() : line, as: UTF8.self)
            }
            guard !isFinished, let chunk = try HTTPHead.chunk(from: socket, milliseconds: milliseconds) else {
                isFinished = true
                return nil
            }
            pending += chunk
        }
    }
}
