import ThemisBase
import ThemisNet
import ThemisRPC

/// Graphs: edges are entities of a table with an edge index, `edge` unless another is named.
@NetLoop struct GraphRoutes {
    let gateway: Gateway

    private static let table = "edge"

    /// POST `/graph/edge`: the body is the edge's document, its `id` the primary key.
    func putEdge(_ exchange: HTTPExchange) async throws {
        exchange.writeOutcome = .notCommitted
        let table = try table(of: exchange)
        let type = try exchange.bodyType(.json)
        let condition = try exchange.writeCondition()
        let body = try await exchange.body(limit: gateway.options.bodyBytes)
        let idempotency = try exchange.idempotencyKey(mediaType: type, body: body)
        let key = try EntityKey(table: table, pk: id(body, idempotency))
        let request = WriteRequest(
            operation: OperationMessage(kind: .put, table: table.text, pk: key.pk, body: body, condition: condition),
            fingerprint: idempotency?.fingerprint ?? [])
        let metadata = try exchange.metadata(idempotencyKey: idempotency?.text ?? "", joinsTransaction: true)
        let response = try await exchange.writing { () async throws(ThemisError) in
            try await gateway.placement.core(for: key).edgePut(request, metadata)
        }
        guard metadata.transaction == nil else {
            return exchange.respondJSON(200, Self.named(key, EntityJSON.staged(key, response.result, isDelete: false)))
        }
        var headers = Self.headers(response.result)
        headers.append(("ETag", EntityTag.text(version: response.result.version)))
        exchange.respondJSON(
            response.result.created ? 201 : 200, Self.named(key, EntityJSON.written(key, response.result)), headers: headers)
    }

    /// DELETE `/graph/edge/{id}`.
    func deleteEdge(_ exchange: HTTPExchange) async throws {
        exchange.writeOutcome = .notCommitted
        let key = try EntityKey(table: table(of: exchange), pk: exchange.pathParameter("id"))
        let condition = try exchange.writeCondition()
        guard condition != .absent else {
            let message = "cannot stand on a delete"
            throw ThemisError(.invalidRequest, "If-None-Match \(message)", fields: [FieldError("If-None-Match", message)])
        }
        let idempotency = try exchange.idempotencyKey(mediaType: nil, body: [])
        let request = WriteRequest(
            operation: OperationMessage(kind: .delete, table: key.table.text, pk: key.pk, condition: condition),
            fingerprint: idempotency?.fingerprint ?? [])
        let metadata = try exchange.metadata(idempotencyKey: idempotency?.text ?? "", joinsTransaction: true)
        let response = try await exchange.writing { () async throws(ThemisError) in
            try await gateway.placement.core(for: key).write(request, metadata)
        }
        guard metadata.transaction == nil else {
            return exchange.respondJSON(200, Self.named(key, EntityJSON.staged(key, response.result, isDelete: true)))
        }
        exchange.respondJSON(
            200, Self.named(key, EntityJSON.deleted(key, response.result)), headers: Self.headers(response.result))
    }

    /// GET `/graph/neighbors/{vertex}`.
    func neighbors(_ exchange: HTTPExchange) async throws {
        var query = QueryReader(exchange)
        let minSequence: UInt64 = query.integer("min_sequence", in: 0...UInt64.max) ?? 0
        var members = [JSONMember("vertex", .string(exchange.pathParameter("vertex")))]
        for name in ["direction", "table"] {
            if let text = query.text(name) { members.append(JSONMember(JSONName(name), .string(text))) }
        }
        if let type = query.text("type") { members.append(JSONMember("types", .array([.string(type)]))) }
        if let time = query.integer("at", in: 0...Int64.max) { members.append(JSONMember("at", .integer(time))) }
        if let limit = query.integer("limit", in: 1...Limits.graphRows) { members.append(JSONMember("limit", .integer(limit))) }
        try query.finish()
        let request = TextRequest(text: JSONValue.object(members).bytes)
        let metadata = try exchange.metadata(minSequence: minSequence, joinsTransaction: true)
        exchange.respondJSON(200, try await gateway.placement.main.graphNeighbors(request, metadata).text)
    }

    /// POST `/graph/traverse`.
    func traverse(_ exchange: HTTPExchange) async throws {
        let (request, metadata) = try await reading(exchange)
        exchange.respondJSON(200, try await gateway.placement.main.graphTraverse(request, metadata).text)
    }

    /// POST `/graph/shortest_path`.
    func shortestPath(_ exchange: HTTPExchange) async throws {
        let (request, metadata) = try await reading(exchange)
        exchange.respondJSON(200, try await gateway.placement.main.graphShortestPath(request, metadata).text)
    }

    /// POST `/admin/graph/rebuild-topology`.
    func rebuild(_ exchange: HTTPExchange) async throws {
        _ = try exchange.bodyType(.json)
        let request = TextRequest(text: try await exchange.body(limit: gateway.options.bodyBytes))
        let response = try await gateway.placement.main.graphRebuild(request, exchange.metadata())
        try await JobRoutes(gateway: gateway).answer(response.job, exchange)
    }

    private func reading(_ exchange: HTTPExchange) async throws -> (TextRequest, RequestMetadata) {
        var query = QueryReader(exchange)
        let minSequence: UInt64 = query.integer("min_sequence", in: 0...UInt64.max) ?? 0
        try query.finish()
        _ = try exchange.bodyType(.json)
        let body = try await exchange.body(limit: gateway.options.bodyBytes)
        return (TextRequest(text: body), try exchange.metadata(minSequence: minSequence, joinsTransaction: true))
    }

    private func table(of exchange: HTTPExchange) throws(ThemisError) -> TableName {
        try TableName(validating: exchange.queryParameter("table") ?? Self.table)
    }

    /// The `id` of the document. Without one it is made: the same for a repeated request, which its idempotency key tells.
    private func id(_ body: [UInt8], _ idempotency: IdempotencyKey?) throws(ThemisError) -> String {
        guard let id = try JSONValue(parsing: body)["id"], !id.isNull else {
            guard let idempotency else { return Digest.hex(Digest.random(16)) }
            return Digest.hex(Digest.sha256(Array(idempotency.text.utf8) + idempotency.fingerprint).prefix(16))
        }
        guard let text = id.stringValue, EntityKey.isValidPrimaryKey(text) else {
            let message = "must be a string of 1–\(Limits.primaryKeyBytes) bytes without control characters"
            throw ThemisError(.invalidRequest, "id \(message)", fields: [FieldError("id", message)])
        }
        return text
    }

    private static func headers(_ result: OperationResult) -> [(name: String, value: String)] {
        var headers: [(name: String, value: String)] = []
        if result.sequence > 0 { headers.append(("X-Themis-Sequence", String(result.sequence))) }
        if result.replayed { headers.append(("Idempotency-Replayed", "true")) }
        return headers
    }

    /// An answer about an entity with the id of the edge in front.
    private static func named(_ key: EntityKey, _ answer: [UInt8]) -> [UInt8] {
        var out = Array(#"{"id":"#.utf8)
        JSONText.appendString(key.pk, to: &out)
        out.append(0x2C)
        return out + answer.dropFirst()
    }
}
