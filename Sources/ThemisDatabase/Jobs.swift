public import ThemisBase
import ThemisStorage
import ThemisTelemetry

/// Jobs.
extension Database {
    /// Entities that one batch of a range deletion removes: others get their turn between two batches.
    private static let deletedAtOnce = 256
    /// Rows of ended jobs that are kept.
    private static let keptRows = 100

    /// Those that work and the last that ended, newest first.
    public func jobs() -> [Job] { board.jobs }

    /// One job.
    public func job(_ id: String) -> Job? { board.job(id) }

    /// Asks a job to stop; what it did stands. The answer is its state before; nil when there is no such job.
    public func cancelJob(_ id: String) -> Job? { board.cancel(id) }

    /// Runs `work` as a job on a thread of its own. It must look at `progress.cancellation` now and then. It does not outlive
    /// the process.
    ///
    /// - Throws: `shutting_down`.
    public func startJob(
        kind: String, detail: String, _ work: @escaping @Sendable (JobProgress) throws(ThemisError) -> Void
    ) throws(ThemisError) -> Job {
        let job = Job(
            id: Digest.hex(Digest.random(8)), kind: kind, state: .running, done: 0, total: 0,
            startedMilliseconds: telemetry.time.wallMilliseconds(), endedMilliseconds: 0, detail: detail, error: nil)
        try board.start(job, work)
        return job
    }

    /// Deletes every entity of `table` whose pk begins with `prefix`, as a job that survives a restart.
    ///
    /// Each deletion is a change record of its own. Entities that change after the job was asked for stay. Waits for the disk
    /// once.
    ///
    /// - Throws: `not_found`; the errors of a write.
    public func deleteRange(_ table: TableName, prefix: String = "") throws(ThemisError) -> Job {
        guard let found = published.table(table) else { throw ThemisError(.notFound, "there is no table \(table.text)") }
        let id = Digest.hex(Digest.random(8))
        let started = telemetry.time.wallMilliseconds()
        let total = prefix.isEmpty ? found.info.entities : 0
        let record = try committer.run { stage throws(ThemisError) in
            let record = DeleteRangeRecord(
                state: .running, tableID: found.id, upTo: stage.end.sequence, startedMilliseconds: started, endedMilliseconds: 0,
                done: 0,
                total: total, table: table, prefix: prefix)
            stage.batch.bytes.put(.meta, MetaRecords.job(id), record.encoded())
            return record
        }
        let job = record.job(id)
        try board.start(job) { [weak self] progress throws(ThemisError) in try self?.deleteRange(id, record, progress) }
        return job
    }

    /// Takes up what a restart interrupted, and remembers what had ended.
    func resumeJobs() throws(ThemisError) {
        var ended: [Job] = []
        var deletions: [(id: String, record: DeleteRangeRecord)] = []
        var builds: [(id: String, record: IndexBuildRecord)] = []
        try OpenedState.forEach(engine.snapshot(), MetaRecords.jobPrefix) { suffix, value throws(ThemisError) in
            let id = String(decoding: suffix, as: UTF8.self)
            if value.first == IndexBuildRecord.format {
                let record = try IndexBuildRecord.decode(value)
                if record.state == .running { builds.append((id, record)) } else { ended.append(record.job(id)) }
            } else {
                let record = try DeleteRangeRecord.decode(value)
                if record.state == .running { deletions.append((id, record)) } else { ended.append(record.job(id)) }
            }
        }
        for job in ended.sorted(by: { $0.startedMilliseconds < $1.startedMilliseconds }) { board.recall(job) }
        for (id, record) in deletions.sorted(by: { $0.record.startedMilliseconds < $1.record.startedMilliseconds }) {
            try board.start(record.job(id)) { [weak self] progress throws(ThemisError) in
                try self?.deleteRange(id, record, progress)
            }
        }
        for (id, record) in builds.sorted(by: { $0.record.startedMilliseconds < $1.record.startedMilliseconds }) {
            _ = try startBuild(id, record)
        }
    }

    private func deleteRange(_ id: String, _ record: DeleteRangeRecord, _ progress: JobProgress) throws(ThemisError) {
        var record = record
        var next = EntityRecord.bounds(table: record.tableID, prefix: record.prefix).lower
        var failure: ThemisError?
        do throws(ThemisError) {
            while let step = try rangeStep(record, from: next, progress) {
                next = step.next
                record.done += step.deleted
                record.total = max(record.total, record.done)
                progress.report(done: record.done, total: record.total)
            }
        } catch {
            // Interrupted by the end of the process: the row stays as it is, and the next open goes on.
            if board.isClosing { throw ThemisError(.cancelled, "the database is closing") }
            failure = error
        }
        record.state = failure == nil ? .done : failure?.code == .cancelled ? .cancelled : .failed
        record.endedMilliseconds = telemetry.time.wallMilliseconds()
        let ended = record
        let old = board.jobs.filter { $0.state != .running && $0.kind == "delete_range" }.dropFirst(Self.keptRows - 1).map(\.id)
        try committer.run { stage throws(ThemisError) in
            stage.batch.bytes.put(.meta, MetaRecords.job(id), ended.encoded())
            for id in old { stage.batch.bytes.delete(.meta, MetaRecords.job(id)) }
        }
        if let failure { throw failure }
    }

    /// Deletes the next entities of a range; nil at its end.
    private func rangeStep(
        _ record: DeleteRangeRecord, from lower: [UInt8], _ progress: JobProgress
    ) throws(ThemisError) -> (next: [UInt8], deleted: UInt64)? {
        let view = try ReadView(self, CallContext(cancellation: progress.cancellation))
        let upper = EntityRecord.bounds(table: record.tableID, prefix: record.prefix).upper
        let cursor = try view.scan(from: lower, to: upper, reverse: false)
        var operations: [WriteOperation] = []
        var last: [UInt8]?
        while operations.count < Self.deletedAtOnce, try cursor.advance() {
            last = cursor.key
            let value = cursor.value
            try EntityRecord.check(value)
            let version = EntityRecord.version(of: value)
            guard version <= record.upTo else { continue }
            let key = EntityKey(stored: record.table, pk: String(decoding: cursor.key[4...], as: UTF8.self))
            operations.append(WriteOperation(key, .delete, if: .version(version)))
        }
        guard let last else { return nil }
        let results = try writeGroup(operations, cause: .range, tableID: record.tableID, progress.cancellation)
        return (last + [0], UInt64(results.count { $0.deleted }))
    }

    /// Writes operations of one table, each for itself, in their order; what became of those whose condition still held.
    ///
    /// Waits while too much waits for the disk, or it is full. Nothing is written if the table is another one by now.
    ///
    /// - Throws: the first other error of an operation; `cancelled`.
    func writeGroup(
        _ operations: [WriteOperation], cause: ChangeCause, tableID: UInt32, _ cancellation: CancellationFlag
    ) throws(ThemisError) -> [OperationResult] {
        guard !operations.isEmpty else { return [] }
        while true {
            let answer = Monitor<[Result<OperationResult, ThemisError>]?>(nil)
            let write = PendingWrite(
                .group { results in
                    answer.withLock { $0 = results }
                    answer.notifyOne()
                }, admitting: operations, call: CallContext(cancellation: cancellation))
            write.operations = operations.map { PreparedOperation($0, cause: cause) }
            try prepare.base(write.operations)
            // The table may have been dropped and made again since: its new entities are none of ours.
            guard write.operations[0].table?.id == tableID else { return [] }
            committer.submit(write)
            if let results = try Self.results(answer.wait { $0 }) { return results }
            Pace.pause(Self.refusedPauseMilliseconds)
        }
    }

    /// A pause before refused work is tried again.
    static let refusedPauseMilliseconds: Int64 = 50

    /// Those of operations whose condition held; nil when nothing was written and the work can be tried again.
    private static func results(
        _ outcomes: [Result<OperationResult, ThemisError>]
    ) throws(ThemisError) -> [OperationResult]? {
        var results: [OperationResult] = []
        for outcome in outcomes {
            switch outcome {
            case .success(let result): results.append(result)
            // It has changed, or it has expired.
            case .failure(let error) where error.code == .preconditionFailed: break
            case .failure(let error) where error.code == .overloaded || error.code == .diskFull: return nil
            case .failure(let error): throw error
            }
        }
        return results
    }
}
