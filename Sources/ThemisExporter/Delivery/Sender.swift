import ThemisBase
import ThemisNet
import ThemisTelemetry

/// Brings the parcels of one signal to a collector, one request at a time. Lives on the loop.
@NetLoop final class Sender<Payload: Sendable> {
    private let path: String
    private let telemetry: Telemetry
    private let encode: @NetLoop ([Payload]) -> [UInt8]
    private var delivery: Delivery<Payload>
    private let counters: SignalCounters
    private var collector: Collector?
    private var random: SeededRandom
    private var timer: LoopTimer?
    private var isSending = false
    private var idle: [CheckedContinuation<Void, Never>] = []
    /// Called when there is room again.
    var onRoom: (@NetLoop () -> Void)?

    /// - Parameters:
    ///   - signal: `spans` or `metrics`, for the counters.
    ///   - encode: makes the body of a request.
    init(
        _ signal: String, path: String, _ options: Delivery<Payload>.Options, seed: UInt64, telemetry: Telemetry,
        encode: @escaping @NetLoop ([Payload]) -> [UInt8]
    ) {
        self.path = path
        self.telemetry = telemetry
        self.encode = encode
        delivery = Delivery(options)
        counters = SignalCounters(signal, telemetry.metrics)
        random = SeededRandom(seed: seed)
    }

    /// Whether another parcel is welcome.
    var hasRoom: Bool { delivery.hasRoom }

    /// Sends to another collector from now on, or to none; what waits for none is dropped.
    func configure(_ origin: HTTPOrigin?) {
        collector?.disconnect()
        collector = origin.map { Collector($0, path: path, telemetry: telemetry) }
        if origin == nil { delivery.dropAll(.disabled) }
        changed()
    }

    /// Takes a parcel.
    func add(_ payload: Payload, items: Int, bytes: Int) {
        delivery.add(.init(payload: payload, items: items, bytes: bytes), atMilliseconds: telemetry.time.monotonicMilliseconds())
        changed()
    }

    /// Counts what came and cannot be sent.
    func addDamaged(_ items: Int) {
        delivery.addDamaged(items)
        changed()
    }

    private func changed() {
        counters.show(delivery)
        pump()
    }

    private func pump() {
        guard collector != nil, !isSending else { return }
        let now = telemetry.time.monotonicMilliseconds()
        guard let due = delivery.due(atMilliseconds: now) else { return wakeIdle() }
        if due <= now {
            isSending = true
            NetLoop.spawn { await self.send() }
        } else {
            let timer = self.timer ?? LoopTimer { [weak self] in self?.pump() }
            self.timer = timer
            timer.schedule(milliseconds: Int(due - now))
        }
    }

    private func send() async {
        guard let collector, let batch = delivery.take(atMilliseconds: telemetry.time.monotonicMilliseconds()) else {
            isSending = false
            return
        }
        let body = batch.body ?? GzipBody.compress(encode(batch.parcels.map(\.payload)))
        let outcome: Delivery<Payload>.Outcome = await collector.post(body)
        delivery.conclude(
            outcome, body: body, atMilliseconds: telemetry.time.monotonicMilliseconds(), chance: Double.random(in: 0..<1, using: &random))
        isSending = false
        // The collector may have been taken away meanwhile.
        if self.collector == nil { delivery.dropAll(.disabled) }
        changed()
        onRoom?()
    }

    private func wakeIdle() {
        let waiting = idle
        idle = []
        for continuation in waiting { continuation.resume() }
    }

    /// Sends what waits at once, each batch a single time, and drops what is left after `milliseconds`.
    func finish(milliseconds: Int) async {
        delivery.isHurried = true
        pump()
        if collector != nil, delivery.waiting > 0 {
            let limit = LoopTimer { [weak self] in self?.wakeIdle() }
            limit.schedule(milliseconds: milliseconds)
            await withCheckedContinuation { idle.append($0) }
            limit.cancel()
        }
        delivery.dropAll(.stopping)
        counters.show(delivery)
        timer = nil
        collector?.disconnect()
        collector = nil
    }
}

/// The counters of one signal.
struct SignalCounters {
    private let queued: Counter
    private let sent: Counter
    private let dropped: [DropReason: Counter]
    private let retries: Counter
    private let waiting: Gauge

    init(_ signal: String, _ metrics: MetricRegistry) {
        queued = metrics.counter(.exporterQueued, signal)
        sent = metrics.counter(.exporterSent, signal)
        dropped = Dictionary(uniqueKeysWithValues: DropReason.allCases.map { ($0, metrics.counter(.exporterDropped, signal, $0.rawValue)) })
        retries = metrics.counter(.exporterRetries, signal)
        waiting = metrics.gauge(.exporterWaiting, signal)
    }

    func show<Payload>(_ delivery: Delivery<Payload>) {
        queued.set(delivery.queued)
        sent.set(delivery.sent)
        for (reason, counter) in dropped { counter.set(delivery.dropped[reason] ?? 0) }
        retries.set(delivery.retries)
        waiting.set(Double(delivery.waiting))
    }
}
