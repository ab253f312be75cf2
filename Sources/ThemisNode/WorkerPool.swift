import Synchronization
import ThemisBase
import ThemisTelemetry

/// The threads on which the core works: everything that parses, waits for the disk or scans. The loop only frames.
///
/// Any thread may submit. Bounded: a full queue is an answer (`overloaded`), never a wait without end.
final class WorkerPool: Sendable {
    private struct State {
        var waiting: [@Sendable () -> Void] = []
        var next = 0
        var isStopping = false
        var running = 0
        var sleeping = 0
    }

    private let monitor: Monitor<State>
    private let capacity: Int
    private let threads: Mutex<[WorkThread]>

    /// Starts `threads` threads; at most `capacity` pieces of work wait.
    init(threads count: Int, capacity: Int) {
        monitor = Monitor(State())
        self.capacity = capacity
        threads = Mutex([])
        for index in 0..<max(1, count) {
            let thread = WorkThread(name: "worker-\(index)") { [monitor] in Self.work(monitor) }
            threads.withLock { $0.append(thread) }
        }
    }

    /// Queues `body`; false when the queue is full or the pool stops, and then `body` never runs.
    func submit(_ body: @escaping @Sendable () -> Void) -> Bool {
        let (isTaken, wakes) = monitor.withLock { state in
            guard !state.isStopping, state.waiting.count - state.next < capacity else { return (false, false) }
            state.waiting.append(body)
            return (true, state.sleeping > 0)
        }
        if wakes { monitor.notifyOne() }
        return isTaken
    }

    /// How many pieces of work wait.
    var queued: Int { monitor.withLock { $0.waiting.count - $0.next } }

    /// How many pieces of work run.
    var running: Int { monitor.withLock { $0.running } }

    /// Runs what waits, then ends the threads.
    func stop() {
        monitor.withLock { $0.isStopping = true }
        monitor.notifyAll()
        let ending = threads.withLock { threads in
            defer { threads = [] }
            return threads
        }
        for thread in ending { thread.join() }
    }

    private static func work(_ monitor: Monitor<State>) {
        var wasRunning = false
        while true {
            var wasSleeping = false
            let body: (@Sendable () -> Void)? = monitor.wait { state in
                if wasSleeping {
                    state.sleeping -= 1
                    wasSleeping = false
                }
                if wasRunning {
                    state.running -= 1
                    wasRunning = false
                }
                if state.next < state.waiting.count {
                    let body = state.waiting[state.next]
                    state.waiting[state.next] = {}
                    state.next += 1
                    if state.next == state.waiting.count {
                        state.waiting.removeAll(keepingCapacity: true)
                        state.next = 0
                    } else if state.next > 4_096 {
                        state.waiting.removeFirst(state.next)
                        state.next = 0
                    }
                    state.running += 1
                    return .some(body)
                }
                if state.isStopping { return .some(nil) }
                state.sleeping += 1
                wasSleeping = true
                return nil
            }
            guard let body else { return }
            wasRunning = true
            body()
        }
    }
}
