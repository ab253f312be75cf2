import Glibc
import ThemisBase

/// Writes the head of an answer straight into the output of its connection.
struct AnswerHead {
    let status: Int
    let contentType: String?
    /// The length of the body; nil when it is told in another way, or not at all.
    let contentLength: Int?
    let isChunked: Bool
    let isGzipped: Bool
    let varies: Bool
    let closes: Bool
    /// An HTTP/1.0 client must be told that the connection stays.
    let saysKeepAlive: Bool
    let request: RequestName
    let date: StaticDate
    let headers: [(name: String, value: String)]

    /// Room for a head without many headers of its own.
    private static let usualBytes = 384

    /// Appends the head, and makes room for `bodyBytes` behind it at once.
    func write(to out: inout ByteBuffer, reserving bodyBytes: Int = 0) {
        _ = unsafe out.writable(minimum: Self.usualBytes + bodyBytes)
        switch status {
        case 200: out.append(constant: "HTTP/1.1 200 OK")
        case 201: out.append(constant: "HTTP/1.1 201 Created")
        default: out.append(Self.statusLine(status))
        }
        out.append(date.header)
        if let contentType {
            out.append(constant: "\r\nContent-Type: ")
            out.append(contentType)
        }
        if let contentLength {
            out.append(constant: "\r\nContent-Length: ")
            out.append(decimal: contentLength)
        }
        if isChunked { out.append(constant: "\r\nTransfer-Encoding: chunked") }
        if isGzipped { out.append(constant: "\r\nContent-Encoding: gzip") }
        if varies { out.append(constant: "\r\nVary: Accept-Encoding") }
        if closes {
            out.append(constant: "\r\nConnection: close")
        } else if saysKeepAlive {
            out.append(constant: "\r\nConnection: keep-alive")
        }
        out.append(constant: "\r\nX-Request-Id: ")
        request.write(to: &out)
        for (name, value) in headers {
            out.append(constant: "\r\n")
            HeaderText.append(name, to: &out)
            out.append(constant: ": ")
            HeaderText.append(value, to: &out)
        }
        out.append(constant: "\r\n\r\n")
    }

    private static func statusLine(_ status: Int) -> String {
        if let known = lines[status] { return known }
        return "HTTP/1.1 \(status) Status"
    }

    private static let lines: [Int: String] = [
        100: "Continue", 200: "OK", 201: "Created", 202: "Accepted", 204: "No Content", 206: "Partial Content",
        301: "Moved Permanently",
        302: "Found", 304: "Not Modified", 307: "Temporary Redirect", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden",
        404: "Not Found", 405: "Method Not Allowed", 406: "Not Acceptable", 408: "Request Timeout", 409: "Conflict", 410: "Gone",
        412: "Precondition Failed", 413: "Content Too Large", 414: "URI Too Long", 415: "Unsupported Media Type",
        417: "Expectation Failed", 422: "Unprocessable Content", 429: "Too Many Requests", 431: "Request Header Fields Too Large",
        499: "Client Closed Request", 500: "Internal Server Error", 501: "Not Implemented", 503: "Service Unavailable",
        504: "Gateway Timeout", 507: "Insufficient Storage",
    ].reduce(into: [:]) { $0[$1.key] = "HTTP/1.1 \($1.key) \($1.value)" }
}

/// The id of a request. A made one is a number until somebody reads it: most are only sent.
enum RequestName: Sendable {
    case given(String)
    case made(UInt64)

    var text: String {
        switch self {
        case .given(let text): return text
        case .made(let number):
            return unsafe String(unsafeUninitializedCapacity: 16) { digits in
                for index in 0..<16 { unsafe digits[index] = Self.digit(number, index) }
                return 16
            }
        }
    }

    func write(to out: inout ByteBuffer) {
        switch self {
        case .given(let text): out.append(text)
        case .made(let number):
            let room = unsafe out.writable(minimum: 16)
            for index in 0..<16 { unsafe room[index] = Self.digit(number, index) }
            out.advance(16)
        }
    }

    /// One of the sixteen hexadecimal digits.
    private static func digit(_ number: UInt64, _ index: Int) -> UInt8 {
        let digit = UInt8(truncatingIfNeeded: number >> UInt64(60 - 4 * index)) & 15
        return digit < 10 ? 0x30 + digit : 0x57 + digit
    }
}

/// Names and values of headers that are sent. Pure; any thread.
public enum HeaderText {
    /// `number` between quotes, as an entity tag is written: without a detour over other texts.
    public static func quoted(_ number: UInt64) -> String {
        unsafe withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 22) { text in
            unsafe text[21] = 0x22
            var start = 21
            var rest = number
            repeat {
                start -= 1
                unsafe text[start] = 0x30 + UInt8(rest % 10)
                rest /= 10
            } while rest > 0
            start -= 1
            unsafe text[start] = 0x22
            return unsafe String(decoding: UnsafeBufferPointer(rebasing: text[start...]), as: UTF8.self)
        }
    }

    /// Appends `text`. It may come from stored data: nothing of it may end the header.
    static func append(_ text: String, to out: inout ByteBuffer) {
        let start = out.count
        out.append(text)
        out.blankControls(from: start)
    }
}

/// The date of the `Date` header (RFC 9110 §5.6.7), made once a second.
struct StaticDate {
    private var second: Int64 = .min
    /// The whole header with the line end before it.
    private(set) var header: [UInt8] = []

    /// The text for this wall clock.
    mutating func refresh(wallMilliseconds: Int64) {
        let now = wallMilliseconds / 1_000
        guard now != second else { return }
        second = now
        header = Array("\r\nDate: \(Self.text(ofSecond: now))".utf8)
    }

    /// `Sun, 06 Nov 1994 08:49:37 GMT`.
    static func text(ofSecond second: Int64) -> String {
        var time = time_t(second)
        var parts = unsafe tm()
        unsafe gmtime_r(&time, &parts)
        let days = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]
        let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
        func two(_ number: Int32) -> String { number < 10 ? "0\(number)" : "\(number)" }
        let (weekday, month, day, year) = unsafe (Int(parts.tm_wday), Int(parts.tm_mon), parts.tm_mday, parts.tm_year + 1_900)
        let (hour, minute, second) = unsafe (parts.tm_hour, parts.tm_min, parts.tm_sec)
        return "\(days[weekday]), \(two(day)) \(months[month]) \(year) \(two(hour)):\(two(minute)):\(two(second)) GMT"
    }
}
