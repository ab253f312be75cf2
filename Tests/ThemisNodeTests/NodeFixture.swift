import Foundation
import ThemisBase
import ThemisDatabase
import ThemisNet
import ThemisRPC
import ThemisTelemetry
import ThemisTestKit

@testable import ThemisNode
@testable import ThemisRuntime

/// The core in the test's process, over a directory of its own, and a client of it.
@NetLoop final class NodeFixture {
    let core: Core
    let service: CoreService
    let server: RPCServer
    let client: RPCClient
    private let directory: String

    /// Opens the data, as blocking as it is.
    nonisolated private static func open(_ context: ServiceContext) throws -> Core {
        try Core(CoreSettings(context), telemetry: context.telemetry) { error in preconditionFailure("\(error)") }
    }

    nonisolated static func makeContext(_ directory: String, threads: Int) throws -> ServiceContext {
        let words = ["--data", directory + "/data", "--socket", directory + "/rpc/core.sock", "--threads", String(threads)]
        let arguments = try Arguments(words, role: .core, programFlags: CoreProcess.flags)
        let environment = LaunchEnvironment.current()
        let telemetry = Telemetry.silent()
        return ServiceContext(
            role: .core, configuration: try Configuration.load(arguments: arguments, role: .core, environment: environment),
            telemetry: telemetry, arguments: arguments, environment: environment, instance: "core", bootID: 7,
            process: ProcessMetrics(telemetry, answersRequests: false), versionLine: "themis test")
    }

    /// Not on the loop: it may not run yet.
    nonisolated static func started(threads: Int = 2) async throws -> NodeFixture {
        LoopThread.start()
        let directory = TestDirectory.path("node")
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        let context = try makeContext(directory, threads: threads)
        return try await NodeFixture(directory, context, open(context))
    }

    private init(_ directory: String, _ context: ServiceContext, _ core: Core) throws {
        self.directory = directory
        self.core = core
        service = CoreService(core: core, context: context)
        let path = context.configuration[Settings.rpcSocket]
        let service = self.service
        server = RPCServer(.init(socketPath: path, bootID: .random(), epoch: core.database.epoch), telemetry: context.telemetry) {
            service.handle($0)
        }
        service.server = server
        service.guardServer(server)
        try server.start()
        client = try RPCClient(.init(socketPath: path, role: .gateway, instance: "test", seed: 1), telemetry: .silent())
        client.start()
    }

    func stop() {
        client.stop()
        server.stop()
        core.close()
        try? FileManager.default.removeItem(atPath: directory)
    }

    nonisolated static func metadata(_ minSequence: UInt64 = 0) -> RequestMetadata {
        var metadata = RequestMetadata(deadlineMilliseconds: 60_000, principal: "test", scopes: .all)
        metadata.minSequence = minSequence
        return metadata
    }

    @discardableResult
    func put(_ table: String, _ pk: String, _ document: String = "{}") async throws -> UInt64 {
        let operation = OperationMessage(kind: .put, table: table, pk: pk, body: Array(document.utf8))
        return try await client.write(WriteRequest(operation: operation), Self.metadata()).result.sequence
    }

    func text(_ method: RPCMethod, _ request: some RPCMessage) async throws -> [UInt8] {
        try await client.call(method, Self.metadata(), request, answer: TextResponse.self).text
    }

    /// Waits until `condition` holds; a way to the core and back between two looks.
    func wait(until condition: @NetLoop () -> Bool) async throws {
        while !condition() { _ = try await client.ping(Self.metadata()) }
    }
}
