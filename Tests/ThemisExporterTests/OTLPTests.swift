import Testing
import ThemisBase
import ThemisTelemetry

@testable import ThemisExporter

/// The wire of OTLP, byte by byte where a mistake would be quiet. An independent decoder reads all of it in the end-to-end tests.
@Suite struct OTLPTests {
    private let resource = OTLPResource(service: "s", instance: "i", role: "core", version: "1")

    private func contains(_ bytes: [UInt8], _ part: [UInt8]) -> Bool {
        part.count <= bytes.count && (0...(bytes.count - part.count)).contains { bytes[$0..<($0 + part.count)].elementsEqual(part) }
    }

    @Test func `ids are big-endian bytes and times fixed numbers`() throws {
        let context = try #require(
            Traceparent(traceHigh: 0x0102_0304_0506_0708, traceLow: 0x090A_0B0C_0D0E_0F10, span: 0x1112, isSampled: true))
        let span = Span(
            context: context, parent: 0x2122, isParentRemote: true, kind: .server, name: "n", startNanoseconds: 0x31, endNanoseconds: 0x32,
            error: "e", attributes: [SpanAttribute("k", .integer(-1))])
        let bytes = OTLPTraces.encode([(resource, [span])])
        #expect(contains(bytes, [0x0A, 16] + Array(1...16)))
        #expect(contains(bytes, [0x12, 8, 0, 0, 0, 0, 0, 0, 0x11, 0x12]) && contains(bytes, [0x22, 8, 0, 0, 0, 0, 0, 0, 0x21, 0x22]))
        #expect(contains(bytes, [0x2A, 1, 0x6E, 0x30, 2, 0x39, 0x31, 0, 0, 0, 0, 0, 0, 0, 0x41, 0x32, 0, 0, 0, 0, 0, 0, 0]))
        #expect(contains(bytes, [0x7A, 2, 0x18, 2]) && contains(bytes, [0x85, 0x01, 0x01, 0x03, 0, 0]))
        #expect(contains(bytes, [0x0A, 1, 0x6B, 0x12, 11, 0x18, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1]))
        #expect(OTLPTraces.encode([]).isEmpty)
    }

    @Test func `a snapshot becomes a resource for each process, with its own start`() {
        let family = MetricSnapshot.Family(
            metric: .httpRequests, addedLabels: ["instance", "role"],
            series: [
                .init(labels: ["/a", "GET", "g1", "gateway"], value: .counter(3)),
                .init(labels: ["/a", "GET", "g2", "gateway"], value: .counter(4)),
            ])
        let uptime = MetricSnapshot.Family(
            metric: .uptime, addedLabels: ["instance", "role"], series: [.init(labels: ["g1", "gateway"], value: .gauge(100))])
        let second: UInt64 = 1_000_000_000
        var starts = StartTimes()
        let now = 1_700_000_000 * second
        let snapshot = MetricSnapshot(families: [uptime, family])
        let parts = MetricParts.parts(of: snapshot, service: "s", nowNanoseconds: now, &starts)
        #expect(parts.map(\.resource.instance) == ["g1", "g2"])
        #expect(parts.map(\.startNanoseconds) == [now - 100 * second, now])
        #expect(parts[0].families.map(\.metric) == [.uptime, .httpRequests] && parts[1].families[0].series[0].labels == ["/a", "GET"])
        // Ten seconds later nothing has begun anew, though uptime is coarse.
        let later = MetricParts.parts(of: snapshot, service: "s", nowNanoseconds: now + 2 * second, &starts)
        #expect(later.map(\.startNanoseconds) == parts.map(\.startNanoseconds))
        let restarted = MetricParts.parts(of: snapshot, service: "s", nowNanoseconds: now + 200 * second, &starts)
        #expect(restarted[0].startNanoseconds == now + 100 * second && restarted[1].startNanoseconds == now)
        let (body, points) = OTLPMetrics.encode(parts, atNanoseconds: now)
        #expect(points == 3 && !body.isEmpty)
    }

    @Test func `an answer that refuses a part says how much`() {
        #expect(OTLPAnswer(decoding: []).rejected == 0)
        let answer = OTLPAnswer(decoding: [0x0A, 7, 0x08, 5, 0x12, 3, 0x62, 0x61, 0x64])
        #expect(answer.rejected == 5 && answer.message == "bad")
        #expect(OTLPAnswer(decoding: [0x0A, 11, 0x08] + Array(repeating: 255, count: 9) + [1]).rejected == 0)
        var random = SeededRandom(seed: 3)
        for _ in 0..<2_000 {
            let bytes = (0..<Int.random(in: 0...40, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
            _ = OTLPAnswer(decoding: bytes)
        }
    }
}
