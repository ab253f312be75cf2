public import ThemisBase
import ThemisStorage
import ThemisTelemetry

/// Graphs: the entities of a table with an `edge` index are edges, and what they name are vertices. Bodies and answers are JSON.
extension Database {
    /// The vertices around one, nearest first, each once: the body of POST `/graph/traverse`, and its answer. Reads the disk.
    ///
    /// - Throws: `invalid_json`, `invalid_request`, `unknown_parameter`, `invalid_key`; `not_found` for an unknown table, `unprocessable`
    ///   for one without an edge index, `conflict` while that is being built; `query_too_large`, `data_corrupt`, `cancelled`,
    ///   `deadline_exceeded`; in a transaction `transaction_lost`, `transaction_expired`, `transaction_too_large`.
    public func traverse(
        _ body: [UInt8], in transaction: TransactionReference? = nil, _ call: CallContext = CallContext()
    ) throws(ThemisError) -> [UInt8] {
        let started = telemetry.time.monotonicNanoseconds()
        let request = try GraphRequest.traversal(body)
        return try walk(request, in: transaction, call) { (reader) throws(ThemisError) in
            var traversal = Traversal(reader, request)
            try traversal.run()
            return try GraphAnswer.traversal(traversal, reader, request) { milliseconds(since: started) }
        }
    }

    /// The shortest way between two vertices: the body of POST `/graph/shortest_path`, and its answer. Reads the disk.
    ///
    /// - Throws: as `traverse`.
    public func shortestPath(
        _ body: [UInt8], in transaction: TransactionReference? = nil, _ call: CallContext = CallContext()
    ) throws(ThemisError) -> [UInt8] {
        let started = telemetry.time.monotonicNanoseconds()
        let request = try GraphRequest.path(body)
        return try walk(request, in: transaction, call) { (reader) throws(ThemisError) in
            let way = try ShortestPath(reader: reader, request: request).find()
            return GraphAnswer.way(way, reader, request, milliseconds: milliseconds(since: started))
        }
    }

    /// The edges of one vertex: what GET `/graph/neighbors/{vertex}` asks for, as an object, and its answer. Reads the disk.
    ///
    /// - Throws: as `traverse`.
    public func neighbors(
        _ body: [UInt8], in transaction: TransactionReference? = nil, _ call: CallContext = CallContext()
    ) throws(ThemisError) -> [UInt8] {
        let started = telemetry.time.monotonicNanoseconds()
        let request = try GraphRequest.neighbors(body)
        return try walk(request, in: transaction, call) { (reader) throws(ThemisError) in
            let scan = reader.edges(of: request.start[...])
            var edges: [EdgeEntry] = []
            // One more than the answer has tells whether there are more.
            while edges.count <= request.limit {
                let batch = try scan.next()
                if batch.isEmpty { break }
                edges += batch
            }
            return GraphAnswer.neighbors(
                Array(edges.prefix(request.limit)), isTruncated: edges.count > request.limit, reader, request,
                milliseconds: milliseconds(since: started))
        }
    }

    private func walk(
        _ request: GraphRequest, in transaction: TransactionReference?, _ call: CallContext,
        _ body: (GraphReader) throws(ThemisError) -> [UInt8]
    ) throws(ThemisError) -> [UInt8] {
        // Asked for before the snapshot is taken; the view compares.
        let known = published.table(request.table)
        return try read(in: transaction, call) { (view) throws(ThemisError) in
            let reader = try GraphReader(view, try view.table(request.table, known: known), request.rule)
            defer { metrics.rangeScanSteps.add(reader.edgesRead) }
            return try body(reader)
        }
    }

    private func milliseconds(since started: UInt64) -> Double {
        Double((telemetry.time.monotonicNanoseconds() - started) / 1_000) / 1_000
    }

    // MARK: Edges

    /// Puts an edge: an entity whose document has `_from` and `_to`, in a table with an edge index. The table `edge` gets one by itself
    /// when it is empty. Prepares on the calling thread, and may wait for the disk.
    ///
    /// `completion` is called exactly once, as by `write`. Errors beside those of a write: `invalid_request` without `_from` or `_to`,
    /// `unprocessable` for a table without an edge index.
    public func putEdge(
        _ operation: WriteOperation, _ context: WriteContext = WriteContext(),
        completion: @escaping @Sendable (Result<OperationResult, ThemisError>) -> Void
    ) {
        do throws(ThemisError) {
            if case .put(let document) = operation.change { try Self.checkEnds(document) }
            try ensureEdgeIndex(operation.key.table)
        } catch {
            return completion(.failure(error.code.status >= 500 ? error.with(outcome: .notCommitted) : error))
        }
        write(operation, context, completion: completion)
    }

    /// Puts an edge within a transaction; others see nothing of it before the commit. May read the disk.
    ///
    /// - Throws: as `write` within a transaction; `invalid_request` without `_from` or `_to`; `unprocessable` when the table had no edge
    ///   index when the transaction began.
    public func putEdge(
        _ operation: WriteOperation, in transaction: TransactionReference, _ call: CallContext = CallContext()
    ) throws(ThemisError) -> OperationResult {
        if case .put(let document) = operation.change { try Self.checkEnds(document) }
        let name = operation.key.table
        try read(in: transaction, call) { (view) throws(ThemisError) in
            let table: Table
            do throws(ThemisError) {
                table = try view.table(name, known: published.table(name))
            } catch {
                throw error.code == .notFound ? Self.withoutEdgeIndex(name) : error
            }
            guard table.indexes.all.contains(where: { $0.definition.type == EdgeIndex.word }) else { throw Self.withoutEdgeIndex(name) }
        }
        return try write(operation, in: transaction, call)
    }

    private static func withoutEdgeIndex(_ name: TableName) -> ThemisError {
        ThemisError(
            .unprocessable, "table \(name.text) has no edge index; create one of type edge",
            fields: [FieldError("table", "has no edge index")])
    }

    private static func checkEnds(_ document: [UInt8]) throws(ThemisError) {
        let value = try JSONValue(parsing: document)
        guard value.members != nil else { throw ThemisError(.invalidRequest, "an edge is an object with _from and _to") }
        let missing = ["_from", "_to"].filter { (value[$0] ?? .null).isNull }
        guard missing.isEmpty else {
            throw ThemisError(
                .invalidRequest, "an edge needs \(missing.joined(separator: " and "))", fields: missing.map { FieldError($0, "is missing") }
            )
        }
    }

    private func ensureEdgeIndex(_ name: TableName) throws(ThemisError) {
        let table = published.table(name)
        if let table, table.indexes.all.contains(where: { $0.definition.type == EdgeIndex.word }) { return }
        guard name.text == GraphRequest.defaultTable, (table?.info.entities ?? 0) == 0 else {
            throw Self.withoutEdgeIndex(name)
        }
        _ = try createIndex(
            IndexDefinition(table: name, type: EdgeIndex.word, columns: EdgeIndex.columns, isUnique: false))
    }

    // MARK: Maintenance

    /// Compares the edge indexes of one table, or of all, with the edges, says what differed, and builds them anew beside those that serve:
    /// a job.
    ///
    /// - Throws: `not_found` for an unknown table, or when there is no edge index; `shutting_down`.
    public func rebuildTopology(_ table: TableName?) throws(ThemisError) -> Job {
        let found = try indexes(table).filter { $0.definition.type == EdgeIndex.word && !$0.isReplacement }
        guard !found.isEmpty else { throw ThemisError(.notFound, "there is no edge index") }
        let names = found.map(\.definition.table.text).joined(separator: ", ")
        return try startJob(kind: "graph_rebuild", detail: "topology of \(names)") { [weak self] progress throws(ThemisError) in
            var texts: [String] = []
            for info in found {
                guard let self else { return }
                texts.append(try self.rebuildTopology(info, progress))
                progress.describe(texts.joined(separator: "; "))
            }
        }
    }

    private func rebuildTopology(_ info: IndexInfo, _ progress: JobProgress) throws(ThemisError) -> String {
        let name = info.definition.table
        let known = published.table(name)
        let view = try ReadView(self, CallContext(cancellation: progress.cancellation))
        var report = VerificationReport()
        let table = try view.table(name, known: known)
        try check(table, view, &report, only: info.generation) { progress.report(done: $0, total: max($0, table.info.entities)) }
        if report.faults > 0 {
            telemetry.log.error("adjacency differed from the edges", [(.count, String(report.faults)), (.detail, report.text)])
        }
        let id = Digest.hex(Digest.random(8))
        let record = try committer.run { stage throws(ThemisError) in
            try stage.rebuild(name, columns: EdgeIndex.columns, type: EdgeIndex.word, job: id)
        }
        try build(id, record, progress)
        // Its row has served its purpose: this job is the one that is seen.
        try committer.run { stage throws(ThemisError) in stage.batch.bytes.delete(.meta, MetaRecords.job(id)) }
        return "\(name.text): compared \(report.entities) entities, \(report.missing) entries of edges were missing, \(report.dangling) "
            + "belonged to no edge; built anew"
    }
}
