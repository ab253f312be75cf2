import ThemisBase
import ThemisNet
import ThemisRPC

/// Reading entities: one, many by key, a page of a table, a whole table.
@NetLoop struct EntityReadRoutes {
    let gateway: Gateway

    /// Entities in a page when the caller names no limit.
    private static let usualPage: UInt32 = 100
    /// Bytes of export lines that are sent together.
    private static let exportChunkBytes = 64 << 10

    /// GET `/entities/{key}`.
    func get(_ exchange: HTTPExchange) throws(ThemisError) {
        var query = QueryReader(exchange)
        let fields = query.paths("fields")
        let minSequence: UInt64 = query.integer("min_sequence", in: 0...UInt64.max) ?? 0
        try query.finish()
        let key = try EntityKey(validating: exchange.pathParameter("key"))
        let known = try EntityTagList.read(exchange.values("if-none-match"), header: "If-None-Match")
        var unlessVersion: UInt64 = 0
        // With one tag the core need not send a document that the caller has.
        if case .tags(let tags)? = known, tags.count == 1 { unlessVersion = tags[0].version ?? 0 }
        let request = GetRequest(table: key.table.text, pk: key.pk, fields: fields, unlessVersion: unlessVersion)
        let metadata = try exchange.metadata(minSequence: minSequence, joinsTransaction: true)
        exchange.pending = try gateway.placement.core(for: key).get(request, metadata) { result, document in
            switch result {
            case .failure(let error): exchange.fail(error)
            case .success(let entity) where entity.missing:
                exchange.fail(ThemisError(.notFound, "there is no entity with this key"))
            case .success(let entity):
                // What a transaction has written has no version before it commits.
                let headers: [(name: String, value: String)] =
                    entity.version == 0 ? [] : [(name: "ETag", value: EntityTag.text(version: entity.version))]
                if known?.matchesWeakly(entity.version) == true { return exchange.respond(304, contentType: nil, headers: headers) }
                exchange.respond(200, contentType: MediaType.json.text, headers: headers, bytes: document)
            }
        }
    }

    /// POST `/entities/get`.
    func multiGet(_ exchange: HTTPExchange) async throws {
        var query = QueryReader(exchange)
        let minSequence: UInt64 = query.integer("min_sequence", in: 0...UInt64.max) ?? 0
        try query.finish()
        _ = try exchange.bodyType(.json)
        let body = try await exchange.body(limit: gateway.options.bodyBytes)
        let (keys, fields) = try JSONObjectReader.read(body) { (reader) throws(ThemisError) in
            let texts = reader.strings("keys", count: 0...Limits.pageEntities)
            let fields = reader.optionalStrings("fields", count: 1...Limits.projectionFields) ?? []
            var keys: [EntityKey] = []
            for (index, text) in texts.enumerated() {
                do throws(ThemisError) {
                    keys.append(try EntityKey(validating: text))
                } catch {
                    reader.refuse("keys[\(index)]", error.message)
                }
            }
            return (keys, fields)
        }
        let metadata = try exchange.metadata(minSequence: minSequence, joinsTransaction: true)
        guard let first = keys.first else { return exchange.respondJSON(200, Array(#"{"entities":[],"unread":[]}"#.utf8)) }
        let request = MultiGetRequest(keys: keys.map { EntityMessage(table: $0.table.text, pk: $0.pk) }, fields: fields)
        let response = try await gateway.placement.core(for: first).multiGet(request, metadata)
        exchange.respondJSON(200, EntityJSON.multiGet(keys, response))
    }

    /// GET `/entities`: a page, or with `Accept: application/x-ndjson` the whole range.
    func list(_ exchange: HTTPExchange) async throws {
        let accept = exchange.values("accept")
        let type = MediaType.preferred(accept.isEmpty ? nil : accept.joined(separator: ","), offered: [.json, .ndjson])
        var query = QueryReader(exchange)
        let table = query.table()
        let prefix = query.prefix()
        let isKeysOnly = query.word("return", of: ["entities", "keys"]) == "keys"
        let minSequence: UInt64 = query.integer("min_sequence", in: 0...UInt64.max) ?? 0
        let limit = query.integer("limit", in: 1...UInt32(Limits.pageEntities)) ?? Self.usualPage
        let isReverse = query.bool("reverse")
        if type == .ndjson { query.refuse(["limit", "cursor", "reverse"], "belongs to pages, not to application/x-ndjson") }
        try query.finish()
        var request = ListRequest(table: table.text, prefix: prefix)
        request.keysOnly = isKeysOnly
        if type == .ndjson { return try await export(request, table, minSequence, exchange) }
        request.cursor = query.text("cursor") ?? ""
        request.limit = limit
        request.reverse = isReverse
        let metadata = try exchange.metadata(minSequence: minSequence, joinsTransaction: true)
        let page = try await gateway.placement.core(for: table).list(request, metadata)
        exchange.respondJSON(200, EntityJSON.page(table: table.text, keysOnly: isKeysOnly, page))
    }

    /// Streams a range from one snapshot.
    private func export(
        _ request: ListRequest, _ table: TableName, _ minSequence: SequenceNumber, _ exchange: HTTPExchange
    ) async throws {
        let core = gateway.placement.core(for: table)
        if minSequence > 0 {
            // Waiting for a sequence is bounded as every request is; the stream behind it is not.
            var probe = request
            (probe.limit, probe.keysOnly) = (1, true)
            _ = try await core.list(probe, exchange.metadata(minSequence: minSequence))
        }
        try gateway.streamBegins()
        defer { gateway.streamEnded() }
        exchange.become(.streamOut)
        let call = try await core.export(request, exchange.metadata())
        defer { call.cancel() }
        // The first entity comes before the head, so that a refusal of the core still has its status.
        var next = try await call.next()
        exchange.beginStream(200, contentType: MediaType.ndjson.text)
        // Nobody reads a whole table for an answer without a body.
        if exchange.head.method == .head { return exchange.end() }
        var out: [UInt8] = []
        while let entity = next {
            EntityJSON.appendLine(entity, keysOnly: request.keysOnly, to: &out)
            if out.count >= Self.exportChunkBytes {
                try await exchange.send(out)
                out.removeAll(keepingCapacity: true)
            }
            next = try await call.next()
        }
        try await exchange.send(out)
        exchange.end()
    }
}
