import Foundation
import ThemisBase
import ThemisNet
import ThemisTelemetry
import ThemisTestKit

@testable import ThemisRPC

/// A core for tests, in this process: answers by what the request says.
@NetLoop final class TestCore {
    let path: String
    let bootID = BootID.random()
    let telemetry = Telemetry.silent()
    private(set) var server: RPCServer?
    /// Calls of ChangesInfo, which are held until a test ends them.
    var held: [RPCServerCall] = []
    var cancelled = 0
    /// Deadlines of Ping requests, as left when they arrived.
    var deadlines: [UInt32] = []
    private var changed = Signal()

    nonisolated static func temporaryPath() -> String {
        TestDirectory.path("rpc") + "/core.sock"
    }

    init(_ path: String = temporaryPath()) { self.path = path }

    func start(_ adjust: (inout RPCServer.Options) -> Void = { _ in }) throws {
        var options = RPCServer.Options(socketPath: path, bootID: .random(), epoch: "e1")
        adjust(&options)
        let server = RPCServer(options, telemetry: telemetry) { [unowned self] in answer($0) }
        try server.start()
        self.server = server
    }

    func stop() {
        server?.stop()
        server = nil
        for call in held { call.fail(ThemisError(.shuttingDown, "stopped")) }
        held = []
    }

    /// Waits until `condition` holds, which is looked at whenever something happens here.
    func wait(until condition: @NetLoop () -> Bool) async {
        while true {
            let ticket = changed.ticket
            if condition() { return }
            await withCheckedContinuation { changed.add($0, since: ticket) }
        }
    }

    private func answer(_ call: RPCServerCall) {
        defer { changed.fire() }
        switch call.method {
        case .get: echo(call)
        case .ping:
            deadlines.append(call.metadata.deadlineMilliseconds)
            call.respond(PingResponse(state: "healthy", version: "test"))
        case .stats: call.respond(TextResponse(text: [UInt8](repeating: 0x78, count: Int(call.metadata.minSequence))))
        case .writeAtomic: count(call)
        case .writeStream: NetLoop.spawn { await Self.answerEach(call) }
        case .export: NetLoop.spawn { await Self.export(call) }
        case .tableTruncate: call.fail(ThemisError(.diskFull, "full", outcome: .notCommitted))
        default: hold(call)
        }
    }

    private func echo(_ call: RPCServerCall) {
        do throws(ThemisError) {
            let request = try call.decode(GetRequest.self)
            let answer = EntityMessage(table: request.table, pk: request.pk, version: 1, document: Array(request.pk.utf8))
            // Every other answer comes from another thread.
            if request.fields.isEmpty { return call.respond(answer) }
            Thread.detachNewThread { call.reply(answer) }
        } catch {
            call.fail(error)
        }
    }

    private func count(_ call: RPCServerCall) {
        do throws(ThemisError) {
            let request = try call.decode(WriteAtomicRequest.self)
            let bytes = request.operations.reduce(0) { $0 + $1.body.count }
            call.respond(WriteAtomicResponse(sequence: UInt64(bytes)))
        } catch {
            call.fail(error)
        }
    }

    private func hold(_ call: RPCServerCall) {
        held.append(call)
        call.onCancel = { [unowned self] in
            cancelled += 1
            changed.fire()
        }
    }

    private static func answerEach(_ call: RPCServerCall) async {
        do throws(ThemisError) {
            while let bytes = try await call.nextMessage() {
                let operation = try OperationMessage(decoding: bytes)
                try await call.send(WriteStreamResult(result: OperationResult(version: UInt64(operation.body.count))))
            }
            call.finish()
        } catch {
            call.fail(error)
        }
    }

    private static func export(_ call: RPCServerCall) async {
        do throws(ThemisError) {
            let request = try call.decode(ListRequest.self)
            for index in 0..<request.limit {
                let document = [UInt8](repeating: 0x79, count: 1_000)
                try await call.send(EntityMessage(table: request.table, pk: String(index), version: 1, document: document))
            }
            if request.reverse { throw ThemisError(.historyGone, "gone") }
            call.finish()
        } catch {
            call.fail(error)
        }
    }
}

extension RPCClient {
    /// A client of `core`, started.
    static func connected(to core: TestCore, _ adjust: (inout Options) -> Void = { _ in }) throws -> RPCClient {
        var options = Options(socketPath: core.path, role: .gateway, instance: "test", seed: Seed.current())
        adjust(&options)
        let client = try RPCClient(options, telemetry: .silent())
        client.start()
        return client
    }

    /// Waits until the state fulfils `condition`.
    func wait(until condition: @escaping @NetLoop (State) -> Bool) async {
        await withCheckedContinuation { continuation in
            var isDone = false
            onStateChange { state in
                guard !isDone, condition(state) else { return }
                isDone = true
                continuation.resume()
            }
        }
    }
}

/// A peer that writes whatever a test wants, and reads what comes back.
@NetLoop final class RawPeer: ByteStreamHandler {
    let stream: ByteStream
    private(set) var received: [UInt8] = []
    private(set) var isClosed = false
    private var changed = Signal()

    init(_ path: String) async throws {
        stream = try await Connector.connect(SocketAddress(unixPath: path), timeoutMilliseconds: 1_000)
        stream.start(self)
    }

    func received(_ bytes: UnsafeRawBufferPointer, on stream: ByteStream) -> Int {
        unsafe received.append(contentsOf: bytes)
        changed.fire()
        return bytes.count
    }

    func ended(_ stream: ByteStream) { stream.close(.peer) }
    func drained(_ stream: ByteStream) {}

    func closed(_ stream: ByteStream, _ reason: CloseReason) {
        isClosed = true
        changed.fire()
    }

    func wait(until condition: @NetLoop (RawPeer) -> Bool) async {
        while true {
            let ticket = changed.ticket
            if condition(self) { return }
            await withCheckedContinuation { changed.add($0, since: ticket) }
        }
    }

    func send(_ type: FrameType, _ flags: FrameFlags = [], method: UInt16 = 0, stream id: UInt32 = 0, _ body: [UInt8] = []) {
        stream.write { out in
            FrameHeader(type: type, flags: flags, method: method, stream: id).append(to: &out) { $0.append(body) }
        }
    }

    func greet(_ adjust: (inout Hello) -> Void = { _ in }) {
        var hello = Hello(role: .gateway, instance: "raw")
        adjust(&hello)
        send(.hello, [], hello.encoded())
    }

    /// A request with the given body.
    func request(_ method: RPCMethod, stream id: UInt32, flags: FrameFlags = .end, scopes: Scopes = .all, _ body: [UInt8] = []) {
        stream.write { out in
            FrameHeader(type: .request, flags: flags, method: method.number, stream: id).append(to: &out) {
                RequestMetadata(scopes: scopes).encode(into: &$0)
                $0.append(body)
            }
        }
    }

    /// The frames that came so far.
    var frames: [(header: FrameHeader, body: [UInt8])] {
        var decoder = FrameDecoder()
        var frames: [(FrameHeader, [UInt8])] = []
        unsafe received.withUnsafeBytes { bytes in
            while let frame = try? unsafe decoder.next(bytes) { unsafe frames.append((frame.header, Array(frame.body))) }
        }
        return frames
    }
}
