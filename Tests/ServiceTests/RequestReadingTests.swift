import Testing
import ThemisBase
import ThemisRPC
import ThemisTestKit

@testable import ThemisGateway

/// How the gateway reads headers, lines and envelopes.
struct RequestReadingTests {
    private func code(_ body: () throws -> Void) -> ErrorCode? {
        do {
            try body()
            return nil
        } catch {
            return (error as? ThemisError)?.code
        }
    }

    @Test func `a strong ETag becomes the version that must be there`() throws {
        #expect(try OperationCondition.read(ifMatch: [#""17""#], ifNoneMatch: []) == .version(17))
        #expect(try OperationCondition.read(ifMatch: ["*"], ifNoneMatch: []) == .exists)
        #expect(try OperationCondition.read(ifMatch: [], ifNoneMatch: [" * "]) == .absent)
        #expect(try OperationCondition.read(ifMatch: [], ifNoneMatch: []) == .none)
        #expect(try OperationCondition.read(ifMatch: [#""18446744073709551615""#], ifNoneMatch: []) == .version(.max))
    }

    @Test func `weak and foreign ETags never satisfy If-Match`() {
        for tag in [#"W/"17""#, #""abc""#, #""""#, #""0""#, #""017""#, #""18446744073709551616""#, #"W/"1", W/"2""#] {
            #expect(code { _ = try OperationCondition.read(ifMatch: [tag], ifNoneMatch: []) } == .preconditionFailed, "\(tag)")
        }
    }

    @Test func `a weak ETag beside a strong one leaves the strong one`() throws {
        #expect(try OperationCondition.read(ifMatch: [#"W/"3", "4""#], ifNoneMatch: []) == .version(4))
        #expect(try OperationCondition.read(ifMatch: [#"W/"3""#, #""4""#], ifNoneMatch: []) == .version(4))
    }

    @Test func `conditions that are not supported are refused by name`() {
        let wrong: [([String], [String])] = [
            ([#""1", "2""#], []), ([], [#""1""#]), (["*"], ["*"]), (["17"], []), ([#""17"#], []), ([""], []), ([#""1" "2""#], []),
            (["W/17"], []),
        ]
        for (match, noneMatch) in wrong {
            #expect(
                code { _ = try OperationCondition.read(ifMatch: match, ifNoneMatch: noneMatch) } == .invalidRequest,
                "\(match) \(noneMatch)")
        }
    }

    @Test func `If-None-Match of a read compares weakly and takes lists`() throws {
        let tags = try #require(try EntityTagList.read([#"W/"5", "6""#], header: "If-None-Match"))
        #expect(tags.matchesWeakly(5))
        #expect(tags.matchesWeakly(6))
        #expect(!tags.matchesWeakly(7))
        #expect(try EntityTagList.read(["*"], header: "If-None-Match")?.matchesWeakly(1) == true)
    }

    @Test func `a body without a media type is taken as the first allowed one`() throws {
        #expect(try MediaType.ofBody(nil, allowed: [.json, .ndjson]) == .json)
        #expect(try MediaType.ofBody("Application/X-NDJSON; charset=UTF-8", allowed: [.json, .ndjson]) == .ndjson)
        #expect(try MediaType.ofBody(#"application/json;charset="utf-8""#, allowed: [.json]) == .json)
        #expect(code { _ = try MediaType.ofBody("text/plain", allowed: [.json]) } == .unsupportedMediaType)
        #expect(code { _ = try MediaType.ofBody("application/json; charset=latin1", allowed: [.json]) } == .unsupportedMediaType)
        #expect(code { _ = try MediaType.ofBody(";;;=", allowed: [.json]) } == .unsupportedMediaType)
    }

    @Test func `Accept chooses by weight and by the most specific range`() {
        let offered: [MediaType] = [.json, .ndjson]
        #expect(MediaType.preferred(nil, offered: offered) == .json)
        #expect(MediaType.preferred("*/*", offered: offered) == .json)
        #expect(MediaType.preferred("application/x-ndjson", offered: offered) == .ndjson)
        #expect(MediaType.preferred("application/json;q=0.5, application/x-ndjson", offered: offered) == .ndjson)
        #expect(MediaType.preferred("application/*;q=0.9, application/x-ndjson;q=0.1", offered: offered) == .json)
        #expect(MediaType.preferred("text/html", offered: offered) == .json)
        #expect(MediaType.preferred("application/x-ndjson;q=nonsense", offered: offered) == .json)
    }

    @Test func `fingerprints differ as soon as one part of the request differs`() {
        let base = IdempotencyKey.Request(
            method: "PUT", target: "/entities/a:1", ifMatch: [], ifNoneMatch: [], mediaType: "application/json", body: [1, 2])
        var others: [IdempotencyKey.Request] = Array(repeating: base, count: 6)
        others[0].method = "PATCH"
        others[1].target = "/entities/a:2"
        others[2].ifMatch = ["*"]
        others[3].ifNoneMatch = ["*"]
        others[4].mediaType = "application/merge-patch+json"
        others[5].body = [1, 3]
        let prints = Set((others + [base]).map(IdempotencyKey.fingerprint))
        #expect(prints.count == 7)
        #expect(IdempotencyKey.fingerprint(base) == IdempotencyKey.fingerprint(base))
    }

    @Test func `an idempotency key is 1 to 255 visible ASCII characters`() throws {
        let request = IdempotencyKey.Request(
            method: "PUT", target: "/", ifMatch: [], ifNoneMatch: [], mediaType: "", body: [])
        #expect(try IdempotencyKey([], of: request) == nil)
        #expect(try IdempotencyKey([String(repeating: "k", count: 255)], of: request)?.fingerprint.count == 32)
        for wrong in [[""], [String(repeating: "k", count: 256)], ["a b"], ["ä"], ["a", "a"]] {
            #expect(code { _ = try IdempotencyKey(wrong, of: request) } == .invalidRequest)
        }
    }
}

/// Lines of a bulk request as operations for the core.
struct BulkOperationTests {
    private func read(_ text: String) throws -> OperationMessage {
        let bytes = Array(text.utf8)
        return try OperationMessage.read(line: bytes, in: 0..<bytes.count).operation
    }

    @Test func `a put passes its document on byte for byte`() throws {
        let operation = try read(#" { "op" : "put", "document" : {"n": 1.50e+3, "s":"}\"" } , "key":"t:a:b/c" } "#)
        #expect(operation.kind == .put)
        #expect(operation.table == "t")
        #expect(operation.pk == "a:b/c")
        #expect(String(decoding: operation.body, as: UTF8.self) == #"{"n": 1.50e+3, "s":"}\"" }"#)
    }

    @Test func `the shape of a patch decides its kind`() throws {
        #expect(try read(#"{"op":"patch","key":"t:1","patch":{"a":null}}"#).kind == .mergePatch)
        #expect(try read(#"{"op":"patch","key":"t:1","patch":[{"op":"remove","path":"/a"}]}"#).kind == .jsonPatch)
        #expect(try read(#"{"op":"delete","key":"t:1"}"#).kind == .delete)
    }

    @Test func `conditions of a line`() throws {
        #expect(try read(#"{"op":"delete","key":"t:1","if_match":7}"#).condition == .version(7))
        #expect(try read(#"{"op":"delete","key":"t:1","if_match":"7"}"#).condition == .version(7))
        #expect(try read(#"{"op":"delete","key":"t:1","if_match":"\"7\""}"#).condition == .version(7))
        #expect(try read(#"{"op":"delete","key":"t:1","if_match":"*"}"#).condition == .exists)
        #expect(try read(#"{"op":"put","key":"t:1","document":{},"if_none_match":"*"}"#).condition == .absent)
        for wrong in ["0", "-1", "1.5", #""x""#, "18446744073709551616"] {
            let error = #expect(throws: ThemisError.self) { try read(#"{"op":"delete","key":"t:1","if_match":\#(wrong)}"#) }
            #expect(error?.code == .preconditionFailed, "\(wrong)")
        }
    }
}

/// Cutting a stream into lines.
struct LineSplitterTests {
    private func lines(_ chunks: [String], limit: Int = 10) -> [String] { lines(chunks.map { Array($0.utf8) }, limit: limit) }

    private func lines(_ chunks: [[UInt8]], limit: Int = 10) -> [String] {
        var splitter = LineSplitter(limit: limit)
        var found: [String] = []
        func drain() {
            while let line = splitter.next() {
                switch line {
                case .text(let number, let range):
                    found.append("\(number):" + String(decoding: splitter.bytes[range], as: UTF8.self))
                case .tooLong(let number): found.append("\(number):!")
                }
            }
        }
        for chunk in chunks {
            splitter.append(chunk)
            drain()
        }
        splitter.finish()
        drain()
        return found
    }

    @Test func `LF, CRLF and the end of the stream end a line`() {
        #expect(lines(["a\nb\r\nc"]) == ["1:a", "2:b", "3:c"])
        #expect(lines(["a\n"]) == ["1:a"])
        #expect(lines([String]()) == [])
    }

    @Test func `empty lines are skipped and counted`() {
        #expect(lines(["\n\r\na\n\nb"]) == ["3:a", "5:b"])
    }

    @Test func `a line may come in many pieces`() {
        #expect(lines(["a", "b", "c\nd", "\n", "e"]) == ["1:abc", "2:d", "3:e"])
    }

    @Test func `a line over the limit is told once and the next one is whole`() {
        #expect(lines(["12345678901", "2345", "678\nab\n"]) == ["1:!", "2:ab"])
        #expect(lines(["12345678901\nab"]) == ["1:!", "2:ab"])
        #expect(lines(["1234567890\r\nab"]) == ["1:1234567890", "2:ab"])
        #expect(lines(["1234567890\r", "\nab"]) == ["1:1234567890", "2:ab"])
        #expect(lines(["12345678901"]) == ["1:!"])
        #expect(lines(["123456789012345", "6"]) == ["1:!"])
    }

    @Test func `cutting the stream elsewhere changes nothing`() {
        var random = SeededRandom(seed: Seed.current())
        for _ in 0..<200 {
            let text = (0..<60).map { _ in ["a", "bc", "\n", "\r\n", "defghijklmnop"].randomElement(using: &random) ?? "" }
                .joined()
            let bytes = Array(text.utf8)
            var chunks: [[UInt8]] = []
            var rest = bytes[...]
            while !rest.isEmpty {
                let count = Int.random(in: 1...7, using: &random)
                chunks.append(Array(rest.prefix(count)))
                rest = rest.dropFirst(count)
            }
            #expect(lines(chunks) == lines([bytes]))
        }
    }
}
