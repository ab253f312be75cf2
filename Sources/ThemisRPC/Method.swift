public import ThemisBase

/// What a process is to the core.
public enum PeerRole: UInt8, Sendable, CaseIterable {
    /// themis_gateway.
    case gateway = 1
    /// themis_changefeed.
    case changefeed = 2
    /// themis_exporter.
    case exporter = 3
    /// themisctl.
    case ctl = 4
    /// The benchmark.
    case bench = 5

    /// The word of the configuration and of `/stats`.
    public var word: String {
        switch self {
        case .gateway: "gateway"
        case .changefeed: "changefeed"
        case .exporter: "exporter"
        case .ctl: "ctl"
        case .bench: "bench"
        }
    }

    /// The role named `word`, nil when there is none.
    public init?(word: String) {
        guard let role = Self.allCases.first(where: { $0.word == word }) else { return nil }
        self = role
    }
}

/// A row of the method table: what can be asked of the core, by whom. `docs/rpc.md` holds the same table (a test compares them).
public final class RPCMethod: Sendable, Hashable {
    /// How bodies travel.
    public enum Shape: String, Sendable {
        /// One body there, one body back.
        case unary
        /// A stream of messages there, a stream of messages back.
        case duplex = "stream, stream"
        /// One body there, a stream of messages back.
        case serverStream = "unary, stream"
    }

    /// What repeating the request would do.
    public enum Effect: String, Sendable {
        /// Nothing changes: the client repeats it when the connection breaks.
        case read
        /// Data changes: a broken connection leaves the outcome unknown.
        case write
        /// Something else happens: never repeated by itself.
        case control
    }

    /// The number in the frame header. Never reused.
    public let number: UInt16
    /// The name, for logs, metrics and docs.
    public let name: String
    /// How bodies travel.
    public let shape: Shape
    /// What repeating it would do.
    public let effect: Effect
    /// The scope that the principal needs; empty = none.
    public let scope: Scopes
    /// Who may ask.
    public let roles: Set<PeerRole>
    private let roleBits: UInt8
    /// Whether a call lasts as long as its caller likes. Such calls are ended at once when the core drains.
    public let isEndless: Bool
    /// Whether a call may belong to a transaction. Others that name one are refused: done outside of it, they would do something else.
    public let joinsTransactions: Bool

    private init(
        _ number: UInt16, _ name: String, _ effect: Effect, _ scope: Scopes, shape: Shape = .unary,
        also roles: Set<PeerRole> = [],
        isEndless: Bool = false, joinsTransactions: Bool = false
    ) {
        self.number = number
        self.name = name
        self.shape = shape
        self.effect = effect
        self.scope = scope
        self.roles = roles.union([.gateway, .ctl, .bench])
        self.isEndless = isEndless
        self.joinsTransactions = joinsTransactions
        roleBits = self.roles.reduce(0) { $0 | 1 << $1.rawValue }
    }

    /// Whether a peer of `role` may ask; like `roles`, without hashing.
    func allows(_ role: PeerRole) -> Bool { roleBits & 1 << role.rawValue != 0 }

    /// Two methods are equal when their numbers are.
    public static func == (left: RPCMethod, right: RPCMethod) -> Bool { left.number == right.number }

    /// Hashes the number.
    public func hash(into hasher: inout Hasher) { hasher.combine(number) }
}

extension RPCMethod {
    // Entities. The gateway, ctl and the benchmark may ask everything.
    /// Changes one entity.
    public static let write = RPCMethod(1, "Write", .write, .dataWrite, joinsTransactions: true)
    /// Changes several entities, all or none.
    public static let writeAtomic = RPCMethod(2, "WriteAtomic", .write, .dataWrite)
    /// Changes entities as they come, with a result for each.
    public static let writeStream = RPCMethod(3, "WriteStream", .write, .dataWrite, shape: .duplex)
    /// Reads one entity.
    public static let get = RPCMethod(4, "Get", .read, .dataRead, joinsTransactions: true)
    /// Reads entities by key.
    public static let multiGet = RPCMethod(5, "MultiGet", .read, .dataRead, joinsTransactions: true)
    /// Reads a page of a table, in key order.
    public static let list = RPCMethod(6, "List", .read, .dataRead, joinsTransactions: true)
    /// Reads a range of a table as a stream, from one snapshot.
    public static let export = RPCMethod(7, "Export", .read, .dataRead, shape: .serverStream, also: [.changefeed])
    /// Deletes a range of a table, as a job.
    public static let deleteRange = RPCMethod(8, "DeleteRange", .write, .dataWrite)

    // Tables.
    /// Reads all tables.
    public static let tableList = RPCMethod(20, "TableList", .read, .dataRead, also: [.changefeed])
    /// Reads one table.
    public static let tableGet = RPCMethod(21, "TableGet", .read, .dataRead, also: [.changefeed])
    /// Makes a table or changes its settings.
    public static let tablePut = RPCMethod(22, "TablePut", .write, .dataWrite)
    /// Removes a table with its entities.
    public static let tableDrop = RPCMethod(23, "TableDrop", .write, .dataWrite)
    /// Removes all entities of a table.
    public static let tableTruncate = RPCMethod(24, "TableTruncate", .write, .dataWrite)

    // Queries and indexes. Bodies are JSON, parsed in the core.
    /// Answers a query.
    public static let query = RPCMethod(80, "Query", .read, .dataRead, joinsTransactions: true)
    /// Makes an index, with a job for what is there already.
    public static let indexCreate = RPCMethod(81, "IndexCreate", .write, .dataWrite)
    /// Removes an index.
    public static let indexDrop = RPCMethod(82, "IndexDrop", .write, .dataWrite)
    /// Reads the definitions of indexes.
    public static let indexList = RPCMethod(83, "IndexList", .read, .dataRead)
    /// Reads counts and estimates of indexes.
    public static let indexStats = RPCMethod(84, "IndexStats", .read, .dataRead)
    /// Builds an index anew, as a job.
    public static let indexRebuild = RPCMethod(85, "IndexRebuild", .control, .admin)
    /// Builds the indexes of a table anew, as jobs.
    public static let indexReindex = RPCMethod(86, "IndexReindex", .control, .admin)
    /// Compares indexes with entities and looks for gaps in the change log, as a job.
    public static let verify = RPCMethod(87, "Verify", .control, .admin)
    /// Removes entities that have expired, as a job.
    public static let ttlCleanup = RPCMethod(100, "TTLCleanup", .control, .admin)

    // Graphs.
    /// Puts an edge: an entity of a table with an edge index.
    public static let edgePut = RPCMethod(96, "EdgePut", .write, .dataWrite, joinsTransactions: true)
    /// Reads the edges of a vertex.
    public static let graphNeighbors = RPCMethod(97, "GraphNeighbors", .read, .dataRead, joinsTransactions: true)
    /// Walks from a vertex.
    public static let graphTraverse = RPCMethod(98, "GraphTraverse", .read, .dataRead, joinsTransactions: true)
    /// Looks for the shortest way between two vertices.
    public static let graphShortestPath = RPCMethod(99, "GraphShortestPath", .read, .dataRead, joinsTransactions: true)
    /// Compares adjacency with the edges and builds it anew, as a job.
    public static let graphRebuild = RPCMethod(104, "GraphRebuild", .control, .admin)

    // Changefeed.
    /// Reads a page of change records, and waits for one when asked to.
    public static let changesRead = RPCMethod(40, "ChangesRead", .read, .cdcRead, also: [.changefeed], isEndless: true)
    /// Reads change records as they are committed.
    public static let changesFollow = RPCMethod(
        41, "ChangesFollow", .read, .cdcRead, shape: .serverStream, also: [.changefeed], isEndless: true)
    /// Reads where the change log begins and ends.
    public static let changesInfo = RPCMethod(42, "ChangesInfo", .read, .cdcRead, also: [.changefeed])

    // Operations.
    /// Asks how the core is.
    public static let ping = RPCMethod(60, "Ping", .read, [], also: [.changefeed, .exporter])
    /// Reads the statistics, as JSON.
    public static let stats = RPCMethod(61, "Stats", .read, .metricsRead, also: [.changefeed, .exporter])
    /// Reads the configuration, as JSON.
    public static let configGet = RPCMethod(62, "ConfigGet", .read, .configRead, also: [.changefeed, .exporter])
    /// Gives the core a sidecar's metrics.
    public static let metricsPush = RPCMethod(63, "MetricsPush", .control, [], also: [.changefeed, .exporter])
    /// Reads the metrics of the whole set.
    public static let metricsRead = RPCMethod(64, "MetricsRead", .read, .metricsRead, also: [.exporter])
    /// Reads all jobs.
    public static let jobList = RPCMethod(65, "JobList", .read, .admin)
    /// Reads one job.
    public static let jobGet = RPCMethod(66, "JobGet", .read, .admin)
    /// Stops a job.
    public static let jobCancel = RPCMethod(67, "JobCancel", .control, .admin)
    /// Writes what is in memory to files.
    public static let flush = RPCMethod(68, "Flush", .control, .admin)
    /// Compacts a key space, as a job.
    public static let compact = RPCMethod(69, "Compact", .control, .admin)

    /// Gives the core a sidecar's finished spans.
    public static let spansPush = RPCMethod(70, "SpansPush", .control, [], also: [.changefeed, .exporter])
    /// Takes the spans of the set, and waits for some.
    public static let spansTake = RPCMethod(71, "SpansTake", .control, .metricsRead, also: [.exporter], isEndless: true)

    // Transactions over several requests. The id stands in the metadata.
    /// Begins a transaction; both bodies are JSON.
    public static let transactionBegin = RPCMethod(88, "TransactionBegin", .control, .dataRead)
    /// Commits the transaction.
    public static let transactionCommit = RPCMethod(89, "TransactionCommit", .write, .dataWrite, joinsTransactions: true)
    /// Ends the transaction without a trace.
    public static let transactionRollback = RPCMethod(90, "TransactionRollback", .control, .dataRead, joinsTransactions: true)
    /// Reads what became of the transaction, as JSON.
    public static let transactionGet = RPCMethod(91, "TransactionGet", .read, .dataRead, joinsTransactions: true)
    /// Reads how many transactions there are and were, as JSON.
    public static let transactionStats = RPCMethod(92, "TransactionStats", .read, .metricsRead)

    /// Every row, in the order of their numbers.
    public static let all: [RPCMethod] = [
        write, writeAtomic, writeStream, get, multiGet, list, export, deleteRange, tableList, tableGet, tablePut, tableDrop,
        tableTruncate,
        changesRead, changesFollow, changesInfo, ping, stats, configGet, metricsPush, metricsRead, jobList, jobGet, jobCancel,
        flush, compact, spansPush, spansTake, query, indexCreate, indexDrop, indexList, indexStats, indexRebuild, indexReindex,
        verify, transactionBegin, transactionCommit, transactionRollback, transactionGet, transactionStats,
        edgePut, graphNeighbors, graphTraverse, graphShortestPath, ttlCleanup, graphRebuild,
    ]

    /// By number, with nil in the gaps: asked for every request.
    private static let byNumber: [RPCMethod?] = all.reduce(
        into: Array(repeating: nil, count: Int(all.map(\.number).max() ?? 0) + 1)
    ) {
        $0[Int($1.number)] = $1
    }

    /// The row with `number`, nil when there is none.
    public static func numbered(_ number: UInt16) -> RPCMethod? {
        number < byNumber.count ? byNumber[Int(number)] : nil
    }

    /// What stands behind the heading "Methods" of docs/rpc.md.
    public static var documentation: String {
        var text = """
            *Effect* says what repeating does: `read` nothing, `write` may change data again, `control` something else. Bodies are the
            messages named after the method (`Write` takes `WriteRequest` and answers `WriteResponse`), or what `themis.proto` says beside
            them; a method without one takes or answers an empty body.

            Written by `make docs` from the code; a test compares them.

            | Number | Method | Bodies | Effect | Scope | Roles | |
            |---|---|---|---|---|---|---|

            """
        for row in all {
            let roles = PeerRole.allCases.filter { row.roles.contains($0) }.map(\.word).joined(separator: " ")
            let cells = [
                String(row.number), row.name, row.shape.rawValue, row.effect.rawValue, row.scope.text, roles,
                row.isEndless ? "ended at once when the core drains" : row.joinsTransactions ? "may belong to a transaction" : "",
            ]
            text += "| \(cells.joined(separator: " | ")) |\n"
        }
        return text
    }
}
