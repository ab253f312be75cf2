public import ThemisBase
import ThemisStorage
import ThemisTelemetry

/// Point reads.
extension Database {
    /// The entity, nil when there is none or it has expired. May read the disk.
    ///
    /// - Parameter fields: paths to keep of the document; empty for all of it.
    /// - Throws: `data_corrupt`, `cancelled`, `deadline_exceeded`; what `JSONProjection` refuses.
    public func get(
        _ key: EntityKey, fields: [String] = [], in transaction: TransactionReference? = nil, _ call: CallContext = CallContext()
    ) throws(ThemisError) -> Entity? {
        if let transaction { return try read([key], fields, in: transaction, call)[0] }
        try call.check(telemetry.time)
        guard let table = published.table(key.table) else { return nil }
        let now = published.now()
        let stored = RecentKey(EntityRecord.key(table: table.id, pk: key.pk))
        guard let value = try prepare.entities.get(stored) else { return nil }
        return try entity(key, value, try Self.projection(fields), now)
    }

    /// The entity, if memory alone can tell. Never blocks: callable on a loop thread.
    ///
    /// - Throws: as `get`.
    public func cachedGet(_ key: EntityKey, fields: [String] = []) throws(ThemisError) -> CachedEntity {
        guard let table = published.table(key.table) else { return .absent }
        let now = published.now()
        switch try prepare.entities.cachedGet(RecentKey(EntityRecord.key(table: table.id, pk: key.pk))) {
        case .absent: return .absent
        case .wouldBlock: return .wouldBlock
        case .hit(let value): return try entity(key, value, try Self.projection(fields), now).map { .hit($0) } ?? .absent
        }
    }

    /// Many entities at once, as many as fit into `maxBytes` of documents but at least one. May read the disk.
    ///
    /// - Parameter keys: at most 1,000.
    /// - Throws: as `get`; `invalid_request` for too many keys.
    public func multiGet(
        _ keys: [EntityKey], fields: [String] = [], maxBytes: Int = Limits.pageBytes, in transaction: TransactionReference? = nil,
        _ call: CallContext = CallContext()
    ) throws(ThemisError) -> MultiGetResult {
        guard keys.count <= Limits.pageEntities else {
            throw ThemisError(.invalidRequest, "at most \(Limits.pageEntities) keys are read at once; these are \(keys.count)")
        }
        let projection = try Self.projection(fields)
        if let transaction {
            let entities = try read(keys, fields, in: transaction, maxBytes: maxBytes, call)
            return MultiGetResult(entities: entities, unread: keys.count - entities.count)
        }
        let catalog = published.catalog
        let now = published.now()
        var result = MultiGetResult(entities: [], unread: 0)
        result.entities.reserveCapacity(keys.count)
        var bytes = 0
        // In steps: documents that do not fit are hardly read in vain.
        var next = 0
        while next < keys.count, bytes < maxBytes {
            try call.check(telemetry.time)
            let step = keys[next..<min(next + 64, keys.count)]
            // Without a table the key has id 0, which no entity has.
            let stored = step.map { RecentKey(EntityRecord.key(table: catalog.byName[$0.table.text]?.id ?? 0, pk: $0.pk)) }
            let values = try prepare.entities.multiGet(stored)
            for (key, value) in zip(step, values) where bytes < maxBytes {
                let found = if let value { try entity(key, value, projection, now) } else { Entity?.none }
                let size = found?.document.count ?? 0
                if bytes > 0, bytes + size > maxBytes {
                    bytes = maxBytes
                    break
                }
                bytes += size
                result.entities.append(found)
                next += 1
            }
        }
        result.unread = keys.count - result.entities.count
        return result
    }

    /// Reads within a transaction: as many as fit into `maxBytes`, but at least one.
    private func read(
        _ keys: [EntityKey], _ fields: [String], in transaction: TransactionReference, maxBytes: Int = Limits.pageBytes,
        _ call: CallContext
    ) throws(ThemisError) -> [Entity?] {
        let projection = try Self.projection(fields)
        return try read(in: transaction, call) { (view) throws(ThemisError) in
            var entities: [Entity?] = []
            var bytes = 0
            for key in keys {
                if entities.count % 64 == 63 { try view.check() }
                let value = try view.get(key)
                let found = if let value { try entity(key, value, projection, view.now) } else { Entity?.none }
                bytes += found?.document.count ?? 0
                if bytes > maxBytes, !entities.isEmpty { break }
                entities.append(found)
            }
            return entities
        }
    }

    private static func projection(_ fields: [String]) throws(ThemisError) -> JSONProjection? {
        fields.isEmpty ? nil : try JSONProjection(paths: fields)
    }

    /// What a reader at `now` sees of a stored value.
    func entity(_ key: EntityKey, _ value: [UInt8], _ projection: JSONProjection?, _ now: Int64) throws(ThemisError) -> Entity? {
        try EntityRecord.check(value)
        let expiry = EntityRecord.expiry(of: value)
        guard expiry == 0 || expiry > now else { return nil }
        let range = EntityRecord.headerBytes..<value.count
        let document = if let projection { try projection.apply(to: value, in: range)[...] } else { value[range] }
        return Entity(
            key: key, version: EntityRecord.version(of: value), expiresAtMilliseconds: expiry,
            document: document)
    }
}
