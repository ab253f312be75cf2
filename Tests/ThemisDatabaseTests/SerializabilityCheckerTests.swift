import Testing
import ThemisBase
import ThemisTestKit

/// The checker itself, on histories of which the answer is known.
@Suite struct SerializabilityCheckerTests {
    typealias Recorded = RecordedTransaction

    private func first(_ history: [Recorded], final: [String: [Int]]? = nil) -> String {
        let complaints = SerializabilityChecker.complaints(history, final: final)
        return complaints.first.map { String($0.prefix { $0 != ":" }) } ?? "good"
    }

    @Test func `transactions that ran one after another are good`() {
        let history = [
            Recorded("a", [.read("x", []), .append("x", 1), .read("x", [1])], began: 1, ended: 2),
            Recorded("b", [.read("x", [1]), .append("x", 2), .append("y", 3)], began: 3, ended: 4),
            Recorded("c", [.read("y", [3]), .read("x", [1, 2])], began: 5, ended: 6),
        ]
        #expect(first(history, final: ["x": [1, 2], "y": [3]]) == "good")
    }

    @Test func `transactions at once are good in whatever order they fit`() {
        let history = [
            Recorded("late", [.read("x", [1]), .append("y", 2)], began: 1, ended: 9),
            Recorded("early", [.append("x", 1), .read("y", [])], began: 2, ended: 8),
        ]
        #expect(first(history, final: ["x": [1], "y": [2]]) == "good")
    }

    @Test func `a lost update is found`() {
        let history = [Recorded("a", [.read("x", []), .append("x", 1)]), Recorded("b", [.read("x", []), .append("x", 2)])]
        #expect(first(history, final: ["x": [1, 2]]) == "G-single")
        #expect(first(history, final: ["x": [2]]) == "lost")
    }

    @Test func `write skew is found`() {
        let history = [Recorded("a", [.read("x", []), .append("y", 1)]), Recorded("b", [.read("y", []), .append("x", 2)])]
        #expect(first(history, final: ["x": [2], "y": [1]]) == "G2")
    }

    @Test func `a read of what did not commit is found (G1a)`() {
        let history = [Recorded("a", [.append("x", 1)], .aborted), Recorded("b", [.read("x", [1])])]
        #expect(first(history) == "G1a")
        #expect(first([history[0]], final: ["x": [1]]) == "G1a")
    }

    @Test func `a read of half a transaction is found (G1b)`() {
        let history = [Recorded("a", [.append("x", 1), .append("x", 2)]), Recorded("b", [.read("x", [1])])]
        #expect(first(history, final: ["x": [1, 2]]) == "G1b")
        #expect(first([history[0], Recorded("c", [.append("x", 3)])], final: ["x": [1, 3, 2]]) == "G1b")
    }

    @Test func `a circle of reads is found (G1c)`() {
        let history = [Recorded("a", [.append("x", 1), .read("y", [2])]), Recorded("b", [.append("y", 2), .read("x", [1])])]
        #expect(first(history) == "G1c")
    }

    @Test func `a circle of writes is found (G0)`() {
        let history = [
            Recorded("a", [.append("x", 1), .append("y", 2)]), Recorded("b", [.append("x", 3), .append("y", 4)]),
        ]
        #expect(first(history, final: ["x": [1, 3], "y": [4, 2]]) == "G0")
    }

    @Test func `a read that sees one write of a transaction and not the other is found`() {
        let history = [
            Recorded("a", [.append("x", 1), .append("y", 2)]), Recorded("b", [.read("x", [1]), .read("y", [])]),
        ]
        #expect(first(history, final: ["x": [1], "y": [2]]) == "G-single")
    }

    @Test func `lists that contradict each other, repeat or invent something are found`() {
        let writers = [Recorded("a", [.append("x", 1)]), Recorded("b", [.append("x", 2)])]
        #expect(first(writers + [Recorded("c", [.read("x", [1])]), Recorded("d", [.read("x", [2, 1])])]) == "orders")
        #expect(first(writers + [Recorded("c", [.read("x", [1, 1])])]) == "duplicate")
        #expect(first(writers + [Recorded("c", [.read("x", [7])])]) == "garbage")
        #expect(first([Recorded("a", [.append("x", 1), .read("x", [])])]) == "own writes")
    }

    @Test func `a stale read after the writer had ended is found`() {
        let writer = Recorded("a", [.append("x", 1)], began: 1, ended: 2)
        #expect(first([writer, Recorded("b", [.read("x", [])], began: 3, ended: 4)], final: ["x": [1]]) == "time")
        #expect(first([writer, Recorded("b", [.read("x", [])], began: 2, ended: 4)], final: ["x": [1]]) == "good")
    }

    @Test func `one of which nobody heard may have committed or not, but not half`() {
        let silent = Recorded("a", [.append("x", 1), .append("y", 2)], .unknown)
        #expect(first([silent], final: ["x": [], "y": []]) == "good")
        #expect(first([silent], final: ["x": [1], "y": [2]]) == "good")
        #expect(first([silent], final: ["x": [1], "y": []]) == "lost")
        #expect(first([silent, Recorded("b", [.read("x", [1]), .read("y", [])])], final: ["x": [1], "y": [2]]) == "G-single")
    }

    /// Runs random transactions on a model, at most three at once; each reads the state of its beginning.
    private func simulate(
        _ seed: UInt64, validates: (_ reads: Set<String>, _ writes: Set<String>, _ changed: Set<String>) -> Bool
    )
        -> (history: [Recorded], final: [String: [Int]])
    {
        struct Running {
            var recorded: Recorded
            var state: [String: [Int]]
            var changed: Set<String> = []
        }
        var random = SeededRandom(seed: seed)
        var state: [String: [Int]] = ["x": [], "y": [], "z": []]
        var running: [Running] = []
        var history: [Recorded] = []
        for time in 0..<1_500 {
            if running.count < 3 {
                running.append(Running(recorded: Recorded("t\(time)", [], began: 2 * time), state: state))
            }
            let place = Int.random(in: running.indices, using: &random)
            if running[place].recorded.operations.count < 3 {
                let key = ["x", "y", "z"].randomElement(using: &random)!
                if Bool.random(using: &random) {
                    running[place].recorded.operations.append(.read(key, running[place].state[key]!))
                } else {
                    running[place].recorded.operations.append(.append(key, time))
                    running[place].state[key]!.append(time)
                }
                continue
            }
            var done = running.remove(at: place)
            done.recorded.ended = 2 * time + 1
            var (reads, writes): (Set<String>, Set<String>) = ([], [])
            for operation in done.recorded.operations {
                switch operation {
                case .read(let key, _): reads.insert(key)
                case .append(let key, _): writes.insert(key)
                }
            }
            if validates(reads, writes, done.changed) {
                for key in writes { state[key] = done.state[key] }
                for other in running.indices { running[other].changed.formUnion(writes) }
            } else {
                done.recorded.outcome = .aborted
            }
            history.append(done.recorded)
        }
        return (history, state)
    }

    @Test(arguments: 0..<20)
    func `random transactions that are validated are good, and those that are not are bad`(round: Int) {
        let seed = Seed.current() &+ UInt64(round)
        let good = simulate(seed) { reads, writes, changed in writes.isEmpty || changed.isDisjoint(with: reads.union(writes)) }
        #expect(SerializabilityChecker.complaints(good.history, final: good.final) == [], "seed \(seed)")
        let careless = simulate(seed) { _, _, _ in true }
        #expect(!SerializabilityChecker.complaints(careless.history, final: careless.final).isEmpty, "seed \(seed)")
        let skewed = simulate(seed) { _, writes, changed in changed.isDisjoint(with: writes) }
        let found = SerializabilityChecker.complaints(skewed.history, final: skewed.final)
        #expect(
            found.first.map { $0.hasPrefix("G2") || $0.hasPrefix("G-single") || $0.hasPrefix("time") } == true, "seed \(seed): \(found)")
    }
}
