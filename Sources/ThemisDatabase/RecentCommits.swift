import ThemisBase

/// A stored key with its hash, which the prepare stage computes: the committer's thread only compares.
struct RecentKey: Hashable, Sendable {
    let bytes: [UInt8]
    private let digest: UInt64

    /// Differs from process to process, so that nobody can choose keys that meet.
    private static let seed = UInt64.random(in: .min ... .max)

    init(_ bytes: [UInt8]) {
        self.bytes = bytes
        var digest = Self.seed
        for byte in bytes {
            digest = (digest ^ UInt64(byte)) &* 0x9E37_79B9_7F4A_7C15
            digest ^= digest >> 29
        }
        self.digest = digest
    }

    static func == (left: RecentKey, right: RecentKey) -> Bool { left.digest == right.digest && left.bytes == right.bytes }
    func hash(into hasher: inout Hasher) { hasher.combine(digest) }

    /// One of `count` parts of all keys; the same for equal keys.
    func digest(modulo count: Int) -> Int { Int(truncatingIfNeeded: digest >> 33) % count }
}

/// What was committed lately, by key: how the committer tells that a prepared write is stale without reading the disk.
///
/// Two generations: when the young one is full, the old one is forgotten and `floor` rises. Belongs to the committer's thread.
struct RecentCommits {
    /// The answer under an idempotency key.
    struct KeyedAnswer {
        /// Who has it.
        enum Source {
            case write(PendingWrite)
            case command([UInt8])
        }

        let timestamp: Int64
        let fingerprint: [UInt8]
        let source: Source
    }

    /// Who has a unique value; nobody, when it was given up.
    struct Claim {
        var holder: UniqueHolder?
    }

    private struct Generation {
        var states: [RecentKey: StoredState] = [:]
        var claims: [RecentKey: Claim] = [:]
        var keyed: [[UInt8]: KeyedAnswer] = [:]
        var valueBytes = 0
        /// The last sequence when the generation was closed.
        var last: SequenceNumber = 0
    }

    /// Every commit with a greater sequence is in here.
    private(set) var floor: SequenceNumber
    private var young = Generation()
    private var old = Generation()
    private let capacity: Int
    private let valueBytesCapacity: Int

    /// Nothing is known about commits up to `floor`.
    init(floor: SequenceNumber, capacity: Int = 16_384, valueBytesCapacity: Int = 16 << 20) {
        self.floor = floor
        self.capacity = capacity
        self.valueBytesCapacity = valueBytesCapacity
        old.last = floor
    }

    /// The state of `key` after its newest commit; nil when there was none above `floor`.
    subscript(key: RecentKey) -> StoredState? { young.states[key] ?? old.states[key] }

    /// The write that used the idempotency key with this digest; nil when there was none above `floor`.
    func keyed(_ digest: [UInt8]) -> KeyedAnswer? { young.keyed[digest] ?? old.keyed[digest] }

    /// Notes a commit. Returns what the young generation knew before, for `restore`.
    mutating func set(_ key: RecentKey, _ state: StoredState) -> StoredState? {
        young.valueBytes += key.bytes.count + (state.value?.count ?? 0)
        return young.states.updateValue(state, forKey: key)
    }

    /// Takes a `set` back.
    mutating func restore(_ key: RecentKey, _ state: StoredState?) { young.states[key] = state }

    /// Who has the unique value after its newest commit; nil when there was none above `floor`.
    func claim(_ key: RecentKey) -> Claim? { young.claims[key] ?? old.claims[key] }

    /// Notes who has a unique value. Returns what the young generation knew before, for `restore`.
    mutating func set(_ key: RecentKey, claim: Claim) -> Claim? { young.claims.updateValue(claim, forKey: key) }

    /// Takes a `set` back.
    mutating func restore(_ key: RecentKey, claim: Claim?) { young.claims[key] = claim }

    mutating func set(_ digest: [UInt8], keyed: KeyedAnswer) { young.keyed[digest] = keyed }

    /// Forgets the older half when the younger is full and everything in the older is visible to readers.
    ///
    /// - Parameters:
    ///   - last: the last sequence given.
    ///   - visible: the last sequence that readers see.
    mutating func rotateIfFull(last: SequenceNumber, visible: SequenceNumber) {
        let count = young.states.count + young.keyed.count + young.claims.count
        guard count >= capacity || young.valueBytes >= valueBytesCapacity, old.last <= visible else { return }
        floor = old.last
        young.last = last
        swap(&old, &young)
        young.states.removeAll(keepingCapacity: true)
        young.keyed.removeAll(keepingCapacity: true)
        young.claims.removeAll(keepingCapacity: true)
        young.valueBytes = 0
    }
}
