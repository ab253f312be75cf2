import ThemisBase
import ThemisNet
import ThemisRPC

/// POST `/entities`: one entity, a stream of operations, or a transaction of them.
@NetLoop struct BulkRoutes {
    let gateway: Gateway

    /// POST `/entities`.
    func post(_ exchange: HTTPExchange) throws(ThemisError) {
        exchange.writeOutcome = .notCommitted
        let type = try exchange.bodyType(.json, .ndjson)
        var query = QueryReader(exchange)
        let isAtomic = query.bool("atomic")
        if type == .json { query.refuse(["atomic"], "belongs to \(MediaType.ndjson.text)") }
        try query.finish()
        if type == .json { return try EntityWriteRoutes(gateway: gateway).post(exchange) }
        try refuseHeaders(
            ["If-Match", "If-None-Match"], "cannot stand on a bulk request; write if_match or if_none_match into its lines",
            exchange)
        if isAtomic { return exchange.continueAsTask { try await atomic($0) } }
        try refuseHeaders(
            ["Idempotency-Key"], "cannot stand on a streamed bulk request; send atomic=true, or repeat what was not acknowledged",
            exchange)
        exchange.continueAsTask { try await stream($0) }
    }

    private func refuseHeaders(_ names: [String], _ message: String, _ exchange: HTTPExchange) throws(ThemisError) {
        let given = names.filter { name in exchange.head.fields.all.contains { $0.name.lowercased() == name.lowercased() } }
        guard let first = given.first else { return }
        throw ThemisError(.invalidRequest, "\(first) \(message)", fields: given.map { FieldError($0, message) })
    }

    // MARK: Atomic

    private func atomic(_ exchange: HTTPExchange) async throws {
        let body = try await exchange.body(limit: min(Limits.atomicBytes, gateway.options.bodyBytes))
        let idempotency = try exchange.idempotencyKey(mediaType: .ndjson, body: body)
        let batch = try AtomicBatch(body)
        let request = WriteAtomicRequest(operations: batch.operations, fingerprint: idempotency?.fingerprint ?? [])
        let metadata = try exchange.metadata(idempotencyKey: idempotency?.text ?? "")
        let core = gateway.placement.core(for: batch.keys[0])
        let response: WriteAtomicResponse
        do throws(ThemisError) {
            response = try await exchange.writing { () async throws(ThemisError) in
                try await core.writeAtomic(request, metadata)
            }
        } catch {
            throw batch.naming(error)
        }
        var headers: [(name: String, value: String)] = []
        if response.sequence > 0 { headers.append(("X-Themis-Sequence", String(response.sequence))) }
        if response.results.contains(where: \.replayed) { headers.append(("Idempotency-Replayed", "true")) }
        exchange.respondJSON(200, batch.json(response), headers: headers)
    }

    // MARK: Stream

    private func stream(_ exchange: HTTPExchange) async throws {
        try gateway.streamBegins()
        defer { gateway.streamEnded() }
        exchange.become(.streamIn)
        // Which core a line belongs to is only known once it is read; there is one.
        let call = try await gateway.placement.main.writeStream(exchange.metadata())
        await BulkStream(exchange, call).run()
    }
}

/// The operations of an atomic bulk request, with the lines they came from.
struct AtomicBatch {
    let operations: [OperationMessage]
    let keys: [EntityKey]
    private let lines: [UInt64]

    /// Reads the lines of `body`.
    ///
    /// - Throws: the first error, naming its line; `invalid_request` for a body without an operation, `body_too_large` for too
    ///   many of them.
    init(_ body: [UInt8]) throws(ThemisError) {
        var splitter = LineSplitter()
        var operations: [OperationMessage] = []
        var keys: [EntityKey] = []
        var lines: [UInt64] = []
        splitter.append(body)
        splitter.finish()
        while let line = splitter.next() {
            guard operations.count < Limits.atomicOperations else {
                throw ThemisError(.bodyTooLarge, "an atomic request holds at most \(Limits.atomicOperations) operations")
            }
            switch line {
            case .tooLong(let number): throw Self.at(number, LineSplitter.tooLong)
            case .text(let number, let range):
                do throws(ThemisError) {
                    let (operation, key) = try OperationMessage.read(line: splitter.bytes, in: range)
                    operations.append(operation)
                    keys.append(key)
                    lines.append(number)
                } catch {
                    throw Self.at(number, error)
                }
            }
        }
        guard !operations.isEmpty else { throw ThemisError(.invalidRequest, "the body holds no operation") }
        (self.operations, self.keys, self.lines) = (operations, keys, lines)
    }

    /// The core names an operation as `operations[i]`; the caller counts lines.
    func naming(_ error: ThemisError) -> ThemisError {
        guard let index = error.fields.firstIndex(where: { $0.field.hasPrefix("operations[") && $0.field.hasSuffix("]") }),
            let position = Int(error.fields[index].field.dropFirst("operations[".count).dropLast()),
            lines.indices.contains(position)
        else { return error }
        var named = error
        named.fields.remove(at: index)
        return Self.at(lines[position], named)
    }

    /// The body of the answer.
    func json(_ response: WriteAtomicResponse) -> [UInt8] {
        var out: [UInt8] = []
        out.append(contentsOf: #"{"sequence":\#(response.sequence),"results":["#.utf8)
        for (index, result) in response.results.enumerated() where index < operations.count {
            if index > 0 { out.append(0x2C) }
            EntityJSON.appendBulkResult(line: lines[index], key: keys[index], kind: operations[index].kind, result, to: &out)
        }
        out.append(contentsOf: "]}".utf8)
        return out
    }

    private static func at(_ line: UInt64, _ error: ThemisError) -> ThemisError {
        var named = ThemisError(
            error.code, "line \(line): \(error.message)", fields: error.fields, members: error.members, outcome: error.outcome,
            retryAfterSeconds: error.retryAfterSeconds)
        named.members.append(("line", .number(line)))
        return named
    }
}
