import Testing
import ThemisBase
import ThemisDatabase
import ThemisStorage

/// Sweeps and clocks that leap.
@Suite struct TTLClockTests {
    private let table = TableName(stored: "t")

    private func fixture(_ engine: any StorageEngine = MemoryEngine(), _ time: ManualTime) throws -> DatabaseFixture {
        let fixture = try DatabaseFixture(engine: engine, time: time)
        _ = try fixture.database.putTable(table, TableSettingsChange(defaultTTLSeconds: 1_000_000))
        try fixture.put("t:1", "{}")
        _ = try fixture.database.sweepExpired()
        return fixture
    }

    @Test func `a wall clock that leaps ahead pauses the sweep until it is accepted`() throws {
        let time = ManualTime()
        let fixture = try fixture(MemoryEngine(), time)
        time.leap(milliseconds: 1_000_000_000)
        // Readers go by the clock; what is removed would be gone for good.
        #expect(try fixture.document("t:1") == nil)
        #expect(try fixture.database.sweepExpired().isPaused)
        #expect(errorCode { _ = try fixture.database.cleanExpired() } == .conflict)
        time.leap(milliseconds: -1_000_000_000)
        #expect(try fixture.document("t:1") != nil)
        #expect(try fixture.database.sweepExpired().isPaused)
        time.leap(milliseconds: 1_000_000_000)
        let job = try fixture.ended(fixture.database.cleanExpired(acceptsClock: true))
        #expect(job.done == 1)
        #expect(try !fixture.database.sweepExpired().isPaused)
    }

    @Test func `a clock that is set back and returns pauses nothing`() throws {
        let time = ManualTime()
        let fixture = try fixture(MemoryEngine(), time)
        time.leap(milliseconds: -10_000_000)
        #expect(try !fixture.database.sweepExpired().isPaused)
        time.leap(milliseconds: 10_050_000)
        #expect(try !fixture.database.sweepExpired().isPaused)
        // Slow drift adds up to any amount.
        for _ in 0..<10 {
            time.leap(milliseconds: 50_000)
            #expect(try !fixture.database.sweepExpired().isPaused)
        }
        time.leap(milliseconds: 60_001)
        #expect(try fixture.database.sweepExpired().isPaused)
    }

    @Test func `a commit under a wrong clock removes nothing early when the clock is right again`() throws {
        let time = ManualTime()
        let engine = MemoryEngine()
        let fixture = try fixture(engine, time)
        time.leap(milliseconds: 2_000_000_000)
        try fixture.put("other:1", "{}")
        time.leap(milliseconds: -2_000_000_000)
        fixture.database.close()
        let after = try DatabaseFixture(engine: engine, time: time)
        // The time of the database never goes back: the entity is expired for readers, but is kept while the wall clock says so.
        #expect(try after.database.sweepExpired().removed == 0)
        #expect(after.database.table(table)?.entities == 1)
        time.advance(milliseconds: 1_000_000_000)
        #expect(try after.database.sweepExpired().removed == 1)
    }

    @Test func `a start an hour ahead of everything known pauses, a start after as much time does not`() throws {
        let time = ManualTime()
        let engine = MemoryEngine()
        try fixture(engine, time).database.close()
        // The machine ran on: the monotonic clock knows it.
        time.advance(milliseconds: 100_000_000)
        let second = try DatabaseFixture(engine: engine, time: time)
        #expect(try !second.database.sweepExpired().isPaused)
        second.database.close()
        time.leap(milliseconds: 3_600_001)
        let third = try DatabaseFixture(engine: engine, time: time)
        #expect(try third.database.sweepExpired().isPaused)
        third.database.close()
        let fourth = try DatabaseFixture(engine: engine, time: time)
        _ = try fourth.ended(fourth.database.cleanExpired(acceptsClock: true))
        fourth.database.close()
        let fifth = try DatabaseFixture(engine: engine, time: time)
        #expect(try !fifth.database.sweepExpired().isPaused)
    }
}
