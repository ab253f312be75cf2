/// How a feed behaves. Set once, by the service that mounts it.
public struct FeedOptions: Sendable {
    /// Bytes of recent records and frames that the process keeps for all subscribers together.
    public var ringBytes = 32 << 20
    /// How long the feed goes on following when nobody waits for records any more: a client that polls, or that connects again, finds
    /// the newest ones here.
    public var restMilliseconds = 10_000
    /// Pages that are read back from the core at once for subscribers behind the ring; the others wait their turn.
    public var concurrentReadBacks = 8
    /// The same for subscribers whose records never come from the ring, so that they do not stand in the way of the others.
    public var concurrentUnringedReads = 4
    /// Pages that readers which do not keep up may hold at once; the rest of a page beyond it is read again.
    public var heldPages = 16
    /// Records of one page that is read back.
    public var readBackRecords = 500
    /// A stream ends after this long and the client connects again: connections spread over processes. Jittered by ± 20 %.
    public var rotationSeconds = 600
    /// A subscriber that takes no byte for this long is let go.
    public var stallMilliseconds: Int64 = 60_000
    /// Subscribers of this process; beyond it 503.
    public var maxSubscribers = 10_000

    /// The defaults.
    public init() {}
}
