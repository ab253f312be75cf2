import ThemisBase
import ThemisStorage

/// The committer's view of one index.
final class IndexSlot {
    let index: Index
    var counts: IndexCounters.State
    var isTouched = false

    init(_ index: Index) {
        self.index = index
        counts = index.counters.value
    }

    /// Another object of the same index, with the counts so far.
    init(_ index: Index, _ counts: IndexCounters.State) {
        self.index = index
        self.counts = counts
    }

    /// Whether the entries of an entity's state before a write are there.
    func holdsEntries(version: UInt64, pk: ArraySlice<UInt8>) -> Bool {
        index.state == .ready || version > index.birth || !counts.builtThrough.lexicographicallyPrecedes(pk)
    }
}

/// What ordered operations do to indexes.
extension OrderStage {
    /// A verdict when another entity has one of the unique values.
    func checkUnique(_ operation: PreparedOperation, _ mayReturn: Bool) -> Verdict? {
        guard let table = operation.table, let checks = operation.indexing?.checks else { return nil }
        for check in checks {
            var holder = check.holder
            if let claim = recent.claim(check.key) {
                holder = claim.holder
            } else if operation.readPoint < recent.floor, table.birth < recent.floor {
                guard !mayReturn else { return .stale }
                do throws(ThemisError) {
                    holder = try PrepareStage.holder(
                        of: check.key.bytes, table.indexes.all[check.place], besides: operation.pk, prepare.engine.snapshot(),
                        now: batch.now)
                } catch {
                    return .failed(error)
                }
            }
            if let holder, !holder.isExpired(at: batch.now), !holder.pk.elementsEqual(operation.pk) {
                return .failed(Self.violation(table.indexes.all[check.place], holder.pk))
            }
        }
        return nil
    }

    static func violation(_ index: Index, _ pk: [UInt8]) -> ThemisError {
        let holder = "\(index.definition.table.text):\(String(decoding: pk, as: UTF8.self))"
        return ThemisError(
            .uniqueViolation, "another entity has this value in the unique index on \(index.definition.name)",
            members: [("index", .text(index.definition.name)), ("holder", .text(holder))])
    }

    /// Counts what a write changes, and notes who has unique values from now on.
    func note(_ indexing: PreparedIndexing, _ operation: PreparedOperation, _ slot: TableSlot, expiresAt: Int64) {
        let before = operation.base
        for change in indexing.changes {
            let index = slot.indexes[change.place]
            let isHeld = before.isStored && index.holdsEntries(version: before.version, pk: operation.pk)
            count(
                index, entries: change.after.entries - (isHeld ? change.before.entries : 0),
                bytes: change.after.bytes - (isHeld ? change.before.bytes : 0))
        }
        // A value of an expired entity may have been taken by another one: that one keeps it.
        if !before.isExpired(at: batch.now) {
            for (place, key) in indexing.released where slot.indexes[place].holdsEntries(version: before.version, pk: operation.pk) {
                if let holder = recent.claim(key)?.holder, !holder.pk.elementsEqual(operation.pk) { continue }
                claim(key, nil)
            }
        }
        let holder = UniqueHolder(pk: Array(operation.pk), expiresAt: expiresAt)
        for check in indexing.checks { claim(check.key, holder) }
        // Who had it for ever has it for a time now: what others know is outdated.
        guard expiresAt != 0 else { return }
        for (place, entry) in indexing.kept {
            claim(RecentKey(IndexKey.key(slot.indexes[place].index.generation, entry)), holder)
        }
    }

    func claim(_ key: RecentKey, _ holder: UniqueHolder?) {
        undo.append(.claim(key: key, before: recent.set(key, claim: RecentCommits.Claim(holder: holder))))
    }

    private func count(_ slot: IndexSlot, entries: Int, bytes: Int) {
        undo.append(.index(slot, slot.counts))
        slot.counts.entries = UInt64(clamping: Int64(clamping: slot.counts.entries) + Int64(entries))
        slot.counts.bytes = UInt64(clamping: Int64(clamping: slot.counts.bytes) + Int64(bytes))
        touch(slot)
    }

    func touch(_ slot: IndexSlot) {
        guard !slot.isTouched else { return }
        slot.isTouched = true
        touchedIndexes.append(slot)
    }

    /// Hands the counts that changed to the batch that ends.
    func sealIndexes() {
        batch.indexCounts = touchedIndexes.map { OpenBatch.IndexCount(index: $0.index, state: $0.counts) }
        for slot in touchedIndexes { slot.isTouched = false }
        touchedIndexes.removeAll(keepingCapacity: true)
    }

    /// Forgets indexes that are gone.
    func forget(_ slots: [IndexSlot]) {
        guard !slots.isEmpty else { return }
        touchedIndexes.removeAll { touched in slots.contains { $0 === touched } }
    }

    // MARK: The catalog

    func takeGeneration() -> UInt32 {
        precondition(catalog.nextIndex < UInt32.max - 1, "index generations are used up")
        defer { catalog.nextIndex += 1 }
        return catalog.nextIndex
    }

    /// Removes what is stored of an index.
    func removeEntries(of index: Index) {
        batch.bytes.deleteRange(
            .indexes, from: IndexKey.lowerBound(index.generation), to: IndexKey.upperBound(index.generation))
        batch.bytes.delete(.meta, MetaRecords.index(index.generation))
    }

    /// The indexes of a table that has just been emptied, complete under new generations.
    func emptied(_ indexes: TableIndexes) -> TableIndexes {
        TableIndexes(
            indexes.all.filter { $0.replaces == 0 }.map { index in
                Index(
                    generation: takeGeneration(), definition: index.definition, state: .ready, birth: end.sequence,
                    createdMilliseconds: index.createdMilliseconds)
            })
    }

    /// Gives a table other indexes. What was prepared for the old ones is stale: another object under the same id.
    func change(_ slot: TableSlot, to indexes: [Index]) {
        let known = slot.indexes
        slot.table = slot.table.with(indexes)
        slot.indexes = indexes.map { index in
            let counts = known.first { $0.index.generation == index.generation }?.counts
            return counts.map { IndexSlot(index, $0) } ?? IndexSlot(index)
        }
        forget(known)
        for index in slot.indexes { touch(index) }
        install(slot)
        batch.bytes.put(.meta, MetaRecords.table(slot.table.name), slot.table.record)
        batch.bytes.put(.meta, MetaRecords.nextIndex, MetaRecords.number(catalog.nextIndex))
    }
}
