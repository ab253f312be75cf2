import ThemisBase
import ThemisStorage

/// The order of expiry (docs/data-format.md, "Indexes"): one key for each entity that expires, whatever it expires by.
///
/// `0 u32 | table id u32 | expires at ms u64 | primary key`, without a value, in the key space of the indexes; no index has
/// generation 0.
enum ExpiryKey {
    private static let headerBytes = 16

    static func key(table: UInt32, expiresAt: Int64, pk: some Collection<UInt8>) -> [UInt8] {
        var key: [UInt8] = []
        key.reserveCapacity(headerBytes + pk.count)
        key.appendBigEndian(UInt32(0))
        key.appendBigEndian(table)
        key.appendBigEndian(UInt64(bitPattern: expiresAt))
        key.append(contentsOf: pk)
        return key
    }

    /// The key of an entity with this stored key.
    static func key(entity: [UInt8], expiresAt: Int64) -> [UInt8] {
        key(table: entity.load(UInt32.self, at: 0), expiresAt: expiresAt, pk: entity[4...])
    }

    /// The first key of a table.
    static func lowerBound(table: UInt32) -> [UInt8] {
        var key: [UInt8] = []
        key.appendBigEndian(UInt32(0))
        key.appendBigEndian(table)
        return key
    }

    /// The key behind everything in a table that has expired at `now`.
    static func upperBound(table: UInt32, now: Int64) -> [UInt8] {
        key(table: table, expiresAt: now == .max ? now : now + 1, pk: [])
    }

    /// The stored key of the entity, and when it expires.
    ///
    /// - Throws: `data_corrupt`.
    static func parts(of key: [UInt8]) throws(ThemisError) -> (entity: [UInt8], expiresAt: Int64) {
        guard key.count > headerBytes, key.load(UInt32.self, at: 0) == 0 else {
            throw ThemisError(.dataCorrupt, "a key of \(key.count) bytes in the order of expiry cannot be decoded")
        }
        return (Array(key[4..<8]) + key[headerBytes...], Int64(bitPattern: key.load(UInt64.self, at: 8)))
    }
}

/// What ordered operations do to the order of expiry.
extension OrderStage {
    /// When the state that `operation` makes expires; 0 for never.
    func expiry(of operation: PreparedOperation, _ slot: TableSlot) -> Int64 {
        var expiry = operation.indexing?.expiry ?? .never
        if operation.cause == .ttl {
            // A new TTL index takes the entity up: what it was to live is not prolonged.
            let known = operation.base.expiresAt
            if known != 0 { expiry.join(DocumentExpiry(atMilliseconds: known)) }
        } else if slot.table.settings.defaultTTLSeconds != 0 {
            expiry.join(DocumentExpiry(afterMilliseconds: slot.table.settings.defaultTTLSeconds * 1_000))
        }
        return expiry.stored(now: batch.now)
    }

    /// Removes an entity if it has expired by the time of the batch; one that was written anew meanwhile stays.
    func orderSweep(_ operation: PreparedOperation, _ slot: TableSlot?, _ index: UInt32) -> OperationResult {
        guard let slot, operation.base.isExpired(at: batch.now) else { return OperationResult() }
        return stageDelete(operation, slot, index)
    }

    /// Keeps the order of expiry: the state before a staged record, and the one after it.
    func moveExpiry(_ item: StagedRecord, to expiresAt: Int64) {
        guard let operation = item.operation else { return }
        let before = operation.base.isStored ? operation.base.expiresAt : 0
        guard before != expiresAt else { return }
        if before != 0 { batch.bytes.delete(.indexes, ExpiryKey.key(entity: operation.key, expiresAt: before)) }
        if expiresAt != 0 { batch.bytes.put(.indexes, ExpiryKey.key(entity: operation.key, expiresAt: expiresAt), []) }
    }

    /// Makes the order of expiry right for these entities, by their newest state. `stated` is the key that is there or missing.
    ///
    /// - Throws: errors of reading.
    func mendExpiry(_ stated: [[UInt8]]) throws(ThemisError) {
        for key in stated {
            let (entity, expiresAt) = try ExpiryKey.parts(of: key)
            let known = RecentKey(entity)
            let state = if let seen = recent[known] { seen } else { try StoredState(stored: prepare.entities.get(known)) }
            let isTableKnown = slotsByID[entity.load(UInt32.self, at: 0)] != nil
            if isTableKnown, state.isStored, state.expiresAt == expiresAt {
                batch.bytes.put(.indexes, key, [])
            } else {
                batch.bytes.delete(.indexes, key)
            }
        }
    }
}
