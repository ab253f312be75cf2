import CLinux
import Glibc
public import ThemisBase

/// The connection of an event stream, between the end of its request and its first frame. Closed when it is dropped before.
public struct EventStreamStart {
    fileprivate let socket: OwnedDescriptor
    fileprivate let pending: [UInt8]
    fileprivate let isChunking: Bool
    fileprivate let server: HTTPServer
}

/// The socket of a subscriber after its HTTP request is over: no parser, no buffers, 34 bytes of memory.
///
/// The subclass adds whose stream it is, in the same object. It keeps the position and gives `send` what follows; what is not accepted is
/// offered again by the subclass. The loop keeps an open stream.
@NetLoop open class EventStreamSocket: EpollMember {
    /// What a stream has that is not idle.
    private var rest: Rest?
    private var descriptor: Int32
    /// Its place in the set of all streams.
    private var slot: UInt32 = .max
    /// The number of its server.
    private let host: UInt16

    /// What only a full kernel leaves behind, and a client of HTTP/1.0.
    private final class Rest {
        /// Bytes between two payloads that the kernel has not taken.
        var pending: [UInt8] = []
        /// Payload bytes that the chunk already begun still lacks.
        var owed = 0
        var isBlocked = false
        /// Whether the end waits for a full kernel.
        var linger: LoopTimer?
        var isChunking = true

        var isNeeded: Bool { !pending.isEmpty || owed > 0 || isBlocked || linger != nil || !isChunking }
    }

    /// The stream that goes on where `start` is; without one it has never been open.
    public init(_ start: EventStreamStart?) {
        guard let start else {
            (descriptor, host) = (-1, .max)
            return
        }
        descriptor = start.socket.take()
        host = EventStreamHosts.enter(start.server)
        // Without a bound the kernel holds megabytes for each sleeping reader before it says that it is full.
        themis_send_buffer(descriptor, Int32(Limits.eventStreamSendBytes))
        if !start.isChunking { change { $0.isChunking = false } }
        if !start.pending.isEmpty { pending = start.pending }
        if let slot = EventStreamSet.shared.add(self, descriptor: descriptor) {
            self.slot = slot
            _ = sendPending()
        } else {
            close()
        }
    }

    /// Notes what is not as with an idle stream. Memory for it is there only while there is something to note.
    private func change(_ body: (Rest) -> Void) {
        let rest = self.rest ?? Rest()
        body(rest)
        self.rest = rest.isNeeded ? rest : nil
    }

    private var isFinishing: Bool { rest?.linger != nil }

    private var isChunking: Bool { rest?.isChunking ?? true }

    private var isBlocked: Bool {
        get { rest?.isBlocked ?? false }
        set { if newValue != isBlocked { change { $0.isBlocked = newValue } } }
    }

    private var owed: Int {
        get { rest?.owed ?? 0 }
        set { if newValue != owed { change { $0.owed = newValue } } }
    }

    private var pending: [UInt8] {
        get { rest?.pending ?? [] }
        set { if rest != nil || !newValue.isEmpty { change { $0.pending = newValue } } }
    }

    // MARK: For the subclass

    /// The kernel takes bytes again after `send` had accepted fewer than it was given. Called on the loop.
    open func becameWritable() {}

    /// The reader has gone, or `close` was called. Called exactly once, never from within `send` or `close`.
    open func closed() {}

    deinit { if descriptor >= 0 { _ = Glibc.close(descriptor) } }

    /// Whether it can still be written to.
    public final var isOpen: Bool { descriptor >= 0 }

    /// Whether bytes that were announced are still owed: the next `send` must begin with exactly what was not accepted.
    public final var isWithinChunk: Bool { owed > 0 }

    /// Gives `bytes` to the kernel.
    ///
    /// - Returns: how many were accepted, from the front. With fewer than all, `becameWritable` follows.
    public final func send(_ bytes: UnsafeRawBufferPointer) -> Int {
        var accepted = 0
        while isOpen, !isFinishing, !isBlocked, accepted < bytes.count, sendPending() {
            let taken = unsafe sendChunk(UnsafeRawBufferPointer(rebasing: bytes[accepted...]))
            accepted += taken
        }
        return accepted
    }

    /// `send` for a part of an array, which is not copied.
    open func send(_ bytes: ArraySlice<UInt8>) -> Int { unsafe bytes.withUnsafeBytes { unsafe send($0) } }

    /// `send` for an array.
    public final func send(_ bytes: [UInt8]) -> Int { unsafe bytes.withUnsafeBytes { unsafe send($0) } }

    /// Ends the stream in order, when nothing is owed, and closes. The last bytes wait for a full kernel for a moment.
    open func finish() {
        guard isOpen, !isFinishing else { return }
        guard isChunking, owed == 0 else { return close() }
        pending += Array("0\r\n\r\n".utf8)
        if sendPending() { return close() }
        let timer = LoopTimer { [weak self] in self?.close() }
        timer.schedule(milliseconds: Limits.lingerMilliseconds)
        change { $0.linger = timer }
    }

    /// Closes at once.
    open func close() {
        guard isOpen else { return }
        EventStreamSet.shared.remove(slot, self)
        _ = Glibc.close(descriptor)
        descriptor = -1
        rest = nil
        EventStreamHosts.leave(host)
        NetLoop.later { self.closed() }
    }

    /// One chunk, or the rest of one. Returns the payload bytes accepted.
    private func sendChunk(_ bytes: UnsafeRawBufferPointer) -> Int {
        guard isChunking else { return max(0, unsafe write(prefix: [], bytes, suffix: [])) }
        let before = owed
        let isNew = before == 0
        let prefix = isNew ? Array((String(bytes.count, radix: 16) + "\r\n").utf8) : []
        let payload = unsafe isNew ? bytes : UnsafeRawBufferPointer(rebasing: bytes.prefix(before))
        let isWhole = isNew || payload.count == before
        let suffix: [UInt8] = isWhole ? [0x0D, 0x0A] : []
        let sent = unsafe write(prefix: prefix, payload, suffix: suffix)
        guard sent > 0 else { return 0 }
        guard sent >= prefix.count else {
            owed = payload.count
            pending = Array(prefix[sent...])
            return 0
        }
        let taken = min(sent - prefix.count, payload.count)
        // Noted once: nearly always nothing is owed, before or after.
        owed = (isNew ? payload.count : before) - taken
        if taken == payload.count, isWhole { pending = Array(suffix[(sent - prefix.count - taken)...]) }
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

    final func becameReady(_ state: UInt8) {
        if state & 4 != 0 { return close() }
        if state & 1 != 0 { discardInput() }
        guard isOpen, state & 2 != 0, isBlocked else { return }
        isBlocked = false
        guard sendPending() else { return }
        if isFinishing { return close() }
        _ = EventStreamSet.shared.watch(slot, descriptor: descriptor, writable: false)
        becameWritable()
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

    /// Turns the exchange into an event stream: the head is sent, the connection's parser and buffers are freed, and an
    /// `EventStreamSocket` goes on where the request ends. Never compressed. A client of HTTP/1.0 sees the end by the closing.
    ///
    /// - Throws: `cancelled` when the client went away already.
    public func beginEventStream(
        headers: [(name: String, value: String)] = []
    ) throws(ThemisError) -> EventStreamStart {
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
        return EventStreamStart(
            socket: OwnedDescriptor(taken.descriptor), pending: taken.pending, isChunking: isChunking, server: server)
    }
}
