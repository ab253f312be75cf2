import Synchronization
import Testing
import ThemisBase
import ThemisStorage

@testable import ThemisDatabase

@Suite struct IdempotencyTests {
    static func context(_ key: String, _ fingerprint: UInt8 = 1, principal: String = "ann") throws -> WriteContext {
        WriteContext(
            principal: principal,
            idempotency: try IdempotencyToken(key: key, fingerprint: [UInt8](repeating: fingerprint, count: 32)))
    }

    @Test func `a repeated write gives the first answer and writes nothing`() throws {
        let fixture = try DatabaseFixture()
        let first = try fixture.put("a:1", #"{"x":1}"#, if: .absent, Self.context("k"))
        try fixture.put("a:1", #"{"x":2}"#)
        let again = try fixture.put("a:1", #"{"x":1}"#, if: .absent, Self.context("k"))
        #expect(again.replayed && again.sequence == first.sequence && again.created)
        #expect(try fixture.document("a:1") == #"{"x":2}"#)
        #expect(fixture.database.durableSequence == 2)
    }

    @Test func `another request under the same key is refused`() throws {
        let fixture = try DatabaseFixture()
        try fixture.put("a:1", "{}", Self.context("k"))
        #expect(errorCode { try fixture.put("a:2", "{}", Self.context("k", 2)) } == .idempotencyMismatch)
        #expect(try fixture.put("a:2", "{}", Self.context("k", 2, principal: "bob")).created)
    }

    @Test func `only what was committed is remembered`() throws {
        let fixture = try DatabaseFixture()
        #expect(errorCode { try fixture.put("a:1", "{}", if: .exists, Self.context("k")) } == .preconditionFailed)
        #expect(try fixture.put("a:1", "{}", Self.context("k", 2)).created)
    }

    @Test func `a duplicate in flight waits for the first`() throws {
        let engine = FaultyEngine()
        let fixture = try DatabaseFixture(engine: engine)
        engine.hold()
        let operation = WriteOperation(try DatabaseFixture.key("a:1"), .put(Array("{}".utf8)), if: .absent)
        let first = fixture.submit(operation, try Self.context("k"))
        let second = fixture.submit(operation, try Self.context("k"))
        let other = fixture.submit(operation, try Self.context("k", 2))
        #expect(!first.isSet && !second.isSet)
        engine.release()
        let answers = try [first.get(), second.get()]
        #expect(answers.map(\.sequence) == [1, 1])
        #expect(answers.map(\.replayed) == [false, true])
        #expect(errorCode { _ = try other.get() } == .idempotencyMismatch)
    }

    @Test func `the answer survives a crash and is forgotten after a day`() throws {
        let engine = FaultyEngine()
        let time = ManualTime()
        var fixture = try DatabaseFixture(engine: engine, time: time)
        let operations = try (0..<100).map { index in
            WriteOperation(
                try DatabaseFixture.key("a:\(index)"), index % 3 == 2 ? .delete : .put(Array("{}".utf8)))
        }
        let first = try fixture.atomic(operations, Self.context("k"))
        fixture = try DatabaseFixture(engine: engine.crash(), time: time)
        let again = try fixture.atomic(operations, Self.context("k"))
        #expect(again.sequence == first.sequence)
        #expect(
            zip(again.results, first.results).allSatisfy { $0.sequence == $1.sequence && $0.created == $1.created && $0.replayed }
        )
        time.advance(milliseconds: Limits.idempotencyMilliseconds)
        #expect(try fixture.put("a:500", "{}", Self.context("k", 9)).sequence == first.sequence + 1)
        #expect(fixture.database.published.current.idempotency.keys == 1)
    }

    @Test func `old keys are pruned and counted down`() throws {
        let time = ManualTime()
        let fixture = try DatabaseFixture(time: time)
        for index in 0..<600 { try fixture.put("a:\(index)", "{}", Self.context("k\(index)")) }
        time.advance(milliseconds: Limits.idempotencyMilliseconds / 2)
        try fixture.put("a:x", "{}", Self.context("young"))
        #expect(try fixture.database.pruneIdempotencyKeys() == 0)
        time.advance(milliseconds: Limits.idempotencyMilliseconds / 2 + 1)
        // Used again after its time: only the old place in time goes.
        try fixture.put("a:0", "{}", Self.context("k0", 5))
        _ = try fixture.database.pruneIdempotencyKeys()
        #expect(fixture.database.published.current.idempotency.keys == 2)
        #expect(try fixture.put("a:0", "{}", Self.context("k0", 5)).replayed)
        #expect(try fixture.put("a:x", "{}", Self.context("young")).replayed)
        #expect(try fixture.engine.snapshot().scan(.idempotency, from: [], to: nil, reverse: false).count() == 4)
    }

    @Test func `answers of ten thousand operations fit and come back`() throws {
        var results: [OperationResult] = []
        var sequence: SequenceNumber = 77
        for index in 0..<Limits.atomicOperations {
            switch index % 5 {
            case 0: results.append(OperationResult(version: sequence, sequence: sequence, created: true))
            case 1: results.append(OperationResult(version: sequence, sequence: sequence, created: false))
            case 2: results.append(OperationResult(sequence: sequence, deleted: true))
            case 3:
                results.append(OperationResult())
                continue
            default:
                sequence += 1
                results.append(OperationResult(version: sequence, sequence: sequence, created: true))
            }
            sequence += 1
        }
        let bytes = IdempotencyRecord.encode(fingerprint: [UInt8](repeating: 3, count: 32), timestamp: 5, results: results)
        #expect(bytes.count <= Limits.idempotencyAnswerBytes)
        #expect(try IdempotencyRecord.decode(bytes).results == results)
        for length in 0..<min(bytes.count, 60) {
            #expect(errorCode { _ = try IdempotencyRecord.decode(Array(bytes[..<length])) } == .dataCorrupt)
        }
    }

    @Test func `index writes under one key are done once, in one batch, after a crash, and at the same time`() throws {
        let engine = FaultyEngine()
        let fixture = try DatabaseFixture(engine: engine)
        for number in 0..<20 { try fixture.put("t:\(number)", #"{"a":\#(number)}"#) }
        let token = try IdempotencyToken(key: "k", fingerprint: Array(repeating: 7, count: 32))
        let definition = try DatabaseFixture.definition("range", "a")
        @Sendable func create(_ database: Database) throws -> KeptAnswer {
            try database.createIndex(definition, once: token, principal: "p") { index, created, job in
                Array("\(index.definition.name) \(created) \(job == nil)".utf8)
            }
        }
        // Sixteen at once: one does it, the others hear of it.
        let gathered = Mutex<[KeptAnswer]>([])
        let threads = (0..<16).map { number in
            WorkThread(name: "create-\(number)") {
                do {
                    let answer = try create(fixture.database)
                    gathered.withLock { $0.append(answer) }
                } catch { Issue.record("thread \(number): \(error)") }
            }
        }
        for thread in threads { thread.join() }
        let answers = gathered.withLock { $0 }
        #expect(Set(answers.map(\.text)) == [Array("a true false".utf8)])
        #expect(answers.count { !$0.replayed } == 1)
        try fixture.finishAllJobs()
        #expect(try fixture.database.indexes().count == 1)
        let table = try TableName(validating: "t")
        _ = try fixture.database.dropIndex(table, columns: definition.columns)
        engine.kill()
        fixture.database.close()
        let reopened = try DatabaseFixture(engine: FaultyEngine(after: engine))
        let again = try create(reopened.database)
        #expect(again.replayed && again.text == Array("a true false".utf8))
        #expect(try reopened.database.indexes().isEmpty)
        let other = try IdempotencyToken(key: "k", fingerprint: Array(repeating: 8, count: 32))
        let drop = thrown {
            _ = try reopened.database.dropIndex(table, columns: definition.columns, once: other, principal: "p") { _ in [] }
        }
        #expect(drop?.code == .idempotencyMismatch)
        let fresh = try IdempotencyToken(key: "l", fingerprint: Array(repeating: 8, count: 32))
        let missing = thrown {
            _ = try reopened.database.dropIndex(table, columns: definition.columns, once: fresh, principal: "p") { _ in [] }
        }
        #expect(missing?.code == .notFound, "what is refused keeps no key")
        reopened.time.advance(milliseconds: Limits.idempotencyMilliseconds)
        #expect(try create(reopened.database).replayed == false, "after a day it is a new request")
    }

    @Test func `an index whose answer could not be kept is refused under a key, and nothing is made`() throws {
        let fixture = try DatabaseFixture()
        let columns = (0..<8).map { String(repeating: "c", count: 400) + "\($0)" }
        let definition = try IndexDefinition(
            table: TableName(validating: "t"), type: "composite", columns: try columns.map { try JSONPath($0) }, isUnique: false)
        let token = try IdempotencyToken(key: "k", fingerprint: Array(repeating: 7, count: 32))
        let refused = thrown { _ = try fixture.database.createIndex(definition, once: token, principal: "") { _, _, _ in [] } }
        #expect(refused?.code == .unprocessable && refused?.fields.map(\.field) == ["Idempotency-Key"])
        #expect(try fixture.database.indexes().isEmpty)
    }
}
