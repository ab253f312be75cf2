import CRocksDB
import ThemisBase

/// Reads of an open database; `snapshot` nil means the newest state.
extension RocksDBHandle {
    func get(_ snapshot: OpaquePointer?, _ keyspace: Keyspace, _ key: [UInt8]) throws(ThemisError) -> [UInt8]? {
        let (status, value) = unsafe read(snapshot, keyspace, key, cacheOnly: 0)
        if status.isOK { return value }
        if status.isNotFound { return nil }
        throw status.readError(monitor)
    }

    func cachedGet(_ keyspace: Keyspace, _ key: [UInt8]) throws(ThemisError) -> CachedRead {
        let (status, value) = unsafe read(nil, keyspace, key, cacheOnly: 1)
        if status.isOK { return .hit(value) }
        if status.isNotFound { return .absent }
        if status.code == THEMIS_INCOMPLETE { return .wouldBlock }
        throw status.readError(monitor)
    }

    private func read(
        _ snapshot: OpaquePointer?, _ keyspace: Keyspace, _ key: [UInt8], cacheOnly: Int32
    ) -> (status: EngineStatus, value: [UInt8]) {
        var value: [UInt8] = []
        let status = unsafe withUnsafeMutablePointer(to: &value) { target in
            unsafe EngineStatus(
                themis_db_get(
                    raw, snapshot, UInt32(keyspace.rawValue), key, key.count, cacheOnly,
                    { context, bytes, count in
                        unsafe context!.assumingMemoryBound(to: [UInt8].self).pointee = Array(
                            UnsafeBufferPointer(start: bytes, count: count))
                    }, target))
        }
        return (status, value)
    }

    func multiGet(_ snapshot: OpaquePointer?, _ keyspace: Keyspace, _ keys: [[UInt8]]) throws(ThemisError) -> [[UInt8]?] {
        guard !keys.isEmpty else { return [] }
        var packed: [UInt8] = []
        packed.reserveCapacity(keys.reduce(1) { $0 + $1.count })
        var ends: [UInt64] = []
        ends.reserveCapacity(keys.count)
        for key in keys {
            packed.append(contentsOf: key)
            ends.append(UInt64(packed.count))
        }
        // A pointer to the first byte even when every key is empty.
        packed.append(0)
        var values = [[UInt8]?](repeating: nil, count: keys.count)
        let status = unsafe withUnsafeMutablePointer(to: &values) { target in
            unsafe EngineStatus(
                themis_db_multi_get(
                    raw, snapshot, UInt32(keyspace.rawValue), packed, ends, keys.count,
                    { context, index, code, bytes, count in
                        guard code == THEMIS_OK else { return }
                        unsafe context!.assumingMemoryBound(to: [[UInt8]?].self).pointee[index] =
                            Array(UnsafeBufferPointer(start: bytes, count: count))
                    }, target))
        }
        guard status.isOK else { throw status.readError(monitor) }
        return values
    }

    func statistics() -> EngineStatistics {
        var numbers = themis_statistics()
        unsafe themis_db_statistics(raw, &numbers)
        var out = EngineStatistics()
        out.blockCacheUsedBytes = numbers.block_cache_used
        out.blockCacheCapacityBytes = numbers.block_cache_capacity
        out.blockCacheHits = numbers.block_cache_hits
        out.blockCacheMisses = numbers.block_cache_misses
        out.stallMicroseconds = numbers.stall_micros
        out.syncs = numbers.wal_syncs
        out.syncMicroseconds = numbers.wal_sync_micros
        out.logBytes = numbers.wal_bytes
        out.runningCompactions = property(.meta, "num-running-compactions")
        out.runningFlushes = property(.meta, "num-running-flushes")
        out.isWriteStopped = property(.meta, "is-write-stopped") != 0
        out.delayedWriteRate = property(.meta, "actual-delayed-write-rate")
        for keyspace in Keyspace.allCases {
            var one = EngineStatistics.KeyspaceStatistics()
            one.estimatedKeys = property(keyspace, "estimate-num-keys")
            one.fileBytes = property(keyspace, "live-sst-files-size")
            one.memtableBytes = property(keyspace, "cur-size-all-mem-tables")
            one.filesPerLevel = (0..<7).map { property(keyspace, "num-files-at-level\($0)") }
            out.pendingCompactionBytes += property(keyspace, "estimate-pending-compaction-bytes")
            out.keyspaces.append(one)
        }
        return out
    }

    private func property(_ keyspace: Keyspace, _ name: String) -> UInt64 {
        unsafe themis_db_property(raw, UInt32(keyspace.rawValue), "rocksdb.\(name)")
    }
}

/// A pinned view of RocksDB.
///
/// `@unchecked Sendable`: `raw` never changes, and RocksDB's snapshots may be read from any thread.
@safe final class RocksDBSnapshot: StorageSnapshot, @unchecked Sendable {
    let handle: RocksDBHandle
    let raw: OpaquePointer

    init(_ handle: RocksDBHandle) {
        self.handle = handle
        unsafe raw = themis_db_snapshot(handle.raw)
    }

    deinit { unsafe themis_snapshot_release(handle.raw, raw) }

    func get(_ keyspace: Keyspace, _ key: [UInt8]) throws(ThemisError) -> [UInt8]? { try unsafe handle.get(raw, keyspace, key) }

    func multiGet(_ keyspace: Keyspace, _ keys: [[UInt8]]) throws(ThemisError) -> [[UInt8]?] {
        try unsafe handle.multiGet(raw, keyspace, keys)
    }

    func scan(
        _ keyspace: Keyspace, from lower: [UInt8], to upper: [UInt8]?, reverse: Bool
    ) throws(ThemisError) -> any StorageCursor {
        RocksDBCursor(self, keyspace, from: lower, to: upper, reverse: reverse)
    }
}

/// A cursor of RocksDB. The pointers are those of its current pair and are used only until it moves.
@safe final class RocksDBCursor: StorageCursor {
    private let snapshot: RocksDBSnapshot
    private let raw: OpaquePointer
    private var keyStart: UnsafePointer<UInt8>?
    private var keyCount = 0
    private var valueStart: UnsafePointer<UInt8>?
    private var valueCount = 0

    init(_ snapshot: RocksDBSnapshot, _ keyspace: Keyspace, from lower: [UInt8], to upper: [UInt8]?, reverse: Bool) {
        self.snapshot = snapshot
        let upperBytes = upper ?? []
        // A pointer that is not null even when the bound is empty: null means that there is none.
        let bound: [UInt8] = upperBytes + [0]
        unsafe raw = bound.withUnsafeBufferPointer { end in
            unsafe themis_db_iterator(
                snapshot.handle.raw, snapshot.raw, UInt32(keyspace.rawValue), lower, lower.count,
                upper == nil ? nil : end.baseAddress,
                upperBytes.count, reverse ? 1 : 0)
        }
        unsafe keyStart = nil
        unsafe valueStart = nil
    }

    deinit { unsafe themis_iterator_release(raw) }

    func advance() throws(ThemisError) -> Bool {
        var status = unsafe themis_status()
        if unsafe themis_iterator_next(raw, &keyStart, &keyCount, &valueStart, &valueCount, &status) == 1 { return true }
        unsafe keyStart = nil
        keyCount = 0
        unsafe valueStart = nil
        valueCount = 0
        let outcome = unsafe EngineStatus(status)
        guard outcome.isOK else { throw outcome.readError(snapshot.handle.monitor) }
        return false
    }

    var key: [UInt8] { unsafe Array(UnsafeBufferPointer(start: keyStart, count: keyCount)) }
    var value: [UInt8] { unsafe Array(UnsafeBufferPointer(start: valueStart, count: valueCount)) }

    func withPair<Result>(_ body: (UnsafeRawBufferPointer, UnsafeRawBufferPointer) -> Result) -> Result {
        unsafe body(
            UnsafeRawBufferPointer(start: keyStart, count: keyCount), UnsafeRawBufferPointer(start: valueStart, count: valueCount)
        )
    }
}
