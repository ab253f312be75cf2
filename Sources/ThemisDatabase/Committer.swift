import Synchronization
import ThemisBase
import ThemisStorage
import ThemisTelemetry

/// The one thread that orders writes, and the queue before it. Drives the stages order, append and publish.
///
/// While the log works on one batch, the next one is filled; it leaves when the log is free. Submitting: any thread.
final class Committer: Sendable {
    private struct Inbox {
        var arrived: [PendingWrite] = []
        /// Admitted and not answered yet.
        var operations = 0
        var bytes = 0
        /// The event of the batch in the log.
        var event: CommitLog.Event?
        var synced: CommitLog.Event?
        var isClosing = false
        var isWoken = false
    }

    /// What the thread found when it looked.
    private struct Work {
        var writes: [PendingWrite] = []
        var event: CommitLog.Event?
        var synced: CommitLog.Event?
        var isOver = false
    }

    /// With an idle log, the first batch leaves after so many operations: about a millisecond of work.
    private static let firstDraw = 256
    /// With a busy log, its event is looked for after so many operations.
    private static let busyDraw = 16
    /// So few writes are stored on this thread: the way to the log's thread and back takes longer than ordering what comes meanwhile.
    private static let fewWrites = 4

    private let options: DatabaseOptions
    private let telemetry: Telemetry
    private let order: OrderStage
    private let prepare: PrepareStage
    private let published: PublishStage
    private let log: CommitLog
    private let metrics: CommitMetrics
    private let inbox = Monitor(Inbox())
    /// Why nothing is accepted any more.
    private let stopped = Mutex<ThemisError?>(nil)
    private let threads = Monitor<[WorkThread]>([])

    init(order: OrderStage, log: CommitLog, options: DatabaseOptions, telemetry: Telemetry) {
        self.order = order
        self.log = log
        self.options = options
        self.telemetry = telemetry
        prepare = order.prepare
        published = order.published
        metrics = CommitMetrics(telemetry.metrics)
    }

    /// Starts both threads.
    func start() {
        let log = WorkThread(name: "themis-log") { [self] in self.log.run { self.report($0) } }
        let committer = WorkThread(name: "themis-commit") { [self] in run() }
        threads.withLock { $0 = [committer, log] }
    }

    /// Answers everything that was accepted, then ends both threads. Once only.
    func close() {
        inbox.withLock { $0.isClosing = true }
        inbox.notifyOne()
        let running = threads.withLock { threads in
            defer { threads = [] }
            return threads
        }
        guard running.count == 2 else { return }
        running[0].join()
        log.close()
        running[1].join()
    }

    /// Writes that are accepted and not answered: their number and bytes.
    var queued: (operations: Int, bytes: Int) { inbox.withLock { ($0.operations, $0.bytes) } }

    /// Accepts a write. Refusals are answered at once, on this thread.
    func submit(_ write: PendingWrite) {
        if write.call.span != nil { write.submittedNanoseconds = telemetry.time.monotonicNanoseconds() }
        let refusal: ThemisError? =
            stopped.withLock { $0 }
            ?? inbox.withLock { inbox in
                if inbox.isClosing {
                    return ThemisError(.shuttingDown, "the database is closing", outcome: .notCommitted, retryAfterSeconds: 1)
                }
                let isTooMuch =
                    inbox.operations + write.admittedOperations > options.queuedOperations
                    || inbox.bytes + write.admittedBytes > options.queuedBytes
                // One that is larger than the whole queue may pass when it is alone.
                if isTooMuch, inbox.operations > 0 {
                    return ThemisError(
                        .overloaded, "too many writes are waiting for the disk", outcome: .notCommitted, retryAfterSeconds: 1)
                }
                inbox.operations += write.admittedOperations
                inbox.bytes += write.admittedBytes
                inbox.arrived.append(write)
                return nil
            }
        if let refusal {
            metrics.refused.add()
            write.fail(refusal)
        } else {
            inbox.notifyOne()
        }
    }

    /// Lets the thread look at its clock: someone waits with a deadline.
    func wake() {
        inbox.withLock { $0.isWoken = true }
        inbox.notifyOne()
    }

    /// Runs `body` on the committer's thread and waits until what it wrote is stored. Not on the committer's thread.
    ///
    /// - Parameter isDurable: false: a crash may take it back, until a durable write follows. It must give no sequence.
    /// - Throws: what `body` throws, and the errors of a write.
    func run<Value: Sendable>(
        isDurable: Bool = true, _ body: @escaping @Sendable (OrderStage) throws(ThemisError) -> Value
    ) throws(ThemisError) -> Value {
        let answer = CommandAnswer<Value>()
        let command: @Sendable (OrderStage) throws(ThemisError) -> Void = { stage throws(ThemisError) in answer.set(try body(stage)) }
        submit(PendingWrite(command: command, isDurable: isDurable) { error in answer.finish(error) })
        return try answer.get()
    }

    /// An accepted write that was prepared again.
    private func resubmit(_ write: PendingWrite) {
        inbox.withLock { $0.arrived.append(write) }
        inbox.notifyOne()
    }

    /// Forgets accepted writes that are answered.
    private func release(_ writes: some Sequence<PendingWrite>) {
        var operations = 0
        var bytes = 0
        for write in writes {
            operations += write.admittedOperations
            bytes += write.admittedBytes
        }
        let isOver = inbox.withLock { inbox in
            inbox.operations -= operations
            inbox.bytes -= bytes
            return inbox.isClosing && inbox.operations == 0
        }
        if isOver { inbox.notifyOne() }
    }

    private func report(_ event: CommitLog.Event) {
        inbox.withLock { inbox in
            switch event {
            case .appended, .failed: inbox.event = event
            case .synced, .syncFailed: inbox.synced = event
            }
        }
        inbox.notifyOne()
    }

    // MARK: The thread

    private func run() {
        var backlog: [PendingWrite] = []
        var next = 0
        var inLog: OpenBatch?
        while true {
            let mayDraw = next == backlog.count
            let work = wait(mayDraw: mayDraw, isReady: !mayDraw && !order.batch.isFull)
            if mayDraw {
                backlog = work.writes
                next = 0
            }
            if let event = work.event, let batch = inLog {
                inLog = nil
                if case .appended = event { order.recycle(log.takeSpare()) }
                inLog = conclude(batch, event)
            }
            if let synced = work.synced { settle(synced) }
            if work.isOver { return }
            let end = min(backlog.count, next + (inLog == nil ? Self.firstDraw : Self.busyDraw))
            let now = telemetry.time.monotonicNanoseconds()
            while next < end, !order.batch.isFull {
                draw(backlog[next], now)
                next += 1
            }
            if inLog == nil { inLog = isSmall(order.batch) ? storeHere() : send() }
        }
    }

    /// Whether the thread may stand still for the disk: nobody waits on its clock, and hardly anyone for the order.
    private func isSmall(_ batch: OpenBatch) -> Bool {
        options.durability == .sync && batch.writes.count <= Self.fewWrites && !published.hasWaiters
            && inbox.withLock { $0.arrived.count <= Self.fewWrites }
    }

    /// Ends a batch that came back from the log; what is in the log now.
    private func conclude(_ batch: OpenBatch, _ event: CommitLog.Event) -> OpenBatch? {
        var batch = batch
        batch.storedNanoseconds = telemetry.time.monotonicNanoseconds()
        switch event {
        case .failed(let error):
            refuse(batch, error)
            return nil
        case .appended: break
        case .synced, .syncFailed: preconditionFailure("these are no events of a batch")
        }
        guard order.batch.bytes.isEmpty else {
            // The disk works on while the answers go out.
            let next = send()
            publish(batch)
            return next
        }
        publish(batch)
        return send()
    }

    /// Waits until there is something to do.
    private func wait(mayDraw: Bool, isReady: Bool) -> Work {
        func look(_ inbox: inout Inbox) -> Work? {
            let isOver = inbox.isClosing && inbox.operations == 0 && inbox.event == nil
            guard
                isReady || inbox.isWoken || inbox.event != nil || inbox.synced != nil || (mayDraw && !inbox.arrived.isEmpty)
                    || isOver
            else { return nil }
            var work = Work(event: inbox.event, synced: inbox.synced, isOver: isOver)
            inbox.event = nil
            inbox.synced = nil
            inbox.isWoken = false
            if mayDraw { swap(&work.writes, &inbox.arrived) }
            return work
        }
        while true {
            guard let milliseconds = published.expireWaiters() else { return inbox.wait(look) }
            if let work = inbox.wait(milliseconds: milliseconds, look) { return work }
        }
    }

    private func draw(_ write: PendingWrite, _ nowNanoseconds: UInt64) {
        if let refusal = stopped.withLock({ $0 }) ?? write.call.refusal(atNanoseconds: nowNanoseconds) {
            write.fail(refusal)
            release(CollectionOfOne(write))
            return
        }
        guard !order.order(write) else { return }
        write.attempts += 1
        metrics.stale.add()
        options.execute { [self] in prepareAgain(write) }
    }

    private func prepareAgain(_ write: PendingWrite) {
        do throws(ThemisError) {
            if var idempotency = write.idempotency {
                let results = try prepare.lookUp(&idempotency)
                write.idempotency = idempotency
                if let results {
                    write.results = results
                    write.isReplay = true
                    write.succeed(durable: options.durability == .sync)
                    release(CollectionOfOne(write))
                    return
                }
            }
            try prepare.base(write, order.history)
            resubmit(write)
        } catch {
            write.fail(error.with(outcome: .notCommitted))
            release(CollectionOfOne(write))
        }
    }

    /// Hands the open batch to the log. Nil when there was nothing to write.
    private func send() -> OpenBatch? {
        guard var batch = seal() else { return nil }
        log.append(batch.bytes, last: batch.end.sequence, isDurable: batch.isDurable)
        batch.bytes = WriteBatch()
        return batch
    }

    /// Stores the open batch without the log's thread; what is in the log then.
    private func storeHere() -> OpenBatch? {
        guard var batch = seal() else { return nil }
        let event = log.appendHere(&batch.bytes, isDurable: batch.isDurable)
        if case .appended = event { order.recycle(batch.bytes) }
        batch.bytes = WriteBatch()
        return conclude(batch, event)
    }

    /// The open batch, ready for the log. Nil when there is nothing to write; then it is published at once.
    private func seal() -> OpenBatch? {
        guard !order.batch.isEmpty else { return nil }
        var batch = order.seal()
        guard !batch.bytes.isEmpty else {
            publish(batch)
            return nil
        }
        published.announce(ordered: batch.end.sequence)
        metrics.records.observe(Double(batch.records.count))
        batch.sentNanoseconds = telemetry.time.monotonicNanoseconds()
        return batch
    }

    private func publish(_ batch: OpenBatch) {
        let isDurable = options.durability == .sync
        published.publish(batch, isDurable: isDurable)
        if batch.sentNanoseconds != 0, batch.isDurable {
            metrics.seconds.observe(Double(batch.storedNanoseconds - batch.sentNanoseconds) / 1e9)
        }
        // The feed before the writers: who has an answer finds its change.
        published.notify()
        options.answerBatch {
            for write in batch.writes {
                if write.call.span != nil { write.record(batch, isDurable: isDurable) }
                answer(write, isDurable)
            }
        }
        release(batch.writes)
    }

    private func answer(_ write: PendingWrite, _ isDurable: Bool) {
        write.succeed(durable: isDurable)
        guard !write.duplicates.isEmpty else { return }
        let duplicates = write.duplicates
        write.duplicates = []
        for duplicate in duplicates {
            duplicate.results = write.results
            duplicate.isReplay = true
            duplicate.succeed(durable: isDurable)
        }
        release(duplicates)
    }

    /// A batch is not in the engine, or nobody knows. What was ordered behind it goes with it.
    private func refuse(_ batch: OpenBatch, _ error: ThemisError) {
        let follower = order.seal()
        let isUnknown = !Self.isRefusal(error)
        if isUnknown { stop(error) }
        order.reset()
        published.announce(ordered: published.visibleSequence)
        let answer = isUnknown ? Self.unknown(error) : error.with(outcome: .notCommitted)
        for write in batch.writes where write.call.span != nil { write.record(batch, error: error) }
        fail(batch.writes, answer)
        fail(follower.writes, isUnknown ? Self.stoppedError : answer)
        telemetry.log.error("a batch of writes was refused", [(.error, error.code.word), (.count, String(batch.operations))])
    }

    private func fail(_ writes: [PendingWrite], _ error: ThemisError) {
        for write in writes {
            let duplicates = write.duplicates
            write.duplicates = []
            write.fail(error)
            for duplicate in duplicates { duplicate.fail(error) }
            release(duplicates)
        }
        release(writes)
    }

    private func settle(_ event: CommitLog.Event) {
        switch event {
        case .synced(let sequence):
            published.publish(durable: sequence)
            published.notify()
        case .syncFailed(let error): stop(error)
        case .appended, .failed: preconditionFailure("these are events of a batch")
        }
    }

    /// Ends the committer's service: only a new process can tell what is on disk. Writes that wait are answered when they are
    /// drawn.
    private func stop(_ error: ThemisError) {
        let isFirst = stopped.withLock { stopped in
            defer { stopped = stopped ?? Self.stoppedError }
            return stopped == nil
        }
        guard isFirst else { return }
        telemetry.log.error("a sync failed: the process must end and open its data again", [(.error, error.code.word)])
        published.endWaits(Self.stoppedError)
        options.onFatal(error)
    }

    /// Whether the engine says that it wrote nothing and can go on.
    private static func isRefusal(_ error: ThemisError) -> Bool {
        error.outcome == .notCommitted || [.diskFull, .storageReadOnly, .shuttingDown].contains(error.code)
    }

    private static func unknown(_ error: ThemisError) -> ThemisError {
        ThemisError(
            .commitUnknown, "the disk did not confirm the write; it may be found after the restart", outcome: .unknown,
            retryAfterSeconds: 1)
    }

    private static var stoppedError: ThemisError {
        ThemisError(
            .shuttingDown, "a sync failed; the process ends and opens its data again", outcome: .notCommitted,
            retryAfterSeconds: 1)
    }
}
