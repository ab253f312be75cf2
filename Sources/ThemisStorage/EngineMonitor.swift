import CRocksDB
import Synchronization
import ThemisBase
import ThemisTelemetry

/// Keeps the health of an engine, and decides what its background threads' reports mean. Any thread.
///
/// Health only gets worse while the engine is open: what damage or a failed sync left behind is known only after a new start.
final class EngineMonitor: Sendable {
    private struct State {
        var health = EngineHealth.healthy
        /// A flush or compaction found no space; RocksDB goes on by itself when there is some.
        var hasNoSpace = false
    }

    private let state = Mutex(State())
    private let log: Logger

    init(log: Logger) { self.log = log }

    var health: EngineHealth { state.withLock { $0.health } }

    /// Whether a flush or compaction found no space and has not found any since.
    var hasNoSpace: Bool { state.withLock { $0.hasNoSpace } }

    /// Refuses a write that the engine's state forbids, before the engine is touched.
    func admitWrite() throws(ThemisError) {
        let (health, hasNoSpace) = state.withLock { ($0.health, $0.hasNoSpace) }
        switch health {
        case .failed: throw Self.commitUnknown
        case .readOnly(let reason):
            throw ThemisError(.storageReadOnly, "writes are refused: \(reason)", outcome: .notCommitted, retryAfterSeconds: 30)
        case .healthy, .degraded:
            if hasNoSpace {
                throw ThemisError(.diskFull, "the disk is full: a background write found no space", outcome: .notCommitted)
            }
        }
    }

    static let commitUnknown = ThemisError(
        .commitUnknown, "a write to the log failed and its outcome is unknown until the core has started again",
        outcome: .unknown,
        retryAfterSeconds: 1)

    /// A write or sync of the log failed: nothing more may be written by this process.
    func fail(_ reason: String) {
        if worsen(to: .failed("a write to the log failed")) {
            log.error("write-ahead log failed: the process must end and start again", [(.error, reason)])
        }
    }

    /// A read met damage.
    func degrade(_ reason: String) {
        let file = Self.fileName(in: reason)
        if worsen(to: .degraded("file \(file) is damaged")) {
            log.error("stored data is damaged: restore a snapshot; other keys still work", [(.file, file), (.error, reason)])
        } else {
            log.warning("read of damaged data", [(.file, file)])
        }
    }

    /// What a listener reported.
    func receive(kind: Int32, detail: Int32, code: Int32, subcode: Int32, message: String) {
        switch kind {
        case THEMIS_EVENT_BACKGROUND_ERROR: receiveError(reason: detail, code: code, subcode: subcode, message: message)
        case THEMIS_EVENT_RECOVERED:
            state.withLock { $0.hasNoSpace = false }
            log.info("background writes go on: there is space again")
        case THEMIS_EVENT_STALL:
            switch detail {
            case 0: log.info("writes run at full speed again")
            case 1: log.warning("writes are slowed: compaction lags behind")
            default: log.warning("writes are stopped until compaction has caught up")
            }
        default: break
        }
    }

    private func receiveError(reason: Int32, code: Int32, subcode: Int32, message: String) {
        let isBackground = reason == THEMIS_REASON_FLUSH || reason == THEMIS_REASON_COMPACTION
        if code == THEMIS_IO_ERROR, subcode == THEMIS_SUBCODE_NO_SPACE {
            // In the write path it is the caller of the write that fails.
            guard isBackground else { return }
            state.withLock { $0.hasNoSpace = true }
            log.error("background write found no space; writes are refused until there is some", [(.error, message)])
        } else if code == THEMIS_CORRUPTION {
            let file = Self.fileName(in: message)
            if worsen(to: .readOnly("file \(file) is damaged and a compaction met it")) {
                log.error(
                    "compaction met damaged data: writes are refused until restore or --salvage",
                    [(.file, file), (.error, message)])
            }
        } else {
            fail(message)
        }
    }

    /// Whether `health` was better before.
    private func worsen(to health: EngineHealth) -> Bool {
        state.withLock { state in
            guard Self.rank(health) > Self.rank(state.health) else { return false }
            state.health = health
            return true
        }
    }

    private static func rank(_ health: EngineHealth) -> Int {
        switch health {
        case .healthy: 0
        case .degraded: 1
        case .readOnly: 2
        case .failed: 3
        }
    }

    /// The data file that a message of RocksDB names, without its directory.
    static func fileName(in message: String) -> String {
        for word in message.split(whereSeparator: { " ,:;".contains($0) }) {
            if let name = word.split(separator: "/").last, name.hasSuffix(".sst") || name.hasPrefix("MANIFEST-") {
                return String(name)
            }
        }
        return "unknown"
    }
}
