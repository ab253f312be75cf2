import Foundation
import Testing
import ThemisBase
import ThemisNet
import ThemisTestKit

@Suite struct GzipTests {
    init() { LoopThread.start() }

    /// `gzip` of the machine: a compressor that is not ours. Through files: a pipe of a test process is inherited by every child that
    /// another test starts at the same moment, and has no end before those have ended too.
    private static func gzip(_ bytes: [UInt8], decompress: Bool = false) throws -> [UInt8] {
        let folder = URL(fileURLWithPath: NSTemporaryDirectory()).appendingPathComponent("themis-gzip-\(Digest.hex(Digest.random(8)))")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let (input, output) = (folder.appendingPathComponent("in"), folder.appendingPathComponent("out"))
        try Data(bytes).write(to: input)
        let process = try LaunchedProcess(
            "/usr/bin/env", ["gzip", decompress ? "-dcf" : "-c", input.path], logPath: output.path)
        guard try process.exitCode(within: 30) == 0 else { throw ClientFailure("gzip: \(process.log.prefix(200))") }
        return Array(try Data(contentsOf: output))
    }

    private static func post(_ path: String, _ body: [UInt8], coding: String = "gzip") -> [UInt8] {
        Array("POST \(path) HTTP/1.1\r\nHost: a\r\nContent-Encoding: \(coding)\r\nContent-Length: \(body.count)\r\n\r\n".utf8)
            + body
    }

    private static func exchange(_ bytes: [UInt8]) async throws -> Answer {
        try await NetLoop.run { try ServerFixture() }.exchange(bytes)
    }

    @Test func `a large text is compressed when that is accepted`() async throws {
        let answer = try await Self.exchange(Array(request("GET", "/big", "Accept-Encoding: br, gzip;q=0.5").utf8))
        #expect(answer.head.fields["content-encoding"] == "gzip")
        #expect(answer.head.fields["vary"] == "Accept-Encoding")
        #expect(answer.body.count < 1_000)
        #expect(try Self.gzip(answer.body, decompress: true) == [UInt8](repeating: 0x61, count: 10_000))
    }

    @Test(arguments: ["Accept-Encoding: br", "Accept-Encoding: gzip;q=0", "Accept-Encoding: *, gzip;q=0.0", "X: y"])
    func `a client that does not accept gzip gets none`(header: String) async throws {
        let answer = try await Self.exchange(Array(request("GET", "/big", header).utf8))
        #expect(answer.head.fields["content-encoding"] == nil)
        #expect(answer.body.count == 10_000)
    }

    @Test func `a small answer is not compressed`() async throws {
        let answer = try await Self.exchange(Array(request("GET", "/hello", "Accept-Encoding: gzip").utf8))
        #expect(answer.head.fields["content-encoding"] == nil)
    }

    @Test func `a compressed body is decompressed, also in several members`() async throws {
        let whole = try Self.gzip(Array("hello ".utf8)) + Self.gzip(Array("world".utf8))
        #expect(try await Self.exchange(Self.post("/echo", whole)).text == "hello world")
        #expect(try await Self.exchange(Self.post("/pipe", whole)).text == "hello world")
    }

    @Test func `a body that expands beyond the limit is 413`() async throws {
        let bomb = try Self.gzip([UInt8](repeating: 0, count: 6 << 20))
        #expect(bomb.count < 100_000)
        #expect(try await Self.exchange(Self.post("/echo", bomb)).status == 413)
    }

    @Test func `a bomb in a stream is cut off`() async throws {
        let bomb = try Self.gzip([UInt8](repeating: 0, count: 6 << 20))
        #expect(bomb.count > 5_000)
        let fixture = try await NetLoop.run { try ServerFixture() }
        let client = try await fixture.client()
        await client.send(Self.post("/pipe", bomb))
        try await client.waitForClose()
        let text = await NetLoop.run { String(decoding: client.events.bytes, as: UTF8.self) }
        // The answer had begun: it stops in the middle, and its last chunk never comes.
        #expect(text.hasPrefix("HTTP/1.1 200 OK\r\n"))
        #expect(text.contains("\r\nTransfer-Encoding: chunked\r\n"))
        #expect(!text.hasSuffix("\r\n0\r\n\r\n"))
        #expect(text.utf8.count < 4_096)
        await NetLoop.run { fixture.server.stop() }
    }

    @Test func `a damaged or cut gzip body is 400`() async throws {
        var damaged = try Self.gzip(Array(repeating: 7, count: 1_000))
        damaged[12] ^= 0xFF
        #expect(try await Self.exchange(Self.post("/echo", damaged)).status == 400)
        let cut = Array(try Self.gzip(Array(repeating: 7, count: 1_000)).dropLast(4))
        #expect(try await Self.exchange(Self.post("/echo", cut)).status == 400)
    }

    @Test func `an unknown coding is 415`() async throws {
        let answer = try await Self.exchange(Self.post("/echo", [1], coding: "br"))
        #expect(answer.status == 415)
        #expect(answer.head.fields["accept-encoding"] == "gzip")
    }
}

extension ServerFixture {
    /// Sends `bytes` on a new connection, waits for one answer and stops the server.
    func exchange(_ bytes: [UInt8]) async throws -> Answer {
        defer { server.stop() }
        let client = try await client()
        client.send(bytes)
        return try await client.answer()
    }
}
