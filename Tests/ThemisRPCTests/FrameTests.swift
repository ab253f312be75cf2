import Testing
import ThemisBase
import ThemisNet
import ThemisTelemetry

@testable import ThemisRPC

@Suite struct FrameTests {
    /// The bytes of a frame.
    private func frame(
        _ type: FrameType, _ flags: FrameFlags = [], method: UInt16 = 0, stream: UInt32 = 0, _ body: [UInt8] = []
    ) -> [UInt8] {
        var out = ByteBuffer()
        FrameHeader(type: type, flags: flags, method: method, stream: stream).append(to: &out) { $0.append(body) }
        return unsafe Array(out.readable)
    }

    /// What a decoder makes of `bytes`.
    private func decode(_ bytes: [UInt8]) throws -> (frames: [(FrameHeader, [UInt8])], consumed: Int, skipped: UInt64) {
        var decoder = FrameDecoder()
        var frames: [(FrameHeader, [UInt8])] = []
        try unsafe bytes.withUnsafeBytes { bytes in
            while let frame = try unsafe decoder.next(bytes) { unsafe frames.append((frame.header, Array(frame.body))) }
        }
        return (frames, decoder.consumed, decoder.skipped)
    }

    @Test func `a frame has the documented bytes`() {
        let bytes = frame(.request, .end, method: 4, stream: 0x01020304, [0xAA, 0xBB])
        #expect(bytes.prefix(12) == [2, 0, 0, 0, 4, 1, 4, 0, 4, 3, 2, 1])
        #expect(Array(bytes.suffix(2)) == [0xAA, 0xBB])
        let crc = Digest.crc32c(Array(bytes[0..<12]) + [0xAA, 0xBB])
        #expect(Array(bytes[12..<16]) == [0, 8, 16, 24].map { UInt8(truncatingIfNeeded: crc >> $0) })
        #expect(frame(.ping, [], stream: 0, [1, 2, 3, 4, 5, 6, 7, 8]).prefix(12) == [8, 0, 0, 0, 12, 0, 0, 0, 0, 0, 0, 0])
    }

    @Test func `frames come out whole however the bytes are cut`() throws {
        let bytes =
            frame(.request, .end, method: 1, stream: 1, [1, 2, 3]) + frame(.cancel, stream: 1)
            + frame(.data, .end, stream: 2, [9])
        for cut in 0...bytes.count {
            let first = try decode(Array(bytes[..<cut]))
            let second = try decode(Array(bytes[first.consumed...]))
            #expect(first.frames.count + second.frames.count == 3)
            #expect(second.consumed == bytes.count - first.consumed)
        }
    }

    @Test func `a flipped bit anywhere is found`() throws {
        let bytes = frame(.response, .end, stream: 3, Array("hello".utf8))
        for bit in 0..<(bytes.count * 8) {
            var damaged = bytes
            damaged[bit / 8] ^= 1 << (bit % 8)
            do {
                // A greater length waits for bytes that never come; the connection's timeouts end that.
                #expect(try decode(damaged).frames.isEmpty)
            } catch let violation as ProtocolViolation {
                #expect([.checksum, .type, .length].contains(violation.kind))
            }
        }
    }

    @Test func `an oversize length is refused before anything is waited for`() {
        var bytes = frame(.data, stream: 1, [1])
        bytes.replaceSubrange(0..<4, with: [0, 0, 2, 0])
        #expect(throws: ProtocolViolation.self) { try decode(Array(bytes.prefix(16))) }
        var control = frame(.credit, stream: 1, [1, 0, 0, 0])
        control.replaceSubrange(0..<4, with: [1, 4, 0, 0])
        #expect(throws: ProtocolViolation.self) { try decode(Array(control.prefix(16))) }
    }

    @Test func `what is not ours is refused at its first 16 bytes`() {
        for text in [
            "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}\u{FC}\u{3}\u{3}........",
            "PRI * HTTP/2.0\r\n\r\nSM",
        ] {
            #expect(throws: ProtocolViolation.self) { try decode(Array(text.utf8)) }
        }
    }

    @Test func `an unknown optional type is skipped, another one is refused`() throws {
        let known = frame(.ping, [], [0, 0, 0, 0, 0, 0, 0, 0])
        let result = try decode(frame(FrameType(number: 0x8F), [], [1, 2]) + known)
        #expect(result.frames.map(\.0.type) == [.ping])
        #expect(result.skipped == 1)
        #expect(throws: ProtocolViolation.self) { try decode(frame(FrameType(number: 0x0F))) }
        #expect(throws: ProtocolViolation.self) { try decode(frame(.ping, FrameFlags(rawValue: 0x40))) }
    }

    @Test func `random bytes are frames or an error`() {
        var random = SeededRandom(seed: 3)
        for _ in 0..<4_000 {
            var bytes = (0..<Int.random(in: 0..<80, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
            if bytes.count > 5 { bytes[1...3] = [0, 0, 0] }
            _ = try? decode(bytes)
        }
    }
}

@Suite struct MetadataTests {
    private let full = RequestMetadata(
        deadlineMilliseconds: 30_000, trace: Traceparent(traceHigh: 1, traceLow: 2, span: 3, isSampled: true),
        principal: "user:ä",
        scopes: [.dataRead, .admin], priority: 2, idempotencyKey: String(repeating: "k", count: 255),
        transaction: TransactionID(high: 4, low: 5), minSequence: 6, shard: 7)

    private func bytes(_ metadata: RequestMetadata) -> [UInt8] {
        var out = ByteBuffer()
        metadata.encode(into: &out)
        return unsafe Array(out.readable)
    }

    private func decode(_ bytes: [UInt8]) throws -> (metadata: RequestMetadata, bodyStart: Int) {
        try unsafe bytes.withUnsafeBytes { try unsafe RequestMetadata.decode($0) }
    }

    @Test func `metadata survives the wire`() throws {
        for metadata in [RequestMetadata(), full] {
            let result = try decode(bytes(metadata) + [1, 2, 3])
            #expect(result.metadata == metadata)
            #expect(result.bodyStart == bytes(metadata).count)
        }
    }

    @Test func `metadata has the documented bytes`() {
        let block = bytes(
            RequestMetadata(
                deadlineMilliseconds: 0x01020304, trace: Traceparent(traceHigh: 1, traceLow: 2, span: 3, isSampled: true),
                principal: "p",
                scopes: [.dataWrite], priority: 9, idempotencyKey: "k", minSequence: 5, shard: 6))
        let trace: [UInt8] = [0] + [0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2] + [0, 0, 0, 0, 0, 0, 0, 3] + [1]
        let rest: [UInt8] = [4, 0, 0, 0, 9, 5, 0, 0, 0, 0, 0, 0, 0, 6, 0, 0, 0, 1, 0x70, 1, 0x6B, 0]
        #expect(block == [52, 0, 4, 3, 2, 1] + trace + rest)
    }

    @Test func `the largest block fits into its bound`() {
        var largest = full
        largest.principal = String(repeating: "p", count: Limits.principalBytes)
        #expect(bytes(largest).count <= Limits.frameMetadataBytes)
    }

    @Test func `members of a newer sender are skipped`() throws {
        var block = bytes(full) + [0xFF, 0xFF]
        let length = UInt16(block.count - 2)
        block[0] = UInt8(truncatingIfNeeded: length)
        block[1] = UInt8(length >> 8)
        let result = try decode(block + [7])
        #expect(result.metadata == full)
        #expect(result.bodyStart == block.count)
    }

    @Test func `a block that is cut or lies about its lengths is refused`() {
        let block = bytes(full)
        for count in 0..<block.count {
            #expect(throws: ProtocolViolation.self) { try decode(Array(block[..<count])) }
        }
        var lying = bytes(RequestMetadata(principal: "abc"))
        lying[49] = 200
        #expect(throws: ProtocolViolation.self) { try decode(lying) }
        lying[49] = 6
        #expect(throws: ProtocolViolation.self) { try decode(lying + [UInt8](repeating: 0, count: 20)) }
        var random = SeededRandom(seed: 5)
        for _ in 0..<4_000 {
            var damaged = block
            for _ in 0..<3 {
                damaged[Int.random(in: 0..<damaged.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
            }
            _ = try? decode(damaged)
        }
    }

    @Test func `texts that do not fit the block are refused before they are sent`() {
        #expect(throws: ThemisError.self) { try RequestMetadata(principal: String(repeating: "p", count: 129)).validate() }
        #expect(throws: ThemisError.self) { try RequestMetadata(idempotencyKey: String(repeating: "k", count: 256)).validate() }
        #expect(throws: Never.self) { try full.validate() }
    }
}

@Suite struct HelloTests {
    @Test func `greetings survive the wire`() throws {
        let hello = Hello(role: .gateway, instance: "gateway-1")
        #expect(try unsafe hello.encoded().withUnsafeBytes { try unsafe Hello(decoding: $0) } == hello)
        let ok = HelloOK(version: .current, bootID: BootID(high: 1, low: 2), epoch: "e1")
        #expect(try unsafe ok.encoded().withUnsafeBytes { try unsafe HelloOK(decoding: $0) } == ok)
        let refused = HelloRefused(.protocolMismatch, "no")
        #expect(try unsafe refused.encoded().withUnsafeBytes { try unsafe HelloRefused(decoding: $0) } == refused)
    }

    @Test func `the newest version that both speak is chosen`() {
        var hello = Hello(role: .ctl, instance: "")
        (hello.oldest, hello.newest) = (RPCVersion(1, 1), RPCVersion(1, 3))
        #expect(hello.commonVersion(oldest: RPCVersion(1, 0), newest: RPCVersion(1, 2)) == RPCVersion(1, 2))
        #expect(hello.commonVersion(oldest: RPCVersion(1, 2), newest: RPCVersion(2, 0)) == RPCVersion(1, 3))
        #expect(hello.commonVersion(oldest: RPCVersion(1, 4), newest: RPCVersion(2, 0)) == nil)
        #expect(hello.commonVersion(oldest: RPCVersion(1, 0), newest: RPCVersion(1, 0)) == nil)
    }

    @Test func `method numbers and names are unique, and every method is found by its number`() {
        #expect(Set(RPCMethod.all.map(\.number)).count == RPCMethod.all.count)
        #expect(Set(RPCMethod.all.map(\.name)).count == RPCMethod.all.count)
        for method in RPCMethod.all { #expect(RPCMethod.numbered(method.number)?.name == method.name) }
        #expect(RPCMethod.numbered(0) == nil && RPCMethod.numbered(9) == nil && RPCMethod.numbered(.max) == nil)
    }
}
