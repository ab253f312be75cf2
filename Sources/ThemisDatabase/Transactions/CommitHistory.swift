import Synchronization
import ThemisBase
import ThemisStorage

/// Keys of one space from `lower` to `upper`, which is exclusive.
struct KeyRange: Sendable, Equatable {
    var lower: [UInt8]
    var upper: [UInt8]

    /// The same keys in ranges that lie apart, in their order.
    static func united(_ ranges: [KeyRange]) -> [KeyRange] {
        var result: [KeyRange] = []
        for range in ranges.sorted(by: { $0.lower.lexicographicallyPrecedes($1.lower) }) {
            guard let last = result.last, !last.upper.lexicographicallyPrecedes(range.lower) else {
                result.append(range)
                continue
            }
            if last.upper.lexicographicallyPrecedes(range.upper) { result[result.count - 1].upper = range.upper }
        }
        return result
    }

    /// Whether one of `ranges`, which lie apart and in their order, holds `key`.
    static func contains(_ key: some Collection<UInt8>, in ranges: [KeyRange]) -> Bool {
        var low = 0
        var high = ranges.count
        while low < high {
            let middle = (low + high) / 2
            if key.lexicographicallyPrecedes(ranges[middle].lower) { high = middle } else { low = middle + 1 }
        }
        return low > 0 && key.lexicographicallyPrecedes(ranges[low - 1].upper)
    }
}

/// The keys that some commits changed, each with the sequence of its commit.
struct CommittedKeys: Sendable {
    var entities: [(sequence: SequenceNumber, key: RecentKey)] = []
    /// What removed and added index entries.
    var entries: [(sequence: SequenceNumber, rows: WriteBatch)] = []
    /// How many keys it has.
    var count = 0
    var bytes = 0
    /// The last sequence in it.
    var last: SequenceNumber = 0

    mutating func add(_ sequence: SequenceNumber, _ key: RecentKey) {
        entities.append((sequence, key))
        count += 1
        bytes += key.bytes.count + Self.keyBytes
        last = sequence
    }

    mutating func add(_ sequence: SequenceNumber, entries rows: WriteBatch) {
        entries.append((sequence, rows))
        count += rows.count
        bytes += rows.bytes.count + Self.keyBytes
        last = sequence
    }

    /// Only commits up to `sequence`.
    func upTo(_ sequence: SequenceNumber) -> CommittedKeys {
        var kept = CommittedKeys()
        for item in entities where item.sequence <= sequence { kept.add(item.sequence, item.key) }
        for item in entries where item.sequence <= sequence { kept.add(item.sequence, entries: item.rows) }
        kept.last = min(last, sequence)
        return kept
    }

    /// Memory of a key, or of the entries of a write, beside the bytes.
    private static let keyBytes = 56
}

/// The keys of the last commits, in their order: what a transaction is compared with before it commits (docs/adr/0011).
///
/// Groups of some hundred keys that do not change any more, and the open group, which only the committer's thread touches. Groups may be
/// read by any thread. What no open transaction began before goes first; beyond `Limits.transactionHistoryBytes` the oldest goes, and
/// `floor` rises.
final class CommitHistory: Sendable {
    /// A group that does not change any more.
    final class Group: Sendable {
        /// Never given twice, also not after commits that were refused.
        let number: UInt64
        let keys: CommittedKeys

        init(_ number: UInt64, _ keys: CommittedKeys) {
            self.number = number
            self.keys = keys
        }
    }

    private struct State {
        var groups: [Group] = []
        var nextNumber: UInt64 = 1
        var bytes = 0
        /// Every commit with a greater sequence is in a group, or in the open one.
        var floor: SequenceNumber
        /// How often commits were refused.
        var refusals = 0
    }

    /// What a transaction has still to be compared with.
    struct Rest {
        let groups: ArraySlice<Group>
        let floor: SequenceNumber
        let refusals: Int
    }

    /// Keys of a group: as many as the committer compares with a transaction without a thought.
    static let groupKeys = 256

    private let state: Mutex<State>
    /// The state that the oldest open transaction reads; `.max` without one.
    private let oldestBegin = Atomic<UInt64>(.max)
    private let capacityBytes: Int

    /// Nothing is known of commits up to `floor`.
    init(floor: SequenceNumber, capacityBytes: Int) {
        state = Mutex(State(floor: floor))
        self.capacityBytes = capacityBytes
    }

    /// Memory of the groups.
    var bytes: Int { state.withLock { $0.bytes } }

    /// Says which commits are still of use.
    func keep(from begin: SequenceNumber) { oldestBegin.store(begin, ordering: .sequentiallyConsistent) }

    /// The groups behind the one with `number`.
    func rest(after number: UInt64) -> Rest {
        state.withLock { state in
            var start = state.groups.endIndex
            // From the end: a transaction has seen all but the last ones.
            while start > state.groups.startIndex, state.groups[start - 1].number > number { start -= 1 }
            return Rest(groups: state.groups[start...], floor: state.floor, refusals: state.refusals)
        }
    }

    /// Closes a group. On the committer's thread.
    ///
    /// - Parameter visible: what a transaction that begins now surely reads: later commits stay.
    func seal(_ keys: CommittedKeys, visible: SequenceNumber) {
        // Read after `visible`: a transaction that is not counted yet reads that state or a later one.
        let useless = min(visible, oldestBegin.load(ordering: .sequentiallyConsistent))
        state.withLock { state in
            state.groups.append(Group(state.nextNumber, keys))
            state.nextNumber += 1
            state.bytes += keys.bytes
            var gone = 0
            while gone < state.groups.count, state.groups[gone].keys.last <= useless || state.bytes > capacityBytes {
                state.floor = max(state.floor, state.groups[gone].keys.last)
                state.bytes -= state.groups[gone].keys.bytes
                gone += 1
            }
            if gone > 0 { state.groups.removeFirst(gone) }
        }
    }

    /// Forgets commits behind `sequence`: they were refused, and their sequences are given again.
    func forget(after sequence: SequenceNumber) {
        state.withLock { state in
            while let last = state.groups.last, last.keys.last > sequence {
                state.groups.removeLast()
                state.bytes -= last.keys.bytes
                let kept = last.keys.upTo(sequence)
                guard kept.count > 0 else { continue }
                state.groups.append(Group(state.nextNumber, kept))
                state.nextNumber += 1
                state.bytes += kept.bytes
                break
            }
            state.floor = min(state.floor, sequence)
            state.refusals += 1
        }
    }
}
