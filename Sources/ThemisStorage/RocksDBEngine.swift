import CRocksDB
import Glibc
import Synchronization
public import ThemisBase
public import ThemisTelemetry

/// The engine on disk. Any thread.
///
/// A failed write to the log is final: the engine refuses every further write with `commit_unknown`, and the process must end,
/// because what the log holds is known only to the next start. Nothing is tried again and nothing is reopened here.
public final class RocksDBEngine: StorageEngine {
    private let handle: Mutex<RocksDBHandle?>
    private let monitor: EngineMonitor
    private let space: FreeSpaceGuard
    private let telemetry: Telemetry
    private let flushesOnClose: Bool
    private let ingestDirectory: String
    private let ingested = Atomic<UInt64>(0)
    /// The version of the library.
    public static let version = unsafe String(cString: themis_rocksdb_version())
    /// How the start found the log.
    public let logScan: WriteAheadLogScan

    /// Checks the write-ahead log, then opens the data of `directory`.
    ///
    /// - Throws: `log_damaged` when acknowledged writes in the log cannot be read; `data_corrupt` when a file that every read
    ///   needs is
    ///   damaged; both name file and way out. Nothing was changed then.
    public init(
        opening directory: DataDirectory, _ options: RocksDBOptions = RocksDBOptions(), telemetry: Telemetry
    ) throws(ThemisError) {
        let walPath = options.walDirectory ?? directory.enginePath
        try Self.prepareDirectories(directory, walPath)
        let scan = try WriteAheadLogScan(reading: walPath, neededIn: directory.enginePath)
        if let refusal = scan.refusal { throw refusal }
        try Self.checkCurrent(directory.enginePath, hasLog: scan.records > 0)
        try scan.applyCuts(telemetry.log)
        let monitor = EngineMonitor(log: telemetry.log)
        // Before the engine opens: the ballast may be what it needs to.
        space = FreeSpaceGuard(
            directory: directory.path, paths: walPath == directory.enginePath ? [directory.path] : [directory.path, walPath],
            minFreeBytes: options.minFreeBytes, ballastBytes: options.ballastBytes, telemetry: telemetry)
        try space.admitFiles()
        var options = options
        // Files that do not fit would fail, and some builds of RocksDB abort then: what the log holds is read from memory until
        // there is room.
        options.flushesOnOpen = !space.isRefusing
        let opened = try RocksDBHandle(directory, options, nextChain: (scan.lastChain ?? 0) &+ 1, monitor: monitor)
        handle = Mutex(opened)
        self.monitor = monitor
        self.telemetry = telemetry
        flushesOnClose = options.flushesOnClose
        ingestDirectory = "\(directory.path)/ingest"
        logScan = scan
        telemetry.log.info(
            "storage opened", [(.count, String(scan.records)), (.directory, directory.path)])
    }

    /// Makes the directories and removes what an interrupted ingest left.
    private static func prepareDirectories(_ directory: DataDirectory, _ walPath: String) throws(ThemisError) {
        do throws(SystemFailure) {
            try FileSystem.makeDirectories(directory.enginePath)
            try FileSystem.makeDirectories(walPath)
            let ingest = "\(directory.path)/ingest"
            try FileSystem.makeDirectories(ingest)
            for name in try FileSystem.names(in: ingest) { try FileSystem.remove("\(ingest)/\(name)") }
        } catch { throw error.startError(.invalidConfiguration, "the data directory cannot be used: \(error.text)") }
    }

    /// RocksDB would make a new database where CURRENT is missing, and then remove every file it does not know.
    private static func checkCurrent(_ path: String, hasLog: Bool) throws(ThemisError) {
        guard !FileSystem.exists("\(path)/CURRENT") else { return }
        let names: [String]
        do throws(SystemFailure) { names = try FileSystem.names(in: path) } catch { throw error.error }
        guard hasLog || names.contains(where: { $0.hasSuffix(".sst") }) else { return }
        throw ThemisError(
            .dataCorrupt, "\(path) holds data but no file CURRENT; restore a snapshot (--restore), or start once with --salvage")
    }

    /// See `StorageEngine`.
    public var health: EngineHealth { monitor.health }

    /// Whether writes are refused because the disk is nearly full; they go on by themselves when there is space. Never blocks.
    public var isShortOfSpace: Bool { monitor.hasNoSpace || space.isRefusing }

    private func open() throws(ThemisError) -> RocksDBHandle {
        guard let opened = handle.withLock({ $0 }) else { throw ThemisError(.shuttingDown, "the storage engine is closed") }
        return opened
    }

    // MARK: Reads

    /// See `StorageEngine`.
    public func snapshot() throws(ThemisError) -> any StorageSnapshot { RocksDBSnapshot(try open()) }

    /// See `StorageEngine`.
    public func get(_ keyspace: Keyspace, _ key: [UInt8]) throws(ThemisError) -> [UInt8]? {
        try unsafe open().get(nil, keyspace, key)
    }

    /// See `StorageEngine`.
    public func multiGet(_ keyspace: Keyspace, _ keys: [[UInt8]]) throws(ThemisError) -> [[UInt8]?] {
        try unsafe open().multiGet(nil, keyspace, keys)
    }

    /// See `StorageEngine`.
    public func cachedGet(_ keyspace: Keyspace, _ key: [UInt8]) throws(ThemisError) -> CachedRead {
        try open().cachedGet(keyspace, key)
    }

    // MARK: Writes

    /// See `StorageEngine`.
    public func commit(_ batch: WriteBatch, _ durability: Durability) throws(ThemisError) {
        let opened = try open()
        try monitor.admitWrite()
        try space.admit(bytes: batch.bytes.count)
        let status = unsafe EngineStatus(
            batch.bytes.withUnsafeBufferPointer {
                unsafe themis_db_write(opened.raw, $0.baseAddress, $0.count, durability == .synced ? 1 : 0)
            })
        if status.isOK { return }
        if status.code == THEMIS_BAD_BATCH { throw ThemisError(.internalError, status.message, outcome: .notCommitted) }
        monitor.fail(status.message)
        throw EngineMonitor.commitUnknown
    }

    /// See `StorageEngine`.
    public func syncLog() throws(ThemisError) {
        let opened = try open()
        try monitor.admitWrite()
        let status = unsafe EngineStatus(themis_db_sync_wal(opened.raw))
        if status.isOK { return }
        monitor.fail(status.message)
        throw EngineMonitor.commitUnknown
    }

    /// See `StorageEngine`. The file is written outside the log and then taken in whole, or not at all.
    public func ingestSorted(_ keyspace: Keyspace, _ pairs: [(key: [UInt8], value: [UInt8])]) throws(ThemisError) {
        guard !pairs.isEmpty else { return }
        try IngestOrder.check(pairs)
        let opened = try open()
        try monitor.admitWrite()
        var puts = WriteBatch()
        for pair in pairs { puts.put(keyspace, pair.key, pair.value) }
        try space.admit(bytes: puts.bytes.count)
        let path = "\(ingestDirectory)/\(ingested.wrappingAdd(1, ordering: .relaxed).newValue).sst"
        try unsafe check(
            puts.bytes.withUnsafeBufferPointer {
                unsafe themis_db_ingest(opened.raw, UInt32(keyspace.rawValue), path, $0.baseAddress, $0.count)
            }, "ingesting pairs")
    }

    /// See `StorageEngine`. Not held to the watermark: it makes room.
    public func deleteFiles(_ keyspace: Keyspace, from lower: [UInt8], to upper: [UInt8]) throws(ThemisError) {
        let opened = try open()
        try monitor.admitWrite()
        try space.admitRemoval()
        try unsafe check(
            themis_db_delete_files(opened.raw, UInt32(keyspace.rawValue), lower, lower.count, upper, upper.count),
            "deleting files")
    }

    // MARK: Upkeep

    /// See `StorageEngine`.
    public func checkpoint(at path: String) throws(ThemisError) {
        let opened = try open()
        guard !FileSystem.exists(path) else { throw ThemisError(.alreadyExists, "a checkpoint of this name exists already") }
        try unsafe check(themis_db_checkpoint(opened.raw, path), "making a checkpoint")
    }

    /// See `StorageEngine`.
    public func flush(_ keyspace: Keyspace?) throws(ThemisError) {
        try space.admitFiles()
        let opened = try open()
        try monitor.admitWrite()
        for each in keyspace.map({ [$0] }) ?? Keyspace.allCases {
            try unsafe check(themis_db_flush(opened.raw, UInt32(each.rawValue)), "flushing memtables")
        }
    }

    /// See `StorageEngine`.
    public func compact(_ keyspace: Keyspace, from lower: [UInt8]?, to upper: [UInt8]?) throws(ThemisError) {
        let opened = try open()
        try monitor.admitWrite()
        try unsafe check(
            Self.withOptional(lower) { first, firstCount in
                unsafe Self.withOptional(upper) { last, lastCount in
                    unsafe themis_db_compact(opened.raw, UInt32(keyspace.rawValue), first, firstCount, last, lastCount)
                }
            }, "compacting")
    }

    /// Breaks off compactions that were asked for, and waits until they have noticed: they throw. Later ones throw at once. For a process
    /// that ends: a compaction may take hours.
    public func stopCompactions() {
        guard let opened = handle.withLock({ $0 }) else { return }
        unsafe themis_db_stop_compactions(opened.raw)
    }

    /// See `StorageEngine`.
    public func approximateBytes(_ keyspace: Keyspace, from lower: [UInt8], to upper: [UInt8]) -> UInt64 {
        guard let opened = handle.withLock({ $0 }) else { return 0 }
        return unsafe themis_db_approximate_bytes(opened.raw, UInt32(keyspace.rawValue), lower, lower.count, upper, upper.count)
    }

    /// See `StorageEngine`. Also looks at the free space, so that the ballast follows it while nobody writes.
    public func statistics() -> EngineStatistics {
        guard let opened = handle.withLock({ $0 }) else { return EngineStatistics() }
        space.measure()
        return opened.statistics()
    }

    /// See `StorageEngine`. A name of RocksDB's database options, else of its column family options; `block_cache_capacity` in
    /// bytes.
    public func setOption(_ name: String, _ value: String) throws(ThemisError) {
        let status = unsafe EngineStatus(themis_db_set_option(try open().raw, name, value))
        guard status.isOK else {
            throw ThemisError(.unprocessable, "the engine refuses option \(name)=\(value): \(status.message)")
        }
    }

    /// See `StorageEngine`. Memtables go to files first, so that the next start has no log to replay.
    public func close() {
        guard var opened = handle.withLock({ $0.take() }) else { return }
        switch monitor.health {
        case .healthy, .degraded:
            // Files that do not fit would fail, and some builds of RocksDB abort then. The log has everything.
            guard flushesOnClose, !monitor.hasNoSpace, !space.isShortNow() else { break }
            for keyspace in Keyspace.allCases {
                let status = unsafe EngineStatus(themis_db_flush(opened.raw, UInt32(keyspace.rawValue)))
                // Harmless: the log has everything, the next start replays it.
                if !status.isOK { telemetry.log.warning("flush at close failed", [(.error, status.message)]) }
            }
        case .readOnly, .failed: break
        }
        if !isKnownUniquelyReferenced(&opened) {
            telemetry.log.warning("storage closed while views are open; the directory stays locked until they are gone")
        }
    }

    private func check(_ raw: themis_status, _ operation: String) throws(ThemisError) {
        let status = unsafe EngineStatus(raw)
        if status.isOK { return }
        if status.isDamage { monitor.degrade(status.message) }
        throw status.operationError(operation)
    }

    /// Nil becomes a null pointer, an empty array does not.
    private static func withOptional<Result>(_ bytes: [UInt8]?, _ body: (UnsafePointer<UInt8>?, Int) -> Result) -> Result {
        guard let bytes else { return body(nil, 0) }
        return unsafe (bytes + [0]).withUnsafeBufferPointer { unsafe body($0.baseAddress, bytes.count) }
    }
}
