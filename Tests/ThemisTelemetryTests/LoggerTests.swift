import Foundation
import Synchronization
import Testing
import ThemisBase
import ThemisTestKit

@testable import ThemisTelemetry

/// Collects lines.
private final class Lines: Sendable {
    private let lines = Mutex<[[UInt8]]>([])
    var texts: [String] { lines.withLock { $0.map { String(decoding: $0, as: UTF8.self) } } }
    var bytes: [[UInt8]] { lines.withLock { $0 } }
    func add(_ line: [UInt8]) { lines.withLock { $0.append(line) } }
}

@Suite struct LoggerTests {
    private let lines = Lines()
    private let time = ManualTime()

    private func makeLogger(_ format: LogFormat = .text, metrics: MetricRegistry? = nil) -> Logger {
        let lines = lines
        return Logger(role: "core", level: .debug, format: format, time: time) { lines.add($0) }
    }

    @Test func `a text line has time, level, role, message and metadata`() {
        makeLogger().info("entity written", [(.table, "users"), (.detail, "two words"), (.error, "")])
        #expect(
            lines.texts == ["2023-11-14T22:13:20.000Z INFO core entity written table=users detail=\"two words\" error=\"\"\n"])
    }

    @Test func `a JSON line is one object`() {
        makeLogger(.json).error("disk full", [(.limit, "1\n2"), (.role, "gateway")])
        #expect(
            lines.texts == [
                #"{"time":"2023-11-14T22:13:20.000Z","level":"error","role":"core","message":"disk full","#
                    + #""limit":"1\n2","peer_role":"gateway"}"#
                    + "\n"
            ])
    }

    @Test func `a level below the threshold is not written`() {
        let logger = makeLogger()
        logger.configure(level: .error, format: .text)
        logger.warning("nothing")
        #expect(lines.texts.isEmpty)
        #expect(!logger.isEnabled(.warn))
    }

    @Test func `ten lines a second of one text, then their number once the second is over`() {
        let logger = makeLogger()
        for _ in 0..<25 { logger.warning("flood") }
        #expect(lines.texts.count == 10)
        time.advance(milliseconds: 1_000)
        logger.info("something else")
        #expect(lines.texts.count == 12)
        #expect(lines.texts[10].hasSuffix("WARN core flood suppressed=15\n"))
    }

    @Test func `a flood that has stopped is told by flush`() {
        let logger = makeLogger()
        for _ in 0..<11 { logger.warning("flood") }
        logger.flush()
        #expect(lines.texts.count == 10)
        time.advance(milliseconds: 1_000)
        logger.flush()
        logger.flush()
        #expect(lines.texts.count == 11)
        #expect(lines.texts[10].hasSuffix("flood suppressed=1\n"))
    }

    @Test func `different texts beyond the bound share one window`() {
        let logger = makeLogger()
        for number in 0..<(Limits.logWindows + 50) { logger.info("text \(number)") }
        #expect(lines.texts.count == Limits.logWindows + 10)
    }

    @Test func `suppressed records are counted`() {
        let metrics = MetricRegistry()
        let logger = Logger(role: "core", time: time, output: DescriptorOutput(descriptor: -1), metrics: metrics)
        for _ in 0..<12 { logger.info("flood") }
        #expect(metrics.counter(.logSuppressed).value == 2)
        #expect(metrics.counter(.logDropped).value == 10)
    }

    @Test func `a JSON line is valid and short whatever is logged`() throws {
        var random = SeededRandom(seed: Seed.current())
        let logger = makeLogger(.json)
        for round in 0..<400 {
            time.advance(milliseconds: 1_000)
            let bytes = (0..<Int.random(in: 0...(round % 20 == 0 ? 30_000 : 200), using: &random)).map { _ in
                UInt8.random(in: .min ... .max, using: &random)
            }
            let control = String(repeating: "\u{1}\"\\\u{7F}é", count: Int.random(in: 0...3_000, using: &random))
            logger.info(
                "message",
                [(.detail, String(decoding: bytes, as: UTF8.self)), (.error, control), (.detail, "again"), (.value, control)])
        }
        #expect(lines.bytes.count == 400)
        for line in lines.bytes {
            #expect(line.count <= Limits.logLineBytes)
            #expect(line.filter { $0 == 0x0A }.count == 1)
            let object = try #require(try JSONSerialization.jsonObject(with: Data(line)) as? [String: Any])
            #expect(object["level"] as? String == "info")
        }
    }

    @Test func `a text line stays one line and short`() {
        let logger = makeLogger()
        logger.info(
            "a\nb", [(.detail, String(repeating: "x", count: 100_000)), (.error, String(repeating: "\n", count: 100_000))])
        #expect(lines.bytes[0].count <= Limits.logLineBytes)
        #expect(lines.bytes[0].filter { $0 == 0x0A }.count == 1)
    }
}

@Suite struct LogOutputTests {
    @Test func `a full pipe drops lines and never waits`() throws {
        var ends: [Int32] = [0, 0]
        try #require(unsafe pipe(&ends) == 0)
        defer {
            close(ends[0])
            close(ends[1])
        }
        let output = DescriptorOutput(descriptor: ends[1])
        let line = [UInt8](repeating: 0x61, count: 9_999) + [0x0A]
        var taken = 0
        while output.write(line) { taken += 1 }
        #expect(taken >= 6)
        // The reader comes back: what was taken in part is completed, so that every line is whole.
        let flags = fcntl(ends[0], F_GETFL)
        _ = fcntl(ends[0], F_SETFL, flags | O_NONBLOCK)
        var received: [UInt8] = []
        func drain() {
            var buffer = [UInt8](repeating: 0, count: 65_536)
            while true {
                let count = unsafe read(ends[0], &buffer, buffer.count)
                guard count > 0 else { return }
                received += buffer[..<count]
            }
        }
        drain()
        #expect(output.write(Array("last\n".utf8)))
        drain()
        let lines = received.split(separator: 0x0A)
        #expect(lines.count == taken + 1)
        #expect(lines.dropLast().allSatisfy { $0.count == 9_999 })
        // The descriptor that others share was not made non-blocking.
        #expect(fcntl(ends[1], F_GETFL) & O_NONBLOCK == 0)
    }

    @Test func `a full socket drops lines and never waits`() throws {
        var ends: [Int32] = [0, 0]
        try #require(unsafe socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &ends) == 0)
        defer {
            close(ends[0])
            close(ends[1])
        }
        let output = DescriptorOutput(descriptor: ends[1])
        var taken = 0
        while output.write(Array("a line of text\n".utf8)), taken < 1_000_000 { taken += 1 }
        #expect(taken > 0 && taken < 1_000_000)
    }

    @Test func `a file is rotated by size and keeps at most so many`() throws {
        let directory = FileManager.default.temporaryDirectory.appending(path: "themis-log-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let path = directory + "/core.log"
        // Two writers of one file, as two processes of one set are.
        let first = try FileOutput(path: path, maximumBytes: 1, maximumFiles: 3)
        let second = try FileOutput(path: path, maximumBytes: 1, maximumFiles: 3)
        let line = Array((String(repeating: "x", count: 99) + "\n").utf8)
        for number in 0..<1_000 {
            let output = number.isMultiple(of: 2) ? first : second
            #expect(output.write(line))
        }
        let names = try FileManager.default.contentsOfDirectory(atPath: directory).sorted()
        #expect(names == ["core.log", "core.log.1", "core.log.2"])
        for name in names {
            let content = try Data(contentsOf: URL(filePath: directory + "/" + name))
            #expect(content.count <= Limits.logLineBytes)
            #expect(content.count % 100 == 0)
        }
    }

    @Test func `a log file that was renamed is opened anew`() throws {
        let directory = FileManager.default.temporaryDirectory.appending(path: "themis-log-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let output = try FileOutput(path: directory + "/a", maximumBytes: 1 << 20, maximumFiles: 3)
        #expect(output.write(Array("one\n".utf8)))
        try FileManager.default.moveItem(atPath: directory + "/a", toPath: directory + "/b")
        output.reopen()
        #expect(output.write(Array("two\n".utf8)))
        #expect(try String(contentsOfFile: directory + "/a", encoding: .utf8) == "two\n")
        #expect(throws: ThemisError.self) { try FileOutput(path: directory + "/no/such", maximumBytes: 1, maximumFiles: 1) }
    }
}
