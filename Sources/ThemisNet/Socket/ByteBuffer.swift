import Glibc

/// Bytes between a socket and its reader or writer: one owner, no copies, memory given back when it is empty.
///
/// Not thread-safe; belongs to whoever owns the value.
@safe public struct ByteBuffer: ~Copyable {
    private var storage: UnsafeMutableRawPointer?
    private var capacity = 0
    private var head = 0
    private var tail = 0

    private let keptCapacity: Int

    /// An empty buffer without memory. An emptied one gives its memory back, unless it is at most `keeping` bytes.
    public init(keeping: Int = 0) {
        unsafe storage = nil
        keptCapacity = keeping
    }

    deinit { unsafe free(storage) }

    /// Bytes that wait to be read.
    public var count: Int { tail - head }

    /// Whether nothing waits to be read.
    public var isEmpty: Bool { head == tail }

    /// The bytes that wait to be read; valid until the next change.
    public var readable: UnsafeRawBufferPointer {
        unsafe UnsafeRawBufferPointer(start: storage.map { unsafe UnsafeRawPointer($0) + head }, count: count)
    }

    /// At least `minimum` free bytes behind what waits; valid until the next change. `advance` says how many were filled.
    public mutating func writable(minimum: Int) -> UnsafeMutableRawBufferPointer {
        if capacity - tail < minimum { grow(minimum) }
        return unsafe UnsafeMutableRawBufferPointer(start: storage.map { unsafe $0 + tail }, count: capacity - tail)
    }

    /// Counts `filled` bytes of the writable area as written.
    public mutating func advance(_ filled: Int) {
        precondition(filled >= 0 && filled <= capacity - tail, "more bytes were filled than there was room for")
        tail += filled
    }

    /// Drops the first `read` bytes; an emptied buffer gives its memory back.
    public mutating func consume(_ read: Int) {
        precondition(read >= 0 && read <= count, "more bytes were consumed than were there")
        head += read
        if head == tail { becameEmpty() }
    }

    /// Takes back the last `count` bytes that were appended.
    public mutating func removeLast(_ count: Int) {
        precondition(count >= 0 && count <= self.count, "more bytes were taken back than wait")
        tail -= count
        if head == tail { becameEmpty() }
    }

    private mutating func becameEmpty() {
        if capacity > keptCapacity { release() } else { (head, tail) = (0, 0) }
    }

    /// Gives back all memory.
    public mutating func release() {
        unsafe free(storage)
        unsafe storage = nil
        (capacity, head, tail) = (0, 0, 0)
    }

    /// Appends `bytes`.
    public mutating func append(_ bytes: UnsafeRawBufferPointer) {
        guard let base = bytes.baseAddress, unsafe !bytes.isEmpty else { return }
        let room = unsafe writable(minimum: bytes.count)
        if let target = room.baseAddress { unsafe memcpy(target, base, bytes.count) }
        tail += bytes.count
    }

    /// Appends `bytes`.
    public mutating func append(_ bytes: [UInt8]) { unsafe bytes.withUnsafeBytes { unsafe append($0) } }

    /// Appends `bytes`.
    public mutating func append(_ bytes: RawSpan) { unsafe bytes.withUnsafeBytes { unsafe append($0) } }

    /// Appends constant text.
    public mutating func append(constant text: StaticString) {
        unsafe append(UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    /// Appends the UTF-8 of `text`.
    public mutating func append(_ text: String) {
        // Texts nearly always lie in one piece, which needs no copy that could be made contiguous.
        let isDone: Void? = unsafe text.utf8.withContiguousStorageIfAvailable { unsafe append(UnsafeRawBufferPointer($0)) }
        if isDone != nil { return }
        var text = text
        text.withUTF8 { unsafe append(UnsafeRawBufferPointer($0)) }
    }

    /// Makes a space of every byte behind the first `start` that may not stand in a header.
    mutating func blankControls(from start: Int) {
        guard start < count, let base = unsafe storage else { return }
        for index in (head + start)..<tail where unsafe !ASCII.isFieldText(base.load(fromByteOffset: index, as: UInt8.self)) {
            unsafe base.storeBytes(of: ASCII.space, toByteOffset: index, as: UInt8.self)
        }
    }

    /// Appends a byte.
    public mutating func append(byte: UInt8) {
        let room = unsafe writable(minimum: 1)
        unsafe room[0] = byte
        tail += 1
    }

    /// Appends `number` in decimal digits.
    public mutating func append(decimal number: Int) {
        guard number >= 0 else { return append(String(number)) }
        var digits: (UInt64, UInt64, UInt64) = (0, 0, 0)
        unsafe withUnsafeMutableBytes(of: &digits) { digits in
            var rest = number
            var start = digits.count
            repeat {
                start -= 1
                unsafe digits[start] = UInt8(0x30 + rest % 10)
                rest /= 10
            } while rest > 0
            unsafe append(UnsafeRawBufferPointer(rebasing: digits[start...]))
        }
    }

    /// Appends `number` in hexadecimal digits.
    public mutating func append(hexadecimal number: Int) {
        precondition(number >= 0, "only lengths are written in hexadecimal")
        var shift = max(0, (Int.bitWidth - number.leadingZeroBitCount - 1) / 4) * 4
        while shift >= 0 {
            let digit = UInt8(number >> shift & 15)
            append(byte: digit < 10 ? 0x30 + digit : 0x57 + digit)
            shift -= 4
        }
    }

    // MARK: Lending

    /// Memory without an owner; whoever holds one gives it to a buffer.
    @safe struct Memory {
        fileprivate let start: UnsafeMutableRawPointer
        fileprivate let count: Int

        init(bytes: Int) {
            guard let start = unsafe malloc(bytes) else { preconditionFailure("out of memory for a buffer of \(bytes) bytes") }
            unsafe self.start = unsafe start
            count = bytes
        }

        fileprivate init(start: UnsafeMutableRawPointer, count: Int) {
            unsafe self.start = unsafe start
            self.count = count
        }
    }

    /// Whether there is memory, used or not.
    var hasMemory: Bool { capacity > 0 }

    /// Takes `memory` over. The buffer has none.
    mutating func adopt(_ memory: Memory) {
        precondition(capacity == 0, "a buffer with memory is lent none")
        unsafe storage = unsafe memory.start
        capacity = memory.count
    }

    /// Gives the memory away, if nothing is in it and it has just this size.
    mutating func takeMemory(bytes: Int) -> Memory? {
        guard isEmpty, capacity == bytes, let start = unsafe storage else { return nil }
        unsafe storage = nil
        (capacity, head, tail) = (0, 0, 0)
        return unsafe Memory(start: start, count: bytes)
    }

    private mutating func grow(_ minimum: Int) {
        let used = count
        // Moving to the front first: a long-lived buffer must not grow by what was consumed.
        if head > 0, capacity - used >= minimum, head >= capacity / 2 {
            if let base = unsafe storage { unsafe memmove(base, base + head, used) }
        } else {
            var wanted = max(Self.smallestCapacity, capacity)
            while wanted - used < minimum { wanted *= 2 }
            guard let larger = unsafe malloc(wanted) else { preconditionFailure("out of memory for a buffer of \(wanted) bytes") }
            if let old = unsafe storage { unsafe memcpy(larger, old + head, used) }
            unsafe free(storage)
            unsafe storage = unsafe larger
            capacity = wanted
        }
        head = 0
        tail = used
    }

    /// Small enough for the allocator's thread cache: most answers fit and cost no lock.
    private static let smallestCapacity = 1_008
}
