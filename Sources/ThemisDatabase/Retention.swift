public import ThemisBase
import ThemisStorage
import ThemisTelemetry

/// How much of the change log is kept; nil does not bound it.
public struct ChangeRetention: Sendable {
    /// Records that are older go, in milliseconds.
    public var maxAgeMilliseconds: Int64?
    /// Approximate bytes that stay.
    public var maxBytes: UInt64?
    /// Records before it go.
    public var beforeSequence: SequenceNumber?

    /// Without arguments: everything is kept.
    public init(maxAgeMilliseconds: Int64? = nil, maxBytes: UInt64? = nil, beforeSequence: SequenceNumber? = nil) {
        self.maxAgeMilliseconds = maxAgeMilliseconds
        self.maxBytes = maxBytes
        self.beforeSequence = beforeSequence
    }
}

/// What retention removed.
public struct RetentionResult: Sendable {
    /// Positions given up.
    public var deleted: UInt64
    /// The oldest record kept.
    public var oldestSequence: SequenceNumber
}

extension Database {
    /// Removes the beginning of the change log, whole transactions. Reads and writes the disk; one call at a time works.
    ///
    /// - Throws: `data_corrupt`; the errors of a write.
    public func applyRetention(_ retention: ChangeRetention) throws(ThemisError) -> RetentionResult {
        let oldest = published.oldestSequence
        let end = published.durableSequence + 1
        var target = oldest
        if let before = retention.beforeSequence { target = max(target, min(before, end)) }
        if let age = retention.maxAgeMilliseconds {
            target = max(target, try firstSequence(notBefore: published.now() - max(age, 0), target, end))
        }
        if let bytes = retention.maxBytes { target = max(target, firstSequence(keeping: bytes, target, end)) }
        target = max(oldest, try transactionStart(target))
        guard target > oldest else { return RetentionResult(deleted: 0, oldestSequence: oldest) }
        let kept = target
        // First it is written that they are gone, then readers are told, then they go: nobody reads a gap.
        let reached = try committer.run { stage throws(ThemisError) in stage.raise(oldest: kept) }
        guard reached else { return RetentionResult(deleted: 0, oldestSequence: published.oldestSequence) }
        published.raise(oldest: target)
        // System records between the last one that goes and the first one that stays are still to be delivered.
        try engine.deleteFiles(.changes, from: [], to: ChangeRecord.key(target - 1, ordinal: 1))
        let hole = published.epochs.reduce(UInt64(0)) { sum, epoch in
            sum
                + (epoch.previousLast >= oldest && epoch.first <= target && epoch.first > 1
                    ? epoch.first - epoch.previousLast - 1 : 0)
        }
        let result = RetentionResult(deleted: target - oldest - min(hole, target - oldest), oldestSequence: target)
        telemetry.log.info("change log trimmed", [(.sequence, String(target)), (.count, String(result.deleted))])
        return result
    }

    /// The first sequence of `low…high` whose record was committed at or after `timestamp`; `high` when there is none.
    private func firstSequence(
        notBefore timestamp: Int64, _ low: SequenceNumber, _ high: SequenceNumber
    ) throws(ThemisError) -> SequenceNumber {
        var low = low
        var high = high
        while low < high {
            let middle = low + (high - low) / 2
            // Times never decrease along the log.
            if let found = try self.timestamp(from: middle), found < timestamp { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// The first sequence of `low…high` from which at most `bytes` follow.
    private func firstSequence(keeping bytes: UInt64, _ low: SequenceNumber, _ high: SequenceNumber) -> SequenceNumber {
        var low = low
        var high = high
        let last = ChangeRecord.key(.max)
        while low < high {
            let middle = low + (high - low) / 2
            if engine.approximateBytes(.changes, from: ChangeRecord.key(middle), to: last) > bytes {
                low = middle + 1
            } else {
                high = middle
            }
        }
        return low
    }

    /// The first sequence of the transaction that `sequence` belongs to.
    private func transactionStart(_ sequence: SequenceNumber) throws(ThemisError) -> SequenceNumber {
        guard let record = try engine.get(.changes, ChangeRecord.key(sequence)) else { return sequence }
        try ChangeRecord.check(record)
        return sequence - min(UInt64(ChangeRecord.transactionIndex(of: record)), sequence - 1)
    }

    /// Forgets idempotency keys that are older than 24 hours. Reads and writes the disk.
    ///
    /// - Returns: how many were forgotten.
    /// - Throws: `data_corrupt`; the errors of a write.
    public func pruneIdempotencyKeys() throws(ThemisError) -> UInt64 {
        var pruned: UInt64 = 0
        while true {
            let step = try pruneStep()
            pruned += step
            if step == 0 { return pruned }
        }
    }

    private static let prunedRows = 256

    private func pruneStep() throws(ThemisError) -> UInt64 {
        let readPoint = published.visibleSequence
        let cutoff = published.now() - Limits.idempotencyMilliseconds
        guard cutoff > 0 else { return 0 }
        let snapshot = try engine.snapshot()
        let cursor = try snapshot.scan(
            .idempotency, from: IdempotencyRecord.timeKey(0, []), to: IdempotencyRecord.timeKey(cutoff, []), reverse: false)
        var rows: [OrderStage.OldKey] = []
        while rows.count < Self.prunedRows, try cursor.advance() {
            guard let (timestamp, digest) = IdempotencyRecord.place(ofTimeKey: cursor.key) else {
                throw MetaRecords.damaged("the time of an idempotency key")
            }
            // The same key may have been used again: then only the old place goes.
            let stored = try snapshot.get(.idempotency, IdempotencyRecord.answerKey(digest))
            var row = OrderStage.OldKey(digest: digest, timestamp: timestamp)
            if let stored {
                let answer = try IdempotencyRecord.decode(stored)
                if answer.timestamp == timestamp { row.answerBytes = stored.count }
                row.isCounted = !answer.isOutcome
            }
            rows.append(row)
        }
        let found = rows
        guard !found.isEmpty else { return 0 }
        return try committer.run { stage throws(ThemisError) in stage.forget(found, readPoint: readPoint) }
    }
}

extension OrderStage {
    /// A row of the idempotency keys that is too old.
    struct OldKey: Sendable {
        let digest: [UInt8]
        let timestamp: Int64
        /// Bytes of the answer; nil when the place is a leftover.
        var answerBytes: Int?
        /// Whether a bound counts it.
        var isCounted = true
    }

    /// Notes that records below `oldest` are gone; false when that is known already.
    func raise(oldest: SequenceNumber) -> Bool {
        guard oldest > published.oldestSequence else { return false }
        batch.bytes.put(.meta, MetaRecords.oldest, MetaRecords.number(oldest))
        // In order: the same history gives the same bytes.
        for (id, retired) in catalog.retired.sorted(by: { $0.key < $1.key }) where retired.sequence < oldest - 1 { forget(id) }
        return true
    }

    /// Removes rows, unless their keys were used since they were read; how many.
    func forget(_ rows: [OldKey], readPoint: SequenceNumber) -> UInt64 {
        var removed: UInt64 = 0
        for row in rows where readPoint >= recent.floor {
            if let known = recent.keyed(row.digest), known.timestamp != row.timestamp { continue }
            batch.bytes.delete(.idempotency, IdempotencyRecord.timeKey(row.timestamp, row.digest))
            removed += 1
            guard let bytes = row.answerBytes else { continue }
            batch.bytes.delete(.idempotency, IdempotencyRecord.answerKey(row.digest))
            if row.isCounted { use { $0.remove(bytes: IdempotencyRecord.rowBytes(bytes)) } }
        }
        return removed
    }
}
