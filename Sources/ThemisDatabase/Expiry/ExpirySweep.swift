public import ThemisBase
import ThemisStorage
import ThemisTelemetry

/// What a sweep did.
public struct SweepResult: Sendable, Equatable {
    /// Entities that were removed.
    public var removed: UInt64 = 0
    /// Entities that have expired and are still stored, as far as they were counted.
    public var backlog: UInt64 = 0
    /// Whether nothing is removed because the wall clock leapt.
    public var isPaused = false
}

/// Removal of entities that have expired. They are invisible before; this frees their space and tells the changefeed.
extension Database {
    /// Entities of one piece: others get their turn between two pieces.
    private static let sweptAtOnce = 256
    /// While others write, expiry works for a third of the time: what expires must go as fast as it comes.
    static let expiryRestShare: UInt64 = 2
    /// Entities that are counted of each table.
    private static let counted: UInt64 = 100_000

    /// Removes what has expired, of every table, oldest first, each with a change record of its own (`cause` ttl). Blocks.
    ///
    /// - Parameter cancellation: ends it between two pieces.
    /// - Throws: `data_corrupt`, `cancelled`; the errors of a write.
    @discardableResult
    public func sweepExpired(_ cancellation: CancellationFlag = CancellationFlag()) throws(ThemisError) -> SweepResult {
        try sweep(nil, cancellation) { _, _ in }
    }

    /// Lets a thread of its own sweep, unless it does already. Callable on a loop thread.
    public func requestSweep() { sweeper.request(self) }

    /// Sweeps one table, or all, as a job.
    ///
    /// - Parameter acceptsClock: believes the wall clock, if it leapt.
    /// - Throws: `not_found`; `conflict` while the sweep is paused because the wall clock leapt.
    public func cleanExpired(_ name: TableName? = nil, acceptsClock: Bool = false) throws(ThemisError) -> Job {
        if let name, published.table(name) == nil { throw ThemisError(.notFound, "there is no table \(name.text)") }
        if acceptsClock {
            expiryClock.accept()
            telemetry.log.warning("the wall clock was accepted: expired entities are swept again", [])
            try noteClock()
        }
        if expiryClock.horizon(database: published.now()) == nil {
            throw ThemisError(
                .conflict,
                "the wall clock leapt, and nothing is swept until it is accepted: send {\"accept_clock\":true} if it is right now")
        }
        let detail = name?.text ?? "every table"
        return try startJob(kind: "ttl_cleanup", detail: detail) { [weak self] progress throws(ThemisError) in
            guard let self else { return }
            let result = try self.sweep(name, progress.cancellation) { progress.report(done: $0, total: $1) }
            progress.describe(
                result.isPaused
                    ? "\(detail): stopped, because the wall clock leapt" : "\(detail): \(result.removed) expired entities were removed")
        }
    }

    private func sweep(
        _ name: TableName?, _ cancellation: CancellationFlag, _ advance: (_ done: UInt64, _ total: UInt64) -> Void
    ) throws(ThemisError) -> SweepResult {
        let call = CallContext(cancellation: cancellation)
        var result = SweepResult()
        let wasPaused = expiryClock.isPaused
        let horizon = expiryClock.horizon(database: published.now())
        result.backlog = try backlog(name, until: horizon ?? published.now(), call)
        let total = result.backlog
        if name == nil { metrics.ttlBacklog.set(Double(total)) }
        metrics.ttlPaused.set(horizon == nil ? 1 : 0)
        guard horizon != nil else {
            result.isPaused = true
            if !wasPaused {
                telemetry.log.warning(
                    "the wall clock leapt: expired entities are not swept until it is accepted (POST /admin/ttl/cleanup)", [])
            }
            return result
        }
        if try isExpiryUsed() { try noteClock() }
        guard total > 0 else { return result }
        var pace = Pace(published, telemetry.time, restShare: Self.expiryRestShare)
        for table in tablesToSweep(name) {
            while let until = expiryClock.horizon(database: published.now()), let piece = try readExpired(table, until, call) {
                let removed = try remove(piece, cancellation)
                result.removed += removed
                result.backlog -= min(result.backlog, removed)
                metrics.ttlSwept.add(removed)
                if name == nil { metrics.ttlBacklog.set(Double(result.backlog)) }
                advance(result.removed, max(total, result.removed))
                pace.rest(own: removed)
            }
        }
        result.isPaused = expiryClock.isPaused
        if result.removed > 0 { telemetry.log.info("expired entities swept", [(.count, String(result.removed))]) }
        return result
    }

    private func tablesToSweep(_ name: TableName?) -> [Table] {
        let all = published.catalog.byID.values
        return (name.map { name in all.filter { $0.name == name } } ?? Array(all)).sorted { $0.id < $1.id }
    }

    /// How many entities have expired and are stored.
    private func backlog(_ name: TableName?, until horizon: Int64, _ call: CallContext) throws(ThemisError) -> UInt64 {
        var count: UInt64 = 0
        let view = try ReadView(self, call)
        for table in tablesToSweep(name) {
            let cursor = try view.snapshot.scan(
                .indexes, from: ExpiryKey.lowerBound(table: table.id), to: ExpiryKey.upperBound(table: table.id, now: horizon),
                reverse: false)
            var inTable: UInt64 = 0
            while inTable < Self.counted, try cursor.advance() {
                inTable += 1
                if inTable % 1_024 == 0 { try view.check() }
            }
            count += inTable
        }
        return count
    }

    /// Entities that have expired, and keys in the order of expiry that belong to none.
    private struct ExpiredPiece {
        var tableID: UInt32
        var operations: [WriteOperation] = []
        var stray: [[UInt8]] = []
    }

    /// The next entities of a table that have expired, oldest first; nil when there is none.
    private func readExpired(_ table: Table, _ horizon: Int64, _ call: CallContext) throws(ThemisError) -> ExpiredPiece? {
        let view = try ReadView(self, call)
        let cursor = try view.snapshot.scan(
            .indexes, from: ExpiryKey.lowerBound(table: table.id), to: ExpiryKey.upperBound(table: table.id, now: horizon),
            reverse: false)
        var keys: [(key: [UInt8], entity: [UInt8], expiresAt: Int64)] = []
        while keys.count < Self.sweptAtOnce, try cursor.advance() {
            let (entity, expiresAt) = try ExpiryKey.parts(of: cursor.key)
            keys.append((cursor.key, entity, expiresAt))
        }
        guard !keys.isEmpty else { return nil }
        var piece = ExpiredPiece(tableID: table.id)
        for (key, value) in zip(keys, try view.snapshot.multiGet(.entities, keys.map(\.entity))) {
            let state = try StoredState(stored: value)
            if state.isStored, state.expiresAt == key.expiresAt {
                let entity = EntityKey(stored: table.name, pk: String(decoding: key.entity[4...], as: UTF8.self))
                piece.operations.append(WriteOperation(entity, .delete))
            } else {
                piece.stray.append(key.key)
            }
        }
        return piece
    }

    /// Removes what has still expired when its turn comes; how many that were.
    private func remove(_ piece: ExpiredPiece, _ cancellation: CancellationFlag) throws(ThemisError) -> UInt64 {
        if !piece.stray.isEmpty { try committer.run { stage throws(ThemisError) in try stage.mendExpiry(piece.stray) } }
        let results = try writeGroup(piece.operations, cause: .ttl, tableID: piece.tableID, cancellation)
        return UInt64(results.count { $0.deleted })
    }

    /// Whether anything stored will expire or has.
    private func isExpiryUsed() throws(ThemisError) -> Bool {
        try engine.snapshot().scan(.indexes, from: [], to: IndexKey.lowerBound(1), reverse: false).advance()
    }

    /// Keeps what the clocks show, for the next start.
    private func noteClock() throws(ThemisError) {
        let record = expiryClock.record.encoded
        try committer.run { stage throws(ThemisError) in stage.batch.bytes.put(.meta, MetaRecords.clock, record) }
    }
}

/// The thread that sweeps when it is asked to. Any thread.
final class ExpirySweeper: Sendable {
    private struct State {
        var isRequested = false
        var isClosing = false
        var thread: WorkThread?
    }

    private let state = Monitor(State())
    private let cancellation = CancellationFlag()

    /// Asks `database` for a sweep; the thread begins with the first one.
    func request(_ database: Database) {
        state.withLock { state in
            guard !state.isClosing else { return }
            state.isRequested = true
            guard state.thread == nil else { return }
            state.thread = WorkThread(name: "themis-sweep") { [weak database, self] in
                while self.isAsked() {
                    guard let database else { return }
                    do throws(ThemisError) {
                        try database.sweepExpired(self.cancellation)
                    } catch {
                        guard error.code != .cancelled, error.code != .shuttingDown else { continue }
                        database.telemetry.log.warning("the sweep of expired entities failed", [(.error, error.description)])
                    }
                }
            }
        }
        state.notifyOne()
    }

    private func isAsked() -> Bool {
        state.wait { state -> Bool? in
            if state.isClosing { return false }
            guard state.isRequested else { return nil }
            state.isRequested = false
            return true
        }
    }

    /// Ends the thread and waits for it. Idempotent.
    func close() {
        cancellation.cancel()
        let thread = state.withLock { state in
            state.isClosing = true
            defer { state.thread = nil }
            return state.thread
        }
        state.notifyAll()
        thread?.join()
    }
}
