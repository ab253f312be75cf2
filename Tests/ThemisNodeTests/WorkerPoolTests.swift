import Testing
import ThemisBase

@testable import ThemisNode

@Suite struct WorkerPoolTests {
    @Test func `what is accepted runs once, what is refused never`() {
        let pool = WorkerPool(threads: 3, capacity: 10_000)
        let runs = Monitor([Int](repeating: 0, count: 6_000))
        for index in 0..<6_000 {
            let isTaken = pool.submit { runs.withLock { $0[index] += 1 } }
            #expect(isTaken)
        }
        pool.stop()
        #expect(runs.withLock { $0.allSatisfy { $0 == 1 } })
        let isTaken = pool.submit { runs.withLock { $0[0] += 1 } }
        #expect(!isTaken)
        #expect(runs.withLock { $0[0] } == 1)
    }

    @Test func `a full queue refuses, and takes again when a thread is free`() {
        let pool = WorkerPool(threads: 1, capacity: 2)
        let gate = Monitor((isOpen: false, isReached: false, runs: 0))
        _ = pool.submit {
            gate.withLock { $0.isReached = true }
            gate.notifyAll()
            gate.wait { $0.isOpen ? () : nil }
        }
        gate.wait { $0.isReached ? () : nil }
        #expect(pool.running == 1)
        let answers = (0..<4).map { _ in
            pool.submit {
                gate.withLock { $0.runs += 1 }
                gate.notifyAll()
            }
        }
        #expect(answers == [true, true, false, false])
        #expect(pool.queued == 2)
        gate.withLock { $0.isOpen = true }
        gate.notifyAll()
        gate.wait { $0.runs == 2 ? () : nil }
        let isTaken = pool.submit {
            gate.withLock { $0.runs += 1 }
            gate.notifyAll()
        }
        #expect(isTaken)
        pool.stop()
        #expect(gate.withLock { $0.runs } == 3)
    }

    @Test func `an idle pool wakes for every piece, whoever submits it`() {
        let pool = WorkerPool(threads: 2, capacity: 100)
        let done = Monitor(0)
        for round in 1...2_000 {
            _ = pool.submit {
                done.withLock { $0 += 1 }
                done.notifyAll()
            }
            done.wait { $0 == round ? () : nil }
        }
        pool.stop()
        #expect(done.withLock { $0 } == 2_000)
    }

    /// Keeps one thread busy until it is opened.
    private final class Blocker: Sendable {
        private let state = Monitor((isReached: false, isOpen: false))

        func work() {
            state.withLock { $0.isReached = true }
            state.notifyAll()
            state.wait { $0.isOpen ? () : nil }
        }

        func awaitReached() { state.wait { $0.isReached ? () : nil } }

        func open() {
            state.withLock { $0.isOpen = true }
            state.notifyAll()
        }
    }

    @Test func `heavy work leaves a thread free for other work`() {
        let pool = WorkerPool(threads: 2, capacity: 100)
        let first = Blocker()
        let second = Blocker()
        _ = pool.submit(.heavy) { first.work() }
        _ = pool.submit(.heavy) { second.work() }
        first.awaitReached()
        let quick = Blocker()
        quick.open()
        _ = pool.submit(.quick) { quick.work() }
        quick.awaitReached()
        #expect(pool.queued == 1)
        first.open()
        second.awaitReached()
        second.open()
        pool.stop()
    }

    @Test func `control work comes first, and heavy work has its turn behind a stream of quick work`() {
        let pool = WorkerPool(threads: 1, capacity: 1_000)
        let blocker = Blocker()
        let order = Monitor<[String]>([])
        _ = pool.submit { blocker.work() }
        blocker.awaitReached()
        let names = ["heavy"] + (0..<200).map { "quick \($0)" } + ["control"]
        let pieces = names.map { name in
            let lane: WorkerPool.Lane = name == "heavy" ? .heavy : name == "control" ? .control : .quick
            return (lane: lane, work: { @Sendable in order.withLock { $0.append(name) } } as WorkerPool.Work)
        }
        #expect(pool.submit(contentsOf: pieces) == names.count)
        blocker.open()
        pool.stop()
        let done = order.withLock { $0 }
        #expect(done.first == "control" && done.count == names.count)
        #expect((done.firstIndex(of: "heavy") ?? .max) < 50)
    }

    @Test func `of several pieces a full lane takes the first ones`() {
        let pool = WorkerPool(threads: 1, capacity: 3)
        let blocker = Blocker()
        _ = pool.submit { blocker.work() }
        blocker.awaitReached()
        let runs = Monitor<[Int]>([])
        let pieces = (0..<5).map { number in
            (lane: WorkerPool.Lane.quick, work: { @Sendable in runs.withLock { $0.append(number) } } as WorkerPool.Work)
        }
        #expect(pool.submit(contentsOf: pieces) == 3)
        let isTaken = pool.submit(isBounded: false) { runs.withLock { $0.append(9) } }
        #expect(isTaken)
        blocker.open()
        pool.stop()
        #expect(runs.withLock { $0 } == [0, 1, 2, 9])
    }
}
