import ThemisBase
import ThemisNet
import ThemisRPC

/// Transactions.
@NetLoop struct TransactionRoutes {
    let gateway: Gateway

    /// POST `/transaction`: all operations or none, in one request.
    func atomic(_ exchange: HTTPExchange) async throws {
        exchange.writeOutcome = .notCommitted
        let type = try exchange.bodyType(.json)
        for name: StaticString in ["if-match", "if-none-match"] where !exchange.values(name).isEmpty {
            let message = "cannot stand on a transaction; write if_version, if_absent or if_exists into its operations"
            throw ThemisError(.invalidRequest, "\(name) \(message)", fields: [FieldError("\(name)", message)])
        }
        let body = try await exchange.body(limit: min(Limits.atomicBytes, gateway.options.bodyBytes))
        let idempotency = try exchange.idempotencyKey(mediaType: type, body: body)
        let envelopes = try JSONEnvelope.operations(body)
        var operations: [OperationMessage] = []
        operations.reserveCapacity(envelopes.count)
        for (index, envelope) in envelopes.enumerated() {
            do throws(ThemisError) {
                operations.append(try OperationMessage(envelope, in: body))
            } catch {
                var named = error
                named.fields.insert(FieldError("operations[\(index)]", error.message), at: 0)
                throw named
            }
        }
        let request = WriteAtomicRequest(operations: operations, fingerprint: idempotency?.fingerprint ?? [])
        let metadata = try exchange.metadata(idempotencyKey: idempotency?.text ?? "")
        let core = gateway.placement.core(for: envelopes[0].key)
        let response = try await exchange.writing { () async throws(ThemisError) in try await core.writeAtomic(request, metadata) }
        var headers: [(name: String, value: String)] = []
        if response.sequence > 0 { headers.append(("X-Themis-Sequence", String(response.sequence))) }
        if response.results.contains(where: \.replayed) { headers.append(("Idempotency-Replayed", "true")) }
        var out = Array(#"{"sequence":\#(response.sequence),"results":["#.utf8)
        for (index, result) in response.results.enumerated() where index < envelopes.count {
            if index > 0 { out.append(0x2C) }
            out.append(0x7B)
            EntityJSON.appendResult(envelopes[index].key, operations[index].kind, result, to: &out)
        }
        out.append(contentsOf: "]}".utf8)
        exchange.respondJSON(200, out, headers: headers)
    }

    // MARK: Over several requests

    /// POST `/transaction/begin`. The body may be empty.
    func begin(_ exchange: HTTPExchange) async throws {
        let body = try await exchange.body(limit: gateway.options.bodyBytes)
        if !body.isEmpty { _ = try exchange.bodyType(.json) }
        let request = TextRequest(text: body.isEmpty ? Array("{}".utf8) : body)
        let response = try await gateway.placement.main.transactionBegin(request, exchange.metadata())
        exchange.respondJSON(201, response.text)
    }

    /// POST `/transaction/commit`.
    func commit(_ exchange: HTTPExchange) async throws {
        exchange.writeOutcome = .notCommitted
        let metadata = try await named(exchange)
        let response = try await exchange.writing { () async throws(ThemisError) in
            try await gateway.placement.main.transactionCommit(metadata)
        }
        var headers: [(name: String, value: String)] = []
        if response.sequence > 0 { headers.append(("X-Themis-Sequence", String(response.sequence))) }
        let isReplayed = response.results.contains(where: \.replayed)
        if isReplayed { headers.append(("Idempotency-Replayed", "true")) }
        var out = Array(#"{"transaction_id":"\#(metadata.transaction?.description ?? "")","state":"committed""#.utf8)
        out.append(contentsOf: #","sequence":\#(response.sequence),"operations":\#(response.results.count)"#.utf8)
        if response.results.contains(where: { !$0.durable }) { out.append(contentsOf: #","durable":false"#.utf8) }
        out.append(0x7D)
        exchange.respondJSON(200, out, headers: headers)
    }

    /// POST `/transaction/rollback`.
    func rollback(_ exchange: HTTPExchange) async throws {
        let metadata = try await named(exchange)
        try await gateway.placement.main.transactionRollback(metadata)
        exchange.respondJSON(200, Array(#"{"transaction_id":"\#(metadata.transaction?.description ?? "")","state":"rolled_back"}"#.utf8))
    }

    /// GET `/transaction/{id}`.
    func get(_ exchange: HTTPExchange) async throws {
        guard let id = TransactionID(exchange.pathParameter("id")) else {
            throw ThemisError(.notFound, "this is no id of a transaction: they have 32 hexadecimal digits")
        }
        var metadata = try exchange.metadata()
        metadata.transaction = id
        exchange.respondJSON(200, try await gateway.placement.main.transactionGet(metadata).text)
    }

    /// GET `/transaction/stats`.
    func stats(_ exchange: HTTPExchange) async throws {
        exchange.respondJSON(200, try await gateway.placement.main.transactionStats(exchange.metadata()).text)
    }

    /// The metadata of a request without a body that has to name its transaction.
    private func named(_ exchange: HTTPExchange) async throws -> RequestMetadata {
        try await exchange.takesNoFields(limit: gateway.options.bodyBytes)
        let key = exchange.values("idempotency-key").first ?? ""
        let metadata = try exchange.metadata(idempotencyKey: key, joinsTransaction: true)
        guard metadata.transaction != nil else {
            let message = "is missing: name the transaction that POST /transaction/begin answered"
            throw ThemisError(.invalidRequest, "X-Transaction-Id \(message)", fields: [FieldError("X-Transaction-Id", message)])
        }
        return metadata
    }
}
