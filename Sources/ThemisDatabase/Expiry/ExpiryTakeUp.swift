import ThemisBase
import ThemisStorage
import ThemisTelemetry

/// How a new TTL index takes up the entities that are there: each is written anew, unless it was written since, and expires from then on.
extension Database {
    /// Entities that one batch writes.
    private static let takenUpAtOnce = 256
    /// Their documents, in bytes.
    private static let takenUpBytes = 1 << 20

    /// Writes the entities anew that a TTL index is made over; nothing for other indexes, and when the entries are being made already.
    ///
    /// First it looks whether every one of them can be indexed: a job that fails for a wrong column has then changed nothing.
    ///
    /// - Throws: `unprocessable` naming the entity; `cancelled`; the errors of a write.
    func takeUp(_ record: inout IndexBuildRecord, _ progress: JobProgress) throws(ThemisError) {
        guard record.kind == .create, let index = building(record), let kind = index.definition.kind as? TTLIndex,
            index.counters.value.builtThrough.isEmpty
        else { return }
        for isWriting in [false, true] {
            var next = EntityRecord.lowerBound(table: record.tableID)
            var seen: UInt64 = 0
            var pace = Pace(published, telemetry.time, restShare: Self.expiryRestShare)
            while let piece = try readOld(record, index, kind, from: next, progress) {
                var written: UInt64 = 0
                if isWriting {
                    guard building(record) != nil else { throw ThemisError(.cancelled, "the index was dropped") }
                    let results = try writeGroup(piece.operations, cause: .ttl, tableID: record.tableID, progress.cancellation)
                    written = UInt64(results.count)
                }
                next = piece.next
                seen += piece.seen
                if isWriting { progress.report(done: seen, total: 2 * max(record.total, seen)) }
                pace.rest(own: written)
            }
            if isWriting {
                record.done = seen
                record.total = 2 * seen
            }
        }
    }

    private func building(_ record: IndexBuildRecord) -> Index? {
        published.catalog.byID[record.tableID]?.indexes.all.first { $0.generation == record.generation && $0.state == .building }
    }

    /// The next entities that are older than the index; nil at the end.
    private func readOld(
        _ record: IndexBuildRecord, _ index: Index, _ kind: TTLIndex, from lower: [UInt8], _ progress: JobProgress
    ) throws(ThemisError) -> (operations: [WriteOperation], next: [UInt8], seen: UInt64)? {
        let view = try ReadView(self, CallContext(cancellation: progress.cancellation))
        let cursor = try view.scan(from: lower, to: EntityRecord.upperBound(table: record.tableID), reverse: false)
        let single = TableIndexes([index])
        var operations: [WriteOperation] = []
        var last: [UInt8]?
        var seen: UInt64 = 0
        var bytes = 0
        while seen < Self.takenUpAtOnce, bytes < Self.takenUpBytes, try cursor.advance() {
            let key = cursor.key
            let value = cursor.value
            last = key
            seen += 1
            try EntityRecord.check(value)
            let version = EntityRecord.version(of: value)
            guard version <= index.birth, try view.isVisible(value) else { continue }
            bytes += value.count
            let entity = EntityKey(stored: record.table, pk: String(decoding: key[4...], as: UTF8.self))
            do throws(ThemisError) {
                guard try !single.expiry(of: single.codings(of: value, EntityRecord.headerBytes..<value.count)).isNever else { continue }
            } catch {
                var named = error
                named.fields.insert(FieldError("\(record.table.text):\(entity.pk)", error.message), at: 0)
                throw named
            }
            operations.append(WriteOperation(entity, .put(Array(EntityRecord.document(of: value))), if: .version(version)))
        }
        return last.map { (operations, $0 + [0], seen) }
    }
}
