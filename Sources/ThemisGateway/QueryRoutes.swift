import ThemisBase
import ThemisNet
import ThemisRPC
import ThemisTelemetry

/// Queries and indexes. Bodies go to the core as they came, which parses them.
@NetLoop struct QueryRoutes {
    let gateway: Gateway

    /// POST `/query`.
    func query(_ exchange: HTTPExchange) async throws {
        var query = QueryReader(exchange)
        let minSequence: UInt64 = query.integer("min_sequence", in: 0...UInt64.max) ?? 0
        try query.finish()
        let request = try await request(exchange)
        let metadata = try exchange.metadata(minSequence: minSequence, joinsTransaction: true)
        let response = try await gateway.placement.main.query(request, metadata)
        exchange.respondJSON(200, response.text)
    }

    /// POST `/index/create`: 201, 200 when it was there, 202 with its job when the table has rows.
    func create(_ exchange: HTTPExchange) async throws {
        exchange.writeOutcome = .notCommitted
        let request = try await request(exchange)
        let metadata = try exchange.metadata(idempotencyKey: idempotencyKey(exchange, request))
        let response = try await exchange.writing { () async throws(ThemisError) in
            try await gateway.placement.main.indexCreate(request, metadata)
        }
        var out = Array(#"{"created":\#(response.created),"index":"#.utf8)
        out.append(contentsOf: response.text)
        var headers = Self.replayed(response.replayed)
        if let job = response.job {
            out.append(contentsOf: #","job":"#.utf8)
            AdminJSON.append(job, now: gateway.telemetry.time.wallMilliseconds(), to: &out)
            headers.append(("Location", "/admin/jobs/\(job.id)"))
        }
        out.append(0x7D)
        exchange.respondJSON(response.job?.state == .running ? 202 : response.created ? 201 : 200, out, headers: headers)
    }

    /// POST `/index/drop`.
    func drop(_ exchange: HTTPExchange) async throws {
        exchange.writeOutcome = .notCommitted
        let request = try await request(exchange)
        let metadata = try exchange.metadata(idempotencyKey: idempotencyKey(exchange, request))
        let response = try await exchange.writing { () async throws(ThemisError) in
            try await gateway.placement.main.indexDrop(request, metadata)
        }
        exchange.respondJSON(200, response.text, headers: Self.replayed(response.replayed))
    }

    /// GET `/index/list`.
    func list(_ exchange: HTTPExchange) async throws {
        exchange.respondJSON(200, try await gateway.placement.main.indexList(selection(exchange), exchange.metadata()).text)
    }

    /// GET `/index/stats`.
    func stats(_ exchange: HTTPExchange) async throws {
        exchange.respondJSON(200, try await gateway.placement.main.indexStats(selection(exchange), exchange.metadata()).text)
    }

    /// POST `/index/rebuild`.
    func rebuild(_ exchange: HTTPExchange) async throws {
        let request = try await request(exchange)
        let response = try await gateway.placement.main.indexRebuild(request, exchange.metadata())
        try await JobRoutes(gateway: gateway).answer(response.job, exchange)
    }

    /// POST `/index/reindex`: 202 with the job of each index.
    func reindex(_ exchange: HTTPExchange) async throws {
        let request = try await request(exchange)
        let response = try await gateway.placement.main.indexReindex(request, exchange.metadata())
        var out = Array(#"{"jobs":["#.utf8)
        for (index, job) in response.jobs.enumerated() {
            if index > 0 { out.append(0x2C) }
            AdminJSON.append(job, now: gateway.telemetry.time.wallMilliseconds(), to: &out)
        }
        out.append(contentsOf: "]}".utf8)
        exchange.respondJSON(response.jobs.isEmpty ? 200 : 202, out)
    }

    /// POST `/admin/verify`.
    func verify(_ exchange: HTTPExchange) async throws {
        let request = try await request(exchange)
        let response = try await gateway.placement.main.verify(request, exchange.metadata())
        try await JobRoutes(gateway: gateway).answer(response.job, exchange)
    }

    /// POST `/admin/ttl/cleanup`.
    func ttlCleanup(_ exchange: HTTPExchange) async throws {
        let request = try await request(exchange)
        let response = try await gateway.placement.main.ttlCleanup(request, exchange.metadata())
        try await JobRoutes(gateway: gateway).answer(response.job, exchange)
    }

    /// The core knows what the request says: the key alone travels. Empty for none.
    private func idempotencyKey(_ exchange: HTTPExchange, _ request: TextRequest) throws(ThemisError) -> String {
        try exchange.idempotencyKey(mediaType: .json, body: request.text)?.text ?? ""
    }

    private static func replayed(_ isReplay: Bool) -> [(name: String, value: String)] {
        isReplay ? [("Idempotency-Replayed", "true")] : []
    }

    private func request(_ exchange: HTTPExchange) async throws -> TextRequest {
        _ = try exchange.bodyType(.json)
        return TextRequest(text: try await exchange.body(limit: gateway.options.bodyBytes))
    }

    /// The query parameters as the object that the core reads.
    private func selection(_ exchange: HTTPExchange) -> TextRequest {
        let members = ["table", "column", "type"].compactMap { name in
            exchange.queryParameter(name).map { JSONMember(JSONName(name), .string($0)) }
        }
        return TextRequest(text: JSONValue.object(members).bytes)
    }
}
