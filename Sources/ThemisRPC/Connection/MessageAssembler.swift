import ThemisBase

/// Puts bodies together from the payloads of DATA frames, and says how many bytes may be granted back.
///
/// Bytes of a message that is not whole yet are granted when they arrive, so that a message larger than the window flows. As long
/// as a whole message waits to be taken, what arrives behind it is held back: a slow reader costs one window.
struct MessageAssembler {
    /// How the payload is cut.
    enum Form {
        /// All payload is one body, whole at the end of the stream.
        case body
        /// Messages behind a u32 length each.
        case messages
    }

    private struct Waiting {
        let message: [UInt8]
        /// Bytes to grant when it is taken.
        let held: Int
    }

    let form: Form
    private let limit: Int
    private var partial: [UInt8] = []
    /// Bytes of `partial` that were not granted yet.
    private var partialHeld = 0
    /// The length that the message in `partial` announced, nil while its prefix is not whole.
    private var announced: Int?
    private var waiting: [Waiting] = []
    private var firstWaiting = 0
    /// Bytes kept.
    private(set) var keptBytes = 0

    init(_ form: Form, limit: Int) {
        self.form = form
        self.limit = limit
    }

    /// Whether a whole message waits.
    var hasMessage: Bool { firstWaiting < waiting.count }

    /// Whether the stream may end here.
    var isBetweenMessages: Bool { form == .body || (partial.isEmpty && announced == nil) }

    /// Takes payload and returns how many bytes to grant back.
    ///
    /// - Throws: `body_too_large` when a message is longer than the limit.
    mutating func append(_ payload: UnsafeRawBufferPointer) throws(ThemisError) -> Int {
        let isHeld = hasMessage
        keptBytes += payload.count
        if isHeld { partialHeld += payload.count }
        switch form {
        case .body:
            guard partial.count + payload.count <= limit else { throw tooLarge }
            unsafe partial.append(contentsOf: payload)
        case .messages:
            var rest = unsafe payload[...]
            while unsafe !rest.isEmpty { try unsafe cut(&rest) }
        }
        return isHeld ? 0 : payload.count
    }

    /// The body after the end of the stream.
    mutating func takeBody() -> [UInt8] {
        var body: [UInt8] = []
        swap(&body, &partial)
        keptBytes = 0
        return body
    }

    /// The oldest whole message, with the bytes to grant back for it.
    mutating func takeMessage() -> (message: [UInt8], grant: Int)? {
        guard hasMessage else { return nil }
        let taken = waiting[firstWaiting]
        waiting[firstWaiting] = Waiting(message: [], held: 0)
        firstWaiting += 1
        keptBytes -= taken.message.count + Self.prefixBytes
        var grant = taken.held
        if !hasMessage {
            waiting.removeAll(keepingCapacity: waiting.count <= 64)
            firstWaiting = 0
            // Nothing waits any more: what has come of the next message must not hold its rest back.
            grant += partialHeld
            partialHeld = 0
        } else if firstWaiting > 1_024 {
            waiting.removeFirst(firstWaiting)
            firstWaiting = 0
        }
        return (taken.message, grant)
    }

    private mutating func cut(_ rest: inout Slice<UnsafeRawBufferPointer>) throws(ThemisError) {
        if announced == nil {
            while partial.count < Self.prefixBytes, let byte = unsafe rest.popFirst() { partial.append(byte) }
            guard partial.count == Self.prefixBytes else { return }
            let length = partial.reversed().reduce(0) { $0 << 8 | Int($1) }
            guard length <= limit else { throw tooLarge }
            announced = length
            partial.removeAll(keepingCapacity: true)
        }
        guard let length = announced else { return }
        let count = unsafe min(length - partial.count, rest.count)
        unsafe partial.append(contentsOf: rest.prefix(count))
        unsafe rest = unsafe rest.dropFirst(count)
        guard partial.count == length else { return }
        waiting.append(Waiting(message: partial, held: partialHeld))
        partial = []
        partialHeld = 0
        announced = nil
    }

    private var tooLarge: ThemisError { ThemisError(.bodyTooLarge, "an RPC message has at most \(limit) bytes") }

    /// The length before every message of a stream.
    static let prefixBytes = 4
}
