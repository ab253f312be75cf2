import Testing
import ThemisBase
import ThemisTestKit

@testable import ThemisTelemetry

@Suite struct MetricTests {
    @Test func `names are unique and follow the practice, but for those that the runbook fixed`() {
        #expect(Set(Metric.all.map(\.name)).count == Metric.all.count)
        for metric in Metric.all where !metric.isAlwaysShown {
            #expect((metric.kind == .counter) == metric.name.hasSuffix("_total"), "\(metric.name)")
            #expect(metric.name.utf8.allSatisfy { (0x61...0x7A).contains($0) || (0x30...0x39).contains($0) || $0 == 0x5F })
            #expect(!metric.labels.contains("le") && !metric.labels.contains("role") && !metric.labels.contains("instance"))
        }
        for metric in Metric.all { #expect(metric.help.hasSuffix("."), "\(metric.name)") }
    }

    @Test func `every latency has a bound at 200 ms`() {
        #expect(Metric.latency.buckets.contains(200_000))
        #expect(Metric.httpDuration.buckets.contains(0.2))
        for metric in Metric.all { #expect(metric.buckets == metric.buckets.sorted()) }
    }

    @Test func `instruments count and a snapshot holds their values`() {
        let registry = MetricRegistry()
        registry.counter(.requests).add(3)
        registry.gauge(.coreUp).set(1)
        registry.gauge(.coreUp).add(-1)
        registry.counter(.httpErrors, "/entities/{key}", "PUT", "4xx").add()
        registry.histogram(.latency).observe(100)
        registry.histogram(.latency).observe(1e9)
        let snapshot = registry.snapshot()
        #expect(snapshot.value(.requests) == .counter(3))
        #expect(snapshot.value(.coreUp) == .gauge(0))
        #expect(snapshot.value(.httpErrors, "/entities/{key}", "PUT", "4xx") == .counter(1))
        guard case .histogram(let counts, let sum) = snapshot.value(.latency) else { return #expect(Bool(false)) }
        #expect(counts.first == 1 && counts.last == 1 && counts.reduce(0, +) == 2 && sum == 1e9 + 100)
    }

    @Test func `a label set that is not closed ends in one series`() {
        let registry = MetricRegistry()
        for number in 0..<(Limits.metricSeries + 10) { registry.counter(.rpcRequests, "\(number)").add() }
        let family = registry.snapshot().family(.rpcRequests)
        #expect(family?.series.count == Limits.metricSeries + 1)
        #expect(registry.snapshot().value(.rpcRequests, "other") == .counter(10))
    }

    @Test func `a snapshot survives its encoding`() throws {
        let snapshot = Self.sample().snapshot()
        #expect(try MetricSnapshot(decoding: snapshot.encoded()) == snapshot)
        #expect(try MetricSnapshot(decoding: MetricSnapshot().encoded()) == MetricSnapshot())
    }

    @Test func `a sum with added labels survives its encoding, and is not taken as a process's own values`() throws {
        let sum = MetricAggregator()
        sum.add(instance: "c", role: "core", bootID: 1, snapshot: Self.sample().snapshot())
        let total = sum.total()
        #expect(try MetricSnapshot(decoding: total.encoded()) == total)
        let other = MetricAggregator()
        other.add(instance: "x", role: "gateway", bootID: 2, snapshot: total)
        #expect(other.total().families.allSatisfy { $0.addedLabels.isEmpty })
    }

    @Test func `damaged snapshots are refused and never trap`() {
        var random = SeededRandom(seed: Seed.current())
        let bytes = Self.sample().snapshot().encoded()
        for count in 0..<bytes.count {
            #expect(throws: ThemisError.self) { try MetricSnapshot(decoding: Array(bytes[..<count])) }
        }
        for _ in 0..<5_000 {
            var damaged = bytes
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                damaged[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: .min ... .max, using: &random)
            }
            _ = try? MetricSnapshot(decoding: damaged)
        }
        #expect(throws: ThemisError.self) {
            try MetricSnapshot(decoding: Array(repeating: 1, count: Limits.metricSnapshotBytes + 1))
        }
    }

    @Test func `families of another version are read over`() throws {
        var bytes: [UInt8] = [1, 3]
        func family(_ name: String, _ kind: MetricKind, labels: UInt64, value: [UInt8]) {
            bytes.appendLengthPrefixed(name.utf8)
            bytes.append(kind.rawValue)
            bytes.appendVarint(labels)
            // No added labels, no bounds.
            bytes.appendVarint(0)
            bytes.appendVarint(0)
            bytes.appendVarint(1)
            bytes += value
        }
        family("themis_of_tomorrow_total", .counter, labels: 1, value: [1, 0x61, 7])
        family("vccdb_requests_total", .counter, labels: 0, value: [9])
        family("themis_core_up", .counter, labels: 0, value: [9])
        let snapshot = try MetricSnapshot(decoding: bytes)
        #expect(snapshot.families.count == 1)
        #expect(snapshot.value(.requests) == .counter(9))
    }

    static func sample() -> MetricRegistry {
        let registry = MetricRegistry()
        registry.counter(.requests).add(1 << 40)
        registry.gauge(.qps).set(12.5)
        registry.counter(.httpRequests, "/entities/{key}", "GET").add(2)
        registry.counter(.httpRequests, "/health", "GET").add(1)
        registry.histogram(.httpDuration, "/health", "GET").observe(0.15)
        registry.histogram(.latency).observe(150_000)
        registry.counter(.processCPU).set(1_500_000)
        return registry
    }
}

@Suite struct MetricAggregatorTests {
    private func snapshot(_ fill: (MetricRegistry) -> Void) -> MetricSnapshot {
        let registry = MetricRegistry()
        fill(registry)
        return registry.snapshot()
    }

    @Test func `counters of all processes are added, and stay when one ends`() {
        let sum = MetricAggregator()
        sum.add(instance: "g1", role: "gateway", bootID: 1, snapshot: snapshot { $0.counter(.requests).add(10) })
        sum.add(instance: "g2", role: "gateway", bootID: 2, snapshot: snapshot { $0.counter(.requests).add(5) })
        #expect(sum.total().value(.requests) == .counter(15))
        sum.retire(instance: "g2")
        sum.retire(instance: "g2")
        #expect(sum.total().value(.requests) == .counter(15))
        #expect(sum.perInstance().value(.requests, "g1", "gateway") == .counter(10))
        #expect(sum.perInstance().value(.requests, "g2", "gateway") == nil)
    }

    @Test func `a restart under the same name adds to what was counted before`() {
        let sum = MetricAggregator()
        sum.add(instance: "g", role: "gateway", bootID: 1, snapshot: snapshot { $0.counter(.requests).add(10) })
        sum.add(instance: "g", role: "gateway", bootID: 2, snapshot: snapshot { $0.counter(.requests).add(1) })
        #expect(sum.total().value(.requests) == .counter(11))
    }

    @Test func `a process that comes back with the same boot id is not counted twice`() {
        let sum = MetricAggregator()
        sum.add(instance: "g", role: "gateway", bootID: 1, snapshot: snapshot { $0.counter(.requests).add(10) })
        sum.retire(instance: "g")
        sum.add(instance: "g", role: "gateway", bootID: 1, snapshot: snapshot { $0.counter(.requests).add(12) })
        #expect(sum.total().value(.requests) == .counter(12))
    }

    @Test func `thousands of restarts keep the sum and bound the memory`() {
        let sum = MetricAggregator()
        for boot in 1...UInt64(Limits.metricRetiredInstances + 500) {
            sum.add(
                instance: "g", role: "gateway", bootID: boot,
                snapshot: snapshot {
                    $0.counter(.requests).add(2)
                    $0.histogram(.latency).observe(50)
                })
        }
        let count = UInt64(Limits.metricRetiredInstances + 500)
        #expect(sum.total().value(.requests) == .counter(2 * count))
        guard case .histogram(let counts, let total) = sum.total().value(.latency) else { return #expect(Bool(false)) }
        #expect(counts[0] == count && total == Double(50 * count))
    }

    @Test func `gauges follow their row: sum, maximum, the core's, by role; and leave with their process`() {
        let sum = MetricAggregator()
        func fill(_ registry: MetricRegistry, _ value: Double) {
            registry.gauge(.httpConnections).set(value)
            registry.gauge(.changefeedLag).set(value)
            registry.gauge(.uptime).set(value)
            registry.gauge(.processMemory).set(value)
        }
        sum.add(instance: "g1", role: "gateway", bootID: 1, snapshot: snapshot { fill($0, 10) })
        sum.add(instance: "g2", role: "gateway", bootID: 2, snapshot: snapshot { fill($0, 20) })
        #expect(sum.total().value(.uptime) == .gauge(20))
        sum.add(instance: "core", role: "core", bootID: 3, snapshot: snapshot { fill($0, 1) })
        let total = sum.total()
        #expect(total.value(.httpConnections) == .gauge(31))
        #expect(total.value(.changefeedLag) == .gauge(20))
        #expect(total.value(.uptime) == .gauge(1))
        #expect(total.value(.processMemory, "gateway") == .gauge(30))
        #expect(total.value(.processMemory, "core") == .gauge(1))
        sum.retire(instance: "g2")
        #expect(sum.total().value(.httpConnections) == .gauge(11))
    }

    @Test func `the runbook's rows are there before anything was counted`() {
        let total = MetricAggregator().total()
        #expect(total.families.count == Metric.all.filter(\.isAlwaysShown).count)
        #expect(total.value(.requests) == .counter(0))
    }

    @Test func `processes beyond the bound are refused`() {
        let sum = MetricAggregator()
        for number in 0..<Limits.metricInstances {
            #expect(sum.add(instance: "\(number)", role: "gateway", bootID: UInt64(number), snapshot: MetricSnapshot()))
        }
        #expect(!sum.add(instance: "one more", role: "gateway", bootID: 1, snapshot: MetricSnapshot()))
    }
}

@Suite struct ProcessMetricsTests {
    @Test func `a process knows its memory, descriptors, CPU time and age`() {
        let time = ManualTime()
        let telemetry = Telemetry(log: Logger(role: "t", time: time) { _ in }, metrics: MetricRegistry(), time: time)
        let process = ProcessMetrics(telemetry, answersRequests: true)
        time.advance(milliseconds: 2_500)
        process.refresh()
        #expect(telemetry.metrics.gauge(.uptime).value == 2.5)
        #expect(telemetry.metrics.gauge(.processMemory).value > 1e6)
        #expect(telemetry.metrics.gauge(.processFiles).value >= 3)
        #expect(telemetry.metrics.gauge(.processFileLimit).value >= 3)
        #expect(telemetry.metrics.counter(.processCPU).value > 0)
    }

    @Test func `requests per second are the mean of a minute`() {
        let time = ManualTime()
        let telemetry = Telemetry(log: Logger(role: "t", time: time) { _ in }, metrics: MetricRegistry(), time: time)
        let process = ProcessMetrics(telemetry, answersRequests: true)
        for _ in 0..<200 {
            time.advance(milliseconds: 1_000)
            telemetry.metrics.counter(.requests).add(30)
            process.refresh()
        }
        #expect(telemetry.metrics.gauge(.qps).value == 30)
        for _ in 0..<30 {
            time.advance(milliseconds: 1_000)
            process.refresh()
        }
        #expect(telemetry.metrics.gauge(.qps).value == 15)
    }
}
