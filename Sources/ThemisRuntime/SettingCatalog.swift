public import ThemisTelemetry

/// The one list of settings. `docs/configuration.md` is generated from `all`.
///
/// A row stands here only if something obeys it: a key that nothing reads is refused like a misspelled one.
public enum Settings {
    private static let ports: SettingKind = .integer(0...65_535)
    private static let codecs: SettingKind = .choice(["none", "lz4", "zstd"])

    // Who may connect.

    /// How callers prove who they are.
    public static let authMode = Setting<String>(
        "auth.mode", .choice(["none"]), .value(.text("none")), bootstrap: true,
        "How callers prove who they are. `none` takes everyone as trusted, and therefore listens on loopback addresses only.")
    /// Whether everyone on the network is trusted.
    public static let allowAnonymousRemote = Setting<Bool>(
        "auth.allow_anonymous_remote", .bool, .value(.bool(false)), bootstrap: true,
        "Listens on other than loopback addresses although `auth.mode` is `none`: for networks that a proxy or firewall closes.")

    // Change data capture.

    /// How long changes are kept.
    public static let cdcRetentionHours = Setting<Int>(
        "cdc.retention_hours", .integer(1...8_760), .value(.integer(168)), hot: true, "Hours for which changes are kept.")
    /// How many bytes of changes are kept.
    public static let cdcRetentionBytes = Setting<Int>(
        "cdc.retention_bytes", .integer((1 << 20)...(1 << 50)), .value(.integer(10 << 30)), hot: true,
        "Bytes of changes that are kept; the oldest go first.")
    /// Whether the changefeed answers.
    public static let cdc = Setting<Bool>(
        "features.cdc", .bool, .value(.bool(true)), hot: true,
        "Opens the routes below `/changefeed`. The log itself is always written.")

    // Where the processes listen.

    /// The gateway's address. The core takes the flag too: it answers GET /config for the whole set.
    public static let serverHost = Setting<String>(
        "server.host", .host, .value(.text("127.0.0.1")), bootstrap: true, flags: [.some("--host", .all, .core, .gateway)],
        "Address on which the gateway listens.")
    /// The gateway's port.
    public static let serverPort = Setting<Int>(
        "server.port", ports, .value(.integer(8_765)), bootstrap: true, flags: [.some("--port", .all, .core, .gateway)],
        "Port on which the gateway listens; 0 takes a free one and logs it.")
    /// Threads of the core.
    public static let workerThreads = Setting<Int>(
        "server.worker_threads", .integer(1...1_024),
        .machine("processors") { .integer(Int64(max(1, min($0.processors, 1_024)))) },
        flags: [.some("--threads", .all, .core)], aliases: ["THEMIS_WORKER_THREADS"],
        "Threads of the core that read, query and prepare writes.")
    /// Most connections.
    public static let maxConnections = Setting<Int>(
        "server.max_connections", .integer(1...1_000_000), .value(.integer(10_000)), bootstrap: true,
        "Connections one gateway or changefeed process holds; the next is answered with 503.")
    /// Largest body.
    public static let maxRequestSize = Setting<Int>(
        "server.max_request_size_mb", .integer(1...1_024), .value(.integer(10)), bootstrap: true,
        "Largest body of a request in MiB. Streamed imports have no limit.")
    /// The changefeed's address.
    public static let changefeedHost = Setting<String>(
        "changefeed.host", .host, .value(.text("127.0.0.1")), bootstrap: true, flags: [.some("--host", .changefeed)],
        "Address on which the changefeed process listens.")
    /// The changefeed's port.
    public static let changefeedPort = Setting<Int>(
        "changefeed.port", ports, .value(.integer(8_766)), bootstrap: true, flags: [.some("--port", .changefeed)],
        "Port on which the changefeed process listens.")
    /// How many changefeed processes.
    public static let changefeedProcesses = Setting<Int>(
        "changefeed.processes", .integer(1...64), .value(.integer(1)), bootstrap: true,
        "Changefeed processes that share the port (SO_REUSEPORT).")
    /// How many gateways.
    public static let gatewayProcesses = Setting<Int>(
        "gateway.processes", .integer(1...64), .value(.integer(1)), bootstrap: true,
        "Gateway processes that share the port (SO_REUSEPORT).")
    /// Whether the gateway has the changefeed routes.
    public static let gatewayServesChangefeed = Setting<Bool>(
        "gateway.serve_changefeed", .bool, .value(.bool(true)), bootstrap: true,
        "Serves the changefeed on the gateway's port too, so that one address is enough.")
    /// The exporter's address.
    public static let exporterHost = Setting<String>(
        "exporter.host", .host, .value(.text("127.0.0.1")), bootstrap: true, flags: [.some("--host", .exporter)],
        "Address on which the exporter listens.")
    /// The exporter's port.
    public static let exporterPort = Setting<Int>(
        "exporter.port", ports, .value(.integer(8_767)), bootstrap: true, flags: [.some("--port", .exporter)],
        "Port on which the exporter listens.")

    // How the processes talk.

    /// The core's socket.
    public static let rpcSocket = Setting<String>(
        "rpc.socket", .path,
        .derived("a directory named after the data directory, under `/run/themis`, `$XDG_RUNTIME_DIR` or the temporary directory") {
            .text(SocketPath.standard(dataDirectory: $0[storagePath], serving: !$1.isSidecar, environment: $2))
        }, bootstrap: true, flags: [.all("--socket")], "Unix socket of the core.")
    /// Who may be what.
    public static let rpcRoles = Setting<[UInt32: ProcessRole]>(
        "rpc.roles", .roles, .value(.roles([:])),
        "User ids that may connect to the core, with their role. The core's own user may have every role.")
    /// The bound of a request.
    public static let requestTimeout = Setting<Int>(
        "request_timeout_ms", .integer(1_000...300_000), .value(.integer(30_000)), hot: true,
        "Milliseconds after which a request is given up with 504, on its whole way.")

    // The log.

    /// Which records are written.
    public static let logLevel = Setting<LogLevel>(
        "logging.level", .choice(LogLevel.allCases.map(\.word)), .value(.text("info")), hot: true, bootstrap: true,
        aliases: ["THEMIS_LOG_LEVEL"], "The least level that is written.")
    /// How records are written.
    public static let logFormat = Setting<LogFormat>(
        "logging.format", .choice(LogFormat.allCases.map(\.rawValue)), .value(.text("text")), hot: true, bootstrap: true,
        "Lines for people or one JSON object a line.")
    /// The log file.
    public static let logFile = Setting<String?>(
        "logging.file", .path, .value(.absent), bootstrap: true, "File for the log; without it the log goes to standard error.")
    /// When the log file is renamed.
    public static let logRotationSize = Setting<Int>(
        "logging.rotation_size_mb", .integer(1...65_536), .value(.integer(100)), bootstrap: true,
        "MiB at which the log file is renamed to `file.1` and so on.")
    /// How many log files.
    public static let logMaxFiles = Setting<Int>(
        "logging.max_files", .integer(1...1_000), .value(.integer(5)), bootstrap: true,
        "Log files kept, the current one included.")

    // Traces.

    /// Whether requests are recorded.
    public static let tracingEnabled = Setting<Bool>(
        "tracing.enabled", .bool, .value(.bool(false)), hot: true,
        "Records spans of sampled requests and exports them, and the metrics of the set, to `tracing.otlp_endpoint`.")
    /// The name of the set for collectors.
    public static let tracingServiceName = Setting<String>(
        "tracing.service_name", .name, .value(.text("themis")), hot: true, "`service.name` of everything that is exported.")
    /// Where the collector is.
    public static let tracingEndpoint = Setting<String?>(
        "tracing.otlp_endpoint", .url, .value(.absent), hot: true,
        "Base address of an OpenTelemetry collector for OTLP over HTTP, such as `http://127.0.0.1:4318`; `/v1/traces` and `/v1/metrics` "
            + "are added.")
    /// How many requests are recorded.
    public static let tracingSampleRatio = Setting<Double>(
        "tracing.sample_ratio", .ratio, .value(.decimal(0.01)), hot: true,
        "Share of requests that are recorded when their caller does not say so; a caller's `traceparent` decides for itself.")

    // Expiry.

    /// How often expired entities are removed.
    public static let sweepInterval = Setting<Int>(
        "ttl.sweep_interval_seconds", .integer(1...86_400), .value(.integer(60)),
        "Seconds between two sweeps, which remove entities that have expired. They are invisible before.")

    // Memory and disk.

    /// The memory budget.
    public static let memoryLimit = Setting<Int>(
        "memory.limit_mb", .integer(64...(1 << 24)),
        .machine("half of the control group's or machine's") { .integer(Int64(max(64, min($0.memoryBytes >> 21, 1 << 24)))) },
        "MiB that the core plans with. Block cache and write buffers may take three quarters of it.")
    /// Where the data lies.
    public static let storagePath = Setting<String>(
        "storage.rocksdb_path", .path, .value(.text("./data")), bootstrap: true, flags: [.all("--data")],
        aliases: ["THEMIS_STORAGE_PATH"],
        "Directory of the data.")
    /// Size of the block cache.
    public static let blockCacheSize = Setting<Int>(
        "storage.block_cache_size_mb", .integer(1...(1 << 22)), .value(.integer(256)), "MiB of blocks kept in memory.")
    /// Size of a write buffer.
    public static let memtableSize = Setting<Int>(
        "storage.memtable_size_mb", .integer(1...(1 << 16)), .value(.integer(64)),
        "MiB of writes gathered in memory before they become a file.")
    /// Open files of the engine.
    public static let maxOpenFiles = Setting<Int>(
        "storage.max_open_files", .integer(64...1_000_000), .value(.integer(1_024)), "Files that the engine keeps open.")
    /// Compression of most levels.
    public static let compression = Setting<String>(
        "storage.compression.default", codecs, .value(.text("lz4")), "Compression of the upper levels.")
    /// Compression of the last level.
    public static let bottommostCompression = Setting<String>(
        "storage.compression.bottommost", codecs, .value(.text("zstd")), "Compression of the last level.")
    /// When a write is acknowledged.
    public static let durability = Setting<String>(
        "storage.durability", .choice(["sync", "relaxed"]), .value(.text("sync")),
        "`sync` acknowledges a write when it is on disk; `relaxed` at once, with a sync in the background within 100 ms.")
    /// Where the write-ahead log lies.
    public static let walDirectory = Setting<String?>(
        "storage.wal_dir", .path, .value(.absent), "Directory of the write-ahead log, if it is not the data directory.")
    /// The watermark of the disk.
    public static let minFree = Setting<Int>(
        "storage.min_free_mb", .integer(0...(1 << 24)), .value(.integer(512)),
        "MiB of free disk below which writes are refused with 507.")

    /// Every row, by key.
    public static let all: [SettingRow] = [
        authMode.row, allowAnonymousRemote.row, cdcRetentionHours.row, cdcRetentionBytes.row, cdc.row, serverHost.row,
        serverPort.row,
        workerThreads.row, maxConnections.row, maxRequestSize.row, changefeedHost.row, changefeedPort.row,
        changefeedProcesses.row,
        gatewayProcesses.row, gatewayServesChangefeed.row, exporterHost.row, exporterPort.row, rpcSocket.row, rpcRoles.row,
        requestTimeout.row, logLevel.row, logFormat.row, logFile.row, logRotationSize.row, logMaxFiles.row, memoryLimit.row,
        storagePath.row,
        blockCacheSize.row, memtableSize.row, maxOpenFiles.row, compression.row, bottommostCompression.row, durability.row,
        walDirectory.row, minFree.row, sweepInterval.row, tracingEnabled.row, tracingServiceName.row, tracingEndpoint.row,
        tracingSampleRatio.row,
    ].sorted { $0.path < $1.path }

    private static let byPath: [String: SettingRow] = Dictionary(uniqueKeysWithValues: all.map { ($0.path, $0) })

    /// The row with this key, nil when there is none.
    public static func row(_ path: String) -> SettingRow? { byPath[path] }
}
