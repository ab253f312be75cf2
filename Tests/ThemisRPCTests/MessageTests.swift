import Testing
import ThemisBase
import ThemisRPC

@Suite struct MessageTests {
    private let operation = OperationMessage(
        kind: .mergePatch, table: "users", pk: "grün:1", body: Array(#"{"a":1}"#.utf8), condition: .version(7))

    private func roundTrip<Message: RPCMessage & Equatable>(_ message: Message) throws -> Bool {
        try Message(decoding: message.encoded()) == message
    }

    @Test func `every message survives the wire`() throws {
        #expect(try roundTrip(WriteRequest(operation: operation, fingerprint: Array(repeating: 3, count: 32))))
        #expect(try roundTrip(WriteResponse(result: OperationResult(version: 3, sequence: 3, created: true, durable: false))))
        #expect(try roundTrip(WriteAtomicRequest(operations: [operation, operation], fingerprint: [1])))
        #expect(try roundTrip(WriteAtomicResponse(results: [OperationResult(), OperationResult(deleted: true)], sequence: .max)))
        #expect(try roundTrip(DeleteRangeRequest(table: "t", prefix: "a")))
        #expect(try roundTrip(GetRequest(table: "t", pk: "1", fields: ["a", "", "b.c"], unlessVersion: 9)))
        #expect(try roundTrip(MultiGetRequest(keys: [EntityMessage(table: "t", pk: "1")], fields: ["a"])))
        let entity = EntityMessage(table: "t", pk: "1", version: 1, document: [0, 1, 2], expiresAtMilliseconds: -1)
        #expect(try roundTrip(entity))
        #expect(
            try roundTrip(MultiGetResponse(entities: [entity, EntityMessage(table: "t", pk: "2", missing: true)], unread: 2)))
        #expect(try roundTrip(ListRequest(table: "t", prefix: "p", cursor: "c", limit: 10, reverse: true, keysOnly: true)))
        #expect(try roundTrip(ListResponse(entities: [entity], nextCursor: "x", sequence: 5)))
        let table = TableMessage(
            name: "t", entities: 1, bytes: 2, oldValues: true, defaultTTLSeconds: 3, createdMilliseconds: 4, id: 5)
        #expect(try roundTrip(TableListResponse(tables: [table, table])))
        #expect(try roundTrip(TablePutRequest(name: "t", oldValues: .on, setsDefaultTTL: true, defaultTTLSeconds: 60)))
        #expect(try roundTrip(TableResponse(table: table, created: true)))
        #expect(try roundTrip(TableDropResponse(deleted: 1, sequence: 2)))
        let change = ChangeMessage(
            sequence: 9, ordinal: 1, kind: .put, table: "t", pk: "1", version: 9, previousVersion: 8, timestampMilliseconds: 1,
            transactionIndex: 1, transactionCount: 2, cause: .ttl, value: [1], oldValue: [2], hasOldValue: true)
        #expect(try roundTrip(ChangesPage(changes: [change], nextAfter: 9, latest: 9, oldest: 1, epoch: "e")))
        let filter = ChangesFilter(table: "t", keyPrefix: "t:a", kinds: [.put, .system])
        #expect(
            try roundTrip(ChangesReadRequest(after: 1, fromNow: true, epoch: "e", limit: 3, waitMilliseconds: 4, filter: filter)))
        #expect(try roundTrip(ChangesReadRequest()))
        #expect(try roundTrip(ChangesInfoResponse(latest: 1, oldest: 1, epoch: "e", bytes: 2, followers: 3)))
        #expect(try roundTrip(PingResponse(state: "healthy", latest: 1, version: "0.1.0", rocksDB: "7.8", uptimeMilliseconds: 1)))
        #expect(try roundTrip(MetricsReadRequest(byInstance: true)))
    }

    @Test func `a write is encoded as plain protobuf`() throws {
        let request = WriteRequest(
            operation: OperationMessage(kind: .put, table: "t", pk: "1", body: [0x7B, 0x7D], condition: .absent))
        #expect(
            try request.encoded() == [
                0x0A, 0x0E, 0x08, 1, 0x12, 1, 0x74, 0x1A, 1, 0x31, 0x22, 2, 0x7B, 0x7D, 0x28, 2,
            ])
    }

    @Test func `an error travels with its members`() throws {
        let error = ThemisError(
            .historyGone, "gone", fields: [FieldError("from_seq", "too old")],
            members: [("oldest_sequence", .number(7)), ("epoch", .text("e"))], outcome: .unknown, retryAfterSeconds: 3)
        let copy = try ThemisError(decoding: error.encoded())
        #expect(copy.code == .historyGone && copy.message == "gone" && copy.fields == error.fields)
        #expect(copy.members.map(\.name) == ["oldest_sequence", "epoch"])
        #expect(copy.members.map(\.value) == [.number(7), .text("e")])
        #expect(copy.outcome == .unknown && copy.retryAfterSeconds == 3)
    }

    @Test func `an error reaches the caller however long its texts are and whatever they quote`() throws {
        let rows = (0..<500).map { FieldError("field\($0)", "x") }
        let long = ThemisError(.invalidRequest, "a\0b" + String(repeating: "é", count: 100_000), fields: rows)
        let copy = try ThemisError(decoding: long.encoded())
        #expect(copy.message.utf8.count <= 4 << 10)
        #expect(copy.message.hasPrefix("a\u{FFFD}bé"))
        #expect(copy.fields.count == 64)
    }

    @Test func `an unknown error code is read as internal`() throws {
        // Code 4660, message "m".
        #expect(try ThemisError(decoding: [0x08, 0xB4, 0x24, 0x12, 1, 0x6D]).code == .internalError)
    }

    @Test func `a text with a zero character is refused before it is sent`() {
        #expect(throws: ThemisError.self) { try DeleteRangeRequest(table: "t", prefix: "a\0b").encoded() }
        #expect(throws: ThemisError.self) { try GetRequest(table: "t", pk: "1", fields: ["a\0"]).encoded() }
    }

    @Test func `a text that is not UTF-8 is refused`() {
        let error = #expect(throws: ThemisError.self) { try TableRequest(decoding: [0x0A, 2, 0xC3, 0x28]) }
        #expect(error?.message == "message member name is not UTF-8")
    }

    @Test func `a word that nobody knows is refused`() {
        #expect(throws: ThemisError.self) { try OperationMessage(decoding: [0x08, 9, 0x12, 1, 0x74]) }
        #expect(throws: ThemisError.self) { try OperationMessage(decoding: [0x08, 1, 0x28, 9]) }
    }

    @Test func `a frame nested 250000 deep is a clear error or skipped, never a crash`() throws {
        // Written from the inside out, backwards: the cost of the test stays linear.
        var reversed: [UInt8] = []
        for _ in 0..<250_000 {
            var length: [UInt8] = []
            length.appendVarint(UInt64(reversed.count))
            reversed.append(contentsOf: length.reversed())
            reversed.append(0x0A)
        }
        // And one whose lengths do not add up.
        var open: [UInt8] = []
        for depth in 0..<250_000 {
            open.append(0x0A)
            open.appendVarint(UInt64((250_000 - depth) * 4))
        }
        for bytes in [Array(reversed.reversed()), open] {
            #expect(throws: ThemisError.self) { try WriteRequest(decoding: bytes) }
            #expect(throws: ThemisError.self) { try WriteAtomicRequest(decoding: bytes) }
            #expect(throws: ThemisError.self) { try JobResponse(decoding: bytes) }
        }
    }

    @Test func `a frame of empty submessages is a clear error within bounded memory`() throws {
        // One mebibyte of empty error fields: protobuf-c alone would take 76 MiB for it.
        var bytes: [UInt8] = []
        while bytes.count < 1 << 20 { bytes += [0x1A, 0] }
        let error = #expect(throws: ThemisError.self) { try ThemisError(decoding: bytes) }
        #expect(error?.code == .invalidRequest)
        #expect(error?.message.contains("needs more than \(4 * (1 << 20) + (32 << 10)) bytes") == true)
        // And a list of them ends at its limit.
        var elements: [UInt8] = []
        while elements.count < 1 << 20 { elements += [0x0A, 0] }
        #expect(throws: ThemisError.self) { try MultiGetRequest(decoding: elements) }
    }

    @Test func `a list has no more elements than its limit`() throws {
        let key = EntityMessage(table: "t", pk: "1")
        let full = try MultiGetRequest(keys: Array(repeating: key, count: Limits.pageEntities)).encoded()
        #expect(try MultiGetRequest(decoding: full).keys.count == Limits.pageEntities)
        let over = try MultiGetRequest(keys: Array(repeating: key, count: Limits.pageEntities + 1)).encoded()
        #expect(throws: ThemisError.self) { try MultiGetRequest(decoding: over) }
    }

    @Test func `a batch of small deletions fits the arena`() throws {
        let delete = OperationMessage(kind: .delete, table: "t", pk: "1")
        let batch = WriteAtomicRequest(operations: Array(repeating: delete, count: Limits.atomicOperations))
        #expect(try WriteAtomicRequest(decoding: batch.encoded()).operations.count == Limits.atomicOperations)
        let fields = (0..<256).map { "f\($0)" }
        #expect(try GetRequest(decoding: GetRequest(table: "t", pk: "1", fields: fields).encoded()).fields == fields)
    }

    @Test func `random bytes are a message or an error`() {
        var random = SeededRandom(seed: 7)
        for _ in 0..<4_000 {
            let bytes = (0..<Int.random(in: 0..<60, using: &random)).map { _ in
                Bool.random(using: &random)
                    ? UInt8([0x0A, 0x12, 0x1A, 0x08, 2, 1].randomElement(using: &random)!)
                    : UInt8.random(in: 0...255, using: &random)
            }
            _ = try? WriteRequest(decoding: bytes)
            _ = try? ListResponse(decoding: bytes)
            _ = try? ChangesPage(decoding: bytes)
            _ = try? ThemisError(decoding: bytes)
            _ = try? JobListResponse(decoding: bytes)
        }
    }
}
