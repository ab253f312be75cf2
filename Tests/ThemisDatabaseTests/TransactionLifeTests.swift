import Foundation
import Synchronization
import Testing
import ThemisBase
import ThemisDatabase
import ThemisStorage
import ThemisTelemetry
import ThemisTestKit

/// How transactions begin, last and end: clocks, bounds, restarts.
@Suite struct TransactionLifeTests {
    @Test func `a transaction that is left alone for 30 seconds has ended`() throws {
        let fixture = try DatabaseFixture()
        let transaction = try fixture.begin()
        try transaction.put("t:1", "{}")
        for _ in 0..<5 {
            fixture.time.advance(milliseconds: Limits.transactionIdleMilliseconds - 1)
            #expect(try transaction.get("t:1") == "{}")
        }
        fixture.time.advance(milliseconds: Limits.transactionIdleMilliseconds)
        let error = thrown { _ = try transaction.get("t:1") }
        #expect(error?.code == .transactionExpired)
        #expect(error?.outcome == .notCommitted)
        #expect(errorCode { try transaction.commit() } == .transactionExpired)
        #expect(errorCode { try transaction.rollBack() } == .transactionExpired)
        #expect(try fixture.document("t:1") == nil)
        #expect(fixture.database.transactionStatistics.expired == 1)
        #expect(fixture.database.transactionStatistics.open == 0)
    }

    @Test func `a transaction that lasts longer than its timeout has ended, however busy it is`() throws {
        let fixture = try DatabaseFixture()
        let short = try fixture.begin(timeoutMilliseconds: 50_000)
        let long = try fixture.begin()
        try short.put("t:1", "{}")
        for step in 1...30 {
            fixture.time.advance(milliseconds: 10_000)
            #expect(errorCode { _ = try short.get("t:1") } == (step < 5 ? nil : .transactionExpired), "\(step)")
            #expect(errorCode { _ = try long.get("t:1") } == (step < 30 ? nil : .transactionExpired), "\(step)")
        }
        // The wall clock says nothing about it.
        let transaction = try fixture.begin()
        fixture.time.leap(milliseconds: 3_600_000)
        #expect(try transaction.get("t:1") == nil)
        #expect(errorCode { _ = try fixture.begin(timeoutMilliseconds: 0) } == .invalidRequest)
        #expect(errorCode { _ = try fixture.begin(timeoutMilliseconds: Limits.transactionMilliseconds + 1) } == .invalidRequest)
    }

    @Test func `what has ended by the clock holds nothing`() throws {
        let fixture = try DatabaseFixture()
        let transaction = try fixture.begin()
        try transaction.put("t:1", #"{"text":"\#(String(repeating: "x", count: 10_000))"}"#)
        _ = try transaction.list("t")
        #expect(fixture.database.transactionStatistics.heldBytes > 10_000)
        fixture.time.advance(milliseconds: Limits.transactionIdleMilliseconds)
        fixture.database.expireTransactions()
        #expect(fixture.database.transactionStatistics.heldBytes == 0)
        #expect(fixture.database.transactionStatistics.expired == 1)
    }

    @Test func `a transaction that is rolled back leaves no trace`() throws {
        let fixture = try DatabaseFixture()
        let transaction = try fixture.begin()
        try transaction.put("t:1", "{}")
        try transaction.rollBack()
        #expect(errorCode { try transaction.put("t:1", "{}") } == .transactionExpired)
        #expect(errorCode { try transaction.rollBack() } == .transactionExpired)
        #expect(fixture.database.tables().isEmpty)
        #expect(fixture.database.durableSequence == 0)
        #expect(fixture.database.transactionStatistics.rolledBack == 1)
    }

    @Test func `one that began before the kept history is too old, and a younger one is not`() throws {
        var options = DatabaseOptions()
        options.transactionHistoryBytes = 64 << 10
        let fixture = try DatabaseFixture(options: options)
        let old = try fixture.begin()
        try old.put("old:1", "{}")
        func write(_ count: Int) throws { for number in 0..<count { try fixture.put("t:\(number)", "{}") } }
        try write(500)
        let young = try fixture.begin()
        try young.put("young:1", "{}")
        try write(400)
        try young.commit()
        try write(2_000)
        let error = thrown { try old.commit() }
        #expect(error?.code == .transactionTooOld)
        #expect(error?.code.isRetryable == true)
        #expect(try fixture.document("old:1") == nil)
        // With nobody to compare, nothing is kept.
        try write(600)
        #expect(fixture.database.transactionStatistics.historyBytes < 64 << 10)
    }

    @Test func `a conflict is found however much was committed since`() throws {
        let fixture = try DatabaseFixture()
        try fixture.put("t:x", "{}")
        let (loser, winner) = (try fixture.begin(), try fixture.begin())
        for transaction in [loser, winner] {
            _ = try transaction.get("t:x")
            try transaction.put("out:\(transaction.reference.id.low)", "{}")
        }
        let groups = try (0..<30).map { group in
            try (0..<300).map { WriteOperation(try DatabaseFixture.key("t:\(group)_\($0)"), .put(Array("{}".utf8))) }
        }
        for group in groups.prefix(15) { try fixture.atomic(group) }
        try winner.commit()
        try fixture.put("t:x", "{}")
        for group in groups.suffix(15) { try fixture.atomic(group) }
        #expect(errorCode { try loser.commit() } == .transactionConflict)
    }

    @Test func `what was refused by the disk is no conflict, and what came in its place is one`() throws {
        let engine = FaultyEngine()
        let fixture = try DatabaseFixture(engine: engine)
        try fixture.put("t:1", "{}")
        let transaction = try fixture.begin()
        try transaction.put("t:1", "{}")
        let other = try fixture.begin()
        try other.put("t:2", "{}")
        engine.fail(commit: 1, .refuse(.diskFull))
        #expect(errorCode { try fixture.put("t:1", "{}") } == .diskFull)
        try transaction.commit()
        try fixture.put("t:2", "{}")
        #expect(errorCode { try other.commit() } == .transactionConflict)
    }

    @Test func `when the disk is full a commit may be sent again`() throws {
        let engine = FaultyEngine()
        let fixture = try DatabaseFixture(engine: engine)
        let transaction = try fixture.begin()
        try transaction.put("t:1", "{}")
        engine.fail(commit: 1, .refuse(.diskFull))
        #expect(errorCode { try transaction.commit() } == .diskFull)
        #expect(try transaction.get("t:1") == "{}")
        #expect(try transaction.commit().sequence == 1)
        #expect(try fixture.document("t:1") == "{}")
    }

    @Test func `a repeated commit has the first answer, also after a restart, for a day`() throws {
        let engine = FaultyEngine()
        let time = ManualTime()
        var fixture = try DatabaseFixture(engine: engine, time: time)
        let transaction = try fixture.begin(principal: "ada")
        try transaction.put("t:1", "{}")
        try transaction.put("t:2", "{}")
        let first = try transaction.commit()
        let again = try transaction.commit()
        #expect(again.sequence == first.sequence && again.results.allSatisfy(\.replayed))
        let after = try engine.crash()
        fixture = try DatabaseFixture(engine: after, time: time)
        let later = OpenTransaction(fixture: fixture, reference: transaction.reference)
        #expect(try later.commit().sequence == 2)
        #expect(
            try fixture.database.transactionState(transaction.reference) == .committed(sequence: 2, operations: 2))
        let stranger = TransactionReference(transaction.reference.id, principal: "eve")
        #expect(errorCode { _ = try fixture.database.transactionState(stranger) } == .transactionLost)
        #expect(try fixture.changes().changes.count == 2)
        time.advance(milliseconds: Limits.idempotencyMilliseconds + 1)
        let error = thrown { _ = try fixture.database.transactionState(transaction.reference) }
        #expect(error?.code == .transactionLost)
        #expect(error?.outcome == .unknown)
        #expect(try fixture.database.pruneIdempotencyKeys() == 1)
    }

    @Test(arguments: [false, true])
    func `the outcome of a commit that nobody answered can be asked after the restart`(isKept: Bool) throws {
        let engine = FaultyEngine()
        let time = ManualTime()
        let fixture = try DatabaseFixture(engine: engine, time: time)
        let transaction = try fixture.begin()
        try transaction.put("t:1", "{}")
        engine.fail(commit: 1, isKept ? .keepSync : .loseSync)
        let error = thrown { try transaction.commit() }
        #expect(error?.code == .commitUnknown)
        #expect(error?.outcome == .unknown)
        let reopened = try DatabaseFixture(engine: engine.crash(), time: time)
        if isKept {
            #expect(
                try reopened.database.transactionState(transaction.reference) == .committed(sequence: 1, operations: 1))
            #expect(try reopened.document("t:1") == "{}")
        } else {
            let lost = thrown { _ = try reopened.database.transactionState(transaction.reference) }
            #expect(lost?.code == .transactionLost)
            #expect(lost?.outcome == .notCommitted)
            #expect(try reopened.document("t:1") == nil)
        }
    }

    @Test func `outcomes take no room of idempotency keys, and go after a day beside them`() throws {
        let engine = MemoryEngine()
        let time = ManualTime()
        let fixture = try DatabaseFixture(engine: engine, time: time)
        let token = try IdempotencyToken(key: "k", fingerprint: [UInt8](repeating: 1, count: 32))
        try fixture.put("t:0", "{}", WriteContext(idempotency: token))
        func counted() throws -> [UInt8]? { try engine.get(.meta, Array("idempotency".utf8)) }
        let before = try counted()
        for number in 1...3 {
            let transaction = try fixture.begin()
            try transaction.put("t:\(number)", "{}")
            try transaction.commit()
        }
        #expect(try counted() == before)
        time.advance(milliseconds: Limits.idempotencyMilliseconds + 1)
        #expect(try fixture.database.pruneIdempotencyKeys() == 4)
        #expect(try counted() == [UInt8](repeating: 0, count: 16))
        #expect(try engine.snapshot().scan(.idempotency, from: [], to: nil, reverse: false).advance() == false)
    }

    @Test func `after a restart every request of a transaction says that it is lost`() throws {
        let rocks = try RocksDBFixture()
        let transaction = try rocks.fixture.begin()
        try transaction.put("t:1", "{}")
        try rocks.reopen()
        let later = OpenTransaction(fixture: rocks.fixture, reference: transaction.reference)
        #expect(errorCode { _ = try later.get("t:1") } == .transactionLost)
        #expect(errorCode { try later.put("t:1", "{}") } == .transactionLost)
        #expect(errorCode { _ = try later.list("t") } == .transactionLost)
        #expect(errorCode { _ = try later.query(#"{"table":"t"}"#) } == .transactionLost)
        #expect(errorCode { try later.rollBack() } == .transactionLost)
        let error = thrown { try later.commit() }
        #expect(error?.code == .transactionLost)
        #expect(error?.code.isRetryable == true)
        #expect(try rocks.fixture.document("t:1") == nil)
    }

    @Test func `a transaction of another principal and an id that was never given do not exist`() throws {
        let fixture = try DatabaseFixture()
        let transaction = try fixture.begin(principal: "ada")
        try transaction.put("t:1", "{}")
        let stranger = TransactionReference(transaction.reference.id, principal: "eve")
        #expect(errorCode { _ = try fixture.database.get(DatabaseFixture.key("t:1"), in: stranger) } == .transactionExpired)
        #expect(errorCode { try fixture.database.rollBack(stranger) } == .transactionExpired)
        let unknown = TransactionReference(TransactionID(high: transaction.reference.id.high, low: 0xFFFF_FFFF))
        #expect(errorCode { try fixture.database.rollBack(unknown) } == .notFound)
        try transaction.commit()
    }

    @Test func `as many transactions are open as may be, and one more is refused until one has ended`() throws {
        let fixture = try DatabaseFixture()
        let all = try (0..<Limits.transactions).map { _ in try fixture.begin() }
        let error = thrown { _ = try fixture.begin() }
        #expect(error?.code == .tooManyRequests)
        #expect(error?.retryAfterSeconds == 1)
        try all[7].rollBack()
        _ = try fixture.begin()
        #expect(errorCode { _ = try fixture.begin() } == .tooManyRequests)
        fixture.time.advance(milliseconds: Limits.transactionIdleMilliseconds)
        _ = try fixture.begin()
        #expect(fixture.database.transactionStatistics.open == 1)
    }

    @Test func `a write set is bounded in entities and bytes`() throws {
        let fixture = try DatabaseFixture()
        let many = try fixture.begin()
        for number in 0..<Limits.atomicOperations { try many.put("t:\(number)", "{}") }
        #expect(errorCode { try many.put("t:more", "{}") } == .transactionTooLarge)
        try many.put("t:1", #"{"again":1}"#)
        #expect(try many.commit().results.count == Limits.atomicOperations)
        let large = try fixture.begin()
        let text = #"{"text":"\#(String(repeating: "x", count: 8_000_000))"}"#
        for number in 0..<4 { try large.put("t:\(number)", text) }
        #expect(errorCode { try large.put("t:4", text) } == .transactionTooLarge)
        #expect(try large.get("t:4") == "{}")
        try large.delete("t:0")
        try large.put("t:4", text)
        #expect(try large.commit().results.count == 5)
    }

    @Test func `a read set is bounded, and ranges that touch count once`() throws {
        let fixture = try DatabaseFixture()
        try fixture.put("t:0", "{}")
        let reader = try fixture.begin()
        var read = 0
        func readMore() throws {
            let keys = try (0..<1_000).map { try DatabaseFixture.key("t:\(read + $0)") }
            _ = try fixture.database.multiGet(keys, in: reader.reference)
            read += 1_000
        }
        while read < Limits.transactionReads { try readMore() }
        #expect(errorCode { try readMore() } == .transactionTooLarge)
        // Others are not: a transaction in snapshot isolation notes no reads.
        let other = try fixture.begin(.snapshot)
        for _ in 0..<3 { _ = try other.list("t") }
        // The whole table is one range.
        _ = try reader.list("t")
        #expect(errorCode { try readMore() } == nil)
        try reader.put("out:1", "{}")
        try fixture.put("t:\(read + 1_000_000)", "{}")
        #expect(errorCode { try reader.commit() } == .transactionConflict)
    }

    @Test func `all open transactions together are bounded in memory`() throws {
        let fixture = try DatabaseFixture()
        let text = #"{"text":"\#(String(repeating: "x", count: 8_000_000))"}"#
        var open: [OpenTransaction] = []
        var error: ThemisError?
        while error == nil, open.count < 20 {
            let transaction = try fixture.begin()
            open.append(transaction)
            error = thrown { for number in 0..<4 { try transaction.put("t:\(number)", text) } }
        }
        #expect(error?.code == .overloaded)
        #expect(fixture.database.transactionStatistics.heldBytes <= Limits.transactionsBytes)
        for transaction in open { try transaction.rollBack() }
        #expect(fixture.database.transactionStatistics.heldBytes == 0)
    }

    @Test func `requests of one transaction may overlap`() throws {
        let fixture = try DatabaseFixture()
        let transaction = try fixture.begin()
        let failures = Mutex<[ErrorCode]>([])
        let threads = (0..<8).map { thread in
            WorkThread(name: "test-\(thread)") {
                for number in 0..<50 {
                    do {
                        try transaction.put("t:\(thread)_\(number)", "{}")
                        _ = try transaction.get("t:\(thread)_\(number)")
                    } catch { failures.withLock { $0.append((error as? ThemisError)?.code ?? .internalError) } }
                }
            }
        }
        for thread in threads { thread.join() }
        let refused = failures.withLock { $0 }
        // Two writes at the same moment may be too many; each was either done or refused.
        #expect(refused.allSatisfy { $0 == .conflict })
        #expect(try transaction.commit().results.count == 400 - refused.count)
    }

    @Test func `commits that are asked for at once have one answer`() throws {
        let engine = FaultyEngine()
        let fixture = try DatabaseFixture(engine: engine)
        let transaction = try fixture.begin()
        try transaction.put("t:1", "{}")
        engine.hold()
        let answers = (0..<5).map { _ in transaction.submitCommit() }
        #expect(errorCode { try transaction.put("t:2", "{}") } == .transactionExpired)
        #expect(errorCode { try transaction.rollBack() } == .conflict)
        engine.release()
        for answer in answers { #expect(try answer.get().sequence == 1) }
        #expect(try fixture.changes().changes.count == 1)
    }

    @Test(arguments: TransactionIsolation.allCases)
    func `a counter that 64 threads raise in transactions misses none`(isolation: TransactionIsolation) throws {
        let fixture = try DatabaseFixture()
        try fixture.put("a:n", #"{"n":0}"#)
        let conflicts = Atomic<Int>(0)
        let threads = (0..<64).map { thread in
            WorkThread(name: "test-\(thread)") {
                do {
                    var left = 4
                    while left > 0 {
                        let transaction = try fixture.begin(isolation)
                        let number = try #require(try transaction.number("a:n"))
                        try transaction.put("a:n", #"{"n":\#(number + 1)}"#)
                        do {
                            try transaction.commit()
                            left -= 1
                        } catch let error as ThemisError {
                            #expect(error.code == .transactionConflict)
                            conflicts.add(1, ordering: .relaxed)
                        }
                    }
                } catch { Issue.record("\(error)") }
            }
        }
        for thread in threads { thread.join() }
        #expect(try fixture.document("a:n") == #"{"n":256}"#)
        let counts = fixture.database.transactionStatistics
        #expect(counts.committed == 256)
        #expect(counts.conflicts == UInt64(conflicts.load(ordering: .relaxed)))
        #expect(counts.open == 0 && counts.heldBytes == 0)
    }
}
