import Synchronization
import Testing
import ThemisBase
import ThemisDatabase
import ThemisStorage
import ThemisTelemetry
import ThemisTestKit

@Suite struct FaultTests {
    @Test func `a full disk refuses writes and the committer lives on`() throws {
        let engine = FaultyEngine()
        let fixture = try DatabaseFixture(engine: engine)
        try fixture.put("a:1", #"{"v":1}"#)
        engine.fail(commit: 1, .refuse(.diskFull))
        let error = thrown { try fixture.put("new:1", "{}") }
        #expect(error?.code == .diskFull && error?.outcome == .notCommitted)
        #expect(fixture.database.tables().count == 1)
        #expect(fixture.database.durableSequence == 1)
        let next = try fixture.put("a:1", #"{"v":2}"#)
        #expect(next.sequence == 2)
        #expect(try fixture.put("new:1", "{}").sequence == 3)
        #expect(try fixture.changes().changes.map(\.sequence) == [1, 2, 3])
        #expect(fixture.database.tables().map(\.entities) == [1, 1])
    }

    @Test func `what was ordered behind a refused batch is refused with it`() throws {
        let engine = FaultyEngine()
        let fixture = try DatabaseFixture(engine: engine)
        try fixture.put("a:1", #"{"v":0}"#)
        engine.hold()
        engine.fail(commit: 1, .refuse(.diskFull))
        let answers = try (1...50).map { index in
            fixture.submit(WriteOperation(try DatabaseFixture.key("a:1"), .put(Array(#"{"v":\#(index)}"#.utf8))))
        }
        engine.release()
        var committed = 0
        for answer in answers {
            switch answer.result() {
            case .success: committed += 1
            case .failure(let error): #expect(error.code == .diskFull && error.outcome == .notCommitted)
            }
        }
        #expect(committed < 50)
        let changes = try fixture.changes().changes
        #expect(changes.map(\.sequence) == Array(1...SequenceNumber(committed + 1)))
        #expect(zip(changes.dropFirst(), changes).allSatisfy { $0.previousVersion == $1.version })
    }

    @Test(arguments: [true, false])
    func `after a failed sync nothing is known and nothing more is written`(isKept: Bool) throws {
        let engine = FaultyEngine()
        let time = ManualTime()
        var options = DatabaseOptions()
        let noted = FatalNote()
        options.onFatal = { noted.add($0.code) }
        let fixture = try DatabaseFixture(engine: engine, time: time, options: options)
        try fixture.put("a:1", #"{"v":1}"#)
        engine.fail(commit: 1, isKept ? .keepSync : .loseSync)
        let error = thrown { try fixture.put("a:1", #"{"v":2}"#) }
        #expect(error?.code == .commitUnknown && error?.outcome == .unknown)
        #expect(noted.codes == [.commitUnknown])
        let later = thrown { try fixture.put("a:1", #"{"v":3}"#) }
        #expect(later?.code == .shuttingDown && later?.outcome == .notCommitted)
        #expect(fixture.database.durableSequence == 1)
        #expect(try fixture.changes().changes.count == 1)
        fixture.database.close()

        let reopened = try DatabaseFixture(engine: engine.crash(), time: time)
        #expect(try reopened.document("a:1") == (isKept ? #"{"v":2}"# : #"{"v":1}"#))
        #expect(try reopened.put("a:1", "{}").sequence == (isKept ? 3 : 2))
    }

    @Test func `a deadline before the order writes nothing`() throws {
        let engine = FaultyEngine()
        let time = ManualTime()
        let fixture = try DatabaseFixture(engine: engine, time: time)
        var context = WriteContext()
        context.call.deadlineNanoseconds = time.monotonicNanoseconds()
        let late = thrown { try fixture.put("a:1", "{}", context) }
        #expect(late?.code == .deadlineExceeded && late?.outcome == .notCommitted)
        context.call.deadlineNanoseconds = .max
        context.call.cancellation = CancellationFlag()
        context.call.cancellation?.cancel()
        let cancelled = thrown { try fixture.put("a:1", "{}", context) }
        #expect(cancelled?.code == .cancelled && cancelled?.outcome == .notCommitted)
        #expect(fixture.database.durableSequence == 0)
    }

    @Test func `a full queue refuses and says when to come again`() throws {
        let engine = FaultyEngine()
        var options = DatabaseOptions()
        options.queuedOperations = 4
        let fixture = try DatabaseFixture(engine: engine, options: options)
        engine.hold()
        let answers = try (0..<6).map { index in
            fixture.submit(WriteOperation(try DatabaseFixture.key("a:\(index)"), .put(Array("{}".utf8))))
        }
        for answer in answers[4...] {
            guard case .failure(let error) = answer.result() else {
                Issue.record("the queue is bounded")
                continue
            }
            #expect(error.code == .overloaded && error.outcome == .notCommitted && error.retryAfterSeconds == 1)
        }
        engine.release()
        for answer in answers[..<4] { _ = try answer.get() }
        // The place in the queue is free a moment after the answer.
        try Patience.wait(10, "a place in the queue") { (try? fixture.put("a:9", "{}").created) == true }
    }

    @Test func `closing answers what was accepted and refuses what comes later`() throws {
        let engine = FaultyEngine()
        let fixture = try DatabaseFixture(engine: engine)
        let answers = try (0..<100).map { index in
            fixture.submit(WriteOperation(try DatabaseFixture.key("a:\(index)"), .put(Array("{}".utf8))))
        }
        fixture.database.close()
        for answer in answers { _ = try answer.get() }
        #expect(errorCode { try fixture.put("a:1", "{}") } == .shuttingDown)
        #expect(try DatabaseFixture(engine: engine.crash()).database.durableSequence == 100)
    }

    @Test func `relaxed writes are answered before the disk and shown after it`() throws {
        let engine = FaultyEngine()
        var options = DatabaseOptions()
        options.durability = .relaxed
        let fixture = try DatabaseFixture(engine: engine, time: ManualTime(), options: options)
        let result = try fixture.put("a:1", "{}")
        #expect(!result.durable)
        #expect(try fixture.document("a:1") == "{}")
        #expect(fixture.database.durableSequence == 0)
        #expect(try fixture.changes().changes.isEmpty)
        fixture.database.close()
        #expect(try DatabaseFixture(engine: engine.crash()).document("a:1") == "{}")
    }
}

/// Errors that ended a database.
final class FatalNote: Sendable {
    private let noted = Mutex<[ErrorCode]>([])
    func add(_ code: ErrorCode) { noted.withLock { $0.append(code) } }
    var codes: [ErrorCode] { noted.withLock { $0 } }
}
