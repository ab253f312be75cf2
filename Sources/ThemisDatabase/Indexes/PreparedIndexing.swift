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
        /// Entries and bytes of the state before and of the new one.
        let before: (entries: Int, bytes: Int)
        let after: (entries: Int, bytes: Int)
    }

    var changes: [Change] = []
    /// Removes the entries of the state before that the new one has not, and adds those that only the new one has; all of its entries
    /// while an index is built.
    var rows = WriteBatch()
    var checks: [UniqueCheck] = []
    /// Unique values that the state before had and the new one has not.
    var released: [(place: Int, key: RecentKey)] = []
    /// Unique values that both states have, of an entity that did not expire: nobody can have taken them.
    var kept: [(place: Int, entry: [UInt8])] = []
    /// When the new state expires by its indexes.
    var expiry = DocumentExpiry.never
}

extension PreparedIndexing {
    /// An index with single values: both entries are compared where they lie, without memory of their own.
    fileprivate mutating func add(
        _ index: Index, _ place: Int, _ single: SingleEntry, _ indexes: TableIndexes, _ pk: ArraySlice<UInt8>, _ before: DocumentCodings?,
        _ after: DocumentCodings?
    ) throws(ThemisError) {
        var old: ArraySlice<UInt8>?
        var new: ArraySlice<UInt8>?
        if let before, case .coding(let range) = before.entry(single) { old = before.bytes[range] }
        if let after {
            switch after.entry(single) {
            case .none: break
            case .coding(let range): new = after.bytes[range]
            case .unfit:
                _ = try indexes.entries(place, of: after)
                preconditionFailure("an entry that does not fit is refused")
            }
        }
        let isSame = if let old, let new { old == new } else { old == nil && new == nil }
        guard !isSame || (index.state == .building && new != nil) else { return }
        if !isSame, let old { remove(index, old, pk) }
        if let new { put(index, new, pk) }
        func sum(_ entry: ArraySlice<UInt8>?) -> (entries: Int, bytes: Int) { entry.map { (1, 4 + $0.count + pk.count) } ?? (0, 0) }
        changes.append(Change(place: place, before: sum(old), after: sum(new)))
    }

    /// Any index.
    ///
    /// - Parameter isHeld: whether there is a state before that does not expire.
    fileprivate mutating func add(
        _ index: Index, _ place: Int, _ indexes: TableIndexes, _ pk: ArraySlice<UInt8>, _ before: DocumentCodings?,
        _ after: DocumentCodings?, isHeld: Bool
    ) throws(ThemisError) {
        let old = try before.map { codings throws(ThemisError) in try indexes.entriesKept(place, of: codings) } ?? []
        let new = try after.map { codings throws(ThemisError) in try indexes.entries(place, of: codings) } ?? []
        let isBuilding = index.state == .building
        let removed = Self.difference(old, new)
        let added = isBuilding ? new : Self.difference(new, old)
        for entry in removed { remove(index, entry[...], pk) }
        for entry in added { put(index, entry[...], pk) }
        if !removed.isEmpty || !added.isEmpty {
            changes.append(Change(place: place, before: Self.sum(old, pk), after: Self.sum(new, pk)))
        }
        guard index.definition.isUnique else { return }
        let columns = index.definition.columns.count
        for entry in removed where !OrderedCoding.hasNull(entry, values: columns) {
            released.append((place, RecentKey(IndexKey.key(index.generation, entry))))
        }
        // What it has already it may keep, unless the entity expires: then another may have taken it in the meantime.
        let isHeld = isHeld && !isBuilding
        for entry in isHeld ? Self.difference(new, added) : [] where !OrderedCoding.hasNull(entry, values: columns) {
            kept.append((place, entry))
        }
        for entry in isHeld ? added : new where !OrderedCoding.hasNull(entry, values: columns) {
            checks.append(UniqueCheck(place: place, key: RecentKey(IndexKey.key(index.generation, entry)), holder: nil))
        }
    }

    private mutating func remove(_ index: Index, _ entry: ArraySlice<UInt8>, _ pk: ArraySlice<UInt8>) {
        rows.delete(.indexes, keyBytes: 4 + entry.count + pk.count) { IndexKey.append(index.generation, entry, pk: pk, to: &$0) }
    }

    private mutating func put(_ index: Index, _ entry: ArraySlice<UInt8>, _ pk: ArraySlice<UInt8>) {
        rows.put(.indexes, keyBytes: 4 + entry.count + pk.count) { IndexKey.append(index.generation, entry, pk: pk, to: &$0) }
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
}

extension PrepareStage {
    /// What a change from `state` to `value` does to the indexes of the table; `value` is empty for a delete.
    ///
    /// - Throws: `unprocessable` for a value that cannot be indexed; errors of reading.
    func indexing(
        _ indexes: TableIndexes, pk: ArraySlice<UInt8>, from state: StoredState, to value: [UInt8], now: Int64
    ) throws(ThemisError) -> PreparedIndexing {
        let after = value.isEmpty ? nil : try indexes.codings(of: value, EntityRecord.headerBytes..<value.count)
        var before: DocumentCodings?
        if state.isStored {
            guard let old = state.value else { preconditionFailure("the old value of an indexed entity is kept") }
            before = try indexes.codings(of: old, EntityRecord.headerBytes..<old.count)
        }
        var result = PreparedIndexing()
        result.changes.reserveCapacity(indexes.all.count)
        // Enough for most; longer values make it grow.
        result.rows.reserve(bytes: 2 * indexes.all.count * (24 + pk.count))
        for (place, index) in indexes.all.enumerated() {
            if let single = indexes.singles[place] {
                try result.add(index, place, single, indexes, pk, before, after)
            } else {
                try result.add(index, place, indexes, pk, before, after, isHeld: state.isStored && state.expiresAt == 0)
            }
        }
        if let after { result.expiry = try indexes.expiry(of: after) }
        guard !result.checks.isEmpty else { return result }
        let snapshot = try engine.snapshot()
        for number in result.checks.indices {
            result.checks[number].holder = try Self.holder(
                of: result.checks[number].key.bytes, indexes.all[result.checks[number].place], besides: pk, snapshot, now: now)
        }
        return result
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
