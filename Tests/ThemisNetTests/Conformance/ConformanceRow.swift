import Foundation
import Testing
import ThemisBase
import ThemisNet
import ThemisTestKit

/// One row of the conformance tables: what is sent on a fresh connection, what must come back, and why.
struct ConformanceRow: Sendable, CustomTestStringConvertible {
    /// An answer, in the order of the requests.
    struct Wanted: Sendable {
        let status: Int
        /// The word of the problem document; nil for answers that are none.
        let code: String?
        /// Text that the body holds.
        var text = ""
        /// Headers that must be there, names in lower case; an empty value forbids the header.
        var headers: [String: String] = [:]
        /// The request was HEAD.
        var isToHead = false
    }

    /// What becomes of the connection.
    enum End: Sendable {
        /// Another request on it is answered.
        case kept
        /// The server closes it, after these answers and not one byte more.
        case closed
    }

    let why: String
    let sent: [UInt8]
    let wanted: [Wanted]
    let end: End

    init(_ why: String, _ sent: [UInt8], _ wanted: [Wanted], _ end: End) {
        self.why = why
        self.sent = sent
        self.wanted = wanted
        self.end = end
    }

    init(_ why: String, _ sent: String, _ wanted: [Wanted], _ end: End) { self.init(why, Array(sent.utf8), wanted, end) }

    /// Accepted: one 200 whose body holds `text`, and the connection stays.
    static func taken(_ why: String, _ sent: String, _ text: String = "", _ end: End = .kept) -> ConformanceRow {
        ConformanceRow(why, sent, [.ok(text)], end)
    }

    /// Refused as not HTTP, or not in one way: 400 and closed.
    static func malformed(_ why: String, _ sent: String) -> ConformanceRow {
        ConformanceRow(why, sent, [.problem(400, "malformed_http")], .closed)
    }

    /// Refused with `status`.
    static func refused(_ why: String, _ sent: String, _ status: Int, _ code: String, _ end: End) -> ConformanceRow {
        ConformanceRow(why, sent, [.problem(status, code)], end)
    }

    var testDescription: String { why }
}

extension ConformanceRow.Wanted {
    static func ok(_ text: String = "") -> Self { Self(status: 200, code: nil, text: text) }
    static func problem(_ status: Int, _ code: String, _ text: String = "") -> Self { Self(status: status, code: code, text: text) }
    static let empty = Self(status: 204, code: nil)
}

/// Plays rows against a real server on a real socket.
@NetLoop enum ConformanceRunner {
    /// Sends the row in `pieces` writes and compares.
    static func play(_ row: ConformanceRow, pieces: Int) async throws {
        let fixture = try ServerFixture()
        defer { fixture.server.stop() }
        let client = try await fixture.client()
        try await send(row.sent, pieces, client)
        var last: Answer?
        for (index, wanted) in row.wanted.enumerated() {
            let answer = try await client.answer(toHead: wanted.isToHead)
            compare(answer, wanted, "\(row.why): answer \(index + 1) in \(pieces) pieces")
            last = answer
        }
        switch row.end {
        case .closed:
            if let last { #expect(!last.head.keepsAlive, "\(row.why): the last answer says that the connection closes") }
            try await client.waitForClose()
            #expect(client.events.bytes.isEmpty, "\(row.why): nothing follows the last answer")
        case .kept:
            if let last { #expect(last.head.keepsAlive, "\(row.why): the connection stays") }
            let probe = try await client.request(request("GET", "/hello?name=probe"))
            #expect(probe.text == #"{"hello":"probe"}"#, "\(row.why): the next request is read from its first byte on")
        }
        #expect(fixture.logged.withLock { $0 } == [], "\(row.why): a stranger's bytes are nobody's alarm")
    }

    /// Every write is a turn of its own, so that the server sees the pieces apart.
    private static func send(_ bytes: [UInt8], _ pieces: Int, _ client: RawClient) async throws {
        let size = max(1, (bytes.count + pieces - 1) / pieces)
        for start in stride(from: 0, to: bytes.count, by: size) {
            client.send(Array(bytes[start..<min(start + size, bytes.count)]))
            if pieces > 1 { try await NetLoop.sleep(milliseconds: 1) }
        }
    }

    private static func compare(_ answer: Answer, _ wanted: ConformanceRow.Wanted, _ context: String) {
        #expect(answer.status == wanted.status, "\(context): \(answer.text)")
        #expect(wanted.text.isEmpty || answer.text.contains(wanted.text), "\(context): \(answer.text)")
        for (name, value) in wanted.headers {
            let found = answer.head.fields.all.filter { $0.name.lowercased() == name }.map(\.value)
            #expect(found == (value.isEmpty ? [] : [value]), "\(context): \(name)")
        }
        let date = answer.head.fields["date"] ?? ""
        #expect(
            date.wholeMatch(of: /(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d [A-Z][a-z][a-z] \d{4} \d\d:\d\d:\d\d GMT/) != nil, "\(context): Date")
        let requestID = answer.head.fields["x-request-id"] ?? ""
        #expect(!requestID.isEmpty, "\(context): X-Request-Id")
        guard let code = wanted.code, !wanted.isToHead else { return }
        checkProblem(answer, code, requestID, context)
    }

    /// RFC 9457 and our own members, all of them.
    private static func checkProblem(_ answer: Answer, _ code: String, _ requestID: String, _ context: String) {
        #expect(answer.head.fields["content-type"] == "application/problem+json; charset=utf-8", "\(context)")
        guard let problem = try? JSONSerialization.jsonObject(with: Data(answer.body)) as? [String: Any] else {
            Issue.record("\(context): not a problem document: \(answer.text)")
            return
        }
        #expect(problem["type"] as? String == "urn:themis:error:\(code)", "\(context)")
        #expect(problem["code"] as? String == code, "\(context)")
        #expect((problem["title"] as? String)?.isEmpty == false, "\(context)")
        #expect((problem["detail"] as? String)?.isEmpty == false, "\(context)")
        #expect(problem["status"] as? Int == answer.status, "\(context)")
        #expect(problem["request_id"] as? String == requestID, "\(context)")
        #expect(problem["retryable"] is Bool, "\(context)")
    }
}
