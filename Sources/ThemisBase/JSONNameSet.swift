import Glibc

/// The names of the objects that a walk has open, to refuse a name that comes twice in one object.
///
/// Few names of an object are compared one with another; with more of them the object gets a hash table. It begins with a cheap
/// hash, and when that one's names collide, by chance or by intent, it goes over to SipHash under a key that the process draws at
/// its start, against which nobody can choose names. So the work is linear in any case.
@safe struct JSONNameSet {
    /// Where a name stands, without its quotes.
    struct Spelling {
        let start: Int
        let end: Int
        let isEscaped: Bool
    }

    private struct Entry {
        /// A cheap mix of the name, or its SipHash once the object's table is keyed. Equal names have equal prints.
        var print: UInt64
        let start: UInt32
        /// The length in bytes, and in the lowest bit whether there is an escape.
        let lengthAndEscape: UInt32

        var spelling: Spelling {
            Spelling(start: Int(start), end: Int(start) + Int(lengthAndEscape >> 1), isEscaped: lengthAndEscape & 1 == 1)
        }
    }

    private struct Table {
        let objectStart: Int
        /// Open addressing: index into the object's names plus one, 0 for empty.
        var slots: [UInt32] = []
        var isKeyed = false

        /// The first slot to look at: the highest bits, which depend on every byte of the print.
        @inline(__always) func slot(of print: UInt64) -> Int {
            Int(truncatingIfNeeded: print >> UInt64(64 - slots.count.trailingZeroBitCount))
        }
    }

    /// Names that are compared one with another before a table pays.
    private static let smallCount = 24
    /// Occupied slots that one name may meet under the cheap hash. A table is at most half full, so that a good hash never comes
    /// near it.
    private static let probeLimit = 64

    /// The names of all open objects. A row in front of each object's names keeps where the outer object's names begin.
    private var entries: [Entry] = []
    private var objectStart = 0
    /// The tables of the open objects that have grown, innermost last.
    private var tables: [Table] = []
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
        let print = unsafe Self.print(of: name, in: base)
        for index in objectStart..<entries.count where entries[index].print == print {
            if unsafe Self.areEqual(entries[index].spelling, name, in: base) { return false }
        }
        append(name, print: print)
        if entries.count - objectStart == Self.smallCount { makeTable() }
        return true
    }

    @inline(__always) private mutating func append(_ name: Spelling, print: UInt64) {
        let length = UInt32(truncatingIfNeeded: name.end - name.start)
        entries.append(
            Entry(
                print: print, start: UInt32(truncatingIfNeeded: name.start),
                lengthAndEscape: length << 1 | (name.isEscaped ? 1 : 0)))
    }

    // MARK: - Large objects

    private mutating func makeTable() {
        tables.append(Table(objectStart: objectStart))
        hasTable = true
        fillTable(capacity: 64)
    }

    private mutating func fillTable(capacity: Int) {
        var table = tables.removeLast()
        table.slots = [UInt32](repeating: 0, count: capacity)
        for index in objectStart..<entries.count {
            var slot = table.slot(of: entries[index].print)
            while table.slots[slot] != 0 { slot = (slot + 1) & (capacity - 1) }
            table.slots[slot] = UInt32(truncatingIfNeeded: index - objectStart + 1)
        }
        tables.append(table)
    }

    private mutating func insertHashed(_ name: Spelling, in base: UnsafePointer<UInt8>) -> Bool {
        let table = tables.count - 1
        let mask = tables[table].slots.count - 1
        let print = unsafe tables[table].isKeyed ? Self.hash(name, in: base) : Self.print(of: name, in: base)
        var slot = tables[table].slot(of: print)
        var probes = 0
        while tables[table].slots[slot] != 0 {
            let entry = entries[objectStart + Int(tables[table].slots[slot]) - 1]
            if entry.print == print, unsafe Self.areEqual(entry.spelling, name, in: base) { return false }
            slot = (slot + 1) & mask
            probes += 1
            if probes == Self.probeLimit, !tables[table].isKeyed {
                unsafe keyTable(in: base)
                return unsafe insertHashed(name, in: base)
            }
        }
        append(name, print: print)
        let count = entries.count - objectStart
        tables[table].slots[slot] = UInt32(truncatingIfNeeded: count)
        if count * 2 > mask { fillTable(capacity: (mask + 1) * 2) }
        return true
    }

    /// Goes over to SipHash.
    private mutating func keyTable(in base: UnsafePointer<UInt8>) {
        for index in objectStart..<entries.count { entries[index].print = unsafe Self.hash(entries[index].spelling, in: base) }
        tables[tables.count - 1].isKeyed = true
        fillTable(capacity: tables[tables.count - 1].slots.count)
    }

    // MARK: - Names

    @inline(__always) private static func print(of name: Spelling, in base: UnsafePointer<UInt8>) -> UInt64 {
        unsafe name.isEscaped ? printOfEscaped(name, in: base) : print(base, from: name.start, to: name.end)
    }

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
        return head &* 0x9E37_79B9_7F4A_7C15 ^ tail &* 0xC2B2_AE3D_27D4_EB4F ^ UInt64(truncatingIfNeeded: length) << 56
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
        return unsafe memcmp(base + left.start, base + right.start, left.end - left.start) == 0
    }
}
