import ThemisBase
import ThemisNet
import ThemisRPC

/// One open event stream: a cursor, not a queue.
///
/// What it lacks lies in the ring or in the core; its own memory is this object, and at most the rest of one block (shared with the ring).
/// Ten thousand of them idle in a process, in 72 bytes each, the socket included: what only a slow one needs lies in `Arrears`, what many
/// have in common in `SharedSubscription`.
@NetLoop class Subscriber: EventStreamSocket {
    /// What a subscriber waits for.
    enum State: UInt8 {
        /// For the next record, or for a page from the core while `readBack` runs.
        case live
        /// For the kernel to take more bytes.
        case blocked
        /// Gone.
        case closed
    }

    /// What a subscriber has that does not keep up, or reads back.
    @NetLoop private final class Arrears {
        var pending: ArraySlice<UInt8> = []
        var blockedSince: Int64 = 0
        var readBack: Task<Void, Never>?
        var drainWaiter: CheckedContinuation<Void, Never>?
        /// Whether the last frame is among what is pending.
        var isEnding = false

        var isNeeded: Bool { !pending.isEmpty || readBack != nil || drainWaiter != nil || isEnding }
    }

    /// Where and how a subscriber begins.
    struct Beginning {
        let shared: SharedSubscription
        let position: SequenceNumber
        let now: Int64
        let expires: Int64
    }

    // In this order they leave no gaps, neither between each other nor behind the socket.
    private(set) final var state = State.live
    /// Whether the client knows a smaller position, by an id, than the one that the filter has passed.
    private var isUntold = false
    private var number: Int32 = 0
    private var shared: SharedSubscription
    private var arrears: Arrears?
    /// The last sequence that was handed on, or passed over by the filter.
    private(set) final var position: SequenceNumber
    private var nextHeartbeat: NearTime
    private let expires: NearTime

    /// A subscriber whose connection is `start`; without one it has none, as in tests.
    init(_ beginning: Beginning, _ start: EventStreamStart?) {
        shared = beginning.shared
        position = beginning.position
        nextHeartbeat = NearTime(beginning.now + beginning.shared.value.heartbeatMilliseconds)
        expires = NearTime(beginning.expires)
        super.init(start)
    }

    override final func becameWritable() { writable() }

    override final func closed() { abort() }

    private var feed: Feed { shared.feed }
    /// What it wants.
    final var subscription: Subscription { shared.value }
    /// The epoch that `position` counts in; empty until the core was reached.
    final var epoch: String { shared.epoch }
    /// Whether the client asked for what comes next, whatever came before.
    final var startsAtNewest: Bool { shared.startsAtNewest }
    /// Where the feed keeps this subscriber.
    final var index: Int {
        get { Int(number) }
        set { number = Int32(newValue) }
    }

    private var isEnding: Bool { arrears?.isEnding ?? false }

    /// What the kernel has not taken yet.
    private var pending: ArraySlice<UInt8> {
        get { arrears?.pending ?? [] }
        set { if !newValue.isEmpty { inArrears.pending = newValue } else { arrears?.pending = [] } }
    }

    private var readBack: Task<Void, Never>? { arrears?.readBack }

    private var inArrears: Arrears {
        if let arrears { return arrears }
        let new = Arrears()
        arrears = new
        return new
    }

    /// Lets go of what a subscriber that keeps up does not need.
    private func settle() {
        if arrears?.isNeeded == false { arrears = nil }
    }

    /// The id of the position.
    final var identifier: EventIdentifier {
        EventIdentifier(epoch: epoch, sequence: position, ordinal: isAtStart ? subscription.passedOrdinal : 0)
    }

    /// Sends `frames` behind what is pending, whatever the position.
    final func push(_ frames: [UInt8]) {
        guard state != .closed else { return }
        pending = pending.isEmpty ? frames[...] : ArraySlice(pending + frames)
        flush()
    }

    /// Sends what the ring holds behind the position, or starts to read back what it does not hold.
    final func serve() {
        guard state == .live, readBack == nil, !isEnding, isBehind else { return }
        if needsCore { return startReadBack() }
        if subscription.isPlain { servePlain() } else { serveChosen() }
    }

    /// Whether the feed knows of records behind the position.
    private var isBehind: Bool { !epoch.isEmpty && epoch == feed.epoch && position < feed.ring.latest }

    /// Whether they must be asked for.
    private var needsCore: Bool { subscription.needsReadBack || !feed.ring.covers(position) }

    private func servePlain() {
        while state == .live, let (bytes, last) = feed.ring.frames(after: position) {
            let sent = send(bytes)
            touch()
            feed.countEvents(Int(last - position))
            // What the kernel did not take shares the ring's memory and goes first: the position counts it as sent.
            position = last
            isUntold = false
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
                isUntold = !subscription.wants(change)
                if isUntold { continue }
                events += 1
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
    final func writable() {
        guard state == .blocked else { return }
        state = .live
        flush()
        guard state == .live else { return }
        if isEnding { return conclude() }
        if readBack == nil { serve() } else { wakeReadBack() }
    }

    private func flush() {
        guard state != .blocked, !pending.isEmpty else { return }
        let sent = send(pending)
        touch()
        pending = sent == pending.count ? [] : pending.dropFirst(sent)
        if !pending.isEmpty { block() } else { settle() }
    }

    private func block() {
        if state == .closed { return }
        state = .blocked
        inArrears.blockedSince = feed.now
    }

    private func touch() { nextHeartbeat = NearTime(feed.now + subscription.heartbeatMilliseconds) }

    // MARK: Reading back

    /// Where a subscriber stands: what was asked for one place must not be taken for another.
    struct Place: Equatable {
        let epoch: String
        let position: SequenceNumber
    }

    final var place: Place { Place(epoch: epoch, position: position) }

    private var isAtStart: Bool { shared.start.map { $0 == place } ?? false }

    private func startReadBack() {
        feed.countReadBack()
        inArrears.readBack = NetLoop.spawn { [weak self] in await self?.runReadBack() }
    }

    private func runReadBack() async {
        while state != .closed, !isEnding, isBehind, needsCore {
            let asked = place
            do throws(ThemisError) {
                let page = try await feed.readPage(for: self)
                // The feed may have moved this subscriber meanwhile: the page belongs to where it was.
                guard state != .closed, !isEnding, place == asked, page.epoch == asked.epoch else { continue }
                await deliver(page)
                await drained()
                // A core that has nothing to say about records that the ring knows of is asked again, but not at once.
                if place == asked { try? await NetLoop.sleep(milliseconds: feed.backOffMilliseconds()) }
            } catch {
                guard state != .closed, !isEnding, place == asked else { continue }
                await recover(from: error)
            }
        }
        arrears?.readBack = nil
        settle()
        serve()
    }

    /// Sends a page in pieces. A reader that stops reading keeps the rest only while the feed has room for it; else it is read again.
    private func deliver(_ page: ChangesPage) async {
        var next = isAtStart ? page.changes.prefix { $0.sequence == position && $0.ordinal <= subscription.passedOrdinal }.count : 0
        repeat {
            var out: [UInt8] = []
            let start = next
            while next < page.changes.count {
                let change = page.changes[next]
                out.append(contentsOf: FeedFrame.change(change, format: subscription.format, epoch: epoch))
                next += 1
                // A position lies behind a data record; system records hang before it and are not parted from it.
                if out.count >= FeedRing.blockBytes, change.ordinal == 0 { break }
            }
            feed.countEvents(next - start)
            let before = position
            position = max(position, next < page.changes.count ? page.changes[next - 1].sequence : page.nextAfter)
            if next > start, page.changes[next - 1].sequence == position {
                isUntold = false
            } else if position != before {
                isUntold = true
            }
            let reached = place
            if !out.isEmpty { push(out) }
            guard next < page.changes.count else { return }
            if state == .blocked {
                guard feed.takeHold() else { return }
                await drained()
                feed.giveHold()
            }
            guard state == .live, !isEnding, place == reached else { return }
        } while next < page.changes.count
    }

    /// Waits until what was pushed has gone to the kernel: the next page is read only then.
    private func drained() async {
        while state == .blocked { await withCheckedContinuation { inArrears.drainWaiter = $0 } }
    }

    private func recover(from error: ThemisError) async {
        switch error.code {
        case .historyGone: await feed.refreshPosition(of: self, reason: "retention")
        case .epochChanged: await feed.refreshPosition(of: self, reason: "epoch")
        case .sequenceAhead, .cancelled: try? await NetLoop.sleep(milliseconds: feed.backOffMilliseconds())
        default:
            // Asking again cures what the core's state causes, and nothing else.
            guard error.code.status == 429 || error.code.status > 500 else {
                return end(reason: error.code.word, retryMilliseconds: feed.retryMilliseconds())
            }
            try? await NetLoop.sleep(milliseconds: feed.backOffMilliseconds())
        }
    }

    // MARK: What the feed tells

    /// Gives a subscriber that came before the core was reached its place, or moves it after a loss that was told.
    final func place(epoch: String, position: SequenceNumber) {
        shared = shared.moved(to: epoch)
        self.position = position
        isUntold = false
    }

    /// Says in the stream that records are missing, then goes on at `position`.
    final func gap(reason: String, epoch: String, position: SequenceNumber, oldest: SequenceNumber, latest: SequenceNumber) {
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
    final func tick(_ now: Int64) {
        switch state {
        case .closed: return
        case .blocked:
            if now - (arrears?.blockedSince ?? now) > feed.options.stallMilliseconds {
                feed.countEvicted()
                abort()
            } else if expires.hasCome(now) {
                end(reason: "rotation", retryMilliseconds: feed.retryMilliseconds())
            }
            return
        case .live: break
        }
        if expires.hasCome(now) { return end(reason: "rotation", retryMilliseconds: feed.retryMilliseconds()) }
        guard nextHeartbeat.hasCome(now) else { return }
        feed.countHeartbeat()
        if isUntold, !epoch.isEmpty {
            isUntold = false
            push(FeedFrame.bookmark(identifier))
        } else {
            push(FeedFrame.heartbeat)
        }
    }

    /// Ends the stream in order: why, and where to go on.
    final func end(reason: String, retryMilliseconds: Int) {
        guard state != .closed, !isEnding else { return }
        inArrears.isEnding = true
        let identifier = epoch.isEmpty ? nil : identifier
        // A blocked stream still owes the rest of a frame; the end goes behind it.
        push(
            FeedFrame.retry(milliseconds: retryMilliseconds)
                + FeedFrame.event("end", id: identifier) { out in
                    out.append(contentsOf: #"{"reason":"\#(reason)","resume":"\#(identifier?.text ?? "")"}"#.utf8)
                })
        if state != .blocked { conclude() }
    }

    private func conclude() {
        guard state != .closed else { return }
        leave()
        finish()
    }

    private func leave() {
        state = .closed
        readBack?.cancel()
        wakeReadBack()
        feed.remove(self)
    }

    private func wakeReadBack() {
        guard let waiter = arrears?.drainWaiter else { return }
        arrears?.drainWaiter = nil
        waiter.resume()
    }

    /// The connection is gone, or must go.
    final func abort() {
        guard state != .closed else { return }
        leave()
        close()
    }
}
