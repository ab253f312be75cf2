/// The one list of metrics. `docs/metrics.md` is generated from `all`.
///
/// A row stands here only if something counts it. Names with `vccdb_`, `rocksdb_` and `themis_index_` in the first group are
/// fixed by the runbook, letter by letter.
extension Metric {
    // The runbook's, in its order; the latency buckets end the group, so that the first fifty lines show all others.

    /// Requests answered by a gateway. Streams, long polls and jobs are not in it.
    public static let requests = Metric("vccdb_requests_total", .counter, "Requests answered, all routes.", alwaysShown: true)
    /// Requests answered with 4xx or 5xx.
    public static let errors = Metric(
        "vccdb_errors_total", .counter, "Requests answered with a 4xx or 5xx status.", alwaysShown: true)
    /// Requests a second.
    public static let qps = Metric("vccdb_qps", .gauge, "Requests per second, mean of the last 60 seconds.", alwaysShown: true)
    /// Seconds since the process started.
    public static let uptime = Metric(
        "process_uptime_seconds", .gauge, "Seconds since the core started; of this process while the core is away.", merge: .core,
        alwaysShown: true)
    /// Block cache in use.
    public static let blockCacheUsage = Metric(
        "rocksdb_block_cache_usage_bytes", .gauge, "Bytes used in the block cache.", alwaysShown: true)
    /// Block cache size.
    public static let blockCacheCapacity = Metric(
        "rocksdb_block_cache_capacity_bytes", .gauge, "Size of the block cache in bytes.", alwaysShown: true)
    /// Compaction backlog.
    public static let pendingCompaction = Metric(
        "rocksdb_pending_compaction_bytes", .gauge, "Bytes that compaction has still to rewrite.", alwaysShown: true)
    /// Estimated keys.
    public static let estimatedKeys = Metric(
        "rocksdb_estimate_num_keys", .gauge, "Estimated number of keys in all column families.", alwaysShown: true)
    /// Index rebuilds finished.
    public static let indexRebuilds = Metric(
        "themis_index_rebuild_count", .counter, "Index rebuilds finished.", alwaysShown: true)
    /// Milliseconds of index rebuilds.
    public static let indexRebuildMilliseconds = Metric(
        "themis_index_rebuild_duration_ms_total", .counter, "Milliseconds spent in index rebuilds.", alwaysShown: true)
    /// Entities read by index rebuilds.
    public static let indexRebuildEntities = Metric(
        "themis_index_rebuild_entities_processed_total", .counter, "Entities processed by index rebuilds.", alwaysShown: true)
    /// Pages that continued at a cursor's anchor.
    public static let cursorAnchorHits = Metric(
        "themis_index_cursor_anchor_hits_total", .counter, "Pages that continued at the anchor of a cursor.", alwaysShown: true)
    /// Steps of range scans.
    public static let rangeScanSteps = Metric(
        "themis_index_range_scan_steps_total", .counter, "Entries visited by ordered scans.", alwaysShown: true)
    /// Latency of requests in microseconds, under the runbook's names. Streams, long polls and jobs are not in it.
    public static let latency = Metric(
        "vccdb_latency_microseconds", .histogram, "Time from a request's first byte to its answer, in microseconds.",
        buckets: [
            100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 200_000, 500_000, 1_000_000, 2_500_000,
            5_000_000, 10_000_000,
        ],
        alwaysShown: true,
        parts: Parts(
            bucket: "vccdb_latency_bucket_microseconds", sum: "vccdb_latency_sum_microseconds", count: "vccdb_latency_count"))

    // The set.

    /// Whether the core answers.
    public static let coreUp = Metric("themis_core_up", .gauge, "1 while the core answers, 0 while it does not.", merge: .max)
    /// What runs.
    public static let buildInfo = Metric(
        "themis_build_info", .gauge, "Processes by version and commit; the value is their number.",
        labels: ["version", "commit"],
        merge: .byRole)

    // HTTP.

    /// Requests by route.
    public static let httpRequests = Metric(
        "themis_http_requests_total", .counter, "Requests answered, by route pattern and method.", labels: ["route", "method"])
    /// Errors by route.
    public static let httpErrors = Metric(
        "themis_http_errors_total", .counter, "Requests answered with an error, by route pattern, method and class (4xx, 5xx).",
        labels: ["route", "method", "class"])
    /// Latency by route.
    public static let httpDuration = Metric(
        "themis_http_request_duration_seconds", .histogram,
        "Time from a request's first byte to the end of its answer, in seconds.",
        labels: ["route", "method"], buckets: secondsBounds)
    /// Connections open now.
    public static let httpConnections = Metric("themis_http_connections", .gauge, "HTTP connections open now.")
    /// Connections accepted.
    public static let httpConnectionsAccepted = Metric(
        "themis_http_connections_accepted_total", .counter, "HTTP connections accepted.")
    /// Connections over the limit.
    public static let httpConnectionsRefused = Metric(
        "themis_http_connections_refused_total", .counter,
        "HTTP connections answered with 503 because of `server.max_connections`.")
    /// Connections that could not be accepted.
    public static let acceptFailures = Metric(
        "themis_accept_failures_total", .counter,
        "Pauses of a listener because no connection could be accepted (open files, memory).")
    /// Requests that were not HTTP.
    public static let httpParseErrors = Metric(
        "themis_http_parse_errors_total", .counter, "Requests refused by the HTTP parser.")

    // RPC.

    /// Requests by method, counted by the core.
    public static let rpcRequests = Metric(
        "themis_rpc_requests_total", .counter, "RPC requests answered by the core, by method.", labels: ["method"])
    /// Requests refused with BUSY.
    public static let rpcBusy = Metric("themis_rpc_busy_total", .counter, "RPC requests refused with BUSY.")
    /// Requests in flight.
    public static let rpcInFlight = Metric("themis_rpc_in_flight", .gauge, "RPC requests that the core has not answered yet.")
    /// Bytes received by the core.
    public static let rpcReceivedBytes = Metric(
        "themis_rpc_received_bytes_total", .counter, "Bytes of RPC frames received by the core.")
    /// Bytes sent by the core.
    public static let rpcSentBytes = Metric("themis_rpc_sent_bytes_total", .counter, "Bytes of RPC frames sent by the core.")
    /// Frames that could not be understood.
    public static let rpcGarbageFrames = Metric(
        "themis_rpc_garbage_frames_total", .counter, "Connections closed because of a frame that was damaged or made no sense.")

    // Commit path.

    /// Change records in one batch.
    public static let commitBatchRecords = Metric(
        "themis_commit_batch_records", .histogram, "Change records that one group commit wrote.",
        buckets: [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024, 4_096, 16_384])
    /// Duration of a durable batch.
    public static let commitSyncSeconds = Metric(
        "themis_commit_fsync_seconds", .histogram, "Time in which one group commit became durable, in seconds.",
        buckets: secondsBounds)
    /// Writes refused because too many waited.
    public static let commitRefused = Metric(
        "themis_commit_refused_total", .counter, "Writes refused because too many were waiting for the disk.")
    /// Writes that were prepared again.
    public static let commitStale = Metric(
        "themis_commit_stale_total", .counter, "Writes prepared again because another write had changed their entity.")

    // Transactions.

    /// Open transactions.
    public static let transactionsOpen = Metric("themis_transactions_open", .gauge, "Transactions that are open.", merge: .core)
    /// Committed transactions.
    public static let transactionsCommitted = Metric(
        "themis_transactions_committed_total", .counter, "Transactions over several requests that committed.")
    /// Transactions that did not commit because of another one.
    public static let transactionsConflicts = Metric(
        "themis_transactions_conflicts_total", .counter, "Transactions refused because of a conflict, or because they were too old.")
    /// Transactions that ended by the clock.
    public static let transactionsExpired = Metric(
        "themis_transactions_expired_total", .counter, "Transactions that were left alone or lasted for too long.")
    /// What transactions are compared with.
    public static let transactionsHistoryBytes = Metric(
        "themis_transactions_history_bytes", .gauge, "Memory of the keys of commits that open transactions are compared with.",
        merge: .core)

    // Storage.

    /// Files on each level.
    public static let rocksdbLevelFiles = Metric(
        "rocksdb_level_files", .gauge, "Live files of all column families, by level.", labels: ["level"])
    /// Write stalls.
    public static let rocksdbStallSeconds = Metric(
        "rocksdb_stall_seconds_total", .counter, "Seconds that writers were stalled.", divisor: 1_000_000)
    /// Whether writes are stopped or slowed now.
    public static let rocksdbWriteStopped = Metric("rocksdb_write_stopped", .gauge, "1 while the engine stops writes.")
    /// Write-ahead log.
    public static let rocksdbWALBytes = Metric("rocksdb_wal_bytes", .gauge, "Bytes of write-ahead log files.")
    /// Cache hits.
    public static let rocksdbCacheHits = Metric("rocksdb_block_cache_hits_total", .counter, "Blocks found in the block cache.")
    /// Cache misses.
    public static let rocksdbCacheMisses = Metric(
        "rocksdb_block_cache_misses_total", .counter, "Blocks not found in the block cache.")

    // Expiry.

    /// Expired entities that are stored.
    public static let ttlBacklog = Metric(
        "themis_ttl_backlog_entities", .gauge, "Entities that have expired and are not swept yet, at the last look.")
    /// Expired entities removed.
    public static let ttlSwept = Metric("themis_ttl_swept_entities_total", .counter, "Expired entities removed by sweeps.")
    /// Whether sweeps wait for an operator.
    public static let ttlPaused = Metric(
        "themis_ttl_sweep_paused", .gauge, "1 while nothing is swept because the wall clock leapt; see POST /admin/ttl/cleanup.")

    // Changefeed.

    /// Newest sequence.
    public static let changefeedLatest = Metric(
        "themis_changefeed_latest_sequence", .gauge, "The newest durable sequence.", merge: .core)
    /// Oldest sequence.
    public static let changefeedOldest = Metric(
        "themis_changefeed_oldest_sequence", .gauge, "The oldest sequence kept.", merge: .core)
    /// Bytes of the change log.
    public static let changefeedBytes = Metric("themis_changefeed_bytes", .gauge, "Bytes of the change log.", merge: .core)
    /// Subscribers.
    public static let changefeedSubscribers = Metric("themis_changefeed_subscribers", .gauge, "Open change streams.")
    /// Events sent.
    public static let changefeedEvents = Metric("themis_changefeed_events_total", .counter, "Events sent to subscribers.")
    /// Heartbeats sent.
    public static let changefeedHeartbeats = Metric(
        "themis_changefeed_heartbeats_total", .counter, "Heartbeats sent to subscribers.")
    /// The slowest subscriber's distance.
    public static let changefeedLag = Metric(
        "themis_changefeed_lag_records", .gauge, "Records that the slowest open stream is behind.", merge: .max)
    /// Subscribers ended because they were slow.
    public static let changefeedEvicted = Metric(
        "themis_changefeed_evicted_total", .counter, "Streams ended because their reader was too slow.")
    /// Whether a process follows the core.
    public static let changefeedFollowing = Metric(
        "themis_changefeed_following", .gauge, "Processes that follow the core's change log at this moment.")
    /// Subscribers that had to be served from the core's log.
    public static let changefeedReadBacks = Metric(
        "themis_changefeed_read_backs_total", .counter, "Times that a stream was behind the ring and was read back from the core."
    )
    /// Gaps told.
    public static let changefeedGaps = Metric(
        "themis_changefeed_gaps_total", .counter, "`gap` events sent because retention or an epoch left a hole.")

    // Spans: at each stage what entered was passed on, was dropped, or waits.

    /// Spans that reached a stage.
    public static let spansEntered = Metric(
        "themis_spans_entered_total", .counter,
        "Sampled spans that reached a stage: `process` where they are recorded, `core` where they are gathered.", labels: ["stage"])
    /// Spans that a stage handed on.
    public static let spansPassed = Metric(
        "themis_spans_passed_total", .counter, "Sampled spans that a stage handed to the next one.", labels: ["stage"])
    /// Spans that a stage dropped.
    public static let spansDropped = Metric(
        "themis_spans_dropped_total", .counter, "Sampled spans that a stage dropped, by reason.", labels: ["stage", "reason"])
    /// Spans that wait at a stage.
    public static let spansWaiting = Metric(
        "themis_spans_waiting", .gauge, "Sampled spans that wait at a stage, those on their way to the next one included.",
        labels: ["stage"])

    // The exporter, of spans and of data points of metrics: queued = sent + dropped + waiting.

    /// What came to the exporter.
    public static let exporterQueued = Metric(
        "themis_exporter_queued_total", .counter, "Spans and data points that an exporter was to send.", labels: ["signal"])
    /// What the collector took.
    public static let exporterSent = Metric(
        "themis_exporter_sent_total", .counter, "Spans and data points that the collector took.", labels: ["signal"])
    /// What will not arrive.
    public static let exporterDropped = Metric(
        "themis_exporter_dropped_total", .counter, "Spans and data points that an exporter dropped, by reason.",
        labels: ["signal", "reason"])
    /// What waits.
    public static let exporterWaiting = Metric(
        "themis_exporter_waiting", .gauge, "Spans and data points that wait in an exporter, those on their way included.",
        labels: ["signal"])
    /// Requests that were sent again.
    public static let exporterRetries = Metric(
        "themis_exporter_retries_total", .counter, "Requests to the collector that were sent again.", labels: ["signal"])

    // The process.

    /// CPU time.
    public static let processCPU = Metric(
        "process_cpu_seconds_total", .counter, "User and system CPU time in seconds.", merge: .byRole, divisor: 1_000_000)
    /// Resident memory.
    public static let processMemory = Metric("process_resident_memory_bytes", .gauge, "Resident memory in bytes.", merge: .byRole)
    /// Open descriptors.
    public static let processFiles = Metric("process_open_fds", .gauge, "Open file descriptors.", merge: .byRole)
    /// Most descriptors.
    public static let processFileLimit = Metric("process_max_fds", .gauge, "Most file descriptors allowed.", merge: .byRole)
    /// Records suppressed.
    public static let logSuppressed = Metric(
        "themis_log_suppressed_total", .counter, "Log records suppressed because the same one came too often.")
    /// Records dropped.
    public static let logDropped = Metric(
        "themis_log_dropped_total", .counter, "Log records dropped because their reader or disk did not take them.")

    /// Bounds in seconds, with the 200 ms of the service level objective.
    static let secondsBounds: [Double] = [
        0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1, 2.5, 5, 10,
    ]

    /// Every row, in the order in which `/metrics` shows them: the runbook's first.
    public static let all: [Metric] = [
        requests, errors, qps, uptime, blockCacheUsage, blockCacheCapacity, pendingCompaction, estimatedKeys, indexRebuilds,
        indexRebuildMilliseconds, indexRebuildEntities, cursorAnchorHits, rangeScanSteps, latency,
        coreUp, buildInfo,
        httpRequests, httpErrors, httpDuration, httpConnections, httpConnectionsAccepted, httpConnectionsRefused, acceptFailures,
        httpParseErrors,
        rpcRequests, rpcBusy, rpcInFlight, rpcReceivedBytes, rpcSentBytes, rpcGarbageFrames,
        commitBatchRecords, commitSyncSeconds, commitRefused, commitStale,
        transactionsOpen, transactionsCommitted, transactionsConflicts, transactionsExpired, transactionsHistoryBytes,
        rocksdbLevelFiles, rocksdbStallSeconds, rocksdbWriteStopped, rocksdbWALBytes, rocksdbCacheHits, rocksdbCacheMisses,
        ttlBacklog, ttlSwept, ttlPaused,
        changefeedLatest, changefeedOldest, changefeedBytes, changefeedSubscribers, changefeedEvents, changefeedHeartbeats,
        changefeedLag,
        changefeedEvicted, changefeedFollowing, changefeedGaps, changefeedReadBacks,
        spansEntered, spansPassed, spansDropped, spansWaiting,
        exporterQueued, exporterSent, exporterDropped, exporterWaiting, exporterRetries,
        processCPU, processMemory, processFiles, processFileLimit, logSuppressed, logDropped,
    ]
}
