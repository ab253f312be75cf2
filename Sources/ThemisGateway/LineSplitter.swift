import ThemisBase

/// Cuts a stream of bytes into lines and holds no more than one line and one chunk.
///
/// LF and CRLF end a line, so does the end of the stream. A line over the limit is told once and its rest is dropped, so that one
/// bad line costs neither memory nor the stream.
struct LineSplitter {
    /// A line of the stream, counted from 1.
    enum Line: Equatable {
        /// Bytes `range` of `bytes`, without the line end. Never empty.
        case text(number: UInt64, range: Range<Int>)
        /// A line over the limit.
        case tooLong(number: UInt64)
    }

    /// The error of a line over the limit.
    static let tooLong = ThemisError(.bodyTooLarge, "the line has more than \(Limits.lineBytes) bytes")

    /// What was appended and not yet dropped. Ranges of lines point into it until the next `append`.
    private(set) var bytes: [UInt8] = []
    private let limit: Int
    private var start = 0
    private var scanned = 0
    private var number: UInt64 = 0
    private var isDropping = false
    private var hasEnded = false

    /// Lines of at most `limit` bytes.
    init(limit: Int = Limits.lineBytes) { self.limit = limit }

    /// Takes the next bytes of the stream. Ranges given out before are void.
    mutating func append(_ chunk: [UInt8]) {
        if start == bytes.count {
            bytes = chunk
        } else {
            if start > 0 { bytes.removeSubrange(..<start) }
            bytes.append(contentsOf: chunk)
        }
        scanned -= start
        start = 0
    }

    /// The stream has no more bytes: what is left is the last line.
    mutating func finish() { hasEnded = true }

    /// The next line that is complete; nil when more bytes are needed.
    mutating func next() -> Line? {
        while true {
            guard let end = newline() else { return unfinished() }
            let line = start..<end
            start = end + 1
            scanned = start
            if isDropping {
                isDropping = false
                continue
            }
            if let found = took(line) { return found }
        }
    }

    /// What remains without a line end.
    private mutating func unfinished() -> Line? {
        if isDropping {
            start = bytes.count
            return nil
        }
        if hasEnded {
            let line = start..<bytes.count
            start = bytes.count
            return line.isEmpty ? nil : took(line)
        }
        // One byte more than the limit may be the CR of a CRLF.
        guard bytes.count - start > limit + 1 else { return nil }
        start = bytes.count
        isDropping = true
        number += 1
        return .tooLong(number: number)
    }

    private mutating func took(_ line: Range<Int>) -> Line? {
        number += 1
        var range = line
        if let last = range.last, bytes[last] == 0x0D { range = range.lowerBound..<last }
        if range.isEmpty { return nil }
        return range.count > limit ? .tooLong(number: number) : .text(number: number, range: range)
    }

    /// The place of the next LF. What was looked at is not looked at again.
    private mutating func newline() -> Int? {
        var index = scanned
        let count = bytes.count
        while index < count {
            if bytes[index] == 0x0A { return index }
            index += 1
        }
        scanned = count
        return nil
    }
}
