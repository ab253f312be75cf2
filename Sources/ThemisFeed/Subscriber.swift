import ThemisBase
import ThemisNet
import ThemisRPC

/// Which records a subscriber wants and how they look. Shared by nothing, small, immutable.
struct Subscription: Sendable {
    var filter = ChangesFilter()
    var format = EventFormat.standard
    var heartbeatMilliseconds: Int64 = 15_000

    /// Whether ready-made frames of the ring serve this subscriber.
    var isPlain: Bool { format == .standard && !isFiltered }

    /// Whether records are left out.
    var isFiltered: Bool { !filter.table.isEmpty || !filter.keyPrefix.isEmpty || !filter.kinds.isEmpty }

    /// System records and old values are not in the ring: such a subscriber reads from the core.
    var needsReadBack: Bool { filter.kinds.contains(.system) || format.includesOldValue }

    /// Whether `change`, of the ring, is wanted.
    func wants(_ change: ChangeMessage) -> Bool {
        if !filter.kinds.isEmpty, filter.kinds.isDisjoint(with: change.kind) { return false }
        if !filter.table.isEmpty, filter.table != change.table { return false }
        guard !filter.keyPrefix.isEmpty else { return true }
        let table = change.table.utf8.count
        let prefix = filter.keyPrefix.utf8
        // Compares with `table:pk` without building it.
        if prefix.count <= table { return change.table.utf8.starts(with: prefix) }
        guard prefix.starts(with: change.table.utf8) else { return false }
        let rest = prefix.dropFirst(table)
        return rest.first == 0x3A && change.pk.utf8.starts(with: rest.dropFirst())
    }
}

/// One open event stream: a cursor, not a queue.
///
/// What it lacks lies in the ring or in the core; its own memory is this object, and at most the rest of one block (shared with the ring).
@NetLoop final class Subscriber {
    /// What a subscriber waits for.
    enum State {
        /// For the next record.
        case live
        /// For the kernel to take more bytes.
        case blocked
        /// For a page from the core.
        case readingBack
        /// Gone.
        case closed
    }

    let subscription: Subscription
    /// Whether the client asked for what comes next, whatever came before.
    let startsAtNewest: Bool
    private let sink: any EventSink
    private unowned let feed: Feed
    private(set) var state = State.live
    /// The last sequence that was handed on, or passed over by the filter.
    private(set) var position: SequenceNumber
    /// The epoch that `position` counts in; empty until the core was reached.
    private(set) var epoch: String
    /// The last position that the client knows by an id.
    private var told: SequenceNumber
    private var pending: ArraySlice<UInt8> = []
    private var nextHeartbeat: Int64
    private var blockedSince: Int64 = 0
    private let expires: Int64
    private var isEnding = false
    private var readBack: Task<Void, Never>?
    private var drainWaiter: CheckedContinuation<Void, Never>?
    /// Where the feed keeps this subscriber.
    var index = 0

    init(
        feed: Feed, sink: any EventSink, subscription: Subscription, position: SequenceNumber, epoch: String,
        startsAtNewest: Bool, now: Int64, expires: Int64
    ) {
        self.feed = feed
        self.sink = sink
        self.subscription = subscription
        self.position = position
        self.epoch = epoch
        self.startsAtNewest = startsAtNewest
        told = position
        nextHeartbeat = now + subscription.heartbeatMilliseconds
        self.expires = expires
    }

    /// The id of the position.
    var identifier: EventIdentifier { EventIdentifier(epoch: epoch, sequence: position) }

    /// Sends `frames` behind what is pending, whatever the position.
    func push(_ frames: [UInt8]) {
        guard state != .closed else { return }
        pending = pending.isEmpty ? frames[...] : ArraySlice(pending + frames)
        flush()
    }

    /// Sends what the ring holds behind the position, or starts to read back what it does not hold.
    func serve() {
        guard state == .live, !isEnding else { return }
        guard epoch == feed.epoch, !epoch.isEmpty else { return }
        if subscription.needsReadBack || !feed.ring.covers(position) { return startReadBack() }
        if subscription.isPlain { servePlain() } else { serveChosen() }
    }

    private func servePlain() {
        while state == .live, let (bytes, last) = feed.ring.frames(after: position) {
            let sent = sink.send(bytes)
            touch()
            feed.countEvents(Int(last - position))
            // What the kernel did not take shares the ring's memory and goes first: the position counts it as sent.
            position = last
            told = last
            if sent < bytes.count {
                pending = bytes.dropFirst(sent)
                block()
            }
        }
    }

    private func serveChosen() {
        while state == .live, position < feed.ring.latest {
            var out: [UInt8] = []
            var events = 0
            while position < feed.ring.latest, out.count < FeedRing.blockBytes {
                position += 1
                let change = feed.ring.change(position)
                guard subscription.wants(change) else { continue }
                events += 1
                told = position
                if subscription.format == .standard {
                    out.append(contentsOf: feed.ring.frame(position))
                } else {
                    out.append(contentsOf: FeedFrame.change(change, format: subscription.format, epoch: epoch))
                }
            }
            feed.countEvents(events)
            if !out.isEmpty { push(out) }
        }
    }

    /// The kernel takes bytes again.
    func writable() {
        guard state == .blocked else { return }
        state = .live
        flush()
        guard state == .live else { return }
        if isEnding { return close() }
        if readBack == nil { serve() } else { wakeReadBack() }
    }

    private func flush() {
        guard state != .blocked, !pending.isEmpty else { return }
        let sent = sink.send(pending)
        touch()
        pending = sent == pending.count ? [] : pending.dropFirst(sent)
        if !pending.isEmpty { block() }
    }

    private func block() {
        if state == .closed { return }
        state = .blocked
        blockedSince = feed.now
    }

    private func touch() { nextHeartbeat = feed.now + subscription.heartbeatMilliseconds }

    // MARK: Reading back

    private func startReadBack() {
        guard readBack == nil else { return }
        state = .readingBack
        feed.countReadBack()
        readBack = NetLoop.spawn { [weak self] in await self?.runReadBack() }
    }

    private func runReadBack() async {
        while state != .closed, !isEnding, subscription.needsReadBack || !feed.ring.covers(position) || epoch != feed.epoch {
            do throws(ThemisError) {
                let page = try await feed.readPage(for: self)
                if state == .closed { break }
                absorb(page)
                await drained()
            } catch {
                if state == .closed { break }
                await recover(from: error)
            }
        }
        readBack = nil
        guard state != .closed else { return }
        if state == .readingBack { state = .live }
        serve()
    }

    private func absorb(_ page: ChangesPage) {
        var out: [UInt8] = []
        for change in page.changes {
            out.append(contentsOf: FeedFrame.change(change, format: subscription.format, epoch: epoch))
            told = max(told, change.sequence)
        }
        feed.countEvents(page.changes.count)
        position = max(position, page.nextAfter)
        if !out.isEmpty {
            state = .live
            push(out)
        }
    }

    /// Waits until what was pushed has gone to the kernel: the next page is read only then.
    private func drained() async {
        if state == .blocked { await withCheckedContinuation { drainWaiter = $0 } }
        if state == .live { state = .readingBack }
    }

    private func recover(from error: ThemisError) async {
        switch error.code {
        case .historyGone: await feed.refreshPosition(of: self, reason: "retention")
        case .epochChanged: await feed.refreshPosition(of: self, reason: "epoch")
        default: try? await NetLoop.sleep(milliseconds: feed.backOffMilliseconds())
        }
    }

    // MARK: What the feed tells

    /// Gives a subscriber that came before the core was reached its place, or moves it after a loss that was told.
    func place(epoch: String, position: SequenceNumber) {
        self.epoch = epoch
        self.position = position
        told = position
    }

    /// Says in the stream that records are missing, then goes on at `position`.
    func gap(reason: String, epoch: String, position: SequenceNumber, oldest: SequenceNumber, latest: SequenceNumber) {
        guard state != .closed else { return }
        let before = self.position
        place(epoch: epoch, position: position)
        feed.countGap()
        push(
            FeedFrame.event("gap", id: EventIdentifier(epoch: epoch, sequence: position)) { out in
                out.append(
                    contentsOf: (#"{"reason":"\#(reason)","last_seen":\#(before),"resumes_after":\#(position),"#
                        + #""oldest_sequence":\#(oldest),"latest_sequence":\#(latest),"epoch":"\#(epoch)"}"#).utf8)
            })
    }

    /// Called a few times a second: heartbeats, bookmarks, rotation, stalled readers.
    func tick(_ now: Int64) {
        switch state {
        case .closed: return
        case .blocked:
            if now - blockedSince > feed.options.stallMilliseconds {
                feed.countEvicted()
                abort()
            }
            return
        case .live, .readingBack: break
        }
        if now >= expires { return end(reason: "rotation", retryMilliseconds: feed.retryMilliseconds()) }
        guard now >= nextHeartbeat else { return }
        feed.countHeartbeat()
        let state = self.state
        if told != position, !epoch.isEmpty {
            told = position
            push(FeedFrame.bookmark(EventIdentifier(epoch: epoch, sequence: position)))
        } else {
            push(FeedFrame.heartbeat)
        }
        if state == .readingBack, self.state == .live { self.state = .readingBack }
    }

    /// Ends the stream in order: why, and where to go on.
    func end(reason: String, retryMilliseconds: Int) {
        guard state != .closed, !isEnding else { return }
        isEnding = true
        let identifier = epoch.isEmpty ? nil : EventIdentifier(epoch: epoch, sequence: position)
        // A blocked stream still owes the rest of a frame; the end goes behind it.
        push(
            FeedFrame.retry(milliseconds: retryMilliseconds)
                + FeedFrame.event("end", id: identifier) { out in
                    out.append(contentsOf: #"{"reason":"\#(reason)","resume":"\#(identifier?.text ?? "")"}"#.utf8)
                })
        if state != .blocked { close() }
    }

    private func close() {
        guard state != .closed else { return }
        leave()
        sink.finish()
    }

    private func leave() {
        state = .closed
        readBack?.cancel()
        wakeReadBack()
        feed.remove(self)
    }

    private func wakeReadBack() {
        guard let waiter = drainWaiter else { return }
        drainWaiter = nil
        waiter.resume()
    }

    /// The connection is gone, or must go.
    func abort() {
        guard state != .closed else { return }
        leave()
        sink.abort()
    }
}
