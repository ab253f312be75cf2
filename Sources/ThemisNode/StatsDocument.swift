import ThemisBase
import ThemisDatabase
import ThemisRPC
import ThemisStorage

/// The JSON text of GET /stats.
struct StatsDocument {
    let core: Core
    let peers: [RPCPeer]
    let uptimeMilliseconds: UInt64
    let instance: String

    /// Reads counts from the engine: may touch the disk.
    func json() throws(ThemisError) -> [UInt8] {
        let numbers = core.engine.statistics()
        let info = try core.database.changesInfo()
        var out: [UInt8] = []
        append(#"{"server":{"version":"\#(Build.version)","commit":"\#(Build.commit)","instance":"#, to: &out)
        JSONText.appendString(instance, to: &out)
        append(
            #","uptime_seconds":\#(uptimeMilliseconds / 1_000),"worker_threads":\#(core.settings.threads),"#
                + #""queued_work":\#(core.pool.queued),"running_work":\#(core.pool.running),"epoch":"\#(info.epoch)"},"#, to: &out)
        append(storage: numbers, to: &out)
        append(#","indexes":"#, to: &out)
        JSONValue.array(try core.database.indexes().map { IndexJSON.value($0) }).write(to: &out)
        append(
            #","changefeed":{"oldest_sequence":\#(info.oldest),"latest_sequence":\#(info.latest),"#
                + #""bytes":\#(info.bytes)},"peers":["#, to: &out)
        for (index, peer) in peers.enumerated() {
            if index > 0 { append(",", to: &out) }
            append(peer, to: &out)
        }
        append("]}", to: &out)
        return out
    }

    private func append(storage numbers: EngineStatistics, to out: inout [UInt8]) {
        var levels: [UInt64] = []
        for keyspace in numbers.keyspaces {
            for (level, files) in keyspace.filesPerLevel.enumerated() {
                while levels.count <= level { levels.append(0) }
                levels[level] += files
            }
        }
        append(
            #""storage":{"health":"\#(core.engine.health.word)","rocksdb":{"levels":[\#(levels.map(String.init).joined(separator: ","))],"#
                + #""block_cache":{"used_bytes":\#(numbers.blockCacheUsedBytes),"capacity_bytes":\#(numbers.blockCacheCapacityBytes),"#
                + #""hits":\#(numbers.blockCacheHits),"misses":\#(numbers.blockCacheMisses)},"#
                + #""pending_compaction_bytes":\#(numbers.pendingCompactionBytes),"running_compactions":\#(numbers.runningCompactions),"#
                + #""running_flushes":\#(numbers.runningFlushes),"stall_microseconds":\#(numbers.stallMicroseconds),"#
                + #""write_stopped":\#(numbers.isWriteStopped),"delayed_write_rate":\#(numbers.delayedWriteRate),"#
                + #""wal_bytes":\#(numbers.logBytes),"syncs":\#(numbers.syncs),"sync_microseconds":\#(numbers.syncMicroseconds)},"#
                + #""column_families":{"#, to: &out)
        for (index, (keyspace, values)) in zip(Keyspace.allCases, numbers.keyspaces).enumerated() {
            append(
                (index > 0 ? "," : "") + #""\#(keyspace.columnFamily)":{"estimated_keys":\#(values.estimatedKeys),"#
                    + #""file_bytes":\#(values.fileBytes),"memtable_bytes":\#(values.memtableBytes)}"#, to: &out)
        }
        append("}}", to: &out)
    }

    private func append(_ peer: RPCPeer, to out: inout [UInt8]) {
        append(#"{"role":"\#(peer.role.word)","instance":"#, to: &out)
        JSONText.appendString(peer.instance, to: &out)
        append(#","version":"#, to: &out)
        JSONText.appendString(peer.version, to: &out)
        append(
            #","connected_since":"\#(Timestamp.text(milliseconds: peer.connectedMilliseconds))","in_flight":\#(peer.inFlight)}"#, to: &out)
    }

    private func append(_ text: String, to out: inout [UInt8]) { out.append(contentsOf: text.utf8) }
}

extension EngineHealth {
    /// The word of `/stats` and of PING.
    var word: String {
        switch self {
        case .healthy: "healthy"
        case .degraded: "degraded"
        case .readOnly: "read_only"
        case .failed: "failed"
        }
    }

    /// What an operator should know; empty when all is well.
    var detail: String {
        switch self {
        case .healthy: ""
        case .degraded(let text), .readOnly(let text), .failed(let text): text
        }
    }
}
