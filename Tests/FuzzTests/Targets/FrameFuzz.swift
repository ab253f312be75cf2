import ThemisBase

@testable import ThemisNet
@testable import ThemisRPC

/// Both sides of an RPC connection, behind their greetings: no frame traps, credit and streams stay within their bounds, and the
/// same comes out however the bytes are cut.
enum FrameFuzz {
    /// A flag byte, piece lengths, 0xFF, then frames as `frames` reads them.
    static func check(_ bytes: [UInt8]) throws {
        var input = FuzzInput(bytes)
        let flags = input.byte()
        let side: ConnectionState.Side = flags & 1 == 0 ? .server : .client
        let lengths = PieceLengths(input.part())
        // Raw bytes hardly ever pass a checksum: most inputs describe frames, and the harness seals them.
        let stream = flags & 2 == 0 ? frames(&input) : input.all()
        let whole = try run(stream, side, nil)
        let cut = try run(stream, side, lengths)
        try require(whole == cut, "one read: \(whole)\nseveral: \(cut)")
        try greetings(stream)
    }

    /// `type | flags | method | stream | body length | body`, again and again.
    private static func frames(_ input: inout FuzzInput) -> [UInt8] {
        var out = ByteBuffer()
        while !input.rest.isEmpty {
            let type = input.byte()
            let flags = input.byte()
            let method = input.byte()
            let stream = UInt32(input.byte())
            // One byte in four counts by 16, so that credit runs out.
            let length = input.byte()
            let body = length & 3 == 3 ? [UInt8](repeating: input.byte(), count: Int(length) << 4) : input.take(Int(length))
            FrameHeader(
                type: FrameType(number: type % 20), flags: FrameFlags(rawValue: flags), method: UInt16(method),
                stream: stream == 0xFF ? .max : stream % 40
            ).append(to: &out) { $0.append(body) }
        }
        return unsafe Array(out.readable)
    }

    private static func run(_ stream: [UInt8], _ side: ConnectionState.Side, _ pieces: PieceLengths?) throws -> [String] {
        var limits = ConnectionLimits()
        limits.requestsInFlight = 8
        limits.streamCreditBytes = 4_096
        limits.connectionCreditBytes = 12_000
        var end = Peer(state: ConnectionState(side, limits: limits))
        if side == .client { end.openCalls() }
        var lengths = pieces
        var start = 0
        var stop = 0
        repeat {
            stop = min(stream.count, stop + (lengths?.next() ?? stream.count))
            var decoder = FrameDecoder()
            let piece = Array(stream[start..<stop])
            do {
                try unsafe piece.withUnsafeBytes { bytes in
                    while let frame = try unsafe decoder.next(bytes) { try unsafe end.take(frame) }
                }
            } catch let violation as ProtocolViolation {
                end.lines.append("\(violation.kind) \(violation.detail)")
                break
            }
            try end.check()
            try require(decoder.consumed <= piece.count, "more was consumed than there was")
            start += decoder.consumed
        } while stop < stream.count
        return end.lines + ["\(end.answered)"]
    }

    private static func greetings(_ bytes: [UInt8]) throws {
        try unsafe bytes.withUnsafeBytes { bytes in
            if let hello = accepted({ try unsafe Hello(decoding: bytes) }) {
                let again = try unsafe hello.encoded().withUnsafeBytes { try unsafe Hello(decoding: $0) }
                try require(again == hello, "HELLO does not round-trip")
            }
            if let welcome = accepted({ try unsafe HelloOK(decoding: bytes) }) {
                let again = try unsafe welcome.encoded().withUnsafeBytes { try unsafe HelloOK(decoding: $0) }
                try require(again == welcome, "HELLO_OK does not round-trip")
            }
            _ = accepted { try unsafe HelloRefused(decoding: bytes) }
        }
    }
}

/// One end of a connection that answers every second request, and counts what it answers.
private struct Peer {
    var state: ConnectionState
    var lines: [String] = []
    var answered = 0
    private var assemblers: [UInt32: MessageAssembler] = [:]
    private var requests = 0

    init(state: ConnectionState) { self.state = state }

    mutating func openCalls() {
        var out = ByteBuffer()
        for number in 0..<6 {
            guard let id = state.open(UInt16(number + 1), endsHere: number % 2 == 0, &out, body: { _ in }) else { continue }
            if number % 2 == 1 { state.send(id, [UInt8](repeating: 7, count: 9_000), isLast: true, &out) }
        }
    }

    mutating func take(_ frame: Frame) throws(ProtocolViolation) {
        var out = ByteBuffer()
        let id = unsafe frame.header.stream
        let event = try unsafe state.receive(frame, &out)
        lines.append("\(event) \(id)")
        switch event {
        case .request(let isWhole): try unsafe begin(frame, isWhole: isWhole, &out)
        case .data(let isLast): unsafe append(frame.body, of: id, isLast: isLast, &out)
        case .response(isWhole: false): assemblers[id] = MessageAssembler(id % 2 == 0 ? .body : .messages, limit: 10_000)
        case .cancelled: state.fail(id, &out) { _ in }
        case .credit: _ = state.takeRelieved()
        default: break
        }
        state.pump(&out)
        answered += out.count
    }

    private mutating func begin(_ frame: Frame, isWhole: Bool, _ out: inout ByteBuffer) throws(ProtocolViolation) {
        let id = unsafe frame.header.stream
        let (metadata, start) = try unsafe RequestMetadata.decode(frame.body)
        unsafe precondition(start <= frame.body.count, "the body begins behind its frame")
        var again = ByteBuffer()
        metadata.encode(into: &again)
        let copy = try unsafe RequestMetadata.decode(again.readable).metadata
        precondition(copy == metadata, "metadata do not round-trip")
        requests += 1
        if !isWhole {
            assemblers[id] = MessageAssembler(id % 2 == 0 ? .body : .messages, limit: 10_000)
        } else if requests % 2 == 0 {
            try? state.respond(id, &out) { $0.append([UInt8](repeating: 1, count: requests % 4 == 0 ? 70_000 : 10)) }
        }
    }

    private mutating func append(_ body: UnsafeRawBufferPointer, of id: UInt32, isLast: Bool, _ out: inout ByteBuffer) {
        guard assemblers[id] != nil else { return state.use(body.count, of: id, &out) }
        do throws(ThemisError) {
            let grant = try unsafe assemblers[id]?.append(body) ?? 0
            state.use(grant, of: id, &out)
        } catch {
            lines.append("\(error)")
            assemblers[id] = nil
            if state.side == .server { state.fail(id, &out) { _ in } } else { state.cancel(id, &out) }
            return
        }
        while let (message, grant) = assemblers[id]?.takeMessage() {
            lines.append("message of \(message.count)")
            state.use(grant, of: id, &out)
        }
        if isLast {
            lines.append("body of \(assemblers[id]?.takeBody().count ?? -1)")
            assemblers[id] = nil
        }
    }

    func check() throws {
        let window = Int(state.limits.connectionCreditBytes)
        try require(state.openStreams <= Int(state.limits.requestsInFlight), "\(state.openStreams) streams are open")
        try require((0...window).contains(state.receivable.open) && state.receivable.held >= 0, "credit \(state.receivable)")
        try require((0...window).contains(state.credit(0).connection), "credit to send \(state.credit(0))")
        try require(state.backlogBytes >= 0 && state.backlogBytes <= 16 << 20, "a backlog of \(state.backlogBytes)")
        let kept = assemblers.values.reduce(0) { $0 + $1.keptBytes }
        try require(kept <= window + 8 * 10_000, "\(kept) bytes are kept")
    }
}
