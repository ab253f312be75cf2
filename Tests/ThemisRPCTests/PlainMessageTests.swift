import Testing
import ThemisBase
import ThemisNet
import ThemisTestKit

@testable import ThemisRPC

/// The messages that are written and read by hand against protobuf-c, which is right by definition.
@Suite struct PlainMessageTests {
    private func packed(_ message: some ProtobufMessage) throws -> [UInt8] { try message.packed() }

    private func number(_ random: inout SeededRandom) -> UInt64 {
        [0, 1, 127, 128, 16_383, 16_384, 1 << 32, .max, random.next() >> (random.next() & 63)].randomElement(using: &random) ?? 0
    }

    private func text(_ random: inout SeededRandom) -> String {
        let length = [0, 1, 5, 15, 16, 127, 128, 300].randomElement(using: &random) ?? 0
        let letters = random.next() & 3 == 0 ? Array("aé漢🙂") : Array("abcXYZ:/_-0")
        return String((0..<length).map { _ in letters.randomElement(using: &random) ?? "a" })
    }

    private func bytes(_ random: inout SeededRandom) -> [UInt8] {
        let length = [0, 1, 127, 128, 1_024, 20_000].randomElement(using: &random) ?? 0
        return (0..<length).map { _ in UInt8.random(in: 0...255, using: &random) }
    }

    private func operation(_ random: inout SeededRandom) -> OperationMessage {
        let condition: OperationCondition =
            [.none, .absent, .exists, .version(number(&random))].randomElement(using: &random) ?? .none
        let kind: OperationKind = [.put, .mergePatch, .jsonPatch, .delete].randomElement(using: &random) ?? .put
        return OperationMessage(kind: kind, table: text(&random), pk: text(&random), body: bytes(&random), condition: condition)
    }

    private func result(_ random: inout SeededRandom) -> OperationResult {
        let flags = random.next()
        return OperationResult(
            version: number(&random), sequence: number(&random), created: flags & 1 != 0, deleted: flags & 2 != 0,
            durable: flags & 4 != 0, replayed: flags & 8 != 0)
    }

    @Test func `by hand the bytes are those of protobuf-c`() throws {
        var random = SeededRandom(seed: Seed.current())
        for _ in 0..<500 {
            let get = GetRequest(table: text(&random), pk: text(&random), unlessVersion: number(&random))
            #expect(try unsafe get.plainlyEncoded == packed(get))
            let write = WriteRequest(operation: operation(&random), fingerprint: bytes(&random))
            #expect(try unsafe write.plainlyEncoded == packed(write))
            let response = WriteResponse(result: result(&random))
            #expect(try unsafe response.plainlyEncoded == packed(response))
            let entity = EntityMessage(
                table: text(&random), pk: text(&random), version: number(&random), document: bytes(&random),
                missing: random.next() & 1 == 0, expiresAtMilliseconds: Int64(bitPattern: number(&random)))
            var out = ByteBuffer()
            let isDone = entity.encodePlainly(into: &out)
            let written = unsafe Array(out.readable)
            #expect(try unsafe isDone && written == packed(entity))
        }
    }

    @Test func `what is read by hand is what protobuf-c reads, also out of bytes that were changed`() throws {
        var random = SeededRandom(seed: Seed.current())
        var plain = 0
        for _ in 0..<2_000 {
            let get = try GetRequest(table: text(&random), pk: text(&random), unlessVersion: number(&random)).encoded()
            plain += try unsafe check(GetRequest.self, get, &random) { unsafe GetRequest(plain: $0) }
            let write = try WriteRequest(operation: operation(&random), fingerprint: bytes(&random)).encoded()
            plain += try unsafe check(WriteRequest.self, write, &random) { unsafe WriteRequest(plain: $0) }
            let response = WriteResponse(result: result(&random)).encoded()
            plain += try unsafe check(WriteResponse.self, response, &random) { unsafe WriteResponse(plain: $0) }
        }
        // Else the test would say nothing.
        #expect(plain > 2_000)
    }

    private func check<Message: ProtobufMessage & Equatable>(
        _ type: Message.Type, _ bytes: [UInt8], _ random: inout SeededRandom, _ read: (UnsafeRawBufferPointer) -> Message?
    ) throws -> Int {
        var bytes = bytes
        if random.next() & 1 == 0, !bytes.isEmpty {
            let place = Int(random.next() % UInt64(min(bytes.count, 40)))
            switch random.next() % 3 {
            case 0: bytes[place] = UInt8.random(in: 0...255, using: &random)
            case 1: bytes.insert(UInt8.random(in: 0...255, using: &random), at: place)
            default: bytes.remove(at: place)
            }
        }
        let message = unsafe bytes.withUnsafeBytes { unsafe read($0) }
        guard let message else { return 0 }
        let other = try unsafe bytes.withUnsafeBufferPointer { bytes throws(ThemisError) in
            try unsafe Message.unpack(UnsafeRawBufferPointer(bytes))
        }
        #expect(other == message)
        return 1
    }

    @Test func `a text with a zero character is refused by hand too`() {
        #expect(throws: ThemisError.self) { try GetRequest(table: "t", pk: "1\0").encoded() }
        #expect(throws: ThemisError.self) { try EntityMessage(table: "t\0", pk: "1").encoded() }
        let operation = OperationMessage(kind: .put, table: "t", pk: "\0")
        #expect(throws: ThemisError.self) { try WriteRequest(operation: operation).encoded() }
    }
}
