import ThemisBase

/// Tells a request that comes in drops from one that comes in pieces, by what each read brought.
struct TrickleGauge {
    private var drops = 0
    private var seenBytes: UInt64 = 0

    /// Notes a read. True once: when `Limits.dropsOfTrickle` reads in a row brought less than `Limits.dropBytes` each, and the request is
    /// unfinished after all of them.
    mutating func noteRead(receivedBytes: UInt64, isUnfinished: Bool) -> Bool {
        let arrived = receivedBytes - seenBytes
        seenBytes = receivedBytes
        drops = isUnfinished && arrived < UInt64(Limits.dropBytes) ? drops + 1 : 0
        return drops == Limits.dropsOfTrickle
    }
}
