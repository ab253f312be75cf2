import Synchronization
public import ThemisBase

/// Decides which requests of a process are recorded, and keeps their finished spans until they are taken. Any thread.
///
/// While recording is off, and for a request that is not sampled, it costs one or two loads and no memory.
public final class SpanRecorder: Sendable {
    private struct Queue {
        var spans: [[UInt8]] = []
        var next = 0
        var bytes = 0
    }

    /// How a ratio becomes a bound of trace ids.
    private static let ratioBits: UInt64 = 56

    let time: any TimeSource
    private let clock: SpanClock
    private let isOn = Atomic<Bool>(false)
    /// Traces whose lowest bits are below it are sampled.
    private let sampledBelow = Atomic<UInt64>(0)
    /// Of SplitMix64, which needs no lock: each number comes from a state of its own.
    private let seed: Atomic<UInt64>
    private let queue = Mutex(Queue())
    private let entered: Counter
    private let passed: Counter
    private let droppedFull: Counter
    private let droppedLost: Counter
    private let waiting: Gauge

    /// A recorder that is off.
    ///
    /// - Parameter seed: of span and trace ids; nil takes one from the system.
    public init(metrics: MetricRegistry, time: any TimeSource, seed: UInt64? = nil) {
        self.time = time
        clock = SpanClock(time)
        self.seed = Atomic(seed ?? Digest.random(8).reduce(0) { $0 << 8 | UInt64($1) })
        entered = metrics.counter(.spansEntered, "process")
        passed = metrics.counter(.spansPassed, "process")
        droppedFull = metrics.counter(.spansDropped, "process", "full")
        droppedLost = metrics.counter(.spansDropped, "process", "core_lost")
        waiting = metrics.gauge(.spansWaiting, "process")
    }

    /// Whether any request is recorded.
    public var isEnabled: Bool { isOn.load(ordering: .relaxed) }

    /// Turns recording on or off from now on.
    ///
    /// - Parameter ratio: of the requests whose caller did not decide, 0–1.
    public func configure(isEnabled: Bool, ratio: Double) {
        let bound = Double(1 << Self.ratioBits)
        sampledBelow.store(UInt64(max(0, min(bound, ratio * bound))), ordering: .relaxed)
        isOn.store(isEnabled, ordering: .relaxed)
    }

    // MARK: Beginning

    /// Begins the span of a request that enters the set here. Nil when it is not recorded.
    ///
    /// - Parameters:
    ///   - caller: the position that the request came with: its flag decides. Without one, chance does.
    ///   - atNanoseconds: when it began, by the monotonic clock.
    public func enter(
        _ name: String, caller: Traceparent?, traceState: String = "", atNanoseconds: UInt64
    ) -> ActiveSpan? {
        guard isEnabled else { return nil }
        if let caller {
            guard caller.isSampled else { return nil }
            return begin(name, under: caller, .server, isRemote: true, traceState, atNanoseconds)
        }
        let low = random()
        guard low & (1 << Self.ratioBits - 1) < sampledBelow.load(ordering: .relaxed) else { return nil }
        guard let context = Traceparent(traceHigh: random(), traceLow: low | (low == 0 ? 1 : 0), span: randomID(), isSampled: true)
        else { return nil }
        return ActiveSpan(self, context, parent: 0, isRemote: false, .server, name, traceState, atNanoseconds)
    }

    /// Begins a span under one whose request was sampled where it entered. Nil when recording is off, or `parent` is not sampled.
    public func `continue`(
        _ name: String, under parent: Traceparent, _ kind: SpanKind, isRemote: Bool, atNanoseconds: UInt64? = nil
    ) -> ActiveSpan? {
        guard parent.isSampled, isEnabled else { return nil }
        return begin(name, under: parent, kind, isRemote: isRemote, "", atNanoseconds ?? time.monotonicNanoseconds())
    }

    func begin(
        _ name: String, under parent: Traceparent, _ kind: SpanKind, isRemote: Bool, _ traceState: String, _ atNanoseconds: UInt64
    ) -> ActiveSpan {
        ActiveSpan(self, parent.with(span: randomID()), parent: parent.span, isRemote: isRemote, kind, name, traceState, atNanoseconds)
    }

    private func random() -> UInt64 {
        let state = seed.wrappingAdd(SeededRandom.increment, ordering: .relaxed).oldValue
        var random = SeededRandom(seed: state)
        return random.next()
    }

    private func randomID() -> UInt64 {
        let id = random()
        return id == 0 ? 1 : id
    }

    // MARK: Finished spans

    /// Nanoseconds since 1970 at a moment of the monotonic clock.
    func unixNanoseconds(_ monotonicNanoseconds: UInt64) -> UInt64 { clock.unixNanoseconds(monotonicNanoseconds) }

    /// Keeps a finished span. Above `Limits.spansWaiting` it is dropped and counted.
    func finish(_ span: Span) {
        let bytes = span.encoded()
        entered.add()
        let isTaken = queue.withLock { queue in
            let count = queue.spans.count - queue.next
            guard count < Limits.spansWaiting, queue.bytes + bytes.count <= Limits.spansWaitingBytes else { return false }
            queue.spans.append(bytes)
            queue.bytes += bytes.count
            waiting.set(Double(count + 1))
            return true
        }
        if !isTaken { droppedFull.add() }
    }

    /// Spans that wait to be taken.
    public var waitingCount: Int { queue.withLock { $0.spans.count - $0.next } }

    /// Takes the oldest spans: at most `limit` of them and `maxBytes`. Until `settle` they count as waiting.
    public func take(limit: Int, maxBytes: Int) -> SpanBatch {
        queue.withLock { queue in
            var batch = SpanBatch()
            while batch.count < limit, queue.next < queue.spans.count {
                let span = queue.spans[queue.next]
                guard batch.bytes.count + span.count + 3 <= maxBytes else { break }
                batch.append(span)
                queue.spans[queue.next] = []
                queue.bytes -= span.count
                queue.next += 1
            }
            if queue.next == queue.spans.count || queue.next >= 1_024 {
                queue.spans.removeFirst(queue.next)
                queue.next = 0
            }
            return batch
        }
    }

    /// Says what became of taken spans: they were handed on, or nobody knows.
    public func settle(_ batch: SpanBatch, isPassed: Bool) {
        (isPassed ? passed : droppedLost).add(UInt64(batch.count))
        queue.withLock { waiting.set(Double($0.spans.count - $0.next)) }
    }
}

/// The wall clock at moments of the monotonic one. Any thread.
///
/// Both clocks are the machine's: processes that compare them at different times agree within the slew of the wall clock, so that a
/// child does not begin before its parent.
final class SpanClock: Sendable {
    private static let checkNanoseconds: UInt64 = 10_000_000_000
    private static let attempts = 4
    /// Both clocks read within this time belong together.
    private static let closeNanoseconds: UInt64 = 2_000

    private let time: any TimeSource
    private let offset = Atomic<Int64>(0)
    private let checkAt = Atomic<UInt64>(0)

    init(_ time: any TimeSource) { self.time = time }

    func unixNanoseconds(_ monotonic: UInt64) -> UInt64 {
        let now = time.monotonicNanoseconds()
        if now >= checkAt.load(ordering: .relaxed) {
            checkAt.store(now + Self.checkNanoseconds, ordering: .relaxed)
            offset.store(compare(), ordering: .relaxed)
        }
        return UInt64(max(0, Int64(clamping: monotonic) + offset.load(ordering: .relaxed)))
    }

    /// The wall clock less the monotonic one; of several looks the one that was interrupted least.
    private func compare() -> Int64 {
        var best: (spread: UInt64, offset: Int64) = (.max, 0)
        for _ in 0..<Self.attempts where best.spread > Self.closeNanoseconds {
            let before = time.monotonicNanoseconds()
            let wall = time.wallNanoseconds()
            let spread = time.monotonicNanoseconds() - before
            if spread < best.spread { best = (spread, wall - Int64(clamping: before + spread / 2)) }
        }
        return best.offset
    }
}
