public import ThemisBase

/// What a write does to one entity.
public enum WriteChange: Sendable {
    /// Stores the document, as sent, in place of what is there.
    case put([UInt8])
    /// Applies a merge patch (RFC 7396) to the entity.
    case mergePatch([UInt8])
    /// Applies a JSON patch (RFC 6902) to the entity.
    case jsonPatch([UInt8])
    /// Removes the entity.
    case delete

    /// Bytes that the caller sent.
    var byteCount: Int {
        switch self {
        case .put(let bytes), .mergePatch(let bytes), .jsonPatch(let bytes): bytes.count
        case .delete: 0
        }
    }
}

/// What must hold for a write to happen.
public enum WriteCondition: Sendable, Equatable {
    /// Nothing.
    case none
    /// The entity has exactly this version (`If-Match: "7"`).
    case version(UInt64)
    /// There is no such entity (`If-None-Match: *`). An expired one counts as absent.
    case absent
    /// There is such an entity (`If-Match: *`).
    case exists

    /// Why the condition does not hold; nil when it does.
    func refusal(isPresent: Bool, version: UInt64) -> ThemisError? {
        let reason: String
        switch self {
        case .none: return nil
        case .version(let wanted):
            if isPresent, version == wanted { return nil }
            reason = isPresent ? "the entity has another version" : "there is no such entity"
        case .absent:
            guard isPresent else { return nil }
            reason = "the entity exists already"
        case .exists:
            if isPresent { return nil }
            reason = "there is no such entity"
        }
        return ThemisError(.preconditionFailed, reason, members: isPresent ? [("version", .number(version))] : [])
    }
}

/// One change that a caller asks for.
public struct WriteOperation: Sendable {
    /// The entity.
    public var key: EntityKey
    /// What happens to it.
    public var change: WriteChange
    /// What must hold, else the answer is `precondition_failed`.
    public var condition: WriteCondition

    /// Puts the parts together.
    public init(_ key: EntityKey, _ change: WriteChange, if condition: WriteCondition = .none) {
        self.key = key
        self.change = change
        self.condition = condition
    }
}

/// What one operation of a committed write did.
public struct OperationResult: Sendable, Equatable {
    /// The entity's version; 0 after a delete.
    public var version: UInt64 = 0
    /// The change record; 0 when nothing changed (the delete of what is absent).
    public var sequence: SequenceNumber = 0
    /// Whether the entity is new.
    public var created = false
    /// Whether an entity was removed.
    public var deleted = false
    /// Whether the write is on disk; false only under relaxed durability.
    public var durable = true
    /// Whether this is the first answer to the same idempotency key.
    public var replayed = false
    /// Nothing was done.
    public init() {}

    init(version: UInt64 = 0, sequence: SequenceNumber, created: Bool = false, deleted: Bool = false) {
        self.version = version
        self.sequence = sequence
        self.created = created
        self.deleted = deleted
    }
}

/// What an atomic write did.
public struct TransactionResult: Sendable {
    /// One for each operation, in their order.
    public var results: [OperationResult]
    /// The last sequence of the transaction; 0 when nothing changed.
    public var sequence: SequenceNumber
}

/// An idempotency key with what identifies the request.
public struct IdempotencyToken: Sendable {
    /// As the caller sent it: 1–255 bytes.
    public let key: String
    /// SHA-256 of method, path, query, preconditions and body: 32 bytes.
    public let fingerprint: [UInt8]

    /// Proves both parts.
    ///
    /// - Throws: `invalid_request`.
    public init(key: String, fingerprint: [UInt8]) throws(ThemisError) {
        guard (1...Limits.idempotencyKeyBytes).contains(key.utf8.count) else {
            throw ThemisError(
                .invalidRequest, "Idempotency-Key must have 1–\(Limits.idempotencyKeyBytes) bytes",
                fields: [FieldError("Idempotency-Key", "1–\(Limits.idempotencyKeyBytes) bytes")])
        }
        guard fingerprint.count == 32 else {
            throw ThemisError(.invalidRequest, "the fingerprint of an idempotent request must have 32 bytes")
        }
        self.key = key
        self.fingerprint = fingerprint
    }
}
