import ThemisBase
import ThemisNet
import ThemisRPC

/// Tables, and deleting many entities at once.
@NetLoop struct TableRoutes {
    let gateway: Gateway

    /// GET `/tables`.
    func list(_ exchange: HTTPExchange) async throws {
        var query = QueryReader(exchange)
        let minSequence: UInt64 = query.integer("min_sequence", in: 0...UInt64.max) ?? 0
        try query.finish()
        let response = try await gateway.placement.main.tableList(exchange.metadata(minSequence: minSequence))
        var out = Array(#"{"tables":["#.utf8)
        for (index, table) in response.tables.enumerated() {
            if index > 0 { out.append(0x2C) }
            AdminJSON.append(table, to: &out)
        }
        out.append(contentsOf: "]}".utf8)
        exchange.respondJSON(200, out)
    }

    /// GET `/tables/{table}`.
    func get(_ exchange: HTTPExchange) async throws {
        var query = QueryReader(exchange)
        let minSequence: UInt64 = query.integer("min_sequence", in: 0...UInt64.max) ?? 0
        try query.finish()
        let name = try table(exchange)
        let response = try await gateway.placement.core(for: name)
            .tableGet(TableRequest(name: name.text), exchange.metadata(minSequence: minSequence))
        respond(200, response.table, exchange)
    }

    /// PUT `/tables/{table}`: creates it or changes its settings; what is left out keeps its value.
    func put(_ exchange: HTTPExchange) async throws {
        exchange.writeOutcome = .notCommitted
        let name = try table(exchange)
        _ = try exchange.bodyType(.json)
        let body = try await exchange.body(limit: gateway.options.bodyBytes)
        let request = body.isEmpty ? TablePutRequest(name: name.text) : try Self.settings(name, body)
        let core = gateway.placement.core(for: name)
        let metadata = try exchange.metadata()
        let response = try await exchange.writing { () async throws(ThemisError) in try await core.tablePut(request, metadata) }
        respond(response.created ? 201 : 200, response.table, exchange)
    }

    /// DELETE `/tables/{table}`.
    func drop(_ exchange: HTTPExchange) async throws {
        exchange.writeOutcome = .notCommitted
        let name = try table(exchange)
        let core = gateway.placement.core(for: name)
        let metadata = try exchange.metadata()
        let response = try await exchange.writing { () async throws(ThemisError) in
            try await core.tableDrop(TableRequest(name: name.text), metadata)
        }
        respond(emptied: name, response, exchange)
    }

    /// POST `/tables/{table}/truncate`.
    func truncate(_ exchange: HTTPExchange) async throws {
        exchange.writeOutcome = .notCommitted
        let name = try table(exchange)
        try await exchange.takesNoFields(limit: gateway.options.bodyBytes)
        let core = gateway.placement.core(for: name)
        let metadata = try exchange.metadata()
        let response = try await exchange.writing { () async throws(ThemisError) in
            try await core.tableTruncate(TableRequest(name: name.text), metadata)
        }
        respond(emptied: name, response, exchange)
    }

    /// DELETE `/entities?table=&prefix=`.
    func deleteRange(_ exchange: HTTPExchange) async throws {
        exchange.writeOutcome = .notCommitted
        var query = QueryReader(exchange)
        let name = query.table()
        let prefix = query.prefix()
        try query.finish()
        let core = gateway.placement.core(for: name)
        let metadata = try exchange.metadata()
        let response = try await exchange.writing { () async throws(ThemisError) in
            try await core.deleteRange(DeleteRangeRequest(table: name.text, prefix: prefix), metadata)
        }
        try await JobRoutes(gateway: gateway).answer(response.job, exchange)
    }

    /// Reads the settings of a table from a body.
    static func settings(_ name: TableName, _ body: [UInt8]) throws(ThemisError) -> TablePutRequest {
        // A field that is absent leaves the setting, `null` takes it away.
        let takesTTLAway = try JSONValue(parsing: body)["default_ttl_seconds"]?.isNull == true
        return try JSONObjectReader.read(body) { (reader) throws(ThemisError) in
            var request = TablePutRequest(name: name.text)
            let oldValues =
                try reader.optionalObject("cdc") { (cdc) throws(ThemisError) in cdc.optionalBool("old_values") } ?? nil
            if let oldValues { request.oldValues = oldValues ? .on : .off }
            let seconds: Int64? = reader.optionalInteger("default_ttl_seconds", in: 1...Limits.ttlSeconds)
            request.setsDefaultTTL = takesTTLAway || seconds != nil
            request.defaultTTLSeconds = seconds ?? 0
            return request
        }
    }

    private func table(_ exchange: HTTPExchange) throws(ThemisError) -> TableName {
        try TableName(validating: exchange.pathParameter("table"))
    }

    private func respond(_ status: Int, _ table: TableMessage, _ exchange: HTTPExchange) {
        var out: [UInt8] = []
        AdminJSON.append(table, to: &out)
        exchange.respondJSON(status, out)
    }

    private func respond(emptied name: TableName, _ response: TableDropResponse, _ exchange: HTTPExchange) {
        let headers = response.sequence > 0 ? [("X-Themis-Sequence", String(response.sequence))] : []
        exchange.respondJSON(200, AdminJSON.emptied(name.text, response), headers: headers)
    }
}
