import Testing
import ThemisBase
import ThemisNet
import ThemisRPC
import ThemisTestKit

@testable import ThemisNode

@Suite(.serialized) struct OverloadTests {
    /// Keeps every worker of a node busy until it is opened.
    private final class Blocker: Sendable {
        private let state = Monitor((reached: 0, isOpen: false))

        init(_ node: NodeFixture, threads: Int) async {
            let state = self.state
            for _ in 0..<threads {
                _ = node.core.pool.submit(.control) {
                    state.withLock { $0.reached += 1 }
                    state.notifyAll()
                    state.wait { $0.isOpen ? () : nil }
                }
            }
            state.wait { $0.reached == threads ? () : nil }
        }

        func open() {
            state.withLock { $0.isOpen = true }
            state.notifyAll()
        }
    }

    @Test func `a write whose deadline passes while it waits is not executed`() async throws {
        let node = try await NodeFixture.started(threads: 1)
        try await node.put("t", "before")
        let blocker = await Blocker(node, threads: 1)
        var metadata = NodeFixture.metadata()
        metadata.deadlineMilliseconds = 30
        let late = metadata
        await #expect(throws: ThemisError.self) {
            let operation = OperationMessage(kind: .put, table: "t", pk: "late", body: Array("{}".utf8))
            _ = try await node.client.write(WriteRequest(operation: operation), late)
        }
        blocker.open()
        try await node.put("t", "after")
        let found = try await node.client.get(GetRequest(table: "t", pk: "late"), NodeFixture.metadata())
        #expect(found.missing)
        await node.stop()
    }

    @Test func `in overload writes are refused at once as not committed, health answers, and what was taken is done`() async throws {
        let node = try await NodeFixture.started(threads: 1)
        try await node.put("t", "before")
        let blocker = await Blocker(node, threads: 1)
        let floor = CoreService.writeBounds.floor
        let taken = (0..<floor).map { index in Task { try await node.put("t", "taken \(index)") } }
        try await node.wait { node.service.writeGate.underWay == floor }
        // Nothing is answered for an interval: then the gate closes, at the next request.
        let probe = Task { try? await node.put("t", "probe") }
        var probes = [probe]
        while await !node.service.writeGate.isCongested {
            // Some time passes, so that the probes do not use up what one connection may have in flight.
            for _ in 0..<50 { _ = try await node.client.ping(NodeFixture.metadata()) }
            let seen = await node.service.writeGate.underWay
            probes.append(Task { try? await node.put("t", "probe") })
            try await node.wait { node.service.writeGate.underWay > seen || node.service.writeGate.isCongested }
        }
        let refusal = await #expect(throws: ThemisError.self) { try await node.put("t", "refused") }
        #expect(refusal?.code == .overloaded)
        #expect(refusal?.outcome == .notCommitted)
        #expect((refusal?.retryAfterSeconds ?? 0) > 0)
        _ = try await node.client.ping(NodeFixture.metadata())
        blocker.open()
        for task in taken { _ = try await task.value }
        for probe in probes { _ = await probe.value }
        #expect(await node.service.writeGate.underWay == 0)
        #expect(await node.service.writeGate.underWayBytes == 0)
        await node.stop()
    }

    @Test func `scans that hold every thread they may have do not hold up writes and questions`() async throws {
        let node = try await NodeFixture.started(threads: 2)
        try await node.put("t", "1")
        let state = Monitor(false)
        _ = node.core.pool.submit(.heavy) { state.wait { $0 ? () : nil } }
        let pages = (0..<5).map { _ in
            Task { try await node.client.list(ThemisRPC.ListRequest(table: "t", limit: 10), NodeFixture.metadata()) }
        }
        try await node.wait { node.service.scanGate.underWay == 5 }
        try await node.put("t", "2")
        _ = try await node.text(.stats, EmptyMessage())
        #expect(await node.service.scanGate.underWay == 5)
        state.withLock { $0 = true }
        state.notifyAll()
        for page in pages { #expect(try await page.value.entities.count == 2) }
        await node.stop()
    }
}
