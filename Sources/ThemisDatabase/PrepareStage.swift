import ThemisBase
import ThemisStorage

/// The first stage: everything of a write that can be done beside others. Any thread; the caller's or the pool's.
///
/// Proves documents, reads what is there, applies patches, and builds the bytes to be stored. What it read may be outdated when
/// the write is ordered; the order stage notices.
struct PrepareStage: Sendable {
    let engine: any StorageEngine
    let published: PublishStage
    let entities: CurrentEntities

    init(engine: any StorageEngine, published: PublishStage) {
        self.engine = engine
        self.published = published
        entities = CurrentEntities(engine: engine, cache: published.cache)
    }

    /// Proves the document or patch of `operation` and builds what does not depend on the state of the entity.
    ///
    /// - Throws: `invalid_json`, `body_too_large`.
    func parse(_ operation: WriteOperation) throws(ThemisError) -> PreparedOperation {
        switch operation.change {
        case .put(let document): try JSONDocument.validateDocument(document)
        case .mergePatch(let patch): try JSONDocument.validate(patch)
        // A value lies in an operation in a list: two levels deeper than it will lie in the document.
        case .jsonPatch(let patch): try JSONDocument.validate(patch, depth: Limits.jsonDepth + 2)
        case .delete: break
        }
        return PreparedOperation(operation)
    }

    /// Reads the state of one operation and builds the rest.
    ///
    /// - Throws: `data_corrupt` and other errors of reading.
    func base(_ operation: PreparedOperation) throws(ThemisError) {
        // Read before the entity is: whatever is visible now, the read sees.
        let readPoint = published.visibleSequence
        let table = published.table(operation.name)
        operation.adopt(table)
        var state = StoredState.absent
        if table != nil { state = try StoredState(stored: entities.get(operation.recentKey)) }
        build(operation, on: state, readPoint: readPoint, now: published.now())
    }

    /// `base` for many operations with one visit to the engine.
    func base(_ operations: [PreparedOperation]) throws(ThemisError) {
        guard operations.count > 1 else {
            for operation in operations { try base(operation) }
            return
        }
        let readPoint = published.visibleSequence
        let catalog = published.catalog
        let now = published.now()
        var keys: [RecentKey] = []
        keys.reserveCapacity(operations.count)
        for operation in operations {
            operation.adopt(catalog.byName[operation.name.text])
            keys.append(operation.recentKey)
        }
        let values = try entities.multiGet(keys)
        for (operation, value) in zip(operations, values) {
            // Without a table the key has id 0, which no entity has.
            build(operation, on: try StoredState(stored: value), readPoint: readPoint, now: now)
        }
    }

    /// Builds value and record of an operation whose table is set.
    func build(_ operation: PreparedOperation, on state: StoredState, readPoint: SequenceNumber, now: Int64) {
        let table = operation.table
        let keepsOldValues = table?.settings.keepsOldValues ?? false
        let isPresent = state.isPresent(at: now)
        operation.readPoint = readPoint
        operation.verdict = nil
        operation.indexing = nil
        operation.base = state
        if !keepsOldValues { operation.base.value = nil }
        if case .patch(let change) = operation.kind {
            guard isPresent, let old = state.value else {
                operation.verdict = ThemisError(.notFound, "there is no entity with this key to patch")
                operation.value = []
                operation.record = []
                return
            }
            do throws(ThemisError) {
                operation.value = EntityRecord.value(document: try Self.patched(old, change))
            } catch {
                operation.verdict = error
                operation.value = []
                operation.record = []
                return
            }
        }
        if let table, !table.indexes.isEmpty {
            do throws(ThemisError) {
                operation.indexing = try indexing(table.indexes, pk: operation.pk, from: state, to: operation.value, now: now)
            } catch {
                operation.verdict = error
            }
        }
        let oldValue = keepsOldValues && (isPresent || operation.isSweep) ? state.value.map { EntityRecord.document(of: $0) } : nil
        let isDelete = if case .delete = operation.kind { true } else { false }
        operation.record = ChangeRecord.data(
            table: table?.id ?? 0, pk: operation.pk, value: isDelete ? nil : EntityRecord.document(of: operation.value),
            oldValue: oldValue, cause: operation.cause)
    }

    /// The document after `change`.
    static func patched(_ stored: [UInt8], _ change: WriteChange) throws(ThemisError) -> [UInt8] {
        let document = Array(EntityRecord.document(of: stored))
        return switch change {
        case .mergePatch(let patch): try JSONMergePatch.apply(patch, to: document)
        case .jsonPatch(let patch): try JSONPatch.apply(patch, to: document)
        case .put, .delete: preconditionFailure("only patches are applied")
        }
    }
}
