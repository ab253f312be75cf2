import Synchronization
import ThemisBase

/// Whether the wall clock can be believed when it says that something has expired. Readers always believe it; what is removed is gone.
///
/// The wall clock is compared with the monotonic one. While it runs more than a minute ahead of what was seen, nothing is swept until
/// an operator accepts it. At a start it may be an hour ahead of the last commit or look, plus the time that the monotonic clock shows
/// to have passed since. Any thread.
final class ExpiryClock: Sendable {
    /// What is kept of a look, for the next start.
    struct Record: Sendable, Equatable {
        var wallMilliseconds: Int64
        var monotonicMilliseconds: Int64

        var encoded: [UInt8] {
            MetaRecords.pair(UInt64(bitPattern: wallMilliseconds), UInt64(bitPattern: monotonicMilliseconds))
        }

        /// - Throws: `data_corrupt`.
        init(_ bytes: [UInt8]) throws(ThemisError) {
            let (wall, monotonic) = try MetaRecords.pair(bytes, of: "the clock")
            self.init(wall: Int64(bitPattern: wall), monotonic: Int64(bitPattern: monotonic))
        }

        init(wall: Int64, monotonic: Int64) {
            wallMilliseconds = wall
            monotonicMilliseconds = monotonic
        }
    }

    /// A leap of the wall clock while the process runs.
    private static let leapMilliseconds: Int64 = 60_000
    /// A leap between two processes: their clocks can only be compared roughly.
    private static let startLeapMilliseconds: Int64 = 3_600_000

    private struct State {
        /// Wall minus monotonic clock when it was last believed.
        var offset: Int64
        var isPaused: Bool
    }

    private let time: any TimeSource
    private let state: Mutex<State>

    /// - Parameters:
    ///   - record: the last look before this start; nil when there was none.
    ///   - lastCommit: milliseconds since 1970; 0 when there was none.
    init(_ time: any TimeSource, record: Record?, lastCommit: Int64) {
        self.time = time
        let wall = time.wallMilliseconds()
        let monotonic = time.monotonicMilliseconds()
        var isPaused = false
        if let record {
            // After a restart of the machine the monotonic clock has begun anew: the time that it was off is not known.
            let elapsed = max(0, monotonic - record.monotonicMilliseconds)
            isPaused = wall - max(record.wallMilliseconds + elapsed, lastCommit) > Self.startLeapMilliseconds
        }
        state = Mutex(State(offset: wall - monotonic, isPaused: isPaused))
    }

    /// Looks at the clocks. Nil while the wall clock is not believed; else the time by which entities may be removed, which is never
    /// ahead of the wall clock, even when commits were.
    func horizon(database now: Int64) -> Int64? {
        let wall = time.wallMilliseconds()
        let offset = wall - time.monotonicMilliseconds()
        return state.withLock { state in
            guard !state.isPaused else { return nil }
            let leap = offset - state.offset
            if leap > Self.leapMilliseconds {
                state.isPaused = true
                return nil
            }
            // Slow drift is followed. A clock that was set back may return to where it was.
            if leap >= -Self.leapMilliseconds { state.offset = offset }
            return min(now, wall)
        }
    }

    /// Believes the wall clock as it is.
    func accept() {
        let offset = time.wallMilliseconds() - time.monotonicMilliseconds()
        state.withLock { $0 = State(offset: offset, isPaused: false) }
    }

    /// Whether the wall clock is not believed.
    var isPaused: Bool { state.withLock { $0.isPaused } }

    /// What to keep for the next start.
    var record: Record { Record(wall: time.wallMilliseconds(), monotonic: time.monotonicMilliseconds()) }
}
