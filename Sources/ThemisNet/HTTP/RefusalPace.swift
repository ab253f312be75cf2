import ThemisBase

/// Sends refusals no faster than they may cost: a client that asks again at once, against its `Retry-After`, is refused again in its turn.
///
/// Reading a request and refusing it costs the loop as much as a good part of answering it. At several times the capacity refusals would
/// take the time of what is admitted; instead some refusals wait for up to a second, and with them their connections.
@NetLoop final class RefusalPace {
    private var waiting: [(exchange: HTTPExchange, error: ThemisError)] = []
    private var first = 0
    private var timer: LoopTimer?
    /// When the refusal after the last one is due, if they come at the full rate.
    private var nextNanoseconds: UInt64 = 0

    private static let intervalNanoseconds: UInt64 = 1_000_000_000 / UInt64(Limits.httpRefusalsPerSecond)
    /// What may be sent at once after a pause.
    private static let burstNanoseconds: UInt64 = 50_000_000
    private static let tickMilliseconds = 5

    /// Refusals that wait.
    var count: Int { waiting.count - first }

    /// Refuses `exchange` with `error`, now or in its turn.
    func refuse(_ exchange: HTTPExchange, _ error: ThemisError, nowNanoseconds now: UInt64) {
        if count == 0, takesTurn(now) { return exchange.fail(error) }
        exchange.awaitsRefusal = true
        waiting.append((exchange, error))
        let timer = timer ?? LoopTimer { [weak self, unowned server = exchange.server] in self?.go(server.nowNanoseconds) }
        self.timer = timer
        if !timer.isScheduled { timer.scheduleRepeating(milliseconds: Self.tickMilliseconds) }
    }

    private func takesTurn(_ now: UInt64) -> Bool {
        let earliest = now > Self.burstNanoseconds ? now - Self.burstNanoseconds : 0
        let due = max(nextNanoseconds, earliest)
        guard due <= now else { return false }
        nextNanoseconds = due + Self.intervalNanoseconds
        return true
    }

    private func go(_ now: UInt64) {
        while first < waiting.count, takesTurn(now) {
            let (exchange, error) = waiting[first]
            first += 1
            exchange.fail(error)
        }
        if first == waiting.count {
            waiting = []
            first = 0
            timer?.cancel()
        } else if first >= 1_024 {
            waiting.removeFirst(first)
            first = 0
        }
    }
}
