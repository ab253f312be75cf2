import ThemisNet

/// Says when requests are due. Without a rate they are due whenever a place is free (closed loop); with one they are due at fixed
/// times, whether or not the server keeps up (open loop), and a latency counts from the time that was meant.
@NetLoop final class Pace {
    private let intervalNanoseconds: Double
    private var began: UInt64 = 0
    private var issued = 0
    private var timer: LoopTimer?

    /// `rate` a second; nil for a closed loop.
    init(rate: Double?) { intervalNanoseconds = rate.map { 1e9 / $0 } ?? 0 }

    /// Whether there is no rate.
    var isClosed: Bool { intervalNanoseconds == 0 }

    /// Calls `due` often enough from now on; it asks `next`.
    func start(_ now: UInt64, _ due: @escaping @NetLoop () -> Void) {
        began = now
        guard !isClosed else { return }
        let timer = LoopTimer(due)
        timer.scheduleRepeating(milliseconds: 1)
        self.timer = timer
    }

    /// The time at which the next request was to be sent, when that has come.
    func next(_ now: UInt64) -> UInt64? {
        if isClosed { return now }
        let due = began + UInt64(Double(issued) * intervalNanoseconds)
        guard due <= now else { return nil }
        issued += 1
        return due
    }

    /// Nothing is due any more.
    func stop() { timer = nil }
}
