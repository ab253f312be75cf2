import Testing
import ThemisBase

@testable import ThemisBench

/// What the load generator counts and reads must be right, or its figures are not.
@Suite struct BenchTests {
    @Test func `a percentile is off by less than a hundredth`() {
        var histogram = Histogram()
        for value in 1...100_000 as ClosedRange<UInt64> { histogram.record(value * 1_000) }
        for (quantile, exact) in [(0.5, 50_000.0), (0.99, 99_000), (0.999, 99_900), (1, 100_000)] {
            let found = histogram.microseconds(quantile)
            #expect(abs(found - exact) <= exact / 100, "\(quantile): \(found)")
        }
        #expect(histogram.count == 100_000)
    }

    @Test func `small latencies are counted exactly`() {
        var histogram = Histogram()
        for value in [0, 1, 127, 128, 255] as [UInt64] { histogram.record(value) }
        #expect(histogram.microseconds(0.2) == 0)
        #expect(histogram.microseconds(0.6) == 0.127)
        #expect(histogram.microseconds(1) == 0.255)
    }

    @Test func `chunks are put together wherever they are cut`() {
        let text = Array("6\r\nab\ncd\n\r\n2\r\nef\r\n3\r\ngh\n\r\n0\r\n\r\n".utf8)
        for size in 1...text.count {
            var reader = ChunkReader()
            var lines: [String] = []
            var waiting: [UInt8] = []
            for begin in stride(from: 0, to: text.count, by: size) {
                waiting += text[begin..<min(begin + size, text.count)]
                var used = 0
                unsafe waiting.withUnsafeBytes { bytes in
                    unsafe reader.read(bytes, &used) { piece in
                        var line = 0
                        while let end = unsafe piece[line...].firstIndex(of: 0x0A) {
                            lines.append(unsafe String(decoding: piece[line..<end], as: UTF8.self))
                            line = end + 1
                        }
                        return line
                    }
                }
                waiting.removeFirst(used)
            }
            #expect(lines == ["ab", "cd", "efgh"], "cut every \(size) bytes")
            #expect(reader.isAtEnd)
        }
    }

    @Test func `the head of an answer gives status and length`() {
        func read(_ text: String) -> [Int]? {
            unsafe Array(text.utf8).withUnsafeBytes { unsafe AnswerHead.read($0) }.map { [$0.status, $0.head, $0.body] }
        }
        #expect(read("HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\nbody") == [200, 39, 12])
        #expect(read("HTTP/1.1 503 Busy\r\nRetry-After: 1\r\ncontent-length:0\r\n\r\n") == [503, 55, 0])
        #expect(read("HTTP/1.1 200 OK\r\nContent-Le") == nil)
    }

    @Test func `a document has the size that was asked for and is valid`() throws {
        for bytes in [128, 200, 1_024] {
            let document = Documents(keys: 1, bytes: bytes).document(7)
            #expect(document.count == bytes)
            _ = try JSONValue(parsing: document)
        }
    }

    @Test func `text is found only within its bounds`() {
        let bytes = Array("aab needle needle".utf8)
        unsafe bytes.withUnsafeBytes { bytes in
            #expect(unsafe TextSearch.find("needle", in: bytes) == 4)
            #expect(unsafe TextSearch.find("needle", in: bytes, from: 5) == 11)
            #expect(unsafe TextSearch.find("needle", in: bytes, limit: 9) == nil)
            #expect(unsafe TextSearch.find("ab", in: bytes) == 1)
        }
    }

    @Test func `a flag that nobody asked for is refused`() throws {
        var flags = try Flags(["rpc", "--socket", "s", "--sise", "5"])
        #expect(try flags.text("socket") == "s")
        #expect(throws: ThemisError.self) { try flags.refuseTheRest() }
    }
}
