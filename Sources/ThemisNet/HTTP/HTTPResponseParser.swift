public import ThemisBase

/// The head of an answer. A value; any thread.
public struct HTTPResponseHead: Sendable {
    /// The status, 100–599.
    public let status: Int
    /// The headers.
    public let fields: HTTPFields
    /// Whether the server keeps the connection.
    public let keepsAlive: Bool
}

/// A strict parser of HTTP/1.1 answers: bytes in, events out, no I/O. Interim answers (1xx) are skipped. Not thread-safe.
public struct HTTPResponseParser: Sendable {
    /// What comes next in the stream of bytes.
    public enum Event: Sendable {
        /// More bytes are needed.
        case incomplete
        /// An answer begins.
        case head(HTTPResponseHead)
        /// A piece of its body: this range of the bytes given.
        case body(Range<Int>)
        /// The answer is complete.
        case end
    }

    private enum State: Sendable {
        case head
        case length(Int)
        case chunks(ChunkedDecoder)
        case untilClose
        case end
    }

    private let isHead: Bool
    private var state = State.head
    private var scanner = HeadScanner()
    private var interims = 0

    /// A parser of one answer.
    ///
    /// - Parameter toHead: the request was HEAD, so no body follows whatever the headers say.
    public init(toHead: Bool = false) { isHead = toHead }

    /// Whether the end of the connection is the end of the body.
    public var endsWithConnection: Bool {
        if case .untilClose = state { return true }
        return false
    }

    /// Reads the next event from the front of `bytes` and adds to `used` what it consumed; an incomplete head consumes nothing.
    ///
    /// - Throws: `malformed_http` or `headers_too_large`; the parser is of no use afterwards.
    public mutating func next(_ bytes: UnsafeRawBufferPointer, used: inout Int) throws(ThemisError) -> Event {
        switch state {
        case .head: return unsafe try nextHead(bytes, &used)
        case .length(let remaining):
            guard unsafe !bytes.isEmpty else { return .incomplete }
            let count = min(remaining, bytes.count)
            used += count
            state = count == remaining ? .end : .length(remaining - count)
            return .body(0..<count)
        case .chunks(var decoder):
            let piece = unsafe try decoder.next(bytes, used: &used)
            state = .chunks(decoder)
            switch piece {
            case .incomplete: return .incomplete
            case .data(let range): return .body(range)
            case .end: return .end
            }
        case .untilClose:
            guard unsafe !bytes.isEmpty else { return .incomplete }
            used += bytes.count
            return .body(0..<bytes.count)
        case .end: return .end
        }
    }

    private mutating func nextHead(_ bytes: UnsafeRawBufferPointer, _ used: inout Int) throws(ThemisError) -> Event {
        guard unsafe try scanner.scan(bytes) else { return .incomplete }
        let length = scanner.position
        let fields = unsafe HTTPFields(bytes: Array(bytes[..<scanner.position]), ranges: scanner.fields)
        let line = fields.bytes[scanner.startLine]
        let status = line.dropFirst(9).prefix(3)
        guard line.starts(with: "HTTP/1.".utf8), line.count >= 12, line[8] == ASCII.space,
            line.count == 12 || line[12] == ASCII.space,
            let status = ASCII.decimal(status), (100..<600).contains(status)
        else { throw ThemisError(.malformedHTTP, "the answer does not begin with an HTTP/1 status line") }
        used += scanner.position
        scanner = HeadScanner()
        let isHTTP10 = line[7] == 0x30
        if status < 200, status != 101 {
            interims += 1
            guard interims <= Limits.interimAnswers else { throw ThemisError(.malformedHTTP, "too many interim answers (1xx)") }
            return unsafe try nextHead(UnsafeRawBufferPointer(rebasing: bytes[length...]), &used)
        }
        var framing = HTTPBodyFraming.none
        var connection = ConnectionOptions()
        for range in fields.ranges {
            let value = fields.bytes[range.value]
            if fields.isNamed(range, "content-length") { framing = try BodyFraming.merge(framing, contentLength: value) }
            if fields.isNamed(range, "transfer-encoding") {
                framing = try BodyFraming.merge(framing, transferEncoding: value, isHTTP10: isHTTP10)
            }
            if fields.isNamed(range, "connection") { connection.read(value) }
        }
        var keepsAlive = isHTTP10 ? connection.keepsAlive && !connection.closes : !connection.closes
        if isHead || status == 204 || status == 304 {
            state = .end
        } else {
            switch framing {
            case .length(let count): state = count > 0 ? .length(count) : .end
            case .chunked: state = .chunks(ChunkedDecoder())
            default:
                state = .untilClose
                keepsAlive = false
            }
        }
        return .head(HTTPResponseHead(status: status, fields: fields, keepsAlive: keepsAlive))
    }
}
