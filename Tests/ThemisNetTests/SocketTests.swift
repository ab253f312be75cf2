import Foundation
import Testing
import ThemisBase
import ThemisNet
import ThemisTelemetry
import ThemisTestKit

/// Collects what a stream tells its handler.
@NetLoop final class Recorder: ByteStreamHandler {
    var bytes: [UInt8] = []
    var reasons: [CloseReason] = []
    var hasEnded = false
    var drains = 0
    /// What is used of each offer; everything by default.
    var use: (Int) -> Int = { $0 }

    func received(_ bytes: UnsafeRawBufferPointer, on stream: ByteStream) -> Int {
        let used = use(bytes.count)
        unsafe self.bytes.append(contentsOf: bytes[..<used])
        return used
    }
    func ended(_ stream: ByteStream) { hasEnded = true }
    func drained(_ stream: ByteStream) { drains += 1 }
    func closed(_ stream: ByteStream, _ reason: CloseReason) { reasons.append(reason) }

    /// Waits until `condition` holds, at most five seconds.
    func wait(_ condition: @NetLoop () -> Bool) async throws {
        for _ in 0..<5_000 {
            if condition() { return }
            try await NetLoop.sleep(milliseconds: 1)
        }
        Issue.record("the awaited state did not come")
    }
}

/// A connected pair over TCP.
@NetLoop struct StreamPair {
    let near: ByteStream
    let far: ByteStream
    let nearEvents = Recorder()
    let farEvents = Recorder()
    let listener: Listener

    init(options: ByteStream.Options = ByteStream.Options()) async throws {
        let listener = try Listener(SocketAddress(host: "127.0.0.1", port: 0), telemetry: .silent())
        self.listener = listener
        var accepted: Int32?
        listener.start { accepted = $0 }
        near = try await Connector.connect(
            SocketAddress(host: "127.0.0.1", port: UInt16(listener.localPort)), timeoutMilliseconds: 1_000, options: options)
        while accepted == nil { try await NetLoop.sleep(milliseconds: 1) }
        far = ByteStream(descriptor: try #require(accepted), options: options)
        near.start(nearEvents)
        far.start(farEvents)
    }
}

@Suite struct SocketTests {
    init() { LoopThread.start() }

    @Test @NetLoop func `bytes arrive in order, however they were written`() async throws {
        let pair = try await StreamPair()
        var sent: [UInt8] = []
        for round in 0..<200 {
            let piece = [UInt8](repeating: UInt8(round), count: round * 7 % 1_000)
            sent += piece
            pair.near.write(piece)
        }
        try await pair.farEvents.wait { pair.farEvents.bytes.count == sent.count }
        #expect(pair.farEvents.bytes == sent)
        #expect(pair.near.sentBytes == UInt64(sent.count))
        pair.near.close()
        pair.far.close()
    }

    @Test @NetLoop func `what a handler does not use is offered again`() async throws {
        let pair = try await StreamPair()
        // Whole groups of four only.
        pair.farEvents.use = { $0 / 4 * 4 }
        pair.near.write(Array("abcde".utf8))
        try await pair.farEvents.wait { pair.farEvents.bytes.count == 4 }
        pair.near.write(Array("fgh".utf8))
        try await pair.farEvents.wait { pair.farEvents.bytes.count == 8 }
        #expect(pair.farEvents.bytes == Array("abcdefgh".utf8))
        pair.near.close()
    }

    @Test @NetLoop func `a reader that stops bounds the writer's memory`() async throws {
        let pair = try await StreamPair(
            options: ByteStream.Options(readLimitBytes: 32 << 10, highWaterBytes: 64 << 10, lowWaterBytes: 16 << 10))
        pair.far.pauseReading()
        var written = 0
        var mostPending = 0
        let total = 12 << 20
        let writer = NetLoop.spawn {
            while written < total {
                do { try await pair.near.awaitWritable() } catch { return }
                pair.near.write([UInt8](repeating: 1, count: 16 << 10))
                written += 16 << 10
                mostPending = max(mostPending, pair.near.pendingBytes)
            }
        }
        try await pair.farEvents.wait { pair.near.isAboveHighWater }
        try await NetLoop.sleep(milliseconds: 20)
        #expect(written < total)
        #expect(mostPending <= 96 << 10)
        pair.far.resumeReading()
        await writer.value
        try await pair.farEvents.wait { pair.farEvents.bytes.count == total }
        pair.near.close()
        pair.far.close()
    }

    @Test @NetLoop func `input that is not used stops the peer at the read limit`() async throws {
        let pair = try await StreamPair(options: ByteStream.Options(readLimitBytes: 32 << 10))
        pair.farEvents.use = { _ in 0 }
        pair.near.write([UInt8](repeating: 7, count: 16 << 20))
        try await NetLoop.sleep(milliseconds: 50)
        #expect(pair.far.receivedBytes < 256 << 10)
        pair.near.close()
        pair.far.close()
    }

    @Test @NetLoop func `closing is told once to each side`() async throws {
        let pair = try await StreamPair()
        pair.near.close()
        pair.near.close()
        try await pair.farEvents.wait { pair.farEvents.hasEnded && pair.nearEvents.reasons.count == 1 }
        pair.far.close(.peer)
        try await pair.farEvents.wait { pair.farEvents.reasons.count == 1 }
        #expect(pair.nearEvents.reasons == [.local])
        #expect(pair.farEvents.reasons == [.peer])
    }

    @Test @NetLoop func `finish sends everything before it closes`() async throws {
        let pair = try await StreamPair()
        let bytes = [UInt8](repeating: 9, count: 4 << 20)
        pair.near.write(bytes)
        pair.near.finish()
        pair.far.write(Array("never read".utf8))
        try await pair.farEvents.wait { pair.farEvents.hasEnded }
        #expect(pair.farEvents.bytes == bytes)
        pair.far.close()
        try await pair.nearEvents.wait { pair.nearEvents.reasons == [.local] }
    }

    @Test @NetLoop func `a waiting writer learns of the close`() async throws {
        let pair = try await StreamPair()
        pair.far.pauseReading()
        pair.near.write([UInt8](repeating: 1, count: 16 << 20))
        let isTold = await withCheckedContinuation { continuation in
            NetLoop.spawn {
                do {
                    try await pair.near.awaitWritable()
                    continuation.resume(returning: false)
                } catch { continuation.resume(returning: true) }
            }
            NetLoop.spawn { pair.near.close() }
        }
        #expect(isTold)
        pair.far.close()
    }

    @Test @NetLoop func `a port in use names its holder`() async throws {
        let first = try Listener(SocketAddress(host: "127.0.0.1", port: 0), telemetry: .silent())
        let error = try #require(throws: ThemisError.self) {
            _ = try Listener(SocketAddress(host: "127.0.0.1", port: UInt16(first.localPort)), telemetry: .silent())
        }
        #expect(error.code == .addressInUse)
        #expect(error.message.contains("process \(getpid()) "))
    }

    @Test @NetLoop func `a refused connection is an error, not a hang`() async throws {
        // Nobody listens on it, and the kernel gives it to no test beside this one.
        let error = await #expect(throws: ThemisError.self) {
            _ = try await Connector.connect(SocketAddress(host: "127.0.0.1", port: 1), timeoutMilliseconds: 1_000)
        }
        #expect(error?.code == .coreUnavailable)
    }

    @Test func `a socket path may have 107 bytes and no more`() throws {
        _ = try SocketAddress(unixPath: "/" + String(repeating: "s", count: 106))
        #expect(throws: ThemisError.self) { try SocketAddress(unixPath: "/" + String(repeating: "s", count: 107)) }
    }

    @Test @NetLoop func `a Unix socket tells who connected`() async throws {
        let path = FileManager.default.temporaryDirectory.path + "/themis-net-\(getpid()).sock"
        defer { unsafe unlink(path) }
        let listener = try Listener(SocketAddress(unixPath: path), telemetry: .silent())
        var accepted: Int32?
        listener.start { accepted = $0 }
        let near = try await Connector.connect(SocketAddress(unixPath: path), timeoutMilliseconds: 1_000)
        while accepted == nil { try await NetLoop.sleep(milliseconds: 1) }
        let far = ByteStream(descriptor: try #require(accepted))
        let credentials = try #require(far.peerCredentials)
        #expect(credentials.pid == getpid())
        #expect(credentials.uid == getuid())
        near.close()
        far.close()
    }
}
