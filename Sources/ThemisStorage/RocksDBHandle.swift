import CRocksDB
import Synchronization
import ThemisBase

/// An open RocksDB. Views and cursors hold it too, so it closes with the last of them: closing under a live view would abort the
/// process.
///
/// `@unchecked Sendable`: `raw` never changes and RocksDB's functions, like the shim's, may be called from any thread.
@safe final class RocksDBHandle: @unchecked Sendable {
    let raw: OpaquePointer
    let monitor: EngineMonitor
    /// Locked as long as the database is open.
    private let directory: DataDirectory
    private let context: Unmanaged<EngineMonitor>

    /// - Throws: `data_corrupt` when the data cannot be opened as it stands.
    init(_ directory: DataDirectory, _ options: RocksDBOptions, nextChain: UInt64, monitor: EngineMonitor) throws(ThemisError) {
        self.directory = directory
        self.monitor = monitor
        unsafe context = Unmanaged.passRetained(monitor)
        var db: OpaquePointer?
        let status = unsafe EngineStatus(
            Self.withOptions(directory, options, nextChain: nextChain, context: context.toOpaque()) {
                unsafe themis_db_open($0, &db)
            })
        guard let db = unsafe db else {
            unsafe context.release()
            throw status.openError(directory.enginePath)
        }
        unsafe raw = db
    }

    deinit {
        if case .failed = monitor.health {
            // Debian's RocksDB aborts when a log that once failed is touched, and closing touches it. The process is about to
            // end: until then the database stays as it is, and the directory locked.
            _ = unsafe Unmanaged.passRetained(directory)
            return
        }
        unsafe themis_db_close(raw)
        unsafe context.release()
    }

    /// Rebuilds the list of files from the files that can be read.
    static func repair(_ directory: DataDirectory, _ options: RocksDBOptions) -> EngineStatus {
        unsafe EngineStatus(withOptions(directory, options, nextChain: 1, context: nil) { unsafe themis_db_repair($0) })
    }

    private static func withOptions(
        _ directory: DataDirectory, _ options: RocksDBOptions, nextChain: UInt64, context: UnsafeMutableRawPointer?,
        _ body: (UnsafePointer<themis_options>) -> themis_status
    ) -> themis_status {
        var raw = unsafe themis_options()
        unsafe raw.write_buffer_size = options.memtableBytes
        unsafe raw.db_write_buffer_size = options.totalMemtableBytes
        unsafe raw.block_cache_size = options.blockCacheBytes
        unsafe raw.max_total_wal_size = options.maxTotalWALBytes
        unsafe raw.target_file_size = options.targetFileBytes
        unsafe raw.next_chain = nextChain
        unsafe raw.max_open_files = options.maxOpenFiles
        unsafe raw.compression = options.compression.rawValue
        unsafe raw.bottommost_compression = options.bottommostCompression.rawValue
        unsafe raw.max_background_jobs = options.maxBackgroundJobs
        unsafe raw.statistics = 1
        unsafe raw.disable_auto_compactions = options.compactsByItself ? 0 : 1
        unsafe raw.avoid_flush_during_recovery = options.flushesOnOpen ? 0 : 1
        if let context = unsafe context {
            unsafe raw.event_context = context
            unsafe raw.on_event = { context, event in
                guard let context = unsafe context, let event = unsafe event else { return }
                let message = unsafe event.pointee.message.map { unsafe String(cString: $0) } ?? ""
                unsafe Unmanaged<EngineMonitor>.fromOpaque(context).takeUnretainedValue().receive(
                    kind: event.pointee.kind, detail: event.pointee.detail, code: event.pointee.code,
                    subcode: event.pointee.subcode,
                    message: message)
            }
        }
        return unsafe directory.enginePath.withCString { path in
            unsafe raw.path = path
            guard let walDirectory = options.walDirectory else { return unsafe body(&raw) }
            return unsafe walDirectory.withCString { walPath in
                unsafe raw.wal_path = walPath
                return unsafe body(&raw)
            }
        }
    }
}

/// A status of RocksDB in Swift's hands.
struct EngineStatus: Sendable {
    let code: Int32
    let subcode: Int32
    let message: String

    /// Takes over what `raw` owns.
    init(_ raw: themis_status) {
        var owned = unsafe raw
        code = unsafe raw.code
        subcode = unsafe raw.subcode
        message = unsafe raw.message.map { unsafe String(cString: $0) } ?? ""
        unsafe themis_status_release(&owned)
    }

    var isOK: Bool { code == THEMIS_OK }
    var isNotFound: Bool { code == THEMIS_NOT_FOUND }

    /// Whether the bytes on disk are wrong or gone, as against a call that could not be made.
    var isDamage: Bool {
        code == THEMIS_CORRUPTION
            || (code == THEMIS_IO_ERROR && (message.contains("No such file") || message.contains("Input/output error")))
    }

    /// Whether the disk refused to take bytes: what lies on it is not known to be wrong. RocksDB tells only by its text.
    var isFailedWrite: Bool {
        code == THEMIS_IO_ERROR && message.contains("Input/output error")
            && ["While fsync", "While fdatasync", "While appending", "While pwrite", "While fallocate", "While closing"].contains {
                message.contains($0)
            }
    }

    /// What a read that failed answers; damage is noted with `monitor`.
    func readError(_ monitor: EngineMonitor) -> ThemisError {
        guard isDamage else { return ThemisError(.internalError, "storage read failed: code \(code), \(message)") }
        monitor.degrade(message)
        return ThemisError(.dataCorrupt, "stored data that this request needs is damaged; see GET /health")
    }

    /// What anything but a read or a commit answers.
    func operationError(_ operation: String) -> ThemisError {
        if code == THEMIS_IO_ERROR, subcode == THEMIS_SUBCODE_NO_SPACE {
            return ThemisError(.diskFull, "\(operation): the disk is full")
        }
        return ThemisError(code == THEMIS_CORRUPTION ? .dataCorrupt : .internalError, "\(operation) failed: \(message)")
    }

    /// What a start that failed tells the operator.
    func openError(_ path: String) -> ThemisError {
        let advice = "restore a snapshot (--restore), or start once with --salvage to keep what is readable under a new epoch"
        if isFailedWrite { return ThemisError(.diskFailing, "the disk of \(path) does not take what is written: \(message)") }
        if isDamage { return ThemisError(.dataCorrupt, "data in \(path) is damaged: \(message); \(advice)") }
        return operationError("opening the data in \(path)")
    }
}
