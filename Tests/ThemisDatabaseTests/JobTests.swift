import Testing
import ThemisBase
import ThemisDatabase
import ThemisStorage

@Suite struct JobTests {
    private func wait(_ fixture: DatabaseFixture, _ id: String) throws -> Job {
        for _ in 0..<10_000 {
            let job = try #require(fixture.database.job(id))
            if job.state != .running { return job }
            // The job's own writes are what is waited for.
            try fixture.put("tick:1", "{}")
        }
        throw ThemisError(.deadlineExceeded, "the job does not end")
    }

    @Test func `deleting a range removes each entity with a record of its own`() throws {
        let engine = MemoryEngine()
        let fixture = try DatabaseFixture(engine: engine)
        for index in 0..<700 { try fixture.put("a:x\(index)", "{}") }
        try fixture.put("a:y", "{}")
        let before = fixture.database.durableSequence
        let job = try fixture.database.deleteRange(TableName(validating: "a"), prefix: "x")
        let ended = try wait(fixture, job.id)
        #expect(ended.state == .done && ended.done == 700 && ended.kind == "delete_range")
        #expect(fixture.database.table(TableName(stored: "a"))?.entities == 1)
        let changes = try fixture.changes(after: before, filter: ChangesFilter(table: TableName(validating: "a"))).changes
        #expect(changes.count == 700 && changes.allSatisfy { $0.type == .delete && $0.cause == .range })
        #expect(errorCode { _ = try fixture.database.deleteRange(TableName(validating: "none")) } == .notFound)
        fixture.database.close()
        let reopened = try DatabaseFixture(engine: engine)
        #expect(reopened.database.job(job.id)?.state == .done)
    }

    @Test func `a range deletion goes on after a crash and spares what came later`() throws {
        let engine = FaultyEngine()
        let fixture = try DatabaseFixture(engine: engine)
        for index in 0..<600 { try fixture.put("a:\(index)", "{}") }
        engine.fail(commit: 3, .loseSync)
        let job = try fixture.database.deleteRange(TableName(validating: "a"))
        while fixture.database.job(job.id)?.state == .running {}
        fixture.database.close()
        let after = try DatabaseFixture(engine: engine.crash())
        let ended = try wait(after, job.id)
        #expect(ended.state == .done)
        #expect(after.database.table(TableName(stored: "a"))?.entities == 0)
        try after.put("a:new", "{}")
        #expect(try after.document("a:new") == "{}")
    }

    @Test func `a job can be stopped and reports its failure`() throws {
        let fixture = try DatabaseFixture()
        let running = Answer<Bool>()
        let job = try fixture.database.startJob(kind: "compact", detail: "entities") { progress in
            progress.report(done: 1, total: 2)
            running.set(.success(true))
            while !progress.cancellation.isCancelled {}
        }
        _ = try running.get()
        #expect(fixture.database.job(job.id)?.done == 1)
        #expect(fixture.database.cancelJob(job.id)?.state == .running)
        #expect(try wait(fixture, job.id).state == .cancelled)
        let failing = try fixture.database.startJob(kind: "compact", detail: "") { _ throws(ThemisError) in
            throw ThemisError(.diskFull, "no room")
        }
        let ended = try wait(fixture, failing.id)
        #expect(ended.state == .failed && ended.error?.code == .diskFull)
        #expect(fixture.database.cancelJob("none") == nil)
        #expect(fixture.database.jobs().map(\.id) == [failing.id, job.id])
    }

    @Test func `only the last jobs are remembered, and closing twice is harmless`() throws {
        let fixture = try DatabaseFixture()
        for number in 0..<130 {
            let job = try fixture.database.startJob(kind: "compact", detail: "\(number)") { _ in }
            _ = try wait(fixture, job.id)
        }
        #expect(fixture.database.jobs().count <= 101)
        #expect(fixture.database.jobs().first?.detail == "129")
        fixture.database.close()
        fixture.database.close()
        #expect(errorCode { _ = try fixture.database.startJob(kind: "compact", detail: "") { _ in } } == .shuttingDown)
    }
}
