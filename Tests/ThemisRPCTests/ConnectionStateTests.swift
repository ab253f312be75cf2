import Testing
import ThemisBase
import ThemisNet
import ThemisTestKit

@testable import ThemisRPC

/// Two ends of a connection in one thread, with the bytes between them in hand.
struct Pair {
    var client: ConnectionState
    var server: ConnectionState
    var toServer: [UInt8] = []
    var toClient: [UInt8] = []
    /// Events with their stream and the bytes of payload, in the order in which they came.
    var serverEvents: [(ConnectionEvent, UInt32, Int)] = []
    var clientEvents: [(ConnectionEvent, UInt32, Int)] = []

    init(_ limits: ConnectionLimits = ConnectionLimits()) {
        client = ConnectionState(.client, limits: limits)
        server = ConnectionState(.server, limits: limits)
    }

    mutating func onClient<Result>(_ body: (inout ConnectionState, inout ByteBuffer) throws -> Result) rethrows -> Result {
        var out = ByteBuffer()
        defer { toServer += unsafe Array(out.readable) }
        return try body(&client, &out)
    }

    mutating func onServer<Result>(_ body: (inout ConnectionState, inout ByteBuffer) throws -> Result) rethrows -> Result {
        var out = ByteBuffer()
        defer { toClient += unsafe Array(out.readable) }
        return try body(&server, &out)
    }

    mutating func open(_ bytes: Int = 10, endsHere: Bool = true) -> UInt32? {
        onClient { state, out in
            state.open(4, endsHere: endsHere, &out) { $0.append([UInt8](repeating: 1, count: bytes)) }
        }
    }

    mutating func opened(_ bytes: Int = 10, endsHere: Bool = true) throws -> UInt32 {
        guard let id = open(bytes, endsHere: endsHere) else { throw ThemisError(.overloaded, "no stream is free") }
        return id
    }

    mutating func respond(_ stream: UInt32, _ bytes: Int) {
        onServer { state, out in
            try? state.respond(stream, &out) { (out) throws(ThemisError) in out.append([UInt8](repeating: 2, count: bytes)) }
        }
    }

    mutating func fail(_ stream: UInt32) { onServer { state, out in state.fail(stream, &out) { $0.append([1, 2, 3]) } } }

    /// Delivers up to `limit` bytes to the server.
    mutating func deliverToServer(_ limit: Int = .max) throws {
        let bytes = Array(toServer.prefix(limit))
        var decoder = FrameDecoder()
        var seen: [(ConnectionEvent, UInt32, Int)] = []
        try onServer { state, out in
            try unsafe bytes.withUnsafeBytes { bytes in
                while let frame = try unsafe decoder.next(bytes) {
                    let event = try unsafe state.receive(frame, &out)
                    unsafe seen.append((event, frame.header.stream, frame.body.count))
                }
            }
        }
        serverEvents += seen
        toServer.removeFirst(decoder.consumed)
    }

    /// Delivers up to `limit` bytes to the client.
    mutating func deliverToClient(_ limit: Int = .max) throws {
        let bytes = Array(toClient.prefix(limit))
        var decoder = FrameDecoder()
        var seen: [(ConnectionEvent, UInt32, Int)] = []
        try onClient { state, out in
            try unsafe bytes.withUnsafeBytes { bytes in
                while let frame = try unsafe decoder.next(bytes) {
                    let event = try unsafe state.receive(frame, &out)
                    unsafe seen.append((event, frame.header.stream, frame.body.count))
                }
            }
        }
        clientEvents += seen
        toClient.removeFirst(decoder.consumed)
    }

    mutating func deliverAll() throws {
        while !toServer.isEmpty || !toClient.isEmpty {
            try deliverToServer()
            try deliverToClient()
        }
    }
}

@Suite struct ConnectionStateTests {
    @Test func `a call is a request and a response`() throws {
        var pair = Pair()
        let id = try pair.opened()
        try pair.deliverToServer()
        #expect(pair.serverEvents.map(\.0) == [.request(isWhole: true)])
        pair.respond(id, 100)
        #expect(pair.server.openStreams == 0)
        try pair.deliverToClient()
        #expect(pair.clientEvents.map(\.0) == [.response(isWhole: true)])
        #expect(pair.client.openStreams == 0)
    }

    @Test func `a body larger than the windows flows when what arrives is granted`() throws {
        var pair = Pair()
        let id = try pair.opened()
        try pair.deliverToServer()
        pair.respond(id, 9 << 20)
        var received = 0
        for _ in 0..<10_000 where pair.client.openStreams > 0 {
            try pair.deliverToClient()
            for (event, stream, count) in pair.clientEvents {
                guard case .data = event else { continue }
                received += count
                pair.onClient { state, out in state.use(count, of: stream, &out) }
            }
            pair.clientEvents = []
            try pair.deliverToServer()
        }
        #expect(received == 9 << 20)
        try pair.deliverAll()
        #expect(pair.server.credit(0).connection == pair.client.receivable.open)
        #expect(pair.client.receivable.held == 0)
    }

    @Test func `a peer that takes nothing gets no more large answers, and no more requests in`() throws {
        var pair = Pair()
        var ids: [UInt32] = []
        for _ in 0..<20 { ids.append(try pair.opened()) }
        try pair.deliverToServer()
        var refused = 0
        for id in ids {
            let body = [UInt8](repeating: 2, count: 8 << 20)
            pair.onServer { state, out in
                do throws(ThemisError) {
                    try state.respond(id, mayBeRefused: true, &out) { (out) throws(ThemisError) in out.append(body) }
                } catch {
                    #expect(error.code == .overloaded)
                    refused += 1
                }
            }
        }
        #expect(refused == 3)
        #expect(pair.server.backlogBytes <= Limits.assemblyBytes + 8 << 20)
        _ = try pair.opened()
        try pair.deliverToServer()
        #expect(pair.serverEvents.last?.0 == .refused)
        // Gone with the streams.
        for id in ids { pair.fail(id) }
        #expect(pair.server.backlogBytes == 0)
    }

    @Test func `a sender stops at the window of the stream`() throws {
        var pair = Pair()
        let id = try pair.opened(endsHere: false)
        pair.onClient { state, out in state.send(id, [UInt8](repeating: 0, count: 1 << 20), isLast: true, &out) }
        try pair.deliverAll()
        let received = pair.serverEvents.reduce(0) { if case .data = $1.0 { $0 + $1.2 } else { $0 } }
        #expect(received == Limits.streamCreditBytes)
        #expect(pair.client.credit(id).stream == 0)
        #expect(pair.client.outgoingBytes(id) == 1 << 20 - Limits.streamCreditBytes)
        // Another stream is not held up by it.
        let other = try pair.opened(endsHere: false)
        pair.onClient { state, out in state.send(other, [1, 2, 3], isLast: true, &out) }
        try pair.deliverAll()
        #expect(pair.serverEvents.last?.0 == .data(isLast: true))
    }

    @Test func `one request above the limit is answered with BUSY, and its body is skipped`() throws {
        var limits = ConnectionLimits()
        limits.requestsInFlight = 4
        var pair = Pair(limits)
        // A client that believes in a higher limit.
        var believing = limits
        believing.requestsInFlight = 8
        pair.client = ConnectionState(.client, limits: believing)
        for _ in 0..<4 { _ = try pair.opened() }
        let fifth = try pair.opened(endsHere: false)
        pair.onClient { state, out in state.send(fifth, [1, 2, 3], isLast: true, &out) }
        try pair.deliverAll()
        #expect(pair.serverEvents.map(\.0) == Array(repeating: .request(isWhole: true), count: 4) + [.refused, .none])
        #expect(pair.clientEvents.map(\.0) == [.busy])
        #expect(pair.client.openStreams == 4 && pair.server.openStreams == 4)
        pair.respond(1, 1)
        try pair.deliverAll()
        _ = try pair.opened()
    }

    @Test func `a client opens no more requests than it was told`() throws {
        var limits = ConnectionLimits()
        limits.requestsInFlight = 2
        var pair = Pair(limits)
        _ = try (pair.opened(), pair.opened())
        let third = pair.open()
        #expect(third == nil)
    }

    @Test func `a stream id is used again only after its last frame has come, also after CANCEL`() throws {
        var pair = Pair()
        let first = try pair.opened()
        pair.onClient { state, out in state.cancel(first, &out) }
        let second = try pair.opened()
        #expect(second != first)
        try pair.deliverToServer()
        #expect(pair.serverEvents.map(\.0) == [.request(isWhole: true), .cancelled, .request(isWhole: true)])
        let next650 = try pair.opened()
        #expect(next650 != first)
        pair.fail(first)
        try pair.deliverToClient()
        // The caller has gone: nothing is told, but the id is free.
        #expect(pair.clientEvents.map(\.0) == [.none])
        let next878 = try pair.opened()
        #expect(next878 == first)
    }

    @Test func `CANCEL that crosses the answer is forgotten`() throws {
        var pair = Pair()
        let id = try pair.opened()
        try pair.deliverToServer()
        pair.respond(id, 5)
        pair.onClient { state, out in state.cancel(id, &out) }
        try pair.deliverAll()
        #expect(pair.serverEvents.last?.0 == ConnectionEvent.none)
        let next285 = try pair.opened()
        #expect(next285 == id)
        try pair.deliverAll()
        #expect(pair.serverEvents.last?.0 == .request(isWhole: true))
    }

    @Test func `after GOAWAY requests are refused and those in flight go on`() throws {
        var pair = Pair()
        let id = try pair.opened()
        try pair.deliverAll()
        let crossing = try pair.opened()
        pair.onServer { state, out in state.goAway(&out) }
        try pair.deliverAll()
        #expect(pair.clientEvents.map(\.0) == [.goAway, .busy])
        #expect(pair.clientEvents.last?.1 == crossing)
        let late = pair.open()
        #expect(late == nil)
        pair.respond(id, 1)
        try pair.deliverAll()
        #expect(pair.clientEvents.last?.0 == .response(isWhole: true))
    }

    @Test func `PING is answered with its bytes`() throws {
        var pair = Pair()
        pair.onClient { _, out in FrameHeader(type: .ping).append(to: &out) { $0.append([1, 2, 3, 4, 5, 6, 7, 8]) } }
        try pair.deliverToServer()
        #expect(pair.toClient.suffix(8) == [1, 2, 3, 4, 5, 6, 7, 8])
        #expect(pair.toClient[4] == FrameType.pong.number)
        try pair.deliverToClient()
    }

    private func violation(_ build: (inout Pair) -> Void) -> ViolationKind? {
        var pair = Pair()
        build(&pair)
        do {
            try pair.deliverAll()
        } catch {
            return (error as? ProtocolViolation)?.kind
        }
        return nil
    }

    private func raw(_ type: FrameType, _ flags: FrameFlags = [], stream: UInt32, _ body: [UInt8] = []) -> (inout Pair) -> Void {
        { pair in
            pair.onClient { _, out in
                FrameHeader(type: type, flags: flags, method: 4, stream: stream).append(to: &out) { $0.append(body) }
            }
        }
    }

    @Test func `what a correct client never does ends the connection`() {
        #expect(violation(raw(.request, .end, stream: 0)) == .stream)
        #expect(violation(raw(.response, .end, stream: 1)) == .order)
        #expect(violation(raw(.hello, stream: 1)) == .order)
        #expect(violation(raw(.goAway, stream: 0)) == .order)
        #expect(violation(raw(.data, .end, stream: 0, [1])) == .stream)
        #expect(violation(raw(.data, stream: 1, [])) == .body)
        #expect(violation(raw(.ping, stream: 0, [1])) == .body)
        #expect(violation(raw(.credit, stream: 0, [1, 0, 0])) == .body)
        #expect(violation(raw(.credit, stream: 0, [1, 0, 0, 0])) == .credit)
        #expect(violation(raw(.credit, stream: 0, [0, 0, 0, 0])) == .credit)
        #expect(
            violation {
                raw(.request, .end, stream: 9)(&$0); raw(.request, .end, stream: 9)(&$0)
            } == .stream)
        #expect(
            violation {
                raw(.request, .end, stream: 9)(&$0); raw(.data, .end, stream: 9, [1])(&$0)
            } == .order)
        #expect(
            violation {
                raw(.request, .end, stream: 9)(&$0); raw(.credit, stream: 9, [1, 0, 0, 0])(&$0)
            } == .credit)
        #expect(
            violation { pair in
                raw(.request, stream: 9)(&pair)
                for _ in 0..<5 { raw(.data, stream: 9, [UInt8](repeating: 0, count: 60_000))(&pair) }
            } == .credit)
        // And what may cross an answer is none.
        #expect(violation(raw(.cancel, stream: 7)) == nil)
        #expect(violation(raw(.credit, stream: 7, [1, 0, 0, 0])) == nil)
        #expect(violation(raw(.data, stream: 7, [1])) == nil)
    }

    @Test func `what a correct server never does ends the connection`() {
        func reply(
            _ type: FrameType, _ flags: FrameFlags = .end, stream: UInt32 = 1, _ body: [UInt8] = []
        ) -> (inout Pair) -> Void {
            { pair in
                pair.onServer { _, out in
                    FrameHeader(type: type, flags: flags, stream: stream).append(to: &out) { $0.append(body) }
                }
            }
        }
        #expect(violation(reply(.response)) == .stream)
        #expect(violation(reply(.data, .end, stream: 1, [1])) == .stream)
        #expect(
            violation {
                _ = $0.open(); reply(.data, .end, stream: 1, [1])(&$0)
            } == .order)
        #expect(
            violation {
                _ = $0.open(); reply(.response, [])(&$0); reply(.response, [])(&$0)
            } == .order)
        #expect(
            violation {
                _ = $0.open(); reply(.response, [])(&$0); reply(.busy)(&$0)
            } == .order)
        #expect(
            violation {
                _ = $0.open(); reply(.response, [], stream: 1, [1])(&$0)
            } == .body)
        #expect(
            violation {
                _ = $0.open(); reply(.request)(&$0)
            } == .order)
    }
}
