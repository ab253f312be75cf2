import Synchronization
import ThemisBase
import ThemisTelemetry

/// Reports of a job that works. Any thread.
public final class JobProgress: Sendable {
    private let counts = Mutex<(done: UInt64, total: UInt64)>((0, 0))
    private let description = Mutex<String?>(nil)
    /// Set when the job must stop.
    public let cancellation = CancellationFlag()

    /// Says how far the work is.
    public func report(done: UInt64, total: UInt64) { counts.withLock { $0 = (done, total) } }

    /// Says what the work is about by now: its result, at the end.
    public func describe(_ text: String) { description.withLock { $0 = text } }

    /// What was said last; nil when nothing was.
    var text: String? { description.withLock { $0 } }

    /// What was reported last.
    var value: (done: UInt64, total: UInt64) { counts.withLock { $0 } }
}

/// The jobs of one database: those that work, each on a thread of its own, and the last that ended. Any thread.
final class JobBoard: Sendable {
    /// Jobs that work at once; others wait in their order.
    private static let working = 2
    /// Ended jobs that are remembered.
    private static let remembered = 100

    private struct Entry {
        var job: Job
        let progress: JobProgress
        let work: @Sendable (JobProgress) throws(ThemisError) -> Void
        var isStarted = false
        var thread: WorkThread?
    }

    private struct State {
        var entries: [Entry] = []
        var isClosing = false
    }

    private let telemetry: Telemetry
    private let state = Monitor(State())

    init(_ telemetry: Telemetry) { self.telemetry = telemetry }

    /// Puts a job on the board.
    ///
    /// - Throws: `shutting_down`.
    func start(
        _ job: Job, _ work: @escaping @Sendable (JobProgress) throws(ThemisError) -> Void
    ) throws(ThemisError) {
        let progress = JobProgress()
        progress.report(done: job.done, total: job.total)
        let ended: [WorkThread]? = state.withLock { state in
            guard !state.isClosing else { return nil }
            state.entries.append(Entry(job: job, progress: progress, work: work))
            return Self.forgetOldest(&state)
        }
        guard let ended else { throw ThemisError(.shuttingDown, "the database is closing", retryAfterSeconds: 1) }
        for thread in ended { thread.join() }
        telemetry.log.info("job started", [(.job, job.id), (.detail, job.kind)])
        startWaiting()
    }

    /// Puts a job on the board that ended before the database was opened.
    func recall(_ job: Job) {
        state.withLock { state in
            state.entries.append(Entry(job: job, progress: JobProgress(), work: { _ in }, isStarted: true))
            _ = Self.forgetOldest(&state)
        }
    }

    /// Newest first.
    var jobs: [Job] { state.withLock { $0.entries.reversed().map(Self.current) } }

    func job(_ id: String) -> Job? { state.withLock { $0.entries.first { $0.job.id == id }.map(Self.current) } }

    /// Asks a job to stop; nil when there is none.
    func cancel(_ id: String) -> Job? {
        let job: Job? = state.withLock { state in
            guard let index = state.entries.firstIndex(where: { $0.job.id == id }) else { return nil }
            state.entries[index].progress.cancellation.cancel()
            return Self.current(state.entries[index])
        }
        return job
    }

    /// Stops every job and waits for their threads. What can be resumed goes on after the next open.
    func close() {
        let threads = state.withLock { state in
            state.isClosing = true
            for entry in state.entries { entry.progress.cancellation.cancel() }
            let threads = state.entries.compactMap(\.thread)
            for index in state.entries.indices { state.entries[index].thread = nil }
            return threads
        }
        for thread in threads { thread.join() }
    }

    /// Whether the board closes: a job that stops now was not cancelled.
    var isClosing: Bool { state.withLock { $0.isClosing } }

    private static func current(_ entry: Entry) -> Job {
        var job = entry.job
        if job.state == .running { (job.done, job.total) = entry.progress.value }
        if let text = entry.progress.text { job.detail = text }
        return job
    }

    private func startWaiting() {
        state.withLock { state in
            guard !state.isClosing else { return }
            var free = Self.working - state.entries.count { $0.isStarted && $0.job.state == .running }
            for index in state.entries.indices where free > 0 && !state.entries[index].isStarted {
                free -= 1
                state.entries[index].isStarted = true
                let entry = state.entries[index]
                state.entries[index].thread = WorkThread(name: "themis-job") { [self] in
                    run(entry.job.id, entry.progress, entry.work)
                }
            }
        }
    }

    private func run(_ id: String, _ progress: JobProgress, _ work: @Sendable (JobProgress) throws(ThemisError) -> Void) {
        var failure: ThemisError?
        do throws(ThemisError) {
            try work(progress)
        } catch {
            failure = error
        }
        let error = failure
        let ended = telemetry.time.wallMilliseconds()
        let state: JobState =
            if error?.code == .cancelled || (error == nil && progress.cancellation.isCancelled) {
                .cancelled
            } else {
                error == nil ? .done : .failed
            }
        self.state.withLock { board in
            guard let index = board.entries.firstIndex(where: { $0.job.id == id }) else { return }
            board.entries[index].job = Self.current(board.entries[index])
            board.entries[index].job.state = state
            board.entries[index].job.error = state == .failed ? error : nil
            board.entries[index].job.endedMilliseconds = ended
        }
        telemetry.log.info("job ended", [(.job, id), (.status, "\(state)"), (.count, String(progress.value.done))])
        startWaiting()
    }

    /// Removes what is too much of the ended jobs; their threads, which have all but ended, are to be joined.
    private static func forgetOldest(_ state: inout State) -> [WorkThread] {
        let ended = state.entries.indices.filter { state.entries[$0].job.state != .running }
        return ended.prefix(max(0, ended.count - remembered)).reversed().compactMap { state.entries.remove(at: $0).thread }
    }
}
