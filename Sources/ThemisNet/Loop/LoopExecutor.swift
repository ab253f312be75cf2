import CEvent
import CLinux
import Glibc
import Synchronization
import ThemisBase

/// What the loop can be asked to run.
private enum LoopWork {
    case job(UnownedJob)
    case call(@NetLoop () -> Void)
}

/// Runs once before the loop blocks again: a connection with unsent bytes, a feed with new events.
public protocol TurnEnding: AnyObject {
    /// Called once for each registration by `NetLoop.atEndOfTurn`.
    @NetLoop func endOfTurn()
}

/// The one loop of the process: libevent's base, and the executor of every job isolated to `NetLoop`.
///
/// The same object is serial and task executor: a task that prefers it resumes on the loop thread directly, without a detour
/// through the global pool (measured: a quarter of the cost).
///
/// Proof of `@unchecked Sendable`: `inbox`, `isSignalled` and `isStopping` are synchronised; every other stored property is
/// touched only by the thread that runs the loop, which `isOnLoop` tells from thread-local storage and `enqueue` checks.
@safe final class LoopExecutor: SerialExecutor, TaskExecutor, @unchecked Sendable {
    static let shared = LoopExecutor()

    /// libevent's base. Made once, never freed: watchers may outlive a run of the loop.
    let base: OpaquePointer

    private let wakeDescriptor: Int32
    private let inbox = Mutex<[LoopWork]>([])
    private let isSignalled = Atomic<Bool>(false)
    private let isStopping = Atomic<Bool>(false)
    private let isRunning = Atomic<Bool>(false)

    private var ready: [LoopWork] = []
    private var dirty: [any TurnEnding] = []
    private var pressingDirty: [any TurnEnding] = []
    private var turnCalls: [@NetLoop () -> Void] = []
    private var graveyard: [AnyObject] = []
    /// Descriptors and timers served since `endTurn`.
    private var served = 0

    private init() {
        let configuration = unsafe event_config_new()
        // The coarse clock would round timers to about 4 ms.
        unsafe event_config_set_flag(configuration, Int32(EVENT_BASE_FLAG_PRECISE_TIMER.rawValue))
        guard let base = unsafe event_base_new_with_config(configuration) else {
            preconditionFailure("the event loop cannot start: no epoll descriptor; raise the limit of open files")
        }
        unsafe event_config_free(configuration)
        unsafe self.base = unsafe base
        wakeDescriptor = themis_eventfd()
        precondition(wakeDescriptor >= 0, "the event loop cannot start: no eventfd; raise the limit of open files")
        // Without an argument: the callback needs only the one shared loop.
        let wake = unsafe event_new(
            base, wakeDescriptor, Int16(EV_READ | EV_PERSIST), { _, _, _ in LoopExecutor.shared.takeInbox() }, nil)
        precondition(unsafe event_add(wake, nil) == 0, "the event loop cannot watch its own eventfd")
    }

    /// Whether the calling thread runs the loop.
    static var isOnLoop: Bool { unsafe themis_current_loop() != nil }

    // MARK: Executor

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        if Self.isOnLoop { ready.append(.job(job)) } else { submit(.job(job)) }
    }

    func checkIsolated() { precondition(Self.isOnLoop, "this runs on the loop thread only") }

    func isIsolatingCurrentContext() -> Bool? { Self.isOnLoop }

    func post(_ call: @escaping @Sendable @NetLoop () -> Void) {
        if Self.isOnLoop { ready.append(.call(call)) } else { submit(.call(call)) }
    }

    private func submit(_ work: LoopWork) {
        inbox.withLock { $0.append(work) }
        guard !isSignalled.exchange(true, ordering: .acquiringAndReleasing) else { return }
        var one: UInt64 = 1
        _ = unsafe write(wakeDescriptor, &one, 8)
    }

    /// Moves what other threads submitted to the queue of this turn.
    private func takeInbox() {
        var count: UInt64 = 0
        _ = unsafe read(wakeDescriptor, &count, 8)
        // Cleared before the inbox is taken: whoever appends after the taking sees it cleared and wakes again.
        isSignalled.store(false, ordering: .sequentiallyConsistent)
        var taken: [LoopWork] = []
        inbox.withLock { swap(&$0, &taken) }
        ready.append(contentsOf: taken)
    }

    // MARK: Running

    /// Runs on the calling thread until `stop`.
    func run(_ setup: @NetLoop () throws -> Void) throws {
        precondition(!isRunning.exchange(true, ordering: .acquiringAndReleasing), "one loop a process: it runs already")
        unsafe themis_set_current_loop(Unmanaged.passUnretained(self).toOpaque())
        defer {
            themis_set_current_loop(nil)
            isRunning.store(false, ordering: .releasing)
        }
        // A peer that closes while we write must be an error of that write, not the end of the process.
        signal(SIGPIPE, SIG_IGN)
        DescriptorLimit.raise()
        isStopping.store(false, ordering: .releasing)
        try NetLoop.assumeIsolated(setup)
        NetLoop.assumeIsolated { endTurn() }
        while !isStopping.load(ordering: .acquiring) {
            let isIdle = ready.isEmpty && dirty.isEmpty && pressingDirty.isEmpty && turnCalls.isEmpty
            let flags = isIdle ? EVLOOP_ONCE : EVLOOP_ONCE | EVLOOP_NONBLOCK
            unsafe event_base_loop(base, flags)
            NetLoop.assumeIsolated {
                // After a busy turn more are ready than it saw: libevent asks the kernel for some at a time, the oldest first.
                if served >= Self.servedOfBusyTurn { ReadingSet.pressing.dispatch() }
                endTurn()
            }
        }
    }

    func stop() {
        isStopping.store(true, ordering: .releasing)
        // Wakes the loop; the call itself has nothing to do.
        post {}
    }

    /// Descriptors or timers were served, and nothing of them is under way any more.
    ///
    /// Thousands may be ready at once. What presses does not wait for all of them, and what was caused so far is done and sent before more
    /// is begun.
    @NetLoop func countServed(_ count: Int = 1) {
        served += count
        guard served >= Self.servedOfOneTurn else { return }
        ReadingSet.pressing.dispatch()
        endTurn()
    }

    @NetLoop private func endTurn() {
        served = 0
        runReady()
        flush()
        // Emptied last: nothing of this turn may still hold an unretained pointer to a buried object.
        if !graveyard.isEmpty {
            let buried = graveyard
            graveyard.removeAll(keepingCapacity: true)
            _ = buried
        }
    }

    @NetLoop private func runReady() {
        let serial = unsafe asUnownedSerialExecutor()
        let task = unsafe asUnownedTaskExecutor()
        var index = 0
        // Work may add work; the bound lets descriptors and timers have their turn.
        while index < ready.count, index < Self.workOfOneTurn {
            switch ready[index] {
            case .job(let job): unsafe job.runSynchronously(isolatedTo: serial, taskExecutor: task)
            case .call(let call): call()
            }
            index += 1
        }
        ready.removeFirst(index)
    }

    @NetLoop private func flush() {
        // Calls first: they tend to produce bytes that the connections then send in the same turn.
        if !turnCalls.isEmpty {
            let calls = turnCalls
            turnCalls.removeAll(keepingCapacity: true)
            for call in calls { call() }
        }
        flushPressing()
        var index = 0
        while index < dirty.count {
            let object = dirty[index]
            object.endOfTurn()
            index += 1
            guard index % Self.flushedAtOnce == 0 else { continue }
            // Thousands of answers take as long as thousands of requests.
            ReadingSet.pressing.dispatch()
            flushPressing()
        }
        dirty.removeAll(keepingCapacity: true)
    }

    @NetLoop private func flushPressing() {
        guard !pressingDirty.isEmpty else { return }
        var index = 0
        while index < pressingDirty.count {
            pressingDirty[index].endOfTurn()
            index += 1
        }
        pressingDirty.removeAll(keepingCapacity: true)
    }

    private static let workOfOneTurn = 10_000
    /// A millisecond or two of requests: the batches for the core are large enough, and what thousands of connections need at once stays in
    /// the processor's caches: answers, and their buffers in the kernel.
    static let servedOfOneTurn = 128
    private static let servedOfBusyTurn = 32
    /// Half a millisecond of answers.
    private static let flushedAtOnce = 64

    @NetLoop func later(_ call: @escaping @NetLoop () -> Void) { ready.append(.call(call)) }

    @NetLoop func atEndOfTurn(_ object: any TurnEnding, isPressing: Bool) {
        if isPressing { pressingDirty.append(object) } else { dirty.append(object) }
    }

    @NetLoop func atEndOfTurn(_ call: @escaping @NetLoop () -> Void) { turnCalls.append(call) }

    @NetLoop func bury(_ object: AnyObject) { graveyard.append(object) }
}
