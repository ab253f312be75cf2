import Testing
import ThemisBase
import ThemisTestKit

@testable import ThemisDatabase

@Suite struct PaceTests {
    @Test func `work in the background is shared from a write of others on, for a tenth of a second`() throws {
        let time = ManualTime()
        let fixture = try DatabaseFixture(time: time)
        try fixture.put("t:1", "{}")
        var pace = Pace(fixture.database.published, time, restShare: 2)
        pace.rest()
        #expect(!pace.isShared)
        try fixture.put("t:1", "{}")
        pace.rest()
        #expect(pace.isShared)
        time.advance(milliseconds: 99)
        pace.rest()
        #expect(pace.isShared)
        time.advance(milliseconds: 1)
        pace.rest()
        #expect(!pace.isShared)
        // What the work itself writes does not count.
        try fixture.put("t:1", "{}")
        pace.rest(own: 1)
        #expect(!pace.isShared)
    }
}
