import ThemisBase
import ThemisStorage

/// What must not have changed since a transaction began, for it to commit.
///
/// Proof of Sendable: like the write that it belongs to, it is owned by one stage at a time.
final class CommitValidation: @unchecked Sendable {
    /// The state that the transaction read.
    let begin: SequenceNumber
    /// Entities that it wrote, and those that it read by key.
    private let entities: Set<RecentKey>
    private let entityRanges: [KeyRange]
    private let entryRanges: [KeyRange]
    private let indexes: Set<ReadIndex>
    /// Tables by name, with their ids; nil where there was none.
    private let tables: [String: UInt32?]
    /// Groups of the history up to this number were compared; their commits end with this sequence.
    private var checkedThrough: (group: UInt64, sequence: SequenceNumber)
    private var refusals = 0

    /// Keys that the committer compares itself; with more the transaction goes back to the pool.
    private static let inlineKeys = 4_096

    init(begin: SequenceNumber, writes: some Sequence<[UInt8]>, tables: [String: UInt32?], reads: ReadSet) {
        self.begin = begin
        checkedThrough = (0, begin)
        var entities = Set(writes.map { RecentKey($0) })
        for key in reads.entities { entities.insert(RecentKey(key)) }
        self.entities = entities
        entityRanges = KeyRange.united(reads.entityRanges)
        entryRanges = KeyRange.united(reads.entryRanges)
        indexes = reads.indexes
        self.tables = tables.merging(reads.tables) { written, _ in written }
    }

    /// Compares the groups that it was not compared with yet. On the pool, and what came since on the committer.
    ///
    /// - Parameter isBounded: leaves more than some thousand keys to the pool, and says so by false.
    /// - Throws: `transaction_conflict`, `transaction_too_old`.
    func advance(through history: CommitHistory, isBounded: Bool = false) throws(ThemisError) -> Bool {
        var rest = history.rest(after: checkedThrough.group)
        if rest.refusals != refusals {
            // Sequences were given again: what was compared may not be what was committed.
            rest = history.rest(after: 0)
            refusals = rest.refusals
            checkedThrough = (0, begin)
        }
        guard rest.floor <= checkedThrough.sequence else { throw Self.tooOld }
        if isBounded, rest.groups.reduce(0, { $0 + $1.keys.count }) > Self.inlineKeys { return false }
        for group in rest.groups {
            try check(group.keys)
            checkedThrough = (group.number, max(checkedThrough.sequence, group.keys.last))
        }
        return true
    }

    /// - Throws: `transaction_conflict` when one of the commits changed what was read or written.
    func check(_ keys: CommittedKeys) throws(ThemisError) {
        guard keys.last > begin else { return }
        for (sequence, key) in keys.entities where sequence > begin {
            if entities.contains(key) || (!entityRanges.isEmpty && KeyRange.contains(key.bytes, in: entityRanges)) {
                throw conflict(key.bytes)
            }
        }
        guard !entryRanges.isEmpty else { return }
        for (sequence, rows) in keys.entries where sequence > begin {
            try rows.forEachOperation { (row) throws(ThemisError) in
                switch row {
                case .put(_, let key, _), .delete(_, let key):
                    guard KeyRange.contains(key, in: entryRanges) else { return }
                    throw Self.conflict("another transaction changed what a query of this one looked for")
                case .deleteRange: preconditionFailure("a write changes single entries")
                }
            }
        }
    }

    /// - Parameter id: the table that has a name now; nil when there is none.
    /// - Throws: `transaction_conflict` when a table is another one, or an index that was read does not serve any more.
    func check(table id: (String) -> UInt32?, serves: (ReadIndex) -> Bool) throws(ThemisError) {
        for (name, known) in tables where id(name) != known {
            throw Self.conflict("the table \(name) was made, emptied or dropped since this transaction began")
        }
        for index in indexes where !serves(index) {
            throw Self.conflict("an index that this transaction used was dropped or replaced")
        }
    }

    private func conflict(_ key: [UInt8]) -> ThemisError {
        let id = key.load(UInt32.self, at: 0)
        guard let name = tables.first(where: { $0.value == id })?.key else {
            return Self.conflict("another transaction changed what this one read or wrote")
        }
        return Self.conflict(
            "another transaction changed what this one read or wrote", key: "\(name):\(String(decoding: key[4...], as: UTF8.self))")
    }

    static func conflict(_ message: String, key: String? = nil) -> ThemisError {
        ThemisError(
            .transactionConflict, message + "; begin again", members: key.map { [("key", .text($0))] } ?? [], outcome: .notCommitted)
    }

    static var tooOld: ThemisError {
        ThemisError(
            .transactionTooOld, "too much was committed since this transaction began to tell whether it may commit; begin again",
            outcome: .notCommitted)
    }
}

extension PrepareStage {
    /// Reads what a write is based on, and compares a transaction with what was committed.
    ///
    /// - Throws: `transaction_conflict`, `transaction_too_old`; errors of reading.
    func base(_ write: PendingWrite, _ history: CommitHistory) throws(ThemisError) {
        if let validation = write.validation { _ = try validation.advance(through: history) }
        try base(write.operations)
    }
}

extension OrderStage {
    /// Compares a transaction with the commits that the pool has not seen. A verdict when it may not commit, or not now.
    func validate(_ validation: CommitValidation, mayReturn: Bool) -> Verdict? {
        do throws(ThemisError) {
            try validation.check(
                table: { slotsByName[$0]?.table.id },
                serves: { read in slotsByID[read.table]?.table.indexes.all.contains { $0.generation == read.generation } ?? false })
            guard try validation.advance(through: history, isBounded: mayReturn) else { return .stale }
            try validation.check(openKeys)
            return nil
        } catch {
            return .failed(error)
        }
    }

    /// Notes what a commit changed.
    func note(committed operation: PreparedOperation) {
        openKeys.add(end.sequence, operation.recentKey)
        if let rows = operation.indexing?.rows, !rows.isEmpty { openKeys.add(end.sequence, entries: rows) }
    }

    /// Closes the open group when it is full. Between two transactions.
    func sealHistory() {
        guard openKeys.count >= CommitHistory.groupKeys else { return }
        history.seal(openKeys, visible: published.visibleSequence)
        openKeys = CommittedKeys()
    }

    /// Lets the new values of a transaction take what its other entities give up, in whatever order: unique values are compared as they
    /// are after all of it. Each entity is written once.
    func release(_ operations: [PreparedOperation]) {
        for operation in operations {
            guard let indexing = operation.indexing, let table = operation.table, let slot = slotsByID[table.id], slot.table === table,
                !operation.base.isExpired(at: batch.now)
            else { continue }
            for (place, key) in indexing.released
            where slot.indexes[place].holdsEntries(version: operation.base.version, pk: operation.pk) {
                if let holder = recent.claim(key)?.holder, !holder.pk.elementsEqual(operation.pk) { continue }
                claim(key, nil)
            }
        }
    }
}
