import Foundation
import ThemisBase
import ThemisNet
import ThemisRPC
import ThemisTelemetry
import ThemisTestKit

/// A core that holds entities in a dictionary: as much of the contract as the gateway's tests need, in the test's process.
@NetLoop final class FakeCore {
    struct Stored {
        var version: UInt64
        var document: [UInt8]
    }

    let path: String
    var entities: [String: Stored] = [:]
    var sequence: UInt64 = 0
    /// Answers by idempotency key, with the fingerprint of their request.
    var answered: [String: (fingerprint: [UInt8], result: OperationResult)] = [:]
    var jobs: [String: JobMessage] = [:]
    /// What stood before each request's body, newest last.
    var received: [(method: RPCMethod, metadata: RequestMetadata)] = []
    /// Takes a request before the fake does; true when it has answered, or will.
    var override: (@NetLoop (RPCServerCall) -> Bool)?
    var cancelledStreams = 0
    var pushes = 0
    var state = "healthy"
    var peers: [String] = ["gateway", "exporter"]
    private var server: RPCServer?
    private var observers: [CheckedContinuation<Void, Never>] = []

    init() {
        path = TestDirectory.path("gw") + "/core.sock"
    }

    /// Leaves requests of these methods without an answer.
    func hold(_ methods: RPCMethod...) { override = { methods.contains($0.method) } }

    /// Answers requests of `method` with `error`.
    func fail(_ method: RPCMethod, with error: ThemisError) {
        override = { call in
            guard call.method == method else { return false }
            call.fail(error)
            return true
        }
    }

    /// Lets every job end when it is looked at.
    func endJobs() {
        override = { [unowned self] call in
            if call.method == .jobGet { for id in jobs.keys { jobs[id]?.state = .done } }
            return false
        }
    }

    func set(state: String) { self.state = state }
    func set(peers: [String]) { self.peers = peers }

    func start() throws {
        let options = RPCServer.Options(socketPath: path, bootID: .random(), epoch: "e1")
        let server = RPCServer(options, telemetry: .silent()) { [unowned self] in take($0) }
        try server.start()
        self.server = server
    }

    func stop() {
        server?.stop()
        server = nil
    }

    /// Waits until `condition` holds, which is looked at whenever something happens here.
    func wait(until condition: @NetLoop () -> Bool) async {
        while !condition() { await withCheckedContinuation { observers.append($0) } }
    }

    func notify() {
        let waiting = observers
        observers = []
        for observer in waiting { observer.resume() }
    }

    private func take(_ call: RPCServerCall) {
        received.append((call.method, call.metadata))
        defer { notify() }
        if let override, override(call) { return }
        do throws(ThemisError) {
            try answer(call)
        } catch {
            call.fail(error)
        }
    }

    private func answer(_ call: RPCServerCall) throws(ThemisError) {
        switch call.method {
        case .write: try write(call)
        case .writeAtomic: try writeAtomic(call)
        case .writeStream: NetLoop.spawn { await self.writeEach(call) }
        case .get: try get(call)
        case .multiGet: try multiGet(call)
        case .list: try list(call)
        case .export: NetLoop.spawn { await self.export(call) }
        case .ping: call.respond(PingResponse(state: state, latest: sequence, version: "test", rocksDB: "7.8.3"))
        case .stats:
            let list = peers.map { #"{"role":"\#($0)"}"# }.joined(separator: ",")
            call.respond(TextResponse(text: Array(#"{"peers":[\#(list)]}"#.utf8)))
        case .configGet: try config(call)
        case .metricsPush:
            pushes += 1
            call.respond(EmptyMessage())
        case .metricsRead:
            let snapshot = MetricSnapshot(families: [
                .init(metric: .estimatedKeys, series: [.init(labels: [], value: .gauge(42))])
            ])
            call.respond(MetricsReadResponse(snapshot: snapshot.encoded()))
        case .flush: call.respond(EmptyMessage())
        default: try answerTablesAndJobs(call)
        }
    }

    private func config(_ call: RPCServerCall) throws(ThemisError) {
        let view = try call.decode(ConfigRequest.self).view
        let text = view == "shared" ? #"{"request_timeout_ms":"2000"}"# : #"{"view":"\#(view)"}"#
        call.respond(TextResponse(text: Array(text.utf8)))
    }

    private func answerTablesAndJobs(_ call: RPCServerCall) throws(ThemisError) {
        switch call.method {
        case .tableList: call.respond(TableListResponse(tables: [table("t")]))
        case .tableGet: call.respond(TableResponse(table: table(try call.decode(TableRequest.self).name)))
        case .tablePut:
            let request = try call.decode(TablePutRequest.self)
            var made = table(request.name)
            made.oldValues = request.oldValues == .on
            made.defaultTTLSeconds = request.setsDefaultTTL ? request.defaultTTLSeconds : 7
            call.respond(TableResponse(table: made, created: request.name == "fresh"))
        case .tableDrop, .tableTruncate: call.respond(TableDropResponse(deleted: 3, sequence: 9))
        case .deleteRange, .compact:
            let job = JobMessage(
                id: "job-1", kind: call.method.name, state: .running, total: 10, startedMilliseconds: 1_700_000_000_000)
            jobs[job.id] = job
            call.respond(JobResponse(job: job))
        case .jobGet, .jobCancel:
            guard let job = jobs[try call.decode(JobRequest.self).id] else {
                throw ThemisError(.notFound, "there is no such job")
            }
            call.respond(JobResponse(job: job))
        case .jobList: call.respond(JobListResponse(jobs: Array(jobs.values)))
        default: call.fail(ThemisError(.internalError, "\(call.method.name) is not faked"))
        }
    }

    private func table(_ name: String) -> TableMessage {
        TableMessage(name: name, entities: UInt64(entities.count), createdMilliseconds: 1_700_000_000_000, id: 1)
    }

    // MARK: Writes

    private func write(_ call: RPCServerCall) throws(ThemisError) {
        let request = try call.decode(WriteRequest.self)
        let key = call.metadata.idempotencyKey
        if let known = answered[key], !key.isEmpty {
            guard known.fingerprint == request.fingerprint else { throw ThemisError(.idempotencyMismatch, "the key is taken") }
            var result = known.result
            result.replayed = true
            return call.respond(WriteResponse(result: result))
        }
        let result = try apply(request.operation)
        if !key.isEmpty { answered[key] = (request.fingerprint, result) }
        call.respond(WriteResponse(result: result))
    }

    private func writeAtomic(_ call: RPCServerCall) throws(ThemisError) {
        let request = try call.decode(WriteAtomicRequest.self)
        var results: [OperationResult] = []
        for (index, operation) in request.operations.enumerated() {
            do throws(ThemisError) {
                results.append(try apply(operation))
            } catch {
                var named = error
                named.fields.insert(FieldError("operations[\(index)]", error.message), at: 0)
                throw named
            }
        }
        call.respond(WriteAtomicResponse(results: results, sequence: sequence))
    }

    private func writeEach(_ call: RPCServerCall) async {
        do throws(ThemisError) {
            while let bytes = try await call.nextMessage() {
                var answer = WriteStreamResult()
                do throws(ThemisError) {
                    answer.result = try apply(try OperationMessage(decoding: bytes))
                } catch {
                    answer.error = error
                }
                try await call.send(answer)
            }
            call.finish()
        } catch {
            cancelledStreams += 1
            call.fail(error)
            notify()
        }
    }

    func apply(_ operation: OperationMessage) throws(ThemisError) -> OperationResult {
        let key = "\(operation.table):\(operation.pk)"
        let present = entities[key]
        switch operation.condition {
        case .none: break
        case .version(let version):
            guard present?.version == version else { throw ThemisError(.preconditionFailed, "the version differs") }
        case .absent: guard present == nil else { throw ThemisError(.preconditionFailed, "it exists") }
        case .exists: guard present != nil else { throw ThemisError(.preconditionFailed, "it does not exist") }
        }
        if operation.kind == .delete {
            guard entities.removeValue(forKey: key) != nil else { return OperationResult() }
            sequence += 1
            return OperationResult(sequence: sequence, deleted: true)
        }
        try JSONDocument.validate(operation.body)
        sequence += 1
        entities[key] = Stored(version: sequence, document: operation.body)
        return OperationResult(version: sequence, sequence: sequence, created: present == nil)
    }

    // MARK: Reads

    private func get(_ call: RPCServerCall) throws(ThemisError) {
        let request = try call.decode(GetRequest.self)
        guard let stored = entities["\(request.table):\(request.pk)"] else { throw ThemisError(.notFound, "there is none") }
        var entity = EntityMessage(table: request.table, pk: request.pk, version: stored.version, document: stored.document)
        if request.unlessVersion == stored.version { entity.document = [] }
        call.respond(entity)
    }

    private func multiGet(_ call: RPCServerCall) throws(ThemisError) {
        let request = try call.decode(MultiGetRequest.self)
        // The last key never fits, so that `unread` is seen.
        let read = request.keys.dropLast(request.keys.count > 2 ? 1 : 0)
        let found = read.map { key in
            let stored = entities["\(key.table):\(key.pk)"]
            return EntityMessage(
                table: key.table, pk: key.pk, version: stored?.version ?? 0, document: stored?.document ?? [],
                missing: stored == nil)
        }
        call.respond(MultiGetResponse(entities: found, unread: UInt32(request.keys.count - read.count)))
    }

    private func sorted(_ request: ListRequest) -> [EntityMessage] {
        let begin = "\(request.table):\(request.prefix)"
        return entities.filter { $0.key.hasPrefix(begin) }.sorted { $0.key < $1.key }.map { key, stored in
            EntityMessage(
                table: request.table, pk: String(key.dropFirst(request.table.count + 1)), version: stored.version,
                document: request.keysOnly ? [] : stored.document)
        }
    }

    private func list(_ call: RPCServerCall) throws(ThemisError) {
        let request = try call.decode(ListRequest.self)
        let all = sorted(request).filter { $0.pk > request.cursor }
        let page = Array(all.prefix(Int(request.limit)))
        call.respond(
            ListResponse(entities: page, nextCursor: page.count < all.count ? page.last?.pk ?? "" : "", sequence: sequence))
    }

    private func export(_ call: RPCServerCall) async {
        do throws(ThemisError) {
            let request = try call.decode(ListRequest.self)
            if request.table == "gone" { throw ThemisError(.notFound, "there is no such table") }
            for entity in sorted(request) { try await call.send(entity) }
            if request.table == "damaged" { throw ThemisError(.dataCorrupt, "a block is damaged") }
            call.finish()
        } catch {
            call.fail(error)
        }
    }
}
