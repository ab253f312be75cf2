import ThemisBase
import ThemisDatabase
import ThemisNet
import ThemisRPC
import ThemisRuntime
import ThemisStorage
import ThemisTelemetry

/// The running core: data, service, RPC server, and the upkeep that goes by the clock.
@NetLoop final class CoreProcess: Service {
    nonisolated static let flags = [
        ProgramFlag(
            "--salvage", help: "Keep what is readable of damaged data, under a new epoch. Only after a start refused; see docs/runbook.md.")
    ]
    nonisolated static let versions = "rocksdb \(RocksDBEngine.version)"

    private let core: Core
    private let service: CoreService
    private let server: RPCServer
    private var upkeep: LoopTimer?
    private var retention: LoopTimer?
    private var sweep: LoopTimer?

    init(_ context: ServiceContext) async throws {
        ProcessMemory.keepFreed()
        let settings = CoreSettings(context)
        // The loop is free while the log is replayed: signals are heard, and the log says how far it is.
        core = try await Self.open(settings, context)
        service = CoreService(core: core, context: context)
        var roles: [UInt32: Set<PeerRole>] = [:]
        for (user, role) in context.configuration[Settings.rpcRoles] {
            if let peer = PeerRole(word: role.rawValue) { roles[user, default: []].insert(peer) }
        }
        let service = self.service
        server = RPCServer(
            .init(
                socketPath: context.configuration[Settings.rpcSocket], roles: roles, bootID: BootID(high: 0, low: context.bootID),
                epoch: core.database.epoch),
            telemetry: context.telemetry
        ) { service.handle($0) }
        service.server = server
        service.guardServer(server)
        context.telemetry.spans.obey(context.configuration)
        try server.start()
        service.spans.start()
        startUpkeep()
        context.telemetry.log.info(
            "core ready", [(.sequence, String(core.database.durableSequence)), (.epoch, core.database.epoch)])
    }

    private static func open(_ settings: CoreSettings, _ context: ServiceContext) async throws -> Core {
        let result: Result<Core, ThemisError> = await withCheckedContinuation { continuation in
            // Left to itself once it has answered: it opens, and ends.
            _ = WorkThread(name: "open") {
                do throws(ThemisError) {
                    let core = try Core(settings, telemetry: context.telemetry) { error in
                        context.end(.temporary, "a sync of the log failed: the data must be opened afresh", [(.error, error.message)])
                    }
                    continuation.resume(returning: .success(core))
                } catch {
                    continuation.resume(returning: .failure(error))
                }
            }
        }
        return try result.get()
    }

    /// How often retention looks, in milliseconds.
    private static let retentionMilliseconds = 60_000

    private func startUpkeep() {
        let core = self.core
        let upkeep = LoopTimer { [weak service] in
            service?.retireGoneInstances()
            _ = core.pool.submit(.control) {
                core.database.expireTransactions()
                core.refreshAllMetrics()
            }
        }
        upkeep.scheduleRepeating(milliseconds: 5_000)
        self.upkeep = upkeep
        let retention = LoopTimer { _ = core.pool.submit(.heavy) { core.applyRetention() } }
        retention.scheduleRepeating(milliseconds: Self.retentionMilliseconds)
        self.retention = retention
        let sweep = LoopTimer { core.database.requestSweep() }
        sweep.scheduleRepeating(milliseconds: core.settings.sweepMilliseconds)
        self.sweep = sweep
    }

    /// Answers what is in flight, then closes the data.
    func drain() async {
        upkeep = nil
        retention = nil
        sweep = nil
        service.finishLongPolls()
        await server.drain(graceMilliseconds: 2_500)
        server.stop()
        let core = self.core
        await withCheckedContinuation { continuation in
            _ = WorkThread(name: "close") {
                core.close()
                continuation.resume()
            }
        }
    }
}
