/// Counts of latencies in nanoseconds, 128 steps for each power of two: an error below 0.8 %, a fixed size, no loss at the far end.
struct Histogram {
    private var counts = [UInt64](repeating: 0, count: 64 * 128)
    /// How many were recorded.
    private(set) var count: UInt64 = 0
    /// The greatest one, in nanoseconds.
    private(set) var max: UInt64 = 0

    /// Adds one latency.
    mutating func record(_ nanoseconds: UInt64) {
        counts[Self.slot(nanoseconds)] += 1
        count += 1
        if nanoseconds > max { max = nanoseconds }
    }

    /// The latency that the share `quantile` of all did not exceed, in microseconds; 0 without any.
    func microseconds(_ quantile: Double) -> Double {
        guard count > 0 else { return 0 }
        let wanted = UInt64((Double(count) * quantile).rounded(.up))
        var seen: UInt64 = 0
        for (slot, number) in counts.enumerated() where number > 0 {
            seen += number
            if seen >= wanted { return Double(min(Self.upperEnd(slot), max)) / 1_000 }
        }
        return Double(max) / 1_000
    }

    private static func slot(_ value: UInt64) -> Int {
        guard value >= 256 else { return Int(value) }
        let shift = 56 - value.leadingZeroBitCount
        return shift * 128 + Int(value >> UInt64(shift))
    }

    private static func upperEnd(_ slot: Int) -> UInt64 {
        guard slot >= 256 else { return UInt64(slot) }
        let shift = slot / 128 - 1
        return (UInt64(slot - shift * 128 + 1) << UInt64(shift)) - 1
    }
}
