import ThemisBase
import ThemisTelemetry

/// How fast work in the background goes: as fast as it can while nobody writes, and with a rest after each piece while someone does.
///
/// One thread at a time.
struct Pace {
    /// How long a rest is, by the time of the piece before it.
    private static let restShare: UInt64 = 2
    /// Bounds of a rest in milliseconds: it ends soon when the work is cancelled.
    private static let restMilliseconds: ClosedRange<Int64> = 1...20

    private let published: PublishStage
    private let time: any TimeSource
    private var begunNanoseconds: UInt64
    private var sequence: SequenceNumber

    init(_ published: PublishStage, _ time: any TimeSource) {
        self.published = published
        self.time = time
        begunNanoseconds = time.monotonicNanoseconds()
        sequence = published.visibleSequence
    }

    /// Ends a piece: rests if others wrote since the last one. `own` is what the piece itself added to the log.
    mutating func rest(own: UInt64 = 0) {
        let isBusy = published.visibleSequence > sequence + own
        if isBusy {
            let worked = (time.monotonicNanoseconds() - begunNanoseconds) * Self.restShare / 1_000_000
            Self.pause(min(max(Int64(worked), Self.restMilliseconds.lowerBound), Self.restMilliseconds.upperBound))
        }
        begunNanoseconds = time.monotonicNanoseconds()
        sequence = published.visibleSequence
    }

    /// Waits.
    static func pause(_ milliseconds: Int64) {
        let never = Monitor(())
        _ = never.wait(milliseconds: milliseconds) { _ -> Void? in nil }
    }
}
