import ThemisBase
import ThemisDatabase
import ThemisNet
import ThemisRPC
import ThemisRuntime
import ThemisTelemetry

/// Answers the core's RPC methods: the only place where the two towers meet.
///
/// The loop frames, decodes small requests and answers reads that memory alone can answer; everything else runs on the worker pool, and
/// answers come back to the loop in bursts.
@NetLoop final class CoreService {
    let core: Core
    let context: ServiceContext
    let commits: CommitSignal
    let aggregator = MetricAggregator()
    /// The spans of the set, for exporters.
    private(set) lazy var spans = SpanHub(role: context.role.rawValue, instance: context.instance, telemetry: telemetry) { [weak self] in
        Set((self?.server?.peers() ?? []).map(\.connection))
    }
    /// Open ChangesFollow streams.
    var followers = 0
    /// Long polls that wait for a commit.
    var longPolls: [UInt64: LongPoll] = [:]
    var nextLongPoll: UInt64 = 1
    /// What is under way of writes and of scans.
    var writeGate = AdmissionGate(CoreService.writeBounds)
    var scanGate: AdmissionGate
    /// Work of this turn, and whose it is.
    var turnWork: [(lane: WorkerPool.Lane, work: WorkerPool.Work)] = []
    var turnCalls: [RPCServerCall] = []
    /// Set once the server exists; its peers stand in `/stats`.
    weak var server: RPCServer?

    init(core: Core, context: ServiceContext) {
        self.core = core
        self.context = context
        scanGate = AdmissionGate(Self.scanBounds(threads: core.settings.threads))
        commits = CommitSignal(core.database)
        commits.onCommit = { [weak self] in self?.wakeLongPolls() }
    }

    var telemetry: Telemetry { context.telemetry }

    /// Called for each request; answers later, exactly once.
    func handle(_ call: RPCServerCall) {
        switch call.method {
        case .get: get(call)
        case .write: write(call)
        case .writeAtomic: writeAtomic(call)
        case .writeStream: writeStream(call)
        case .multiGet: multiGet(call)
        case .list: list(call)
        case .export: export(call)
        case .deleteRange: deleteRange(call)
        case .tableList: tableList(call)
        case .tableGet: tableGet(call)
        case .tablePut: tablePut(call)
        case .tableDrop: tableDrop(call)
        case .tableTruncate: tableTruncate(call)
        case .changesRead: changesRead(call)
        case .changesFollow: changesFollow(call)
        case .changesInfo: changesInfo(call)
        case .ping: ping(call)
        case .stats: stats(call)
        case .configGet: configGet(call)
        case .metricsPush: metricsPush(call)
        case .metricsRead: metricsRead(call)
        case .jobList: jobList(call)
        case .jobGet: jobGet(call)
        case .jobCancel: jobCancel(call)
        case .flush: flush(call)
        case .compact: compact(call)
        case .spansPush: spansPush(call)
        case .spansTake: spansTake(call)
        case .query: query(call)
        case .transactionBegin: transactionBegin(call)
        case .transactionCommit: transactionCommit(call)
        case .transactionRollback: transactionRollback(call)
        case .transactionGet: transactionGet(call)
        case .transactionStats: transactionStats(call)
        case .indexCreate: indexCreate(call)
        case .indexDrop: indexDrop(call)
        case .indexList: indexList(call)
        case .indexStats: indexStats(call)
        case .indexRebuild: indexRebuild(call)
        case .indexReindex: indexReindex(call)
        case .verify: verify(call)
        case .ttlCleanup: ttlCleanup(call)
        case .edgePut: edgePut(call)
        case .graphNeighbors: graphNeighbors(call)
        case .graphTraverse: graphTraverse(call)
        case .graphShortestPath: graphShortestPath(call)
        case .graphRebuild: graphRebuild(call)
        default: call.fail(ThemisError(.notImplemented, "method \(call.method.name) is not served by this core"))
        }
    }

    // MARK: Ways to answer

    /// Decodes the request and runs `body` on the pool; answers with what it returns.
    func onPool<Request: RPCMessage, Answer: RPCMessage>(
        _ call: RPCServerCall, _ body: @escaping @Sendable (Request, CallContext) throws(ThemisError) -> Answer
    ) {
        submit(call) { (request: Request, context) throws(ThemisError) in call.reply(try body(request, context)) }
    }

    /// The same after the database shows what the caller has seen elsewhere (`minSequence`).
    func read<Request: RPCMessage, Answer: RPCMessage>(
        _ call: RPCServerCall, _ body: @escaping @Sendable (Request, CallContext) throws(ThemisError) -> Answer
    ) {
        guard call.metadata.minSequence > core.database.durableSequence else { return onPool(call, body) }
        do throws(ThemisError) {
            let request: Request = try call.decode()
            let context = call.context()
            let cancel = call.onCancel
            // A wait may be long: who gave up must not keep a place of the connection until it ends.
            call.onCancel = { [weak call] in
                cancel?()
                call?.fail(ThemisError(.cancelled, "the caller went away"))
            }
            let pool = core.pool
            let lane = Self.lane(call.method)
            let time = telemetry.time
            core.database.waitForSequence(call.metadata.minSequence, deadlineNanoseconds: context.deadlineNanoseconds) { error in
                if let error { return call.reply(failing: error) }
                let isTaken = pool.submit(lane) {
                    Self.run(call, time) { () throws(ThemisError) in call.reply(try body(request, context)) }
                }
                if !isTaken { call.reply(failing: Self.overloaded(call)) }
            }
        } catch {
            call.fail(error)
        }
    }

    /// Decodes the request and runs `body` on the pool; `body` sees to the answer.
    func submit<Request: RPCMessage>(
        _ call: RPCServerCall, _ body: @escaping @Sendable (Request, CallContext) throws(ThemisError) -> Void
    ) {
        do throws(ThemisError) {
            let request: Request = try call.decode()
            let context = call.context()
            let time = telemetry.time
            enqueue(call) { Self.run(call, time) { () throws(ThemisError) in try body(request, context) } }
        } catch {
            call.fail(error)
        }
    }

    /// Works for a caller who still waits: what waited for too long is not begun.
    private nonisolated static func run(_ call: RPCServerCall, _ time: any TimeSource, _ body: () throws(ThemisError) -> Void) {
        if let span = call.span { span.record("queue", from: call.arrivedNanoseconds) }
        guard !call.isCancelled else { return call.reply(failing: ThemisError(.cancelled, "the caller went away", outcome: .notCommitted)) }
        if call.deadlineNanoseconds != nil, call.isExpired(nowNanoseconds: time.monotonicNanoseconds()) {
            return call.reply(
                failing: ThemisError(
                    .deadlineExceeded, "the deadline passed before the work was begun",
                    outcome: call.method.effect == .write ? .notCommitted : nil))
        }
        do throws(ThemisError) { try body() } catch { call.reply(failing: error) }
    }

    /// Runs `body` on the pool and resumes on the loop.
    func awaitPool<Value: Sendable>(
        _ lane: WorkerPool.Lane = .quick, _ body: @escaping @Sendable () throws(ThemisError) -> Value
    ) async throws(ThemisError) -> Value {
        let result: Result<Value, ThemisError> = await withCheckedContinuation { continuation in
            let isTaken = core.pool.submit(lane) {
                do throws(ThemisError) { continuation.resume(returning: .success(try body())) } catch {
                    continuation.resume(returning: .failure(error))
                }
            }
            if !isTaken { continuation.resume(returning: .failure(ThemisError(.overloaded, "all workers are busy", retryAfterSeconds: 1))) }
        }
        return try result.get()
    }

    /// Answers `call` with a stream that `body` sends; an error of it ends the stream.
    func stream(_ call: RPCServerCall, _ body: @escaping @Sendable @NetLoop (RPCServerCall) async throws(ThemisError) -> Void) {
        NetLoop.spawn {
            do throws(ThemisError) {
                try await body(call)
                call.finish()
            } catch {
                call.fail(error)
            }
        }
    }

    nonisolated static func overloaded(_ call: RPCServerCall) -> ThemisError {
        ThemisError(
            .overloaded, "too much work waits for the workers; try again", outcome: call.method.effect == .write ? .notCommitted : nil,
            retryAfterSeconds: 1)
    }
}

extension RPCServerCall {
    /// Deadline and cancellation in the words of the database. Once per call.
    func context() -> CallContext {
        let flag = CancellationFlag()
        onCancel = { flag.cancel() }
        return CallContext(deadlineNanoseconds: deadlineNanoseconds ?? .max, cancellation: flag, span: span)
    }
}

/// Tells the loop that something was committed: many commits in a burst cost one turn.
@NetLoop final class CommitSignal {
    private var waiters: [CheckedContinuation<Void, Never>] = []
    private var token: UInt64 = 0
    private let database: Database
    private let isPosted = PostedFlag()
    /// Called once a turn in which something was committed.
    var onCommit: (@NetLoop () -> Void)?

    init(_ database: Database) {
        self.database = database
        token = database.onPublish { [weak self, isPosted] _ in
            guard isPosted.raise() else { return }
            NetLoop.post {
                isPosted.lower()
                self?.fire()
            }
        }
    }

    private func fire() {
        onCommit?()
        let woken = waiters
        waiters.removeAll(keepingCapacity: true)
        for waiter in woken { waiter.resume() }
    }

    /// Waits for the next commit, or until `wakeAll`.
    func next() async { await withCheckedContinuation { waiters.append($0) } }

    /// Lets everyone look again, as when a call was cancelled or the core stops.
    func wakeAll() { fire() }
}
