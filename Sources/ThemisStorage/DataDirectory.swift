import CRocksDB
import Glibc
public import ThemisBase

/// The directory that holds everything of one core, locked for this process as long as the object lives (docs/data-format.md,
/// "Files").
///
/// `LOCK` names the holder, `FORMAT` the version of the whole, `db/` is the engine's, `DURABLE` the durable mark, `ballast` the
/// reserve for a full disk, `SALVAGED` the note that a salvage leaves. Any thread.
public final class DataDirectory: Sendable {
    /// The format version this build writes, and the newest it reads.
    public static let formatVersion = 1

    /// Looks at a lock that is held, before it is believed.
    private static let lockAttempts = 20
    /// Between two looks.
    private static let lockPauseMicroseconds: UInt32 = 10_000

    /// The directory, as given.
    public let path: String
    /// Whether this call created the data.
    public let isNew: Bool
    private let lockDescriptor: Int32

    /// Opens `path`, creating it when it is not there, and takes its lock.
    ///
    /// - Throws: `data_locked` naming the pid that holds it; `format_too_new`; `invalid_configuration` when it is a snapshot or
    ///   cannot be
    ///   written.
    public init(opening path: String) throws(ThemisError) {
        self.path = path
        do throws(SystemFailure) { try FileSystem.makeDirectories(path) } catch { throw Self.unusable(path, error) }
        if FileSystem.exists("\(path)/MANIFEST.json") {
            throw ThemisError(
                .invalidConfiguration,
                "data directory \(path) is a snapshot (it holds MANIFEST.json): restore it into another directory"
            )
        }
        guard unsafe access(path, W_OK | X_OK) == 0 else { throw Self.unusable(path, SystemFailure("write to", path)) }
        var holder: Int64 = 0
        var descriptor = unsafe themis_data_lock("\(path)/LOCK", &holder)
        // A process that was being started when the last holder let go has its descriptor until it runs its own program: an instant.
        var attempt = 1
        while descriptor == -EWOULDBLOCK, attempt < Self.lockAttempts {
            usleep(Self.lockPauseMicroseconds)
            descriptor = unsafe themis_data_lock("\(path)/LOCK", &holder)
            attempt += 1
        }
        guard descriptor >= 0 else {
            guard descriptor == -EWOULDBLOCK else {
                throw Self.unusable(path, SystemFailure("lock", "\(path)/LOCK", -descriptor))
            }
            let who = holder > 0 ? "process \(holder)" : "another process"
            throw ThemisError(.dataLocked, "data directory \(path) is held by \(who); stop it or choose another directory")
        }
        do throws(ThemisError) {
            isNew = try Self.checkFormat(path)
        } catch {
            Glibc.close(descriptor)
            throw error
        }
        lockDescriptor = descriptor
    }

    deinit { Glibc.close(lockDescriptor) }

    /// Where the engine keeps its files.
    public var enginePath: String { "\(path)/db" }

    /// Whether a salvage has cut history since the last open that took notice: a new epoch must begin.
    public var isSalvaged: Bool { FileSystem.exists("\(path)/SALVAGED") }

    /// Forgets that a salvage took place: called once the new epoch is durable.
    public func acknowledgeSalvage() throws(ThemisError) {
        do throws(SystemFailure) {
            try FileSystem.remove("\(path)/SALVAGED")
            try FileSystem.syncDirectory(path)
        } catch { throw error.error }
    }

    private static func unusable(_ path: String, _ failure: SystemFailure) -> ThemisError {
        failure.startError(.invalidConfiguration, "data directory \(path) cannot be used: \(failure.text)")
    }

    /// Whether the directory is new. Writes `FORMAT` when it is.
    private static func checkFormat(_ path: String) throws(ThemisError) -> Bool {
        let bytes: [UInt8]?
        do throws(SystemFailure) { bytes = try FileSystem.contents("\(path)/FORMAT") } catch { throw unusable(path, error) }
        guard let bytes else {
            if FileSystem.exists("\(path)/db/CURRENT") {
                throw ThemisError(.dataCorrupt, "data directory \(path) has data but no file FORMAT; restore a snapshot")
            }
            do throws(SystemFailure) {
                try FileSystem.replace("FORMAT", in: path, with: Array("themis-data \(formatVersion)\n".utf8))
            } catch { throw unusable(path, error) }
            return true
        }
        let words = String(decoding: bytes, as: UTF8.self).split(whereSeparator: { $0 == " " || $0 == "\n" })
        guard words.count == 2, words[0] == "themis-data", let version = Int(words[1]), version > 0 else {
            throw ThemisError(.dataCorrupt, "\(path)/FORMAT is damaged; it should read \"themis-data \(formatVersion)\"")
        }
        guard version <= formatVersion else {
            throw ThemisError(
                .formatTooNew,
                "data directory \(path) has format \(version); this build (\(Build.version)) reads up to \(formatVersion)")
        }
        return false
    }
}
