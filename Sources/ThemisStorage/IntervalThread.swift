import Glibc
import Synchronization
import ThemisBase

/// A thread that runs a piece of work when it is woken, at most once per interval.
///
/// `@unchecked Sendable`: `lock` and `condition` are made for sharing; `thread` and the flags change only under `lock`.
@safe final class IntervalThread: @unchecked Sendable {
    private let lock: UnsafeMutablePointer<pthread_mutex_t>
    private let condition: UnsafeMutablePointer<pthread_cond_t>
    private let milliseconds: Int64
    private let time: any TimeSource
    private var thread: pthread_t?
    private var work: (@Sendable () -> Void)?
    private var isWoken = false
    private var isStopping = false

    /// The interval is measured by `time`, which must be the machine's: another one only makes the thread run at once.
    init(milliseconds: Int64, time: any TimeSource) {
        self.time = time
        self.milliseconds = milliseconds
        unsafe lock = .allocate(capacity: 1)
        unsafe condition = .allocate(capacity: 1)
        unsafe pthread_mutex_init(lock, nil)
        var attributes = pthread_condattr_t()
        unsafe pthread_condattr_init(&attributes)
        // The monotonic clock: a leap of the wall clock must not stop the thread.
        unsafe pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        unsafe pthread_cond_init(condition, &attributes)
        unsafe pthread_condattr_destroy(&attributes)
    }

    deinit {
        unsafe pthread_cond_destroy(condition)
        unsafe pthread_mutex_destroy(lock)
        unsafe condition.deallocate()
        unsafe lock.deallocate()
    }

    /// Starts the thread, which holds this object until `stop`.
    func start(_ work: @escaping @Sendable () -> Void) {
        self.work = work
        var made = pthread_t()
        let context = unsafe Unmanaged.passRetained(self)
        let result = unsafe pthread_create(
            &made, nil,
            { context in
                if let context = unsafe context {
                    unsafe Unmanaged<IntervalThread>.fromOpaque(context).takeRetainedValue().run()
                }
                return nil
            }, context.toOpaque())
        precondition(result == 0, "a process that cannot start its threads cannot run")
        locked { thread = made }
    }

    /// Asks for a run.
    func wake() {
        locked {
            guard !isWoken else { return }
            isWoken = true
            unsafe pthread_cond_signal(condition)
        }
    }

    /// Ends the thread and waits for it. Idempotent. Not from the thread itself.
    func stop() {
        let running = locked { () -> pthread_t? in
            defer { thread = nil }
            isStopping = true
            unsafe pthread_cond_signal(condition)
            return thread
        }
        if let running { pthread_join(running, nil) }
    }

    /// Lets the thread end without waiting for it: for a deinit, which may run on the thread itself.
    func abandon() {
        let running = locked { () -> pthread_t? in
            defer { thread = nil }
            isStopping = true
            unsafe pthread_cond_signal(condition)
            return thread
        }
        if let running { pthread_detach(running) }
    }

    private func run() {
        while waitForWake() {
            work?()
            guard waitForInterval() else { return }
        }
    }

    /// False when the thread must end.
    private func waitForWake() -> Bool {
        locked {
            while !isWoken, !isStopping { unsafe pthread_cond_wait(condition, lock) }
            isWoken = false
            return !isStopping
        }
    }

    private func waitForInterval() -> Bool {
        let end = time.monotonicNanoseconds() + UInt64(milliseconds) * 1_000_000
        var until = timespec(tv_sec: Int(end / 1_000_000_000), tv_nsec: Int(end % 1_000_000_000))
        return locked {
            while !isStopping, unsafe pthread_cond_timedwait(condition, lock, &until) == 0 {}
            return !isStopping
        }
    }

    private func locked<Result>(_ body: () -> Result) -> Result {
        unsafe pthread_mutex_lock(lock)
        defer { unsafe pthread_mutex_unlock(lock) }
        return body()
    }
}
