import Foundation
import Testing
import ThemisBase
import ThemisNet
import ThemisTelemetry
import ThemisTestKit

@testable import ThemisRPC

/// What the core does with peers that are not ours, broken, slow or refused.
@Suite struct PeerTests {
    init() { LoopThread.start() }

    private func run(
        _ adjust: @escaping @Sendable @NetLoop (inout RPCServer.Options) -> Void = { _ in },
        _ body: @escaping @Sendable @NetLoop (TestCore, RawPeer) async throws -> Void
    ) async throws {
        try await NetLoop.spawned {
            let core = TestCore()
            try core.start(adjust)
            defer { core.stop() }
            try await body(core, try await RawPeer(core.path))
        }
    }

    private func garbageCount(_ core: TestCore) -> UInt64 { core.telemetry.metrics.counter(.rpcGarbageFrames).value }

    @Test func `garbage closes the connection and is counted`() async throws {
        try await run { core, peer in
            peer.stream.write(Array("GET / HTTP/1.1\r\nHost: x\r\n\r\n".utf8))
            await peer.wait { $0.isClosed }
            #expect(peer.received.isEmpty)
            #expect(garbageCount(core) == 1)
        }
    }

    @Test func `a flipped bit behind the greeting closes the connection`() async throws {
        try await run { core, peer in
            peer.greet()
            await peer.wait { $0.frames.count == 1 }
            #expect(peer.frames[0].header.type == .helloOK)
            var out = ByteBuffer()
            FrameHeader(type: .ping).append(to: &out) { $0.append([1, 2, 3, 4, 5, 6, 7, 8]) }
            var bytes = unsafe Array(out.readable)
            bytes[20] ^= 4
            peer.stream.write(bytes)
            await peer.wait { $0.isClosed }
            #expect(garbageCount(core) == 1)
        }
    }

    @Test func `a peer that says nothing is closed after its time`() async throws {
        try await run {
            $0.helloTimeoutMilliseconds = 30
        } _: { core, peer in
            await peer.wait { $0.isClosed }
            #expect(garbageCount(core) == 1)
        }
    }

    @Test func `half a frame holds nobody up and costs only its bytes`() async throws {
        try await run { core, peer in
            peer.greet()
            await peer.wait { $0.frames.count == 1 }
            peer.stream.write([100, 0, 0, 0, 4, 1])
            let client = try RPCClient.connected(to: core)
            _ = try await client.ping(RequestMetadata())
            #expect(!peer.isClosed)
            client.stop()
        }
    }

    @Test func `a request before HELLO closes the connection`() async throws {
        try await run { _, peer in
            peer.request(.ping, stream: 1)
            await peer.wait { $0.isClosed }
        }
    }

    @Test func `version ranges that do not meet are refused, naming both`() async throws {
        try await run { _, peer in
            peer.greet { ($0.oldest, $0.newest) = (RPCVersion(2, 0), RPCVersion(2, 3)) }
            await peer.wait { $0.isClosed }
            let frame = try #require(peer.frames.first)
            #expect(frame.header.type == .helloRefused)
            let refused = try unsafe frame.body.withUnsafeBytes { try unsafe HelloRefused(decoding: $0) }
            #expect(ErrorCode.numbered(refused.code) == .protocolMismatch)
            #expect(refused.message.contains("speaks RPC 1.0 to 1.0") && refused.message.contains("speaks 2.0 to 2.3"))
        }
    }

    @Test func `a newer peer that still speaks ours is served in ours`() async throws {
        try await run { _, peer in
            peer.greet { $0.newest = RPCVersion(1, 9) }
            await peer.wait { $0.frames.count == 1 }
            let ok = try unsafe peer.frames[0].body.withUnsafeBytes { try unsafe HelloOK(decoding: $0) }
            #expect(ok.version == .current && ok.epoch == "e1")
        }
    }

    @Test func `an unknown role is refused`() async throws {
        try await run { _, peer in
            peer.greet { $0.role = 99 }
            await peer.wait { $0.isClosed }
            #expect(peer.frames.first?.header.type == .helloRefused)
        }
    }

    @Test func `another user needs rpc.roles`() async throws {
        try await NetLoop.spawned {
            let core = TestCore()
            try core.start { $0.roles = [4_242: [.exporter]] }
            let server = try #require(core.server)
            let exporter = Hello(role: .exporter, instance: "x")
            #expect(try server.admit(exporter, (4_242, 1, 7)).peer.uid == 4_242)
            let gateway = Hello(role: .gateway, instance: "x")
            let error = #expect(throws: ThemisError.self) { try server.admit(gateway, (4_242, 1, 7)) }
            #expect(error?.message == "user id 4242 may not connect as gateway; add it to rpc.roles")
            #expect(throws: ThemisError.self) { try server.admit(exporter, (4_243, 1, 7)) }
            #expect(throws: ThemisError.self) { try server.admit(exporter, nil) }
            core.stop()
        }
    }

    @Test func `the 1025th request is answered with BUSY and a cancelled one makes room`() async throws {
        try await run { core, peer in
            peer.greet()
            for id in 1...UInt32(1_025) { peer.request(.changesInfo, stream: id) }
            await peer.wait { $0.frames.count == 2 }
            #expect(peer.frames[1].header.type == .busy && peer.frames[1].header.stream == 1_025)
            #expect(core.held.count == 1_024)
            #expect(core.telemetry.metrics.counter(.rpcBusy).value == 1)
            peer.send(.cancel, stream: 7)
            await core.wait { core.cancelled == 1 }
            core.held[6].respond(ChangesInfoResponse())
            await peer.wait { $0.frames.count == 3 }
            #expect(peer.frames[2].header.type == .error && peer.frames[2].header.stream == 7)
            peer.request(.ping, stream: 7)
            await peer.wait { $0.frames.count == 4 }
            #expect(peer.frames[3].header.type == .response)
        }
    }

    @Test func `an unknown method is an error of its call only`() async throws {
        try await run { _, peer in
            peer.greet()
            peer.stream.write { out in
                FrameHeader(type: .request, flags: .end, method: 999, stream: 1).append(to: &out) {
                    RequestMetadata().encode(into: &$0)
                }
            }
            peer.request(.ping, stream: 2)
            await peer.wait { $0.frames.count == 3 }
            let code = try ThemisError(decoding: peer.frames[1].body).code
            #expect(code == .notImplemented)
            #expect(peer.frames[2].header.type == .response)
        }
    }

    @Test func `a body that is no message is an error of its call only`() async throws {
        try await run { _, peer in
            peer.greet()
            peer.request(.get, stream: 1, [0xFF, 0xFF, 0xFF])
            peer.request(.ping, stream: 2)
            await peer.wait { $0.frames.count == 3 }
            let code = try ThemisError(decoding: peer.frames[1].body).code
            #expect(code == .invalidRequest)
        }
    }

    @Test func `a request cancelled before its body has come ends at once`() async throws {
        try await run { core, peer in
            peer.greet()
            peer.request(.writeAtomic, stream: 1, flags: [])
            peer.send(.data, [], stream: 1, [1, 2, 3])
            peer.send(.cancel, stream: 1)
            await peer.wait { $0.frames.count == 2 }
            #expect(peer.frames[1].header.type == .error)
            #expect(core.server?.inFlight == 0)
        }
    }

    @Test func `a stream that ends within a message is an error of its call only`() async throws {
        try await run { _, peer in
            peer.greet()
            peer.request(.writeStream, stream: 1, flags: [])
            peer.send(.data, .end, stream: 1, [9, 0, 0, 0, 1])
            await peer.wait { $0.frames.count == 2 }
            let code = try ThemisError(decoding: peer.frames[1].body).code
            #expect(code == .invalidRequest)
        }
    }

    @Test func `a peer that reads nothing is held back and then closed`() async throws {
        try await run {
            $0.stallMilliseconds = 60
        } _: { core, peer in
            peer.greet()
            peer.stream.pauseReading()
            // 400 answers of 60 KiB: far more than the kernel and 8 MiB of output take.
            for id in 1...UInt32(400) {
                peer.stream.write { out in
                    FrameHeader(type: .request, flags: .end, method: RPCMethod.stats.number, stream: id).append(to: &out) {
                        RequestMetadata(scopes: .all, minSequence: 60 << 10).encode(into: &$0)
                    }
                }
            }
            await core.wait { self.garbageCount(core) == 0 && core.server?.peers().isEmpty == false }
            while garbageCount(core) == 0 { try await NetLoop.sleep(milliseconds: 5) }
            #expect(core.server?.peers().isEmpty == true || garbageCount(core) == 1)
        }
    }
}

@Suite struct SocketFileTests {
    init() { LoopThread.start() }

    @Test func `a socket that a dead core left never blocks a start`() async throws {
        try await NetLoop.spawned {
            let path = TestCore.temporaryPath()
            let directory = String(path[..<path.lastIndex(of: "/")!])
            try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
            // Bound and closed without unlinking, as after kill -9.
            var left: Listener? = try Listener(SocketAddress(unixPath: path), telemetry: .silent())
            left?.close()
            left = nil
            #expect(FileManager.default.fileExists(atPath: path))
            let core = TestCore(path)
            try core.start()
            let client = try RPCClient.connected(to: core)
            _ = try await client.ping(RequestMetadata())
            client.stop()
            core.stop()
            #expect(!FileManager.default.fileExists(atPath: path))
        }
    }

    @Test func `a live core is not replaced, and its process is named`() async throws {
        try await NetLoop.spawned {
            let core = TestCore()
            try core.start()
            let second = TestCore(core.path)
            let error = #expect(throws: ThemisError.self) { try second.start() }
            #expect(error?.code == .addressInUse)
            #expect(error?.message.contains("by process \(ProcessInfo.processInfo.processIdentifier)") == true)
            let client = try RPCClient.connected(to: core)
            _ = try await client.ping(RequestMetadata())
            client.stop()
            core.stop()
        }
    }

    @Test func `the socket and its directory are closed to others`() async throws {
        try await NetLoop.spawned {
            let core = TestCore()
            try core.start()
            func mode(_ path: String) throws -> Int? {
                (try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? NSNumber)?.intValue
            }
            #expect(try mode(core.path) == 0o660)
            var status = stat()
            let directory = String(core.path[..<core.path.lastIndex(of: "/")!])
            #expect(unsafe stat(directory, &status) == 0 && status.st_mode & 0o7777 == 0o2770)
            core.stop()
        }
    }

    @Test func `a path that cannot be used is a clear error`() async throws {
        try await NetLoop.spawned {
            let long = TestCore("/tmp/" + String(repeating: "x", count: 103))
            let error = #expect(throws: ThemisError.self) { try long.start() }
            #expect(error?.message.contains("108 bytes") == true)
            let open = #expect(throws: ThemisError.self) { try TestCore("/tmp/core.sock").start() }
            #expect(open?.message.contains("everyone may write to /tmp") == true)
            let path = TestCore.temporaryPath()
            let directory = String(path[..<path.lastIndex(of: "/")!])
            try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
            #expect(FileManager.default.createFile(atPath: path, contents: Data("precious".utf8)))
            #expect(throws: ThemisError.self) { try TestCore(path).start() }
            #expect(FileManager.default.contents(atPath: path) == Data("precious".utf8))
        }
    }
}
