import CLinux
import Glibc
import ThemisBase

/// Why a stream ended.
public enum CloseReason: Sendable, Equatable {
    /// This side closed it.
    case local
    /// The peer closed its end in order.
    case peer
    /// The connection broke: the errno value.
    case failed(Int32)

    /// For logs.
    public var text: String {
        switch self {
        case .local: "closed here"
        case .peer: "closed by peer"
        case .failed(let error): errorText(error)
        }
    }
}

/// What a protocol does with a stream. Called on the loop; never while a call into the stream's own methods is still deciding.
public protocol ByteStreamHandler: AnyObject {
    /// Takes `bytes` from the front and returns how many were used; the rest comes again, in front of what arrives next. The
    /// bytes are valid only during the call.
    @NetLoop func received(_ bytes: UnsafeRawBufferPointer, on stream: ByteStream) -> Int
    /// The peer will send no more. Bytes that were not used stay available by `resumeReading`.
    @NetLoop func ended(_ stream: ByteStream)
    /// Everything written was given to the kernel.
    @NetLoop func drained(_ stream: ByteStream)
    /// The stream is gone. Called exactly once, never from within a call of the handler's own.
    @NetLoop func closed(_ stream: ByteStream, _ reason: CloseReason)
}

/// A connected socket with buffers: bytes in by a handler that consumes, bytes out by one `send` per loop turn.
///
/// The loop owns an open stream; the stream owns its handler until it has closed. What idles holds no buffer memory.
@NetLoop public final class ByteStream: TurnEnding {
    /// Bounds of one stream, in bytes.
    public struct Options: Sendable {
        /// Unused input at which reading pauses. A handler needs at most this much to make progress.
        public var readLimitBytes: Int
        /// Unsent output at which `awaitWritable` begins to wait.
        public var highWaterBytes: Int
        /// Unsent output at which waiters go on.
        public var lowWaterBytes: Int
        /// Memory that is kept for each direction while nothing waits in it.
        public var keptOutputBytes: Int

        /// Bounds that fit requests and frames.
        public init(
            readLimitBytes: Int = 128 << 10, highWaterBytes: Int = 256 << 10, lowWaterBytes: Int = 64 << 10, keptOutputBytes: Int = 0
        ) {
            self.keptOutputBytes = keptOutputBytes
            self.readLimitBytes = readLimitBytes
            self.highWaterBytes = highWaterBytes
            self.lowWaterBytes = lowWaterBytes
        }
    }

    private let options: Options
    private let socket: OwnedDescriptor
    private var handler: (any ByteStreamHandler)?
    private var watcher: FileWatcher?
    /// What the watcher watches for now; asked several times for each request.
    private var watched: Readiness = []
    private var input: ByteBuffer
    private var output: ByteBuffer
    private var isReadingPaused = true
    private var isOffering = false
    private var isDirty = false
    private var isBlocked = false
    private var hasEnded = false
    /// Whether `finish` was called: nothing more is read or written.
    public private(set) var isFinishing = false
    private var hasShutDown = false
    private var linger: LoopTimer?
    private var discardedBytes = 0
    private var waiters: [UInt64: CheckedContinuation<Void, any Error>] = [:]
    private var nextWaiter: UInt64 = 0
    /// All bytes received so far.
    public private(set) var receivedBytes: UInt64 = 0
    /// All bytes given to the kernel so far.
    public private(set) var sentBytes: UInt64 = 0

    /// Takes over the connected, non-blocking `descriptor`. Nothing is read before `start`.
    public init(descriptor: Int32, options: Options = Options()) {
        self.options = options
        output = ByteBuffer(keeping: max(options.keptOutputBytes, SpareMemory.blockBytes))
        input = ByteBuffer(keeping: options.keptOutputBytes)
        socket = OwnedDescriptor(descriptor)
        themis_no_delay(descriptor)
    }

    /// Begins to read. From now on the loop keeps the stream, and the stream its handler, until it has closed.
    public func start(_ handler: any ByteStreamHandler) {
        precondition(self.handler == nil && watcher == nil, "a stream is started once")
        self.handler = handler
        let watcher = FileWatcher(descriptor: socket.number) { [self] ready in becameReady(ready) }
        watcher.lane = lane
        self.watcher = watcher
        isReadingPaused = false
        updateInterest()
    }

    /// How soon what comes is read, when thousands of streams are ready at once.
    public var lane = ReadingLane.ordinary {
        didSet {
            guard lane != oldValue, let watcher else { return }
            watcher.lane = lane
            watched = watcher.interest
            updateInterest()
        }
    }

    /// Whether neither side has closed the stream as a whole.
    public var isOpen: Bool { socket.number >= 0 }

    /// The peer as `address:port`; empty for Unix sockets.
    public var peer: String {
        var text = [CChar](repeating: 0, count: 80)
        unsafe themis_peer_text(socket.number, &text, text.count)
        return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// User, group and process of the peer of a Unix socket.
    public var peerCredentials: (uid: UInt32, gid: UInt32, pid: Int32)? {
        var (uid, gid, pid) = (uid_t(), gid_t(), pid_t())
        guard isOpen, unsafe themis_peer_credentials(socket.number, &uid, &gid, &pid) == 0 else { return nil }
        return (uid, gid, pid)
    }

    // MARK: Reading

    /// Reads what has come already, without waiting to be told: who connects to ask has mostly asked when it is accepted.
    func receiveAtOnce() {
        guard isOpen else { return }
        receive()
        updateInterest()
    }

    /// Stops reading; the kernel's buffers then hold the peer back.
    public func pauseReading() {
        isReadingPaused = true
        updateInterest()
    }

    /// Reads on, after offering the handler what it has not used yet.
    public func resumeReading() {
        guard isOpen else { return }
        isReadingPaused = false
        offerInput()
        updateInterest()
    }

    /// Whether input waits that the handler has not used.
    public var hasUnusedInput: Bool { !input.isEmpty }

    private func becameReady(_ ready: Readiness) {
        if ready.contains(.writable) {
            isBlocked = false
            flush()
        }
        if ready.contains(.readable), isOpen { receive() }
        updateInterest()
    }

    private func receive() {
        if hasShutDown { return discard() }
        guard !isReadingPaused, !hasEnded else { return }
        if input.isEmpty {
            // Read into memory that all streams share: an idle stream owns none, and most requests are used up in one go.
            let scratch = unsafe Scratch.shared.bytes
            let count = unsafe recv(socket.number, scratch.baseAddress, scratch.count, 0)
            guard count > 0 else { return receiveFailed(count) }
            receivedBytes += UInt64(count)
            let used = unsafe offer(UnsafeRawBufferPointer(rebasing: scratch[..<count]))
            if isOpen, !isFinishing, used < count { unsafe input.append(UnsafeRawBufferPointer(rebasing: scratch[used..<count])) }
        } else {
            let room = unsafe input.writable(minimum: 16 << 10)
            let count = unsafe recv(socket.number, room.baseAddress, min(room.count, 64 << 10), 0)
            guard count > 0 else { return receiveFailed(count) }
            receivedBytes += UInt64(count)
            input.advance(count)
            offerInput()
        }
    }

    private func receiveFailed(_ result: Int) {
        if result == 0 {
            hasEnded = true
            if isFinishing { return }
            handler?.ended(self)
            return
        }
        let error = errno
        if error != EAGAIN && error != EINTR { close(.failed(error)) }
    }

    private func offerInput() {
        guard isOpen, !isOffering, !isReadingPaused, !isFinishing, !input.isEmpty else { return }
        let used = unsafe offer(input.readable)
        guard isOpen else { return }
        if isFinishing { input.release() } else { input.consume(used) }
    }

    /// The handler may pause, close or write meanwhile, but is not called again before it has returned.
    private func offer(_ bytes: UnsafeRawBufferPointer) -> Int {
        guard let handler, !isFinishing else { return bytes.count }
        isOffering = true
        let used = unsafe handler.received(bytes, on: self)
        isOffering = false
        precondition(used >= 0 && used <= bytes.count, "a handler uses at most what it was given")
        return used
    }

    private func updateInterest() {
        guard isOpen else { return }
        var interest: Readiness = []
        let isFull = input.count >= options.readLimitBytes
        if !hasEnded, hasShutDown || (!isReadingPaused && !isFull && !isFinishing) { interest.insert(.readable) }
        if isBlocked { interest.insert(.writable) }
        guard interest != watched, let watcher else { return }
        watched = interest
        if !watcher.watch(interest) { close(.failed(EMFILE)) }
    }

    // MARK: Writing

    /// All bytes that the peer's kernel has taken so far. Asks the kernel: moves with a slow reader long before ours takes more.
    var acknowledgedBytes: UInt64 {
        guard isOpen else { return sentBytes }
        let waiting = UInt64(themis_unacknowledged(socket.number))
        return sentBytes > waiting ? sentBytes - waiting : 0
    }

    /// Output that the kernel has not taken yet, in bytes.
    public var pendingBytes: Int { output.count }

    /// Whether a polite writer would wait.
    public var isAboveHighWater: Bool { output.count >= options.highWaterBytes }

    /// Appends `bytes`; sent at the end of the turn. Does nothing on a closed stream.
    public func write(_ bytes: [UInt8]) { write { $0.append(bytes) } }

    /// Lets `fill` append to the output in place; sent at the end of the turn. Does nothing on a closed stream.
    public func write(_ fill: (inout ByteBuffer) -> Void) {
        guard isOpen, !isFinishing else { return }
        if !output.hasMemory { SpareMemory.shared.lend(to: &output) }
        let before = output.count
        fill(&output)
        // Nothing written is nothing to send: a writer that is told of every drain would otherwise be told for ever.
        if output.count != before { becameDirty() } else if before == 0 { giveMemoryBack() }
    }

    private func giveMemoryBack() { if options.keptOutputBytes == 0 { SpareMemory.shared.takeBack(from: &output) } }

    /// Waits until the output has fallen below the low water mark, if it is above the high one.
    ///
    /// - Throws: `cancelled` when the stream has closed, `CancellationError` when the task was cancelled.
    public func awaitWritable() async throws {
        guard isOpen else { throw ThemisError(.cancelled, "the connection has closed") }
        guard isAboveHighWater else { return }
        try Task.checkCancellation()
        nextWaiter += 1
        let number = nextWaiter
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { waiters[number] = $0 }
        } onCancel: {
            NetLoop.post { self.waiters.removeValue(forKey: number)?.resume(throwing: CancellationError()) }
        }
    }

    private func becameDirty() {
        guard !isDirty, !isBlocked else { return }
        isDirty = true
        NetLoop.atEndOfTurn(self, isPressing: lane == .pressing)
    }

    /// Sends what was written in this turn.
    public func endOfTurn() {
        isDirty = false
        flush()
        updateInterest()
    }

    private func flush() {
        while isOpen, !isBlocked, !output.isEmpty {
            let bytes = unsafe output.readable
            let count = unsafe send(socket.number, bytes.baseAddress, bytes.count, Int32(MSG_NOSIGNAL))
            if count < 0 {
                let error = errno
                if error == EINTR { continue }
                guard error == EAGAIN else { return close(.failed(error)) }
                isBlocked = true
            } else {
                sentBytes += UInt64(count)
                output.consume(count)
            }
        }
        guard isOpen else { return }
        if output.count <= options.lowWaterBytes { wakeWaiters(throwing: nil) }
        guard output.isEmpty else { return }
        giveMemoryBack()
        if isFinishing { shutDownWriting() } else { handler?.drained(self) }
    }

    private func wakeWaiters(throwing error: (any Error)?) {
        guard !waiters.isEmpty else { return }
        let woken = waiters
        waiters = [:]
        for waiter in woken.values {
            if let error { waiter.resume(throwing: error) } else { waiter.resume() }
        }
    }

    // MARK: Closing

    /// Sends what was written, then closes in order: the peer's unread input is discarded for a while, because closing on top of
    /// it would reset the connection and could destroy the answer on its way.
    public func finish() {
        guard isOpen, !isFinishing else { return }
        isFinishing = true
        // While the handler looks at the input its memory must stay.
        if !isOffering { input.release() }
        if output.isEmpty { shutDownWriting() } else { becameDirty() }
        updateInterest()
    }

    private func shutDownWriting() {
        guard !hasShutDown else { return }
        if hasEnded { return close(.local) }
        hasShutDown = true
        _ = shutdown(socket.number, Int32(SHUT_WR))
        let timer = LoopTimer { [weak self] in self?.close(.local) }
        timer.schedule(milliseconds: Limits.lingerMilliseconds)
        linger = timer
        updateInterest()
    }

    private func discard() {
        let scratch = unsafe Scratch.shared.bytes
        let count = unsafe recv(socket.number, scratch.baseAddress, scratch.count, 0)
        if count < 0, errno == EAGAIN || errno == EINTR { return }
        discardedBytes += max(0, count)
        if count <= 0 || discardedBytes > Limits.lingerBytes { close(.local) }
    }

    /// Closes at once; unsent output is lost. The handler hears of it after the current call has returned.
    public func close(_ reason: CloseReason = .local) {
        guard isOpen else { return }
        watcher?.cancel()
        watcher = nil
        linger = nil
        socket.close()
        output.release()
        // While the handler looks at the input its memory must stay.
        if !isOffering { input.release() }
        wakeWaiters(throwing: ThemisError(.cancelled, "the connection has closed"))
        NetLoop.bury(self)
        guard let handler else { return }
        self.handler = nil
        NetLoop.later { handler.closed(self, reason) }
    }

    /// Gives the descriptor away together with output that the kernel has not taken, and forgets the handler without calling it.
    /// Nil when the stream is closed or closing.
    func detach() -> (descriptor: Int32, pending: [UInt8])? {
        guard isOpen, !isFinishing else { return nil }
        let pending = unsafe Array(output.readable)
        output.release()
        watcher?.cancel()
        watcher = nil
        handler = nil
        if !isOffering { input.release() }
        wakeWaiters(throwing: ThemisError(.cancelled, "the connection was given away"))
        NetLoop.bury(self)
        return (socket.take(), pending)
    }
}
