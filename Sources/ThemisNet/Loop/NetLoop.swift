import Synchronization

/// The loop of the process as an isolation domain: what is marked `@NetLoop` runs on the loop thread, without locks.
///
/// A task that awaits on the loop must be started by `NetLoop.spawn`: only that gives it the executor preference without which
/// every resumption takes a detour through the global pool. Nothing on the loop may block.
@globalActor public actor NetLoop {
    /// The one loop.
    public static let shared = NetLoop()

    /// The loop thread.
    public nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe LoopExecutor.shared.asUnownedSerialExecutor() }

    /// Whether the calling thread runs the loop.
    public nonisolated static var isOnLoop: Bool { LoopExecutor.isOnLoop }

    /// Runs `body` here and now. The caller is on the loop thread in code that the compiler does not know to be isolated, such as
    /// a C callback; anything else is a bug and traps.
    public nonisolated static func assumeIsolated<Result: Sendable>(_ body: @NetLoop () throws -> Result) rethrows -> Result {
        LoopExecutor.shared.checkIsolated()
        return try withoutActuallyEscaping(body) { isolated in
            // The two function types differ only in isolation, which was checked above.
            try unsafe unsafeBitCast(isolated, to: (() throws -> Result).self)()
        }
    }

    /// Starts a task on the loop. Any thread. The task and its children resume on the loop thread.
    @discardableResult
    public nonisolated static func spawn(_ body: @escaping @Sendable @NetLoop () async -> Void) -> Task<Void, Never> {
        Task(executorPreference: LoopExecutor.shared, operation: body)
    }

    /// Runs `body` on the loop, in the order of the calls of one thread. Any thread; many posts cost one wake-up.
    public nonisolated static func post(_ body: @escaping @Sendable @NetLoop () -> Void) { LoopExecutor.shared.post(body) }

    /// Runs `body` after what is being done now has returned, before the loop blocks again.
    @NetLoop public static func later(_ body: @escaping @NetLoop () -> Void) { LoopExecutor.shared.later(body) }

    /// Calls `object.endOfTurn()` once before the loop blocks again, ahead of others when it `isPressing`. The caller registers an object
    /// once, by a flag of its own.
    @NetLoop public static func atEndOfTurn(_ object: any TurnEnding, isPressing: Bool = false) {
        LoopExecutor.shared.atEndOfTurn(object, isPressing: isPressing)
    }

    /// Calls `body` once before the loop blocks again, before the objects registered for the end of the turn.
    @NetLoop public static func atEndOfTurn(_ body: @escaping @NetLoop () -> Void) { LoopExecutor.shared.atEndOfTurn(body) }

    /// Keeps `object` alive until the end of this turn: whatever was called with an unretained pointer to it may still return
    /// through it.
    @NetLoop public static func bury(_ object: AnyObject) { LoopExecutor.shared.bury(object) }

    /// Suspends for `milliseconds`, at least one.
    ///
    /// - Throws: `CancellationError` as soon as the task is cancelled.
    @NetLoop public static func sleep(milliseconds: Int) async throws {
        try Task.checkCancellation()
        let sleeper = Sleeper()
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { sleeper.start($0, milliseconds: max(1, milliseconds)) }
        } onCancel: {
            NetLoop.post { sleeper.finish(throwing: CancellationError()) }
        }
    }
}

/// One waiting `NetLoop.sleep`.
@NetLoop private final class Sleeper {
    private var continuation: CheckedContinuation<Void, any Error>?
    private var timer: LoopTimer?
    private var isCancelled = false

    func start(_ continuation: CheckedContinuation<Void, any Error>, milliseconds: Int) {
        guard !isCancelled else { return continuation.resume(throwing: CancellationError()) }
        self.continuation = continuation
        let timer = LoopTimer { [weak self] in self?.finish(throwing: nil) }
        timer.schedule(milliseconds: milliseconds)
        self.timer = timer
    }

    func finish(throwing error: (any Error)?) {
        isCancelled = error != nil
        guard let waiting = continuation else { return }
        continuation = nil
        timer = nil
        if let error { waiting.resume(throwing: error) } else { waiting.resume() }
    }
}

/// Runs the loop of the process.
public enum EventLoop {
    /// Runs `setup` and then the loop on the calling thread, until `stop`. One loop a process; it may run again after it has
    /// stopped.
    ///
    /// Ignores SIGPIPE and raises the soft limit of open files to the hard one.
    ///
    /// - Throws: what `setup` throws; the loop has not run then.
    public static func run(_ setup: @NetLoop () throws -> Void) throws { try LoopExecutor.shared.run(setup) }

    /// Makes `run` return after the current turn. Any thread.
    public static func stop() { LoopExecutor.shared.stop() }
}
