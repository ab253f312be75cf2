public import ThemisBase
import ThemisNet

/// The methods of the core, by name. Each throws what `RPCClient.call` throws.
extension RPCClient {
    // MARK: Entities

    /// Changes one entity.
    public func write(_ request: WriteRequest, _ metadata: RequestMetadata) async throws(ThemisError) -> WriteResponse {
        try await call(.write, metadata, request)
    }

    /// Changes several entities, all or none.
    public func writeAtomic(
        _ request: WriteAtomicRequest, _ metadata: RequestMetadata
    ) async throws(ThemisError) -> WriteAtomicResponse {
        try await call(.writeAtomic, metadata, request)
    }

    /// Changes entities as they come, with a result for each, in the same order.
    public func writeStream(
        _ metadata: RequestMetadata
    ) async throws(ThemisError) -> RPCStream<OperationMessage, WriteStreamResult> {
        try await open(.writeStream, metadata)
    }

    /// Reads one entity.
    public func get(_ request: GetRequest, _ metadata: RequestMetadata) async throws(ThemisError) -> EntityMessage {
        try await call(.get, metadata, request)
    }

    /// Reads entities by key.
    public func multiGet(_ request: MultiGetRequest, _ metadata: RequestMetadata) async throws(ThemisError) -> MultiGetResponse {
        try await call(.multiGet, metadata, request)
    }

    /// Reads a page of a table.
    public func list(_ request: ListRequest, _ metadata: RequestMetadata) async throws(ThemisError) -> ListResponse {
        try await call(.list, metadata, request)
    }

    /// Reads a range of a table from one snapshot.
    public func export(
        _ request: ListRequest, _ metadata: RequestMetadata
    ) async throws(ThemisError) -> RPCStream<EmptyMessage, EntityMessage> {
        try await open(.export, metadata, body: request.encoded())
    }

    /// Deletes a range of a table, as a job.
    public func deleteRange(_ request: DeleteRangeRequest, _ metadata: RequestMetadata) async throws(ThemisError) -> JobResponse {
        try await call(.deleteRange, metadata, request)
    }

    // MARK: Tables

    /// Reads all tables.
    public func tableList(_ metadata: RequestMetadata) async throws(ThemisError) -> TableListResponse {
        try await call(.tableList, metadata, EmptyMessage())
    }

    /// Reads one table.
    public func tableGet(_ request: TableRequest, _ metadata: RequestMetadata) async throws(ThemisError) -> TableResponse {
        try await call(.tableGet, metadata, request)
    }

    /// Makes a table or changes its settings.
    public func tablePut(_ request: TablePutRequest, _ metadata: RequestMetadata) async throws(ThemisError) -> TableResponse {
        try await call(.tablePut, metadata, request)
    }

    /// Removes a table with its entities.
    public func tableDrop(_ request: TableRequest, _ metadata: RequestMetadata) async throws(ThemisError) -> TableDropResponse {
        try await call(.tableDrop, metadata, request)
    }

    /// Removes all entities of a table.
    public func tableTruncate(_ request: TableRequest, _ metadata: RequestMetadata) async throws(ThemisError) -> TableDropResponse {
        try await call(.tableTruncate, metadata, request)
    }

    // MARK: Queries and indexes

    /// Answers a query; both are JSON.
    public func query(_ request: TextRequest, _ metadata: RequestMetadata) async throws(ThemisError) -> TextResponse {
        try await call(.query, metadata, request)
    }

    /// Makes an index.
    public func indexCreate(
        _ request: TextRequest, _ metadata: RequestMetadata
    ) async throws(ThemisError) -> IndexCreateResponse {
        try await call(.indexCreate, metadata, request)
    }

    /// Removes an index.
    public func indexDrop(_ request: TextRequest, _ metadata: RequestMetadata) async throws(ThemisError) -> TextResponse {
        try await call(.indexDrop, metadata, request)
    }

    /// Reads the definitions of indexes.
    public func indexList(_ request: TextRequest, _ metadata: RequestMetadata) async throws(ThemisError) -> TextResponse {
        try await call(.indexList, metadata, request)
    }

    /// Reads counts and estimates of indexes.
    public func indexStats(_ request: TextRequest, _ metadata: RequestMetadata) async throws(ThemisError) -> TextResponse {
        try await call(.indexStats, metadata, request)
    }

    /// Builds an index anew, as a job.
    public func indexRebuild(_ request: TextRequest, _ metadata: RequestMetadata) async throws(ThemisError) -> JobResponse {
        try await call(.indexRebuild, metadata, request)
    }

    /// Builds the indexes of a table anew, as jobs.
    public func indexReindex(_ request: TextRequest, _ metadata: RequestMetadata) async throws(ThemisError) -> JobListResponse {
        try await call(.indexReindex, metadata, request)
    }

    /// Compares indexes with entities and looks for gaps in the change log, as a job.
    public func verify(_ request: TextRequest, _ metadata: RequestMetadata) async throws(ThemisError) -> JobResponse {
        try await call(.verify, metadata, request)
    }

    /// Removes entities that have expired, as a job.
    public func ttlCleanup(_ request: TextRequest, _ metadata: RequestMetadata) async throws(ThemisError) -> JobResponse {
        try await call(.ttlCleanup, metadata, request)
    }

    // MARK: Graphs

    /// Puts an edge.
    public func edgePut(_ request: WriteRequest, _ metadata: RequestMetadata) async throws(ThemisError) -> WriteResponse {
        try await call(.edgePut, metadata, request)
    }

    /// Reads the edges of a vertex; both are JSON.
    public func graphNeighbors(_ request: TextRequest, _ metadata: RequestMetadata) async throws(ThemisError) -> TextResponse {
        try await call(.graphNeighbors, metadata, request)
    }

    /// Walks from a vertex; both are JSON.
    public func graphTraverse(_ request: TextRequest, _ metadata: RequestMetadata) async throws(ThemisError) -> TextResponse {
        try await call(.graphTraverse, metadata, request)
    }

    /// Looks for the shortest way between two vertices; both are JSON.
    public func graphShortestPath(_ request: TextRequest, _ metadata: RequestMetadata) async throws(ThemisError) -> TextResponse {
        try await call(.graphShortestPath, metadata, request)
    }

    /// Compares adjacency with the edges and builds it anew, as a job.
    public func graphRebuild(_ request: TextRequest, _ metadata: RequestMetadata) async throws(ThemisError) -> JobResponse {
        try await call(.graphRebuild, metadata, request)
    }

    // MARK: Transactions

    /// Begins a transaction.
    public func transactionBegin(_ request: TextRequest, _ metadata: RequestMetadata) async throws(ThemisError) -> TextResponse {
        try await call(.transactionBegin, metadata, request)
    }

    /// Commits the transaction of `metadata`.
    public func transactionCommit(_ metadata: RequestMetadata) async throws(ThemisError) -> WriteAtomicResponse {
        try await call(.transactionCommit, metadata, EmptyMessage())
    }

    /// Ends the transaction of `metadata` without a trace.
    public func transactionRollback(_ metadata: RequestMetadata) async throws(ThemisError) {
        _ = try await call(.transactionRollback, metadata, EmptyMessage(), answer: EmptyMessage.self)
    }

    /// Reads what became of the transaction of `metadata`.
    public func transactionGet(_ metadata: RequestMetadata) async throws(ThemisError) -> TextResponse {
        try await call(.transactionGet, metadata, EmptyMessage())
    }

    /// Reads how many transactions there are and were.
    public func transactionStats(_ metadata: RequestMetadata) async throws(ThemisError) -> TextResponse {
        try await call(.transactionStats, metadata, EmptyMessage())
    }

    // MARK: Changefeed

    /// Reads a page of change records, and waits for one when asked to.
    public func changesRead(_ request: ChangesReadRequest, _ metadata: RequestMetadata) async throws(ThemisError) -> ChangesPage {
        try await call(.changesRead, metadata, request)
    }

    /// Reads change records as they are committed. The first page comes at once.
    public func changesFollow(
        _ request: ChangesReadRequest, _ metadata: RequestMetadata
    ) async throws(ThemisError) -> RPCStream<EmptyMessage, ChangesPage> {
        try await open(.changesFollow, metadata, body: request.encoded())
    }

    /// Reads where the change log begins and ends.
    public func changesInfo(_ metadata: RequestMetadata) async throws(ThemisError) -> ChangesInfoResponse {
        try await call(.changesInfo, metadata, EmptyMessage())
    }

    // MARK: Operations

    /// Asks how the core is.
    public func ping(_ metadata: RequestMetadata) async throws(ThemisError) -> PingResponse {
        try await call(.ping, metadata, EmptyMessage())
    }

    /// Reads the statistics, as JSON.
    public func stats(_ metadata: RequestMetadata) async throws(ThemisError) -> TextResponse {
        try await call(.stats, metadata, EmptyMessage())
    }

    /// Reads the configuration, as JSON.
    public func configGet(_ request: ConfigRequest, _ metadata: RequestMetadata) async throws(ThemisError) -> TextResponse {
        try await call(.configGet, metadata, request)
    }

    /// Gives the core this process's metrics.
    public func metricsPush(
        _ request: MetricsPushRequest, _ metadata: RequestMetadata
    ) async throws(ThemisError) -> MetricsPushResponse {
        try await call(.metricsPush, metadata, request)
    }

    /// Reads the metrics of the whole set.
    public func metricsRead(
        _ request: MetricsReadRequest, _ metadata: RequestMetadata
    ) async throws(ThemisError) -> MetricsReadResponse {
        try await call(.metricsRead, metadata, request)
    }

    /// Gives the core this process's finished spans.
    public func spansPush(_ request: SpansPushRequest, _ metadata: RequestMetadata) async throws(ThemisError) -> SpansPushResponse {
        try await call(.spansPush, metadata, request)
    }

    /// Takes the spans of the set, and waits for some.
    public func spansTake(_ request: SpansTakeRequest, _ metadata: RequestMetadata) async throws(ThemisError) -> SpansTakeResponse {
        try await call(.spansTake, metadata, request)
    }

    /// Reads all jobs.
    public func jobList(_ metadata: RequestMetadata) async throws(ThemisError) -> JobListResponse {
        try await call(.jobList, metadata, EmptyMessage())
    }

    /// Reads one job.
    public func jobGet(_ request: JobRequest, _ metadata: RequestMetadata) async throws(ThemisError) -> JobResponse {
        try await call(.jobGet, metadata, request)
    }

    /// Stops a job.
    public func jobCancel(_ request: JobRequest, _ metadata: RequestMetadata) async throws(ThemisError) -> JobResponse {
        try await call(.jobCancel, metadata, request)
    }

    /// Writes what is in memory to files.
    public func flush(_ metadata: RequestMetadata) async throws(ThemisError) {
        _ = try await call(.flush, metadata, EmptyMessage(), answer: EmptyMessage.self)
    }

    /// Compacts a key space, as a job.
    public func compact(_ request: CompactRequest, _ metadata: RequestMetadata) async throws(ThemisError) -> JobResponse {
        try await call(.compact, metadata, request)
    }
}
