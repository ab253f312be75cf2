/// Takes the chunked coding of a long answer apart: calls `use` with each piece of payload, in place.
///
/// It trusts the server: the strict reader is the server's and its tests'.
struct ChunkReader {
    private var remaining = 0
    /// What an earlier chunk ended with and `use` could not use yet.
    private var carried: [UInt8] = []
    /// Whether the last chunk, the empty one, has come.
    private(set) var isAtEnd = false

    /// Reads `bytes` from `used` on and moves `used` behind what was consumed. `use` gets a piece of payload and returns how many bytes
    /// of it were used; the rest comes again in front of what follows.
    mutating func read(_ bytes: UnsafeRawBufferPointer, _ used: inout Int, _ use: (UnsafeRawBufferPointer) -> Int) {
        while used < bytes.count, !isAtEnd {
            if remaining > 0 {
                let count = min(remaining, bytes.count - used)
                let piece = unsafe UnsafeRawBufferPointer(rebasing: bytes[used..<(used + count)])
                let taken = unsafe take(piece, isLast: count == remaining, use)
                used += taken
                remaining -= taken
                if taken < count { return }
            } else {
                guard let end = unsafe bytes[used...].firstIndex(of: 0x0A) else { return }
                // The line between two chunks is empty; any other one is a size.
                let digits = unsafe bytes[used..<end].prefix { $0 != 0x0D }
                used = end + 1
                guard unsafe !digits.isEmpty else { continue }
                remaining = unsafe digits.reduce(0) { $0 << 4 | Int($1 < 0x3A ? $1 - 0x30 : ($1 | 0x20) - 0x57) }
                isAtEnd = remaining == 0
            }
        }
    }

    private mutating func take(_ piece: UnsafeRawBufferPointer, isLast: Bool, _ use: (UnsafeRawBufferPointer) -> Int) -> Int {
        guard carried.isEmpty else {
            unsafe carried.append(contentsOf: piece)
            let taken = unsafe carried.withUnsafeBytes { unsafe use($0) }
            carried.removeFirst(taken)
            return piece.count
        }
        let taken = unsafe use(piece)
        guard isLast, taken < piece.count else { return taken }
        unsafe carried.append(contentsOf: piece[taken...])
        return piece.count
    }
}

/// The least reader of the heads of answers.
struct AnswerHead {
    /// The status.
    var status = 0
    /// The length of the head.
    var head = 0
    /// The length of the body.
    var body = 0
    /// What `Retry-After` says.
    var retryAfterSeconds: Int?

    /// The head at the front of `bytes`; nil until it is whole.
    static func read(_ bytes: UnsafeRawBufferPointer) -> AnswerHead? {
        var found = AnswerHead()
        while let end = unsafe bytes[found.head...].firstIndex(of: 0x0A) {
            let text = unsafe UnsafeRawBufferPointer(rebasing: bytes[found.head..<max(found.head, end - 1)])
            if found.head == 0 {
                found.status = unsafe number(text.dropFirst(9).prefix(3))
            } else if let length = unsafe field(text, lengthName) {
                found.body = length
            } else if found.status == 503, let seconds = unsafe field(text, retryAfterName) {
                found.retryAfterSeconds = seconds
            }
            found.head = end + 1
            if unsafe text.isEmpty { return found }
        }
        return nil
    }

    private static let lengthName = Array("content-length:".utf8)
    private static let retryAfterName = Array("retry-after:".utf8)

    private static func field(_ text: UnsafeRawBufferPointer, _ name: [UInt8]) -> Int? {
        guard text.count > name.count, unsafe zip(text, name).allSatisfy({ $0 == $1 || $0 | 0x20 == $1 }) else { return nil }
        return unsafe number(text.dropFirst(name.count).drop { $0 == 0x20 })
    }

    private static func number(_ digits: Slice<UnsafeRawBufferPointer>) -> Int {
        unsafe digits.prefix { (0x30...0x39).contains($0) }.reduce(0) { $0 * 10 + Int($1 - 0x30) }
    }
}
