import ThemisBase
import ThemisStorage

/// An entity as an open transaction will leave it.
struct StagedRow: Sendable {
    let table: TableName
    /// Header and document, with version 0; nil when it is deleted.
    let value: [UInt8]?
    /// Stored keys of its entries in the indexes of the table, as the transaction sees them.
    let entries: [[UInt8]]
    /// When it was written last, counted in writes of the transaction.
    let number: Int

    /// Memory, about.
    func bytes(_ key: [UInt8]) -> Int { entries.reduce(2 * key.count + (value?.count ?? 0) + 256) { $0 + $1.count + 32 } }
}

/// What an open transaction has written, over the state that it reads.
struct TransactionOverlay: Sendable {
    /// By stored key.
    private(set) var rows: [[UInt8]: StagedRow] = [:]
    /// The keys of `rows`, in their order.
    private(set) var keys: [[UInt8]] = []
    /// Tables that do not exist in the state, with ids that no table ever has.
    private(set) var newTables: [String: Table] = [:]
    private(set) var bytes = 0
    /// Another one after each write.
    private(set) var revision = 0

    var isEmpty: Bool { keys.isEmpty }

    /// The same without its rows.
    var outline: TransactionOverlay {
        var outline = TransactionOverlay()
        outline.newTables = newTables
        outline.revision = revision
        return outline
    }

    /// The first place in `keys` whose key is not before `key`.
    private func place(_ key: [UInt8]) -> Int {
        var low = 0
        var high = keys.count
        while low < high {
            let middle = (low + high) / 2
            if keys[middle].lexicographicallyPrecedes(key) { low = middle + 1 } else { high = middle }
        }
        return low
    }

    mutating func set(_ key: [UInt8], _ row: StagedRow, newTable: Table?) {
        if let newTable { newTables[newTable.name.text] = newTable }
        if let known = rows.updateValue(row, forKey: key) {
            bytes -= known.bytes(key)
        } else {
            keys.insert(key, at: place(key))
        }
        bytes += row.bytes(key)
        revision += 1
    }

    /// A table that the transaction makes by writing to it.
    func newTable(_ name: TableName, now: Int64, birth: SequenceNumber) -> Table {
        newTables[name.text]
            ?? Table(
                id: UInt32.max - 2 - UInt32(newTables.count), name: name, settings: TableSettings(), createdMilliseconds: now,
                birth: birth)
    }

    /// Rows with keys from `lower` to `upper`, which is exclusive.
    func rows(from lower: [UInt8], to upper: [UInt8]) -> [(key: [UInt8], value: [UInt8]?)] {
        let start = place(lower)
        return keys[start..<max(start, place(upper))].map { ($0, rows[$0]?.value) }
    }

    /// Entries of all rows, in their order.
    var entries: [[UInt8]] { rows.values.flatMap(\.entries).sorted { $0.lexicographicallyPrecedes($1) } }

    /// The rows in the order in which they are committed: what is deleted gives room to what is put.
    var inCommitOrder: [(key: [UInt8], row: StagedRow)] {
        rows.map { ($0.key, $0.value) }.sorted { left, right in
            let isDeleted = (left.1.value == nil, right.1.value == nil)
            return isDeleted.0 == isDeleted.1 ? left.1.number < right.1.number : isDeleted.0
        }
    }
}

/// A cursor over stored pairs, with what a transaction has written over them. One thread at a time.
final class ViewCursor {
    /// What lies over the stored pairs.
    struct Cover {
        /// In the order of the cursor; a nil value hides the stored pair.
        var rows: ArraySlice<(key: [UInt8], value: [UInt8]?)> = []
        /// Stored pairs that are not there; nil hides none.
        var hides: (([UInt8]) throws(ThemisError) -> Bool)?
    }

    private let base: any StorageCursor
    private let isReversed: Bool
    private var cover: Cover?
    private let scan: ReadRecorder.Scan?
    private var covering: (key: [UInt8], value: [UInt8])?
    /// Whether the base stands at a pair that has not been given yet.
    private var isBaseWaiting = false
    private var isBaseAtEnd = false

    init(_ base: any StorageCursor, isReversed: Bool = false, cover: Cover? = nil, scan: ReadRecorder.Scan? = nil) {
        self.base = base
        self.isReversed = isReversed
        self.cover = cover
        self.scan = scan
    }

    var key: [UInt8] { covering?.key ?? base.key }
    var value: [UInt8] { covering?.value ?? base.value }

    /// Moves to the next pair; false at the end.
    func advance() throws(ThemisError) -> Bool {
        guard cover != nil else { return try advanceBase() }
        covering = nil
        while true {
            if !isBaseWaiting, !isBaseAtEnd {
                isBaseWaiting = try advanceBase()
                isBaseAtEnd = !isBaseWaiting
                if isBaseWaiting, let hides = cover?.hides, try hides(base.key) {
                    isBaseWaiting = false
                    continue
                }
            }
            guard let row = cover?.rows.first else {
                defer { isBaseWaiting = false }
                return isBaseWaiting
            }
            if isBaseWaiting {
                let key = base.key
                let isBaseFirst = isReversed ? row.key.lexicographicallyPrecedes(key) : key.lexicographicallyPrecedes(row.key)
                if isBaseFirst {
                    isBaseWaiting = false
                    return true
                }
                if key == row.key { isBaseWaiting = false }
            }
            cover?.rows.removeFirst()
            if let value = row.value {
                covering = (row.key, value)
                return true
            }
        }
    }

    private func advanceBase() throws(ThemisError) -> Bool {
        let isThere = try base.advance()
        if let scan {
            if isThere { scan.furthest = base.key } else { scan.isAtEnd = true }
        }
        return isThere
    }
}
