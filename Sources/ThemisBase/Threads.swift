import CCrypto
import Glibc

/// A value that threads wait on: a mutex, a condition and what they protect.
///
/// Any thread. Nothing that could lock again may be called inside `withLock`.
@safe public final class Monitor<State>: @unchecked Sendable {
    // Proof of Sendable: `state` is touched only while `mutex` is held; the two pthread objects never move, they live in their own memory.
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>
    private let condition: UnsafeMutablePointer<pthread_cond_t>
    private var state: State

    /// Protects `state`.
    public init(_ state: sending State) {
        unsafe mutex = .allocate(capacity: 1)
        unsafe condition = .allocate(capacity: 1)
        self.state = state
        var attributes = pthread_condattr_t()
        unsafe pthread_condattr_init(&attributes)
        // Waits are bounded by a clock that never leaps.
        unsafe pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        unsafe pthread_mutex_init(mutex, nil)
        unsafe pthread_cond_init(condition, &attributes)
        unsafe pthread_condattr_destroy(&attributes)
    }

    deinit {
        unsafe pthread_cond_destroy(condition)
        unsafe pthread_mutex_destroy(mutex)
        unsafe condition.deallocate()
        unsafe mutex.deallocate()
    }

    /// Runs `body` alone.
    public func withLock<Result>(_ body: (inout State) -> Result) -> Result {
        unsafe pthread_mutex_lock(mutex)
        defer { unsafe pthread_mutex_unlock(mutex) }
        return body(&state)
    }

    /// Waits until `body` gives a value. It runs alone, first at once and then after each `notify`.
    public func wait<Result>(_ body: (inout State) -> Result?) -> Result {
        unsafe pthread_mutex_lock(mutex)
        defer { unsafe pthread_mutex_unlock(mutex) }
        while true {
            if let result = body(&state) { return result }
            unsafe pthread_cond_wait(condition, mutex)
        }
    }

    /// Waits until `body` gives a value, at most `milliseconds`; nil when the time is over.
    public func wait<Result>(milliseconds: Int64, _ body: (inout State) -> Result?) -> Result? {
        var end = timespec()
        unsafe clock_gettime(CLOCK_MONOTONIC, &end)
        let nanoseconds = Int64(end.tv_nsec) + (milliseconds % 1_000) * 1_000_000
        end.tv_sec += Int(milliseconds / 1_000 + nanoseconds / 1_000_000_000)
        end.tv_nsec = Int(nanoseconds % 1_000_000_000)
        unsafe pthread_mutex_lock(mutex)
        defer { unsafe pthread_mutex_unlock(mutex) }
        while true {
            if let result = body(&state) { return result }
            if unsafe pthread_cond_timedwait(condition, mutex, &end) == ETIMEDOUT { return body(&state) }
        }
    }

    /// Wakes one waiter.
    public func notifyOne() { unsafe pthread_cond_signal(condition) }

    /// Wakes every waiter.
    public func notifyAll() { unsafe pthread_cond_broadcast(condition) }
}

/// A thread that is joined by its owner.
public final class WorkThread: @unchecked Sendable {
    // Proof of Sendable: `thread` is written once before `start` returns; only `join` reads it.
    private var thread = pthread_t()

    private final class Start {
        let name: String
        let body: @Sendable () -> Void
        init(name: String, body: @escaping @Sendable () -> Void) {
            self.name = name
            self.body = body
        }
    }

    /// Starts a thread named `name` (15 bytes are shown by the system) that runs `body`.
    ///
    /// A machine that cannot start a thread cannot serve: the process ends with a message.
    public init(name: String, _ body: @escaping @Sendable () -> Void) {
        let start = unsafe Unmanaged.passRetained(Start(name: name, body: body)).toOpaque()
        let status = unsafe pthread_create(
            &thread, nil,
            { argument in
                let start = unsafe Unmanaged<Start>.fromOpaque(argument!).takeRetainedValue()
                var name = Array(start.name.utf8.prefix(15)).map { CChar(bitPattern: $0) }
                name.append(0)
                unsafe themis_name_thread(name)
                start.body()
                return nil
            }, start)
        precondition(status == 0, "the system refuses to start a thread (errno \(status)): raise the limit of tasks")
    }

    /// Waits until the thread ends. Once only.
    public func join() { pthread_join(thread, nil) }
}
