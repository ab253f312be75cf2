import CLinux
import Glibc
public import ThemisBase

/// What an event stream tells its owner. Called on the loop.
public protocol EventStreamOwner: AnyObject {
    /// The kernel takes bytes again after `send` had accepted fewer than it was given.
    @NetLoop func becameWritable(_ stream: EventStreamSocket)
    /// The reader has gone, or `close` was called. Called exactly once, never from within `send` or `close`.
    @NetLoop func closed(_ stream: EventStreamSocket)
}

/// The socket of a subscriber after its HTTP request is over: no parser, no buffers, about 100 bytes of memory.
///
/// The owner keeps the position in its own data and gives `send` what follows; what is not accepted is offered again by the
/// owner. The loop keeps an open stream; the stream keeps its owner until it has closed.
@NetLoop public final class EventStreamSocket: EpollMember {
    /// Who writes to the stream; gone once it has closed.
    public var owner: (any EventStreamOwner)?
    /// What only a full kernel leaves behind.
    private var rest: Rest?
    private var descriptor: Int32
    /// Payload bytes that the chunk already begun still lacks.
    private var owed: Int32 = 0
    /// Its place in the set of all streams.
    private var slot: UInt32 = .max
    /// The number of its server.
    private let host: UInt16
    private let isChunking: Bool
    private var isBlocked = false

    /// Bytes between two payloads that the kernel has not taken, and the end that waits for them.
    private final class Rest {
        var pending: [UInt8] = []
        var linger: LoopTimer?
    }

    init(descriptor: Int32, pending: [UInt8], isChunking: Bool, server: HTTPServer, owner: any EventStreamOwner) {
        self.descriptor = descriptor
        self.isChunking = isChunking
        host = EventStreamHosts.enter(server)
        self.owner = owner
        // Without a bound the kernel holds megabytes for each sleeping reader before it says that it is full.
        themis_send_buffer(descriptor, Int32(Limits.eventStreamSendBytes))
        if !pending.isEmpty { inRest.pending = pending }
        if let slot = EventStreamSet.shared.add(self, descriptor: descriptor) {
            self.slot = slot
            _ = sendPending()
        } else {
            close()
        }
    }

    private var isFinishing: Bool { rest?.linger != nil }

    private var pending: [UInt8] {
        get { rest?.pending ?? [] }
        set {
            if !newValue.isEmpty {
                inRest.pending = newValue
            } else if isFinishing {
                rest?.pending = []
            } else {
                rest = nil
            }
        }
    }

    private var inRest: Rest {
        if let rest { return rest }
        let new = Rest()
        rest = new
        return new
    }

    deinit { if descriptor >= 0 { _ = Glibc.close(descriptor) } }

    /// Whether it can still be written to.
    public var isOpen: Bool { descriptor >= 0 }

    /// Whether bytes that were announced are still owed: the next `send` must begin with exactly what was not accepted.
    public var isWithinChunk: Bool { owed > 0 }

    /// Gives `bytes` to the kernel.
    ///
    /// - Returns: how many were accepted, from the front. With fewer than all, `becameWritable` follows.
    public func send(_ bytes: UnsafeRawBufferPointer) -> Int {
        var accepted = 0
        while isOpen, !isFinishing, !isBlocked, accepted < bytes.count, sendPending() {
            let taken = unsafe sendChunk(UnsafeRawBufferPointer(rebasing: bytes[accepted...]))
            accepted += taken
        }
        return accepted
    }

    /// `send` for a part of an array, which is not copied.
    public func send(_ bytes: ArraySlice<UInt8>) -> Int { unsafe bytes.withUnsafeBytes { unsafe send($0) } }

    /// `send` for an array.
    public func send(_ bytes: [UInt8]) -> Int { unsafe bytes.withUnsafeBytes { unsafe send($0) } }

    /// Ends the stream in order, when nothing is owed, and closes. The last bytes wait for a full kernel for a moment.
    public func finish() {
        guard isOpen, !isFinishing else { return }
        guard isChunking, owed == 0 else { return close() }
        pending += Array("0\r\n\r\n".utf8)
        if sendPending() { return close() }
        let timer = LoopTimer { [weak self] in self?.close() }
        timer.schedule(milliseconds: Limits.lingerMilliseconds)
        inRest.linger = timer
    }

    /// Closes at once.
    public func close() {
        guard isOpen else { return }
        EventStreamSet.shared.remove(slot, self)
        _ = Glibc.close(descriptor)
        descriptor = -1
        rest = nil
        EventStreamHosts.leave(host)
        guard let owner else { return }
        self.owner = nil
        NetLoop.later { owner.closed(self) }
    }

    /// One chunk, or the rest of one. Returns the payload bytes accepted.
    private func sendChunk(_ bytes: UnsafeRawBufferPointer) -> Int {
        guard isChunking else { return max(0, unsafe write(prefix: [], bytes, suffix: [])) }
        let isNew = owed == 0
        let prefix = isNew ? Array((String(bytes.count, radix: 16) + "\r\n").utf8) : []
        let payload = unsafe isNew ? bytes : UnsafeRawBufferPointer(rebasing: bytes.prefix(Int(owed)))
        let isWhole = isNew || payload.count == Int(owed)
        let suffix: [UInt8] = isWhole ? [0x0D, 0x0A] : []
        let sent = unsafe write(prefix: prefix, payload, suffix: suffix)
        guard sent > 0 else { return 0 }
        if isNew { owed = Int32(clamping: payload.count) }
        guard sent >= prefix.count else {
            pending = Array(prefix[sent...])
            return 0
        }
        let taken = min(sent - prefix.count, payload.count)
        owed -= Int32(clamping: taken)
        if taken == payload.count, owed == 0 { pending = Array(suffix[(sent - prefix.count - taken)...]) }
        return taken
    }

    /// Returns the bytes taken of all three parts; notes when the kernel is full.
    private func write(prefix: [UInt8], _ payload: UnsafeRawBufferPointer, suffix: [UInt8]) -> Int {
        let sent = unsafe themis_send_parts(
            descriptor, prefix, prefix.count, payload.baseAddress, payload.count, suffix, suffix.count)
        if sent < prefix.count + payload.count + suffix.count { block(sent < 0 ? errno : EAGAIN) }
        return sent
    }

    private func sendPending() -> Bool {
        guard !pending.isEmpty else { return true }
        guard isOpen, !isBlocked else { return false }
        let sent = unsafe pending.withUnsafeBytes { unsafe write(prefix: [], $0, suffix: []) }
        // All of it, nearly always: an emptied array must not keep its memory for the life of the stream.
        if sent > 0 { pending = sent == pending.count ? [] : Array(pending[sent...]) }
        return pending.isEmpty
    }

    private func block(_ error: Int32) {
        guard error == EAGAIN || error == EINTR else { return close() }
        isBlocked = true
        if !EventStreamSet.shared.watch(slot, descriptor: descriptor, writable: true) { close() }
    }

    func becameReady(_ state: UInt8) {
        if state & 4 != 0 { return close() }
        if state & 1 != 0 { discardInput() }
        guard isOpen, state & 2 != 0, isBlocked else { return }
        isBlocked = false
        guard sendPending() else { return }
        if isFinishing { return close() }
        _ = EventStreamSet.shared.watch(slot, descriptor: descriptor, writable: false)
        owner?.becameWritable(self)
    }

    /// A subscriber has nothing to say; what it says is not kept.
    private func discardInput() {
        let scratch = unsafe Scratch.shared.bytes
        let count = unsafe recv(descriptor, scratch.baseAddress, scratch.count, 0)
        if count == 0 || (count < 0 && errno != EAGAIN && errno != EINTR) { close() }
    }
}

/// All event streams of the process.
@NetLoop private enum EventStreamSet {
    static let shared = EpollSet<EventStreamSocket>(perDispatch: 256)
}

/// Servers that have open event streams, by number: a stream has no room for a reference.
@NetLoop private enum EventStreamHosts {
    static var servers: [HTTPServer?] = []

    static func enter(_ server: HTTPServer) -> UInt16 {
        let place = servers.firstIndex { $0 === server } ?? servers.firstIndex { $0 == nil } ?? servers.count
        if place == servers.count { servers.append(nil) }
        servers[place] = server
        server.eventStreamOpened()
        return UInt16(place)
    }

    static func leave(_ number: UInt16) {
        guard let server = servers[Int(number)] else { return }
        server.eventStreamClosed()
        if !server.hasEventStreams { servers[Int(number)] = nil }
    }
}

extension HTTPExchange {
    private static let eventStreamType = "text/event-stream; charset=utf-8"
    private static let eventStreamHeaders = [("Cache-Control", "no-store, no-transform"), ("X-Accel-Buffering", "no")]

    /// Answers HEAD as `beginEventStream` answers GET: the head alone, and the connection stays.
    public func respondEventStreamHead() {
        beginStream(200, contentType: Self.eventStreamType, headers: Self.eventStreamHeaders)
        end()
    }

    /// Turns the exchange into an event stream: the head is sent, the connection's parser and buffers are freed, `owner` gets a
    /// small socket to write frames to. Never compressed. A client of HTTP/1.0 sees the end by the closing.
    ///
    /// - Throws: `cancelled` when the client went away already.
    public func beginEventStream(
        headers: [(name: String, value: String)] = [], owner: any EventStreamOwner
    ) throws(ThemisError) -> EventStreamSocket {
        guard !hasAnswered, let connection else { throw ThemisError(.cancelled, "the client went away") }
        precondition(head.method != .head, "an answer to HEAD has no body: respondEventStreamHead")
        let isChunking = !head.isHTTP10
        let answerHead = AnswerHead(
            status: 200, contentType: Self.eventStreamType, contentLength: nil, isChunked: isChunking,
            isGzipped: false,
            varies: false, closes: true, saysKeepAlive: false, request: name, date: server.currentDate(startedNanoseconds),
            headers: Self.eventStreamHeaders + headers)
        connection.stream.write { answerHead.write(to: &$0) }
        guard let taken = connection.detach() else { throw ThemisError(.cancelled, "the client went away") }
        becameDetached(status: 200)
        return EventStreamSocket(
            descriptor: taken.descriptor, pending: taken.pending, isChunking: isChunking, server: server, owner: owner)
    }
}
