import Testing
import ThemisBase

@testable import ThemisRPC

@Suite struct MessageAssemblerTests {
    private func append(_ assembler: inout MessageAssembler, _ bytes: [UInt8]) throws -> Int {
        try unsafe bytes.withUnsafeBytes { try unsafe assembler.append($0) }
    }

    @Test func `messages come out whole however the payload is cut`() throws {
        var payload: [UInt8] = []
        let messages = (0..<20).map { [UInt8](repeating: UInt8($0), count: $0 * 7 % 40) }
        for message in messages {
            payload.appendLittleEndian(UInt32(message.count))
            payload += message
        }
        for size in 1...30 {
            var assembler = MessageAssembler(.messages, limit: 100)
            var granted = 0
            var index = 0
            while index < payload.count {
                granted += try append(&assembler, Array(payload[index..<min(index + size, payload.count)]))
                index += size
            }
            #expect(assembler.isBetweenMessages)
            var seen: [[UInt8]] = []
            while let (message, grant) = assembler.takeMessage() {
                seen.append(message)
                granted += grant
            }
            #expect(seen == messages)
            #expect(granted == payload.count)
            #expect(assembler.keptBytes == 0)
        }
    }

    @Test func `what comes behind a waiting message is held until that is taken`() throws {
        var assembler = MessageAssembler(.messages, limit: 1_000)
        #expect(try append(&assembler, [1, 0, 0, 0, 9]) == 5)
        #expect(try append(&assembler, [200, 0, 0, 0, 1, 2]) == 0)
        #expect(try append(&assembler, [UInt8](repeating: 3, count: 100)) == 0)
        #expect(assembler.takeMessage()?.grant == 106)
        // Nothing waits now: the rest of the large message flows.
        #expect(try append(&assembler, [UInt8](repeating: 3, count: 98)) == 98)
        #expect(assembler.takeMessage()?.message.count == 200)
    }

    @Test func `a message above the limit is refused at its length`() throws {
        var assembler = MessageAssembler(.messages, limit: 1_000)
        #expect(throws: ThemisError.self) { try append(&assembler, [0xFF, 0xFF, 0xFF, 0xFF]) }
        var body = MessageAssembler(.body, limit: 10)
        #expect(try append(&body, [UInt8](repeating: 1, count: 10)) == 10)
        #expect(throws: ThemisError.self) { try append(&body, [1]) }
    }

    @Test func `a stream that ends within a message is seen`() throws {
        for cut in [[1], [1, 0, 0, 0], [2, 0, 0, 0, 7]] as [[UInt8]] {
            var assembler = MessageAssembler(.messages, limit: 1_000)
            _ = try append(&assembler, cut)
            #expect(!assembler.isBetweenMessages)
        }
    }
}
