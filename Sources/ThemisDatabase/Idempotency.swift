import ThemisBase
import ThemisStorage

/// The stored form of answers under idempotency keys (docs/data-format.md, "Idempotency").
///
/// Answer: key `0 | SHA-256 of principal and key`, value `format u8 | fingerprint 32 | commit ts u64 | first sequence u64 |
/// count varint | kinds, 3 bits each`. Place in time: key `1 | commit ts u64 | digest`, empty value. The answer of a command has its text
/// behind the time.
enum IdempotencyRecord {
    static let format: UInt8 = 1
    /// The outcome of a transaction, which nobody asked to be kept: it counts for no bound.
    static let outcomeFormat: UInt8 = 2
    /// The answer of a command: a text.
    static let commandFormat: UInt8 = 3

    /// What an operation did. Sequences follow from it: the answers of 10,000 operations fit into 4 KiB.
    private enum Kind: UInt8 {
        case nothing, created, replaced, deleted, createdAfterExpiry
    }

    /// What is kept.
    struct Answer {
        var isOutcome: Bool
        var fingerprint: [UInt8]
        var timestamp: Int64
        var results: [OperationResult]
        /// Of a command.
        var text: [UInt8] = []
    }

    /// Principals and keys are apart by their lengths: no two pairs give the same bytes.
    static func digest(principal: String, key: String) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.appendLengthPrefixed(principal.utf8)
        bytes.appendLengthPrefixed(key.utf8)
        return Digest.sha256(bytes)
    }

    static func answerKey(_ digest: [UInt8]) -> [UInt8] { [0] + digest }

    static func timeKey(_ timestamp: Int64, _ digest: [UInt8]) -> [UInt8] {
        var key: [UInt8] = [1]
        key.appendBigEndian(UInt64(bitPattern: timestamp))
        key.append(contentsOf: digest)
        return key
    }

    /// What a key of `timeKey` says; nil for another key.
    static func place(ofTimeKey key: [UInt8]) -> (timestamp: Int64, digest: [UInt8])? {
        guard key.count == 41, key[0] == 1 else { return nil }
        return (Int64(bitPattern: key.load(UInt64.self, at: 1)), Array(key[9...]))
    }

    /// Bytes of both rows of an answer.
    static func rowBytes(_ answerBytes: Int) -> UInt64 { UInt64(33 + answerBytes + 41) }

    static func encode(
        isOutcome: Bool = false, fingerprint: [UInt8], timestamp: Int64, results: [OperationResult]
    ) -> [UInt8] {
        var bytes: [UInt8] = [isOutcome ? outcomeFormat : format]
        bytes.append(contentsOf: fingerprint)
        bytes.appendBigEndian(UInt64(bitPattern: timestamp))
        let kinds = kinds(of: results)
        bytes.appendBigEndian(results.first { $0.sequence != 0 }?.sequence ?? 0)
        bytes.appendVarint(UInt64(results.count))
        var bits: UInt32 = 0
        var width: UInt32 = 0
        for kind in kinds {
            bits |= UInt32(kind.rawValue) << width
            width += 3
            while width >= 8 {
                bytes.append(UInt8(truncatingIfNeeded: bits))
                bits >>= 8
                width -= 8
            }
        }
        if width > 0 { bytes.append(UInt8(truncatingIfNeeded: bits)) }
        precondition(bytes.count <= Limits.idempotencyAnswerBytes, "an answer fits into its bound")
        return bytes
    }

    static func encode(command text: [UInt8], fingerprint: [UInt8], timestamp: Int64) -> [UInt8] {
        var bytes: [UInt8] = [commandFormat]
        bytes.append(contentsOf: fingerprint)
        bytes.appendBigEndian(UInt64(bitPattern: timestamp))
        bytes.append(contentsOf: text)
        return bytes
    }

    /// - Throws: `data_corrupt`.
    static func decode(_ bytes: [UInt8]) throws(ThemisError) -> Answer {
        var reader = ByteReader(bytes)
        if bytes.first == commandFormat, bytes.count >= 41 {
            return Answer(
                isOutcome: false, fingerprint: Array(bytes[1..<33]), timestamp: Int64(bitPattern: bytes.load(UInt64.self, at: 33)),
                results: [], text: Array(bytes[41...]))
        }
        guard let found = reader.byte(), found == format || found == outcomeFormat, let fingerprint = reader.take(32),
            let timestamp = reader.bigEndian(UInt64.self),
            let first = reader.bigEndian(UInt64.self), let count = reader.varint(), count <= UInt64(Limits.atomicOperations),
            // Each operation takes two sequences at most.
            first <= UInt64.max - 2 * count
        else { throw MetaRecords.damaged("an idempotency key") }
        let packed = Array(reader.rest())
        guard packed.count >= (Int(count) * 3 + 7) / 8 else { throw MetaRecords.damaged("an idempotency key") }
        var next = first
        var results: [OperationResult] = []
        results.reserveCapacity(Int(count))
        for index in 0..<Int(count) {
            let bit = index * 3
            let low = UInt16(packed[bit / 8])
            let high = bit / 8 + 1 < packed.count ? UInt16(packed[bit / 8 + 1]) << 8 : 0
            guard let kind = Kind(rawValue: UInt8(((low | high) >> UInt16(bit % 8)) & 7)) else {
                throw MetaRecords.damaged("an idempotency key")
            }
            if kind == .createdAfterExpiry { next += 1 }
            switch kind {
            case .nothing: results.append(OperationResult())
            case .deleted: results.append(OperationResult(sequence: next, deleted: true))
            case .created, .replaced, .createdAfterExpiry:
                results.append(OperationResult(version: next, sequence: next, created: kind != .replaced))
            }
            if kind != .nothing { next += 1 }
        }
        return Answer(
            isOutcome: found == outcomeFormat, fingerprint: Array(fingerprint), timestamp: Int64(bitPattern: timestamp), results: results)
    }

    private static func kinds(of results: [OperationResult]) -> [Kind] {
        var previous: SequenceNumber?
        return results.map { result in
            guard result.sequence != 0 else { return .nothing }
            defer { previous = result.sequence }
            if result.deleted { return .deleted }
            guard result.created else { return .replaced }
            // A jump over one sequence is the delete of what had expired. Before the first one it does not matter.
            if let previous, result.sequence == previous + 2 { return .createdAfterExpiry }
            return .created
        }
    }
}

/// What a command answered, now or before.
public struct KeptAnswer: Sendable {
    /// As the command wrote it.
    public var text: [UInt8]
    /// Whether it was answered before, and nothing was done now.
    public var replayed: Bool
}

/// What is remembered under idempotency keys, in numbers.
struct IdempotencyUsage: Sendable, Equatable {
    var keys: UInt64 = 0
    var bytes: UInt64 = 0

    mutating func add(bytes: UInt64) {
        keys += 1
        self.bytes += bytes
    }

    mutating func remove(bytes: UInt64) {
        keys -= min(keys, 1)
        self.bytes -= min(self.bytes, bytes)
    }
}

extension PrepareStage {
    /// Whether the key was used before, by what is visible.
    ///
    /// - Throws: `idempotency_mismatch`; errors of reading.
    func lookUp(_ idempotency: inout PreparedIdempotency) throws(ThemisError) -> [OperationResult]? {
        try answer(&idempotency)?.results
    }

    /// The same for a command: its answer.
    func keptText(_ idempotency: inout PreparedIdempotency) throws(ThemisError) -> [UInt8]? { try answer(&idempotency)?.text }

    private func answer(_ idempotency: inout PreparedIdempotency) throws(ThemisError) -> IdempotencyRecord.Answer? {
        idempotency.readPoint = published.visibleSequence
        idempotency.expired = nil
        guard let stored = try engine.get(.idempotency, IdempotencyRecord.answerKey(idempotency.digest)) else { return nil }
        let answer = try IdempotencyRecord.decode(stored)
        guard published.now() - answer.timestamp < Limits.idempotencyMilliseconds else {
            // Ids of transactions do not come again: the place of an outcome goes when its time is over.
            if !answer.isOutcome { idempotency.expired = (answer.timestamp, IdempotencyRecord.rowBytes(stored.count)) }
            return nil
        }
        guard answer.fingerprint == idempotency.fingerprint else { throw Self.mismatch }
        return answer
    }

    static var mismatch: ThemisError {
        ThemisError(.idempotencyMismatch, "another request was sent under this Idempotency-Key within 24 hours")
    }
}

extension OrderStage {
    /// What the committer knows about an idempotency key.
    enum Admission {
        case fresh
        case answered
        case stale
    }

    /// Decides about a write with an idempotency key before any of its operations.
    func admit(_ idempotency: PreparedIdempotency, _ write: PendingWrite) -> Admission {
        if let known = recent.keyed(idempotency.digest), batch.now - known.timestamp < Limits.idempotencyMilliseconds {
            if known.fingerprint != idempotency.fingerprint {
                refuse(write, PrepareStage.mismatch)
            } else if case .write(let first) = known.source {
                if first.isAnswered {
                    write.results = first.results
                    write.isReplay = true
                    batch.writes.append(write)
                } else {
                    first.duplicates.append(write)
                }
            } else {
                // No write has the fingerprint of a command.
                refuse(write, PrepareStage.mismatch)
            }
            return .answered
        }
        if idempotency.readPoint < recent.floor {
            if write.mayReturn { return .stale }
            do throws(ThemisError) {
                var again = idempotency
                let results = try prepare.lookUp(&again)
                write.idempotency = again
                if let results {
                    write.results = results
                    write.isReplay = true
                    batch.writes.append(write)
                    return .answered
                }
            } catch {
                refuse(write, error)
                return .answered
            }
        }
        guard idempotency.isOutcome || hasRoomForKeys else {
            refuse(write, Self.tooManyKeys)
            return .answered
        }
        return .fresh
    }

    private var hasRoomForKeys: Bool {
        usage.keys < UInt64(Limits.idempotencyKeys) && usage.bytes < UInt64(Limits.idempotencyBytes)
    }

    private static var tooManyKeys: ThemisError {
        ThemisError(
            .tooManyRequests, "as many idempotency keys as can be kept were used within 24 hours; write without one, or wait",
            outcome: .notCommitted, retryAfterSeconds: 60)
    }

    private func refuse(_ write: PendingWrite, _ error: ThemisError) {
        write.results = [OperationResult()]
        write.failures[0] = error
        batch.writes.append(write)
    }

    /// Adds the answer of a write that succeeded to its batch.
    func remember(_ write: PendingWrite) {
        guard let idempotency = write.idempotency else { return }
        let answer = IdempotencyRecord.encode(
            isOutcome: idempotency.isOutcome, fingerprint: idempotency.fingerprint, timestamp: batch.now, results: write.results)
        keep(answer, idempotency, .write(write))
    }

    private func keep(_ answer: [UInt8], _ idempotency: PreparedIdempotency, _ source: RecentCommits.KeyedAnswer.Source) {
        let key = IdempotencyRecord.answerKey(idempotency.digest)
        if let expired = idempotency.expired {
            batch.bytes.delete(.idempotency, IdempotencyRecord.timeKey(expired.timestamp, idempotency.digest))
            use { $0.remove(bytes: expired.bytes) }
        }
        batch.bytes.put(.idempotency, key, answer)
        batch.bytes.put(.idempotency, IdempotencyRecord.timeKey(batch.now, idempotency.digest), [])
        if !idempotency.isOutcome { use { $0.add(bytes: IdempotencyRecord.rowBytes(answer.count)) } }
        note(
            keyed: idempotency.digest,
            RecentCommits.KeyedAnswer(timestamp: batch.now, fingerprint: idempotency.fingerprint, source: source))
    }

    // MARK: Commands

    /// Runs a command once under its key: what it answered is kept in the batch of what it did, and given again afterwards.
    ///
    /// Commands are rare: the key is looked up here, on the committer's thread, so that nothing can come between.
    ///
    /// - Throws: `idempotency_mismatch`, `too_many_requests`, `unprocessable` for an answer that is too long to be kept; what `body`
    ///   throws, which must then have done nothing.
    func once(
        _ token: PreparedIdempotency, answerBytes: Int, _ body: () throws(ThemisError) -> [UInt8]
    ) throws(ThemisError) -> KeptAnswer {
        var idempotency = token
        if let known = recent.keyed(idempotency.digest), batch.now - known.timestamp < Limits.idempotencyMilliseconds {
            guard known.fingerprint == idempotency.fingerprint, case .command(let text) = known.source else {
                throw PrepareStage.mismatch
            }
            return KeptAnswer(text: text, replayed: true)
        }
        if let text = try prepare.keptText(&idempotency) { return KeptAnswer(text: text, replayed: true) }
        guard hasRoomForKeys else { throw Self.tooManyKeys }
        // Asked before anything is done.
        guard answerBytes <= Limits.idempotencyAnswerBytes else {
            throw ThemisError(
                .unprocessable, "the answer may have more than \(Limits.idempotencyAnswerBytes) bytes, too many to be kept",
                fields: [FieldError("Idempotency-Key", "leave it out")])
        }
        let text = try body()
        precondition(text.count <= Limits.idempotencyAnswerBytes, "an answer is not longer than was said")
        keep(
            IdempotencyRecord.encode(command: text, fingerprint: idempotency.fingerprint, timestamp: batch.now), idempotency, .command(text)
        )
        return KeptAnswer(text: text, replayed: false)
    }
}
