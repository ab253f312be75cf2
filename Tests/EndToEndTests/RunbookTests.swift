import Foundation
import Testing
import ThemisBase
import ThemisTestKit

/// The operator's first minute, with clients that are not ours.
@Suite struct RunbookTests {
    /// Runs a shell command as an operator types it, with this set's port in place of 8765.
    private static func shell(_ command: String, _ set: ProcessSet) throws -> (code: Int, text: String) {
        let log = "\(set.directory)/\(UUID().uuidString)"
        let text = command.replacingOccurrences(of: ":8765", with: ":\(set.gatewayPort)")
        let process = try LaunchedProcess("/bin/bash", ["-o", "pipefail", "-c", text], logPath: log)
        return (try process.exitCode(within: 20), process.log)
    }

    private static func started() throws -> ProcessSet {
        let set = try ProcessSet()
        try set.startAll()
        try FeedFixture.write(set, 20)
        return set
    }

    @Test func `the quick checks of the runbook work as written`() throws {
        let set = try Self.started()
        for path in ["health", "version", "stats", "config"] {
            let answer = try Self.shell("curl -fsS http://localhost:8765/\(path) | jq .", set)
            #expect(answer.code == 0, "\(path): \(answer.text)")
        }
        let health = try Self.shell("curl -fsS http://localhost:8765/health | jq -r .status,.components.core.status", set)
        #expect(health.text == "healthy\nhealthy\n")
        let version = try Self.shell("curl -fsS http://localhost:8765/version | jq -r .name,.version,.api", set)
        #expect(version.text == "themis\n\(Build.version)\n1\n")
    }

    @Test func `the first fifty lines of the metrics hold the runbook's series`() throws {
        let set = try Self.started()
        let answer = try Self.shell("curl -fsS http://localhost:8765/metrics | head -50", set)
        for name in [
            "vccdb_requests_total", "vccdb_errors_total", "vccdb_qps", "process_uptime_seconds", "vccdb_latency_sum_microseconds",
            "vccdb_latency_count", "rocksdb_block_cache_usage_bytes", "rocksdb_block_cache_capacity_bytes",
            "rocksdb_pending_compaction_bytes", "rocksdb_estimate_num_keys", "themis_index_rebuild_count",
            "themis_index_rebuild_duration_ms_total", "themis_index_rebuild_entities_processed_total",
            "themis_index_cursor_anchor_hits_total", "themis_index_range_scan_steps_total",
        ] {
            #expect(answer.text.contains("\n\(name)"), "\(name)")
        }
    }

    @Test func `promtool complains about nothing but the names that the runbook fixes`() throws {
        let promtool = ProcessSet.tools + "/promtool"
        try #require(FileManager.default.isExecutableFile(atPath: promtool), "promtool is missing: make install")
        let set = try Self.started()
        let answer = try Self.shell("curl -fsS http://localhost:8765/metrics | '\(promtool)' check metrics", set)
        let fixed = [
            "vccdb_latency_bucket_microseconds", "vccdb_latency_sum_microseconds", "vccdb_latency_count",
            "themis_index_rebuild_count",
            "themis_index_rebuild_duration_ms_total",
        ]
        let complaints = answer.text.split(separator: "\n").filter { line in !fixed.contains { line.hasPrefix($0) } }
        #expect(complaints.isEmpty, "\(complaints.joined(separator: "\n"))")
        let exporter = try Self.shell(
            "curl -fsS -H 'Accept: text/plain' http://localhost:\(set.exporterPort)/metrics | '\(promtool)' check metrics", set)
        let others = exporter.text.split(separator: "\n").filter { line in !fixed.contains { line.hasPrefix($0) } }
        #expect(others.isEmpty, "\(others.joined(separator: "\n"))")
    }

    @Test func `Prometheus' own Python parser reads the OpenMetrics form of gateway and exporter`() throws {
        let set = try Self.started()
        let script = """
            import sys
            from prometheus_client.openmetrics.parser import text_string_to_metric_families
            families = list(text_string_to_metric_families(sys.stdin.read()))
            print(any(family.name == "vccdb_requests" for family in families), len(families) > 30)
            """
        let path = "\(set.directory)/parse.py"
        try script.write(toFile: path, atomically: true, encoding: .utf8)
        for port in [set.gatewayPort, set.exporterPort] {
            let dump = "curl -fsS -H 'Accept: application/openmetrics-text' http://localhost:\(port)/metrics"
            let answer = try Self.shell("\(dump) | /usr/bin/python3 '\(path)'", set)
            #expect(answer.text == "True True\n", "\(answer.text)")
        }
    }

    @Test func `Python's own client writes, reads and follows`() throws {
        let set = try Self.started()
        let script = """
            import http.client, json
            c = http.client.HTTPConnection("127.0.0.1", \(set.gatewayPort), timeout=10)
            document = {"n": 18446744073709551615, "t": "ä"}
            c.request("PUT", "/entities/py:%C3%A4%2Fb", json.dumps(document), {"Content-Type": "application/json"})
            a = c.getresponse(); put = json.loads(a.read()); assert a.status == 201, put
            c.request("GET", "/entities/py:%C3%A4%2Fb", headers={"Accept-Encoding": "identity"})
            a = c.getresponse(); got = json.loads(a.read()); assert got == document, got
            assert a.headers["ETag"] == '"%d"' % put["version"], a.headers["ETag"]
            c.request("GET", "/changefeed?from_seq=20"); a = c.getresponse(); page = json.loads(a.read())
            assert [e["key"] for e in page["events"]] == ["py:ä/b"], page
            s = http.client.HTTPConnection("127.0.0.1", \(set.changefeedPort), timeout=10)
            s.request("GET", "/changefeed/stream?from_seq=20"); a = s.getresponse(); assert a.status == 200
            while True:
                line = a.readline()
                if line.startswith(b"data:") and b"py:" in line: break
            print("good")
            """
        let path = "\(set.directory)/client.py"
        try script.write(toFile: path, atomically: true, encoding: .utf8)
        let answer = try Self.shell("/usr/bin/python3 '\(path)'", set)
        #expect(answer.text == "good\n")
    }
}
