import Glibc
import Synchronization
import ThemisBase
import ThemisTelemetry

/// Refuses writes before the disk is full, and keeps a ballast file to give up when it nearly is. Any thread.
///
/// Free space is measured at most once a second; bytes admitted in between are taken off the last measure.
final class FreeSpaceGuard: Sendable {
    private struct State {
        var measuredAt: UInt64?
        var free: UInt64 = .max
        var isRefusing = false
        var hasBallast = false
    }

    private static let intervalNanoseconds: UInt64 = 1_000_000_000

    /// A log record, a change of the file list and a block or two of the file system.
    private static let removalBytes: UInt64 = 1 << 20

    private let paths: [String]
    private let ballastPath: String
    private let minFreeBytes: UInt64
    private let ballastBytes: UInt64
    private let telemetry: Telemetry
    private let state: Mutex<State>

    /// Watches the file systems of `paths`; the ballast lies in `directory`.
    init(directory: String, paths: [String], minFreeBytes: UInt64, ballastBytes: UInt64, telemetry: Telemetry) {
        self.paths = paths
        self.minFreeBytes = minFreeBytes
        self.ballastBytes = ballastBytes
        self.telemetry = telemetry
        ballastPath = "\(directory)/ballast"
        state = Mutex(State(hasBallast: FileSystem.exists("\(directory)/ballast")))
        measure()
    }

    /// Admits a write of `bytes`.
    ///
    /// - Throws: `disk_full` when less than the watermark is free.
    func admit(bytes: Int) throws(ThemisError) {
        let now = telemetry.time.monotonicNanoseconds()
        let isRefused = state.withLock { state in
            remeasure(&state, now)
            if !state.isRefusing { state.free -= min(state.free, UInt64(bytes)) }
            // The measure may be old by almost a second, in which many writes were admitted.
            if !state.isRefusing, state.free < minFreeBytes { remeasure(&state, now, isForced: true) }
            return state.isRefusing
        }
        guard isRefused else { return }
        throw ThemisError(
            .diskFull, "less than \(minFreeBytes >> 20) MiB are free on the disk of the data; writes resume when there is more",
            outcome: .notCommitted)
    }

    /// Admits a removal, which makes room but writes a few bytes of log first: held to no watermark, but never to the last byte.
    ///
    /// - Throws: `disk_full` when not even a removal fits, and the ballast is gone.
    func admitRemoval() throws(ThemisError) {
        let now = telemetry.time.monotonicNanoseconds()
        let free = state.withLock { state in
            remeasure(&state, now, isForced: true)
            return state.free
        }
        guard free < Self.removalBytes else { return }
        throw ThemisError(
            .diskFull, "the disk is full, and nothing can be removed without some free space", outcome: .notCommitted)
    }

    /// Refuses what writes files by itself, such as opening the data, when the disk is full to the last byte: some builds of RocksDB abort
    /// where they should fail.
    ///
    /// - Throws: `disk_full`, also without a watermark.
    func admitFiles() throws(ThemisError) {
        let now = telemetry.time.monotonicNanoseconds()
        let free = state.withLock { state in
            remeasure(&state, now, isForced: true)
            return state.free
        }
        guard free < Self.removalBytes else { return }
        throw ThemisError(.diskFull, "the disk of the data is full: free some space", outcome: .notCommitted)
    }

    /// Whether writes are refused, as of the last look. Does not look: for a loop thread.
    var isRefusing: Bool { state.withLock { $0.isRefusing } }

    /// Whether there is no room, by a look at this moment.
    func isShortNow() -> Bool {
        let now = telemetry.time.monotonicNanoseconds()
        return state.withLock { state in
            remeasure(&state, now, isForced: true)
            return state.isRefusing
        }
    }

    /// Looks at the disk if the last look is old: also called where nobody writes, so that the ballast follows the free space.
    func measure() {
        let now = telemetry.time.monotonicNanoseconds()
        state.withLock { remeasure(&$0, now) }
    }

    private func remeasure(_ state: inout State, _ now: UInt64, isForced: Bool = false) {
        if !isForced, let measuredAt = state.measuredAt, now &- measuredAt < Self.intervalNanoseconds { return }
        state.measuredAt = now
        guard let free = freeBytes() else { return }
        state.free = free
        adjustBallast(&state)
        let isRefusing = state.free < minFreeBytes
        guard isRefusing != state.isRefusing else { return }
        state.isRefusing = isRefusing
        if isRefusing {
            telemetry.log.error(
                "disk is nearly full: writes are refused, reads go on",
                [(.bytes, String(state.free)), (.limit, String(minFreeBytes))])
        } else {
            telemetry.log.info("disk has space again: writes go on", [(.bytes, String(state.free))])
        }
    }

    /// The least that any of the file systems has; nil when none can tell.
    private func freeBytes() -> UInt64? {
        var least: UInt64?
        for path in paths {
            do throws(SystemFailure) {
                let free = try FileSystem.freeBytes(path)
                least = min(least ?? free, free)
            } catch { telemetry.log.warning("free space cannot be measured", [(.error, error.text)]) }
        }
        return least
    }

    private func adjustBallast(_ state: inout State) {
        guard ballastBytes > 0 else { return }
        do throws(SystemFailure) {
            if state.hasBallast, state.free < minFreeBytes / 4 {
                try FileSystem.remove(ballastPath)
                state.hasBallast = false
                state.free = freeBytes() ?? state.free
                telemetry.log.error("ballast given up: the disk is all but full", [(.bytes, String(state.free))])
            } else if !state.hasBallast, state.free / 2 >= ballastBytes, state.free - 2 * ballastBytes >= minFreeBytes {
                let file = try OpenFile(ballastPath, O_RDWR | O_CREAT)
                let result = posix_fallocate(file.descriptor, 0, off_t(ballastBytes))
                guard result == 0 else {
                    try FileSystem.remove(ballastPath)
                    throw SystemFailure("reserve", ballastPath, result)
                }
                state.hasBallast = true
                state.free = freeBytes() ?? state.free
                telemetry.log.info("ballast laid down for a full disk", [(.bytes, String(ballastBytes))])
            }
        } catch { telemetry.log.warning("ballast cannot be changed", [(.error, error.text)]) }
    }
}
