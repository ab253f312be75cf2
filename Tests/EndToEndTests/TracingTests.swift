import Foundation
import Testing
import ThemisBase
import ThemisTestKit

/// A sampled request is followed from HTTP to the disk, and what is seen arrives at a collector; a bad collector costs no request.
@Suite struct TracingTests {
    fileprivate static let trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    private static let caller = "00f067aa0ba902b7"

    /// A set that records, with a collector that takes everything.
    fileprivate static func started(_ set: ProcessSet, endpoint: String, exporter: [String: String] = [:]) throws {
        try set.start(
            .server,
            environment: [
                "THEMIS_TRACING_ENABLED": "true", "THEMIS_TRACING_OTLP_ENDPOINT": endpoint, "THEMIS_TRACING_SAMPLE_RATIO": "0",
                "THEMIS_TRACING_SERVICE_NAME": "themis-test",
            ])
        try set.start(.gateway)
        try set.start(.exporter, environment: exporter)
        for role in [ServiceRole.gateway, .exporter] { try set.waitUntilReady(role) }
        let client = set.client()
        // The gateway has heard of the core's settings, and of an exporter that asks.
        try Patience.wait(20, "a span that reaches the exporter", log: set.logPath(.exporter)) {
            let warm = String(repeating: "1", count: 32)
            return try put(client, "warm", trace: warm).status < 300 && counted("themis_exporter_queued_total", #"signal="spans""#, set) > 0
        }
    }

    fileprivate static func put(_ client: HTTPClient, _ pk: String, trace: String = trace, flags: String = "01") throws -> HTTPAnswer {
        try client.send(
            "PUT", "/entities/t:\(pk)",
            [
                "Content-Type": "application/json", "traceparent": "00-\(trace)-\(caller)-\(flags)", "tracestate": "a=b",
                "User-Agent": "tests",
            ], body: Array("{}".utf8))
    }

    /// A metric of the whole set: its series with this label, as it is written, added up.
    fileprivate static func counted(_ name: String, _ label: String, _ set: ProcessSet) -> Int {
        guard let answer = try? HTTPClient(port: set.exporterPort).get("/metrics", ["Accept": "text/plain"]) else { return 0 }
        return answer.text.split(separator: "\n").filter { $0.hasPrefix(name + "{") && $0.contains(label) }
            .reduce(0) { $0 + (Double($1.split(separator: " ").last ?? "").map { Int($0) } ?? 0) }
    }

    /// Waits until at every stage what came in is passed on, dropped or waits.
    private static func waitUntilBalanced(_ set: ProcessSet) throws {
        try Patience.wait(15, "counters that add up", log: set.logPath(.exporter)) {
            let isBalanced = { (stage: String) in
                let label = #"stage="\#(stage)""#
                return counted("themis_spans_entered_total", label, set)
                    == counted("themis_spans_passed_total", label, set) + counted("themis_spans_dropped_total", label, set)
                    + counted("themis_spans_waiting", label, set)
            }
            let passed = counted("themis_spans_passed_total", #"stage="core""#, set)
            let queued = counted("themis_exporter_queued_total", #"signal="spans""#, set)
            let ended =
                counted("themis_exporter_sent_total", #"signal="spans""#, set)
                + counted("themis_exporter_dropped_total", #"signal="spans""#, set)
                + counted("themis_exporter_waiting", #"signal="spans""#, set)
            return isBalanced("process") && isBalanced("core") && queued == ended && queued >= passed
        }
    }

    @Test func `one trace shows gateway, call and commit under the caller's span, with times and attributes`() throws {
        let set = try ProcessSet()
        let collector = try TestCollector(set.directory)
        try Self.started(set, endpoint: "http://127.0.0.1:\(collector.port)/base/")
        let client = set.client()
        let unsampled = String(repeating: "2", count: 32)
        #expect(try Self.put(client, "0", trace: unsampled, flags: "00").status < 300)
        #expect(try Self.put(client, "a", flags: "01").status == 201)
        try Patience.wait(20, "a whole trace", log: collector.process.logPath) {
            collector.spans.filter { $0.trace == Self.trace }.count >= 7
        }
        let spans = collector.spans
        #expect(!spans.contains { $0.trace == unsampled })
        let mine = spans.filter { $0.trace == Self.trace }
        func span(_ name: String, _ kind: Int) throws -> ReportedSpan {
            let found = mine.filter { $0.name == name && $0.kind == kind }
            #expect(found.count == 1, "\(name): \(found.count)")
            return try #require(found.first)
        }
        let (inner, answering, asking) = (1, 2, 3)
        let outer = try span("PUT /entities/{key}", answering)
        let call = try span("Write", asking)
        let core = try span("Write", answering)
        let commit = try span("commit", inner)
        #expect(outer.parent == Self.caller && call.parent == outer.id && core.parent == call.id && commit.parent == core.id)
        for step in ["queue", "prepare"] { #expect(try span(step, inner).parent == core.id) }
        let fsync = try span("fsync", inner)
        #expect(fsync.parent == commit.id && Set(mine.map(\.id)).count == mine.count)
        for (above, below) in [(outer, call), (call, core), (core, commit), (commit, fsync)] {
            #expect(above.start <= below.start && below.end <= above.end, "\(below.name) lies within \(above.name)")
        }
        #expect(fsync.end > fsync.start)
        #expect([outer, call].allSatisfy { $0.role == "gateway" } && [core, commit, fsync].allSatisfy { $0.role == "core" })
        #expect(outer.text("http.request.method") == "PUT" && outer.text("http.route") == "/entities/{key}")
        #expect(outer.number("http.response.status_code") == 201 && outer.text("url.path") == "/entities/t:a")
        #expect(outer.text("url.scheme") == "http" && outer.text("network.protocol.version") == "1.1")
        #expect(outer.text("server.address") == "127.0.0.1" && outer.number("server.port") == Int(set.gatewayPort))
        #expect(outer.text("client.address") == "127.0.0.1" && outer.text("user_agent.original") == "tests")
        #expect(call.text("db.system.name") == "themis" && call.text("db.operation.name") == "Write")
        #expect(core.text("rpc.system.name") == "themis" && core.text("rpc.method") == "Write")
        #expect(outer.resource["service.name"] as? String == "themis-test" && outer.resource["service.version"] as? String != nil)
        #expect((outer.resource["service.instance.id"] as? String)?.hasPrefix("gateway-") == true)
        #expect(outer.json["state"] as? String == "a=b" && outer.json["flags"] as? Int == 0x301 && call.json["flags"] as? Int == 0x101)
        #expect(collector.requests.allSatisfy { $0["coding"] as? String == "gzip" && $0["type"] as? String == "application/x-protobuf" })
        #expect(collector.requests.allSatisfy { ($0["path"] as? String)?.hasPrefix("/base/v1/") == true })
        try Self.waitUntilBalanced(set)
        try Self.checkMetrics(collector)
    }

    private static func number(_ value: Any?) -> Double { (value as? NSNumber)?.doubleValue ?? 0 }

    private static func checkMetrics(_ collector: TestCollector) throws {
        try Patience.wait(30, "metrics of the gateway and the core", log: collector.process.logPath) {
            Set(collector.points.compactMap { ($0["resource"] as? [String: Any])?["themis.role"] as? String }).isSuperset(of: [
                "gateway", "core",
            ])
        }
        let points = collector.points
        let requests = points.filter { point in
            point["name"] as? String == "themis_http_requests_total"
                && (point["attributes"] as? [String: String]) == ["route": "/entities/{key}", "method": "PUT"]
        }
        let counter = try #require(requests.last)
        #expect(counter["kind"] as? String == "sum" && counter["monotonic"] as? Bool == true && counter["temporality"] as? Int == 2)
        #expect((counter["value"] as? Int ?? 0) >= 3)
        let (start, time) = (Self.number(counter["start"]), Self.number(counter["time"]))
        #expect(start > 1e18 && start < time && time - start < 600e9)
        let histogram = try #require(points.last { $0["name"] as? String == "themis_commit_fsync_seconds" })
        let buckets = histogram["buckets"] as? [Int] ?? []
        #expect(buckets.reduce(0, +) == histogram["count"] as? Int && buckets.count == (histogram["bounds"] as? [Any] ?? []).count + 1)
        #expect(Self.number(histogram["sum"]) > 0 && histogram["unit"] as? String == "s")
        let gauge = try #require(points.last { $0["name"] as? String == "process_resident_memory_bytes" })
        #expect(gauge["kind"] as? String == "gauge" && gauge["unit"] as? String == "By" && Self.number(gauge["value"]) > 1e6)
    }

    @Test func `a collector that is busy, hangs or dies costs no request, and the counters add up`() throws {
        let set = try ProcessSet()
        let collector = try TestCollector(set.directory)
        try Self.started(set, endpoint: "http://127.0.0.1:\(collector.port)")
        let client = set.client()
        func write(_ count: Int) throws {
            for index in 0..<count { #expect(try Self.put(client, "k\(index)").status < 300) }
        }
        func wait(_ what: String, _ isTrue: () throws -> Bool) throws {
            try Patience.wait(40, what, log: set.logPath(.exporter), isTrue)
        }
        func retries() -> Int { Self.counted("themis_exporter_retries_total", #"signal="spans""#, set) }

        try collector.answer(#"{"status":429,"retry_after":"3"}"#)
        try write(20)
        try wait("a repetition") { retries() >= 1 }
        let busy = collector.requests.filter { ($0["answer"] as? [String: Any])?["status"] as? Int == 429 && $0["spans"] != nil }
            .compactMap { $0["at"] as? Double }
        #expect(busy.count >= 2 && zip(busy, busy.dropFirst()).allSatisfy { $1 - $0 >= 2.9 })
        try collector.answer(#"{"status":200,"rejected":5}"#)
        try wait("a partial success") { Self.counted("themis_exporter_dropped_total", #"reason="rejected""#, set) >= 5 }
        try collector.answer(#"{"status":400}"#)
        try write(3)
        try wait("a refusal") { Self.counted("themis_exporter_dropped_total", #"reason="refused""#, set) >= 7 }
        try Self.waitUntilBalanced(set)

        try collector.answer(#"{"hang":true}"#)
        let seen = collector.requests.count
        try write(50)
        try wait("a request that hangs") { collector.requests.count > seen }
        try write(50)
        try wait("spans that wait") { Self.counted("themis_exporter_waiting", #"signal="spans""#, set) > 0 }
        collector.process.killNow()
        let before = retries()
        try wait("an attempt to reach a dead collector") { retries() > before }
        try write(50)
        try Self.waitUntilBalanced(set)
        #expect(try set.stop(.exporter) == 0)
    }

    @Test func `an exporter that is gone keeps nobody waiting and is not sent to`() throws {
        let set = try ProcessSet()
        let collector = try TestCollector(set.directory)
        try Self.started(set, endpoint: "http://127.0.0.1:\(collector.port)")
        #expect(try set.stop(.exporter) == 0)
        let client = set.client()
        let gateway = { try client.get("/metrics").text.split(separator: "\n").map(String.init) }
        func value(_ name: String) throws -> Int {
            try gateway().first { $0.hasPrefix(name) }.flatMap { Double($0.split(separator: " ").last ?? "") }.map { Int($0) } ?? 0
        }
        // Within a second every process has heard of it; from then on what is recorded stays where it is.
        let time = SystemTime()
        var (passed, since) = (-1, time.monotonicMilliseconds())
        try Patience.wait(30, "two seconds in which no span is sent", log: set.logPath(.gateway)) {
            for index in 0..<5 { #expect(try Self.put(client, "g\(index)").status < 300) }
            let now = try value(#"themis_spans_passed_total{stage="process"}"#)
            if now != passed { (passed, since) = (now, time.monotonicMilliseconds()) }
            return time.monotonicMilliseconds() - since > 2_000
        }
        #expect(try value(#"themis_spans_waiting{stage="process"}"#) > 0)
    }
}

/// Collectors behind HTTPS: only a certificate that is trusted and made out to the right host is spoken to.
extension TracingTests {
    /// A self-signed certificate for `names`.
    private static func certificate(_ directory: String, _ names: String) throws -> (cert: String, key: String) {
        let (cert, key) = ("\(directory)/\(UUID().uuidString).pem", "\(directory)/\(UUID().uuidString).key")
        let made = try LaunchedProcess(
            "/usr/bin/openssl",
            [
                "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj",
                "/CN=collector",
                "-addext", "subjectAltName=\(names)", "-keyout", key, "-out", cert,
            ], logPath: directory + "/openssl.log")
        #expect(try made.exitCode(within: 20) == 0, "\(made.log)")
        return (cert, key)
    }

    @Test(arguments: ["127.0.0.1", "localhost"])
    func `a collector whose certificate is trusted gets its spans over HTTPS`(host: String) throws {
        let set = try ProcessSet()
        let (cert, key) = try Self.certificate(set.directory, "DNS:localhost,IP:127.0.0.1")
        let collector = try TestCollector(set.directory, cert: cert, key: key)
        try Self.started(set, endpoint: "https://\(host):\(collector.port)", exporter: ["SSL_CERT_FILE": cert])
        #expect(try Self.put(set.client(), "a").status == 201)
        try Patience.wait(20, "a trace", log: collector.process.logPath) { collector.spans.contains { $0.trace == Self.trace } }
        try Patience.wait(10, "spans that are counted as sent", log: set.logPath(.exporter)) {
            Self.counted("themis_exporter_sent_total", #"signal="spans""#, set) > 0
        }
    }

    @Test(arguments: [("DNS:localhost,IP:127.0.0.1", false), ("DNS:example.org", true)])
    func `a collector whose certificate is not trusted, or another host's, is sent nothing`(names: String, isTrusted: Bool) throws {
        let set = try ProcessSet()
        let (cert, key) = try Self.certificate(set.directory, names)
        let collector = try TestCollector(set.directory, cert: cert, key: key)
        try Self.started(set, endpoint: "https://127.0.0.1:\(collector.port)", exporter: isTrusted ? ["SSL_CERT_FILE": cert] : [:])
        #expect(try Self.put(set.client(), "a").status == 201)
        try Patience.wait(20, "spans that are dropped", log: set.logPath(.exporter)) {
            Self.counted("themis_exporter_dropped_total", #"reason="untrusted""#, set) > 0
        }
        #expect(collector.requests.isEmpty && Self.counted("themis_exporter_sent_total", #"signal="spans""#, set) == 0)
    }
}
