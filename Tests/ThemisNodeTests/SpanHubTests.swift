import Testing
import ThemisBase
import ThemisNet
import ThemisTelemetry
import ThemisTestKit

@testable import ThemisNode
@testable import ThemisRPC

/// The spans of a request within the core, and their way to exporters.
@Suite(.serialized) struct SpanHubTests {
    init() { LoopThread.start() }

    private static let caller = Traceparent(traceHigh: 1, traceLow: 2, span: 3, isSampled: true)

    private static func batch(_ count: Int, bytes: Int = 100) -> SpanBatch {
        var batch = SpanBatch()
        for _ in 0..<count { batch.append([UInt8](repeating: 1, count: bytes)) }
        return batch
    }

    private static func spans(_ response: SpansTakeResponse) throws -> [Span] {
        var spans: [Span] = []
        for group in response.groups {
            try SpanBatch(group.spans).forEach { bytes in
                if let span = try? Span(decoding: bytes) { spans.append(span) }
            }
        }
        return spans
    }

    @NetLoop private static func take(_ node: NodeFixture, arrived: UInt64 = 0, wait: UInt32 = 0) async throws -> SpansTakeResponse {
        try await node.client.spansTake(SpansTakeRequest(arrived: arrived, waitMilliseconds: wait), NodeFixture.metadata())
    }

    @NetLoop private static func value(_ metric: Metric, _ labels: [String], _ node: NodeFixture) -> Double {
        let family = node.service.telemetry.metrics.snapshot().family(metric)
        switch family?.series.first(where: { $0.labels == labels })?.value {
        case .counter(let value): return Double(value)
        case .gauge(let value): return value
        default: return 0
        }
    }

    @Test func `a recorded write shows its queue, its preparation, its commit and the sync within it`() async throws {
        let node = try await NodeFixture.started()
        await node.service.telemetry.spans.configure(isEnabled: true, ratio: 0)
        _ = try await Self.take(node)
        var metadata = NodeFixture.metadata()
        metadata.trace = Self.caller
        let operation = OperationMessage(kind: .put, table: "t", pk: "1", body: Array("{}".utf8))
        _ = try await node.client.write(WriteRequest(operation: operation), metadata)
        await node.service.spans.tick()
        let spans = try Self.spans(try await Self.take(node))
        let byName = Dictionary(uniqueKeysWithValues: spans.map { ($0.name, $0) })
        #expect(Set(byName.keys) == ["Write", "queue", "prepare", "commit", "fsync"])
        let server = try #require(byName["Write"])
        #expect(server.parent == 3 && server.isParentRemote && server.kind == .server && server.context.traceHigh == 1)
        for name in ["queue", "prepare", "commit"] { #expect(byName[name]?.parent == server.context.span, "\(name)") }
        let commit = try #require(byName["commit"])
        let fsync = try #require(byName["fsync"])
        #expect(fsync.parent == commit.context.span && commit.value(.batchRecords) != nil)
        #expect(server.startNanoseconds <= commit.startNanoseconds && commit.startNanoseconds <= fsync.startNanoseconds)
        #expect(fsync.endNanoseconds <= commit.endNanoseconds && commit.endNanoseconds <= server.endNanoseconds)
        #expect(fsync.endNanoseconds > fsync.startNanoseconds)
        await node.stop()
    }

    @Test func `an error of the core is the error of its span`() async throws {
        let node = try await NodeFixture.started()
        await node.service.telemetry.spans.configure(isEnabled: true, ratio: 0)
        _ = try await Self.take(node)
        var metadata = NodeFixture.metadata()
        metadata.trace = Self.caller
        let operation = OperationMessage(
            kind: .put, table: "t", pk: "1", body: Array("{}".utf8), condition: .version(7))
        await #expect(throws: ThemisError.self) { try await node.client.write(WriteRequest(operation: operation), metadata) }
        await node.service.spans.tick()
        let spans = try Self.spans(try await Self.take(node))
        let server = try #require(spans.first { $0.kind == .server })
        #expect(server.error == "precondition_failed" && server.value(.rpcStatus) == .text("precondition_failed"))
        await node.stop()
    }

    @Test func `requests that are not sampled leave nothing`() async throws {
        let node = try await NodeFixture.started()
        await node.service.telemetry.spans.configure(isEnabled: true, ratio: 1)
        try await node.put("t", "1")
        var metadata = NodeFixture.metadata()
        metadata.trace = Traceparent(traceHigh: 1, traceLow: 2, span: 3, isSampled: false)
        _ = try await node.client.get(GetRequest(table: "t", pk: "1"), metadata)
        #expect(await node.service.telemetry.spans.waitingCount == 0)
        await node.stop()
    }

    @Test func `nothing is asked for while no exporter is connected`() async throws {
        let node = try await NodeFixture.started()
        let push = MetricsPushRequest(snapshot: MetricSnapshot().encoded(), bootID: 1)
        #expect(try await node.client.metricsPush(push, NodeFixture.metadata()).spanCredit == 0)
        #expect(try await Self.take(node).groups.isEmpty)
        #expect(try await node.client.metricsPush(push, NodeFixture.metadata()).spanCredit > 0)
        await node.stop()
    }

    @Test func `a waiting exporter is given spans as they come, each batch once`() async throws {
        let node = try await NodeFixture.started()
        let waiting = Task { try await Self.take(node, wait: 10_000) }
        try await node.wait { node.server.inFlight == 1 }
        let pushed = try await node.client.spansPush(SpansPushRequest(spans: Self.batch(3).bytes), NodeFixture.metadata())
        #expect(pushed.spanCredit > 0)
        let first = try await waiting.value
        #expect(try first.groups.map { try SpanBatch($0.spans).count } == [3])
        #expect(first.groups.first?.role == "gateway" && first.groups.first?.instance == "test" && first.leads && first.batch != 0)
        #expect(await Self.value(.spansWaiting, ["core"], node) == 3)
        let second = try await Self.take(node, arrived: first.batch)
        #expect(second.groups.isEmpty)
        #expect(await Self.value(.spansPassed, ["core"], node) == 3)
        #expect(await Self.value(.spansWaiting, ["core"], node) == 0)
        await node.stop()
    }

    @Test func `what is too much in a second or too large together is dropped and counted`() async throws {
        let node = try await NodeFixture.started()
        _ = try await Self.take(node)
        await { @NetLoop in
            let hub = node.service.spans
            for _ in 0..<20 { hub.add(Self.batch(5, bytes: 22_000), role: "gateway", instance: "g", version: "1") }
            for _ in 0..<400 { hub.add(Self.batch(1, bytes: 24_000), role: "gateway", instance: "g", version: "1") }
            for _ in 0..<70 { hub.add(Self.batch(100, bytes: 1), role: "gateway", instance: "g", version: "1") }
        }()
        let entered = await Self.value(.spansEntered, ["core"], node)
        let full = await Self.value(.spansDropped, ["core", "full"], node)
        let rate = await Self.value(.spansDropped, ["core", "rate"], node)
        #expect(entered == 100 + 400 + 7_000 && full > 50 && rate > 1_000)
        #expect(await Self.value(.spansWaiting, ["core"], node) == entered - full - rate)
        let taken = try await Self.take(node)
        #expect(taken.groups.reduce(0) { $0 + $1.spans.count } <= Limits.spanTakeBytes)
        await node.stop()
    }

    @Test func `spans that an exporter took with it are counted as lost`() async throws {
        let node = try await NodeFixture.started()
        let path = await node.client.options.socketPath
        let exporter = try await RPCClient(
            .init(socketPath: path, role: .exporter, instance: "e", seed: 1), telemetry: .silent())
        await exporter.start()
        _ = try await exporter.spansTake(SpansTakeRequest(), NodeFixture.metadata())
        _ = try await node.client.spansPush(SpansPushRequest(spans: Self.batch(2).bytes), NodeFixture.metadata())
        let taken = try await exporter.spansTake(SpansTakeRequest(), NodeFixture.metadata())
        #expect(taken.groups.count == 1)
        await exporter.stop()
        try await node.wait { node.server.peers().count == 1 }
        await node.service.spans.tick()
        #expect(await Self.value(.spansDropped, ["core", "exporter_lost"], node) == 2)
        #expect(await node.service.spans.credit == 0)
        await node.stop()
    }
}
