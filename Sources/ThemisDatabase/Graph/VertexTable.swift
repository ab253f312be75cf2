/// The names of vertices that were seen, each once, numbered in the order in which they came. One thread at a time.
///
/// A dictionary would hash every name anew whenever it grows, which was a fifth of the time of a walk.
struct VertexTable {
    /// By their numbers.
    private(set) var names: [ArraySlice<UInt8>] = []
    private var hashes: [Int] = []
    /// Numbers from 1 on, at the hash of their names or behind it; 0 for none. At most half full.
    private var slots = [Int32](repeating: 0, count: 64)

    /// The number of a name, and whether it was given now.
    mutating func number(of name: ArraySlice<UInt8>) -> (number: Int, isNew: Bool) {
        let hash = Self.hash(name)
        var slot = hash & (slots.count - 1)
        while slots[slot] != 0 {
            let number = Int(slots[slot]) - 1
            if hashes[number] == hash, names[number] == name { return (number, false) }
            slot = (slot + 1) & (slots.count - 1)
        }
        names.append(name)
        hashes.append(hash)
        slots[slot] = Int32(names.count)
        if names.count * 2 > slots.count { grow() }
        return (names.count - 1, true)
    }

    private mutating func grow() {
        slots = [Int32](repeating: 0, count: slots.count * 4)
        for (number, hash) in hashes.enumerated() {
            var slot = hash & (slots.count - 1)
            while slots[slot] != 0 { slot = (slot + 1) & (slots.count - 1) }
            slots[slot] = Int32(number + 1)
        }
    }

    /// By the seeded hash of the library, eight bytes at a time: nobody can choose names that meet.
    private static func hash(_ name: ArraySlice<UInt8>) -> Int {
        var hasher = Hasher()
        var word: UInt64 = 0
        var count = 0
        for byte in name {
            word = word << 8 | UInt64(byte)
            count += 1
            if count & 7 == 0 { hasher.combine(word) }
        }
        hasher.combine(word)
        hasher.combine(count)
        return hasher.finalize()
    }
}
