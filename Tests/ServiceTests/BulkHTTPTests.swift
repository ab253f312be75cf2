import Foundation
import Testing
import ThemisBase
import ThemisNet
import ThemisRPC
import ThemisTestKit

/// Bulk requests over HTTP, against a fake core.
@Suite(.serialized) struct BulkHTTPTests {
    private func lines(_ answer: TestAnswer) -> [[String: Any]] {
        answer.text.split(separator: "\n").map {
            (try? JSONSerialization.jsonObject(with: Data($0.utf8))) as? [String: Any] ?? [:]
        }
    }

    @Test func `every line has its result, in order, and a broken one does not end the stream`() async throws {
        try await GatewayFixture.with { _, client in
            let body = """
                {"op":"put","key":"t:1","document":{"a":1}}
                {"op":"put","key":"t:1","document":{"a":2}}

                {"op":"put","key":
                {"op":"delete","key":"t:1"}
                {"op":"delete","key":"t:1","if_match":"*"}
                {"op":"put","key":"t:2","document":{"bad":nope}}
                {"op":"put","key":"t:2","document":{},"extra":1,"more":2}
                {"op":"put","key":"t:2","document":{}}
                """
            let answer = try client.post("/entities", body, type: "application/x-ndjson")
            #expect(answer.status == 200)
            #expect(answer["content-type"]?.hasPrefix("application/x-ndjson") == true)
            let results = lines(answer)
            #expect(results.map { $0["line"] as? Int } == [1, 2, 4, 5, 6, 7, 8, 9])
            #expect(results.map { $0["status"] as? Int } == [201, 200, 400, 200, 412, 400, 400, 201])
            #expect(results[0]["sequence"] as? Int == 1)
            #expect(results[2]["code"] as? String == "invalid_json")
            // The offset counts from the beginning of the line.
            #expect((results[2]["detail"] as? String)?.contains("at byte 18:") == true)
            #expect(results[3]["deleted"] as? Bool == true)
            #expect((results[6]["errors"] as? [[String: Any]])?.compactMap { $0["field"] as? String } == ["extra", "more"])
        }
    }

    @Test func `many lines in random pieces keep their order`() async throws {
        try await GatewayFixture.with { fixture, client in
            let count = 20_000
            var body = ""
            for index in 1...count {
                body += index % 97 == 0 ? "broken\n" : "{\"op\":\"put\",\"key\":\"t:\(index)\",\"document\":{\"n\":\(index)}}\n"
            }
            let answer = try client.post("/entities", body, type: "application/x-ndjson")
            let found = answer.text.split(separator: "\n")
            #expect(found.count == count)
            let isInOrder = found.enumerated().allSatisfy { index, line in
                line.hasPrefix("{\"line\":\(index + 1),\"status\":\((index + 1) % 97 == 0 ? 400 : 201)")
            }
            #expect(isInOrder)
            #expect(await fixture.core.entities.count == count - count / 97)
        }
    }

    @Test func `results come while the request still runs`() async throws {
        try await GatewayFixture.with { fixture, _ in
            let socket = try ClientSocket(port: await fixture.port)
            try socket.send(
                "POST /entities HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n")
            for index in 1...3 {
                let line = "{\"op\":\"put\",\"key\":\"t:\(index)\",\"document\":{}}\n"
                try socket.send(String(line.utf8.count, radix: 16) + "\r\n" + line + "\r\n")
                if index == 1 {
                    #expect(try socket.receiveLine()?.hasPrefix("HTTP/1.1 200") == true)
                    while let field = try socket.receiveLine(), !field.isEmpty {}
                }
                _ = try socket.receiveLine()
                #expect(try socket.receiveLine()?.contains("\"line\":\(index),") == true)
                _ = try socket.receiveLine()
            }
            try socket.send("0\r\n\r\n")
            #expect(try socket.receiveLine() == "0")
            socket.shut()
        }
    }

    @Test func `a client that goes away ends the stream to the core`() async throws {
        try await GatewayFixture.with { fixture, _ in
            let socket = try ClientSocket(port: await fixture.port)
            try socket.send(
                "POST /entities HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n")
            try socket.send("5\r\n{\"op\"\r\n")
            await fixture.core.wait { fixture.core.received.contains { $0.method == .writeStream } }
            socket.reset()
            await fixture.core.wait { fixture.core.cancelledStreams == 1 }
            #expect(await fixture.core.entities.isEmpty)
        }
    }

    @Test func `a client that does not read its results holds the input back`() async throws {
        try await GatewayFixture.with { fixture, _ in
            let socket = try ClientSocket(port: await fixture.port, receiveBufferBytes: 4_096)
            let sent = Thread.sendingBulk(socket, lines: 60_000)
            // The core gets no more once every buffer on the way is full; the sender cannot be done by then.
            await fixture.core.wait { fixture.core.entities.count > 1_000 }
            let last = await Self.settled(fixture.core)
            #expect(last < 60_000)
            #expect(!sent.isDone)
            // A thread inside `send` keeps the socket open: it must come out first.
            socket.finishSending()
            while !sent.hasEnded { try await Task.sleep(for: .milliseconds(5)) }
            socket.reset()
            await fixture.core.wait { fixture.core.cancelledStreams == 1 }
        }
    }

    /// The number of entities once it has stopped to grow for a while.
    @NetLoop private static func settled(_ core: FakeCore) async -> Int {
        var last = -1
        while last != core.entities.count {
            last = core.entities.count
            try? await NetLoop.sleep(milliseconds: 400)
        }
        return last
    }

    @Test func `an idempotency key or a precondition on a stream is refused`() async throws {
        try await GatewayFixture.with { _, client in
            for (name, value) in [("Idempotency-Key", "k"), ("If-Match", "*"), ("If-None-Match", "*")] {
                let answer = try client.send(
                    "POST", "/entities", ["Content-Type": "application/x-ndjson", name: value],
                    body: Array("{\"op\":\"delete\",\"key\":\"t:1\"}\n".utf8))
                #expect(answer.status == 400)
                #expect(answer.text.contains(name))
            }
        }
    }

    @Test func `an atomic request answers with one result`() async throws {
        try await GatewayFixture.with { _, client in
            let body = "{\"op\":\"put\",\"key\":\"t:1\",\"document\":{}}\n\n{\"op\":\"delete\",\"key\":\"t:9\"}\n"
            let answer = try client.post("/entities?atomic=true", body, type: "application/x-ndjson")
            #expect(answer.status == 200)
            #expect(
                answer.text == #"{"sequence":1,"results":[{"line":1,"status":201,"key":"t:1","version":1,"sequence":1},"#
                    + #"{"line":3,"status":200,"key":"t:9","deleted":false}]}"#)
            #expect(answer["x-themis-sequence"] == "1")
            #expect(try client.post("/entities?atomic=true", "{}").status == 400)
            #expect(try client.post("/entities?atomic=yes", "", type: "application/x-ndjson").status == 400)
            #expect(try client.post("/entities?atomic=true", "\n", type: "application/x-ndjson").status == 400)
        }
    }

    @Test func `the error of an atomic request names the line`() async throws {
        try await GatewayFixture.with { fixture, client in
            let core =
                "\n{\"op\":\"put\",\"key\":\"t:1\",\"document\":{}}\n{\"op\":\"delete\",\"key\":\"t:9\",\"if_match\":\"5\"}\n"
            let refused = try client.post("/entities?atomic=true", core, type: "application/x-ndjson")
            #expect(refused.status == 412)
            #expect(refused.number("line") == 3)
            #expect(!refused.text.contains("operations["))
            let broken = try client.post(
                "/entities?atomic=true", "{\"op\":\"delete\",\"key\":\"t:9\"}\n{]\n", type: "application/x-ndjson")
            #expect(broken.status == 400)
            #expect(broken.number("line") == 2)
            #expect(broken.json["code"] as? String == "invalid_json")
            let many = String(repeating: "{\"op\":\"delete\",\"key\":\"t:9\"}\n", count: Limits.atomicOperations + 1)
            #expect(try client.post("/entities?atomic=true", many, type: "application/x-ndjson").status == 413)
            #expect(await fixture.core.received.count { $0.method == .writeAtomic } == 1)
        }
    }

    @Test func `a core that breaks leaves no line without a word`() async throws {
        try await GatewayFixture.with { fixture, _ in
            await fixture.core.hold(.writeStream)
            let socket = try ClientSocket(port: await fixture.port)
            try socket.send(
                "POST /entities HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n")
            let line = "{\"op\":\"put\",\"key\":\"t:1\",\"document\":{}}\n"
            try socket.send(String(line.utf8.count, radix: 16) + "\r\n" + line + "\r\n")
            await fixture.core.wait { fixture.core.received.contains { $0.method == .writeStream } }
            await fixture.core.stop()
            let text = String(decoding: try socket.receiveToEnd(), as: UTF8.self)
            #expect(text.contains(#""line":1"#))
            #expect(text.contains(#""outcome":"unknown""#))
            // The answer is broken off: no last chunk.
            #expect(!text.hasSuffix("\r\n0\r\n\r\n"))
        }
    }
}

/// How far a thread is that sends a bulk request and never reads.
private final class BulkSender: @unchecked Sendable {
    // Proof of Sendable: the lock is held around both flags.
    private let lock = NSLock()
    private var state = (isDone: false, hasEnded: false)
    /// Whether everything was sent.
    var isDone: Bool { lock.withLock { state.isDone } }
    /// Whether the thread has ended.
    var hasEnded: Bool { lock.withLock { state.hasEnded } }
    func end(isDone: Bool) { lock.withLock { state = (isDone, true) } }
}

extension Thread {
    fileprivate static func sendingBulk(_ socket: ClientSocket, lines: Int) -> BulkSender {
        let sender = BulkSender()
        // Proof: the test touches the socket again only to end this thread, and after that.
        nonisolated(unsafe) let socket = socket
        Thread.detachNewThread { sender.end(isDone: unsafe (try? send(lines, to: socket)) != nil) }
        return sender
    }

    private static func send(_ lines: Int, to socket: ClientSocket) throws {
        try socket.send(
            "POST /entities HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n")
        // Long keys make long results, which fill the kernel's buffers sooner.
        let padding = String(repeating: "k", count: 480)
        for block in 0..<(lines / 100) {
            let numbers = (block * 100)..<(block * 100 + 100)
            let text = numbers.map { "{\"op\":\"put\",\"key\":\"t:\(padding)\($0)\",\"document\":{}}\n" }.joined()
            try socket.send(String(text.utf8.count, radix: 16) + "\r\n" + text + "\r\n")
        }
    }
}
