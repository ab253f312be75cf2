import ThemisBase

private func post(_ headers: String..., body: String = "", to path: String = "/echo") -> String {
    "POST \(path) HTTP/1.1\r\nHost: a\r\n" + headers.map { $0 + "\r\n" }.joined() + "\r\n" + body
}

private func chunked(_ body: String, to path: String = "/echo") -> String { post("Transfer-Encoding: chunked", body: body, to: path) }

private let hello = "GET /hello?name=next HTTP/1.1\r\nHost: a\r\n\r\n"

/// Bodies: how their length is told, chunks, expectations, pipelines (RFC 9112 §6–§7 and §9.3, RFC 9110 §10.1.1).
enum BodyTables {
    /// Whatever two parsers could measure differently is refused and the connection closed, so that nothing behind it is a request.
    static let lengths: [ConformanceRow] = [
        .taken("a length", post("Content-Length: 5", body: "hello"), "hello"),
        .taken("no length is no body", post(), ""),
        .taken("a length of nothing", post("Content-Length: 0"), ""),
        .taken("zeros in front", post("Content-Length: 0005", body: "hello"), "hello"),
        .taken("blanks around it", post("Content-Length: \t 5 \t", body: "hello"), "hello"),
        .taken("the same length twice is one length", post("Content-Length: 5", "Content-Length: 5", body: "hello"), "hello"),
        .taken("a body of GET is read over", "GET /hello HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", "world"),
        .taken("a body that looks like a request is a body", post("Content-Length: \(hello.utf8.count)", body: hello), "name=next"),
        .taken("chunks", chunked("5\r\nhello\r\n0\r\n\r\n"), "hello"),
        .taken("the coding's name in any case", post("Transfer-Encoding: ChunKED", body: "0\r\n\r\n"), ""),
        .taken("a tab before it is a blank", post("Transfer-Encoding:\tchunked", body: "5\r\nhello\r\n0\r\n\r\n"), "hello"),
        .taken("a header that only looks like it", post("Transfer_Encoding: chunked", "Content-Length: 5", body: "hello"), "hello"),
        smuggled("CL.TE: both, length first", "Content-Length: 6", "Transfer-Encoding: chunked"),
        smuggled("TE.CL: both, coding first", "Transfer-Encoding: chunked", "Content-Length: 6"),
        smuggled("both, the length being right", "Content-Length: 5", "Transfer-Encoding: chunked"),
        smuggled("CL.CL: two lengths", "Content-Length: 6", "Content-Length: 5"),
        smuggled("two spellings of one length agree, three do not", "Content-Length: 5", "Content-Length: 05", "Content-Length: 6"),
        smuggled("a list of lengths, even of equal ones", "Content-Length: 5, 5"),
        smuggled("a negative length", "Content-Length: -5"),
        smuggled("a length with a sign", "Content-Length: +5"),
        smuggled("a hexadecimal length", "Content-Length: 0x5"),
        smuggled("a length with a fraction", "Content-Length: 5.0"),
        smuggled("a length with an exponent", "Content-Length: 5e0"),
        smuggled("a length in quotes", "Content-Length: \"5\""),
        smuggled("a length with a blank inside", "Content-Length: 5 5"),
        smuggled("a length with an underscore", "Content-Length: 5_0"),
        smuggled("an empty length", "Content-Length:"),
        smuggled("digits of another script", "Content-Length: \u{0665}"),
        smuggled("a length beyond 64 bits", "Content-Length: 18446744073709551621"),
        smuggled("a length beyond every number", "Content-Length: " + String(repeating: "9", count: 400)),
        smuggled("a length behind a space before the colon", "Content-Length : 5"),
        smuggled("TE.TE: coded twice", "Transfer-Encoding: chunked", "Transfer-Encoding: chunked"),
        smuggled("coded twice in a list", "Transfer-Encoding: chunked, chunked"),
        smuggled("chunked, then identity", "Transfer-Encoding: chunked, identity"),
        smuggled("identity, then chunked", "Transfer-Encoding: identity", "Transfer-Encoding: chunked"),
        smuggled("a coding before it that is not known", "Transfer-Encoding: gzip, chunked"),
        smuggled("not chunked at the end", "Transfer-Encoding: chunked, gzip"),
        smuggled("a coding that ends like it", "Transfer-Encoding: xchunked"),
        smuggled("a coding that begins like it", "Transfer-Encoding: chunkedx"),
        smuggled("two words", "Transfer-Encoding: chunked x"),
        smuggled("a parameter", "Transfer-Encoding: chunked;q=1"),
        smuggled("in quotes", "Transfer-Encoding: \"chunked\""),
        smuggled("a comma in front", "Transfer-Encoding: ,chunked"),
        smuggled("a comma behind", "Transfer-Encoding: chunked,"),
        smuggled("empty", "Transfer-Encoding:"),
        smuggled("identity", "Transfer-Encoding: identity"),
        smuggled("a vertical tab, which some read over", "Transfer-Encoding: \u{B}chunked"),
        smuggled("a no-break space, which some trim", "Transfer-Encoding: \u{A0}chunked"),
        smuggled("NUL behind it, where some stop", "Transfer-Encoding: chunked\u{0}"),
        smuggled("a space before the colon", "Transfer-Encoding : chunked"),
        smuggled("folded onto the next line", "Transfer-Encoding:\r\n chunked"),
        smuggled("hidden behind a bare LF", "X: y\nTransfer-Encoding: chunked"),
        smuggled("hidden behind a bare CR", "X: y\rTransfer-Encoding: chunked"),
        .refused("a length over the limit of the route", post("Content-Length: 100001"), 413, "body_too_large", .closed),
        .refused("the largest length there can be", post("Content-Length: 999999999999999999"), 413, "body_too_large", .closed),
    ]

    /// A request whose body, read one way, hides another request: that one must never be answered.
    private static func smuggled(_ why: String, _ headers: String...) -> ConformanceRow {
        let head = "POST /echo HTTP/1.1\r\nHost: a\r\n" + headers.map { $0 + "\r\n" }.joined() + "\r\n"
        return .malformed(why, head + "0\r\n\r\n" + hello)
    }

    static let chunks: [ConformanceRow] = [
        .taken(
            "sizes in either case, with zeros in front", chunked("00a\r\n0123456789\r\nA\r\n0123456789\r\n0000\r\n\r\n"),
            "01234567890123456789"),
        .taken("extensions carry nothing for us", chunked("5;a;b=c;d=\"e f\"\r\nhello\r\n0;x\r\n\r\n"), "hello"),
        .taken("extensions up to their bound", chunked("5;" + String(repeating: "e", count: 4_096) + "\r\nhello\r\n0\r\n\r\n"), "hello"),
        .malformed("extensions over their bound", chunked("5;" + String(repeating: "e", count: 4_097) + "\r\nhello\r\n0\r\n\r\n")),
        .malformed("over it in all", chunked(String(repeating: "1;" + String(repeating: "e", count: 100) + "\r\na\r\n", count: 41))),
        .malformed("an extension with a bare LF (CVE-2025-22871 and its like)", chunked("5;x\nhello\r\n0\r\n\r\n")),
        .malformed("an extension with a bare CR", chunked("5;x\rhello\r\n0\r\n\r\n")),
        .taken("trailers are proved and dropped", chunked("5\r\nhello\r\n0\r\nX: y\r\nContent-Length: 99\r\n\r\n"), "hello"),
        .malformed("a folded trailer", chunked("0\r\nX: y\r\n z\r\n\r\n")),
        .malformed("a trailer without a colon", chunked("0\r\nX\r\n\r\n")),
        .malformed("a trailer with a space before its colon", chunked("0\r\nX : y\r\n\r\n")),
        .malformed("a trailer with a bare LF", chunked("0\r\nX: y\nZ: w\r\n\r\n")),
        .malformed("a trailer with NUL", chunked("0\r\nX: \u{0}\r\n\r\n")),
        .refused(
            "more trailers than headers may be", chunked("0\r\n" + String(repeating: "X: y\r\n", count: 101)), 431, "headers_too_large",
            .closed),
        .refused(
            "a trailer longer than headers may be", chunked("0\r\nX: " + String(repeating: "y", count: 16_400)), 431, "headers_too_large",
            .closed),
        .malformed("no size", chunked("\r\nhello\r\n")),
        .malformed("a size that is none", chunked("x\r\n")),
        .malformed("a negative size", chunked("-5\r\nhello\r\n")),
        .malformed("a size with a sign", chunked("+5\r\nhello\r\n")),
        .malformed("a size with 0x", chunked("0x5\r\nhello\r\n")),
        .malformed("a blank before the size", chunked(" 5\r\nhello\r\n")),
        .malformed("a blank behind the size", chunked("5 \r\nhello\r\n")),
        .malformed("a tab behind the size", chunked("5\t\r\nhello\r\n")),
        .malformed("an underscore in the size", chunked("1_0\r\n0123456789abcdef\r\n")),
        .malformed("a size that ends with LF alone", chunked("5\nhello\r\n")),
        .malformed("a size that ends with CR alone", chunked("5\rhello\r\n")),
        .malformed("a size beyond a chunk's bound", chunked("40000001\r\n")),
        .malformed("2^31", chunked("80000000\r\n")),
        .malformed("2^63", chunked("8000000000000000\r\n")),
        .malformed("2^64 - 1", chunked("FFFFFFFFFFFFFFFF\r\n")),
        .malformed("2^64 + 5 is 5 for some", chunked("10000000000000005\r\nhello\r\n0\r\n\r\n")),
        .malformed("endless zeros", chunked(String(repeating: "0", count: 200))),
        .malformed("more data than the size says", chunked("5\r\nhello!\r\n0\r\n\r\n")),
        .malformed("less data than the size says", chunked("7\r\nhello\r\n0\r\n\r\n")),
        .malformed("no CRLF behind the data", chunked("5\r\nhello0\r\n\r\n")),
        .malformed("LF alone behind the data", chunked("5\r\nhello\n0\r\n\r\n")),
        .malformed("no empty line at the end", chunked("5\r\nhello\r\n0\r\nGET /hello HTTP/1.1\r\nHost: a\r\n\r\n")),
        .malformed("CR CR at the end", chunked("0\r\n\r\r\n")),
    ]

    static let expectations: [ConformanceRow] = [
        .taken(
            "no invitation is needed when the body comes along", post("Expect: 100-continue", "Content-Length: 5", body: "hello"), "hello"),
        .taken("the word in any case", post("Expect: 100-Continue", "Content-Length: 5", body: "hello"), "hello"),
        .taken("without a body there is nothing to invite", "GET /hello HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n", "world"),
        .taken("HTTP/1.0 knows no expectations", "GET /hello HTTP/1.0\r\nConnection: keep-alive\r\nExpect: tea\r\n\r\n", "world"),
        .refused(
            "an expectation that nobody has", post("Expect: tea", "Content-Length: 5", body: "hello"), 417, "expectation_failed", .kept),
        .refused("a list of them", post("Expect: 100-continue, tea", "Content-Length: 5", body: "hello"), 417, "expectation_failed", .kept),
        .refused(
            "one of two that is not known", post("Expect: 100-continue", "Expect: tea", "Content-Length: 5", body: "hello"), 417,
            "expectation_failed", .kept),
        .refused(
            "not invited, the body may come or not", post("Expect: 100-continue", "Content-Length: 5", to: "/nowhere"), 404, "not_found",
            .closed),
        .refused(
            "refused by its length before it is sent", post("Expect: 100-continue", "Content-Length: 100001"), 413, "body_too_large",
            .closed),
        .refused(
            "a coding that is not known", post("Content-Encoding: br", "Content-Length: 5", body: "hello"), 415, "unsupported_media_type",
            .kept),
        .refused(
            "two codings", post("Content-Encoding: gzip, gzip", "Content-Length: 5", body: "hello"), 415, "unsupported_media_type", .kept),
        .refused(
            "two headers of codings", post("Content-Encoding: identity", "Content-Encoding: gzip", "Content-Length: 5", body: "hello"), 415,
            "unsupported_media_type", .kept),
        .taken("identity is no coding", post("Content-Encoding: identity", "Content-Length: 5", body: "hello"), "hello"),
        .refused("what is not gzip", post("Content-Encoding: gzip", "Content-Length: 5", body: "hello"), 400, "invalid_request", .kept),
        .refused(
            "gzip under its old name", post("Content-Encoding: x-gzip", "Content-Length: 5", body: "hello"), 400, "invalid_request", .kept),
    ]

    /// Answers in the order of the requests, whatever they are; the first that cannot be read ends the connection.
    static let pipelines: [ConformanceRow] = [
        ConformanceRow(
            "good and bad ones in turn",
            hello + post("Content-Length: 5", body: "first") + "GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n"
                + chunked("6\r\nsecond\r\n0\r\n\r\n")
                + "BREW /hello HTTP/1.1\r\nHost: a\r\n\r\n" + post("Expect: tea", "Content-Length: 3", body: "GET") + hello,
            [
                .ok("next"), .ok("first"), .problem(404, "not_found"), .ok("second"), .problem(405, "method_not_allowed"),
                .problem(417, "expectation_failed"), .ok("next"),
            ], .kept),
        ConformanceRow(
            "one in the middle that cannot be read is the last", hello + hello + "GET /hello HTTP/1.1\r\nHost : a\r\n\r\n" + hello + hello,
            [.ok("next"), .ok("next"), .problem(400, "malformed_http")], .closed),
        ConformanceRow(
            "one with two lengths in the middle", hello + post("Content-Length: 4", "Content-Length: 5", body: "hello") + hello,
            [.ok("next"), .problem(400, "malformed_http")], .closed),
        ConformanceRow(
            "a broken chunk in the middle", hello + chunked("5\r\nhello\r\nzz\r\n") + hello,
            [.ok("next"), .problem(400, "malformed_http")], .closed),
        ConformanceRow(
            "bodies that nobody reads are read over",
            post("Content-Length: 5", body: "hello", to: "/ignore") + hello
                + chunked("5\r\nhello\r\n0\r\nX: y\r\n\r\n", to: "/nowhere") + hello,
            [.empty, .ok("next"), .problem(404, "not_found"), .ok("next")], .kept),
        ConformanceRow(
            "a body too long to be read over closes", post("Content-Length: 70000", body: "hello", to: "/ignore") + hello, [.empty], .closed
        ),
        ConformanceRow(
            "HEAD between others has no body to be taken for an answer", hello + "HEAD /hello HTTP/1.1\r\nHost: a\r\n\r\n" + hello,
            [.ok("next"), .init(status: 200, code: nil, isToHead: true), .ok("next")], .kept),
        ConformanceRow(
            "empty lines between requests, one each", hello + "\r\n" + hello + "\r\n" + hello, [.ok("next"), .ok("next"), .ok("next")],
            .kept),
        ConformanceRow(
            "an empty line behind a body, as old browsers sent it", post("Content-Length: 5", body: "hello") + "\r\n" + hello,
            [.ok("hello"), .ok("next")], .kept),
        ConformanceRow(
            "streams one behind the other",
            chunked("3\r\nabc\r\n0\r\n\r\n", to: "/pipe") + chunked("3\r\ndef\r\n0\r\n\r\n", to: "/pipe") + hello,
            [.ok("abc"), .ok("def"), .ok("next")], .kept),
        ConformanceRow(
            "a flood of small ones", String(repeating: hello, count: 300), Array(repeating: .ok("next"), count: 300), .kept),
    ]
}
