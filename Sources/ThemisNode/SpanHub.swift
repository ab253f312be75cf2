import ThemisBase
import ThemisNet
import ThemisRPC
import ThemisTelemetry

/// The spans of the whole set on their way from the processes to an exporter. Lives on the loop.
///
/// A bounded queue: what is too much in a second or too large together is dropped and counted, and while no exporter is connected the
/// processes are asked for none. Each batch goes to exactly one exporter, which says with its next call that it has arrived.
@NetLoop final class SpanHub {
    private struct Entry {
        let role: String
        let instance: String
        let version: String
        let spans: SpanBatch
    }

    private struct Exporter {
        var call: RPCServerCall?
        var timer: LoopTimer?
        /// The batch that it was given last and has not spoken of yet.
        var batch: UInt64 = 0
        var spans = 0
    }

    /// How often the core's own spans are fetched and exporters that have gone are forgotten.
    private static let intervalMilliseconds = 250
    /// Most spans that a process is asked for at once.
    private static let grantedSpans = 1_024

    private let telemetry: Telemetry
    private let role: String
    private let instance: String
    private var entries: [Entry] = []
    private var first = 0
    private var bytes = 0
    private var spans = 0
    /// By connection.
    private var exporters: [UInt64: Exporter] = [:]
    private var nextBatch: UInt64 = 1
    private var timer: LoopTimer?
    /// Spans that may still come in this second, refilled as time goes.
    private var allowance = Double(Limits.spansPerSecond)
    private var refilledNanoseconds: UInt64
    /// Who is connected, by connection.
    private let connections: @NetLoop () -> Set<UInt64>

    private let entered: Counter
    private let passed: Counter
    private let droppedFull: Counter
    private let droppedRate: Counter
    private let droppedLost: Counter
    private let waiting: Gauge

    /// - Parameter connections: the connections of all peers, asked now and then.
    init(role: String, instance: String, telemetry: Telemetry, connections: @escaping @NetLoop () -> Set<UInt64>) {
        self.telemetry = telemetry
        self.role = role
        self.instance = instance
        self.connections = connections
        refilledNanoseconds = telemetry.time.monotonicNanoseconds()
        entered = telemetry.metrics.counter(.spansEntered, "core")
        passed = telemetry.metrics.counter(.spansPassed, "core")
        droppedFull = telemetry.metrics.counter(.spansDropped, "core", "full")
        droppedRate = telemetry.metrics.counter(.spansDropped, "core", "rate")
        droppedLost = telemetry.metrics.counter(.spansDropped, "core", "exporter_lost")
        waiting = telemetry.metrics.gauge(.spansWaiting, "core")
    }

    func start() {
        let timer = LoopTimer { [weak self] in self?.tick() }
        timer.scheduleRepeating(milliseconds: Self.intervalMilliseconds)
        self.timer = timer
    }

    /// What happens by the clock.
    func tick() {
        forgetGoneExporters()
        guard !exporters.isEmpty else { return }
        while true {
            let own = telemetry.spans.take(limit: Self.grantedSpans, maxBytes: Limits.spanPushBytes)
            guard own.count > 0 else { break }
            telemetry.spans.settle(own, isPassed: true)
            add(own, role: role, instance: instance, version: Build.version)
        }
    }

    // MARK: In

    /// Spans that a process may bring now.
    var credit: UInt32 {
        guard !exporters.isEmpty else { return 0 }
        refill()
        let room = (Limits.spanBufferBytes - bytes) / Limits.spanTextBytes
        return UInt32(max(0, min(Self.grantedSpans, Int(allowance), room)))
    }

    /// Takes spans of a process; what is too much is dropped.
    func add(_ batch: SpanBatch, role: String, instance: String, version: String) {
        var kept = batch
        entered.add(UInt64(batch.count))
        refill()
        if kept.count > Int(allowance) {
            droppedRate.add(UInt64(kept.count - Int(allowance)))
            kept.truncate(to: Int(allowance))
        }
        if bytes + kept.bytes.count > Limits.spanBufferBytes {
            droppedFull.add(UInt64(kept.count))
            kept = SpanBatch()
        }
        guard kept.count > 0 else { return }
        allowance -= Double(kept.count)
        entries.append(Entry(role: role, instance: instance, version: version, spans: kept))
        bytes += kept.bytes.count
        spans += kept.count
        serve()
        showWaiting()
    }

    private func refill() {
        let now = telemetry.time.monotonicNanoseconds()
        let seconds = Double(now - refilledNanoseconds) / 1e9
        refilledNanoseconds = now
        allowance = min(Double(Limits.spansPerSecond), allowance + seconds * Double(Limits.spansPerSecond))
    }

    // MARK: Out

    /// An exporter asks: the answer comes with spans, or without when its wait is over.
    func take(_ call: RPCServerCall, arrived: UInt64, waitMilliseconds: Int) {
        let connection = call.peer.connection
        var exporter = exporters[connection] ?? Exporter()
        settle(&exporter, isPassed: arrived == exporter.batch)
        // One call at a time: an earlier one that still waits is answered without spans.
        exporter.call?.respond(SpansTakeResponse(leads: leads(connection)))
        exporter.call = call
        let timer = LoopTimer { [weak self] in self?.answer(connection, mayBeEmpty: true) }
        timer.schedule(milliseconds: max(0, min(waitMilliseconds, Limits.spanWaitMilliseconds)))
        exporter.timer = timer
        exporters[connection] = exporter
        call.onCancel = { [weak self, weak call] in
            guard let self, let call, exporters[connection]?.call === call else { return }
            exporters[connection]?.call = nil
            call.fail(ThemisError(.cancelled, "the caller gave up"))
        }
        serve()
        showWaiting()
    }

    /// Gives what waits to those who wait.
    private func serve() {
        for connection in exporters.keys.sorted() where spans > 0 { answer(connection, mayBeEmpty: false) }
    }

    private func answer(_ connection: UInt64, mayBeEmpty: Bool) {
        guard var exporter = exporters[connection], let call = exporter.call, spans > 0 || mayBeEmpty else { return }
        exporter.call = nil
        exporter.timer = nil
        var response = SpansTakeResponse(leads: leads(connection))
        var taken = 0
        while first < entries.count, response.groups.count < Limits.spanGroups {
            let entry = entries[first]
            guard taken == 0 || taken + entry.spans.bytes.count <= Limits.spanTakeBytes else { break }
            response.groups.append(
                SpanGroup(role: entry.role, instance: entry.instance, version: entry.version, spans: entry.spans.bytes))
            taken += entry.spans.bytes.count
            exporter.spans += entry.spans.count
            first += 1
        }
        if first == entries.count || first >= 1_024 {
            entries.removeFirst(first)
            first = 0
        }
        bytes -= taken
        spans -= exporter.spans
        if exporter.spans > 0 {
            response.batch = nextBatch
            exporter.batch = nextBatch
            nextBatch += 1
        }
        exporters[connection] = exporter
        call.respond(response)
        showWaiting()
    }

    /// The exporter that came first also exports the metrics.
    private func leads(_ connection: UInt64) -> Bool { exporters.keys.allSatisfy { connection <= $0 } }

    private func settle(_ exporter: inout Exporter, isPassed: Bool) {
        guard exporter.spans > 0 else { return }
        (isPassed ? passed : droppedLost).add(UInt64(exporter.spans))
        (exporter.batch, exporter.spans) = (0, 0)
    }

    private func forgetGoneExporters() {
        guard !exporters.isEmpty else { return }
        let connected = connections()
        for connection in exporters.keys where !connected.contains(connection) {
            guard var exporter = exporters.removeValue(forKey: connection) else { continue }
            settle(&exporter, isPassed: false)
        }
        showWaiting()
    }

    private func showWaiting() { waiting.set(Double(spans + exporters.values.reduce(0) { $0 + $1.spans })) }
}

extension CoreService {
    func spansPush(_ call: RPCServerCall) {
        do throws(ThemisError) {
            let batch = try SpanBatch(try call.decode(SpansPushRequest.self).spans)
            let peer = call.peer
            spans.add(batch, role: peer.role.word, instance: peer.instance, version: peer.version)
            call.respond(SpansPushResponse(spanCredit: spans.credit))
        } catch {
            call.fail(error)
        }
    }

    func spansTake(_ call: RPCServerCall) {
        do throws(ThemisError) {
            let request: SpansTakeRequest = try call.decode()
            spans.take(call, arrived: request.arrived, waitMilliseconds: Int(request.waitMilliseconds))
        } catch {
            call.fail(error)
        }
    }
}
