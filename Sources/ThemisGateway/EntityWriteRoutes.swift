import ThemisBase
import ThemisNet
import ThemisRPC

/// PUT, PATCH, DELETE on one entity, and POST of one.
@NetLoop struct EntityWriteRoutes {
    let gateway: Gateway

    /// PUT `/entities/{key}`.
    func put(_ exchange: HTTPExchange) throws(ThemisError) {
        exchange.writeOutcome = .notCommitted
        let key = try EntityKey(validating: exchange.pathParameter("key"))
        let type = try exchange.bodyType(.json)
        let condition = try exchange.writeCondition()
        exchange.whenBodyIsWhole(limit: gateway.options.bodyBytes) { body throws(ThemisError) in
            let idempotency = try exchange.idempotencyKey(mediaType: type, body: body)
            let operation = OperationMessage(kind: .put, table: key.table.text, pk: key.pk, body: body, condition: condition)
            try write(operation, key, idempotency, exchange)
        }
    }

    /// PATCH `/entities/{key}`.
    func patch(_ exchange: HTTPExchange) throws(ThemisError) {
        exchange.writeOutcome = .notCommitted
        let key = try EntityKey(validating: exchange.pathParameter("key"))
        // The two patches look alike to a careless client: which one is meant must be said.
        guard exchange.head.fields.count("content-type") > 0 else {
            let names = "\(MediaType.mergePatch.text) or \(MediaType.jsonPatch.text)"
            throw ThemisError(
                .unsupportedMediaType, "Content-Type must be \(names)", fields: [FieldError("Content-Type", "must be \(names)")])
        }
        let type = try exchange.bodyType(.mergePatch, .jsonPatch)
        let condition = try exchange.writeCondition()
        exchange.whenBodyIsWhole(limit: gateway.options.bodyBytes) { body throws(ThemisError) in
            let idempotency = try exchange.idempotencyKey(mediaType: type, body: body)
            let operation = OperationMessage(
                kind: type == .jsonPatch ? .jsonPatch : .mergePatch, table: key.table.text, pk: key.pk, body: body, condition: condition)
            try write(operation, key, idempotency, exchange)
        }
    }

    /// DELETE `/entities/{key}`.
    func delete(_ exchange: HTTPExchange) throws(ThemisError) {
        exchange.writeOutcome = .notCommitted
        let key = try EntityKey(validating: exchange.pathParameter("key"))
        let condition = try exchange.writeCondition()
        guard condition != .absent else {
            let message = "cannot stand on a delete"
            throw ThemisError(.invalidRequest, "If-None-Match \(message)", fields: [FieldError("If-None-Match", message)])
        }
        let idempotency = try exchange.idempotencyKey(mediaType: nil, body: [])
        let operation = OperationMessage(kind: .delete, table: key.table.text, pk: key.pk, condition: condition)
        try write(operation, key, idempotency, exchange)
    }

    /// POST `/entities` with one entity.
    func post(_ exchange: HTTPExchange) throws(ThemisError) {
        exchange.writeOutcome = .notCommitted
        let condition = try exchange.writeCondition()
        exchange.whenBodyIsWhole(limit: gateway.options.bodyBytes) { body throws(ThemisError) in
            let idempotency = try exchange.idempotencyKey(mediaType: .json, body: body)
            let envelope = try JSONEnvelope.body(body)
            let operation = OperationMessage(
                kind: .put, table: envelope.key.table.text, pk: envelope.key.pk, body: Array(body[envelope.payload]),
                condition: condition)
            try write(operation, envelope.key, idempotency, exchange)
        }
    }

    private func write(
        _ operation: OperationMessage, _ key: EntityKey, _ idempotency: IdempotencyKey?, _ exchange: HTTPExchange
    ) throws(ThemisError) {
        let request = WriteRequest(operation: operation, fingerprint: idempotency?.fingerprint ?? [])
        let metadata = try exchange.metadata(idempotencyKey: idempotency?.text ?? "", joinsTransaction: true)
        // From here on a lost answer leaves the outcome unknown.
        exchange.writeOutcome = .unknown
        let isDelete = operation.kind == .delete
        exchange.pending = try gateway.placement.core(for: key).write(request, metadata) { result in
            switch result {
            case .failure(let error): exchange.fail(HTTPExchange.namingOutcome(error))
            case .success(let response) where metadata.transaction != nil:
                exchange.respondJSON(200, EntityJSON.staged(key, response.result, isDelete: isDelete))
            case .success(let response): respond(response.result, isDelete: isDelete, key, exchange)
            }
        }
    }

    private func respond(_ result: OperationResult, isDelete: Bool, _ key: EntityKey, _ exchange: HTTPExchange) {
        var headers: [(name: String, value: String)] = []
        headers.reserveCapacity(3)
        if result.sequence > 0 { headers.append(("X-Themis-Sequence", String(result.sequence))) }
        if !isDelete { headers.append(("ETag", EntityTag.text(version: result.version))) }
        if result.replayed { headers.append(("Idempotency-Replayed", "true")) }
        exchange.respondJSON(
            !isDelete && result.created ? 201 : 200, isDelete ? EntityJSON.deleted(key, result) : EntityJSON.written(key, result),
            headers: headers)
    }
}
