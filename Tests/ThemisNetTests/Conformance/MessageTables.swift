import ThemisBase

private func get(_ target: String = "/hello", _ headers: String...) -> String {
    "GET \(target) HTTP/1.1\r\nHost: a\r\n" + headers.map { $0 + "\r\n" }.joined() + "\r\n"
}

private func line(_ requestLine: String) -> String { requestLine + "\r\nHost: a\r\n\r\n" }

private func only(_ lines: String...) -> String { only(lines) }

private func only(_ lines: [String]) -> String { "GET /hello HTTP/1.1\r\n" + lines.map { $0 + "\r\n" }.joined() + "\r\n" }

/// Requests without bodies: request line, target, headers, connection (RFC 9110, RFC 9112 §2–§5 and §9, RFC 3986).
enum MessageTables {
    static let requestLines: [ConformanceRow] = [
        .taken("a plain request", get(), "world"),
        .taken("one empty line before a request is forgiven (RFC 9112 §2.2)", "\r\n" + get(), "world"),
        .malformed("a second one is not: it is no beginning of a request", "\r\n\r\n" + get()),
        .malformed("LF alone ends no line here, though RFC 9112 §2.2 would allow it: proxies differ", "GET /hello HTTP/1.1\nHost: a\n\n"),
        .malformed("CR alone ends no line", "GET /hello HTTP/1.1\rHost: a\r\n\r\n"),
        .malformed("two spaces: a lenient proxy and a strict one see different targets", line("GET  /hello HTTP/1.1")),
        .malformed("a tab is no separator", line("GET\t/hello HTTP/1.1")),
        .malformed("a space before the method", line(" GET /hello HTTP/1.1")),
        .malformed("a space behind the version", line("GET /hello HTTP/1.1 ")),
        .malformed("a space within the target", line("GET /hel lo HTTP/1.1")),
        .malformed("no target", line("GET HTTP/1.1")),
        .malformed("HTTP/0.9 has no version; a whole head follows", "GET /hello\r\n\r\n"),
        .malformed("the preface of HTTP/2 with prior knowledge", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        .malformed("a version that does not exist", line("GET /hello HTTP/1.2")),
        .malformed("a version that this port does not speak", line("GET /hello HTTP/3.0")),
        .malformed("versions are case-sensitive", line("GET /hello http/1.1")),
        .malformed("two versions", line("GET /hello HTTP/1.1 HTTP/1.1")),
        .malformed("digits that no version has", line("GET /hello HTTP/1.10")),
        .malformed("the first bytes of TLS", "\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}\u{0}\u{1}\u{FC}"),
        .malformed("NUL in the request line", line("GET /\u{0} HTTP/1.1")),
        .malformed("DEL in the request line", line("GET /\u{7F} HTTP/1.1")),
        .malformed("UTF-8 that is not percent-encoded", line("GET /h\u{E9}llo HTTP/1.1")),
        ConformanceRow(
            "bytes that are no text at all", Array("GET /".utf8) + [0xFF, 0xFE] + Array(" HTTP/1.1\r\nHost: a\r\n\r\n".utf8),
            [.problem(400, "malformed_http")], .closed),
        .malformed("a method that is no token", line("GE(T /hello HTTP/1.1")),
        .malformed("a method beyond every bound", line(String(repeating: "M", count: 33) + " /hello HTTP/1.1")),
        .malformed("a long line without a space is no request", String(repeating: "M", count: 9_000)),
        .refused(
            "a request line of more than 8 KiB", line("GET /entities/" + String(repeating: "a", count: 8_200) + " HTTP/1.1"), 414,
            "uri_too_long", .closed),
        .taken(
            "a request line of exactly 8 KiB", line("GET /entities/" + String(repeating: "a", count: 8_192 - 23) + " HTTP/1.1"), "aaa"),
        .refused(
            "and one byte more", line("GET /entities/" + String(repeating: "a", count: 8_192 - 22) + " HTTP/1.1"), 414, "uri_too_long",
            .closed),
    ]

    static let targets: [ConformanceRow] = [
        .taken("absolute form, as to a proxy (RFC 9112 §3.2.2)", get("http://a/hello?name=x"), "x"),
        .taken("schemes are case-insensitive", get("HTTP://a/hello"), "world"),
        .taken("https to us through something that ended TLS", get("https://a:443/hello"), "world"),
        .taken("the target's host wins over the Host header", get("http://elsewhere/hello"), "world"),
        .refused("absolute form without a path is the root", get("http://a"), 404, "not_found", .kept),
        .refused("also with a query", get("http://a?name=x"), 404, "not_found", .kept),
        .malformed("absolute form without a host", get("http:///hello")),
        .malformed("user information is no part of http addresses", get("http://me:secret@a/hello")),
        .malformed("another scheme", get("ftp://a/hello")),
        .malformed("a path that does not begin with a slash", get("hello")),
        .malformed("a fragment never leaves a client", get("/hello#top")),
        .malformed("a fragment in a query", get("/hello?name=x#top")),
        .malformed("authority form: this is no proxy", "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n"),
        .malformed("authority form with another method", get("a:443")),
        ConformanceRow("asterisk form asks about the server as a whole", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", [.empty], .kept),
        ConformanceRow("and so does absolute form without a path", "OPTIONS http://a HTTP/1.1\r\nHost: a\r\n\r\n", [.empty], .kept),
        .malformed("asterisk form is for OPTIONS alone", get("*")),
        .refused("the root has no resource", get("/"), 404, "not_found", .kept),
        .refused("a slash at the end is another path", get("/hello/"), 404, "not_found", .kept),
        .refused("an empty segment is another path", get("//hello"), 404, "not_found", .kept),
        .taken("an empty query is none", get("/hello?"), "world"),
        .taken("empty pairs are none", get("/hello?&name=x&&"), "x"),
        .taken("a plus is a plus: only HTML forms mean a space", get("/hello?name=a+b"), "a+b"),
        .taken("letters may be escaped, in either case", get("/%68ell%6F?n%61me=%7e"), "~"),
        .refused("an escaped slash parts no segments", get("/%2Fhello"), 404, "not_found", .kept),
        .refused("nor does it join them", get("/entities%2Ft:1"), 404, "not_found", .kept),
        .taken("in a key it is a slash", get("/entities/t:a%2fb"), "t:a/b"),
        .taken("dots are data and climb nowhere", get("/entities/t:1/../../hello"), "t:1/../../hello"),
        .taken("escaped dots neither", get("/entities/t:%2e%2e%2F%2e%2e"), "t:../.."),
        .refused("dots as a segment", get("/%2e%2e/hello"), 404, "not_found", .kept),
        .taken("escapes are undone once", get("/entities/t:%252e%252F"), "t:%2e%2F"),
        .refused("half an escape", get("/entities/t:%2"), 400, "invalid_request", .kept),
        .refused("an escape without digits", get("/entities/t:%zz"), 400, "invalid_request", .kept),
        .refused("an escape of IIS", get("/entities/t:%u0041"), 400, "invalid_request", .kept),
        .refused("NUL in a path", get("/entities/t:%00"), 400, "invalid_request", .kept),
        .refused("a byte that is no UTF-8", get("/entities/t:%FF"), 400, "invalid_request", .kept),
        .refused("UTF-8 longer than needed is a way around filters", get("/entities/t:%C0%AF"), 400, "invalid_request", .kept),
        .refused("half a surrogate pair", get("/entities/t:%ED%A0%80"), 400, "invalid_request", .kept),
        .refused("a broken escape in a query", get("/hello?name=%"), 400, "invalid_request", .kept),
        .refused("a byte that is no UTF-8 in a query", get("/hello?name=%fe"), 400, "invalid_request", .kept),
        .refused("a broken escape in a name", get("/hello?na%me=x"), 400, "invalid_request", .kept),
        .refused("a parameter given twice", get("/hello?name=a&name=b"), 400, "invalid_request", .kept),
        .refused("twice under different spellings", get("/hello?name=a&n%61me=b"), 400, "invalid_request", .kept),
        ConformanceRow(
            "an unknown parameter is named", get("/hello?nmae=x"), [.problem(400, "unknown_parameter", #""field":"nmae""#)], .kept),
        .refused(
            "more parameters than anyone has", get("/hello?" + String(repeating: "a&", count: 65)), 400, "invalid_request", .kept),
    ]

    static let methods: [ConformanceRow] = [
        ConformanceRow(
            "HEAD is GET without the body", "HEAD /hello HTTP/1.1\r\nHost: a\r\n\r\n",
            [.init(status: 200, code: nil, headers: ["content-length": "17"], isToHead: true)], .kept),
        ConformanceRow(
            "of an error too", "HEAD /nowhere HTTP/1.1\r\nHost: a\r\n\r\n", [.init(status: 404, code: "not_found", isToHead: true)], .kept),
        ConformanceRow(
            "HEAD of what is compressed for GET", "HEAD /big HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n",
            [.init(status: 200, code: nil, headers: ["content-encoding": "gzip", "vary": "Accept-Encoding"], isToHead: true)], .kept),
        refused(405, "a method that the path has not", "POST /hello", allow: "GET, HEAD, OPTIONS"),
        refused(405, "a method that nobody has", "BREW /hello", allow: "GET, HEAD, OPTIONS"),
        refused(405, "TRACE would echo what a script may not read", "TRACE /hello", allow: "GET, HEAD, OPTIONS"),
        refused(405, "CONNECT to a path is a method like any other", "CONNECT /hello", allow: "GET, HEAD, OPTIONS"),
        refused(405, "methods are case-sensitive", "get /hello", allow: "GET, HEAD, OPTIONS"),
        refused(405, "HEAD where there is no GET", "HEAD /echo", allow: "POST, OPTIONS"),
        .refused("an unknown method on an unknown path", "BREW /pot HTTP/1.1\r\nHost: a\r\n\r\n", 404, "not_found", .kept),
        ConformanceRow(
            "OPTIONS tells the methods", "OPTIONS /entities/t:1 HTTP/1.1\r\nHost: a\r\n\r\n",
            [.init(status: 204, code: nil, headers: ["allow": "GET, DELETE, HEAD, OPTIONS", "content-length": ""])], .kept),
        .refused("OPTIONS of nothing", "OPTIONS /nowhere HTTP/1.1\r\nHost: a\r\n\r\n", 404, "not_found", .kept),
    ]

    private static func refused(_ status: Int, _ why: String, _ start: String, allow: String) -> ConformanceRow {
        let wanted = ConformanceRow.Wanted(
            status: status, code: "method_not_allowed", headers: ["allow": allow], isToHead: start.hasPrefix("HEAD"))
        return ConformanceRow(why, start + " HTTP/1.1\r\nHost: a\r\n\r\n", [wanted], .kept)
    }

    static let headerFields: [ConformanceRow] = [
        .taken("names in any case, values with blanks around them", only("hOsT: \t a \t"), "world"),
        .taken("an empty Host is for targets without one", only("Host:"), "world"),
        .taken("a literal address with a port", only("Host: [::1]:8765"), "world"),
        .taken("bytes of other encodings in a value are opaque", get("/hello", "X: \u{FC}"), "world"),
        .malformed("no Host", only("X: y")),
        .malformed("two Hosts, though alike", only("Host: a", "Host: a")),
        .malformed("a list of Hosts", only("Host: a, b")),
        .malformed("a path in Host", only("Host: a/b")),
        .malformed("user information in Host", only("Host: me@a")),
        .malformed("a space before the colon hides a header from some", only("Host : a")),
        .malformed("a tab before the colon", only("Host\t: a")),
        .malformed("a folded line (obs-fold) is read in two ways", get("/hello", "X: a\r\n b")),
        .malformed("folded with a tab", get("/hello", "X: a\r\n\tb")),
        .malformed("a first line that looks folded", "GET /hello HTTP/1.1\r\n Host: a\r\n\r\n"),
        .malformed("a line without a colon", get("/hello", "X")),
        .malformed("a header without a name", get("/hello", ": x")),
        .malformed("a name that is no token", get("/hello", "X[]: y")),
        .malformed("UTF-8 in a name", get("/hello", "X\u{FC}: y")),
        .malformed("NUL in a name", get("/hello", "X\u{0}: y")),
        .malformed("NUL in a value", get("/hello", "X: y\u{0}z")),
        .malformed("another control byte in a value", get("/hello", "X: y\u{1B}z")),
        .malformed("a bare LF in a value smuggles a header", get("/hello", "X: y\nContent-Length: 5")),
        .malformed("a bare CR in a value", get("/hello", "X: y\rContent-Length: 5")),
        .malformed("a bare LF at the end of the head", "GET /hello HTTP/1.1\r\nHost: a\r\n\n"),
        .malformed("CR CR LF", "GET /hello HTTP/1.1\r\nHost: a\r\r\n\r\n"),
        .taken("100 headers", only(["Host: a"] + (1...99).map { "X-\($0): y" }), "world"),
        .refused("101 headers", only(["Host: a"] + (1...100).map { "X-\($0): y" }), 431, "headers_too_large", .closed),
        .taken("16 KiB of headers", only(["Host: a", "X: " + String(repeating: "y", count: 16_384 - 9 - 7)]), "world"),
        .refused(
            "and more", only(["Host: a", "X: " + String(repeating: "y", count: 16_384 - 9 - 5)]), 431, "headers_too_large", .closed),
        .refused(
            "a header that never ends", "GET /hello HTTP/1.1\r\nX: " + String(repeating: "y", count: 20_000), 431, "headers_too_large",
            .closed),
        .refused(
            "a name that never ends", "GET /hello HTTP/1.1\r\n" + String(repeating: "y", count: 20_000), 431, "headers_too_large", .closed),
        .taken(
            "an upgrade to HTTP/2 is not taken",
            get("/hello", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk"), "world"),
        .taken("nor one to WebSocket", get("/hello", "Connection: Upgrade", "Upgrade: websocket"), "world"),
        ConformanceRow(
            "a request id of 128 visible characters is kept", get("/hello", "X-Request-Id: " + String(repeating: "~", count: 128)),
            [.init(status: 200, code: nil, headers: ["x-request-id": String(repeating: "~", count: 128)])], .kept),
        .refused("one character more", get("/hello", "X-Request-Id: " + String(repeating: "~", count: 129)), 400, "invalid_request", .kept),
        .refused("an empty request id", get("/hello", "X-Request-Id:"), 400, "invalid_request", .kept),
        .refused("a request id with a space", get("/hello", "X-Request-Id: a b"), 400, "invalid_request", .kept),
        .refused("a request id that is not ASCII", get("/hello", "X-Request-Id: \u{FC}"), 400, "invalid_request", .kept),
        .refused("two request ids", get("/hello", "X-Request-Id: a", "X-Request-Id: b"), 400, "invalid_request", .kept),
    ]

    static let connections: [ConformanceRow] = [
        .taken("HTTP/1.1 stays", get(), "world"),
        .taken("unless it is told to close", get("/hello", "Connection: close"), "world", .closed),
        .taken("in any case, in a list", get("/hello", "Connection: x, CLOSE"), "world", .closed),
        .taken("also in a second header", get("/hello", "Connection: keep-alive", "Connection: close"), "world", .closed),
        .taken("a word that only begins like it is another", get("/hello", "Connection: closer"), "world"),
        ConformanceRow(
            "what follows a last request is not read", get("/hello?name=1", "Connection: close") + get("/hello?name=2"), [.ok("1")], .closed
        ),
        .taken("HTTP/1.0 closes", "GET /hello HTTP/1.0\r\n\r\n", "world", .closed),
        .taken("and needs no Host", "GET /hello HTTP/1.0\r\nConnection: x\r\n\r\n", "world", .closed),
        ConformanceRow(
            "unless it asks to stay, and then it is told", "GET /hello HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n",
            [.init(status: 200, code: nil, text: "world", headers: ["connection": "keep-alive"])], .kept),
        .taken("close wins over keep-alive", "GET /hello HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", "world", .closed),
        ConformanceRow(
            "HTTP/1.0 knows no chunks: the end of a stream is the closing",
            "POST /pipe HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 3\r\n\r\nabc",
            [.init(status: 200, code: nil, text: "abc", headers: ["transfer-encoding": "", "content-length": ""])], .closed),
        .malformed("Transfer-Encoding came with HTTP/1.1", "POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ]
}
