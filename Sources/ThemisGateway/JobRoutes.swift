import ThemisBase
import ThemisNet
import ThemisRPC
import ThemisTelemetry

/// Jobs, and the operations that start them.
@NetLoop struct JobRoutes {
    let gateway: Gateway

    /// The pause before a job is looked at again, in milliseconds: doubled each time up to the last one.
    private static let pauses = 10...500
    /// An answer must be on its way this long before the deadline, in milliseconds.
    private static let answerMarginMilliseconds: Int64 = 250

    /// GET `/admin/jobs`.
    func list(_ exchange: HTTPExchange) async throws {
        let response = try await gateway.placement.main.jobList(exchange.metadata())
        let now = gateway.telemetry.time.wallMilliseconds()
        var out = Array(#"{"jobs":["#.utf8)
        for (index, job) in response.jobs.enumerated() {
            if index > 0 { out.append(0x2C) }
            AdminJSON.append(job, now: now, to: &out)
        }
        out.append(contentsOf: "]}".utf8)
        exchange.respondJSON(200, out)
    }

    /// GET `/admin/jobs/{id}`.
    func get(_ exchange: HTTPExchange) async throws {
        let request = JobRequest(id: exchange.pathParameter("id"))
        respond(200, try await gateway.placement.main.jobGet(request, exchange.metadata()).job, exchange)
    }

    /// DELETE `/admin/jobs/{id}`.
    func cancel(_ exchange: HTTPExchange) async throws {
        let request = JobRequest(id: exchange.pathParameter("id"))
        respond(200, try await gateway.placement.main.jobCancel(request, exchange.metadata()).job, exchange)
    }

    /// POST `/admin/flush`.
    func flush(_ exchange: HTTPExchange) async throws {
        try await exchange.takesNoFields(limit: gateway.options.bodyBytes)
        let started = gateway.telemetry.time.monotonicMilliseconds()
        try await gateway.placement.main.flush(exchange.metadata())
        let elapsed = gateway.telemetry.time.monotonicMilliseconds() - started
        exchange.respondJSON(200, Array(#"{"flushed":true,"duration_ms":\#(elapsed)}"#.utf8))
    }

    /// POST `/admin/compact`.
    func compact(_ exchange: HTTPExchange) async throws {
        _ = try exchange.bodyType(.json)
        let body = try await exchange.body(limit: gateway.options.bodyBytes)
        var request = CompactRequest()
        if !body.isEmpty {
            request = try JSONObjectReader.read(body) { (reader) throws(ThemisError) in
                CompactRequest(
                    keyspace: reader.optionalString("column_family") ?? "", table: reader.optionalString("table") ?? "")
            }
        }
        try await answer(try await gateway.placement.main.compact(request, exchange.metadata()).job, exchange)
    }

    /// Answers with a job: when it has ended, or 202 while it runs when the caller does not wait or has waited long enough.
    func answer(_ started: JobMessage, _ exchange: HTTPExchange) async throws {
        var job = started
        var pause = Self.pauses.lowerBound
        while job.state == .running, !exchange.prefersAsync {
            let left = (exchange.remainingMilliseconds ?? .max) - Self.answerMarginMilliseconds
            guard left > 0 else { break }
            try await NetLoop.sleep(milliseconds: Int(min(Int64(pause), left)))
            pause = min(pause * 2, Self.pauses.upperBound)
            do throws(ThemisError) {
                job = try await gateway.placement.main.jobGet(JobRequest(id: job.id), exchange.metadata()).job
            } catch {
                // The job goes on, or is resumed; the caller gets its id.
                guard error.code == .coreUnavailable || error.code == .deadlineExceeded else { throw error }
                break
            }
        }
        respond(job.state == .running ? 202 : 200, job, exchange)
    }

    private func respond(_ status: Int, _ job: JobMessage, _ exchange: HTTPExchange) {
        var out: [UInt8] = []
        AdminJSON.append(job, now: gateway.telemetry.time.wallMilliseconds(), to: &out)
        let headers = status == 202 ? [("Location", "/admin/jobs/\(job.id)")] : []
        exchange.respondJSON(status, out, headers: headers)
    }
}
