import ThemisBase
import ThemisDatabase
import ThemisRPC

// The bridge in one file: what the wire tower says, in the words of the disk tower, and back. Outside names are proved here, once.

extension WriteOperation {
    /// - Throws: `invalid_key`, `invalid_request`.
    init(_ message: OperationMessage) throws(ThemisError) {
        let change: WriteChange =
            switch message.kind {
            case .put: .put(message.body)
            case .mergePatch: .mergePatch(message.body)
            case .jsonPatch: .jsonPatch(message.body)
            case .delete: .delete
            }
        let condition: WriteCondition =
            switch message.condition {
            case .none: .none
            case .version(let version): .version(version)
            case .absent: .absent
            case .exists: .exists
            }
        self.init(try EntityKey(table: TableName(validating: message.table), pk: message.pk), change, if: condition)
    }
}

extension ThemisRPC.OperationResult {
    init(_ result: ThemisDatabase.OperationResult) {
        self.init(
            version: result.version, sequence: result.sequence, created: result.created, deleted: result.deleted, durable: result.durable,
            replayed: result.replayed)
    }
}

extension EntityMessage {
    init(_ entity: Entity) {
        self.init(withoutDocument: entity)
        document = Array(entity.document)
    }

    init(withoutDocument entity: Entity) {
        self.init(
            table: entity.key.table.text, pk: entity.key.pk, version: entity.version,
            expiresAtMilliseconds: entity.expiresAtMilliseconds)
    }
}

extension ThemisDatabase.ListRequest {
    /// - Throws: `invalid_key` for a table name that cannot be one, `invalid_request` for a prefix that no key can have.
    init(_ message: ThemisRPC.ListRequest) throws(ThemisError) {
        self.init(
            table: try TableName(validating: message.table), prefix: try KeyPrefix.proved(message.prefix), reverse: message.reverse,
            keysOnly: message.keysOnly)
    }
}

enum KeyPrefix {
    /// A prefix of primary keys; empty for all.
    static func proved(_ text: String) throws(ThemisError) -> String {
        guard text.isEmpty || EntityKey.isValidPrimaryKey(text) else {
            throw ThemisError(
                .invalidRequest, "prefix must be at most \(Limits.primaryKeyBytes) bytes of UTF-8 without control characters",
                fields: [FieldError("prefix", "at most \(Limits.primaryKeyBytes) bytes, no control characters")])
        }
        return text
    }
}

extension TableMessage {
    init(_ table: TableInfo) {
        self.init(
            name: table.name.text, entities: table.entities, bytes: table.bytes, oldValues: table.settings.keepsOldValues,
            defaultTTLSeconds: table.settings.defaultTTLSeconds, createdMilliseconds: table.createdMilliseconds, id: table.id)
    }
}

extension TableSettingsChange {
    init(_ message: TablePutRequest) {
        let keeps: Bool? =
            switch message.oldValues {
            case .unchanged: nil
            case .off: false
            case .on: true
            }
        self.init(keepsOldValues: keeps, defaultTTLSeconds: message.setsDefaultTTL ? message.defaultTTLSeconds : nil)
    }
}

extension JobMessage {
    init(_ job: Job) {
        let state: ThemisRPC.JobState =
            switch job.state {
            case .running: .running
            case .done: .done
            case .failed: .failed
            case .cancelled: .cancelled
            }
        self.init(
            id: job.id, kind: job.kind, state: state, done: job.done, total: job.total, startedMilliseconds: job.startedMilliseconds,
            endedMilliseconds: job.endedMilliseconds, detail: job.detail, error: job.error)
    }
}

extension ChangesRequest {
    /// - Throws: `invalid_key` for a table name that cannot be one.
    init(_ message: ChangesReadRequest) throws(ThemisError) {
        var filter = ThemisDatabase.ChangesFilter()
        if let wanted = message.filter {
            if !wanted.table.isEmpty { filter.table = try TableName(validating: wanted.table) }
            filter.keyPrefix = wanted.keyPrefix
            if !wanted.kinds.isEmpty { filter.types = ChangeTypes(rawValue: UInt8(truncatingIfNeeded: wanted.kinds.rawValue & 7)) }
        }
        self.init(
            after: message.fromNow ? nil : message.after, epoch: message.epoch.isEmpty ? nil : message.epoch,
            limit: max(1, min(Limits.changefeedPage, Int(message.limit))), filter: filter, oldValues: message.oldValues)
    }
}

extension ChangeMessage {
    init(_ change: Change) {
        let cause: ThemisRPC.ChangeCause =
            switch change.cause {
            case .request: .request
            case .ttl: .ttl
            case .table: .table
            case .range: .range
            }
        self.init(
            sequence: change.sequence, ordinal: UInt32(change.ordinal), kind: ChangeKinds(rawValue: UInt32(change.type.rawValue)),
            table: change.table.text, pk: change.pk, version: change.version, previousVersion: change.previousVersion,
            timestampMilliseconds: change.timestampMilliseconds, transactionIndex: change.transactionIndex,
            transactionCount: change.transactionCount, cause: cause, value: Array(change.value),
            oldValue: change.oldValue.map { Array($0) } ?? [], hasOldValue: change.oldValue != nil)
    }
}

extension ThemisRPC.ChangesPage {
    init(_ page: ThemisDatabase.ChangesPage) {
        self.init(
            changes: page.changes.map { ChangeMessage($0) }, nextAfter: page.nextAfter, latest: page.latest, oldest: page.oldest,
            epoch: page.epoch)
    }
}

extension ChangesInfoResponse {
    init(_ info: ChangesInfo, followers: UInt64) {
        self.init(
            latest: info.latest, oldest: info.oldest, epoch: info.epoch, bytes: info.bytes, oldestMilliseconds: info.oldestMilliseconds,
            latestMilliseconds: info.latestMilliseconds, followers: followers)
    }
}
