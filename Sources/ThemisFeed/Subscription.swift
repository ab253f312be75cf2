import ThemisBase
import ThemisNet
import ThemisRPC

/// What many subscribers have in common.
@NetLoop final class SharedSubscription {
    let value: Subscription
    unowned let feed: Feed
    /// The epoch that positions count in; empty until the core was reached.
    let epoch: String
    /// Whether the client asked for what comes next, whatever came before.
    let startsAtNewest: Bool
    /// Where the one reader went on whose subscription tells what it has passed there; nil for all others.
    let start: Subscriber.Place?

    init(_ value: Subscription, feed: Feed, epoch: String, startsAtNewest: Bool, start: Subscriber.Place?) {
        self.value = value
        self.feed = feed
        self.epoch = epoch
        self.startsAtNewest = startsAtNewest
        self.start = start
    }

    /// The same in another epoch.
    func moved(to epoch: String) -> SharedSubscription {
        epoch == self.epoch ? self : feed.shared(value, epoch: epoch, startsAtNewest: startsAtNewest, start: start)
    }
}

/// A time of the monotonic clock, in milliseconds, within 24 days of the moment at which it is looked at.
struct NearTime {
    private let milliseconds: UInt32

    init(_ milliseconds: Int64) { self.milliseconds = UInt32(truncatingIfNeeded: milliseconds) }

    func hasCome(_ now: Int64) -> Bool { Int32(bitPattern: UInt32(truncatingIfNeeded: now) &- milliseconds) >= 0 }
}

/// Which records a subscriber wants and how they look.
struct Subscription: Sendable, Equatable {
    var filter = ChangesFilter()
    var format = EventFormat.standard
    var heartbeatMilliseconds: Int64 = 15_000
    /// The last system record at the position where the reader goes on that it has seen; 0 for none.
    var passedOrdinal: UInt32 = 0

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
