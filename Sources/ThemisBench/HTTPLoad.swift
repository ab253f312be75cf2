import ThemisBase
import ThemisNet

/// Requests over HTTP/1.1, one at a time on each connection.
@NetLoop final class HTTPLoad {
    /// What is asked.
    struct Plan {
        var port = 0
        var connections = 64
        /// Share of requests that PUT, in percent; the others GET.
        var writes = 0
        var documents = Documents(keys: 10_000, bytes: 1_024)
        var rate: Double?
        /// What is due and finds no connection free for so long is given up, in milliseconds; nil: it waits.
        var giveUpMilliseconds: Int?
        /// Whether a connection rests for the `Retry-After` of a 503.
        var heedsRetryAfter = false
        var seed: UInt64 = 1
    }

    private let plan: Plan
    private let address: SocketAddress
    private let pace: Pace
    private var measurement: Measurement
    private var random: SeededRandom
    private var reads: [[UInt8]] = []
    private var writes: [[UInt8]] = []
    private var free: [HTTPLane] = []
    private var all: [HTTPLane] = []
    private var isStopping = false

    init(_ plan: Plan, pids: [String]) throws(ThemisError) {
        self.plan = plan
        address = try SocketAddress(host: "127.0.0.1", port: UInt16(clamping: plan.port))
        pace = Pace(rate: plan.rate)
        measurement = Measurement(pids: pids)
        random = SeededRandom(seed: plan.seed)
        for number in 0..<plan.documents.keys {
            let head = " /entities/\(Documents.table):\(Documents.pk(number)) HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            if plan.writes < 100 { reads.append(Array("GET\(head)\r\n".utf8)) }
            guard plan.writes > 0 else { continue }
            let body = plan.documents.document(number)
            writes.append(
                Array("PUT\(head)Content-Type: application/json\r\nContent-Length: \(body.count)\r\n\r\n".utf8) + body)
        }
    }

    /// Warms up, measures, and returns the line to print.
    func run(warmUpMilliseconds: Int, milliseconds: Int) async throws -> String {
        for _ in 0..<plan.connections {
            let lane = HTTPLane(self, try await Connector.connect(address, timeoutMilliseconds: 5_000))
            all.append(lane)
            free.append(lane)
        }
        pace.start(measurement.now) { [unowned self] in fill() }
        fill()
        try await NetLoop.sleep(milliseconds: warmUpMilliseconds)
        measurement.begin()
        try await NetLoop.sleep(milliseconds: milliseconds)
        measurement.end()
        isStopping = true
        pace.stop()
        for lane in all { lane.stream.close() }
        return measurement.line("http")
    }

    private func fill() {
        let now = measurement.now
        while let lane = free.last, !isStopping, let due = nextDue(now) {
            free.removeLast()
            send(on: lane, due)
        }
    }

    private func nextDue(_ now: UInt64) -> UInt64? {
        while let due = pace.next(now) {
            guard let bound = plan.giveUpMilliseconds, now > due + UInt64(bound) * 1_000_000 else { return due }
            measurement.failed("given up")
        }
        return nil
    }

    private func send(on lane: HTTPLane, _ due: UInt64) {
        let isWrite = plan.writes > 0 && random.next() % 100 < UInt64(plan.writes)
        let key = Int(random.next() % UInt64(plan.documents.keys))
        lane.due = due
        lane.stream.write(isWrite ? writes[key] : reads[key])
    }

    /// The answer of `lane` is whole.
    func finished(_ lane: HTTPLane, status: Int, retryAfterSeconds: Int?) {
        let now = measurement.now
        if status < 300 {
            measurement.succeeded(from: lane.due, to: now)
        } else {
            measurement.refused(String(status), from: lane.due, to: now)
        }
        if plan.heedsRetryAfter, let retryAfterSeconds, !isStopping { return rest(lane, seconds: retryAfterSeconds) }
        if !isStopping, let due = nextDue(now) { send(on: lane, due) } else { free.append(lane) }
    }

    private func rest(_ lane: HTTPLane, seconds: Int) {
        let timer = LoopTimer { [unowned self, unowned lane] in
            guard lane.isOpen else { return }
            free.append(lane)
            fill()
        }
        lane.rest = timer
        timer.schedule(milliseconds: seconds * 1_000)
    }

    /// The connection of `lane` is gone, with a request of its own or without; another one takes its place.
    func lost(_ lane: HTTPLane, isBusy: Bool) {
        free.removeAll { $0 === lane }
        all.removeAll { $0 === lane }
        guard !isStopping else { return }
        if isBusy { measurement.failed("closed") }
        NetLoop.spawn { [self] in
            do {
                let fresh = HTTPLane(self, try await Connector.connect(address, timeoutMilliseconds: 5_000))
                all.append(fresh)
                free.append(fresh)
                fill()
            } catch {
                measurement.failed("connect")
            }
        }
    }
}

/// One connection of the load.
@NetLoop final class HTTPLane: ByteStreamHandler {
    private unowned let load: HTTPLoad
    let stream: ByteStream
    /// When the request was to be sent.
    var due: UInt64 = 0 {
        didSet { isBusy = true }
    }
    private var isBusy = false
    /// Until then it asks nothing.
    var rest: LoopTimer?
    private(set) var isOpen = true
    private var status = 0
    private var retryAfterSeconds: Int?
    /// Bytes of the body that have not come; nil between answers.
    private var remaining: Int?

    init(_ load: HTTPLoad, _ stream: ByteStream) {
        self.load = load
        self.stream = stream
        stream.start(self)
    }

    func received(_ bytes: UnsafeRawBufferPointer, on stream: ByteStream) -> Int {
        var used = 0
        while used < bytes.count {
            if remaining == nil {
                let rest = unsafe UnsafeRawBufferPointer(rebasing: bytes[used...])
                guard let answer = unsafe AnswerHead.read(rest) else { return used }
                used += answer.head
                status = answer.status
                retryAfterSeconds = answer.retryAfterSeconds
                remaining = answer.body
            }
            let count = min(remaining ?? 0, bytes.count - used)
            used += count
            remaining = (remaining ?? 0) - count
            guard remaining == 0 else { return used }
            remaining = nil
            isBusy = false
            load.finished(self, status: status, retryAfterSeconds: retryAfterSeconds)
        }
        return used
    }

    func ended(_ stream: ByteStream) { stream.close(.peer) }

    func drained(_ stream: ByteStream) {}

    func closed(_ stream: ByteStream, _ reason: CloseReason) {
        isOpen = false
        load.lost(self, isBusy: isBusy)
    }
}
