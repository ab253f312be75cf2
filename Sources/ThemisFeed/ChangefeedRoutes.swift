import ThemisBase
public import ThemisNet
import ThemisRPC

/// The changefeed's part of a route table, mounted by the changefeed process and by the gateway.
public enum ChangefeedRoutes {
    /// The rows over `feed`. `isEnabled` is asked for each request: the feature is switched while the process runs.
    public static func routes(_ feed: Feed, isEnabled: @escaping @Sendable @NetLoop () -> Bool) -> [Route] {
        @NetLoop func requireFeature() throws(ThemisError) {
            guard isEnabled() else { throw ThemisError(.featureDisabled, "the changefeed is off: set features.cdc to true") }
        }
        func guarded(_ body: @escaping @Sendable @NetLoop (Feed, HTTPExchange) async throws -> Void) -> HTTPHandler {
            { exchange in
                try requireFeature()
                try await body(feed, exchange)
            }
        }
        return [
            Route(
                .get, "/changefeed", .wait, scope: .cdcRead, parameters: ChangefeedQuery.pageNames,
                summary: "A page of change records after a position; waits for the next commit on request.", handler: guarded(page)),
            .direct(
                .get, "/changefeed/stream", .streamOut, scope: .cdcRead, parameters: ChangefeedQuery.streamNames,
                summary: "Change records as server-sent events, from a position on without an end."
            ) { (exchange) throws(ThemisError) in
                try requireFeature()
                try stream(feed, exchange)
            },
            Route(
                .get, "/changefeed/stats", scope: .cdcRead, summary: "Positions, size and age of the change log, and its subscribers.",
                handler: guarded(stats)),
        ]
    }

    // MARK: Pages

    @NetLoop private static func page(_ feed: Feed, _ exchange: HTTPExchange) async throws {
        let query = try ChangefeedQuery({ exchange.queryParameter($0) }, lastEventID: nil)
        exchange.setWait(milliseconds: query.longPollMilliseconds)
        var request = ChangesReadRequest()
        request.after = query.position ?? 0
        request.fromNow = query.position == nil
        request.epoch = query.epoch
        request.limit = UInt32(query.limit)
        request.waitMilliseconds = UInt32(query.longPollMilliseconds)
        request.filter = query.subscription.filter
        request.oldValues = query.subscription.format.includesOldValue
        var page = try await feed.read(request, query.subscription) {
            RequestMetadata(
                deadlineMilliseconds: exchange.remainingMilliseconds.map { UInt32(clamping: max(1, $0)) } ?? 0, trace: exchange.traceparent,
                principal: exchange.principal, scopes: exchange.scopes)
        }
        page.changes.removeFirst(
            page.changes.prefix { $0.sequence == query.position && $0.ordinal <= query.subscription.passedOrdinal }.count)
        var out: [UInt8] = []
        out.reserveCapacity(256 + page.changes.reduce(0) { $0 + $1.value.count * 5 / 4 + 256 })
        out.append(contentsOf: #"{"events":["#.utf8)
        for (index, change) in page.changes.enumerated() {
            if index > 0 { out.append(0x2C) }
            query.subscription.format.append(change, epoch: page.epoch, to: &out)
        }
        let cursor = EventIdentifier(epoch: page.epoch, sequence: page.nextAfter).text
        out.append(
            contentsOf: (#"],"count":\#(page.changes.count),"latest_sequence":\#(page.latest),"oldest_sequence":\#(page.oldest),"#
                + #""next_seq":\#(page.nextAfter),"cursor":"\#(cursor)","epoch":"\#(page.epoch)"}"#).utf8)
        exchange.respond(200, contentType: "application/json", headers: [("Cache-Control", "no-store")], body: out)
    }

    // MARK: Streams

    /// Thousands come at once when a process has gone, and wait together for the newest position: without a task, which would take four
    /// kilobytes for each. Only what the core must be asked for has one.
    @NetLoop private static func stream(_ feed: Feed, _ exchange: HTTPExchange) throws(ThemisError) {
        let query = try ChangefeedQuery({ exchange.queryParameter($0) }, lastEventID: exchange.head.fields["last-event-id"])
        try feed.admit()
        guard !query.subscription.format.includesOldValue else {
            return exchange.continueAsTask { exchange in
                try await feed.requireOldValues(of: query.subscription.filter.table)
                await feed.awaitNewest()
                try await feed.prove(query.position, epoch: query.epoch)
                try begin(query, feed, exchange)
            }
        }
        feed.whenNewestIsKnown {
            guard !feed.isUnheardOf(query.position, epoch: query.epoch) else {
                return exchange.continueAsTask { exchange in
                    try await feed.prove(query.position, epoch: query.epoch)
                    try begin(query, feed, exchange)
                }
            }
            do throws(ThemisError) { try begin(query, feed, exchange) } catch { exchange.fail(error) }
        }
    }

    @NetLoop private static func begin(_ query: ChangefeedQuery, _ feed: Feed, _ exchange: HTTPExchange) throws(ThemisError) {
        if exchange.head.method == .head { return exchange.respondEventStreamHead() }
        // Once more: others came, or the core was asked, meanwhile.
        try feed.admit()
        let start = try exchange.beginEventStream()
        let subscriber = feed.subscribe(
            query.subscription, position: query.position, epoch: query.epoch, maxSeconds: query.maxSeconds
        ) { Subscriber($0, start) }
        guard subscriber.isOpen else { return subscriber.abort() }
        feed.greet(subscriber)
    }

    // MARK: Stats

    @NetLoop private static func stats(_ feed: Feed, _ exchange: HTTPExchange) async throws {
        let info = try await feed.info()
        let age = info.oldestMilliseconds == 0 ? 0 : max(0, feed.wallMilliseconds - info.oldestMilliseconds)
        // Nothing is missed by a process whose readers wait for nothing.
        let lag = feed.epoch.isEmpty || info.latest <= feed.latest ? 0 : info.latest - feed.latest
        let text =
            #"{"epoch":"\#(info.epoch)","oldest_sequence":\#(info.oldest),"latest_sequence":\#(info.latest),"bytes":\#(info.bytes),"#
            + #""oldest_timestamp_ms":\#(info.oldestMilliseconds),"latest_timestamp_ms":\#(info.latestMilliseconds),"age_ms":\#(age),"#
            + #""followers":\#(info.followers),"subscribers":\#(feed.subscriberCount),"slowest_subscriber_lag":\#(feed.slowestLag),"#
            + #""lag":\#(lag),"following":\#(feed.isFollowing)}"#
        exchange.respond(200, contentType: "application/json", headers: [("Cache-Control", "no-store")], body: Array(text.utf8))
    }
}
