import Testing
import ThemisBase
import ThemisNet
import ThemisTestKit

/// What a parser made of some bytes, in words.
private enum Transcript {
    /// Feeds `text` in pieces that end at `cuts` and at the end, as a stream would: unused bytes come again.
    static func requests(_ text: [UInt8], cuts: [Int] = []) -> [String] {
        var parser = HTTPRequestParser()
        var lines: [String] = []
        var body: [UInt8] = []
        var start = 0
        for end in cuts + [text.count] {
            while true {
                var used = 0
                do {
                    let event = try unsafe text[start..<end].withUnsafeBytes { unsafe try parser.next($0, used: &used) }
                    let piece = Array(text[start..<end])
                    start += used
                    switch event {
                    case .incomplete: break
                    case .head(let head): lines.append(describe(head))
                    case .body(let range): body += piece[range]
                    case .end:
                        lines.append("body \(String(decoding: body, as: UTF8.self))")
                        body = []
                    }
                    if case .incomplete = event { break }
                } catch {
                    return lines + ["\(error)"]
                }
            }
        }
        return lines + (parser.isWithinRequest ? ["unfinished"] : [])
    }

    private static func describe(_ head: HTTPRequestHead) -> String {
        let fields = head.fields.all.map { "\($0.name)=\($0.value)" }.joined(separator: ",")
        return
            "\(head.methodText) \(head.rawTarget) \(head.isHTTP10 ? "1.0" : "1.1") \(head.framing) \(head.keepsAlive) [\(fields)]"
    }
}

private func get(_ headers: String, target: String = "/") -> String { "GET \(target) HTTP/1.1\r\n\(headers)\r\n" }

@Suite struct HTTPParserTests {
    static let accepted: [(String, [String])] = [
        (get("Host: a\r\n"), ["GET / 1.1 none true [Host=a]", "body "]),
        (get("host:a:80\r\nX:  b c \t\r\nY:\r\n"), ["GET / 1.1 none true [host=a:80,X=b c,Y=]", "body "]),
        ("\r\n" + get("Host: a\r\n"), ["GET / 1.1 none true [Host=a]", "body "]),
        ("GET / HTTP/1.0\r\n\r\n", ["GET / 1.0 none false []", "body "]),
        ("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", ["GET / 1.0 none true [Connection=Keep-Alive]", "body "]),
        (get("Host: a\r\nConnection: x, Close\r\n"), ["GET / 1.1 none false [Host=a,Connection=x, Close]", "body "]),
        (get("Host: a\r\n", target: "http://a:1/b?c=d"), ["GET /b?c=d 1.1 none true [Host=a]", "body "]),
        ("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", ["OPTIONS * 1.1 none true [Host=a]", "body "]),
        ("BREW /pot HTTP/1.1\r\nHost: a\r\n\r\n", ["BREW /pot 1.1 none true [Host=a]", "body "]),
        (
            "PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello" + get("Host: b\r\n"),
            [
                "PUT /x 1.1 length(5) true [Host=a,Content-Length=5,Content-Length=5]", "body hello",
                "GET / 1.1 none true [Host=b]", "body ",
            ]
        ),
        (
            "PUT /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n"
                + "3\r\nabc\r\n00A;x=\"y\"\r\n0123456789\r\n0\r\nT: v\r\n\r\n"
                + get("Host: b\r\n"),
            [
                "PUT /x 1.1 chunked true [Host=a,Transfer-Encoding=Chunked]", "body abc0123456789",
                "GET / 1.1 none true [Host=b]", "body ",
            ]
        ),
        (get("Host: a\r\nX: \u{FC}\r\n"), ["GET / 1.1 none true [Host=a,X=\u{FC}]", "body "]),
        (
            "PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhel",
            ["PUT /x 1.1 length(9) true [Host=a,Content-Length=9]", "unfinished"]
        ),
    ]

    @Test(arguments: accepted)
    func `a well-formed request is read, however it is split`(text: String, lines: [String]) {
        let bytes = Array(text.utf8)
        #expect(Transcript.requests(bytes) == lines)
        for cut in 1..<bytes.count { #expect(Transcript.requests(bytes, cuts: [cut]) == lines, "split at \(cut)") }
        #expect(Transcript.requests(bytes, cuts: Array(1..<bytes.count)) == lines)
    }

    private static let put = "PUT / HTTP/1.1\r\nHost: a\r\n"
    private static let chunked = put + "Transfer-Encoding: chunked\r\n\r\n"

    static let refused: [(String, String)] = [
        // Request line.
        ("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "malformed_http: an empty line stands"),
        ("\rGET / HTTP/1.1\r\n", "malformed_http: a CR stands without its LF"),
        ("GET / HTTP/1.1\nHost: a\r\n\r\n", "malformed_http: the request line ends with a bare LF"),
        ("GET / HTTP/1.1\rHost: a\r\n\r\n", "malformed_http: a CR stands without its LF"),
        ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", "malformed_http: the request line is not"),
        ("GET /\r\n\r\n", "malformed_http: the request line is not"),
        (" GET / HTTP/1.1\r\nHost: a\r\n\r\n", "malformed_http: the request line is not"),
        ("GET / HTTP/1.1 \r\nHost: a\r\n\r\n", "malformed_http: the request line is not"),
        ("GET /\u{FC} HTTP/1.1\r\nHost: a\r\n\r\n", "malformed_http: the request line holds bytes that are not ASCII"),
        ("\u{16}\u{3}\u{1}\u{2}", "malformed_http: the request line holds a control byte"),
        ("G(T / HTTP/1.1\r\nHost: a\r\n\r\n", "malformed_http: the method is not a token"),
        (String(repeating: "M", count: 33) + " / HTTP/1.1\r\nHost: a\r\n\r\n", "malformed_http: the method is not a token"),
        (String(repeating: "M", count: 9_000), "malformed_http: the request does not begin with a method"),
        ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", "malformed_http: the version is not known"),
        ("GET / HTTP/1.2\r\nHost: a\r\n\r\n", "malformed_http: the version is not known"),
        ("GET / http/1.1\r\nHost: a\r\n\r\n", "malformed_http: the version is not known"),
        ("CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", "malformed_http: the target is neither"),
        ("GET * HTTP/1.1\r\nHost: a\r\n\r\n", "malformed_http: the target is neither"),
        ("GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n", "malformed_http: the host is not a name"),
        ("GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n", "malformed_http: the target is neither"),
        ("GET /#x HTTP/1.1\r\nHost: a\r\n\r\n", "malformed_http: the target holds a fragment"),
        ("GET /" + String(repeating: "a", count: 8_192), "uri_too_long: the request line is longer than 8192 bytes"),
        // Headers.
        (get(""), "malformed_http: the Host header is missing"),
        (get("Host: a\r\nHost: a\r\n"), "malformed_http: there is more than one Host header"),
        (get("Host: a/b\r\n"), "malformed_http: the host is not a name"),
        (get("Host: a b\r\n"), "malformed_http: the host is not a name"),
        (get("Host: a\r\nX : b\r\n"), "malformed_http: a space stands between"),
        (get("Host: a\r\n: b\r\n"), "malformed_http: a header has no name"),
        (get("Host: a\r\nX\r\n"), "malformed_http: a header line has no colon"),
        (get("Host: a\r\nX(: b\r\n"), "malformed_http: a header's name holds a character"),
        (get("Host: a\r\nX: b\r\n c\r\n"), "malformed_http: a header is folded"),
        (get(" Host: a\r\n"), "malformed_http: a header is folded"),
        (get("Host: a\r\nX: b\nY: c\r\n"), "malformed_http: a header line ends with a bare LF"),
        (get("Host: a\r\nX: b\rY: c\r\n"), "malformed_http: a CR stands without its LF"),
        (get("Host: a\r\nX: \u{0}\r\n"), "malformed_http: a header's value holds a control byte"),
        (get("Host: a\r\nX: \u{7F}\r\n"), "malformed_http: a header's value holds a control byte"),
        (get("Host: a\r\nX: " + String(repeating: "b", count: 16_400)), "headers_too_large: headers are longer than 16384 bytes"),
        (get("Host: a\r\n" + String(repeating: "A: b\r\n", count: 100)), "headers_too_large: there are more than 100 headers"),
        // Two ways to read the length.
        (put + "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", "malformed_http: Content-Length and Transfer-Encoding"),
        (put + "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n", "malformed_http: Content-Length and Transfer-Encoding"),
        (put + "Content-Length: 1\r\nContent-Length: 2\r\n\r\n", "malformed_http: there are different values"),
        (put + "Content-Length: 1, 1\r\n\r\n", "malformed_http: Content-Length is not a decimal"),
        (put + "Content-Length: +1\r\n\r\n", "malformed_http: Content-Length is not a decimal"),
        (put + "Content-Length: -1\r\n\r\n", "malformed_http: Content-Length is not a decimal"),
        (put + "Content-Length: 0x1\r\n\r\n", "malformed_http: Content-Length is not a decimal"),
        (put + "Content-Length:\r\n\r\n", "malformed_http: Content-Length is not a decimal"),
        (put + "Content-Length: 99999999999999999999\r\n\r\n", "malformed_http: Content-Length is not a decimal"),
        (put + "Transfer-Encoding: gzip, chunked\r\n\r\n", "malformed_http: Transfer-Encoding is not"),
        (put + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", "malformed_http: there is more than one"),
        (put + "Transfer-Encoding: identity\r\n\r\n", "malformed_http: Transfer-Encoding is not"),
        (put + "Transfer-Encoding: \u{B}chunked\r\n\r\n", "malformed_http: a header's value holds a control byte"),
        ("PUT / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", "malformed_http: HTTP/1.0 has no Transfer-Encoding"),
        // Chunks.
        (chunked + "x\r\n", "malformed_http: a chunk does not begin with its size"),
        (chunked + "\r\n", "malformed_http: a chunk does not begin with its size"),
        (chunked + "-1\r\n", "malformed_http: a chunk does not begin with its size"),
        (chunked + "0x1\r\n", "malformed_http: a chunk's size holds a character"),
        (chunked + "1 \r\na\r\n", "malformed_http: a chunk's size holds a character"),
        (chunked + "1\na\r\n", "malformed_http: a chunk's size holds a character"),
        (chunked + "FFFFFFFFFFFFFFFF\r\n", "malformed_http: a chunk is larger than"),
        (chunked + "0000000000000000000000001\r\n", "malformed_http: a chunk is larger than"),
        (chunked + "1\r\nab\r\n", "malformed_http: a chunk is not framed by CRLF"),
        (chunked + "1\r\na\n", "malformed_http: a chunk is not framed by CRLF"),
        (chunked + "1;" + String(repeating: "e", count: 5_000), "malformed_http: chunk extensions are longer than 4096"),
        (chunked + "0\r\n X: y\r\n\r\n", "malformed_http: a trailer does not begin with a name"),
        (chunked + "0\r\nX y\r\n\r\n", "malformed_http: a trailer's name holds"),
        (chunked + "0\r\nX: y\n\r\n", "malformed_http: a trailer's value holds"),
        (chunked + "0\r\n" + String(repeating: "X: y\r\n", count: 101), "headers_too_large: trailers are longer"),
    ]

    @Test(arguments: refused)
    func `what could be understood in two ways is refused, however it is split`(text: String, reason: String) {
        let bytes = Array(text.utf8)
        let whole = Transcript.requests(bytes)
        #expect(whole.last?.hasPrefix(reason) == true, "\(whole)")
        let step = max(1, bytes.count / 400)
        for cut in stride(from: 1, to: bytes.count, by: step) {
            #expect(Transcript.requests(bytes, cuts: [cut]) == whole, "split at \(cut)")
        }
        #expect(Transcript.requests(bytes, cuts: Array(1..<bytes.count)) == whole)
    }

    @Test func `random bytes never trap the parser`() {
        var random = SeededRandom(seed: Seed.current())
        let seeds = Self.accepted.map { Array($0.0.utf8) } + Self.refused.map { Array($0.0.utf8.prefix(300)) }
        for _ in 0..<20_000 {
            guard var bytes = seeds.randomElement(using: &random) else { return }
            for _ in 0..<Int.random(in: 1...6, using: &random) where !bytes.isEmpty {
                let index = Int.random(in: 0..<bytes.count, using: &random)
                switch Int.random(in: 0..<3, using: &random) {
                case 0: bytes[index] = UInt8.random(in: 0...255, using: &random)
                case 1: bytes.remove(at: index)
                default: bytes.insert(UInt8.random(in: 0...255, using: &random), at: index)
                }
            }
            _ = Transcript.requests(bytes, cuts: bytes.count > 2 ? [bytes.count / 2] : [])
        }
    }

    @Test(arguments: [("a%2Fb", "a/b"), ("a+b", "a+b"), ("%C3%BC", "ü"), ("", "")])
    func `percent escapes are decoded once`(text: String, plain: String) throws {
        #expect(try RequestTarget.decoded(ArraySlice(text.utf8)) == plain)
    }

    @Test(arguments: ["%", "%1", "%zz", "a%2", "%00", "%FF", "%C3", "%ED%A0%80"])
    func `a broken escape is refused`(text: String) {
        #expect(throws: ThemisError.self) { try RequestTarget.decoded(ArraySlice(text.utf8)) }
    }

    @Test func `query parameters are named when they are unknown or doubled`() throws {
        let found = try RequestTarget.parameters(ArraySlice("a=1%262&b&&c=x=y".utf8), allowed: ["a", "b", "c"])
        #expect(found.map(\.name) == ["a", "b", "c"])
        #expect(found.map(\.value) == ["1&2", "", "x=y"])
        let unknown = #expect(throws: ThemisError.self) {
            try RequestTarget.parameters(ArraySlice("a=1&limt=2&x=".utf8), allowed: ["a"])
        }
        #expect(unknown?.code == .unknownParameter)
        #expect(unknown?.fields.map(\.field) == ["limt", "x"])
        let doubled = #expect(throws: ThemisError.self) {
            try RequestTarget.parameters(ArraySlice("a=1&a=1".utf8), allowed: ["a"])
        }
        #expect(doubled?.code == .invalidRequest)
    }
}
