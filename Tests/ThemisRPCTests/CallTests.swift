import Testing
import ThemisBase
import ThemisNet
import ThemisTelemetry
import ThemisTestKit

@testable import ThemisRPC

private let everything = RequestMetadata(deadlineMilliseconds: 20_000, scopes: .all)

@Suite struct CallTests {
    init() { LoopThread.start() }

    /// Runs `body` on the loop with a core and a client that are stopped afterwards.
    private func run(
        _ adjust: @escaping @Sendable @NetLoop (inout RPCServer.Options) -> Void = { _ in },
        client clientOptions: @escaping @Sendable @NetLoop (inout RPCClient.Options) -> Void = { _ in },
        _ body: @escaping @Sendable @NetLoop (TestCore, RPCClient) async throws -> Void
    ) async throws {
        let result: Result<Void, any Error> = await withCheckedContinuation { continuation in
            NetLoop.spawn {
                let core = TestCore()
                do {
                    try core.start(adjust)
                    let client = try RPCClient.connected(to: core, clientOptions)
                    do {
                        try await body(core, client)
                        continuation.resume(returning: .success(()))
                    } catch { continuation.resume(returning: .failure(error)) }
                    client.stop()
                } catch { continuation.resume(returning: .failure(error)) }
                core.stop()
            }
        }
        try result.get()
    }

    @Test func `calls are answered, from the loop and from other threads`() async throws {
        try await run { _, client in
            for index in 0..<50 {
                let answer = try await client.get(
                    GetRequest(table: "t", pk: "k\(index)", fields: index % 2 == 0 ? [] : ["x"]), everything)
                #expect(answer.document == Array("k\(index)".utf8))
            }
        }
    }

    @Test func `many calls share one connection and each gets its own answer`() async throws {
        try await run { core, client in
            let calls = (0..<3_000).map { index in
                Task { @NetLoop in
                    try await client.get(GetRequest(table: "t", pk: "k\(index)", fields: index % 7 == 0 ? ["x"] : []), everything)
                        .pk
                }
            }
            var answers = 0
            for (index, call) in calls.enumerated() where try await call.value == "k\(index)" { answers += 1 }
            #expect(answers == 3_000)
            #expect(core.server?.peers().count == 1)
        }
    }

    @Test func `a body of 8 MiB flows there and back`() async throws {
        try await run { _, client in
            var metadata = everything
            metadata.minSequence = 8 << 20
            let text = try await client.stats(metadata).text
            #expect(text.count == 8 << 20 && text.allSatisfy { $0 == 0x78 })
            let document = [UInt8](repeating: 7, count: 4 << 20)
            let operation = OperationMessage(kind: .put, table: "t", pk: "1", body: document)
            let answer = try await client.writeAtomic(WriteAtomicRequest(operations: [operation, operation]), everything)
            #expect(answer.sequence == 8 << 20)
        }
    }

    @Test func `a stream of operations is answered one by one`() async throws {
        try await run { _, client in
            let stream = try await client.writeStream(everything)
            for size in [0, 1, 100_000, 700_000, 3] {
                try await stream.send(OperationMessage(kind: .put, table: "t", pk: "1", body: [UInt8](repeating: 1, count: size)))
                #expect(try await stream.next()?.result?.version == UInt64(size))
            }
            stream.finish()
            #expect(try await stream.next() == nil)
        }
    }

    @Test func `an export of 3 MB reaches a reader that pauses`() async throws {
        try await run { _, client in
            let stream = try await client.export(ListRequest(table: "t", limit: 3_000), everything)
            var count = 0
            while let entity = try await stream.next() {
                #expect(entity.pk == String(count))
                count += 1
                if count % 500 == 0 { try await NetLoop.sleep(milliseconds: 1) }
            }
            #expect(count == 3_000)
        }
    }

    @Test func `a stream ends with the error that the core found`() async throws {
        try await run { _, client in
            let stream = try await client.export(ListRequest(table: "t", limit: 10, reverse: true), everything)
            var count = 0
            let error = await #expect(throws: ThemisError.self) { @NetLoop in
                while try await stream.next() != nil { count += 1 }
            }
            #expect(error?.code == .historyGone)
            #expect(count == 10)
        }
    }

    @Test func `an error of the core arrives with its outcome`() async throws {
        try await run { _, client in
            let error = await #expect(throws: ThemisError.self) { @NetLoop in
                try await client.tableTruncate(TableRequest(name: "t"), everything)
            }
            #expect(error?.code == .diskFull && error?.outcome == .notCommitted)
        }
    }

    @Test func `what this version cannot honour is refused, never ignored`() async throws {
        try await run { _, client in
            var inTransaction = everything
            inTransaction.transaction = TransactionID(high: 1, low: 2)
            var urgent = everything
            urgent.priority = 1
            var elsewhere = everything
            elsewhere.shard = 1
            let table = await #expect(throws: ThemisError.self) {
                try await client.tableGet(TableRequest(name: "t"), inTransaction)
            }
            #expect(table?.code == .notImplemented)
            for (metadata, code) in [(urgent, ErrorCode.notImplemented), (elsewhere, .invalidRequest)] {
                let error = await #expect(throws: ThemisError.self) {
                    try await client.get(GetRequest(table: "t", pk: "1"), metadata)
                }
                #expect(error?.code == code)
            }
        }
    }

    @Test func `the core checks the scope again, and the role`() async throws {
        try await run { _, client in
            let error = await #expect(throws: ThemisError.self) { @NetLoop in
                try await client.get(GetRequest(table: "t", pk: "1"), RequestMetadata(scopes: [.dataWrite]))
            }
            #expect(error?.code == .forbidden && error?.message.contains("data:read") == true)
        }
        try await run(client: { $0.role = .exporter }) { _, client in
            let error = await #expect(throws: ThemisError.self) { @NetLoop in
                try await client.get(GetRequest(table: "t", pk: "1"), everything)
            }
            #expect(error?.code == .forbidden && error?.message == "a peer of role exporter may not call Get")
        }
    }

    @Test func `a deadline ends the call here and cancels it in the core`() async throws {
        try await run { core, client in
            await client.wait { $0.isConnected }
            var metadata = everything
            metadata.deadlineMilliseconds = 30
            let error = await #expect(throws: ThemisError.self) { @NetLoop in try await client.changesInfo(metadata) }
            #expect(error?.code == .deadlineExceeded)
            await core.wait { core.cancelled == 1 }
            #expect(core.held.first?.isCancelled == true)
            core.held.first?.respond(ChangesInfoResponse())
            // The id is free again and the connection in order.
            _ = try await client.ping(everything)
        }
    }

    @Test func `a write whose deadline passes has an unknown outcome once it was sent`() async throws {
        try await run { _, client in
            await client.wait { $0.isConnected }
            var metadata = everything
            metadata.deadlineMilliseconds = 20
            let error = await #expect(throws: ThemisError.self) { @NetLoop in
                try await client.deleteRange(DeleteRangeRequest(table: "t"), metadata)
            }
            #expect(error?.code == .deadlineExceeded && error?.outcome == .unknown)
        }
    }

    @Test func `a cancelled task cancels its call in the core`() async throws {
        try await run { core, client in
            let task = Task { @NetLoop in try await client.changesInfo(everything) }
            await core.wait { core.held.count == 1 }
            task.cancel()
            let result = await task.result
            #expect(throws: ThemisError.self) { try result.get() }
            await core.wait { core.cancelled == 1 }
        }
    }

    @Test func `the wait for a connection counts against the deadline`() async throws {
        let path = TestCore.temporaryPath()
        try await NetLoop.spawned {
            let core = TestCore(path)
            let client = try RPCClient.connected(to: core) { $0.connectWaitMilliseconds = 10_000 }
            let clock = SystemTime()
            let call = Task { @NetLoop in _ = try await client.ping(everything) }
            while !client.hasWaitingCalls { await Task.yield() }
            let asked = clock.monotonicNanoseconds()
            try await NetLoop.sleep(milliseconds: 60)
            let waited = (clock.monotonicNanoseconds() - asked) / 1_000_000
            try core.start()
            try await call.value
            let left = try #require(core.deadlines.first)
            #expect(Int(left) <= 20_000 - Int(waited))
            client.stop()
            core.stop()
        }
    }

    @Test func `without a core a call fails after the time it may wait, and says why`() async throws {
        try await NetLoop.spawned {
            let client = try RPCClient.connected(to: TestCore()) { $0.connectWaitMilliseconds = 40 }
            let read = await #expect(throws: ThemisError.self) { @NetLoop in try await client.ping(everything) }
            #expect(
                read?.code == .coreUnavailable && read?.message.contains("No such file") == true && read?.retryAfterSeconds == 1)
            let write = await #expect(throws: ThemisError.self) { @NetLoop in
                try await client.tableTruncate(TableRequest(name: "t"), everything)
            }
            #expect(write?.code == .coreUnavailable && write?.outcome == .notCommitted)
            client.stop()
            let late = await #expect(throws: ThemisError.self) { @NetLoop in try await client.ping(everything) }
            #expect(late?.code == .shuttingDown)
        }
    }

    @Test func `a restart of the core is bridged: reads are repeated, writes have an unknown outcome`() async throws {
        try await run { core, client in
            await client.wait { $0.isConnected }
            let first = client.state.bootID
            let read = Task { @NetLoop in try await client.changesInfo(everything) }
            let write = Task { @NetLoop in try await client.deleteRange(DeleteRangeRequest(table: "t"), everything) }
            await core.wait { core.held.count == 2 }
            core.held = []
            core.server?.stop()
            await client.wait { !$0.isConnected }
            let waiting = Task { @NetLoop in try await client.ping(everything) }
            try core.start()
            let writeResult = await write.result
            let error = #expect(throws: ThemisError.self) { try writeResult.get() }
            #expect(error?.code == .commitUnknown && error?.outcome == .unknown)
            _ = try await waiting.value
            await core.wait { core.held.count == 1 }
            core.held.first?.respond(ChangesInfoResponse(latest: 5))
            #expect(try await read.value.latest == 5)
            #expect(client.state.bootID != first && client.state.isConnected)
        }
    }

    @Test func `a drain lets calls finish, refuses new ones, and ends endless ones at once`() async throws {
        try await run(client: { $0.connectWaitMilliseconds = 50 }) { core, client in
            await client.wait { $0.isConnected }
            let slow = Task { @NetLoop in try await client.changesInfo(everything) }
            let follow = try await client.changesFollow(ChangesReadRequest(), everything)
            await core.wait { core.held.count == 2 }
            let drain = Task { @NetLoop in await core.server?.drain(graceMilliseconds: 5_000) }
            let end = await #expect(throws: ThemisError.self) { @NetLoop in try await follow.next() }
            #expect(end?.code == .shuttingDown)
            await client.wait { !$0.isConnected }
            let late = Task { @NetLoop in try await client.ping(everything) }
            core.held.first { $0.method == .changesInfo }?.respond(ChangesInfoResponse(latest: 9))
            #expect(try await slow.value.latest == 9)
            _ = await drain.value
            let lateResult = await late.result
            #expect(throws: ThemisError.self) { try lateResult.get() }
        }
    }

    @Test func `peers are listed with what they are`() async throws {
        try await run { core, client in
            _ = try await client.ping(everything)
            let held = Task { @NetLoop in try await client.changesInfo(everything) }
            await core.wait { core.held.count == 1 }
            let peer = try #require(core.server?.peers().first)
            #expect(peer.role == .gateway && peer.instance == "test" && peer.version == Build.version && peer.inFlight == 1)
            #expect(peer.connectedMilliseconds > 0 && peer.pid > 0)
            core.held.first?.respond(ChangesInfoResponse())
            _ = try await held.value
        }
    }
}

extension NetLoop {
    /// Runs an asynchronous `body` on the loop.
    static func spawned(_ body: @escaping @Sendable @NetLoop () async throws -> Void) async throws {
        let result: Result<Void, any Error> = await withCheckedContinuation { continuation in
            NetLoop.spawn {
                do {
                    try await body()
                    continuation.resume(returning: .success(()))
                } catch { continuation.resume(returning: .failure(error)) }
            }
        }
        try result.get()
    }
}
