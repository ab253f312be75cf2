import Synchronization
import ThemisBase
import ThemisStorage

/// The last stage: what readers, the feed and waiting writers may know. Written by the committer's thread, read by any.
///
/// Two positions: `visibleSequence` is what a read of the engine surely sees, `durableSequence` what the feed shows. They are
/// equal unless durability is relaxed. A snapshot of the engine may be newer than both for a moment: its own sequence is read
/// from it.
final class PublishStage: Sendable {
    /// What else becomes known with a batch.
    struct State: Sendable {
        var end: LogEnd
        var idempotency: IdempotencyUsage
    }

    private struct Waiter {
        let sequence: SequenceNumber
        let deadlineNanoseconds: UInt64
        let body: @Sendable (ThemisError?) -> Void
    }

    private struct Audience {
        var nextToken: UInt64 = 1
        var listeners: [UInt64: @Sendable (SequenceNumber) -> Void] = [:]
        var waiters: [Waiter] = []
    }

    let ring: FeedRing
    let cache: EntityCache
    /// For those who read the newest state.
    let shared = SharedSnapshot()
    let epochs: [Epoch]
    private let mark: DurableMark?
    private let time: any TimeSource
    private let state: Mutex<State>
    private let tables: Mutex<TableCatalog>
    private let visible: Atomic<UInt64>
    private let durable: Atomic<UInt64>
    private let ordered: Atomic<UInt64>
    private let oldest: Atomic<UInt64>
    private let timestamp: Atomic<Int64>
    private let audience = Mutex(Audience())
    private let waiterCount = Atomic<Int>(0)

    init(_ opened: OpenedState, _ options: DatabaseOptions, time: any TimeSource) {
        mark = options.durableMark
        ring = FeedRing(behind: opened.end, capacityBytes: options.feedRingBytes)
        cache = EntityCache(capacityBytes: options.entityCacheBytes)
        epochs = opened.epochs
        self.time = time
        state = Mutex(State(end: opened.end, idempotency: opened.idempotency))
        tables = Mutex(opened.catalog)
        visible = Atomic(opened.end.sequence)
        durable = Atomic(opened.end.sequence)
        ordered = Atomic(opened.end.sequence)
        oldest = Atomic(opened.oldest)
        timestamp = Atomic(opened.end.timestamp)
    }

    /// What a read that begins now surely sees.
    var visibleSequence: SequenceNumber { visible.load(ordering: .acquiring) }
    /// The newest record that the feed shows.
    var durableSequence: SequenceNumber { durable.load(ordering: .acquiring) }
    /// The newest sequence given; a snapshot's sequence is never above it.
    var orderedSequence: SequenceNumber { ordered.load(ordering: .acquiring) }
    /// The oldest record kept.
    var oldestSequence: SequenceNumber { oldest.load(ordering: .acquiring) }
    /// The current epoch.
    var epoch: Epoch { epochs[epochs.count - 1] }
    /// Tables that readers know.
    var catalog: TableCatalog { tables.withLock { $0 } }
    /// The end of the log and what else the order stage must know after a refused batch.
    var current: State { state.withLock { $0 } }

    func table(_ name: TableName) -> Table? { tables.withLock { $0.byName[name.text] } }

    /// The database's clock in milliseconds since 1970: the wall clock, but never before a commit.
    func now() -> Int64 { max(timestamp.load(ordering: .relaxed), time.wallMilliseconds()) }

    /// Before a batch leaves for the log.
    func announce(ordered sequence: SequenceNumber) { ordered.store(sequence, ordering: .releasing) }

    /// Records below `sequence` are not to be read any more.
    func raise(oldest sequence: SequenceNumber) { oldest.store(sequence, ordering: .releasing) }

    /// Makes a batch known that the engine has. The feed shows it when it is durable.
    func publish(_ batch: OpenBatch, isDurable: Bool) {
        // First of all: who learns of the batch must find it.
        shared.end()
        // The ring and the tables come before the position that leads to them.
        ring.append(batch.records)
        for change in batch.changed { cache.conclude(change.key, change.value) }
        for count in batch.counts {
            count.table.counters.entities.store(count.entities, ordering: .relaxed)
            count.table.counters.bytes.store(count.bytes, ordering: .relaxed)
        }
        for count in batch.indexCounts { count.index.counters.set(count.state) }
        if let catalog = batch.catalog { tables.withLock { $0 = catalog } }
        state.withLock { $0 = State(end: batch.end, idempotency: batch.idempotency) }
        timestamp.store(batch.end.timestamp, ordering: .relaxed)
        visible.store(batch.end.sequence, ordering: .releasing)
        if isDurable { publish(durable: batch.end.sequence) }
    }

    /// Makes known that everything up to `sequence` is on disk.
    func publish(durable sequence: SequenceNumber) {
        durable.store(sequence, ordering: .releasing)
        mark?.note(epoch: epoch.number, sequence: sequence)
    }

    /// Tells listeners and waiters what the newest positions are.
    func notify() {
        let durable = durableSequence
        let visible = visibleSequence
        let (listeners, reached) = audience.withLock { audience in
            let reached = audience.waiters.filter { $0.sequence <= visible }
            if !reached.isEmpty { audience.waiters.removeAll { $0.sequence <= visible } }
            waiterCount.store(audience.waiters.count, ordering: .relaxed)
            return (Array(audience.listeners.values), reached)
        }
        for listener in listeners { listener(durable) }
        for waiter in reached { waiter.body(nil) }
    }

    func listen(_ body: @escaping @Sendable (SequenceNumber) -> Void) -> UInt64 {
        audience.withLock { audience in
            let token = audience.nextToken
            audience.nextToken += 1
            audience.listeners[token] = body
            return token
        }
    }

    func silence(_ token: UInt64) { audience.withLock { $0.listeners[token] = nil } }

    /// Calls `body` once: when `sequence` is visible (nil), or when the deadline passed.
    func wait(for sequence: SequenceNumber, deadlineNanoseconds: UInt64, _ body: @escaping @Sendable (ThemisError?) -> Void) {
        let isReached = audience.withLock { audience in
            // Looked at under the lock: `notify` comes after the position and takes the same lock.
            guard visibleSequence < sequence else { return true }
            audience.waiters.append(Waiter(sequence: sequence, deadlineNanoseconds: deadlineNanoseconds, body: body))
            waiterCount.store(audience.waiters.count, ordering: .relaxed)
            return false
        }
        if isReached { body(nil) }
    }

    /// Whether somebody waits for a sequence.
    var hasWaiters: Bool { waiterCount.load(ordering: .relaxed) > 0 }

    /// Ends waits whose deadline has passed; the milliseconds until the next one, nil when nobody waits with a deadline.
    func expireWaiters() -> Int64? {
        guard waiterCount.load(ordering: .relaxed) > 0 else { return nil }
        let now = time.monotonicNanoseconds()
        let (late, next) = audience.withLock { audience in
            let late = audience.waiters.filter { $0.deadlineNanoseconds <= now }
            if !late.isEmpty { audience.waiters.removeAll { $0.deadlineNanoseconds <= now } }
            waiterCount.store(audience.waiters.count, ordering: .relaxed)
            return (late, audience.waiters.lazy.map(\.deadlineNanoseconds).min())
        }
        for waiter in late { waiter.body(ThemisError(.deadlineExceeded, "the sequence was not reached before the deadline")) }
        guard let next, next != .max else { return nil }
        return Int64(clamping: (next - now) / 1_000_000 + 1)
    }

    /// Ends every wait.
    func endWaits(_ error: ThemisError) {
        let waiters = audience.withLock { audience in
            defer { audience.waiters = [] }
            audience.listeners = [:]
            return audience.waiters
        }
        for waiter in waiters { waiter.body(error) }
    }
}
