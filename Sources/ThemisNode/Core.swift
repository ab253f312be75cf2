import Synchronization
import ThemisBase
import ThemisDatabase
import ThemisRuntime
import ThemisStorage
import ThemisTelemetry

/// The data of this node: directory, engine, database and the threads that work on them. Opened once, closed in reverse.
final class Core: Sendable {
    let directory: DataDirectory
    let engine: RocksDBEngine
    let database: Database
    let pool: WorkerPool
    let settings: CoreSettings
    let answers: AnswerBatches
    private let mark: DurableMark
    private let telemetry: Telemetry
    private let metrics: EngineMetrics

    /// Opens the data. Blocks; `onFatal` is called when the process must end because a sync failed.
    ///
    /// - Throws: `data_locked`, `log_damaged`, `format_too_new`, `data_corrupt`, `invalid_configuration`.
    init(_ settings: CoreSettings, telemetry: Telemetry, onFatal: @escaping @Sendable (ThemisError) -> Void) throws(ThemisError) {
        self.settings = settings
        self.telemetry = telemetry
        if settings.salvages {
            let report = try Salvage.run(settings.path, settings.engine, telemetry: telemetry)
            telemetry.log.warning(
                "data salvaged: a new epoch begins",
                [(.count, String(report.recordsKept)), (.suppressed, String(report.recordsGivenUp)), (.directory, settings.path)])
        }
        directory = try DataDirectory(opening: settings.path)
        mark = try DurableMark(in: directory, telemetry: telemetry)
        let engine = try RocksDBEngine(opening: directory, settings.engine, telemetry: telemetry)
        let pool = WorkerPool(threads: settings.threads, capacity: Self.queueCapacity)
        var options = DatabaseOptions()
        options.durability = settings.isRelaxed ? .relaxed : .sync
        options.startsNewEpoch = directory.isSalvaged
        options.durableMark = mark
        options.bootID = settings.bootID
        options.feedRingBytes = settings.feedRingBytes
        options.entityCacheBytes = settings.entityCacheBytes
        // Admitted already, and held by the bounds of streams and of the committer. When the pool has stopped it is done where it
        // arises: it must not be lost.
        options.execute = { body in if !pool.submit(isBounded: false, body) { body() } }
        options.onFatal = onFatal
        let answers = AnswerBatches()
        options.answerBatch = { answers.run($0) }
        self.answers = answers
        do throws(ThemisError) {
            database = try Database.open(engine: engine, options: options, telemetry: telemetry)
        } catch {
            pool.stop()
            engine.close()
            throw error
        }
        if directory.isSalvaged { try directory.acknowledgeSalvage() }
        self.engine = engine
        self.pool = pool
        metrics = EngineMetrics(telemetry.metrics)
    }

    /// Work that may wait for a thread. A thread takes some 50 µs for a piece: more would be answered after its caller has given up.
    static let queueCapacity = 16_384

    /// Finishes what was accepted, makes it durable, releases the directory.
    func close() {
        // They run in jobs, which the database waits for.
        engine.stopCompactions()
        pool.stop()
        database.close()
        mark.close()
        engine.close()
    }

    /// Removes change records beyond their age and size, and idempotency keys older than a day. Blocks.
    func applyRetention() {
        do throws(ThemisError) {
            _ = try database.applyRetention(settings.retention)
            _ = try database.pruneIdempotencyKeys()
        } catch {
            telemetry.log.warning("retention failed", [(.error, error.description)])
        }
    }

    /// Copies the numbers that memory knows into the metrics of this process: may be called on the loop.
    func refreshMetrics() {
        metrics.refresh(engine.statistics())
        telemetry.metrics.gauge(.changefeedLatest).set(Double(database.durableSequence))
        telemetry.metrics.gauge(.changefeedOldest).set(Double(database.oldestSequence))
    }

    /// The same with those that may need the disk. Blocks.
    func refreshAllMetrics() {
        refreshMetrics()
        if let info = try? database.changesInfo() { telemetry.metrics.gauge(.changefeedBytes).set(Double(info.bytes)) }
    }
}

/// What the core takes from the configuration, as plain values.
struct CoreSettings: Sendable {
    let path: String
    let salvages: Bool
    let bootID: UInt64
    let engine: RocksDBOptions
    let threads: Int
    let isRelaxed: Bool
    let feedRingBytes: Int
    let entityCacheBytes: Int
    let retention: ChangeRetention
    let sweepMilliseconds: Int

    init(_ context: ServiceContext) {
        let configuration = context.configuration
        path = configuration[Settings.storagePath]
        salvages = context.arguments.has("--salvage")
        bootID = context.bootID
        var options = RocksDBOptions()
        options.walDirectory = configuration[Settings.walDirectory]
        options.memtableBytes = UInt64(configuration[Settings.memtableSize]) << 20
        // Write buffers may take an eighth of the budget, never less than two of them for the entities.
        let budget = UInt64(configuration[Settings.memoryLimit]) << 20
        options.totalMemtableBytes = max(options.memtableBytes * 2, budget / 8)
        options.blockCacheBytes = UInt64(configuration[Settings.blockCacheSize]) << 20
        options.maxOpenFiles = Int32(configuration[Settings.maxOpenFiles])
        options.compression = .init(word: configuration[Settings.compression]) ?? options.compression
        options.bottommostCompression = .init(word: configuration[Settings.bottommostCompression]) ?? options.bottommostCompression
        options.minFreeBytes = UInt64(configuration[Settings.minFree]) << 20
        engine = options
        threads = configuration[Settings.workerThreads]
        isRelaxed = configuration[Settings.durability] == "relaxed"
        feedRingBytes = Int(min(64 << 20, max(4 << 20, budget / 64)))
        entityCacheBytes = Int(min(128 << 20, max(4 << 20, budget / 32)))
        retention = ChangeRetention(
            maxAgeMilliseconds: Int64(configuration[Settings.cdcRetentionHours]) * 3_600_000,
            maxBytes: UInt64(configuration[Settings.cdcRetentionBytes]))
        sweepMilliseconds = configuration[Settings.sweepInterval] * 1_000
    }
}

/// How the answers of a batch of writes are handed on. Any thread.
final class AnswerBatches: Sendable {
    /// A struct, because a function that is read out of a generic box and written back gains a wrapper each time.
    private struct Way {
        let call: @Sendable (() -> Void) -> Void
    }

    private let way = Mutex(Way { $0() })

    /// From now on `way` calls what it is given. The database is open before there is a server.
    func use(_ way: @escaping @Sendable (() -> Void) -> Void) { self.way.withLock { $0 = Way(call: way) } }

    func run(_ body: () -> Void) { way.withLock { $0 }.call(body) }
}
