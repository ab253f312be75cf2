import ThemisBase
import ThemisNet
import ThemisRPC
import ThemisTelemetry

/// What the core takes on, and what waits for what.
extension CoreService {
    /// Classes of work that are refused apart from each other; what is in none is cheap or is bounded elsewhere.
    enum WorkClass {
        /// Ends on the disk.
        case write
        /// Reads many entities.
        case scan
    }

    /// The gate of durable writes. Enough under way to fill a batch while another one is on its way to the disk; bytes as many as the
    /// committer's queue has room for.
    nonisolated static let writeBounds = AdmissionGate.Bounds(floor: 512, capacity: 16_384, capacityBytes: 64 << 20)
    /// The gate of scans: some for each thread, which may take milliseconds each.
    nonisolated static func scanBounds(threads: Int) -> AdmissionGate.Bounds {
        AdmissionGate.Bounds(floor: 4 * threads, capacity: 1_024, capacityBytes: 16 << 20)
    }

    nonisolated static func workClass(_ method: RPCMethod) -> WorkClass? {
        switch method {
        case .write, .writeAtomic, .transactionCommit: .write
        case .list, .multiGet: .scan
        default: nil
        }
    }

    /// What does not wait for the disk and not for scans must not wait behind those that do.
    nonisolated static func lane(_ method: RPCMethod) -> WorkerPool.Lane {
        switch method {
        case .transactionRollback, .transactionStats, .stats, .changesInfo, .tableList, .tableGet, .jobList, .jobGet, .jobCancel: .control
        case .get, .write, .writeAtomic, .transactionBegin, .transactionCommit, .transactionGet: .quick
        default: .heavy
        }
    }

    /// Lets `server` ask this service before it begins a request, and take the answers of a batch together. Before it starts.
    func guardServer(_ server: RPCServer) {
        core.answers.use { [weak server] body in
            if let server { server.holdReplies(body) } else { body() }
        }
        server.admission = { [unowned self] method, bytes, now in admits(method, bytes: bytes, nowNanoseconds: now) }
        server.onEnd = { [unowned self] call, isAnswered in ended(call, isAnswered: isAnswered) }
    }

    private func admits(_ method: RPCMethod, bytes: Int, nowNanoseconds now: UInt64) -> Bool {
        switch Self.workClass(method) {
        case .write: writeGate.admit(bytes: bytes, nowNanoseconds: now)
        case .scan: scanGate.admit(bytes: bytes, nowNanoseconds: now)
        // A stream has its own flow; a new one is no relief for scans that have to wait already.
        case nil: method != .export || !scanGate.isCongested
        }
    }

    private func ended(_ call: RPCServerCall, isAnswered: Bool) {
        guard let work = Self.workClass(call.method) else { return }
        let now = telemetry.time.monotonicNanoseconds()
        // A read that waits for a sequence waits for somebody else's write.
        let isTimed = isAnswered && call.metadata.minSequence == 0
        switch work {
        case .write:
            writeGate.end(
                bytes: call.requestBytes, arrivedNanoseconds: call.arrivedNanoseconds, isTimed: isTimed, nowNanoseconds: now)
        case .scan:
            scanGate.end(
                bytes: call.requestBytes, arrivedNanoseconds: call.arrivedNanoseconds, isTimed: isTimed, nowNanoseconds: now)
        }
    }

    // MARK: One hand-over a turn

    /// Runs `work` on the pool. All of a turn is handed over at its end, with one wake-up.
    func enqueue(_ call: RPCServerCall, _ work: @escaping WorkerPool.Work) {
        if turnCalls.isEmpty { NetLoop.atEndOfTurn { [self] in handOver() } }
        turnCalls.append(call)
        turnWork.append((Self.lane(call.method), work))
    }

    private func handOver() {
        let taken = core.pool.submit(contentsOf: turnWork)
        let calls = turnCalls
        turnWork.removeAll(keepingCapacity: true)
        turnCalls.removeAll(keepingCapacity: true)
        for call in calls[taken...] { call.fail(Self.overloaded(call)) }
    }
}
