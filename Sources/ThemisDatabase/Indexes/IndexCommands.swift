import ThemisBase
import ThemisStorage

/// Commands that change indexes, on the committer.
extension OrderStage {
    /// What became of the wish for an index.
    struct IndexCreation: Sendable {
        let index: Index
        let table: Table
        let isNew: Bool
        /// The job that makes the entries; nil when there are none to make.
        let build: IndexBuildRecord?
    }

    /// Makes an index, and its table when there is none. On a table with rows it is built by the job `id`.
    ///
    /// - Throws: `already_exists` when the same columns have one of the same type with another definition; `conflict`.
    func create(_ definition: IndexDefinition, job id: String) throws(ThemisError) -> IndexCreation {
        if let slot = slotsByName[definition.table.text],
            let known = slot.table.indexes.all.first(where: { $0.definition.isSameIndex(as: definition) })
        {
            guard known.definition.isEqual(to: definition) else {
                throw ThemisError(
                    .alreadyExists, "\(definition.name) has a \(definition.type) index with another definition; drop it first",
                    members: [("index", .text(definition.name))])
            }
            return IndexCreation(index: known, table: slot.table, isNew: false, build: nil)
        }
        try checkRoom()
        let slot = slotsByName[definition.table.text] ?? createTable(definition.table, TableSettings())
        guard slot.table.indexes.all.count < Limits.tableIndexes else {
            throw ThemisError(.unprocessable, "a table has at most \(Limits.tableIndexes) indexes")
        }
        let state: IndexState = slot.entities == 0 ? .ready : .building
        let index = add(definition, to: slot, state: state, replaces: 0)
        let build = state == .building ? begin(job: id, slot, index, kind: .create) : nil
        return IndexCreation(index: index, table: slot.table, isNew: true, build: build)
    }

    /// Begins to build an index anew beside the one that serves.
    ///
    /// - Throws: `not_found`; `invalid_request` when it is not clear which is meant; `conflict` when it is being built already.
    func rebuild(
        _ table: TableName, columns: [JSONPath], type: String?, job id: String
    ) throws(ThemisError) -> IndexBuildRecord {
        let (slot, index) = try known(table, columns, type)
        try checkRebuild(index, of: slot)
        return beginRebuild(index, of: slot, job: id)
    }

    /// Begins to build every index of a table anew: all or none.
    ///
    /// - Throws: `not_found` for an unknown table; `conflict` when one is being built already.
    func rebuild(_ table: TableName, jobs ids: [String]) throws(ThemisError) -> [IndexBuildRecord] {
        guard let slot = slotsByName[table.text] else { throw ThemisError(.notFound, "there is no table \(table.text)") }
        let indexes = slot.table.indexes.all.filter { $0.replaces == 0 }
        for index in indexes { try checkRebuild(index, of: slot) }
        return zip(indexes, ids).map { beginRebuild($0, of: slot, job: $1) }
    }

    private func checkRebuild(_ index: Index, of slot: TableSlot) throws(ThemisError) {
        guard index.state == .ready, !slot.table.indexes.all.contains(where: { $0.replaces == index.generation }) else {
            throw ThemisError(.conflict, "the index on \(index.definition.name) is being built already; see GET /admin/jobs")
        }
        try checkRoom()
    }

    private func beginRebuild(_ index: Index, of slot: TableSlot, job id: String) -> IndexBuildRecord {
        let successor = add(index.definition, to: slot, state: .building, replaces: index.generation)
        return begin(job: id, slot, successor, kind: .rebuild)
    }

    /// The index that a request means, by now.
    ///
    /// - Throws: `not_found`; `invalid_request` when the columns have several.
    private func known(
        _ table: TableName, _ columns: [JSONPath], _ type: String?
    ) throws(ThemisError) -> (slot: TableSlot, index: Index) {
        guard let slot = slotsByName[table.text] else { throw ThemisError(.notFound, "there is no table \(table.text)") }
        let found = slot.table.indexes.all.filter { index in
            index.replaces == 0 && index.definition.columns == columns && (type == nil || index.definition.type == type)
        }
        guard let first = found.first else { throw ThemisError(.notFound, "there is no such index") }
        guard found.count == 1 else {
            throw IndexDefinition.error("type", "must be given: the columns have " + found.map(\.definition.type).joined(separator: ", "))
        }
        return (slot, first)
    }

    private func add(_ definition: IndexDefinition, to slot: TableSlot, state: IndexState, replaces: UInt32) -> Index {
        let index = Index(
            generation: takeGeneration(), definition: definition, state: state, birth: end.sequence, replaces: replaces,
            createdMilliseconds: batch.now)
        flush()
        change(slot, to: slot.table.indexes.all + [index])
        if replaces == 0 { note("index_create", slot, index) }
        return index
    }

    private func begin(
        job id: String, _ slot: TableSlot, _ index: Index, kind: IndexBuildRecord.Kind
    ) -> IndexBuildRecord {
        let record = IndexBuildRecord(of: index, kind: kind, table: slot.table.id, now: batch.now, total: slot.entities)
        batch.bytes.put(.meta, MetaRecords.job(id), record.encoded())
        return record
    }

    /// Writes the system record of an index.
    private func note(_ kind: StaticString, _ slot: TableSlot, _ index: Index) {
        stageSystem(table: slot.table.id, text: SystemText.index(kind, index), .none)
        flush()
    }

    /// Removes an index with its entries and with what was to replace it.
    ///
    /// - Throws: `not_found`; `invalid_request` when it is not clear which is meant.
    func drop(_ table: TableName, columns: [JSONPath], type: String?) throws(ThemisError) -> IndexInfo {
        let (slot, index) = try known(table, columns, type)
        drop(index.generation, from: slot)
        return index.info
    }

    /// Removes a generation, and what was to replace it; nothing when it is gone.
    func drop(_ generation: UInt32, from slot: TableSlot) {
        let gone = slot.table.indexes.all.filter { $0.generation == generation || $0.replaces == generation }
        guard let index = gone.first(where: { $0.generation == generation }) else { return }
        change(slot, to: slot.table.indexes.all.filter { kept in !gone.contains { $0 === kept } })
        for index in gone { removeEntries(of: index) }
        if index.replaces == 0 { note("index_drop", slot, index) }
    }

    // MARK: Building

    /// What became of a piece of a build.
    enum BuildStep: Sendable {
        case written
        /// It was read from a state that is too old to be compared with what was committed since.
        case stale
        /// The index was dropped, or its table was.
        case gone
    }

    /// Writes the entries of entities that have not changed since they were read. Those that have got theirs from the write.
    ///
    /// - Throws: `unique_violation`; then nothing is written.
    func write(_ piece: IndexBuildPiece) throws(ThemisError) -> BuildStep {
        guard let slot = slotsByID[piece.tableID],
            let index = slot.indexes.first(where: { $0.index.generation == piece.generation }), index.index.state == .building
        else { return .gone }
        guard piece.readPoint >= recent.floor else { return .stale }
        let rows = piece.rows.filter { row in recent[row.key].map { $0.version == row.version } ?? true }
        try claim(rows, index.index)
        for row in rows {
            for key in row.entries {
                batch.bytes.put(.indexes, key, [])
                index.counts.bytes += UInt64(key.count)
            }
            index.counts.entries += UInt64(row.entries.count)
        }
        index.counts.builtThrough = piece.through
        touch(index)
        return .written
    }

    /// Proves that the unique values of `rows` are free, and takes them.
    private func claim(_ rows: [IndexBuildPiece.Row], _ index: Index) throws(ThemisError) {
        guard index.definition.isUnique else { return }
        var taken: [RecentKey: UniqueHolder] = [:]
        for row in rows {
            let own = UniqueHolder(pk: Array(row.pk), expiresAt: row.expiresAt)
            guard !own.isExpired(at: batch.now) else { continue }
            for check in row.checks {
                let known = taken[check.key] ?? recent.claim(check.key).map(\.holder) ?? check.holder
                if let known, known.pk != own.pk, !known.isExpired(at: batch.now) { throw Self.violation(index, known.pk) }
                taken[check.key] = own
            }
        }
        for (key, holder) in taken { _ = recent.set(key, claim: RecentCommits.Claim(holder: holder)) }
    }

    /// Ends a build: the index serves from now on, in the place of the one it replaces.
    ///
    /// False when it is gone.
    func complete(table: UInt32, generation: UInt32) -> Bool {
        guard let slot = slotsByID[table],
            let index = slot.table.indexes.all.first(where: { $0.generation == generation && $0.state == .building })
        else { return false }
        let replaced = slot.table.indexes.all.filter { $0.generation == index.replaces }
        change(
            slot,
            to: slot.table.indexes.all.compactMap { other in
                if other.generation == index.replaces { return nil }
                return other === index ? index.completed : other
            })
        for old in replaced { removeEntries(of: old) }
        return true
    }
}

extension SystemText {
    /// `{"kind":…,"table":…,"generation":…,"type":…,"columns":[…],"unique":…}`
    static func index(_ kind: StaticString, _ index: Index) -> [UInt8] {
        let definition = index.definition
        return JSONValue.object(
            [
                JSONMember("kind", .string("\(kind)")), JSONMember("table", .string(definition.table.text)),
                JSONMember("generation", .integer(index.generation)), JSONMember("type", .string(definition.type)),
                JSONMember("columns", .array(definition.columns.map { .string($0.text) })),
                JSONMember("unique", .bool(definition.isUnique)),
            ] + definition.settings.members
        ).bytes
    }
}
