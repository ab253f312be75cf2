/// Finds what cannot have happened if transactions ran one after another, each between its beginning and its end.
///
/// The lists give for each key the order of its writers. From it follow the dependencies between transactions: `ww` (its append
/// stands behind the other's), `wr` (it read what the other appended), `rw` (the other appended behind what it read), `time` (it
/// began when the other had ended). A cycle of them has no order (Adya 1999; Kingsbury and Alvaro, Elle, 2020).
public struct SerializabilityChecker {
    /// Why one transaction stands before another.
    enum Dependency: String { case ww, wr, rw, time }

    private struct Edge {
        let to: Int
        let kind: Dependency
    }

    private struct Writer {
        let transaction: Int
        /// Appends of the same transaction to the same key that follow.
        var followers = 0
    }

    private var history: [RecordedTransaction]
    private var complaints: [String] = []
    private var writers: [String: [Int: Writer]] = [:]
    /// For each key the longest list that anyone saw.
    private var orders: [String: [Int]] = [:]
    private var edges: [[Edge]]

    /// Everything that is wrong with `history`, in words; empty when it is serializable.
    ///
    /// - Parameter final: what every key holds after all of it; nil when nobody looked.
    public static func complaints(_ history: [RecordedTransaction], final: [String: [Int]]? = nil) -> [String] {
        var checker = SerializabilityChecker(history)
        checker.check(final)
        return checker.complaints
    }

    private init(_ history: [RecordedTransaction]) {
        self.history = history
        edges = Array(repeating: [], count: history.count)
    }

    private mutating func check(_ final: [String: [Int]]?) {
        noteWriters()
        let reads = externalReads()
        for (key, list) in final ?? [:] { see(key, list, by: "the end") }
        for read in reads { see(read.key, read.list, by: history[read.transaction].name) }
        guard complaints.isEmpty else { return }
        decideUnknown()
        if let final { checkNothingIsLost(final) }
        for read in reads where history[read.transaction].outcome == .committed { connect(read) }
        for (key, order) in orders { connectWriters(key, order) }
        connectTimes()
        findCycle()
    }

    // MARK: Lists

    private mutating func noteWriters() {
        for (index, transaction) in history.enumerated() {
            for case .append(let key, let value) in transaction.operations {
                for (other, writer) in writers[key] ?? [:] where writer.transaction == index {
                    writers[key]?[other]?.followers += 1
                }
                if writers[key, default: [:]].updateValue(Writer(transaction: index), forKey: value) != nil {
                    complaints.append("the history appends \(value) to \(key) twice")
                }
            }
        }
    }

    private struct Read {
        let transaction: Int
        let key: String
        /// Without what the transaction appended itself.
        let list: [Int]
    }

    /// What each transaction read of others.
    private mutating func externalReads() -> [Read] {
        var reads: [Read] = []
        for (index, transaction) in history.enumerated() where transaction.outcome != .aborted {
            var own: [String: [Int]] = [:]
            for operation in transaction.operations {
                switch operation {
                case .append(let key, let value): own[key, default: []].append(value)
                case .read(let key, let list):
                    let mine = own[key] ?? []
                    guard list.suffix(mine.count).elementsEqual(mine) else {
                        complaints.append("own writes: \(transaction.name) appended \(mine) to \(key) and read \(list)")
                        continue
                    }
                    reads.append(Read(transaction: index, key: key, list: list.dropLast(mine.count)))
                }
            }
        }
        return reads
    }

    /// Takes a list as evidence of the order of a key's writers.
    private mutating func see(_ key: String, _ list: [Int], by reader: String) {
        if Set(list).count != list.count { complaints.append("duplicate: \(reader) read \(list) of \(key)") }
        for (place, value) in list.enumerated() {
            guard let writer = writers[key]?[value] else {
                complaints.append("garbage: \(reader) read \(value) of \(key), which nobody appended")
                continue
            }
            let transaction = history[writer.transaction]
            if transaction.outcome == .aborted {
                complaints.append("G1a: \(reader) read \(value) of \(key), appended by \(transaction.name), which did not commit")
            }
            let rest = list[(place + 1)...].prefix(writer.followers)
            if rest.count < writer.followers || !rest.allSatisfy({ writers[key]?[$0]?.transaction == writer.transaction }) {
                complaints.append("G1b: \(reader) read \(list) of \(key), a part of what \(transaction.name) appended")
            }
        }
        let known = orders[key] ?? []
        let (short, long) = list.count < known.count ? (list, known) : (known, list)
        if !long.starts(with: short) { complaints.append("orders: \(key) was \(known), and \(reader) read \(list)") }
        orders[key] = long
    }

    /// A transaction of which nobody heard has committed if someone saw what it wrote.
    private mutating func decideUnknown() {
        for (key, order) in orders {
            for value in order {
                if let index = writers[key]?[value]?.transaction, history[index].outcome == .unknown {
                    history[index].outcome = .committed
                }
            }
        }
    }

    private mutating func checkNothingIsLost(_ final: [String: [Int]]) {
        for transaction in history where transaction.outcome == .committed {
            for case .append(let key, let value) in transaction.operations where final[key]?.contains(value) != true {
                complaints.append("lost: \(transaction.name) committed \(value) to \(key), which is \(final[key] ?? [])")
            }
        }
    }

    // MARK: Dependencies

    private mutating func add(_ from: Int?, _ to: Int?, _ kind: Dependency) {
        guard let from, let to, from != to else { return }
        edges[from].append(Edge(to: to, kind: kind))
    }

    private mutating func connect(_ read: Read) {
        let order = orders[read.key] ?? []
        if let last = read.list.last { add(writers[read.key]?[last]?.transaction, read.transaction, .wr) }
        if order.count > read.list.count {
            add(read.transaction, writers[read.key]?[order[read.list.count]]?.transaction, .rw)
        }
    }

    private mutating func connectWriters(_ key: String, _ order: [Int]) {
        for (first, second) in zip(order, order.dropFirst()) {
            add(writers[key]?[first]?.transaction, writers[key]?[second]?.transaction, .ww)
        }
    }

    /// Edges from those that had ended last when a transaction began; the others follow from them.
    private mutating func connectTimes() {
        let committed = history.indices.filter { history[$0].outcome == .committed }
        var events: [(time: Int, isBegin: Bool, index: Int)] = []
        for index in committed {
            events.append((history[index].began, true, index))
            if history[index].ended != .max { events.append((history[index].ended, false, index)) }
        }
        // At the same time both are at once: beginnings first.
        events.sort { ($0.time, $0.isBegin ? 0 : 1) < ($1.time, $1.isBegin ? 0 : 1) }
        var frontier: Set<Int> = []
        var before: [Int: Set<Int>] = [:]
        for event in events {
            if event.isBegin {
                before[event.index] = frontier
                for earlier in frontier { add(earlier, event.index, .time) }
            } else {
                frontier.subtract(before[event.index] ?? [])
                frontier.insert(event.index)
            }
        }
    }

    // MARK: Cycles

    /// Complains about the shortest cycle of the gravest kind.
    private mutating func findCycle() {
        let kinds: [(String, Set<Dependency>)] = [
            ("G0", [.ww]), ("G1c", [.ww, .wr]), ("G2", [.ww, .wr, .rw]), ("time", [.ww, .wr, .rw, .time]),
        ]
        for (name, allowed) in kinds {
            guard let cycle = shortestCycle(allowed) else { continue }
            let isSingle = name == "G2" && cycle.count(where: { $0.kind == .rw }) == 1
            let steps = cycle.map { "\(history[$0.from].name) -\($0.kind.rawValue)→" }.joined(separator: " ")
            complaints.append("\(isSingle ? "G-single" : name): \(steps) \(history[cycle[0].from].name)")
            return
        }
    }

    private func shortestCycle(_ allowed: Set<Dependency>) -> [(from: Int, kind: Dependency)]? {
        var best: [(from: Int, kind: Dependency)]?
        for start in candidates(allowed) {
            guard let cycle = cycle(through: start, allowed), cycle.count < best?.count ?? .max else { continue }
            best = cycle
            if cycle.count == 2 { break }
        }
        return best
    }

    /// Transactions that can stand in a cycle: what is left when those without a predecessor are taken away, again and again.
    private func candidates(_ allowed: Set<Dependency>) -> [Int] {
        var incoming = Array(repeating: 0, count: history.count)
        for edge in edges.joined() where allowed.contains(edge.kind) { incoming[edge.to] += 1 }
        var free = history.indices.filter { incoming[$0] == 0 }
        var isFree = Array(repeating: false, count: history.count)
        while let next = free.popLast() {
            isFree[next] = true
            for edge in edges[next] where allowed.contains(edge.kind) {
                incoming[edge.to] -= 1
                if incoming[edge.to] == 0 { free.append(edge.to) }
            }
        }
        return history.indices.filter { !isFree[$0] }
    }

    private func cycle(through start: Int, _ allowed: Set<Dependency>) -> [(from: Int, kind: Dependency)]? {
        var reached: [Int: (from: Int, kind: Dependency)] = [:]
        var queue = [start]
        var place = 0
        while place < queue.count {
            let node = queue[place]
            place += 1
            for edge in edges[node] where allowed.contains(edge.kind) && reached[edge.to] == nil {
                reached[edge.to] = (node, edge.kind)
                if edge.to != start {
                    queue.append(edge.to)
                    continue
                }
                var steps: [(from: Int, kind: Dependency)] = []
                var current = start
                repeat {
                    guard let step = reached[current] else { return nil }
                    steps.append(step)
                    current = step.from
                } while current != start
                return steps.reversed()
            }
        }
        return nil
    }
}
