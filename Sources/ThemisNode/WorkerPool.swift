import Synchronization
import ThemisBase
import ThemisTelemetry

/// The threads on which the core works: everything that parses, waits for the disk or scans. The loop only frames.
///
/// Any thread may submit. Bounded: a full lane is an answer (`overloaded`), never a wait without end.
final class WorkerPool: Sendable {
    typealias Work = @Sendable () -> Void

    /// What waits for what.
    enum Lane: Int, CaseIterable {
        /// Questions of operators and of health: behind nothing but themselves.
        case control
        /// Work of microseconds, and what prepares a write.
        case quick
        /// Work that may take a millisecond or more. One thread is kept free of it, where there are two.
        case heavy
    }

    private struct Queue {
        private var waiting: [Work?] = []
        private var next = 0

        var count: Int { waiting.count - next }

        mutating func add(_ work: @escaping Work) { waiting.append(work) }

        mutating func take() -> Work? {
            guard next < waiting.count else { return nil }
            let work = waiting[next].take()
            next += 1
            if next == waiting.count {
                waiting.removeAll(keepingCapacity: true)
                next = 0
            } else if next > 4_096 {
                waiting.removeFirst(next)
                next = 0
            }
            return work
        }
    }

    private struct State {
        var control = Queue()
        var quick = Queue()
        var heavy = Queue()
        var isStopping = false
        var running = 0
        var runningHeavy = 0
        var sleeping = 0
        /// Quick pieces that were taken while heavy ones waited.
        var passed = 0
        let heavyLimit: Int

        var queued: Int { control.count + quick.count + heavy.count }

        mutating func add(_ lane: Lane, _ work: @escaping Work, capacity: Int) -> Bool {
            guard !isStopping else { return false }
            switch lane {
            case .control where control.count < capacity: control.add(work)
            case .quick where quick.count < capacity: quick.add(work)
            case .heavy where heavy.count < capacity: heavy.add(work)
            default: return false
            }
            return true
        }

        /// The next piece, and whether it is a heavy one.
        mutating func take() -> (work: Work, isHeavy: Bool)? {
            if let work = control.take() { return (work, false) }
            let mayBeHeavy = heavy.count > 0 && runningHeavy < heavyLimit
            if quick.count > 0, !mayBeHeavy || passed < WorkerPool.quickBeforeHeavy {
                passed = mayBeHeavy ? passed + 1 : 0
                return quick.take().map { ($0, false) }
            }
            passed = 0
            return mayBeHeavy ? heavy.take().map { ($0, true) } : nil
        }
    }

    /// Where both wait, so many quick pieces are taken for one heavy one.
    private static let quickBeforeHeavy = 32

    private let monitor: Monitor<State>
    private let capacity: Int
    private let threads: Mutex<[WorkThread]>

    /// Starts `threads` threads; at most `capacity` pieces of work wait in each lane.
    init(threads count: Int, capacity: Int) {
        monitor = Monitor(State(heavyLimit: max(1, count - 1)))
        self.capacity = capacity
        threads = Mutex([])
        for index in 0..<max(1, count) {
            let thread = WorkThread(name: "worker-\(index)") { [monitor] in Self.work(monitor) }
            threads.withLock { $0.append(thread) }
        }
    }

    /// Queues `work`; false when the lane is full or the pool stops, and then it never runs.
    ///
    /// - Parameter isBounded: false for the rest of something that was admitted before, which its own bounds hold.
    func submit(_ lane: Lane = .quick, isBounded: Bool = true, _ work: @escaping Work) -> Bool {
        let (isTaken, wakes) = monitor.withLock { state in
            guard state.add(lane, work, capacity: isBounded ? capacity : .max) else { return (false, false) }
            return (true, state.sleeping > 0)
        }
        if wakes { monitor.notifyOne() }
        return isTaken
    }

    /// Queues several pieces with one visit and one wake-up; how many of the first were taken. The rest never runs.
    func submit(contentsOf pieces: [(lane: Lane, work: Work)]) -> Int {
        let (taken, wakes) = monitor.withLock { state in
            var taken = 0
            while taken < pieces.count, state.add(pieces[taken].lane, pieces[taken].work, capacity: capacity) { taken += 1 }
            return (taken, min(taken, state.sleeping))
        }
        if wakes > 1 { monitor.notifyAll() } else if wakes == 1 { monitor.notifyOne() }
        return taken
    }

    /// How many pieces of work wait.
    var queued: Int { monitor.withLock { $0.queued } }

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
        var wasHeavy = false
        while true {
            var wasSleeping = false
            let piece: (work: Work, isHeavy: Bool)?? = monitor.wait { state in
                if wasSleeping { state.sleeping -= 1 }
                if wasRunning { state.running -= 1 }
                if wasHeavy { state.runningHeavy -= 1 }
                (wasSleeping, wasRunning, wasHeavy) = (false, false, false)
                if let piece = state.take() {
                    state.running += 1
                    if piece.isHeavy { state.runningHeavy += 1 }
                    return .some(piece)
                }
                // A heavy piece that must wait for another one is taken by the thread that ends that.
                if state.isStopping { return .some(nil) }
                state.sleeping += 1
                wasSleeping = true
                return nil
            }
            guard case .some(let piece?) = piece else { return }
            (wasRunning, wasHeavy) = (true, piece.isHeavy)
            piece.work()
        }
    }
}
