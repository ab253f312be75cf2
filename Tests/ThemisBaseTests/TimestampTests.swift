import Foundation
import Testing
import ThemisBase
import ThemisTestKit

@Suite struct TimestampTests {
    @Test(arguments: [
        (0, "1970-01-01T00:00:00.000Z"), (-1, "1969-12-31T23:59:59.999Z"), (951_782_400_000, "2000-02-29T00:00:00.000Z"),
        (1_795_513_169_503, "2026-11-24T09:39:29.503Z"), (4_102_444_799_999, "2099-12-31T23:59:59.999Z"),
    ])
    func `known points of time read as they should`(milliseconds: Int64, text: String) {
        #expect(Timestamp.text(milliseconds: milliseconds) == text)
    }

    @Test func `any point of time equals what another implementation says`() {
        var random = SeededRandom(seed: Seed.current())
        let formatter = ISO8601DateFormatter()
        formatter.formatOptions = [.withInternetDateTime]
        for _ in 0..<2_000 {
            // Years 1600–9999; Foundation's own formatter rounds milliseconds, so that whole seconds are compared.
            let seconds = Int64(random.next() % 265_000_000_000) - 11_600_000_000
            let text = Timestamp.text(milliseconds: seconds * 1_000)
            #expect(text == formatter.string(from: Date(timeIntervalSince1970: Double(seconds))).dropLast() + ".000Z")
        }
    }
}
