import ThemisBase

/// An index that was looked into: entries of commits are only compared while it serves.
struct ReadIndex: Hashable, Sendable {
    let table: UInt32
    let generation: UInt32
}

/// What a serializable transaction has read: keys and ranges of stored keys, whether something was there or not.
struct ReadSet: Sendable {
    /// Stored keys of entities.
    var entities: Set<[UInt8]> = []
    var entityRanges: [KeyRange] = []
    var entryRanges: [KeyRange] = []
    var indexes: Set<ReadIndex> = []
    /// Tables by name, with their ids; nil where there was none.
    var tables: [String: UInt32?] = [:]
    /// Memory, about.
    private(set) var bytes = 0

    /// Keys and ranges, as `Limits.transactionReads` counts them.
    var count: Int { entities.count + entityRanges.count + entryRanges.count }

    mutating func add(entity key: [UInt8]) {
        if entities.insert(key).inserted { bytes += key.count + Self.keyBytes }
    }

    mutating func add(_ range: KeyRange, ofEntries isIndex: Bool) {
        guard range.lower.lexicographicallyPrecedes(range.upper) else { return }
        if isIndex { entryRanges.append(range) } else { entityRanges.append(range) }
        bytes += range.lower.count + range.upper.count + 2 * Self.keyBytes
    }

    /// Adds what one request read. Ranges that touch become one.
    mutating func add(_ other: ReadSet) {
        for key in other.entities { add(entity: key) }
        for range in other.entityRanges { add(range, ofEntries: false) }
        for range in other.entryRanges { add(range, ofEntries: true) }
        indexes.formUnion(other.indexes)
        tables.merge(other.tables) { known, _ in known }
        if count > Limits.transactionReads { unite() }
    }

    private mutating func unite() {
        let (ranges, entries) = (KeyRange.united(entityRanges), KeyRange.united(entryRanges))
        entityRanges = ranges
        entryRanges = entries
        entities = entities.filter { !KeyRange.contains($0, in: ranges) }
        bytes = entities.reduce(0) { $0 + $1.count + Self.keyBytes }
        for range in ranges + entries { bytes += range.lower.count + range.upper.count + 2 * Self.keyBytes }
    }

    private static let keyBytes = 48
}

/// Notes what one request of a transaction reads. One thread at a time.
final class ReadRecorder {
    /// How far a cursor came in its range. It is noted by the cursor with every step, so that a read which ends early, or fails, has read
    /// what it has seen and nothing more.
    final class Scan {
        let range: KeyRange
        let isReversed: Bool
        let isIndex: Bool
        /// The last key seen; nil before the first.
        var furthest: [UInt8]?
        var isAtEnd = false

        init(_ range: KeyRange, isReversed: Bool, isIndex: Bool) {
            self.range = range
            self.isReversed = isReversed
            self.isIndex = isIndex
        }

        /// What was seen of the range.
        var seen: KeyRange? {
            if isAtEnd { return range }
            guard let furthest else { return nil }
            // The key right behind another has a zero byte more.
            return isReversed
                ? KeyRange(lower: furthest, upper: range.upper) : KeyRange(lower: range.lower, upper: furthest + [0])
        }
    }

    private var set = ReadSet()
    private var scans: [Scan] = []

    func read(entity key: [UInt8]) { set.add(entity: key) }
    func read(table name: TableName, _ id: UInt32?) { set.tables.updateValue(id, forKey: name.text) }
    func read(_ index: ReadIndex) { set.indexes.insert(index) }

    func scan(_ range: KeyRange, isReversed: Bool, isIndex: Bool) -> Scan {
        let scan = Scan(range, isReversed: isReversed, isIndex: isIndex)
        scans.append(scan)
        return scan
    }

    /// Everything that was read until now.
    var reads: ReadSet {
        var all = set
        for scan in scans { if let seen = scan.seen { all.add(seen, ofEntries: scan.isIndex) } }
        return all
    }
}
