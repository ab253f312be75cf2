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
}
