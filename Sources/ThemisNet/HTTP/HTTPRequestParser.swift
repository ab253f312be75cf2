public import ThemisBase

/// A strict parser of HTTP/1.1 requests: bytes in, events out, no I/O.
///
/// Anything that two parsers could understand differently is refused (RFC 9112 §11.2): the caller answers the error and closes.
/// One value parses the requests of one connection, one after the other. Not thread-safe.
public struct HTTPRequestParser: Sendable {
    /// What comes next in the stream of bytes.
    public enum Event: Sendable {
        /// More bytes are needed.
        case incomplete
        /// A request begins.
        case head(HTTPRequestHead)
        /// A piece of its body: this range of the bytes given.
        case body(Range<Int>)
        /// The request is complete; the next event belongs to the next one.
        case end
    }

    private enum State: Sendable {
        case head
        case length(Int)
        case chunks(ChunkedDecoder)
        case end
    }

    private var state = State.head
    private var scanner = HeadScanner()
    private var hasSkippedLine = false

    /// A parser before the first request.
    public init() {}

    /// Whether a request has begun and is not complete.
    public var isWithinRequest: Bool {
        if case .head = state { return scanner.position > 0 }
        return true
    }

    /// Reads the next event from the front of `bytes` and adds to `used` what it consumed.
    ///
    /// An incomplete head consumes nothing: the caller offers the same bytes again with more behind them.
    ///
    /// - Throws: `malformed_http`, `uri_too_long` or `headers_too_large`; the parser is of no use afterwards.
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
            switch piece {
            case .incomplete:
                state = .chunks(decoder)
                return .incomplete
            case .data(let range):
                state = .chunks(decoder)
                return .body(range)
            case .end:
                startOver()
                return .end
            }
        case .end:
            startOver()
            return .end
        }
    }

    private mutating func startOver() {
        state = .head
        scanner = HeadScanner()
        hasSkippedLine = false
    }

    private mutating func nextHead(_ bytes: UnsafeRawBufferPointer, _ used: inout Int) throws(ThemisError) -> Event {
        var bytes = unsafe bytes
        // RFC 9112 §2.2: one empty line before a request is forgiven; old clients send it after a body.
        if scanner.position == 0, !hasSkippedLine, unsafe bytes.first == ASCII.carriageReturn {
            guard bytes.count >= 2 else { return .incomplete }
            guard unsafe bytes[1] == ASCII.lineFeed else { throw ThemisError(.malformedHTTP, "a CR stands without its LF") }
            hasSkippedLine = true
            used += 2
            unsafe bytes = UnsafeRawBufferPointer(rebasing: bytes[2...])
        }
        guard unsafe try scanner.scan(bytes) else { return .incomplete }
        let head = unsafe try RequestHeadReader(bytes, scanner).head()
        used += scanner.position
        switch head.framing {
        case .length(let count) where count > 0: state = .length(count)
        case .chunked: state = .chunks(ChunkedDecoder())
        default: state = .end
        }
        return .head(head)
    }
}

/// Reads the meaning of a scanned head.
private struct RequestHeadReader {
    let fields: HTTPFields
    let startLine: Range<Int>

    init(_ bytes: UnsafeRawBufferPointer, _ scanner: HeadScanner) {
        fields = unsafe HTTPFields(bytes: Array(UnsafeRawBufferPointer(rebasing: bytes[..<scanner.position])), ranges: scanner.fields)
        startLine = scanner.startLine
    }

    func head() throws(ThemisError) -> HTTPRequestHead {
        let (methodRange, targetRange, isHTTP10) = try requestLine()
        let method = unsafe fields.bytes.withUnsafeBytes { unsafe HTTPMethod(UnsafeRawBufferPointer(rebasing: $0[methodRange])) }
        let target = try pathAndQuery(of: targetRange, isOptions: method == .options)
        var framing = HTTPBodyFraming.none
        var hosts = 0
        var connection = ConnectionOptions()
        var expectation = HTTPExpectation.none
        for range in fields.ranges {
            // By length first: few headers have one of these lengths.
            switch range.name.count {
            case 4 where fields.isNamed(range, "host"):
                hosts += 1
                try Self.checkHost(fields.bytes[range.value])
            case 6 where fields.isNamed(range, "expect"):
                let isKnown = ASCII.isEqualIgnoringCase(fields.bytes[range.value], "100-continue".utf8)
                expectation = isKnown && expectation != .unknown ? .continue100 : .unknown
            case 10 where fields.isNamed(range, "connection"): connection.read(fields.bytes[range.value])
            case 14 where fields.isNamed(range, "content-length"):
                framing = try BodyFraming.merge(framing, contentLength: fields.bytes[range.value])
            case 17 where fields.isNamed(range, "transfer-encoding"):
                framing = try BodyFraming.merge(framing, transferEncoding: fields.bytes[range.value], isHTTP10: isHTTP10)
            default: break
            }
        }
        guard hosts == 1 || (hosts == 0 && isHTTP10) else {
            throw ThemisError(.malformedHTTP, hosts == 0 ? "the Host header is missing" : "there is more than one Host header")
        }
        return HTTPRequestHead(
            method: method, target: target, pathEnd: fields.firstIndex(of: 0x3F, in: target) ?? target.upperBound, fields: fields,
            isHTTP10: isHTTP10, framing: framing,
            keepsAlive: isHTTP10 ? connection.keepsAlive && !connection.closes : !connection.closes,
            expectation: isHTTP10 ? .none : expectation)
    }

    private func requestLine() throws(ThemisError) -> (method: Range<Int>, target: Range<Int>, isHTTP10: Bool) {
        let end = startLine.upperBound
        guard let first = fields.firstIndex(of: ASCII.space, in: startLine), first > 0,
            let last = fields.firstIndex(of: ASCII.space, in: (first + 1)..<end), last > first + 1,
            fields.firstIndex(of: ASCII.space, in: (last + 1)..<end) == nil
        else { throw ThemisError(.malformedHTTP, "the request line is not `method target HTTP/1.1`, separated by single spaces") }
        guard first <= Limits.methodBytes, fields.bytes[..<first].allSatisfy({ ASCII.isToken($0) }) else {
            throw ThemisError(.malformedHTTP, "the method is not a token of at most \(Limits.methodBytes) characters")
        }
        if fields.holds("HTTP/1.1", at: (last + 1)..<end) { return (0..<first, (first + 1)..<last, false) }
        guard fields.holds("HTTP/1.0", at: (last + 1)..<end) else {
            throw ThemisError(.malformedHTTP, "the version is not known; use HTTP/1.1 or HTTP/1.0")
        }
        return (0..<first, (first + 1)..<last, true)
    }

    private func pathAndQuery(of target: Range<Int>, isOptions: Bool) throws(ThemisError) -> Range<Int> {
        let bytes = fields.bytes[target]
        guard fields.firstIndex(of: 0x23, in: target) == nil else {
            throw ThemisError(.malformedHTTP, "the target holds a fragment (#); do not send it")
        }
        if bytes.first == ASCII.slash || (isOptions && bytes.elementsEqual("*".utf8)) { return target }
        for scheme in ["http://", "https://"] where bytes.count > scheme.utf8.count {
            guard ASCII.isEqualIgnoringCase(bytes.prefix(scheme.utf8.count), scheme.utf8) else { continue }
            let authority = bytes.dropFirst(scheme.utf8.count).prefix { $0 != ASCII.slash && $0 != 0x3F }
            try Self.checkHost(authority)
            // Without a path, what is left is empty or a query: the root.
            guard !authority.isEmpty else { break }
            return authority.endIndex..<target.upperBound
        }
        throw ThemisError(.malformedHTTP, "the target is neither a path that begins with / nor an http:// address")
    }

    private static func checkHost(_ value: ArraySlice<UInt8>) throws(ThemisError) {
        guard unsafe value.withUnsafeBytes({ unsafe $0.allSatisfy { ASCII.isHost($0) } }) else {
            throw ThemisError(.malformedHTTP, "the host is not a name or address with an optional port")
        }
    }
}

/// What the Connection headers say.
struct ConnectionOptions {
    var closes = false
    var keepsAlive = false

    mutating func read(_ value: ArraySlice<UInt8>) {
        for option in value.split(separator: ASCII.comma) {
            let word = ASCII.trimmed(option)
            if ASCII.isEqualIgnoringCase(word, "close".utf8) { closes = true }
            if ASCII.isEqualIgnoringCase(word, "keep-alive".utf8) { keepsAlive = true }
        }
    }
}

/// Decides the length of a body (RFC 9112 §6.3) and refuses whatever could be read in two ways.
enum BodyFraming {
    static func merge(_ framing: HTTPBodyFraming, contentLength value: ArraySlice<UInt8>) throws(ThemisError) -> HTTPBodyFraming {
        guard let length = ASCII.decimal(value) else {
            throw ThemisError(.malformedHTTP, "Content-Length is not a decimal number of at most 18 digits")
        }
        switch framing {
        case .none: return .length(length)
        case .length(length): return framing
        case .chunked: throw both
        default: throw ThemisError(.malformedHTTP, "there are different values of Content-Length")
        }
    }

    static func merge(
        _ framing: HTTPBodyFraming, transferEncoding value: ArraySlice<UInt8>, isHTTP10: Bool
    ) throws(ThemisError) -> HTTPBodyFraming {
        guard !isHTTP10 else { throw ThemisError(.malformedHTTP, "HTTP/1.0 has no Transfer-Encoding; use HTTP/1.1") }
        guard ASCII.isEqualIgnoringCase(value, "chunked".utf8) else {
            throw ThemisError(.malformedHTTP, "Transfer-Encoding is not `chunked`; no other coding is known")
        }
        switch framing {
        case .none: return .chunked
        case .chunked: throw ThemisError(.malformedHTTP, "there is more than one Transfer-Encoding")
        default: throw both
        }
    }

    private static let both = ThemisError(
        .malformedHTTP, "Content-Length and Transfer-Encoding exclude each other; send one of them")
}
