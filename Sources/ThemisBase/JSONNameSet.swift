/// The names of the objects that a walk has open, to refuse a name that comes twice in one object.
///
/// Up to sixteen names of an object are compared one with another; beyond that the object gets a hash table. Its hash is SipHash under a
/// key that the process draws at its start, so that nobody can choose names which collide.
@safe struct JSONNameSet {
    /// Where a name stands, without its quotes.
    struct Spelling {
        let start: Int
        let end: Int
        let isEscaped: Bool
    }

    private struct Entry {
        /// Both ends and the length of a name while the object is small, its hash afterwards. Equal names have equal prints.
        var print: UInt64
        let start: UInt32
        /// The length in bytes, and in the lowest bit whether there is an escape.
        let lengthAndEscape: UInt32

        var spelling: Spelling {
            Spelling(start: Int(start), end: Int(start) + Int(lengthAndEscape >> 1), isEscaped: lengthAndEscape & 1 == 1)
        }
    }

    private static let smallCount = 16

    /// The names of all open objects. A row in front of each object's names keeps where the outer object's names begin.
    private var entries: [Entry] = []
    private var objectStart = 0
    /// Open addressing for the objects that have grown, innermost last: index into the object's names plus one, 0 for empty.
    private var tables: [(objectStart: Int, slots: [UInt32])] = []
    /// The object that `objectStart` names has a table, the last of `tables`.
    private var hasTable = false

    init() { entries.reserveCapacity(64) }

    /// Begins an object.
    @inline(__always) mutating func open() {
        entries.append(Entry(print: UInt64(objectStart), start: 0, lengthAndEscape: 0))
        objectStart = entries.count
        hasTable = false
    }

    /// Ends the object that was begun last.
    @inline(__always) mutating func close() {
        if hasTable { tables.removeLast() }
        let outer = Int(entries[objectStart - 1].print)
        entries.removeLast(entries.count - objectStart + 1)
        objectStart = outer
        hasTable = tables.last?.objectStart == outer
    }

    /// Adds a name of the innermost object. False when the object has it already.
    @inline(__always) mutating func insert(_ name: Spelling, in base: UnsafePointer<UInt8>) -> Bool {
        if hasTable { return unsafe insertHashed(name, in: base) }
        let print = unsafe name.isEscaped ? Self.printOfEscaped(name, in: base) : Self.print(base, from: name.start, to: name.end)
        for index in objectStart..<entries.count where entries[index].print == print {
            if unsafe Self.areEqual(entries[index].spelling, name, in: base) { return false }
        }
        append(name, print: print)
        if entries.count - objectStart == Self.smallCount { unsafe makeTable(in: base) }
        return true
    }

    @inline(__always) private mutating func append(_ name: Spelling, print: UInt64) {
        let length = UInt32(truncatingIfNeeded: name.end - name.start)
        entries.append(
            Entry(print: print, start: UInt32(truncatingIfNeeded: name.start), lengthAndEscape: length << 1 | (name.isEscaped ? 1 : 0)))
    }

    // MARK: - Large objects

    private mutating func makeTable(in base: UnsafePointer<UInt8>) {
        for index in objectStart..<entries.count { entries[index].print = unsafe Self.hash(entries[index].spelling, in: base) }
        tables.append((objectStart, []))
        hasTable = true
        growTable(to: Self.smallCount * 4)
    }

    private mutating func growTable(to capacity: Int) {
        var slots = [UInt32](repeating: 0, count: capacity)
        for index in objectStart..<entries.count {
            var slot = Int(truncatingIfNeeded: entries[index].print) & (capacity - 1)
            while slots[slot] != 0 { slot = (slot + 1) & (capacity - 1) }
            slots[slot] = UInt32(index - objectStart + 1)
        }
        tables[tables.count - 1].slots = slots
    }

    private mutating func insertHashed(_ name: Spelling, in base: UnsafePointer<UInt8>) -> Bool {
        let hash = unsafe Self.hash(name, in: base)
        let table = tables.count - 1
        let mask = tables[table].slots.count - 1
        var slot = Int(truncatingIfNeeded: hash) & mask
        while tables[table].slots[slot] != 0 {
            let entry = entries[objectStart + Int(tables[table].slots[slot]) - 1]
            if entry.print == hash, unsafe Self.areEqual(entry.spelling, name, in: base) { return false }
            slot = (slot + 1) & mask
        }
        append(name, print: hash)
        let count = entries.count - objectStart
        tables[table].slots[slot] = UInt32(count)
        if count * 2 > mask { growTable(to: (mask + 1) * 2) }
        return true
    }

    // MARK: - Names

    /// A mix of the length, the first eight and the last eight bytes.
    @inline(__always) private static func print(_ base: UnsafePointer<UInt8>, from start: Int, to end: Int) -> UInt64 {
        let length = end - start
        let head: UInt64
        let tail: UInt64
        let bytes = unsafe UnsafeRawPointer(base)
        if length >= 8 {
            head = unsafe bytes.loadUnaligned(fromByteOffset: start, as: UInt64.self)
            tail = unsafe bytes.loadUnaligned(fromByteOffset: end - 8, as: UInt64.self)
        } else if length >= 4 {
            head = unsafe UInt64(bytes.loadUnaligned(fromByteOffset: start, as: UInt32.self))
            tail = unsafe UInt64(bytes.loadUnaligned(fromByteOffset: end - 4, as: UInt32.self))
        } else if length > 0 {
            head = unsafe UInt64(base[start]) | UInt64(base[start + length / 2]) << 8
            tail = unsafe UInt64(base[end - 1])
        } else {
            (head, tail) = (0, 0)
        }
        return head &* 0x9E37_79B9_7F4A_7C15 ^ tail &* 0xC2B2_AE3D_27D4_EB4F ^ UInt64(truncatingIfNeeded: length)
    }

    private static func printOfEscaped(_ name: Spelling, in base: UnsafePointer<UInt8>) -> UInt64 {
        let bytes = unsafe unescaped(name, in: base)
        return unsafe bytes.withUnsafeBufferPointer { buffer in
            guard let first = buffer.baseAddress else { return 0 }
            return unsafe print(first, from: 0, to: buffer.count)
        }
    }

    private static func hash(_ name: Spelling, in base: UnsafePointer<UInt8>) -> UInt64 {
        var hasher = Hasher()
        if name.isEscaped {
            unsafe unescaped(name, in: base).withUnsafeBytes { unsafe hasher.combine(bytes: $0) }
        } else {
            unsafe hasher.combine(bytes: UnsafeRawBufferPointer(start: base + name.start, count: name.end - name.start))
        }
        return UInt64(bitPattern: Int64(hasher.finalize()))
    }

    private static func unescaped(_ name: Spelling, in base: UnsafePointer<UInt8>) -> [UInt8] {
        unsafe JSONEscape.unescaped(UnsafeBufferPointer(start: base + name.start, count: name.end - name.start))
    }

    private static func areEqual(_ left: Spelling, _ right: Spelling, in base: UnsafePointer<UInt8>) -> Bool {
        if left.isEscaped || right.isEscaped { return unsafe unescaped(left, in: base) == unescaped(right, in: base) }
        guard left.end - left.start == right.end - right.start else { return false }
        for index in 0..<(left.end - left.start) where unsafe base[left.start + index] != base[right.start + index] { return false }
        return true
    }
}
