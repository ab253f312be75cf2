import Testing
import ThemisBase
import ThemisNet
import ThemisRPC
import ThemisTelemetry
import ThemisTestKit

@testable import ThemisGateway

/// Health, version, metrics, configuration, tables and jobs over HTTP, against a fake core.
@Suite(.serialized) struct SetHTTPTests {
    @Test func `health asks the core and names every part`() async throws {
        try await GatewayFixture.with { fixture, client in
            let healthy = try client.get("/health")
            #expect(healthy.status == 200)
            #expect(healthy.json["status"] as? String == "healthy")
            let parts = healthy.json["components"] as? [String: [String: Any]]
            #expect(parts?["core"]?["status"] as? String == "healthy")
            #expect(parts?["changefeed"]?["detail"] as? String == "served by the gateway")
            #expect(parts?["exporter"]?["detail"] as? String == "1 connected")
            await fixture.core.set(peers: [])
            let degraded = try client.get("/health")
            #expect(degraded.status == 200)
            #expect(degraded.json["status"] as? String == "degraded")
            await fixture.core.set(state: "read_only")
            #expect(try client.get("/health").status == 503)
            await fixture.core.stop()
            let gone = try client.get("/health")
            #expect(gone.status == 503)
            #expect(gone.json["status"] as? String == "unhealthy")
        }
    }

    @Test func `a gateway is ready once it has met the core, and stays so`() async throws {
        try await GatewayFixture.with(startsCore: false) { fixture, client in
            #expect(try client.get("/health/live").status == 200)
            #expect(try client.get("/health/ready").status == 503)
            try await fixture.core.start()
            await fixture.connected()
            #expect(try client.get("/health/ready").status == 200)
            await fixture.core.stop()
            #expect(try client.get("/health/ready").status == 200)
            await NetLoop.run { fixture.gateway.isDraining = true }
            #expect(try client.get("/health/ready").text.contains("draining"))
        }
    }

    @Test func `the version has the fields of the contract`() async throws {
        try await GatewayFixture.with { _, client in
            let version = try client.get("/version").json
            #expect(
                Set(version.keys) == ["name", "version", "commit", "build_date", "swift", "rocksdb", "api", "rpc"])
            #expect(version["name"] as? String == "themis")
            #expect(version["rocksdb"] as? String == "7.8.3")
            #expect(version["api"] as? Int == 1)
        }
    }

    @Test func `metrics of the set come from the core, and from this process alone while it is away`() async throws {
        try await GatewayFixture.with { fixture, client in
            let whole = try client.get("/metrics")
            #expect(whole["content-type"] == "text/plain; version=0.0.4; charset=utf-8")
            #expect(whole.text.contains("rocksdb_estimate_num_keys 42"))
            #expect(await fixture.core.pushes > 0)
            let open = try client.get("/metrics", ["Accept": "application/openmetrics-text"])
            #expect(open["content-type"]?.hasPrefix("application/openmetrics-text") == true)
            #expect(open.text.hasSuffix("# EOF\n"))
            await fixture.core.stop()
            let alone = try client.get("/metrics")
            #expect(alone.status == 200)
            #expect(alone.text.contains("themis_core_up 0"))
            let requests = alone.text.split(separator: "\n").first { $0.hasPrefix("vccdb_requests_total ") }
            #expect(requests == "vccdb_requests_total 2")
        }
    }

    @Test func `every name of the runbook is there from the first scrape`() async throws {
        let names = [
            "vccdb_requests_total", "vccdb_errors_total", "vccdb_qps", "process_uptime_seconds",
            "vccdb_latency_bucket_microseconds",
            "vccdb_latency_sum_microseconds", "vccdb_latency_count", "rocksdb_block_cache_usage_bytes",
            "rocksdb_block_cache_capacity_bytes", "rocksdb_pending_compaction_bytes", "rocksdb_estimate_num_keys",
            "themis_index_rebuild_count", "themis_index_rebuild_duration_ms_total",
            "themis_index_rebuild_entities_processed_total",
            "themis_index_cursor_anchor_hits_total", "themis_index_range_scan_steps_total",
        ]
        for startsCore in [true, false] {
            try await GatewayFixture.with(startsCore: startsCore) { _, client in
                let lines = try client.get("/metrics").text.split(separator: "\n").filter { !$0.hasPrefix("#") }
                let found = Set(lines.map { line in String(line.prefix { $0 != " " && $0 != "{" }) })
                for name in names { #expect(found.contains(name), "\(name)") }
            }
        }
    }

    @Test func `requests and errors are counted by route and method`() async throws {
        try await GatewayFixture.with { fixture, client in
            _ = try client.get("/entities/t:1")
            _ = try client.get("/nowhere")
            let metrics = fixture.telemetry.metrics
            #expect(metrics.counter(.requests).value == 2)
            #expect(metrics.counter(.errors).value == 2)
            #expect(metrics.counter(.httpRequests, "/entities/{key}", "GET").value == 1)
            #expect(metrics.counter(.httpErrors, "/entities/{key}", "GET", "4xx").value == 1)
            #expect(metrics.counter(.httpRequests, "none", "other").value == 1)
            #expect(metrics.histogram(.httpDuration, "/entities/{key}", "GET").value.counts.reduce(0, +) == 1)
        }
    }

    @Test func `unknown paths are 404 and known ones with another method 405`() async throws {
        try await GatewayFixture.with { _, client in
            #expect(try client.get("/").status == 404)
            #expect(try client.get("/entitie").status == 404)
            let wrong = try client.send("PUT", "/tables")
            #expect(wrong.status == 405)
            #expect(wrong["allow"]?.contains("GET") == true)
            #expect(wrong["content-type"]?.hasPrefix("application/problem+json") == true)
        }
    }

    @Test func `configuration and statistics pass through`() async throws {
        try await GatewayFixture.with { _, client in
            let whole = try client.get("/config")
            #expect(whole.text == #"{"view":""}"#)
            #expect(try client.get("/config?view=drift").text == #"{"view":"drift"}"#)
            #expect(try client.get("/config?view=history").status == 501)
            #expect(try client.get("/config?view=shared").status == 400)
            #expect(try client.get("/stats").json["peers"] != nil)
        }
    }

    @Test func `tables are listed, set and emptied`() async throws {
        try await GatewayFixture.with { _, client in
            #expect(
                try client.get("/tables").text.hasPrefix(
                    #"{"tables":[{"name":"t","entities":0,"bytes":0,"cdc":{"old_values":false}"#))
            let put = try client.put("/tables/fresh", #"{"cdc":{"old_values":true},"default_ttl_seconds":60}"#)
            #expect(put.status == 201)
            #expect(put.text.contains(#""old_values":true"#) && put.text.contains(#""default_ttl_seconds":60"#))
            #expect(try client.put("/tables/t", "{}").text.contains(#""default_ttl_seconds":7"#))
            #expect(try client.put("/tables/t", #"{"default_ttl_seconds":null}"#).text.contains(#""default_ttl_seconds":null"#))
            #expect(try client.put("/tables/t", #"{"cdc":{"old":true}}"#).text.contains("cdc.old"))
            #expect(try client.put("/tables/t", #"{"default_ttl_seconds":0}"#).status == 400)
            #expect(try client.put("/tables/9", "{}").status == 400)
            let dropped = try client.send("DELETE", "/tables/t")
            #expect(dropped.text == #"{"table":"t","deleted":3,"sequence":9}"#)
            #expect(dropped["x-themis-sequence"] == "9")
            #expect(try client.post("/tables/t/truncate", "").status == 200)
        }
    }

    @Test func `a job is waited for, or not`() async throws {
        try await GatewayFixture.with { fixture, client in
            let asked = try client.send("DELETE", "/entities?table=t&prefix=a", ["Prefer": "respond-async"])
            #expect(asked.status == 202)
            #expect(asked["location"] == "/admin/jobs/job-1")
            #expect(asked.json["state"] as? String == "running")
            await fixture.core.endJobs()
            let waited = try client.post("/admin/compact", #"{"column_family":"entities"}"#)
            #expect(waited.status == 200)
            #expect(waited.json["state"] as? String == "done")
            #expect(try client.get("/admin/jobs").text.contains(#""id":"job-1""#))
            #expect(try client.get("/admin/jobs/other").status == 404)
            #expect(try client.send("DELETE", "/admin/jobs/job-1").status == 200)
            #expect(try client.post("/admin/flush", "").json["flushed"] as? Bool == true)
        }
    }

    @Test func `a job that takes longer than a request answers 202`() async throws {
        try await GatewayFixture.with(requestTimeoutMilliseconds: 2_000) { _, client in
            let answer = try client.send("DELETE", "/entities?table=t")
            #expect(answer.status == 202)
        }
    }

    @Test func `the OpenAPI document equals the router, route by route`() async throws {
        LoopThread.start()
        let fixture = try await GatewayFixture(startsCore: false)
        let routes = await fixture.server.router.routes
        await fixture.stop()
        let found = routes.map { route in
            OpenAPIReader.Operation(
                method: route.method.rawValue, path: route.label, routeClass: route.routeClass.rawValue,
                scope: route.scope?.text ?? "open",
                pathParameters: route.label.split(separator: "/").filter { $0.hasPrefix("{") }.map {
                    String($0.dropFirst().dropLast())
                },
                queryParameters: route.parameters)
        }
        let documented = try OpenAPIReader().operations
        for operation in found where !documented.contains(operation) { Issue.record("docs/openapi.yaml lacks \(operation)") }
        for operation in documented where !found.contains(operation) { Issue.record("the router lacks \(operation)") }
    }
}
