import ThemisBase
import ThemisNet
import ThemisRPC

/// Many subscribers of the changefeed, and a writer whose documents say when they were due.
@NetLoop final class EventStreams {
    /// Who reads, and what is written meanwhile.
    struct Plan {
        var port = 0
        var subscribers = 100
        /// The core's socket, when this process writes too.
        var socket: String?
        /// Writes a second.
        var rate: Double?
        var documents = Documents(keys: 1_000, bytes: 256)
    }

    private let plan: Plan
    private let pace: Pace
    private var wire: CoreWire?
    private var free: [UInt32] = (1...512).reversed()
    private var bodies: [(bytes: [UInt8], stamp: Int)] = []
    private var random = SeededRandom(seed: 7)
    private var written = 0
    private var isStopping = false
    private var streams: [Subscriber] = []
    private var resumed = 0
    private let address: SocketAddress
    fileprivate var measurement: Measurement

    init(_ plan: Plan, pids: [String]) throws(ThemisError) {
        self.plan = plan
        address = try SocketAddress(host: "127.0.0.1", port: UInt16(clamping: plan.port))
        pace = Pace(rate: plan.rate)
        measurement = Measurement(pids: pids)
    }

    /// Connects everyone, calls `connected`, measures, and returns the line to print.
    func run(warmUpMilliseconds: Int, milliseconds: Int, connected: () -> Void) async throws -> String {
        for _ in 0..<plan.subscribers {
            let subscriber = Subscriber(self)
            subscriber.start(try await Connector.connect(address, timeoutMilliseconds: 5_000))
            streams.append(subscriber)
        }
        for _ in 0..<600 where streams.contains(where: { !$0.hasHello }) { try await NetLoop.sleep(milliseconds: 50) }
        guard streams.allSatisfy({ $0.hasHello }) else { throw ThemisError(.coreUnavailable, "not every stream has begun") }
        connected()
        if plan.socket != nil { try await startWriting() }
        try await NetLoop.sleep(milliseconds: warmUpMilliseconds)
        measurement.begin()
        written = 0
        try await NetLoop.sleep(milliseconds: milliseconds)
        measurement.end()
        measurement.extra = [
            ("writes", Double(written)), ("open", Double(streams.filter { $0.isOpen }.count)), ("resumed", Double(resumed)),
        ]
        isStopping = true
        pace.stop()
        for stream in streams { stream.close() }
        return measurement.line("sse")
    }

    private func startWriting() async throws {
        for number in 0..<plan.documents.keys {
            let document = plan.documents.document(number, stamp: Self.stampBase)
            let put = OperationMessage(kind: .put, table: Documents.table, pk: Documents.pk(number), body: document)
            let body = CoreWire.metadata + (try WriteRequest(operation: put).encoded())
            guard let stamp = body.firstRange(of: Array("\(Self.stampBase)".utf8))?.lowerBound else { continue }
            bodies.append((body, stamp))
        }
        wire = try await unsafe CoreWire.connect(plan.socket ?? "") { [unowned self] id, answer, _ in
            if case .failure(let word) = answer { measurement.failed(word) }
            if measurement.isRunning { written += 1 }
            free.append(id)
            write()
        }
        pace.start(measurement.now) { [unowned self] in write() }
    }

    private func write() {
        let now = measurement.now
        while let id = free.last, !isStopping, let due = pace.next(now) {
            free.removeLast()
            let index = Int(random.next() % UInt64(bodies.count))
            var rest = due
            for digit in stride(from: 18, to: 0, by: -1) {
                bodies[index].bytes[bodies[index].stamp + digit] = 0x30 + UInt8(rest % 10)
                rest /= 10
            }
            wire?.send(1, on: id, bodies[index].bytes[...])
        }
    }

    /// The server has ended the stream of `subscriber`, as it does after some minutes: it resumes where it was.
    fileprivate func ended(_ subscriber: Subscriber) {
        guard !isStopping else { return }
        resumed += 1
        NetLoop.spawn { [self] in
            do {
                // A server that refuses is not asked in a tight circle.
                try await NetLoop.sleep(milliseconds: 100)
                subscriber.start(try await Connector.connect(address, timeoutMilliseconds: 5_000))
            } catch {
                measurement.failed("connect")
            }
        }
    }

    /// Stamps are nanoseconds of the monotonic clock on top of this, so that all have nineteen digits.
    static let stampBase: UInt64 = 1_000_000_000_000_000_000
}

/// One open event stream: checks that no id is missing and none comes twice.
@NetLoop private final class Subscriber: ByteStreamHandler {
    private unowned let owner: EventStreams
    private var stream: ByteStream?
    private var chunks = ChunkReader()
    private var hasHead = false
    private var epoch = ""
    private var last: UInt64 = 0
    /// Whether the first event has come.
    private(set) var hasHello = false
    /// Whether the server has not ended it.
    var isOpen: Bool { stream?.isOpen == true && hasHead }

    init(_ owner: EventStreams) { self.owner = owner }

    /// Asks for what comes from now on, or after the last event that was seen.
    func start(_ stream: ByteStream) {
        self.stream = stream
        chunks = ChunkReader()
        hasHead = false
        stream.start(self)
        let digits = String(last)
        let place = last == 0 ? "" : "Last-Event-ID: \(epoch)-\(String(repeating: "0", count: 20 - digits.utf8.count))\(digits)\r\n"
        let request = "GET /changefeed/stream?from_seq=now HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\n\(place)\r\n"
        stream.write(Array(request.utf8))
    }

    func close() { stream?.close() }

    func received(_ bytes: UnsafeRawBufferPointer, on stream: ByteStream) -> Int {
        var used = 0
        if !hasHead {
            guard let answer = unsafe AnswerHead.read(bytes) else { return 0 }
            guard answer.status == 200 else {
                owner.measurement.failed(String(answer.status))
                stream.close()
                return bytes.count
            }
            hasHead = true
            used = answer.head
        }
        let now = owner.measurement.now
        unsafe chunks.read(bytes, &used) { piece in
            var begin = 0
            while let end = unsafe TextSearch.find("\n\n", in: piece, from: begin) {
                unsafe event(UnsafeRawBufferPointer(rebasing: piece[begin..<(end + 1)]), now)
                begin = end + 2
            }
            return begin
        }
        return used
    }

    private func event(_ text: UnsafeRawBufferPointer, _ now: UInt64) {
        // `id: <epoch>-<20 digits>`, then `data: `; everything else is a greeting, a bookmark, a comment or an end.
        guard text.count > 30, unsafe text[0] == 0x69, let line = unsafe TextSearch.find("\n", in: text, limit: 120) else {
            return unsafe other(text)
        }
        var sequence: UInt64 = 0
        for index in (line - 20)..<line { sequence = unsafe sequence &* 10 &+ UInt64(text[index] &- 0x30) }
        guard line + 1 < text.count, unsafe text[line + 1] == 0x64 else { return unsafe other(text, sequence) }
        if last > 0, sequence != last + 1 { owner.measurement.failed(sequence <= last ? "repeated" : "missing") }
        if last == 0 { epoch = unsafe String(decoding: text[4..<(line - 21)], as: UTF8.self) }
        last = sequence
        guard let mark = unsafe TextSearch.find("\\\"t\\\":", in: text, from: line, limit: line + 240) else { return }
        var stamp: UInt64 = 0
        for index in (mark + 6)..<min(mark + 25, text.count) { stamp = unsafe stamp &* 10 &+ UInt64(text[index] &- 0x30) }
        if stamp > EventStreams.stampBase { owner.measurement.succeeded(from: stamp - EventStreams.stampBase, to: now) }
    }

    private func other(_ text: UnsafeRawBufferPointer, _ sequence: UInt64? = nil) {
        // A bookmark moves on over what was filtered out; nothing is, so it may only repeat where we are.
        if let sequence, sequence > last, last > 0 { owner.measurement.failed("missing") }
        if unsafe TextSearch.find("event: hello", in: text) != nil { hasHello = true }
        if unsafe TextSearch.find("event: gap", in: text) != nil { owner.measurement.failed("gap") }
    }

    func ended(_ stream: ByteStream) { stream.close(.peer) }

    func drained(_ stream: ByteStream) {}

    func closed(_ stream: ByteStream, _ reason: CloseReason) {
        if case .failed = reason { owner.measurement.failed("broken") }
        owner.ended(self)
    }
}
