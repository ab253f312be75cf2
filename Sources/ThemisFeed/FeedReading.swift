import ThemisBase
import ThemisNet
import ThemisRPC

/// What the feed asks the core for: pages of requests and of subscribers that the ring does not serve.
extension Feed {
    // MARK: Proofs

    /// Whether a position that a client gave lies beyond all that this process has heard of.
    func isUnheardOf(_ position: SequenceNumber?, epoch wanted: String) -> Bool {
        guard let position else { return false }
        return position > ring.latest && (wanted.isEmpty || wanted == epoch) && !epoch.isEmpty
    }

    /// Proves a position that a client gave, as far as the core can be asked.
    ///
    /// - Throws: `sequence_ahead` for a position that nothing has reached.
    func prove(_ position: SequenceNumber?, epoch wanted: String) async throws(ThemisError) {
        guard let position, isUnheardOf(position, epoch: wanted) else { return }
        // Another process may have shown it an instant before this one learns of it.
        guard let info = try? await client.changesInfo(Self.metadata(milliseconds: 5_000)), position > info.latest else { return }
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

    // MARK: Pages

    /// The log in numbers.
    func info() async throws(ThemisError) -> ChangesInfoResponse { try await client.changesInfo(Self.metadata(milliseconds: 5_000)) }

    /// A page for a request of its own. It waits here for the next record, not in the core: a call that waits there would hold a place of
    /// the connection, which the whole process shares.
    func read(
        _ request: ChangesReadRequest, _ subscription: Subscription, _ metadata: @NetLoop () -> RequestMetadata
    ) async throws(ThemisError) -> ChangesPage {
        if request.oldValues, let table = request.filter?.table { try await requireOldValues(of: table) }
        let end = now + Int64(request.waitMilliseconds)
        var request = request
        request.waitMilliseconds = 0
        while true {
            var page = try await client.changesRead(request, metadata())
            guard page.changes.isEmpty, !isDraining, now < end else { return page }
            let hasMoved = request.fromNow || page.nextAfter > request.after
            request.fromNow = false
            request.after = page.nextAfter
            request.epoch = page.epoch
            // More was scanned than one page may look at: go on at once.
            if hasMoved, page.nextAfter < page.latest { continue }
            guard await nextWanted(&request.after, page.epoch, subscription, until: end) else {
                page.nextAfter = request.after
                page.latest = max(page.latest, request.after)
                return page
            }
        }
    }

    /// Waits until a record behind `position` may be wanted; false at `end`, or when the process stops. Moves `position` over records of
    /// the ring that are not wanted.
    private func nextWanted(
        _ position: inout SequenceNumber, _ epoch: String, _ subscription: Subscription, until end: Int64
    ) async -> Bool {
        while !Task.isCancelled, !isDraining, now < end {
            guard epoch == self.epoch || self.epoch.isEmpty else { return true }
            if position < ring.latest {
                guard !subscription.needsReadBack, ring.covers(position) else { return true }
                while position < ring.latest {
                    if subscription.wants(ring.change(position + 1)) { return true }
                    position += 1
                }
            }
            startFollowing()
            await nextTurn(milliseconds: Int(end - now))
        }
        return false
    }

    /// Waits until every stream has ended, at most `milliseconds`: one that is being read still takes what it is owed, and its end.
    public func awaitEnds(milliseconds: Int) async {
        let end = now + Int64(milliseconds)
        while subscriberCount > 0, now < end { await nextTurn(milliseconds: Int(end - now)) }
    }

    /// Waits until the ring has grown, at most `milliseconds`.
    private func nextTurn(milliseconds: Int) async {
        let id = nextPoll
        nextPoll += 1
        let timer = LoopTimer { [weak self] in self?.wake(id) }
        timer.schedule(milliseconds: max(1, milliseconds))
        await withTaskCancellationHandler {
            await withCheckedContinuation { polls[id] = $0 }
        } onCancel: {
            NetLoop.post { [weak self] in self?.wake(id) }
        }
        timer.cancel()
    }

    private func wake(_ id: UInt64) { polls.removeValue(forKey: id)?.resume() }

    /// Lets everyone who waits look again.
    func wakePolls() {
        guard !polls.isEmpty else { return }
        let woken = polls
        polls = [:]
        for poll in woken.values { poll.resume() }
    }

    // MARK: Reading back

    /// The next page for a subscriber that the ring does not serve.
    func readPage(for subscriber: Subscriber) async throws(ThemisError) -> ChangesPage {
        let places = subscriber.subscription.needsReadBack ? unringedReads : readBacks
        await places.enter()
        defer { places.leave() }
        guard subscriber.state != .closed else { throw ThemisError(.cancelled, "the subscriber has gone") }
        var request = ChangesReadRequest()
        request.after = subscriber.position
        request.epoch = subscriber.epoch
        request.limit = UInt32(options.readBackRecords)
        request.filter = subscriber.subscription.filter
        request.oldValues = subscriber.subscription.format.includesOldValue
        return try await client.changesRead(request, Self.metadata(milliseconds: 60_000))
    }

    /// Whether a reader that does not keep up may hold the rest of its page; each true is followed by one `giveHold`.
    func takeHold() -> Bool {
        guard heldPages < options.heldPages else { return false }
        heldPages += 1
        return true
    }

    func giveHold() { heldPages -= 1 }

    /// Tells a subscriber what it lost and moves it to where the history goes on.
    func refreshPosition(of subscriber: Subscriber, reason: String) async {
        let place = subscriber.place
        guard let info = try? await info() else {
            try? await NetLoop.sleep(milliseconds: backOffMilliseconds())
            return
        }
        // It was moved meanwhile, or the core sees it otherwise by now: it asks again.
        guard subscriber.place == place else { return }
        let isOtherEpoch = info.epoch != place.epoch
        let position = isOtherEpoch ? info.latest : info.oldest == 0 ? info.latest : info.oldest - 1
        guard isOtherEpoch || position > place.position else {
            try? await NetLoop.sleep(milliseconds: backOffMilliseconds())
            return
        }
        oldest = info.oldest
        subscriber.gap(
            reason: isOtherEpoch ? "epoch" : reason, epoch: info.epoch, position: position, oldest: info.oldest, latest: info.latest)
    }
}
