import ThemisBase
import ThemisStorage
import ThemisTelemetry

/// Jobs that make the entries of an index while writes go on.
///
/// Piece by piece: entities are read from a snapshot, their entries are made here, and the committer writes those of entities that have
/// not changed since, together with how far the build is. Entities that change after the index was asked for have theirs from the write
/// itself, so nothing is missed and nothing is counted twice, whatever happens in between.
extension Database {
    /// Entities of one piece: large enough that the wait for the disk is the smaller part of it.
    private static let pieceEntities = 256
    /// Entities of one piece while others write: they wait for a piece that is before them, some 0.2 ms.
    private static let sharedPieceEntities = 64
    /// While others write, a build works for a seventh of the time: then the slowest in a hundred of their writes takes not much longer.
    private static let restShare: UInt64 = 6
    /// Documents of one piece, in bytes.
    private static let pieceBytes = 1 << 20
    /// Rows of ended jobs that are kept.
    private static let keptRows = 100

    /// Puts the build `record` on the board.
    ///
    /// - Throws: `shutting_down`.
    func startBuild(_ id: String, _ record: IndexBuildRecord) throws(ThemisError) -> Job {
        let job = record.job(id)
        try board.start(job) { [weak self] progress throws(ThemisError) in try self?.build(id, record, progress) }
        return job
    }

    /// Builds an index on this thread, and ends the build.
    func build(_ id: String, _ record: IndexBuildRecord, _ progress: JobProgress) throws(ThemisError) {
        let started = telemetry.time.monotonicMilliseconds()
        var record = record
        var failure: ThemisError?
        do throws(ThemisError) {
            try takeUp(&record, progress)
            var pace = Pace(published, telemetry.time, restShare: Self.restShare)
            while try buildPiece(id, &record, progress, pace.isShared ? Self.sharedPieceEntities : Self.pieceEntities) {
                progress.report(done: record.done, total: record.total)
                pace.rest()
            }
        } catch {
            // Interrupted by the end of the process: the row stays as it is, and the next open goes on.
            if board.isClosing { throw ThemisError(.cancelled, "the database is closing") }
            failure = error
        }
        if failure == nil { record.total = record.done }
        progress.report(done: record.done, total: record.total)
        if record.kind == .rebuild {
            metrics.indexRebuilds.add()
            metrics.indexRebuildMilliseconds.add(UInt64(clamping: telemetry.time.monotonicMilliseconds() - started))
            metrics.indexRebuildEntities.add(record.done)
        }
        record.state = failure == nil ? .done : failure?.code == .cancelled ? .cancelled : .failed
        if record.state == .failed, let failure { record.error = "\(failure.code.word) \(failure.message)" }
        record.endedMilliseconds = telemetry.time.wallMilliseconds()
        try end(id, record)
        if let failure { throw failure }
    }

    /// Ends a build in one batch: the index serves, or it is gone.
    private func end(_ id: String, _ record: IndexBuildRecord) throws(ThemisError) {
        let old = board.jobs.filter { $0.state != .running && $0.kind == record.kind.word }.dropFirst(Self.keptRows - 1).map(\.id)
        try committer.run { stage throws(ThemisError) in
            if record.state == .done {
                _ = stage.complete(table: record.tableID, generation: record.generation)
            } else if let slot = stage.slotsByID[record.tableID] {
                stage.drop(record.generation, from: slot)
            }
            stage.batch.bytes.put(.meta, MetaRecords.job(id), record.encoded())
            for id in old { stage.batch.bytes.delete(.meta, MetaRecords.job(id)) }
        }
    }

    /// Builds the next piece, of so many entities; false when nothing is left.
    private func buildPiece(
        _ id: String, _ record: inout IndexBuildRecord, _ progress: JobProgress, _ entities: Int
    ) throws(ThemisError) -> Bool {
        while true {
            let view = try ReadView(self, CallContext(cancellation: progress.cancellation))
            guard let table = published.catalog.byID[record.tableID],
                let index = table.indexes.all.first(where: { $0.generation == record.generation }), index.state == .building
            else { throw ThemisError(.cancelled, "the index was dropped") }
            guard let piece = try readPiece(view, table, index, entities) else { return false }
            var after = record
            after.done += piece.seen
            after.total = max(after.total, after.done)
            let row = after.encoded()
            do throws(ThemisError) {
                // A crash may take pieces back; the build then goes on from the last one that is left.
                let step = try committer.run(isDurable: false) { stage throws(ThemisError) in
                    let step = try stage.write(piece)
                    if step == .written { stage.batch.bytes.put(.meta, MetaRecords.job(id), row) }
                    return step
                }
                switch step {
                case .written:
                    record = after
                    return true
                case .stale: continue
                case .gone: throw ThemisError(.cancelled, "the index was dropped")
                }
            } catch {
                // Too much waits for the disk, or it is full for now: the work is not lost by waiting.
                guard error.code == .overloaded || error.code == .diskFull else { throw error }
                Pace.pause(Self.refusedPauseMilliseconds)
            }
        }
    }

    /// The entries of the entities behind those that are built; nil when there is none.
    private func readPiece(
        _ view: ReadView, _ table: Table, _ index: Index, _ entities: Int
    ) throws(ThemisError) -> IndexBuildPiece? {
        let through = index.counters.value.builtThrough
        let lower = EntityRecord.lowerBound(table: table.id) + through + (through.isEmpty ? [] : [0])
        let cursor = try view.scan(from: lower, to: EntityRecord.upperBound(table: table.id), reverse: false)
        let single = TableIndexes([index])
        var piece = IndexBuildPiece(tableID: table.id, generation: index.generation, readPoint: view.sequence)
        var bytes = 0
        while piece.seen < entities, bytes < Self.pieceBytes, try cursor.advance() {
            let key = cursor.key
            let value = cursor.value
            try EntityRecord.check(value)
            bytes += value.count
            piece.seen += 1
            piece.through = Array(key[4...])
            let version = EntityRecord.version(of: value)
            guard version <= index.birth else { continue }
            do throws(ThemisError) {
                piece.rows.append(try row(key, value, version, index, single, view))
            } catch {
                var named = error
                named.fields.insert(FieldError("\(table.name.text):\(String(decoding: key[4...], as: UTF8.self))", error.message), at: 0)
                throw named
            }
        }
        return piece.seen == 0 ? nil : piece
    }

    private func row(
        _ key: [UInt8], _ value: [UInt8], _ version: UInt64, _ index: Index, _ single: TableIndexes, _ view: ReadView
    ) throws(ThemisError) -> IndexBuildPiece.Row {
        let entries = try single.entries(of: value, EntityRecord.headerBytes..<value.count)[0]
        var checks: [UniqueCheck] = []
        if index.definition.isUnique {
            for entry in entries where !OrderedCoding.hasNull(entry, values: index.definition.columns.count) {
                let unique = RecentKey(IndexKey.key(index.generation, entry))
                let holder = try PrepareStage.holder(of: unique.bytes, index, besides: key[4...], view.snapshot, now: view.now)
                checks.append(UniqueCheck(place: 0, key: unique, holder: holder))
            }
        }
        return IndexBuildPiece.Row(
            key: RecentKey(key), version: version, expiresAt: EntityRecord.expiry(of: value),
            entries: entries.map { IndexKey.key(index.generation, $0, pk: key[4...]) }, checks: checks)
    }
}
