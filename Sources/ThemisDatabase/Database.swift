public import ThemisBase
public import ThemisStorage
public import ThemisTelemetry

/// The entities, their tables and the log of their changes, over one storage engine.
///
/// Functions are synchronous and may be called from any thread; what may touch the disk says so and belongs on a pool. Writes
/// answer by a completion, on the committer's thread: it must be cheap. Nothing here knows of event loops.
public final class Database: Sendable {
    let engine: any StorageEngine
    let options: DatabaseOptions
    let telemetry: Telemetry
    let published: PublishStage
    let prepare: PrepareStage
    let committer: Committer
    let seal: CursorSeal
    let metrics: ReadMetrics
    let board: JobBoard
    let expiryClock: ExpiryClock
    let sweeper = ExpirySweeper()
    let transactions: Transactions

    /// Opens what the engine holds, or makes it.
    ///
    /// The engine stays the caller's to close, after the database.
    ///
    /// - Throws: `format_too_new`, `data_corrupt`, `log_damaged` (less than the durable mark says); errors of the engine.
    public static func open(
        engine: any StorageEngine, options: DatabaseOptions = DatabaseOptions(), telemetry: Telemetry
    ) throws(ThemisError) -> Database {
        let state = try OpenedState.open(
            engine, options, now: telemetry.time.wallMilliseconds())
        if let mark = options.durableMark {
            try check(mark, state, isCut: options.startsNewEpoch)
            mark.note(epoch: state.epochs[state.epochs.count - 1].number, sequence: state.end.sequence)
            // The old mark must not outlive the note that a salvage took place.
            if options.startsNewEpoch { mark.flush() }
        }
        telemetry.log.info(
            "database opened",
            [
                (.sequence, String(state.end.sequence)), (.epoch, state.epochs.last?.id ?? ""),
                (.count, String(state.catalog.byID.count)),
            ])
        let database = Database(engine, state, options, telemetry)
        do throws(ThemisError) {
            try database.resumeJobs()
        } catch {
            database.close()
            throw error
        }
        return database
    }

    /// Compares what was found with what was durable before.
    ///
    /// - Throws: `log_damaged`.
    private static func check(_ mark: DurableMark, _ state: OpenedState, isCut: Bool) throws(ThemisError) {
        guard !isCut, let recorded = mark.recorded else { return }
        let epoch = state.epochs[state.epochs.count - 1]
        // A mark of an older epoch was overtaken by the new one before the next note.
        if epoch.number != recorded.epoch, state.epochs.contains(where: { $0.number == recorded.epoch }) { return }
        guard epoch.number == recorded.epoch, state.end.sequence >= recorded.sequence else {
            throw ThemisError(
                .logDamaged,
                "the data ends at sequence \(state.end.sequence), but \(recorded.sequence) was durable: acknowledged writes are "
                    + "missing; "
                    + "restore a snapshot (--restore), or start once with --salvage to keep what is readable under a new epoch")
        }
    }

    private init(_ engine: any StorageEngine, _ state: OpenedState, _ options: DatabaseOptions, _ telemetry: Telemetry) {
        self.engine = engine
        self.options = options
        self.telemetry = telemetry
        published = PublishStage(state, options, time: telemetry.time)
        prepare = PrepareStage(engine: engine, published: published)
        let history = CommitHistory(floor: state.end.sequence, capacityBytes: options.transactionHistoryBytes)
        transactions = Transactions(bootID: options.bootID, history: history, telemetry)
        committer = Committer(
            order: OrderStage(
                prepare: prepare, published: published, history: history, transactionBytes: options.transactionBytes),
            log: CommitLog(engine: engine, durability: options.durability, time: telemetry.time), options: options,
            telemetry: telemetry)
        seal = CursorSeal(key: state.cursorKey)
        metrics = ReadMetrics(telemetry.metrics)
        board = JobBoard(telemetry)
        expiryClock = ExpiryClock(telemetry.time, record: state.clock, lastCommit: state.end.timestamp)
        committer.start()
    }

    /// Answers every write that was accepted, makes them durable, ends the threads. Later writes are refused. Idempotent.
    public func close() {
        sweeper.close()
        board.close()
        transactions.close()
        committer.close()
        published.shared.close()
        published.endWaits(ThemisError(.shuttingDown, "the database is closed", retryAfterSeconds: 1))
    }

    // MARK: Writes

    /// Prepares and submits one write. Prepares on the calling thread: it parses, and reads what is there, maybe from the disk.
    ///
    /// `completion` is called exactly once: on the calling thread when the write is refused before it was submitted, else on the
    /// committer's thread, after the change is published. Errors beside those of the document: `precondition_failed`,
    /// `not_found` (patch), `idempotency_mismatch`, `too_many_requests`, `overloaded`, `deadline_exceeded`, `cancelled`,
    /// `disk_full`, `storage_read_only`, `commit_unknown`, `shutting_down`; those of the server's state carry an outcome.
    public func write(
        _ operation: WriteOperation, _ context: WriteContext = WriteContext(),
        completion: @escaping @Sendable (Result<OperationResult, ThemisError>) -> Void
    ) {
        submit([operation], .single(completion), context)
    }

    /// All or nothing: one transaction in the change log. 1–10,000 operations, at most 32 MiB; two on the same entity see each
    /// other.
    ///
    /// The error of an operation names it as `operations[i]` in `fields`. Otherwise as `write`.
    public func writeAtomic(
        _ operations: [WriteOperation], _ context: WriteContext = WriteContext(),
        completion: @escaping @Sendable (Result<TransactionResult, ThemisError>) -> Void
    ) {
        let bytes = operations.reduce(0) { $0 + $1.change.byteCount }
        guard !operations.isEmpty else {
            return completion(.failure(ThemisError(.invalidRequest, "a transaction needs an operation")))
        }
        guard operations.count <= Limits.atomicOperations, bytes <= Limits.atomicBytes else {
            return completion(
                .failure(
                    ThemisError(
                        .bodyTooLarge,
                        "a transaction has at most \(Limits.atomicOperations) operations and \(Limits.atomicBytes) bytes; "
                            + "this has "
                            + "\(operations.count) and \(bytes)")))
        }
        submit(operations, .atomic(completion), context)
    }

    private func submit(_ operations: [WriteOperation], _ completion: PendingWrite.Completion, _ context: WriteContext) {
        let write = PendingWrite(completion, admitting: operations, call: context.call)
        let begun = context.call.span == nil ? 0 : telemetry.time.monotonicNanoseconds()
        do throws(ThemisError) {
            if let refusal = context.call.refusal(atNanoseconds: telemetry.time.monotonicNanoseconds()) { throw refusal }
            for (index, operation) in operations.enumerated() {
                do throws(ThemisError) {
                    write.operations.append(try prepare.parse(operation))
                } catch {
                    guard case .atomic = completion else { throw error }
                    var named = error
                    named.fields.insert(FieldError("operations[\(index)]", error.message), at: 0)
                    throw named
                }
            }
            if let token = context.idempotency {
                var idempotency = PreparedIdempotency(token, principal: context.principal)
                let results = try prepare.lookUp(&idempotency)
                write.idempotency = idempotency
                if let results {
                    write.results = results
                    write.isReplay = true
                    return write.succeed(durable: options.durability == .sync)
                }
            }
            try prepare.base(write.operations)
        } catch {
            return write.fail(error.code.status >= 500 ? error.with(outcome: .notCommitted) : error)
        }
        context.call.span?.record("prepare", from: begun)
        committer.submit(write)
    }

    // MARK: Positions

    /// The newest change on disk.
    public var durableSequence: SequenceNumber { published.durableSequence }
    /// The oldest change kept.
    public var oldestSequence: SequenceNumber { published.oldestSequence }
    /// The current epoch.
    public var epoch: String { published.epoch.id }

    /// Calls `body` with the newest durable sequence after each publication, on the committer's thread, until `removeListener`.
    ///
    /// It may be called more than once with the same sequence, and must only note or post something.
    public func onPublish(_ body: @escaping @Sendable (SequenceNumber) -> Void) -> UInt64 { published.listen(body) }

    /// Ends the calls of the listener with this token. One that is running may still finish.
    public func removeListener(_ token: UInt64) { published.silence(token) }

    /// Calls `body` once: with nil as soon as reads see `sequence`, with an error when the deadline passes or the database
    /// closes.
    ///
    /// On the calling thread when it is reached already, else on the committer's.
    public func waitForSequence(
        _ sequence: SequenceNumber, deadlineNanoseconds: UInt64, _ body: @escaping @Sendable (ThemisError?) -> Void
    ) {
        published.wait(for: sequence, deadlineNanoseconds: deadlineNanoseconds, body)
        committer.wake()
    }
}
