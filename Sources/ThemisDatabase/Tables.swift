import Synchronization
public import ThemisBase
import ThemisStorage

extension OrderStage {
    /// System records that may hang at one data record: room is left for a table that a write makes.
    private static let systemRecords: UInt16 = 65_000

    /// - Throws: `conflict`.
    func checkRoom() throws(ThemisError) {
        guard end.ordinal < Self.systemRecords else {
            throw ThemisError(.conflict, "\(Self.systemRecords) tables were changed without a write of data; write some first")
        }
    }

    /// Makes a table, or changes its settings. True: it is new.
    func put(_ name: TableName, _ change: TableSettingsChange) throws(ThemisError) -> Bool {
        var settings = slotsByName[name.text]?.table.settings ?? TableSettings()
        if let value = change.keepsOldValues { settings.keepsOldValues = value }
        if let value = change.defaultTTLSeconds { settings.defaultTTLSeconds = value }
        guard let slot = slotsByName[name.text] else {
            try checkRoom()
            _ = createTable(name, settings)
            flush()
            return true
        }
        let old = slot.table
        guard settings != old.settings else { return false }
        try checkRoom()
        // Another object under the same id: what was prepared for the old settings is stale.
        slot.table = old.with(settings)
        install(slot)
        stageSystem(
            table: old.id, text: SystemText.table("table_settings", slot.table),
            .meta([(MetaRecords.table(name), slot.table.record)]))
        flush()
        return false
    }

    /// Removes a table with all it holds: one range, one record, whatever its size.
    func drop(_ name: TableName) throws(ThemisError) -> TableDropResult {
        let slot = try existing(name)
        let result = TableDropResult(deleted: slot.entities, sequence: end.sequence)
        removeRows(of: slot)
        batch.bytes.delete(.meta, MetaRecords.table(name))
        stageSystem(table: slot.table.id, text: SystemText.table("table_drop", slot.table), .none, cause: .table)
        flush()
        return result
    }

    /// Empties a table: it goes on under a new id.
    func truncate(_ name: TableName) throws(ThemisError) -> TableDropResult {
        let slot = try existing(name)
        let result = TableDropResult(deleted: slot.entities, sequence: end.sequence)
        removeRows(of: slot)
        let old = slot.table
        let table = Table(
            id: takeTableID(), name: name, settings: old.settings, createdMilliseconds: old.createdMilliseconds,
            birth: end.sequence, indexes: emptied(old.indexes))
        let successor = TableSlot(table)
        install(successor)
        touch(successor)
        stageSystem(
            table: old.id, text: SystemText.table("table_truncate", table),
            .meta([
                (MetaRecords.table(name), table.record), (MetaRecords.nextTable, MetaRecords.number(catalog.nextID)),
                (MetaRecords.nextIndex, MetaRecords.number(catalog.nextIndex)),
            ]), cause: .table)
        flush()
        return result
    }

    private func existing(_ name: TableName) throws(ThemisError) -> TableSlot {
        guard let slot = slotsByName[name.text] else { throw ThemisError(.notFound, "there is no table \(name.text)") }
        try checkRoom()
        return slot
    }

    private func removeRows(of slot: TableSlot) {
        let id = slot.table.id
        retire(slot)
        batch.bytes.deleteRange(.entities, from: EntityRecord.lowerBound(table: id), to: EntityRecord.upperBound(table: id))
        batch.bytes.delete(.meta, MetaRecords.count(id))
        for index in slot.table.indexes.all { removeEntries(of: index) }
        batch.bytes.deleteRange(.indexes, from: ExpiryKey.lowerBound(table: id), to: ExpiryKey.lowerBound(table: id + 1))
        batch.bytes.put(
            .meta, MetaRecords.retired(id),
            TableRecord.encode(TableCatalog.Retired(name: slot.table.name, sequence: end.sequence)))
    }
}

/// Tables. What changes them waits for the disk: not on a loop thread.
extension Database {
    /// Every table, by name.
    public func tables() -> [TableInfo] { published.catalog.byName.values.map(\.info).sorted { $0.name.text < $1.name.text } }

    /// One table.
    public func table(_ name: TableName) -> TableInfo? { published.table(name)?.info }

    /// Makes a table, or changes its settings.
    ///
    /// - Throws: `unprocessable` for a setting out of bounds; the errors of a write.
    public func putTable(
        _ name: TableName, _ change: TableSettingsChange
    ) throws(ThemisError) -> (table: TableInfo, created: Bool) {
        if let ttl = change.defaultTTLSeconds, !(0...Limits.ttlSeconds).contains(ttl) {
            throw ThemisError(
                .unprocessable, "a default TTL has 0–\(Limits.ttlSeconds) seconds",
                fields: [FieldError("default_ttl_seconds", "0–\(Limits.ttlSeconds)")])
        }
        let created = try committer.run { stage throws(ThemisError) in try stage.put(name, change) }
        guard let table = table(name) else { throw ThemisError(.conflict, "the table was dropped at the same time") }
        return (table, created)
    }

    /// Removes a table with everything in it. The change log shows one system record, not one delete per entity.
    ///
    /// - Throws: `not_found`; the errors of a write.
    public func dropTable(_ name: TableName) throws(ThemisError) -> TableDropResult {
        try committer.run { stage throws(ThemisError) in try stage.drop(name) }
    }

    /// Removes everything in a table, which keeps its settings. The change log shows one system record, not one delete per
    /// entity.
    ///
    /// - Throws: `not_found`; the errors of a write.
    public func truncateTable(_ name: TableName) throws(ThemisError) -> TableDropResult {
        try committer.run { stage throws(ThemisError) in try stage.truncate(name) }
    }
}
