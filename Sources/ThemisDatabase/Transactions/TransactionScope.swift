import ThemisBase
import ThemisStorage

/// How one request of a transaction looks at the data: what was written lies over the state, what is read is noted. One thread at a time.
final class TransactionScope {
    let overlay: TransactionOverlay
    /// Nil where reads are not validated.
    let recorder: ReadRecorder?
    /// Entries of what was written, in their order.
    private lazy var entries = overlay.entries

    init(_ overlay: TransactionOverlay, recorder: ReadRecorder?) {
        self.overlay = overlay
        self.recorder = recorder
    }

    /// The table in the state, or the one that the transaction makes.
    ///
    /// - Throws: `not_found`.
    func table(_ name: TableName, known: Table? = nil, in view: ReadView) throws(ThemisError) -> Table {
        let found = try stored(name, known: known, in: view)
        guard let table = found ?? overlay.newTables[name.text] else { throw ReadView.missing(name) }
        return table
    }

    /// The table in the state; nil when there is none.
    ///
    /// - Parameter known: the table as it is now; used if it is the same, because its counts guide the planner.
    func stored(_ name: TableName, known: Table? = nil, in view: ReadView) throws(ThemisError) -> Table? {
        let row = try view.snapshot.get(.meta, MetaRecords.table(name))
        guard let row else {
            recorder?.read(table: name, nil)
            return nil
        }
        let table = if let known, known.record == row { known } else { try TableRecord.decode(row, name: name) }
        recorder?.read(table: name, table.id)
        return table
    }

    /// The stored value of one entity.
    func get(_ key: [UInt8], _ snapshot: any StorageSnapshot) throws(ThemisError) -> [UInt8]? {
        if let row = overlay.rows[key] { return row.value }
        recorder?.read(entity: key)
        return try snapshot.get(.entities, key)
    }

    func multiGet(_ keys: [[UInt8]], _ snapshot: any StorageSnapshot) throws(ThemisError) -> [[UInt8]?] {
        var values = try snapshot.multiGet(.entities, keys)
        for (place, key) in keys.enumerated() {
            if let row = overlay.rows[key] { values[place] = row.value } else { recorder?.read(entity: key) }
        }
        return values
    }

    func cursor(_ base: any StorageCursor, _ range: KeyRange, reverse: Bool) -> ViewCursor {
        let rows = overlay.rows(from: range.lower, to: range.upper)
        let cover = rows.isEmpty ? nil : ViewCursor.Cover(rows: (reverse ? rows.reversed() : rows)[...])
        return ViewCursor(
            base, isReversed: reverse, cover: cover, scan: recorder?.scan(range, isReversed: reverse, isIndex: false))
    }

    /// Entries of entities that the transaction has written come from what it wrote; those that are stored are not there.
    func cursor(_ base: any StorageCursor, _ index: Index, of table: Table, _ range: KeyRange, reverse: Bool) -> ViewCursor {
        recorder?.read(ReadIndex(table: table.id, generation: index.generation))
        let scan = recorder?.scan(range, isReversed: reverse, isIndex: true)
        guard !overlay.isEmpty else { return ViewCursor(base, isReversed: reverse, scan: scan) }
        let rows = staged(range).map { (key: $0, value: [UInt8]?.some([])) }
        let (values, prefix, written) = (index.definition.kind.entryValues, EntityRecord.lowerBound(table: table.id), overlay.rows)
        let cover = ViewCursor.Cover(rows: (reverse ? rows.reversed() : rows)[...]) { key throws(ThemisError) in
            written[prefix + key[(try IndexKey.pkOffset(key, values: values))...]] != nil
        }
        return ViewCursor(base, isReversed: reverse, cover: cover, scan: scan)
    }

    private func staged(_ range: KeyRange) -> ArraySlice<[UInt8]> {
        func place(_ key: [UInt8]) -> Int {
            var low = 0
            var high = entries.count
            while low < high {
                let middle = (low + high) / 2
                if entries[middle].lexicographicallyPrecedes(key) { low = middle + 1 } else { high = middle }
            }
            return low
        }
        let start = place(range.lower)
        return entries[start..<max(start, place(range.upper))]
    }
}
