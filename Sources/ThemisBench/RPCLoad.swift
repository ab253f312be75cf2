import ThemisBase
import ThemisNet
import ThemisRPC

/// Requests to the core over one connection or several.
@NetLoop final class RPCLoad {
    /// What is asked.
    struct Plan {
        var socket = ""
        /// Requests in flight on each connection.
        var inFlight = 64
        var connections = 1
        /// Share of requests that write, in percent.
        var writes = 0
        /// The keys that are drawn from begin here.
        var firstKey = 0
        var documents = Documents(keys: 10_000, bytes: 1_024)
        var rate: Double?
        var seed: UInt64 = 1
        /// What else to send instead of reads and writes of keys; see `RequestLines`.
        var lines: RequestLines?
    }

    private let plan: Plan
    private var measurement: Measurement
    private let pace: Pace
    private var random: SeededRandom
    private var lanes: [Lane] = []
    private var isStopping = false
    private var requests = Requests()
    private var answerBytes = 0

    /// One connection: when each stream's request was due, and which streams are free.
    @NetLoop private final class Lane {
        var wire: CoreWire?
        var starts: [UInt64]
        var free: [UInt32]

        init(_ count: Int) {
            starts = [UInt64](repeating: 0, count: count + 1)
            free = (1...UInt32(count)).reversed()
        }
    }

    init(_ plan: Plan, pids: [String]) {
        self.plan = plan
        measurement = Measurement(pids: pids)
        pace = Pace(rate: plan.rate)
        random = SeededRandom(seed: plan.seed)
    }

    /// Warms up, measures, and returns the line to print.
    func run(warmUpMilliseconds: Int, milliseconds: Int) async throws -> String {
        if plan.lines == nil { requests = try Requests(plan) }
        for _ in 0..<plan.connections {
            let lane = Lane(plan.inFlight)
            lane.wire = try await unsafe CoreWire.connect(plan.socket) { [unowned self, unowned lane] id, answer, body in
                finished(id, on: lane, answer, body.count)
            }
            lanes.append(lane)
        }
        pace.start(measurement.now) { [unowned self] in for lane in lanes { fill(lane) } }
        for lane in lanes { fill(lane) }
        try await NetLoop.sleep(milliseconds: warmUpMilliseconds)
        measurement.begin()
        answerBytes = 0
        try await NetLoop.sleep(milliseconds: milliseconds)
        measurement.end()
        isStopping = true
        pace.stop()
        measurement.extra.append(("answer_bytes", Double(answerBytes)))
        for lane in lanes { lane.wire?.close() }
        if let lost = lanes.compactMap({ $0.wire?.lost }).first { throw ThemisError(.coreUnavailable, "connection lost: \(lost)") }
        return measurement.line("rpc")
    }

    private func fill(_ lane: Lane) {
        let now = measurement.now
        while let id = lane.free.last, !isStopping, let due = pace.next(now) {
            lane.free.removeLast()
            send(id, on: lane, due)
        }
    }

    private func send(_ id: UInt32, on lane: Lane, _ due: UInt64) {
        lane.starts[Int(id)] = due
        if let lines = plan.lines {
            lane.wire?.send(lines.method, on: id, lines.bodies[Int(random.next() % UInt64(lines.bodies.count))])
            return
        }
        let isWrite = plan.writes > 0 && random.next() % 100 < UInt64(plan.writes)
        let key = Int(random.next() % UInt64(plan.documents.keys))
        lane.wire?.send(isWrite ? 1 : 4, on: id, isWrite ? requests.writes[key] : requests.reads[key])
    }

    private func finished(_ id: UInt32, on lane: Lane, _ answer: WireAnswer, _ bytes: Int) {
        let now = measurement.now
        switch answer {
        case .success:
            answerBytes += bytes
            measurement.succeeded(from: lane.starts[Int(id)], to: now)
        case .failure(let word): measurement.failed(word)
        }
        if !isStopping, let due = pace.next(now) { send(id, on: lane, due) } else { lane.free.append(id) }
    }
}

/// Bodies of all requests of a run, encoded before it starts.
private struct Requests {
    var reads: [ArraySlice<UInt8>] = []
    var writes: [ArraySlice<UInt8>] = []

    init() {}

    init(_ plan: RPCLoad.Plan) throws(ThemisError) {
        for index in 0..<plan.documents.keys {
            let number = plan.firstKey + index
            let pk = Documents.pk(number)
            if plan.writes < 100 { reads.append(try Self.body(GetRequest(table: Documents.table, pk: pk))) }
            guard plan.writes > 0 else { continue }
            let put = OperationMessage(kind: .put, table: Documents.table, pk: pk, body: plan.documents.document(number))
            writes.append(try Self.body(WriteRequest(operation: put)))
        }
    }

    private static func body(_ message: some RPCMessage) throws(ThemisError) -> ArraySlice<UInt8> { try CoreWire.body(message) }
}
