public import ThemisBase
public import ThemisNet
public import ThemisRPC
public import ThemisTelemetry

/// The changefeed of one process: follows the core by one stream, holds the newest records in one ring, serves every subscriber from it.
///
/// Follows only while somebody waits for records, and a little longer: what nobody reads is neither sent by the core nor kept here.
/// Stays up while the core restarts: subscribers keep their streams, and what they missed is read from the core once it is back.
@NetLoop public final class Feed: TurnEnding {
    let options: FeedOptions
    let client: RPCClient
    let telemetry: Telemetry
    private let counters: FeedCounters
    private(set) var ring: FeedRing
    /// The epoch of the core's history; empty until the core was reached.
    public private(set) var epoch = ""
    /// The oldest sequence that the core still holds.
    public internal(set) var oldest: SequenceNumber = 0
    private var subscribers: [Subscriber] = []
    /// What the newest subscriber wants: most want the same, and share it.
    private var newest: SharedSubscription?
    private var follower: Task<Void, Never>?
    private var isStarted = false
    private var rest: LoopTimer?
    /// Who waits for the newest position of the core.
    private var newcomers: [@NetLoop () -> Void] = []
    private var ticker: LoopTimer?
    private var isDirty = false
    private(set) var isDraining = false
    private var random: SeededRandom
    let readBacks: Turnstile
    let unringedReads: Turnstile
    var heldPages = 0
    /// Requests that wait for the next record.
    var polls: [UInt64: CheckedContinuation<Void, Never>] = [:]
    var nextPoll: UInt64 = 0
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
        readBacks = Turnstile(places: options.concurrentReadBacks)
        unringedReads = Turnstile(places: options.concurrentUnringedReads)
    }

    /// The newest sequence known here.
    public var latest: SequenceNumber { ring.latest }

    /// Open streams of this process.
    public var subscriberCount: Int { subscribers.count }

    /// Milliseconds of the clock that never leaps.
    var now: Int64 { telemetry.time.monotonicMilliseconds() }

    /// The wall clock.
    var wallMilliseconds: Int64 { telemetry.time.wallMilliseconds() }

    /// Follows the core from now on whenever somebody waits for records, until `stop`.
    public func start() {
        guard !isStarted else { return }
        isStarted = true
        rest = LoopTimer { [weak self] in self?.restIfUnwatched() }
    }

    /// Ends every stream with `event: end` and a retry time spread over `spreadMilliseconds`, answers who waits, and opens no more streams.
    public func drain(spreadMilliseconds: Int) {
        isDraining = true
        endStreams(reason: "drain", spreadMilliseconds: spreadMilliseconds)
        wakePolls()
    }

    /// Ends every stream with `event: end`, as when the changefeed is switched off.
    public func endStreams(reason: String, spreadMilliseconds: Int) {
        for subscriber in subscribers {
            subscriber.end(reason: reason, retryMilliseconds: 1_000 + Int(random.next() % UInt64(max(1, spreadMilliseconds))))
        }
    }

    /// Stops following and drops the streams that are left.
    public func stop() {
        isStarted = false
        rest = nil
        stopFollowing()
        ticker = nil
        for subscriber in subscribers { subscriber.abort() }
    }

    /// What the feed asks in its own name. The scopes of a subscriber were checked by its route.
    static func metadata(milliseconds: UInt32 = 0) -> RequestMetadata {
        RequestMetadata(deadlineMilliseconds: milliseconds, principal: "changefeed", scopes: [.cdcRead, .dataRead])
    }

    // MARK: Following

    /// Begins to follow for somebody who is about to wait for records; calls `next` once the newest position is known: at once, or later.
    /// A core that is away is not waited for.
    func whenNewestIsKnown(_ next: @escaping @NetLoop () -> Void) {
        startFollowing()
        guard follower != nil, epoch.isEmpty, client.state.isConnected else { return next() }
        newcomers.append(next)
    }

    /// The same for a task.
    func awaitNewest() async { await withCheckedContinuation { known in whenNewestIsKnown { known.resume() } } }

    func startFollowing() {
        guard isStarted, !isDraining else { return }
        rest?.schedule(milliseconds: options.restMilliseconds)
        guard follower == nil else { return }
        follower = NetLoop.spawn { [weak self] in await self?.follow() }
    }

    /// Nobody has waited for a while: what would come is read by nobody. Whoever comes next finds the feed as new.
    private func restIfUnwatched() {
        guard subscribers.isEmpty, polls.isEmpty, newcomers.isEmpty else {
            rest?.schedule(milliseconds: options.restMilliseconds)
            return
        }
        stopFollowing()
        epoch = ""
        ring = FeedRing(capacityBytes: options.ringBytes, position: 0)
    }

    private func stopFollowing() {
        follower?.cancel()
        follower = nil
        setFollowing(false)
        welcomeNewcomers()
    }

    private func welcomeNewcomers() {
        let waiting = newcomers
        newcomers = []
        // Each in its turn, when what was learned with the position has been taken in.
        for newcomer in waiting { NetLoop.later(newcomer) }
    }

    private func follow() async {
        while !Task.isCancelled {
            do throws(ThemisError) {
                var request = ChangesReadRequest()
                request.after = ring.latest
                request.epoch = epoch
                request.fromNow = epoch.isEmpty
                let pages = try await client.changesFollow(request, Self.metadata())
                while let page = try await pages.next() {
                    // Another follower may have begun since this one was told to end.
                    guard !Task.isCancelled else { return }
                    absorb(page)
                }
            } catch {
                guard !Task.isCancelled else { return }
                welcomeNewcomers()
                await recover(from: error)
            }
            guard !Task.isCancelled else { return }
            setFollowing(false)
            try? await NetLoop.sleep(milliseconds: backOffMilliseconds())
        }
    }

    private func recover(from error: ThemisError) async {
        guard error.code == .historyGone || error.code == .epochChanged || error.code == .sequenceAhead else {
            // Asking again cures an absent core, and is the only thing to do about damage: that one must be seen.
            let isAbsence = [.coreUnavailable, .shuttingDown, .overloaded, .cancelled].contains(error.code)
            telemetry.log.log(isAbsence ? .debug : .warn, "changefeed waits for the core", [(.error, error.description)])
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
        if !isFollowing {
            setFollowing(true)
            NetLoop.spawn { [weak self] in await self?.findAhead() }
        }
        oldest = page.oldest
        welcomeNewcomers()
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
        wakePolls()
        // A subscriber that leaves moves the last one into its place: walk from the end.
        var index = subscribers.count - 1
        while index >= 0 {
            if index < subscribers.count { subscribers[index].serve() }
            index -= 1
        }
    }

    // MARK: Subscribers

    /// Tells subscribers that came while the core was away, with a position that it has never reached: they would wait in silence.
    private func findAhead() async {
        let ahead = subscribers.filter { $0.epoch == epoch && $0.position > ring.latest }.map { ($0, $0.place) }
        guard !ahead.isEmpty, let info = try? await info() else { return }
        for (subscriber, place) in ahead where subscriber.place == place && info.epoch == place.epoch && place.position > info.latest {
            subscriber.gap(reason: "ahead", epoch: info.epoch, position: info.latest, oldest: info.oldest, latest: info.latest)
            subscriber.serve()
        }
    }

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

    /// Opens a stream that goes on from `position` of `wanted`; nil means the newest record, an empty epoch the current one.
    /// `make` gives the subscriber its connection.
    func subscribe(
        _ subscription: Subscription, position: SequenceNumber?, epoch wanted: String, maxSeconds: Int?,
        make: @NetLoop (Subscriber.Beginning) -> Subscriber
    ) -> Subscriber {
        let lifetime = Int64(maxSeconds ?? options.rotationSeconds) * 1_000
        let jitter = maxSeconds == nil ? Int64(random.next() % UInt64(max(1, lifetime * 2 / 5))) - lifetime / 5 : 0
        let start = Subscriber.Place(epoch: position == nil || wanted.isEmpty ? epoch : wanted, position: position ?? ring.latest)
        let shared = shared(
            subscription, epoch: start.epoch, startsAtNewest: position == nil, start: subscription.passedOrdinal > 0 ? start : nil)
        let subscriber = make(.init(shared: shared, position: start.position, now: now, expires: now + lifetime + jitter))
        subscriber.index = subscribers.count
        subscribers.append(subscriber)
        counters.subscribers.set(Double(subscribers.count))
        if ticker == nil { startTicker() }
        return subscriber
    }

    /// What the newest subscriber has too, if that is the same.
    func shared(_ subscription: Subscription, epoch: String, startsAtNewest: Bool, start: Subscriber.Place?) -> SharedSubscription {
        if start == nil, let newest, newest.value == subscription, newest.epoch == epoch, newest.startsAtNewest == startsAtNewest {
            return newest
        }
        let made = SharedSubscription(subscription, feed: self, epoch: epoch, startsAtNewest: startsAtNewest, start: start)
        if start == nil { newest = made }
        return made
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
        if subscribers.isEmpty {
            ticker = nil
            wakePolls()
        }
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
