import Testing
import ThemisBase

@testable import ThemisTelemetry

@Suite struct MetricTextTests {
    private func lines(_ bytes: [UInt8]) -> [String] {
        String(decoding: bytes, as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    }

    @Test func `the first fifty lines show every name of the runbook`() {
        let head = lines(PrometheusText.write(MetricAggregator().total())).prefix(50)
        let names = [
            "vccdb_requests_total", "vccdb_errors_total", "vccdb_qps", "process_uptime_seconds",
            "rocksdb_block_cache_usage_bytes",
            "rocksdb_block_cache_capacity_bytes", "rocksdb_pending_compaction_bytes", "rocksdb_estimate_num_keys",
            "themis_index_rebuild_count", "themis_index_rebuild_duration_ms_total",
            "themis_index_rebuild_entities_processed_total",
            "themis_index_cursor_anchor_hits_total", "themis_index_range_scan_steps_total", "vccdb_latency_sum_microseconds",
            "vccdb_latency_count",
        ]
        for name in names { #expect(head.contains("\(name) 0"), "\(name)") }
        #expect(head.contains("vccdb_latency_bucket_microseconds{le=\"100\"} 0"))
    }

    @Test func `the classic text is as written here`() {
        let registry = MetricRegistry()
        registry.counter(.requests).add(7)
        registry.gauge(.qps).set(0.25)
        registry.counter(.httpErrors, "/a\"\\\nb", "GET", "4xx").add()
        registry.counter(.processCPU).set(1_500_000)
        #expect(
            String(decoding: PrometheusText.write(registry.snapshot()), as: UTF8.self) == #"""
                # HELP vccdb_requests_total Requests answered, all routes.
                # TYPE vccdb_requests_total counter
                vccdb_requests_total 7
                # HELP vccdb_qps Requests per second, mean of the last 60 seconds.
                # TYPE vccdb_qps gauge
                vccdb_qps 0.25
                # HELP themis_http_errors_total Requests answered with an error, by route pattern, method and class (4xx, 5xx).
                # TYPE themis_http_errors_total counter
                themis_http_errors_total{route="/a\"\\\nb",method="GET",class="4xx"} 1
                # HELP process_cpu_seconds_total User and system CPU time in seconds.
                # TYPE process_cpu_seconds_total counter
                process_cpu_seconds_total 1.5

                """#)
    }

    @Test func `OpenMetrics has units, suffixes and an end`() {
        let registry = MetricRegistry()
        registry.counter(.indexRebuilds).add(7)
        registry.counter(.processCPU).set(2_000_000)
        registry.histogram(.commitBatchRecords).observe(1)
        registry.histogram(.commitBatchRecords).observe(3)
        let text = lines(OpenMetricsText.write(registry.snapshot()))
        #expect(text.contains("# TYPE themis_index_rebuild_count unknown"))
        #expect(text.contains("themis_index_rebuild_count 7"))
        #expect(text.contains("# TYPE process_cpu_seconds counter"))
        #expect(text.contains("# UNIT process_cpu_seconds seconds"))
        #expect(text.contains("process_cpu_seconds_total 2"))
        #expect(text.contains(#"themis_commit_batch_records_bucket{le="1.0"} 1"#))
        #expect(text.contains(#"themis_commit_batch_records_bucket{le="4.0"} 2"#))
        #expect(text.contains(#"themis_commit_batch_records_bucket{le="+Inf"} 2"#))
        #expect(text.contains("themis_commit_batch_records_sum 4"))
        #expect(text.contains("themis_commit_batch_records_count 2"))
        #expect(text.suffix(2) == ["# EOF", ""])
    }

    @Test func `labels that an aggregation adds stand behind the row's own`() {
        let registry = MetricRegistry()
        registry.counter(.rpcRequests, "get").add(2)
        registry.gauge(.processMemory).set(5)
        let sum = MetricAggregator()
        sum.add(instance: "core-1", role: "core", bootID: 1, snapshot: registry.snapshot())
        let each = lines(PrometheusText.write(sum.perInstance()))
        #expect(each.contains(#"themis_rpc_requests_total{method="get",instance="core-1",role="core"} 2"#))
        let total = lines(PrometheusText.write(sum.total()))
        #expect(total.contains(#"process_resident_memory_bytes{role="core"} 5"#))
    }

    @Test func `each family is written once and numbers are as the formats read them`() {
        let text = lines(PrometheusText.write(MetricTests.sample().snapshot().completed()))
        let types = text.filter { $0.hasPrefix("# TYPE ") }
        #expect(Set(types).count == types.count)
        let registry = MetricRegistry()
        registry.gauge(.qps).set(.nan)
        #expect(lines(PrometheusText.write(registry.snapshot())).contains("vccdb_qps NaN"))
        registry.gauge(.qps).set(-.infinity)
        #expect(lines(PrometheusText.write(registry.snapshot())).contains("vccdb_qps -Inf"))
        registry.gauge(.qps).set(1e300)
        #expect(lines(PrometheusText.write(registry.snapshot())).contains("vccdb_qps 1e+300"))
    }
}

@Suite struct TraceparentTests {
    @Test func `the header is read and written`() throws {
        let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
        let position = try #require(Traceparent(parsing: text))
        #expect(position.text == text)
        #expect(position.traceID == "4bf92f3577b34da6a3ce929d0e0e4736")
        #expect(position.isSampled)
        #expect(Traceparent(decoding: position.encoded) == position)
        #expect(position.encoded.count == Traceparent.encodedBytes)
        #expect(Traceparent(parsing: "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03-more") == position)
    }

    @Test(arguments: [
        "", "00", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
        "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01x", "00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    ])
    func `an invalid header is not taken`(text: String) { #expect(Traceparent(parsing: text) == nil) }

    @Test func `a made request id has sixteen digits`() {
        var random = SeededRandom(seed: 1)
        #expect(RequestID.make(using: &random).count == 16)
    }
}
