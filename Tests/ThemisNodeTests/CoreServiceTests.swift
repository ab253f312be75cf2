import Foundation
import Testing
import ThemisBase
import ThemisNet
import ThemisRPC
import ThemisStorage
import ThemisTestKit

@testable import ThemisNode

@Suite(.serialized) struct CoreServiceTests {
    @Test func `table operations that wait for the disk in every worker do not stop the writes they wait for`() async throws {
        let node = try await NodeFixture.started(threads: 2)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for index in 0..<24 {
                group.addTask {
                    _ = try await node.client.tablePut(TablePutRequest(name: "t\(index)"), NodeFixture.metadata())
                }
                // One key, so that writes go stale and are prepared again on the same pool.
                group.addTask { try await node.put("same", "key", #"{"n":\#(index)}"#) }
            }
            try await group.waitForAll()
        }
        let list = try await node.client.tableList(NodeFixture.metadata())
        #expect(list.tables.count == 25)
        await node.stop()
    }

    @Test func `a caller that gives up a wait for a sequence frees its place at once`() async throws {
        let node = try await NodeFixture.started()
        try await node.put("t", "1")
        let waiting = Task {
            try await node.client.get(GetRequest(table: "t", pk: "1"), NodeFixture.metadata(1 << 30))
        }
        try await node.wait { node.server.inFlight == 1 }
        waiting.cancel()
        await #expect(throws: ThemisError.self) { try await waiting.value }
        try await node.wait { node.server.inFlight == 0 }
        await node.stop()
    }

    @Test func `a wait for a sequence ends when it is written`() async throws {
        let node = try await NodeFixture.started()
        try await node.put("t", "1")
        let waiting = Task { try await node.client.get(GetRequest(table: "t", pk: "2"), NodeFixture.metadata(2)) }
        try await node.wait { node.server.inFlight == 1 }
        try await node.put("t", "2", #"{"n":2}"#)
        #expect(try await waiting.value.version == 2)
        await node.stop()
    }

    @Test func `a long poll is answered by the change it wants, however many others come before`() async throws {
        let node = try await NodeFixture.started()
        let request = ChangesReadRequest(
            after: 0, limit: 10, waitMilliseconds: 60_000, filter: ThemisRPC.ChangesFilter(table: "wanted"))
        let waiting = Task { try await node.client.changesRead(request, NodeFixture.metadata()) }
        try await node.wait { !node.service.longPolls.isEmpty }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for index in 0..<200 { group.addTask { try await node.put("other", "\(index)") } }
            try await group.waitForAll()
        }
        let sequence = try await node.put("wanted", "1")
        let page = try await waiting.value
        #expect(page.changes.map(\.sequence) == [sequence])
        #expect(await node.service.longPolls.isEmpty)
        await node.stop()
    }

    @Test func `a follower sees every change once and ends when its caller leaves`() async throws {
        let node = try await NodeFixture.started()
        #expect(await node.service.followers == 0)
        let follow = try await node.client.changesFollow(ChangesReadRequest(after: 0), NodeFixture.metadata())
        let writes = Task {
            try await withThrowingTaskGroup(of: Void.self) { group in
                for index in 0..<300 { group.addTask { try await node.put("t", "\(index % 7)") } }
                try await group.waitForAll()
            }
        }
        var seen: [UInt64] = []
        while seen.count < 300, let page = try await follow.next() { seen += page.changes.map(\.sequence) }
        #expect(seen == Array(1...300))
        try await writes.value
        await follow.cancel()
        try await node.wait { node.service.followers == 0 }
        await node.stop()
    }

    @Test func `a core that drains answers everything in flight with a reason`() async throws {
        let node = try await NodeFixture.started()
        try await node.put("t", "1")
        let read = Task { () -> ErrorCode? in
            do {
                _ = try await node.client.multiGet(MultiGetRequest(keys: []), NodeFixture.metadata(1 << 30))
                return nil
            } catch { return (error as? ThemisError)?.code }
        }
        let poll = Task {
            try await node.client.changesRead(
                ChangesReadRequest(after: 1, limit: 1, waitMilliseconds: 60_000), NodeFixture.metadata())
        }
        let bulk = try await node.client.writeStream(NodeFixture.metadata())
        try await node.wait { node.server.inFlight == 3 && node.service.longPolls.count == 1 }
        await node.service.finishLongPolls()
        await node.server.drain(graceMilliseconds: 50)
        #expect(try await poll.value.changes.isEmpty)
        do {
            _ = try await bulk.next()
            Issue.record("the stream has not ended")
        } catch {
            #expect(error.code == .shuttingDown)
            #expect(error.outcome == .unknown)
        }
        await node.client.stop()
        #expect(await read.value == .shuttingDown)
        await node.stop()
    }

    @Test func `a compaction does not outlive the decision to stop`() async throws {
        let node = try await NodeFixture.started()
        for index in 0..<50 { try await node.put("t", "\(index)") }
        try await NetLoop.run {
            try node.core.engine.flush(nil)
            node.core.engine.stopCompactions()
            #expect(throws: ThemisError.self) { try node.core.engine.compact(.entities, from: nil, to: nil) }
        }
        let entity = try await node.client.get(GetRequest(table: "t", pk: "7"), NodeFixture.metadata())
        #expect(!entity.missing)
        await node.stop()
    }

    @Test func `what the core says in JSON is JSON`() async throws {
        let node = try await NodeFixture.started()
        try await node.put("t", "1")
        var texts = [try await node.text(.stats, EmptyMessage())]
        for view in ["", "schema", "drift", "shared"] { texts.append(try await node.text(.configGet, ConfigRequest(view: view))) }
        for text in texts { _ = try JSONSerialization.jsonObject(with: Data(text)) }
        let stats = try JSONSerialization.jsonObject(with: Data(texts[0])) as? [String: Any]
        #expect((stats?["peers"] as? [[String: Any]])?.first?["instance"] as? String == "test")
        #expect((stats?["changefeed"] as? [String: Any])?["latest_sequence"] as? Int == 1)
        await node.stop()
    }
}
