import Synchronization
import ThemisBase
import ThemisStorage

/// Stored values of keys that were used lately, so that reading one again, or writing over it, need not visit the engine. Any thread.
///
/// What is found here is what the engine holds. The order stage announces every change of a key before the change leaves for the engine;
/// from then until the change is published the key answers nothing. A reader that brings a value back from the engine shows the ticket that
/// it drew before: when a change was announced in between, the value may be old, and is not taken.
final class EntityCache: Sendable {
    /// What is known of a key.
    enum Finding {
        /// The stored value.
        case value([UInt8])
        /// Nothing: ask the engine, and `offer` what it says. Nil: a change of the key is on its way.
        case unknown(ticket: UInt64?)
    }

    private struct Slot {
        /// Nil while changes are on their way.
        var value: [UInt8]?
        /// Announced and not published.
        var changes = 0

        /// Counts a change on its way; the value that does not hold any more.
        mutating func announce() -> [UInt8]? {
            changes += 1
            return value.take()
        }
    }

    /// Keys with the same remainder of their digest.
    private final class Shard: Sendable {
        struct State {
            /// Two generations: when the young one is full, the old one is forgotten. What is used moves to the young one.
            var young: [RecentKey: Slot] = [:]
            var old: [RecentKey: Slot] = [:]
            var youngBytes = 0
            /// Announcements so far.
            var announced: UInt64 = 0
        }

        let state = Mutex(State())
    }

    /// Threads seldom meet in one of so many.
    private static let shardCount = 64
    /// Memory of an entry beside its bytes.
    private static let entryBytes = 128

    private let shards: [Shard]
    private let generationBytes: Int

    /// Keeps up to `capacityBytes` of keys and values; 0: nothing.
    init(capacityBytes: Int) {
        generationBytes = capacityBytes / (2 * Self.shardCount)
        shards = (0..<Self.shardCount).map { _ in Shard() }
    }

    private func shard(_ key: RecentKey) -> Shard { shards[key.digest(modulo: Self.shardCount)] }

    // MARK: Readers

    /// What is known of `key`.
    func find(_ key: RecentKey) -> Finding {
        shard(key).state.withLock { state in
            if let slot = state.young[key] {
                return slot.value.map { .value($0) } ?? .unknown(ticket: nil)
            }
            guard let slot = state.old.removeValue(forKey: key), let value = slot.value else {
                return .unknown(ticket: state.announced)
            }
            insert(key, slot, &state)
            return .value(value)
        }
    }

    /// Takes what the engine said after `ticket` was drawn.
    func offer(_ key: RecentKey, _ value: [UInt8], ticket: UInt64) {
        shard(key).state.withLock { state in
            guard state.announced == ticket, state.young[key] == nil else { return }
            insert(key, Slot(value: value), &state)
        }
    }

    // MARK: The committer

    /// A change of `key` is about to leave for the engine.
    func announce(_ key: RecentKey) {
        shard(key).state.withLock { state in
            state.announced &+= 1
            if !state.old.isEmpty { state.old[key] = nil }
            let value = state.young[key, default: Slot()].announce()
            if let value { state.youngBytes -= Self.bytes(key, value) }
        }
    }

    /// An announced change is published; `value` is what is stored now, nil when that is nothing or need not be kept.
    func conclude(_ key: RecentKey, _ value: [UInt8]?) {
        shard(key).state.withLock { state in
            guard let slot = state.young[key] else {
                // Forgotten by a reset: a value read before this change must not be taken.
                state.announced &+= 1
                return
            }
            if slot.changes > 1 {
                state.young[key]?.changes -= 1
            } else if let value {
                insert(key, Slot(value: value), &state)
            } else {
                state.young[key] = nil
            }
        }
    }

    /// Forgets everything: announced changes were refused, and their keys are what they were.
    func reset() {
        for shard in shards {
            shard.state.withLock { state in
                state = Shard.State(announced: state.announced &+ 1)
            }
        }
    }

    // MARK: Room

    private func insert(_ key: RecentKey, _ slot: Slot, _ state: inout Shard.State) {
        let bytes = Self.bytes(key, slot.value ?? [])
        guard bytes <= generationBytes else {
            state.young[key] = nil
            return
        }
        if state.youngBytes + bytes > generationBytes {
            // Changes on their way must not be forgotten.
            let announced = state.young.filter { $0.value.changes > 0 && $0.key != key }
            swap(&state.old, &state.young)
            state.young = announced
            for key in announced.keys { state.old[key] = nil }
            state.youngBytes = 0
        }
        state.young[key] = slot
        state.youngBytes += bytes
    }

    private static func bytes(_ key: RecentKey, _ value: [UInt8]) -> Int { key.bytes.count + value.count + entryBytes }
}

/// Reads of entities as they are now, from the cache when it knows them.
struct CurrentEntities: Sendable {
    let engine: any StorageEngine
    let cache: EntityCache

    /// The stored value of `key`, nil when there is none. May read the disk.
    func get(_ key: RecentKey) throws(ThemisError) -> [UInt8]? {
        switch cache.find(key) {
        case .value(let value): return value
        case .unknown(let ticket):
            let value = try engine.get(.entities, key.bytes)
            if let ticket, let value { cache.offer(key, value, ticket: ticket) }
            return value
        }
    }

    /// The same if memory alone can tell. Never blocks on the disk.
    func cachedGet(_ key: RecentKey) throws(ThemisError) -> CachedRead {
        switch cache.find(key) {
        case .value(let value): return .hit(value)
        case .unknown(let ticket):
            let read = try engine.cachedGet(.entities, key.bytes)
            if let ticket, case .hit(let value) = read { cache.offer(key, value, ticket: ticket) }
            return read
        }
    }

    /// The stored values of `keys`, in their order. May read the disk. What comes from there is not kept: many keys at once would drive out
    /// those that are used again.
    func multiGet(_ keys: [RecentKey]) throws(ThemisError) -> [[UInt8]?] {
        var values = [[UInt8]?](repeating: nil, count: keys.count)
        var missing: [[UInt8]] = []
        var places: [Int] = []
        for (place, key) in keys.enumerated() {
            if case .value(let value) = cache.find(key) {
                values[place] = value
            } else {
                missing.append(key.bytes)
                places.append(place)
            }
        }
        guard !missing.isEmpty else { return values }
        for (place, value) in zip(places, try engine.multiGet(.entities, missing)) { values[place] = value }
        return values
    }

    /// The stored values of `keys` in the state of `snapshot`, whose last change is `sequence`, in their order. May read the disk.
    ///
    /// A change gives the entity a version that none before has reached. What is stored now under a version up to `sequence` was therefore
    /// stored in that state as well: had it changed since, or been deleted and written again, its version would be beyond. Everything else
    /// is asked of the snapshot. The snapshot must have been taken before the call.
    ///
    /// - Parameter keeps: whether the cache is to take what comes from the engine.
    func multiGet(
        _ keys: [[UInt8]], in snapshot: any StorageSnapshot, through sequence: SequenceNumber, keeps: Bool
    ) throws(ThemisError) -> [[UInt8]?] {
        var values = [[UInt8]?](repeating: nil, count: keys.count)
        var missing: [(place: Int, key: RecentKey, ticket: UInt64?)] = []
        for (place, bytes) in keys.enumerated() {
            let key = RecentKey(bytes)
            switch cache.find(key) {
            case .value(let value):
                if Self.isStored(value, through: sequence) { values[place] = value } else { missing.append((place, key, nil)) }
            case .unknown(let ticket): missing.append((place, key, ticket))
            }
        }
        if keeps, !missing.isEmpty {
            // Read as they are now, which is what the cache holds.
            let newest = try engine.multiGet(.entities, missing.map(\.key.bytes))
            var older: [(place: Int, key: RecentKey, ticket: UInt64?)] = []
            for (item, value) in zip(missing, newest) {
                if let ticket = item.ticket, let value { cache.offer(item.key, value, ticket: ticket) }
                if let value, Self.isStored(value, through: sequence) { values[item.place] = value } else { older.append(item) }
            }
            missing = older
        }
        guard !missing.isEmpty else { return values }
        for (item, value) in zip(missing, try snapshot.multiGet(.entities, missing.map(\.key.bytes))) { values[item.place] = value }
        return values
    }

    /// Whether this value was stored by a change up to `sequence`. What is damaged is not: the snapshot tells.
    private static func isStored(_ value: [UInt8], through sequence: SequenceNumber) -> Bool {
        value.count >= EntityRecord.headerBytes && EntityRecord.version(of: value) <= sequence
    }
}
