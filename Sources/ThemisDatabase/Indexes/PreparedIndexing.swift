import ThemisBase
import ThemisStorage

/// Who has a unique value.
struct UniqueHolder: Sendable {
    var pk: [UInt8]
    /// When the value becomes free, in milliseconds since 1970; 0 for never.
    var expiresAt: Int64

    func isExpired(at now: Int64) -> Bool { expiresAt != 0 && expiresAt <= now }
}

/// A value that nobody else may have.
struct UniqueCheck: Sendable {
    /// Its place among the indexes of the table.
    let place: Int
    /// The key of its entries without a primary key.
    let key: RecentKey
    /// Who else had it when the write was prepared.
    var holder: UniqueHolder?
}

/// What a write does to the indexes of its table, as far as it could be prepared.
struct PreparedIndexing: Sendable {
    /// Entries of one index that change.
    struct Change: Sendable {
        let place: Int
        /// Keys of the state before that the new one has not.
        let removed: [[UInt8]]
        /// Keys that the new state has and the state before has not; all of its keys while the index is built.
        let added: [[UInt8]]
        /// Entries and bytes of the state before and of the new one.
        let before: (entries: Int, bytes: Int)
        let after: (entries: Int, bytes: Int)
    }

    var changes: [Change] = []
    var checks: [UniqueCheck] = []
    /// Unique values that the state before had and the new one has not.
    var released: [(place: Int, key: RecentKey)] = []
    /// Unique values that both states have, of an entity that did not expire: nobody can have taken them.
    var kept: [(place: Int, entry: [UInt8])] = []
    /// When the new state expires by its indexes.
    var expiry = DocumentExpiry.never
}

extension PrepareStage {
    /// What a change from `state` to `value` does to the indexes of the table; `value` is empty for a delete.
    ///
    /// - Throws: `unprocessable` for a value that cannot be indexed; errors of reading.
    func indexing(
        _ indexes: TableIndexes, pk: ArraySlice<UInt8>, from state: StoredState, to value: [UInt8], now: Int64
    ) throws(ThemisError) -> PreparedIndexing {
        let after = value.isEmpty ? nil : try indexes.content(of: value, EntityRecord.headerBytes..<value.count)
        var before: [[[UInt8]]]?
        if state.isStored {
            guard let old = state.value else { preconditionFailure("the old value of an indexed entity is kept") }
            before = try indexes.entriesKept(of: old, EntityRecord.headerBytes..<old.count)
        }
        var result = PreparedIndexing()
        if let after { result.expiry = after.expiry }
        for (place, index) in indexes.all.enumerated() {
            let old = before?[place] ?? []
            let new = after?.entries[place] ?? []
            let isBuilding = index.state == .building
            func keys(_ entries: [[UInt8]]) -> [[UInt8]] { entries.map { IndexKey.key(index.generation, $0, pk: pk) } }
            let removed = Self.difference(old, new)
            let added = isBuilding ? new : Self.difference(new, old)
            if !removed.isEmpty || !added.isEmpty {
                result.changes.append(
                    PreparedIndexing.Change(
                        place: place, removed: keys(removed), added: keys(added), before: Self.sum(old, pk), after: Self.sum(new, pk)))
            }
            guard index.definition.isUnique else { continue }
            let columns = index.definition.columns.count
            for entry in removed where !OrderedCoding.hasNull(entry, values: columns) {
                result.released.append((place, RecentKey(IndexKey.key(index.generation, entry))))
            }
            // What it has already it may keep, unless the entity expires: then another may have taken it in the meantime.
            let isHeld = state.isStored && state.expiresAt == 0 && !isBuilding
            for entry in isHeld ? Self.difference(new, added) : [] where !OrderedCoding.hasNull(entry, values: columns) {
                result.kept.append((place, entry))
            }
            for entry in isHeld ? added : new where !OrderedCoding.hasNull(entry, values: columns) {
                result.checks.append(UniqueCheck(place: place, key: RecentKey(IndexKey.key(index.generation, entry)), holder: nil))
            }
        }
        guard !result.checks.isEmpty else { return result }
        let snapshot = try engine.snapshot()
        for number in result.checks.indices {
            result.checks[number].holder = try Self.holder(
                of: result.checks[number].key.bytes, indexes.all[result.checks[number].place], besides: pk, snapshot, now: now)
        }
        return result
    }

    /// The entries of `left` that `right` has not. Most indexes have one entry for a document: a set would cost more than the rest.
    private static func difference(_ left: [[UInt8]], _ right: [[UInt8]]) -> [[UInt8]] {
        if left.isEmpty || right.isEmpty { return left }
        if left.count == 1, right.count == 1 { return left[0] == right[0] ? [] : left }
        guard left.count * right.count > 64 else { return left.filter { !right.contains($0) } }
        let known = Set(right)
        return left.filter { !known.contains($0) }
    }

    private static func sum(_ entries: [[UInt8]], _ pk: ArraySlice<UInt8>) -> (entries: Int, bytes: Int) {
        (entries.count, entries.reduce(0) { $0 + 4 + $1.count + pk.count })
    }

    /// Who has the unique value besides `pk`, and has not expired.
    ///
    /// - Throws: errors of reading.
    static func holder(
        of key: [UInt8], _ index: Index, besides pk: ArraySlice<UInt8>, _ snapshot: any StorageSnapshot, now: Int64
    ) throws(ThemisError) -> UniqueHolder? {
        let range = ValueRange(prefix: key)
        let cursor = try snapshot.scan(.indexes, from: range.lower, to: range.upper, reverse: false)
        while try cursor.advance() {
            let other = cursor.key[key.count...]
            guard !other.elementsEqual(pk) else { continue }
            let owner = try owner(index, other, snapshot)
            if let owner, !owner.isExpired(at: now) { return owner }
        }
        return nil
    }

    private static func owner(
        _ index: Index, _ pk: ArraySlice<UInt8>, _ snapshot: any StorageSnapshot
    ) throws(ThemisError) -> UniqueHolder? {
        guard let row = try snapshot.get(.meta, MetaRecords.table(index.definition.table)) else { return nil }
        let id = try TableRecord.decode(row, name: index.definition.table).id
        let key = EntityRecord.key(table: id, pk: String(decoding: pk, as: UTF8.self))
        let state = try StoredState(stored: snapshot.get(.entities, key))
        // An entry without its entity is damage; it holds nothing, and a verification finds it.
        guard state.isStored else { return nil }
        return UniqueHolder(pk: Array(pk), expiresAt: state.expiresAt)
    }
}
