import Synchronization

/// A number that only grows. Any thread, no lock.
public final class Counter: Sendable {
    private let storage = Atomic<UInt64>(0)
    init() {}

    /// Adds `amount`.
    public func add(_ amount: UInt64 = 1) { storage.wrappingAdd(amount, ordering: .relaxed) }
    /// Replaces the value by an absolute one that something else counts, such as the engine.
    public func set(_ total: UInt64) { storage.store(total, ordering: .relaxed) }
    /// What was counted.
    public var value: UInt64 { storage.load(ordering: .relaxed) }
}

/// A number that moves both ways. Any thread, no lock.
public final class Gauge: Sendable {
    private let storage = Atomic<UInt64>(0)
    init() {}

    /// Sets the value.
    public func set(_ value: Double) { storage.store(value.bitPattern, ordering: .relaxed) }
    /// The value.
    public var value: Double { Double(bitPattern: storage.load(ordering: .relaxed)) }

    /// Adds `amount`, which may be negative.
    public func add(_ amount: Double) {
        var seen = storage.load(ordering: .relaxed)
        while true {
            let next = (Double(bitPattern: seen) + amount).bitPattern
            let (exchanged, original) = storage.weakCompareExchange(expected: seen, desired: next, ordering: .relaxed)
            if exchanged { return }
            seen = original
        }
    }
}

/// Counts observations in buckets. Any thread; one short lock.
public final class Histogram: Sendable {
    struct State: Sendable {
        var counts: [UInt64]
        var sum: Double = 0
    }

    let bounds: [Double]
    private let state: Mutex<State>

    init(bounds: [Double]) {
        self.bounds = bounds
        state = Mutex(State(counts: Array(repeating: 0, count: bounds.count + 1)))
    }

    /// Counts `value` in the first bucket whose bound is not below it.
    public func observe(_ value: Double) {
        let index = bounds.firstIndex { value <= $0 } ?? bounds.count
        state.withLock {
            $0.counts[index] += 1
            $0.sum += value
        }
    }

    /// Counts per bucket (the last one has no bound; not cumulative) and the sum.
    public var value: (counts: [UInt64], sum: Double) { state.withLock { ($0.counts, $0.sum) } }
}
