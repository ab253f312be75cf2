import Foundation
import Testing
import ThemisBase
import ThemisTestKit

@testable import ThemisNet

/// Requests that come in drops: read at a slower pace, and answered all the same.
@Suite struct TrickleTests {
    init() { LoopThread.start() }

    @Test func `only small reads in a row that leave a request unfinished are a trickle`() {
        var gauge = TrickleGauge()
        var received: UInt64 = 0
        func read(_ bytes: Int, isUnfinished: Bool = true) -> Bool {
            received += UInt64(bytes)
            return gauge.noteRead(receivedBytes: received, isUnfinished: isUnfinished)
        }
        for _ in 1..<Limits.dropsOfTrickle { #expect(!read(1)) }
        #expect(!read(1, isUnfinished: false), "the request was whole")
        for _ in 1..<Limits.dropsOfTrickle { #expect(!read(Limits.dropBytes - 1)) }
        #expect(!read(Limits.dropBytes), "a whole line came")
        for _ in 1..<Limits.dropsOfTrickle { #expect(!read(1)) }
        #expect(read(1))
        #expect(!read(1), "it is told once")
    }

    @Test @NetLoop func `a request that comes byte by byte is read as a trickle, and the next one as any other`() async throws {
        let fixture = try ServerFixture()
        defer { fixture.server.stop() }
        let client = try await fixture.client()
        try await client.events.wait { fixture.server.connectionCount == 1 }
        let stream = fixture.server.connections[0].stream
        #expect(stream.lane == .pressing)
        for (index, byte) in request("GET", "/hello").utf8.enumerated() {
            client.stream.write([byte])
            try await client.events.wait { stream.receivedBytes == UInt64(index + 1) }
            if index == Limits.dropsOfTrickle { #expect(stream.lane == .trickling) }
        }
        #expect(try await client.answer().status == 200)
        #expect(stream.lane != .trickling)
        #expect(try await client.request(request("GET", "/hello")).status == 200)
        #expect(stream.lane != .trickling)
    }

    @Test @NetLoop func `a body that comes byte by byte is read as a trickle and comes whole`() async throws {
        let fixture = try ServerFixture()
        defer { fixture.server.stop() }
        let client = try await fixture.client()
        let head = "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 20\r\n\r\n"
        client.send(head)
        let begun = UInt64(head.utf8.count)
        try await client.events.wait { fixture.server.connections.first?.stream.receivedBytes == begun }
        let stream = fixture.server.connections[0].stream
        for index in 1...20 {
            client.stream.write([0x61])
            try await client.events.wait { stream.receivedBytes == begun + UInt64(index) }
            if index == 10 { #expect(stream.lane == .trickling) }
        }
        let answer = try await client.answer()
        #expect(answer.status == 200 && answer.text == String(repeating: "a", count: 20))
        #expect(stream.lane != .trickling)
    }

    @Test @NetLoop func `hundreds of trickles that are ready at once are read some at a time, and others in between`() async throws {
        var served = 0
        var servedBefore: [Int] = []
        let pipes = (0..<300).map { _ in Pipe() }
        var watchers: [FileWatcher] = []
        for pipe in pipes {
            let descriptor = pipe.fileHandleForReading.fileDescriptor
            let watcher = FileWatcher(descriptor: descriptor) { _ in
                var byte: UInt8 = 0
                _ = unsafe read(descriptor, &byte, 1)
                served += 1
            }
            watcher.lane = .trickling
            #expect(watcher.watch(.readable))
            watchers.append(watcher)
        }
        let ordinary = Pipe()
        let other = FileWatcher(descriptor: ordinary.fileHandleForReading.fileDescriptor) { _ in servedBefore.append(served) }
        other.watch(.readable)
        for pipe in pipes { pipe.fileHandleForWriting.write(Data([1])) }
        ordinary.fileHandleForWriting.write(Data([1]))
        while served < 300 { try await NetLoop.sleep(milliseconds: 1) }
        other.cancel()
        for watcher in watchers { watcher.cancel() }
        // Ready all the time, it had its turn between any two portions.
        let portions = zip(servedBefore, servedBefore.dropFirst()).map { $1 - $0 }
        #expect(try #require(portions.max()) == Limits.trickleReads)
    }
}
