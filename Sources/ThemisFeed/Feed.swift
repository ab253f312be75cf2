public import ThemisBase
public import ThemisNet
public import ThemisRPC
public import ThemisTelemetry

/// The changefeed of one process: follows the core by one stream, holds the newest records in one ring, serves every subscriber from it.
///
/// Stays up while the core restarts: subscribers keep their streams, and what they missed is read from the core once it is back.
@NetLoop public final class Feed: TurnEnding {
    let options: FeedOptions
    private let client: RPCClient
    private let telemetry: Telemetry
    private let counters: FeedCounters
    private(set) var ring: FeedRing
    /// The epoch of the core's history; empty until the core was reached.
    public private(set) var epoch = ""
    /// The oldest sequence that the core still holds.
    public private(set) var oldest: SequenceNumber = 0
    private var subscribers: [Subscriber] = []
    private var follower: Task<Void, Never>?
    private var ticker: LoopTimer?
    private var isDirty = false
    private var isDraining = false
    private var random: SeededRandom
    private var readBacks = 0
    private var readBackWaiters: [CheckedContinuation<Void, Never>] = []
    /// Records that the slowest open stream is behind, as of the last tick.
    public private(set) var slowestLag: UInt64 = 0
    /// Whether the core is followed at this moment.
    public private(set) var isFollowing = false

    /// A feed over `client`; `start` begins to follow.
    public init(client: RPCClient, options: FeedOptions, seed: UInt64, telemetry: Telemetry) {
        self.client = client
        self.options = options
        self.telemetry = telemetry
        counters = FeedCounters(telemetry.metrics)
        random = SeededRandom(seed: seed)
        ring = FeedRing(capacityBytes: options.ringBytes, position: 0)
    }

    /// The newest sequence known here.
    public var latest: SequenceNumber { ring.latest }

    /// Open streams of this process.
    public var subscriberCount: Int { subscribers.count }

    /// Milliseconds of the clock that never leaps.
    var now: Int64 { telemetry.time.monotonicMilliseconds() }

    /// Begins to follow the core, and goes on until `stop`.
    public func start() {
        guard follower == nil else { return }
        follower = NetLoop.spawn { [weak self] in await self?.follow() }
    }

    /// Ends every stream with `event: end` and a retry time spread over `spreadMilliseconds`, and stops following.
    public func drain(spreadMilliseconds: Int) {
        isDraining = true
        for subscriber in subscribers {
            subscriber.end(reason: "drain", retryMilliseconds: 1_000 + Int(random.next() % UInt64(max(1, spreadMilliseconds))))
        }
    }

    /// Stops following and drops the streams that are left.
    public func stop() {
        follower?.cancel()
        follower = nil
        ticker = nil
        for subscriber in subscribers { subscriber.abort() }
    }

    /// What the feed asks in its own name. The scopes of a subscriber were checked by its route.
    private static func metadata(milliseconds: UInt32 = 0) -> RequestMetadata {
        RequestMetadata(deadlineMilliseconds: milliseconds, principal: "changefeed", scopes: [.cdcRead, .dataRead])
    }

    // MARK: Following

    private func follow() async {
        while !Task.isCancelled {
            do throws(ThemisError) {
                var request = ChangesReadRequest()
                request.after = ring.latest
                request.epoch = epoch
                request.fromNow = epoch.isEmpty
                let pages = try await client.changesFollow(request, Self.metadata())
                while let page = try await pages.next() { absorb(page) }
            } catch {
                await recover(from: error)
            }
            setFollowing(false)
            try? await NetLoop.sleep(milliseconds: backOffMilliseconds())
        }
    }

    private func recover(from error: ThemisError) async {
        guard error.code == .historyGone || error.code == .epochChanged || error.code == .sequenceAhead else {
            telemetry.log.debug("changefeed waits for the core", [(.error, error.code.word)])
            return
        }
        // This process fell out of the history while it was away: begin anew; each subscriber that lost something is told so.
        telemetry.log.warning("changefeed restarts at the newest record", [(.reason, error.code.word)])
        guard let info = try? await client.changesInfo(Self.metadata(milliseconds: 5_000)) else { return }
        restart(epoch: info.epoch, at: info.latest, oldest: info.oldest)
    }

    private func restart(epoch newEpoch: String, at position: SequenceNumber, oldest newOldest: SequenceNumber) {
        let isSameHistory = newEpoch == epoch
        epoch = newEpoch
        oldest = newOldest
        ring = FeedRing(capacityBytes: options.ringBytes, position: position)
        for subscriber in subscribers where subscriber.epoch != newEpoch {
            if subscriber.epoch.isEmpty {
                // Came before the core was reached: a bare sequence counts in whatever epoch there is.
                subscriber.place(epoch: newEpoch, position: subscriber.startsAtNewest ? position : subscriber.position)
            } else if !isSameHistory {
                subscriber.gap(reason: "epoch", epoch: newEpoch, position: position, oldest: newOldest, latest: position)
            }
        }
        markDirty()
    }

    /// Takes a page of the follow stream.
    func absorb(_ page: ChangesPage) {
        if page.epoch != epoch {
            let start = page.changes.first.map { $0.sequence - 1 } ?? page.nextAfter
            restart(epoch: page.epoch, at: start, oldest: page.oldest)
        }
        setFollowing(true)
        oldest = page.oldest
        for change in page.changes {
            let frame = FeedFrame.change(change, format: .standard, epoch: epoch)
            if !ring.append(change, frame: frame), change.sequence > ring.latest {
                // The core never leaves one out; if it did, subscribers read the hole back from the log instead of losing it.
                telemetry.log.error("change stream jumped", [(.sequence, String(change.sequence))])
                ring = FeedRing(capacityBytes: options.ringBytes, position: change.sequence - 1)
                _ = ring.append(change, frame: frame)
            }
        }
        if !page.changes.isEmpty { markDirty() }
    }

    private func setFollowing(_ value: Bool) {
        isFollowing = value
        counters.isFollowing.set(value ? 1 : 0)
    }

    private func markDirty() {
        guard !isDirty else { return }
        isDirty = true
        NetLoop.atEndOfTurn(self)
    }

    /// One `send` a subscriber and turn, however many records came in it.
    public func endOfTurn() {
        isDirty = false
        // A subscriber that leaves moves the last one into its place: walk from the end.
        var index = subscribers.count - 1
        while index >= 0 {
            if index < subscribers.count { subscribers[index].serve() }
            index -= 1
        }
    }

    // MARK: Subscribers

    /// Whether one more stream may be opened.
    ///
    /// - Throws: `overloaded` at the bound, `shutting_down` while draining.
    func admit() throws(ThemisError) {
        if isDraining { throw ThemisError(.shuttingDown, "this process is shutting down; connect again", retryAfterSeconds: 1) }
        guard subscribers.count < options.maxSubscribers else {
            throw ThemisError(
                .overloaded, "this process serves \(options.maxSubscribers) streams already; another one may have room",
                retryAfterSeconds: 5)
        }
    }

    /// Proves a position that a client gave, as far as the core can be asked.
    ///
    /// - Throws: `sequence_ahead` for a position that nothing has reached.
    func provedPosition(_ position: SequenceNumber?, epoch wanted: String) async throws(ThemisError) -> SequenceNumber? {
        guard let position, position > ring.latest, wanted.isEmpty || wanted == epoch, !epoch.isEmpty else { return position }
        // Another process may have shown it an instant before this one learns of it.
        guard let info = try? await client.changesInfo(Self.metadata(milliseconds: 5_000)), position > info.latest else { return position }
        throw ThemisError(
            .sequenceAhead, "position \(position) is beyond the newest record, \(info.latest)",
            members: [("latest_sequence", .number(info.latest)), ("oldest_sequence", .number(info.oldest))])
    }

    /// - Throws: `unprocessable` when the table does not keep values before a change.
    func requireOldValues(of table: String) async throws(ThemisError) {
        let answer = try await client.tableGet(TableRequest(name: table), Self.metadata(milliseconds: 5_000))
        guard answer.table.oldValues else {
            throw ThemisError(
                .unprocessable, "table \(table) does not keep old values: PUT /tables/\(table) {\"cdc\":{\"old_values\":true}}",
                fields: [FieldError("old", "needs a table with cdc.old_values")])
        }
    }

    /// Opens a stream that goes on from `position` of `wanted`; nil means the newest record, an empty epoch the current one.
    func subscribe(
        _ sink: any EventSink, _ subscription: Subscription, position: SequenceNumber?, epoch wanted: String, maxSeconds: Int?
    ) -> Subscriber {
        let lifetime = Int64(maxSeconds ?? options.rotationSeconds) * 1_000
        let jitter = maxSeconds == nil ? Int64(random.next() % UInt64(max(1, lifetime * 2 / 5))) - lifetime / 5 : 0
        let subscriber = Subscriber(
            feed: self, sink: sink, subscription: subscription, position: position ?? ring.latest,
            epoch: position == nil || wanted.isEmpty ? epoch : wanted, startsAtNewest: position == nil, now: now,
            expires: now + lifetime + jitter)
        subscriber.index = subscribers.count
        subscribers.append(subscriber)
        counters.subscribers.set(Double(subscribers.count))
        if ticker == nil { startTicker() }
        return subscriber
    }

    /// Says hello, and serves what the subscriber lacks.
    func greet(_ subscriber: Subscriber) {
        subscriber.push(
            FeedFrame.retry(milliseconds: retryMilliseconds())
                + FeedFrame.event("hello", id: subscriber.epoch.isEmpty ? nil : subscriber.identifier) { out in
                    out.append(
                        contentsOf: (#"{"epoch":"\#(epoch)","resumes_after":\#(subscriber.position),"oldest_sequence":\#(oldest),"#
                            + #""latest_sequence":\#(ring.latest),"heartbeat_ms":\#(subscriber.subscription.heartbeatMilliseconds),"#
                            + #""core":"\#(isFollowing ? "up" : "down")"}"#).utf8)
                })
        if !epoch.isEmpty, subscriber.epoch != epoch {
            subscriber.gap(reason: "epoch", epoch: epoch, position: ring.latest, oldest: oldest, latest: ring.latest)
        }
        subscriber.serve()
    }

    func remove(_ subscriber: Subscriber) {
        guard subscriber.index < subscribers.count, subscribers[subscriber.index] === subscriber else { return }
        let last = subscribers.removeLast()
        if last !== subscriber {
            subscribers[subscriber.index] = last
            last.index = subscriber.index
        }
        counters.subscribers.set(Double(subscribers.count))
        if subscribers.isEmpty { ticker = nil }
        NetLoop.bury(subscriber)
    }

    private func startTicker() {
        let timer = LoopTimer { [weak self] in self?.tick() }
        timer.scheduleRepeating(milliseconds: 50)
        ticker = timer
    }

    private func tick() {
        let now = self.now
        var slowest = ring.latest
        var index = subscribers.count - 1
        while index >= 0 {
            if index < subscribers.count {
                let subscriber = subscribers[index]
                if subscriber.epoch == epoch { slowest = min(slowest, subscriber.position) }
                subscriber.tick(now)
            }
            index -= 1
        }
        slowestLag = ring.latest - slowest
        counters.lag.set(Double(slowestLag))
    }

    // MARK: Asking the core

    /// A page for a request of its own.
    func read(_ request: ChangesReadRequest, for exchange: HTTPExchange) async throws(ThemisError) -> ChangesPage {
        if request.oldValues, let table = request.filter?.table { try await requireOldValues(of: table) }
        let left = exchange.remainingMilliseconds.map { UInt32(clamping: max(1, $0)) } ?? 0
        let metadata = RequestMetadata(
            deadlineMilliseconds: left, trace: exchange.traceparent, principal: exchange.principal, scopes: exchange.scopes)
        return try await client.changesRead(request, metadata)
    }

    /// The log in numbers.
    func info() async throws(ThemisError) -> ChangesInfoResponse { try await client.changesInfo(Self.metadata(milliseconds: 5_000)) }

    /// The wall clock.
    var wallMilliseconds: Int64 { telemetry.time.wallMilliseconds() }

    // MARK: Reading back

    /// The next page for a subscriber that the ring does not serve. At most `concurrentReadBacks` at once.
    func readPage(for subscriber: Subscriber) async throws(ThemisError) -> ChangesPage {
        // A subscriber whose records never come from the ring waits in the core, which wakes it; it must not hold a place meanwhile.
        let waits = subscriber.subscription.needsReadBack
        if !waits { await takeReadBack() }
        defer { if !waits { giveReadBack() } }
        var request = ChangesReadRequest()
        request.after = subscriber.position
        request.epoch = subscriber.epoch
        request.limit = UInt32(options.readBackRecords)
        request.waitMilliseconds = waits ? UInt32(min(subscriber.subscription.heartbeatMilliseconds, 30_000)) : 0
        request.filter = subscriber.subscription.filter
        request.oldValues = subscriber.subscription.format.includesOldValue
        return try await client.changesRead(request, Self.metadata(milliseconds: 60_000))
    }

    private func takeReadBack() async {
        if readBacks >= options.concurrentReadBacks { await withCheckedContinuation { readBackWaiters.append($0) } } else { readBacks += 1 }
    }

    private func giveReadBack() {
        if readBackWaiters.isEmpty { readBacks -= 1 } else { readBackWaiters.removeFirst().resume() }
    }

    /// Tells a subscriber what it lost and moves it to where the history goes on.
    func refreshPosition(of subscriber: Subscriber, reason: String) async {
        guard let info = try? await client.changesInfo(Self.metadata(milliseconds: 5_000)) else {
            try? await NetLoop.sleep(milliseconds: backOffMilliseconds())
            return
        }
        oldest = info.oldest
        let position = reason == "retention" ? (info.oldest == 0 ? info.latest : info.oldest - 1) : info.latest
        subscriber.gap(reason: reason, epoch: info.epoch, position: position, oldest: info.oldest, latest: info.latest)
    }

    /// The pause before the core is asked again: 50–250 ms, so that many processes do not knock at once.
    func backOffMilliseconds() -> Int { 50 + Int(random.next() % 200) }

    /// The pause a client of a rotated stream should make: 1–5 s.
    func retryMilliseconds() -> Int { 1_000 + Int(random.next() % 4_000) }

    // MARK: Counting

    func countEvents(_ count: Int) { counters.events.add(UInt64(max(0, count))) }
    func countHeartbeat() { counters.heartbeats.add() }
    func countGap() { counters.gaps.add() }
    func countEvicted() { counters.evicted.add() }
    func countReadBack() { counters.readBacks.add() }
}

/// The feed's instruments, asked for once.
struct FeedCounters {
    let subscribers: Gauge
    let lag: Gauge
    let isFollowing: Gauge
    let events: Counter
    let heartbeats: Counter
    let gaps: Counter
    let evicted: Counter
    let readBacks: Counter

    init(_ metrics: MetricRegistry) {
        subscribers = metrics.gauge(.changefeedSubscribers)
        lag = metrics.gauge(.changefeedLag)
        isFollowing = metrics.gauge(.changefeedFollowing)
        events = metrics.counter(.changefeedEvents)
        heartbeats = metrics.counter(.changefeedHeartbeats)
        gaps = metrics.counter(.changefeedGaps)
        evicted = metrics.counter(.changefeedEvicted)
        readBacks = metrics.counter(.changefeedReadBacks)
    }
}
