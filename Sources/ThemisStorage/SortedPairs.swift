/// Pairs ordered by unsigned key bytes, kept as sorted chunks.
///
/// A copy shares every chunk; a write to either side then copies one chunk and the list of chunks, so a snapshot costs
/// nothing when taken and little afterwards. A value: not thread-safe while it is changed.
struct SortedPairs: Sendable {
    struct Pair: Sendable {
        let key: [UInt8]
        let value: [UInt8]
    }

    /// The place of a pair, or of the end: `chunk == chunks.count`.
    struct Position: Sendable, Equatable {
        var chunk: Int
        var index: Int
    }

    /// Large enough that the list of chunks stays short, small enough that copying a chunk is cheap.
    private static let chunkCapacity = 256

    private var chunks: [[Pair]] = []
    /// How many pairs there are.
    private(set) var count = 0
    /// Bytes of all keys and values.
    private(set) var bytes = 0

    /// Unsigned bytewise order, a shorter key before its extensions.
    static func precedes(_ left: [UInt8], _ right: [UInt8]) -> Bool { left.lexicographicallyPrecedes(right) }

    /// The first place whose key is not below `key`.
    func lowerBound(_ key: [UInt8]) -> Position {
        var low = 0
        var high = chunks.count
        while low < high {
            let middle = (low + high) / 2
            // Chunks are never empty.
            if Self.precedes(chunks[middle][chunks[middle].count - 1].key, key) { low = middle + 1 } else { high = middle }
        }
        guard low < chunks.count else { return Position(chunk: chunks.count, index: 0) }
        let chunk = chunks[low]
        var first = 0
        var last = chunk.count
        while first < last {
            let middle = (first + last) / 2
            if Self.precedes(chunk[middle].key, key) { first = middle + 1 } else { last = middle }
        }
        return Position(chunk: low, index: first)
    }

    /// The place behind the last pair.
    var end: Position { Position(chunk: chunks.count, index: 0) }

    /// The place behind `position`, which is not the end.
    func after(_ position: Position) -> Position {
        position.index + 1 < chunks[position.chunk].count
            ? Position(chunk: position.chunk, index: position.index + 1) : Position(chunk: position.chunk + 1, index: 0)
    }

    /// The place before `position`, nil at the first.
    func before(_ position: Position) -> Position? {
        if position.index > 0 { return Position(chunk: position.chunk, index: position.index - 1) }
        guard position.chunk > 0 else { return nil }
        return Position(chunk: position.chunk - 1, index: chunks[position.chunk - 1].count - 1)
    }

    /// The pair at `position`, nil at the end.
    func pair(at position: Position) -> Pair? { position.chunk < chunks.count ? chunks[position.chunk][position.index] : nil }

    /// The value of `key`.
    func value(of key: [UInt8]) -> [UInt8]? {
        guard let pair = pair(at: lowerBound(key)), pair.key == key else { return nil }
        return pair.value
    }

    /// Sets `key` to `value`.
    mutating func set(_ key: [UInt8], _ value: [UInt8]) {
        var position = lowerBound(key)
        if let old = pair(at: position), old.key == key {
            bytes += value.count - old.value.count
            chunks[position.chunk][position.index] = Pair(key: key, value: value)
            return
        }
        count += 1
        bytes += key.count + value.count
        if position.chunk == chunks.count {
            // Behind everything: fill the last chunk before a new one begins.
            guard let last = chunks.indices.last, chunks[last].count < Self.chunkCapacity else {
                chunks.append([Pair(key: key, value: value)])
                return
            }
            position = Position(chunk: last, index: chunks[last].count)
        }
        chunks[position.chunk].insert(Pair(key: key, value: value), at: position.index)
        guard chunks[position.chunk].count > Self.chunkCapacity else { return }
        let half = Self.chunkCapacity / 2
        let upper = Array(chunks[position.chunk][half...])
        chunks[position.chunk].removeSubrange(half...)
        chunks.insert(upper, at: position.chunk + 1)
    }

    /// Removes `key` if it is there.
    mutating func remove(_ key: [UInt8]) {
        let position = lowerBound(key)
        guard let old = pair(at: position), old.key == key else { return }
        count -= 1
        bytes -= old.key.count + old.value.count
        chunks[position.chunk].remove(at: position.index)
        if chunks[position.chunk].isEmpty { chunks.remove(at: position.chunk) }
    }

    /// Removes every key of `lower..<upper`.
    mutating func removeRange(from lower: [UInt8], to upper: [UInt8]) {
        guard Self.precedes(lower, upper) else { return }
        var kept = SortedPairs()
        let first = lowerBound(lower)
        let last = lowerBound(upper)
        guard first != last else { return }
        kept.chunks = Array(chunks[..<first.chunk])
        if first.chunk < chunks.count, first.index > 0 { kept.chunks.append(Array(chunks[first.chunk][..<first.index])) }
        if last.chunk < chunks.count {
            kept.chunks.append(Array(chunks[last.chunk][last.index...]))
            kept.chunks.append(contentsOf: chunks[(last.chunk + 1)...])
        }
        for chunk in kept.chunks {
            kept.count += chunk.count
            for pair in chunk { kept.bytes += pair.key.count + pair.value.count }
        }
        self = kept
    }

    /// Bytes of keys and values in `lower..<upper`.
    func bytes(from lower: [UInt8], to upper: [UInt8]) -> Int {
        guard Self.precedes(lower, upper) else { return 0 }
        var sum = 0
        var position = lowerBound(lower)
        let last = lowerBound(upper)
        while position != last, let pair = pair(at: position) {
            sum += pair.key.count + pair.value.count
            position = after(position)
        }
        return sum
    }
}
