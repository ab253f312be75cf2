import ThemisBase
import ThemisStorage

/// Makes the order of expiry from every entity: after a salvage, and for data of formats that had none. Can be begun again.
struct ExpiryOrder {
    /// Bytes of keys that are written together.
    private static let batchBytes = 1 << 20

    private let engine: any StorageEngine

    init(_ engine: any StorageEngine) { self.engine = engine }

    /// - Throws: `data_corrupt`; errors of the engine.
    func write() throws(ThemisError) {
        var batch = WriteBatch()
        batch.deleteRange(.indexes, from: [], to: IndexKey.lowerBound(1))
        let cursor = try engine.snapshot().scan(.entities, from: [], to: nil, reverse: false)
        while try cursor.advance() {
            let key = cursor.key
            let value = cursor.value
            try EntityRecord.check(value)
            let expiresAt = EntityRecord.expiry(of: value)
            guard expiresAt != 0, key.count > 4 else { continue }
            batch.put(.indexes, ExpiryKey.key(entity: key, expiresAt: expiresAt), [])
            guard batch.bytes.count >= Self.batchBytes else { continue }
            try engine.commit(batch, .synced)
            batch = WriteBatch()
        }
        if !batch.isEmpty { try engine.commit(batch, .synced) }
    }
}
