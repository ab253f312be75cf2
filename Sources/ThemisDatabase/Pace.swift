import ThemisBase
import ThemisTelemetry

/// How fast work in the background goes: as fast as it can while nobody writes, and with a rest after each piece while someone does.
///
/// One thread at a time.
struct Pace {
    /// Bounds of a rest in milliseconds: it ends soon when the work is cancelled.
    private static let restMilliseconds: ClosedRange<Int64> = 1...20
    /// So long after a write of others, more are expected: most pieces take less time than lies between two writes.
    private static let sharedNanoseconds: UInt64 = 100_000_000

    private let restShare: UInt64
    private let published: PublishStage
    private let time: any TimeSource
    private var begunNanoseconds: UInt64
    private var sequence: SequenceNumber
    private var sharedUntilNanoseconds: UInt64 = 0
    /// Whether others write.
    private(set) var isShared = false

    /// A rest is `restShare` times as long as the piece before it.
    init(_ published: PublishStage, _ time: any TimeSource, restShare: UInt64) {
        self.restShare = restShare
        self.published = published
        self.time = time
        begunNanoseconds = time.monotonicNanoseconds()
        sequence = published.visibleSequence
    }

    /// Ends a piece: rests if others write. `own` is what the piece itself added to the log.
    mutating func rest(own: UInt64 = 0) {
        let now = time.monotonicNanoseconds()
        let visible = published.visibleSequence
        if visible > sequence + own { sharedUntilNanoseconds = now + Self.sharedNanoseconds }
        sequence = visible
        isShared = now < sharedUntilNanoseconds
        if isShared {
            let wanted = (now - begunNanoseconds) * restShare / 1_000_000
            Self.pause(min(max(Int64(wanted), Self.restMilliseconds.lowerBound), Self.restMilliseconds.upperBound))
        }
        begunNanoseconds = time.monotonicNanoseconds()
    }

    /// Waits.
    static func pause(_ milliseconds: Int64) {
        let never = Monitor(())
        _ = never.wait(milliseconds: milliseconds) { _ -> Void? in nil }
    }
}
