import ThemisBase
import ThemisDatabase
import ThemisNet
import ThemisRPC
import ThemisRuntime
import ThemisStorage
import ThemisTelemetry

/// What operators and sidecars ask: health, numbers, configuration, upkeep.
extension CoreService {
    private var uptimeMilliseconds: UInt64 { UInt64(max(0, context.process.uptimeSeconds * 1_000)) }

    func ping(_ call: RPCServerCall) {
        var health = core.engine.health
        if health == .healthy, core.engine.isShortOfSpace {
            health = .degraded("the disk is nearly full: writes are refused until there is space")
        }
        call.respond(
            PingResponse(
                state: health.word, detail: health.detail, latest: core.database.durableSequence, version: Build.version,
                rocksDB: RocksDBEngine.version, uptimeMilliseconds: uptimeMilliseconds))
    }

    func stats(_ call: RPCServerCall) {
        let document = StatsDocument(
            core: core, peers: server?.peers() ?? [], uptimeMilliseconds: uptimeMilliseconds, instance: context.instance)
        onPool(call) { (_: EmptyMessage, _) throws(ThemisError) in TextResponse(text: try document.json()) }
    }

    func configGet(_ call: RPCServerCall) {
        do throws(ThemisError) {
            let request: ConfigRequest = try call.decode()
            call.respond(TextResponse(text: try configuration(view: request.view)))
        } catch {
            call.fail(error)
        }
    }

    private func configuration(view: String) throws(ThemisError) -> [UInt8] {
        switch view {
        case "": return context.configuration.json()
        case "schema": return Configuration.schemaJSON()
        case "drift":
            var out = Array(#"{"processes":[{"role":"core","instance":"#.utf8)
            JSONText.appendString(context.instance, to: &out)
            out.append(contentsOf: #","drift":"#.utf8)
            return out + context.configuration.driftJSON() + Array("}]}".utf8)
        case "shared":
            var out: [UInt8] = [0x7B]
            for (index, row) in context.configuration.shared.enumerated() {
                if index > 0 { out.append(0x2C) }
                JSONText.appendString(row.path, to: &out)
                out.append(0x3A)
                JSONText.appendString(row.text, to: &out)
            }
            return out + [0x7D]
        default:
            throw ThemisError(
                .unprocessable, "there is no such view of the configuration; use drift or schema",
                fields: [FieldError("view", "drift or schema")])
        }
    }

    // MARK: Metrics

    func metricsPush(_ call: RPCServerCall) {
        do throws(ThemisError) {
            let request: MetricsPushRequest = try call.decode()
            let snapshot = try MetricSnapshot(decoding: request.snapshot)
            let peer = call.peer
            guard aggregator.add(instance: peer.instance, role: peer.role.word, bootID: request.bootID, snapshot: snapshot) else {
                throw ThemisError(.overloaded, "too many instances report metrics to this core", retryAfterSeconds: 60)
            }
            call.respond(MetricsPushResponse(spanCredit: spans.credit))
        } catch {
            call.fail(error)
        }
    }

    /// The whole set, added up or by instance.
    func metricsRead(_ call: RPCServerCall) {
        do throws(ThemisError) {
            let request: MetricsReadRequest = try call.decode()
            core.refreshMetrics()
            let own = telemetry.metrics.snapshot()
            _ = aggregator.add(instance: context.instance, role: context.role.rawValue, bootID: context.bootID, snapshot: own)
            let snapshot =
                request.byInstance
                ? aggregator.perInstance() : aggregator.total()
            call.respond(MetricsReadResponse(snapshot: snapshot.encoded()))
        } catch {
            call.fail(error)
        }
    }

    // MARK: Upkeep

    func flush(_ call: RPCServerCall) {
        let engine = core.engine
        onPool(call) { (_: EmptyMessage, _) throws(ThemisError) in
            try engine.flush(nil)
            return TextResponse(text: Array(#"{"flushed":true}"#.utf8))
        }
    }

    /// A job: rewriting a keyspace may take hours.
    func compact(_ call: RPCServerCall) {
        let database = core.database
        let engine = core.engine
        onPool(call) { (request: CompactRequest, _) throws(ThemisError) in
            let ranges = try Self.ranges(request, database)
            let job = try database.startJob(kind: "compact", detail: request.table.isEmpty ? request.keyspace : request.table) {
                progress throws(ThemisError) in
                for (index, range) in ranges.enumerated() {
                    if progress.cancellation.isCancelled { return }
                    progress.report(done: UInt64(index), total: UInt64(ranges.count))
                    do throws(ThemisError) {
                        try engine.compact(range.keyspace, from: range.lower, to: range.upper)
                    } catch {
                        // Broken off because the process ends.
                        if progress.cancellation.isCancelled { return }
                        throw error
                    }
                }
                progress.report(done: UInt64(ranges.count), total: UInt64(ranges.count))
            }
            return JobResponse(job: JobMessage(job))
        }
    }

    private nonisolated static func ranges(
        _ request: CompactRequest, _ database: Database
    ) throws(ThemisError) -> [(keyspace: Keyspace, lower: [UInt8]?, upper: [UInt8]?)] {
        if !request.table.isEmpty {
            let name = try TableName(validating: request.table)
            guard let table = database.table(name) else { throw ThemisError(.notFound, "there is no table \(name.text)") }
            var lower: [UInt8] = []
            lower.appendBigEndian(table.id)
            var upper: [UInt8] = []
            upper.appendBigEndian(table.id + 1)
            return [(.entities, lower, upper)]
        }
        guard !request.keyspace.isEmpty else { return Keyspace.allCases.map { ($0, nil, nil) } }
        guard let keyspace = Keyspace.allCases.first(where: { $0.columnFamily == request.keyspace }) else {
            let names = Keyspace.allCases.map(\.columnFamily).joined(separator: ", ")
            throw ThemisError(
                .unprocessable, "there is no column family of that name; there are \(names)",
                fields: [FieldError("column_family", "one of \(names)")])
        }
        return [(keyspace, nil, nil)]
    }
}

extension CoreService {
    /// Keeps what instances counted that are gone, and forgets the rest of them.
    func retireGoneInstances() {
        let connected = Set((server?.peers() ?? []).map(\.instance) + [context.instance])
        for instance in aggregator.instances where !connected.contains(instance) { aggregator.retire(instance: instance) }
    }
}
