import ThemisBase
import ThemisNet
import ThemisRPC
import ThemisRuntime
import ThemisTelemetry

/// What every route of the gateway needs.
@NetLoop final class Gateway {
    /// Bounds and switches, from the configuration.
    struct Options: Sendable {
        /// Bytes of one request body that is not a stream.
        var bodyBytes: Int
        /// Whether the changefeed routes are mounted here.
        var servesChangefeed: Bool
        /// Exports and bulk requests at once.
        var streamsAtOnce = Limits.streamsAtOnce
    }

    /// Where data lies.
    let placement: Placement
    /// The connection to the core, with what is known of it.
    let link: CoreLink
    /// Another one at every start of this process.
    let bootID: UInt64
    /// Bounds and switches.
    let options: Options
    /// What is reported to.
    let telemetry: Telemetry
    /// Age, memory and rate of this process.
    let process: ProcessMetrics
    /// RocksDB's version as the core told it last; nil until it has.
    var rocksDBVersion: String?
    /// Exports and bulk requests in progress.
    private var streams = 0
    /// Whether this process takes no new work.
    var isDraining = false

    /// Puts the parts together.
    init(_ link: CoreLink, options: Options, bootID: UInt64, telemetry: Telemetry, process: ProcessMetrics) {
        placement = Placement(link.client)
        self.link = link
        self.options = options
        self.bootID = bootID
        self.telemetry = telemetry
        self.process = process
    }

    /// Notes what is known of the core: one that restarted may be another version, and `themis_core_up` follows.
    func coreStateChanged(_ state: RPCClient.State) {
        telemetry.metrics.gauge(.coreUp).set(state.isConnected ? 1 : 0)
        if !state.isConnected { rocksDBVersion = nil }
    }

    /// Takes a place for an export or a bulk request; each success is followed by one `streamEnded`.
    ///
    /// - Throws: `overloaded`.
    func streamBegins() throws(ThemisError) {
        guard streams < options.streamsAtOnce else {
            throw ThemisError(
                .overloaded, "there are \(options.streamsAtOnce) exports and bulk requests already; ask again", retryAfterSeconds: 1)
        }
        streams += 1
    }

    /// Gives the place back.
    func streamEnded() { streams -= 1 }

    /// What keeps this process from being ready; nil when nothing does.
    var missing: String? { isDraining ? "draining" : link.missing }
}

extension HTTPExchange {
    /// The core shall answer before this process gives the request up: its answer knows what became of a write.
    private static let deadlineMarginMilliseconds: Int64 = 100

    /// The values of every header called `name` (in lower case), in their order.
    func values(_ name: StaticString) -> [String] {
        switch head.fields.count(name) {
        case 0: return []
        case 1: return [head.fields[name] ?? ""]
        default:
            let wanted = "\(name)"
            return head.fields.all.filter { $0.name.lowercased() == wanted }.map(\.value)
        }
    }

    /// What travels to the core with this request.
    ///
    /// - Parameter joinsTransaction: whether the request may belong to a transaction.
    /// - Throws: `not_implemented` for one that may not and does: done outside of it, it would be something else.
    func metadata(
        minSequence: SequenceNumber = 0, idempotencyKey: String = "", joinsTransaction: Bool = false
    ) throws(ThemisError) -> RequestMetadata {
        let transaction = try transactionID()
        if transaction != nil {
            guard joinsTransaction else {
                throw ThemisError(
                    .notImplemented, "this request cannot belong to a transaction; see docs/transactions.md for those that can",
                    fields: [FieldError("X-Transaction-Id", "leave it out")])
            }
            if minSequence > 0 {
                throw ThemisError(
                    .invalidRequest, "a transaction reads the state in which it began",
                    fields: [FieldError("min_sequence", "cannot stand beside X-Transaction-Id")])
            }
            if !idempotencyKey.isEmpty {
                throw ThemisError(
                    .invalidRequest,
                    "a write of a transaction is not remembered under a key; its commit is, under the id of the transaction",
                    fields: [FieldError("Idempotency-Key", "cannot stand beside X-Transaction-Id")])
            }
        }
        var deadline: UInt32 = 0
        if let remaining = remainingMilliseconds {
            let margin = min(Self.deadlineMarginMilliseconds, remaining / 10)
            deadline = UInt32(clamping: max(1, remaining - margin))
        }
        return RequestMetadata(
            deadlineMilliseconds: deadline, trace: traceparent, principal: principal, scopes: scopes,
            idempotencyKey: idempotencyKey, transaction: transaction, minSequence: minSequence)
    }

    /// The transaction that the request belongs to; nil when it belongs to none.
    ///
    /// - Throws: `invalid_request` for what is no id.
    func transactionID() throws(ThemisError) -> TransactionID? {
        guard head.fields.count("x-transaction-id") > 0 else { return nil }
        let texts = values("x-transaction-id")
        guard texts.count == 1, let id = TransactionID(texts[0]) else {
            let message = "must be one id as POST /transaction/begin answered it"
            throw ThemisError(.invalidRequest, "X-Transaction-Id \(message)", fields: [FieldError("X-Transaction-Id", message)])
        }
        return id
    }

    /// Whether the caller does not want to wait for a job: `Prefer: respond-async` (RFC 7240).
    var prefersAsync: Bool {
        values("prefer").contains { value in
            value.split(separator: ",").contains { preference in
                let name = preference.split(separator: ";")[0].filter { $0 != " " && $0 != "\t" }
                return name.lowercased() == "respond-async"
            }
        }
    }

    /// The media type of the body, one of `allowed`; the first when the caller names none.
    ///
    /// - Throws: `unsupported_media_type`.
    func bodyType(_ allowed: MediaType...) throws(ThemisError) -> MediaType {
        guard head.fields.count("content-type") <= 1 else {
            throw ThemisError(
                .unsupportedMediaType, "there is more than one Content-Type", fields: [FieldError("Content-Type", "send it once")])
        }
        // Nearly every client sends just this.
        for type in allowed where head.fields.isFirst("content-type", type.text) { return type }
        return try MediaType.ofBody(head.fields["content-type"], allowed: allowed)
    }

    /// Reads a body that says nothing: empty, or an object without members.
    ///
    /// - Throws: `unknown_parameter` naming its fields: what would be ignored must not be accepted.
    func takesNoFields(limit: Int) async throws {
        let body = try await body(limit: limit)
        guard !body.isEmpty else { return }
        _ = try bodyType(.json)
        try JSONObjectReader.read(body) { (_) throws(ThemisError) in }
    }

    /// The condition of a write.
    ///
    /// - Throws: `precondition_failed`, `invalid_request`.
    func writeCondition() throws(ThemisError) -> OperationCondition {
        try OperationCondition.read(ifMatch: values("if-match"), ifNoneMatch: values("if-none-match"))
    }

    /// The idempotency key of a write with its fingerprint, nil without one.
    ///
    /// - Throws: `invalid_request` for a key that is none.
    func idempotencyKey(mediaType: MediaType?, body: [UInt8]) throws(ThemisError) -> IdempotencyKey? {
        try IdempotencyKey(
            values("idempotency-key"),
            of: IdempotencyKey.Request(
                method: head.methodText, target: head.rawTarget, ifMatch: values("if-match"),
                ifNoneMatch: values("if-none-match"),
                mediaType: mediaType?.text ?? "", body: body))
    }

    /// Calls the core for a write: from here on a lost answer leaves the outcome unknown.
    ///
    /// - Throws: what the core answered, with an outcome on every 503, 504 and 507.
    func writing<Answer>(_ call: () async throws(ThemisError) -> Answer) async throws(ThemisError) -> Answer {
        writeOutcome = .unknown
        do throws(ThemisError) {
            return try await call()
        } catch {
            throw Self.namingOutcome(error)
        }
    }

    /// An error of a write, with an outcome on every 503, 504 and 507.
    nonisolated static func namingOutcome(_ error: ThemisError) -> ThemisError {
        let needsOutcome = error.code.status == 503 || error.code.status == 504 || error.code.status == 507
        return needsOutcome && error.outcome == nil ? error.with(outcome: .unknown) : error
    }

    /// Answers with JSON.
    func respondJSON(_ status: Int, _ body: [UInt8], headers: [(name: String, value: String)] = []) {
        respond(status, contentType: MediaType.json.text, headers: headers, body: body)
    }
}
