/// What waits to be sent to a collector, what is on its way, and when the next attempt is due.
///
/// No I/O and no clock of its own; times are milliseconds of the monotonic clock. Not thread-safe. At every moment
/// queued = sent + dropped + waiting.
struct Delivery<Payload: Sendable>: Sendable {
    /// Bounds.
    struct Options: Sendable {
        /// Items of one request; a parcel is not cut.
        var batchItems = 512
        /// How long the first item waits for more of its kind, in milliseconds.
        var lingerMilliseconds: Int64 = 1_000
        /// Items that may wait.
        var capacityItems: Int
        /// Bytes that may wait.
        var capacityBytes: Int
        /// Whether a full queue drops what is oldest: what comes later says the same, and more.
        var dropsOldest = false
        /// The pause before the first repetition, in milliseconds; doubles up to `longestPauseMilliseconds`, less up to half by chance.
        var firstPauseMilliseconds: Int64 = 1_000
        /// The longest pause, in milliseconds, unless the collector asks for more.
        var longestPauseMilliseconds: Int64 = 30_000
        /// How long a batch is repeated before it is given up, in milliseconds.
        var patienceMilliseconds: Int64 = 300_000
    }

    /// Items that came together.
    struct Parcel: Sendable {
        let payload: Payload
        let items: Int
        let bytes: Int
    }

    /// What one request carries.
    struct Batch: Sendable {
        fileprivate(set) var parcels: [Parcel] = []
        fileprivate(set) var items = 0
        fileprivate(set) var bytes = 0
        /// How often it was sent, this time included.
        fileprivate(set) var attempts = 0
        fileprivate var firstMilliseconds: Int64 = 0
        /// The encoded request, kept for repetitions.
        var body: [UInt8]?
    }

    /// What became of a request.
    enum Outcome: Sendable, Equatable {
        /// The collector took it, but refused so many items of it.
        case delivered(rejected: Int)
        /// It may be repeated: the collector is busy, or the connection was lost. It may say after how many milliseconds.
        case retry(afterMilliseconds: Int64?)
        /// Repeating would change nothing.
        case failed(DropReason)
    }

    private let options: Options
    private var queue: [(parcel: Parcel, atMilliseconds: Int64)] = []
    private var queuedItems = 0
    private var queuedBytes = 0
    private var current: Batch?
    private var isOnItsWay = false
    private var dueMilliseconds: Int64 = 0
    /// Items that came.
    private(set) var queued: UInt64 = 0
    /// Items that the collector took.
    private(set) var sent: UInt64 = 0
    /// Items that will not arrive, by reason.
    private(set) var dropped: [DropReason: UInt64] = [:]
    /// Requests that were sent again.
    private(set) var retries: UInt64 = 0
    /// Whether what waits is sent without waiting for more.
    var isHurried = false

    init(_ options: Options) { self.options = options }

    /// Items that wait or are on their way.
    var waiting: Int { queuedItems + (current?.items ?? 0) }

    /// Whether another parcel is welcome.
    var hasRoom: Bool { queuedItems < options.capacityItems && queuedBytes < options.capacityBytes }

    /// Takes a parcel; what there is no room for is dropped.
    mutating func add(_ parcel: Parcel, atMilliseconds now: Int64) {
        queued += UInt64(parcel.items)
        if options.dropsOldest {
            while !queue.isEmpty, !fits(parcel) { drop(remove(), .full) }
        }
        guard fits(parcel) else { return drop(parcel, .full) }
        queue.append((parcel, now))
        queuedItems += parcel.items
        queuedBytes += parcel.bytes
    }

    /// Counts items that came and cannot be sent.
    mutating func addDamaged(_ items: Int) {
        queued += UInt64(items)
        dropped[.damaged, default: 0] += UInt64(items)
    }

    private func fits(_ parcel: Parcel) -> Bool {
        queue.isEmpty
            || queuedItems + parcel.items <= options.capacityItems && queuedBytes + parcel.bytes <= options.capacityBytes
    }

    private mutating func remove() -> Parcel {
        let parcel = queue.removeFirst().parcel
        queuedItems -= parcel.items
        queuedBytes -= parcel.bytes
        return parcel
    }

    private mutating func drop(_ parcel: Parcel, _ reason: DropReason) { dropped[reason, default: 0] += UInt64(parcel.items) }

    /// When something is to be sent; nil while a request is on its way, and when nothing waits.
    func due(atMilliseconds now: Int64) -> Int64? {
        if isOnItsWay { return nil }
        if current != nil { return isHurried ? now : dueMilliseconds }
        guard let first = queue.first else { return nil }
        return isHurried || queuedItems >= options.batchItems ? now : first.atMilliseconds + options.lingerMilliseconds
    }

    /// The batch that is due. `conclude` must follow.
    mutating func take(atMilliseconds now: Int64) -> Batch? {
        guard let due = due(atMilliseconds: now), due <= now else { return nil }
        var batch = current ?? Batch()
        if batch.parcels.isEmpty {
            batch.firstMilliseconds = now
            while let next = queue.first, batch.items == 0 || batch.items + next.parcel.items <= options.batchItems {
                batch.parcels.append(next.parcel)
                batch.items += next.parcel.items
                batch.bytes += next.parcel.bytes
                _ = remove()
            }
        }
        if batch.attempts > 0 { retries += 1 }
        batch.attempts += 1
        current = batch
        isOnItsWay = true
        return batch
    }

    /// Says what became of the batch that was taken.
    ///
    /// - Parameters:
    ///   - body: what was sent, for the next attempt.
    ///   - chance: 0 to 1, from which a pause takes its jitter.
    mutating func conclude(_ outcome: Outcome, body: [UInt8]? = nil, atMilliseconds now: Int64, chance: Double) {
        guard var batch = current, isOnItsWay else { preconditionFailure("a batch is concluded once") }
        isOnItsWay = false
        switch outcome {
        case .delivered(let rejected):
            let refused = min(max(0, rejected), batch.items)
            sent += UInt64(batch.items - refused)
            if refused > 0 { dropped[.rejected, default: 0] += UInt64(refused) }
            current = nil
        case .failed(let reason):
            giveUp(reason)
        case .retry(let after):
            let doubled = options.firstPauseMilliseconds << Int64(min(20, batch.attempts - 1))
            let pause = min(options.longestPauseMilliseconds, doubled)
            let wait = max(pause - Int64(Double(pause) * 0.5 * chance), after ?? 0)
            guard !isHurried, now + wait - batch.firstMilliseconds <= options.patienceMilliseconds else { return giveUp(.gaveUp) }
            dueMilliseconds = now + wait
            batch.body = body
            current = batch
        }
    }

    private mutating func giveUp(_ reason: DropReason) {
        dropped[reason, default: 0] += UInt64(current?.items ?? 0)
        current = nil
    }

    /// Drops everything that is not on its way.
    mutating func dropAll(_ reason: DropReason) {
        while !queue.isEmpty { drop(remove(), reason) }
        if !isOnItsWay { giveUp(reason) }
    }
}

/// Why something does not reach the collector. A closed set: a label of `themis_exporter_dropped_total`.
enum DropReason: String, Sendable, CaseIterable {
    /// Too much waits.
    case full
    /// The collector took the request, but not all that is in it (partial success).
    case rejected
    /// The collector refused the request with a status that is not to be repeated.
    case refused
    /// The collector's certificate is not trusted, or is another host's.
    case untrusted
    /// It was repeated for as long as it may be.
    case gaveUp = "gave_up"
    /// It came damaged.
    case damaged
    /// Tracing was turned off, or the collector taken away.
    case disabled
    /// The process stops.
    case stopping
}
