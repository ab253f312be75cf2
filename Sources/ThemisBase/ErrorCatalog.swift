/// The one list of errors that can be seen from outside.
///
/// A row's `word` goes into `problem+json` as `code`, its `number` over RPC, its `status` to HTTP. Numbers are never reused.
/// `docs/errors.md` is generated from this table.
public struct ErrorCode: Sendable, Hashable {
    /// The number that travels over RPC. Never reused.
    public let number: UInt16
    /// The stable snake_case word a program may match on.
    public let word: String
    /// The HTTP status.
    public let status: Int
    /// The short title of the problem document.
    public let title: String
    /// Whether the same request may succeed later without a change.
    public let isRetryable: Bool
    /// What the caller should do.
    public let advice: String

    private init(_ number: UInt16, _ word: String, _ status: Int, _ title: String, retryable: Bool = false, _ advice: String) {
        self.number = number
        self.word = word
        self.status = status
        self.title = title
        self.isRetryable = retryable
        self.advice = advice
    }

    /// Two codes are equal when their numbers are.
    public static func == (left: ErrorCode, right: ErrorCode) -> Bool { left.number == right.number }

    /// Hashes the number.
    public func hash(into hasher: inout Hasher) { hasher.combine(number) }
}

extension ErrorCode {
    // 1–99: what the caller sent.
    public static let invalidRequest = ErrorCode(1, "invalid_request", 400, "Bad request", "Correct the request as `detail` says.")
    public static let invalidJSON = ErrorCode(2, "invalid_json", 400, "Invalid JSON", "Send a body that is valid JSON (RFC 8259).")
    public static let unknownParameter = ErrorCode(
        3, "unknown_parameter", 400, "Unknown parameter", "Remove or correct the named parameter or field.")
    public static let invalidKey = ErrorCode(
        4, "invalid_key", 400, "Invalid key", "Use `table:pk`: a table name of 1–64 letters, digits, _ and -, a pk of 1–512 bytes.")
    public static let invalidCursor = ErrorCode(5, "invalid_cursor", 400, "Invalid cursor", "Start again without a cursor.")
    public static let sequenceAhead = ErrorCode(
        6, "sequence_ahead", 400, "Sequence is ahead", "Use a sequence that the server has given out.")
    public static let malformedHTTP = ErrorCode(7, "malformed_http", 400, "Malformed HTTP", "Send a request that follows RFC 9112.")
    public static let unauthenticated = ErrorCode(
        10, "unauthenticated", 401, "Authentication needed", "Send `Authorization: Bearer` with a valid token.")
    public static let forbidden = ErrorCode(11, "forbidden", 403, "Forbidden", "Use a principal that has the named scope.")
    public static let notFound = ErrorCode(12, "not_found", 404, "Not found", "Check the path or key.")
    public static let featureDisabled = ErrorCode(
        13, "feature_disabled", 404, "Feature is off", "Switch the named feature on in the configuration.")
    public static let methodNotAllowed = ErrorCode(
        14, "method_not_allowed", 405, "Method not allowed", "Use a method that the `Allow` header lists.")
    public static let requestTimeout = ErrorCode(
        15, "request_incomplete", 408, "Request came too slowly", retryable: true, "Send headers and body faster.")
    public static let conflict = ErrorCode(17, "conflict", 409, "Conflict", retryable: true, "Read the newest version and try again.")
    public static let alreadyExists = ErrorCode(18, "already_exists", 409, "Already exists", "Use another name or the existing one.")
    public static let historyGone = ErrorCode(
        19, "history_gone", 410, "History is gone",
        "Read a snapshot, then continue from its sequence; `oldest_sequence` is the first one kept.")
    public static let epochChanged = ErrorCode(
        20, "epoch_changed", 410, "Epoch changed", "The data was restored: read a snapshot, then continue in the new epoch.")
    public static let preconditionFailed = ErrorCode(
        21, "precondition_failed", 412, "Precondition failed", "Read the entity again and decide with its new version.")
    public static let bodyTooLarge = ErrorCode(
        22, "body_too_large", 413, "Body too large", "Send less; bulk import streams without a limit.")
    public static let uriTooLong = ErrorCode(23, "uri_too_long", 414, "Request target too long", "Shorten the path or query.")
    public static let unsupportedMediaType = ErrorCode(
        24, "unsupported_media_type", 415, "Unsupported media type", "Send a media type or coding that `detail` lists.")
    public static let expectationFailed = ErrorCode(
        25, "expectation_failed", 417, "Expectation failed", "Only `Expect: 100-continue` is known.")
    public static let unprocessable = ErrorCode(26, "unprocessable", 422, "Cannot be done", "Correct the request as `detail` says.")
    public static let idempotencyMismatch = ErrorCode(
        27, "idempotency_mismatch", 422, "Idempotency key was used differently", "Use a new key for a different request.")
    public static let headersTooLarge = ErrorCode(28, "headers_too_large", 431, "Headers too large", "Send fewer or shorter headers.")
    public static let tooManyRequests = ErrorCode(
        29, "too_many_requests", 429, "Too many requests", retryable: true, "Wait as long as `Retry-After` says.")

    public static let uniqueViolation = ErrorCode(
        30, "unique_violation", 409, "Value is taken", "Use another value, or change `holder` first; `index` names the index.")
    public static let fullScanRefused = ErrorCode(
        31, "full_scan_refused", 422, "No index serves the query",
        "Create an index on a column that the query tests, or send `allow_full_scan: true`.")
    public static let queryTooLarge = ErrorCode(
        32, "query_too_large", 422, "Query needs too much", "Ask for less: narrower predicates, a smaller limit, an index for the order.")

    public static let transactionConflict = ErrorCode(
        40, "transaction_conflict", 409, "Transaction conflict", retryable: true,
        "Begin again: another transaction committed first. See docs/transactions.md.")
    public static let transactionTooOld = ErrorCode(
        41, "transaction_too_old", 409, "Transaction is too old", retryable: true,
        "Begin again, and commit sooner: too much was committed meanwhile.")
    public static let transactionLost = ErrorCode(
        42, "transaction_lost", 409, "Transaction is lost", retryable: true,
        "Begin again: the core restarted. `outcome` says whether a commit that was sent can have happened.")
    public static let transactionExpired = ErrorCode(
        43, "transaction_expired", 409, "Transaction has ended", retryable: true,
        "Begin again; use a transaction within 30 seconds and commit it within its timeout.")
    public static let transactionTooLarge = ErrorCode(
        44, "transaction_too_large", 422, "Transaction is too large", "Read or write less in one transaction.")

    // 100–199: the state of the server.
    public static let internalError = ErrorCode(
        100, "internal", 500, "Internal error", "This is a bug: report it with the request id and the server's log.")
    public static let dataCorrupt = ErrorCode(
        101, "data_corrupt", 500, "Stored data is damaged", "Restore a snapshot, or repair as docs/runbook.md says; other keys still work.")
    public static let notImplemented = ErrorCode(
        102, "not_implemented", 501, "Not implemented", "See `detail` for what can be used instead.")
    public static let coreUnavailable = ErrorCode(
        103, "core_unavailable", 503, "Core is not reachable", retryable: true, "Try again as `Retry-After` says; see GET /health.")
    public static let overloaded = ErrorCode(
        104, "overloaded", 503, "Overloaded", retryable: true, "Try again as `Retry-After` says.")
    public static let commitUnknown = ErrorCode(
        105, "commit_unknown", 503, "Outcome unknown", "Read the entity, or repeat with the same idempotency key or a precondition.")
    public static let storageReadOnly = ErrorCode(
        106, "storage_read_only", 503, "Storage is read-only", "See GET /health and the log; restore or salvage, then restart.")
    public static let shuttingDown = ErrorCode(
        107, "shutting_down", 503, "Shutting down", retryable: true, "Try again; another process or the restarted one answers.")
    public static let deadlineExceeded = ErrorCode(
        108, "deadline_exceeded", 504, "Deadline passed", retryable: true, "Try again, ask for less, or raise `request_timeout_ms`.")
    public static let diskFull = ErrorCode(
        109, "disk_full", 507, "Disk is full", retryable: true, "Free space or add some; writes resume by themselves, reads go on.")
    public static let cancelled = ErrorCode(
        110, "cancelled", 499, "Cancelled by the caller", retryable: true, "Nothing; the caller went away.")

    // 200–299: what the operator reads when a process does not start. Never sent to a client.
    public static let invalidConfiguration = ErrorCode(
        200, "invalid_configuration", 500, "Invalid configuration", "Correct the named key; `--validate` lists every problem.")
    public static let addressInUse = ErrorCode(
        201, "address_in_use", 500, "Address in use", "Stop the named process or choose another port.")
    public static let dataLocked = ErrorCode(
        202, "data_locked", 500, "Data directory is in use", "Stop the named process or choose another directory.")
    public static let logDamaged = ErrorCode(
        203, "log_damaged", 500, "Write-ahead log is damaged",
        "Restore a snapshot (`--restore`), or start once with `--salvage` to keep what is readable under a new epoch.")
    public static let formatTooNew = ErrorCode(
        204, "format_too_new", 500, "Data is of a newer format", "Start the version that the message names, or a newer one.")
    public static let protocolMismatch = ErrorCode(
        205, "protocol_mismatch", 503, "RPC versions do not meet", "Upgrade the core first, then the sidecars.")

    public static let diskFailing = ErrorCode(
        206, "disk_failing", 500, "Disk does not work",
        "See the kernel's log (`dmesg`) and mend the disk: the data on it may be whole, so salvage nothing yet.")

    /// Every row, in the order of their numbers.
    public static let all: [ErrorCode] = [
        invalidRequest, invalidJSON, unknownParameter, invalidKey, invalidCursor, sequenceAhead, malformedHTTP, unauthenticated, forbidden,
        notFound, featureDisabled, methodNotAllowed, requestTimeout, conflict, alreadyExists, historyGone, epochChanged,
        preconditionFailed, bodyTooLarge, uriTooLong, unsupportedMediaType, expectationFailed, unprocessable, idempotencyMismatch,
        headersTooLarge, tooManyRequests, uniqueViolation, fullScanRefused, queryTooLarge,
        transactionConflict, transactionTooOld, transactionLost, transactionExpired, transactionTooLarge,
        internalError, dataCorrupt, notImplemented, coreUnavailable, overloaded,
        commitUnknown, storageReadOnly, shuttingDown, deadlineExceeded, diskFull, cancelled, invalidConfiguration, addressInUse, dataLocked,
        logDamaged, formatTooNew, protocolMismatch, diskFailing,
    ]

    private static let byNumber: [UInt16: ErrorCode] = Dictionary(uniqueKeysWithValues: all.map { ($0.number, $0) })

    /// The row with `number`; `internal` for a number this build does not know.
    public static func numbered(_ number: UInt16) -> ErrorCode { byNumber[number] ?? .internalError }
}
