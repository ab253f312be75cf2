public import ThemisBase
import ThemisStorage

/// What became of the wish for an index.
public struct IndexCreationResult: Sendable {
    /// The index.
    public var index: IndexInfo
    /// Whether it was made now; false when it was there.
    public var created: Bool
    /// The job that makes its entries; nil when it is complete.
    public var job: Job?
}

/// An index with what is found out by looking.
public struct IndexStatistics: Sendable {
    /// The index.
    public var info: IndexInfo
    /// Different values, or combinations of them: an estimate unless `isCardinalityExact`.
    public var cardinality: UInt64
    /// Whether every entry was looked at.
    public var isCardinalityExact: Bool
}

/// Indexes. What changes them waits for the disk: not on a loop thread.
extension Database {
    /// Different values that are looked for before the rest is estimated.
    private static let countedValues = 1_000

    /// The indexes of one table, or of all, by table, columns and type.
    ///
    /// - Throws: `not_found` for an unknown table.
    public func indexes(_ table: TableName? = nil) throws(ThemisError) -> [IndexInfo] { try known(table).map(\.info) }

    private func known(_ table: TableName?) throws(ThemisError) -> [Index] {
        let catalog = published.catalog
        if let table {
            guard let found = catalog.byName[table.text] else { throw ThemisError(.notFound, "there is no table \(table.text)") }
            return Self.sorted(found.indexes.all)
        }
        return Self.sorted(catalog.byName.values.flatMap(\.indexes.all))
    }

    private static func sorted(_ indexes: [Index]) -> [Index] {
        func key(_ index: Index) -> (String, String, String, UInt32) {
            (index.definition.table.text, index.definition.name, index.definition.type, index.generation)
        }
        return indexes.sorted { key($0) < key($1) }
    }

    /// The indexes on `columns`, or all of the table, of one type or of any, with counts and estimates. May read the disk.
    ///
    /// - Throws: `not_found` for an unknown table, or when there is no such index.
    public func indexStatistics(
        _ table: TableName?, columns: [JSONPath] = [], type: String? = nil, _ call: CallContext = CallContext()
    ) throws(ThemisError) -> [IndexStatistics] {
        let found = try known(table).filter { index in
            (columns.isEmpty || index.definition.columns == columns) && (type == nil || index.definition.type == type)
        }
        guard !found.isEmpty || columns.isEmpty else { throw ThemisError(.notFound, "there is no such index") }
        let view = try ReadView(self, call)
        var result: [IndexStatistics] = []
        for index in found {
            let (count, isExact) = try cardinality(index, view)
            result.append(IndexStatistics(info: index.info, cardinality: count, isCardinalityExact: isExact))
        }
        return result
    }

    /// Jumps from value to value, as far as the bound allows.
    private func cardinality(_ index: Index, _ view: ReadView) throws(ThemisError) -> (UInt64, isExact: Bool) {
        var lower = IndexKey.lowerBound(index.generation)
        let upper = IndexKey.upperBound(index.generation)
        var count: UInt64 = 0
        while count < Self.countedValues {
            let cursor = try view.snapshot.scan(.indexes, from: lower, to: upper, reverse: false)
            guard try cursor.advance() else { return (count, true) }
            let key = cursor.key
            let end = try IndexKey.pkOffset(key, values: index.definition.kind.entryValues)
            count += 1
            lower = ValueRange.successor(Array(key[..<end]))
            try view.check()
        }
        // The values seen stand for the rest as far as their bytes do.
        let first = IndexKey.lowerBound(index.generation)
        let seen = engine.approximateBytes(.indexes, from: first, to: lower)
        let all = engine.approximateBytes(.indexes, from: first, to: upper)
        guard seen > 0, all > seen else { return (count, false) }
        let estimate = Double(count) * Double(all) / Double(seen)
        return (min(UInt64(estimate), max(count, index.counters.value.entries)), false)
    }

    /// Makes an index. On a table with rows its entries are made by a job while writes go on, and queries use it once it is complete.
    ///
    /// - Throws: `already_exists` when the same columns have one of the same type with another definition; the errors of a write.
    public func createIndex(_ definition: IndexDefinition) throws(ThemisError) -> IndexCreationResult {
        let id = Digest.hex(Digest.random(8))
        let creation = try committer.run { stage throws(ThemisError) in try stage.create(definition, job: id) }
        return IndexCreationResult(
            index: creation.index.info, created: creation.isNew, job: try job(id, of: creation))
    }

    /// The same once under an idempotency key: `answer` writes what is kept for it. The job, if there is one, is known by its id.
    ///
    /// - Throws: `idempotency_mismatch`, `too_many_requests`, `unprocessable` for columns whose answer would be too long to be kept.
    public func createIndex(
        _ definition: IndexDefinition, once token: IdempotencyToken, principal: String,
        _ answer: @escaping @Sendable (_ index: IndexInfo, _ created: Bool, _ job: String?) -> [UInt8]
    ) throws(ThemisError) -> KeptAnswer {
        let id = Digest.hex(Digest.random(8))
        let key = PreparedIdempotency(token, principal: principal)
        let (kept, creation) = try committer.run { stage throws(ThemisError) in
            var creation: OrderStage.IndexCreation?
            let kept = try stage.once(key, answerBytes: Self.answerBytes(definition.columns)) { () throws(ThemisError) in
                let made = try stage.create(definition, job: id)
                creation = made
                return answer(made.index.info, made.isNew, made.build == nil ? nil : id)
            }
            return (kept, creation)
        }
        if let creation { _ = try job(id, of: creation) }
        return kept
    }

    /// Starts the job `id` of a new index, or finds the one that builds it already; nil when it is complete.
    private func job(_ id: String, of creation: OrderStage.IndexCreation) throws(ThemisError) -> Job? {
        if let build = creation.build { return try startBuild(id, build) }
        return creation.index.state == .building ? try runningBuild(of: creation.index.generation) : nil
    }

    /// What an answer about an index with these columns has at most: they stand in it twice, beside words and numbers.
    private static func answerBytes(_ columns: [JSONPath]) -> Int {
        columns.reduce(1_024) { $0 + 2 * (JSONValue.string($1.text).bytes.count + 1) }
    }

    /// The job that builds an index.
    private func runningBuild(of generation: UInt32) throws(ThemisError) -> Job? {
        var found: Job?
        try OpenedState.forEach(engine.snapshot(), MetaRecords.jobPrefix) { suffix, value throws(ThemisError) in
            guard value.first == IndexBuildRecord.format else { return }
            let record = try IndexBuildRecord.decode(value)
            if record.generation == generation { found = board.job(String(decoding: suffix, as: UTF8.self)) ?? found }
        }
        return found
    }

    /// Removes an index with its entries.
    ///
    /// - Parameter type: needed when the columns have indexes of several types.
    /// - Throws: `not_found`; `invalid_request` when it is not clear which is meant; the errors of a write.
    public func dropIndex(_ table: TableName, columns: [JSONPath], type: String? = nil) throws(ThemisError) -> IndexInfo {
        // Found on the committer: a rebuild that ends meanwhile gives the index another generation.
        try committer.run { stage throws(ThemisError) in try stage.drop(table, columns: columns, type: type) }
    }

    /// The same once under an idempotency key: `answer` writes what is kept for it.
    ///
    /// - Throws: as `createIndex` under a key.
    public func dropIndex(
        _ table: TableName, columns: [JSONPath], type: String? = nil, once token: IdempotencyToken, principal: String,
        _ answer: @escaping @Sendable (IndexInfo) -> [UInt8]
    ) throws(ThemisError) -> KeptAnswer {
        let key = PreparedIdempotency(token, principal: principal)
        return try committer.run { stage throws(ThemisError) in
            try stage.once(key, answerBytes: Self.answerBytes(columns)) { () throws(ThemisError) in
                answer(try stage.drop(table, columns: columns, type: type))
            }
        }
    }

    /// Builds an index anew beside the one that serves, as a job.
    ///
    /// - Throws: as `dropIndex`; `conflict` when it is being built already.
    public func rebuildIndex(_ table: TableName, columns: [JSONPath], type: String? = nil) throws(ThemisError) -> Job {
        try startRebuilds { stage, ids throws(ThemisError) in [try stage.rebuild(table, columns: columns, type: type, job: ids[0])] }[0]
    }

    /// Builds every index of a table anew, each as a job: all or none.
    ///
    /// - Throws: `not_found` for an unknown table; `conflict` when one is being built already.
    public func reindex(_ table: TableName) throws(ThemisError) -> [Job] {
        try startRebuilds { stage, ids throws(ThemisError) in try stage.rebuild(table, jobs: ids) }
    }

    private func startRebuilds(
        _ body: @escaping @Sendable (OrderStage, _ ids: [String]) throws(ThemisError) -> [IndexBuildRecord]
    ) throws(ThemisError) -> [Job] {
        let ids = (0..<Limits.tableIndexes).map { _ in Digest.hex(Digest.random(8)) }
        let records = try committer.run { stage throws(ThemisError) in try body(stage, ids) }
        var jobs: [Job] = []
        for (id, record) in zip(ids, records) { jobs.append(try startBuild(id, record)) }
        return jobs
    }
}
