/// Every hard bound that is not a setting, with its reason. `docs/limits.md` is generated from this file: one line a bound.
public enum Limits {
    /// Table names stand in keys, labels and paths.
    public static let tableNameBytes = 64
    /// Keys are compared on every read; long ones cost every block of the engine.
    public static let primaryKeyBytes = 512
    /// One document is parsed, logged and sent as a whole.
    public static let documentBytes = 8 << 20
    /// Nesting of JSON. The walk is iterative; the bound keeps paths and patches sane.
    public static let jsonDepth = 128
    /// Operations of one JSON Patch.
    public static let patchOperations = 10_000
    /// Bytes written, members compared and elements moved by one JSON Patch: few operations on large arrays cost more than many small ones.
    public static let patchSteps = 4 * documentBytes
    /// Paths of one projection; each is compared with every member.
    public static let projectionFields = 64
    /// Field errors that one answer names.
    public static let fieldErrors = 100
    /// Characters of an unknown field's name that an answer repeats.
    public static let fieldNameCharacters = 128
    /// A path into documents, such as `address.city`: it stands in definitions of indexes and is compared with every member's name.
    public static let pathBytes = 512
    /// Names and `[*]` of one path into documents.
    public static let pathSteps = 32
    /// Entities one page or multi-get may ask for.
    public static let pageEntities = 1_000
    /// Bytes of documents in one page or multi-get answer; what does not fit is named as unread or left to the cursor.
    public static let pageBytes = 32 << 20
    /// Indexes of one table: each costs every write.
    public static let tableIndexes = 64
    /// Columns of one index.
    public static let indexColumns = 16
    /// The values of one index entry, in their ordered form: they stand in a key. Longer texts are for a full-text index.
    public static let indexValueBytes = 8 << 10
    /// Faults in the order of expiry that one verification keeps for the repair; another one mends the rest.
    public static let faultyExpiries = 100_000
    /// Entries that one document may have in one index, one for each different element of an array.
    public static let indexEntries = 10_000
    /// Ranges of one index that a query may look into: the values of an `in`, multiplied over the columns.
    public static let indexRanges = 1_000
    /// Ranges of a geo index that stand for a part of the earth: more fit better, and each is a look into the index of its own.
    public static let geoRanges = 64
    /// The radius of a circle on the earth, in metres: no two points are farther apart.
    public static let geoRadiusMeters = 20_037_509
    /// The name of a vertex: the key of an entity fits.
    public static let vertexBytes = tableNameBytes + 1 + primaryKeyBytes
    /// The type of an edge: it stands in keys.
    public static let edgeTypeBytes = 256
    /// The weight of an edge: sums of many are still exact when they are whole.
    public static let edgeWeight = 1 << 53
    /// Edges between the start of a walk and its farthest vertex.
    public static let graphDepth = 64
    /// Vertices that one walk may reach: each is kept, mostly in 300–400 bytes.
    public static let graphVertices = 200_000
    /// Vertices that one walk may reach at one depth.
    public static let graphFrontier = 100_000
    /// Memory of one walk for the vertices that it has reached, in bytes: names may be long.
    public static let graphBytes = 96 << 20
    /// Edges that one walk may look at.
    public static let graphEdges = 2_000_000
    /// Edges that have expired and are not swept yet, as many as a walk keeps in mind; if there are more it reads each edge.
    public static let graphExpired = 10_000
    /// Vertices that one answer about a graph may ask for.
    public static let graphRows = 10_000
    /// Types of edges that one walk may name: each is a look into the index for every vertex.
    public static let graphTypes = 64
    /// Rows that one page of a query may ask for.
    public static let queryRows = 10_000
    /// Tests in one list of a query, and values of one `in`.
    public static let queryTests = 1_000
    /// Nesting of `or` and `and` in a query.
    public static let queryDepth = 16
    /// Entries and rows that one query may look at.
    public static let querySteps = 50_000_000
    /// Memory of one query for what it sorts and joins, in bytes.
    public static let queryBytes = 64 << 20
    /// The place in a cursor of a query, in bytes: it holds the values of the order.
    public static let queryAnchorBytes = 64 << 10
    /// Operations in an atomic bulk request: they are prepared, checked and written as one batch.
    public static let atomicOperations = 10_000
    /// Longest time to live of an entity, in seconds: a hundred years. Longer ones would not fit as points of time in milliseconds.
    public static let ttlSeconds: Int64 = 100 * 366 * 24 * 3_600
    /// Lines of one bulk stream that the core has and has not answered: each holds its key until then.
    public static let bulkLinesInFlight = 8_192
    /// Bytes in an atomic bulk request.
    public static let atomicBytes = 32 << 20
    /// Change records of one transaction, whole documents and their keys: patches are small, what they change is not, and a page of
    /// the changefeed holds whole transactions.
    public static let transactionBytes = atomicBytes + (6 << 20)
    /// Open transactions at once: each holds a state of the data, which compactions must keep.
    public static let transactions = 1_000
    /// What one transaction writes, in bytes, with keys and index entries: it is committed as one batch.
    public static let transactionWriteBytes = 32 << 20
    /// Keys and ranges that one serializable transaction reads; those that touch count once. Each is compared when it commits.
    public static let transactionReads = 100_000
    /// What all open transactions have written and read, in bytes of memory.
    public static let transactionsBytes = 256 << 20
    /// How long a transaction may be left alone, in milliseconds.
    public static let transactionIdleMilliseconds: Int64 = 30_000
    /// How long a transaction may last, in milliseconds: until then nothing that it might read can be removed.
    public static let transactionMilliseconds: Int64 = 300_000
    /// Keys of the last commits, in bytes of memory: a transaction that began before them cannot be validated.
    public static let transactionHistoryBytes = 64 << 20
    /// Times that a write of a transaction is tried beside other writes of the same one.
    public static let transactionWriteAttempts = 16
    /// One NDJSON line: a document and its envelope.
    public static let lineBytes = documentBytes + (64 << 10)
    /// A request id is echoed in logs and headers.
    public static let requestIDBytes = 128
    /// An idempotency key is part of a stored key.
    public static let idempotencyKeyBytes = 255
    /// The answer kept under an idempotency key.
    public static let idempotencyAnswerBytes = 4 << 10
    /// Keys remembered at once; beyond it new keyed writes are refused, none is dropped early.
    public static let idempotencyKeys = 1_000_000
    /// Bytes of remembered keys at once.
    public static let idempotencyBytes = 256 << 20
    /// How long a key is remembered, in milliseconds.
    public static let idempotencyMilliseconds: Int64 = 24 * 3_600 * 1_000
    /// The request line of HTTP.
    public static let requestLineBytes = 8 << 10
    /// All headers of one request together.
    public static let headerBytes = 16 << 10
    /// Headers of one request.
    public static let headerCount = 100
    /// The method of a request; every known one is far shorter.
    public static let methodBytes = 32
    /// Query parameters of one request; they are compared with each other.
    public static let queryParameters = 64
    /// One chunk of a chunked body: a size that no client sends is a mistake or an attack on arithmetic.
    public static let chunkBytes = 1 << 30
    /// Chunk extensions of one body together: they carry nothing for us.
    public static let chunkExtensionBytes = 4 << 10
    /// Interim answers (1xx) that a client reads over before the answer itself.
    public static let interimAnswers = 16
    /// Time for the headers of one request, in milliseconds: a slow sender holds only its own connection.
    public static let headerMilliseconds = 10_000
    /// Time for the body of one unary request, in milliseconds.
    public static let bodyMilliseconds = 30_000
    /// Connections that the clocks end at once, before a pause of two milliseconds: each costs an answer and mostly a new connection, and
    /// everyone else waits.
    public static let connectionEnds = 2
    /// Idle time of a kept-alive connection, in milliseconds.
    public static let keepAliveMilliseconds = 75_000
    /// Idle time of a streamed request body, in milliseconds.
    public static let streamIdleMilliseconds = 30_000
    /// How long a connection that is being closed still takes input, in milliseconds: closing on top of unread input would reset it and
    /// could destroy the answer on its way.
    public static let lingerMilliseconds = 2_000
    /// How many bytes of input a connection that is being closed still takes.
    public static let lingerBytes = 1 << 20
    /// How long a connection without a request stays open once a drain has begun, in milliseconds: what its client has just sent arrives.
    public static let drainLingerMilliseconds = 200
    /// Expansion of a compressed body: it may inflate at most to the body limit of its route.
    public static let inflateRatio = 200
    /// Expansion of a compressed body that is not judged by `inflateRatio` yet.
    public static let inflateFreeBytes = 1 << 20
    /// Answers below this are not compressed: the header costs more than it saves.
    public static let gzipSmallestBytes = 1 << 10
    /// Answers above this are not compressed as a whole: the loop would stand still for longer than a few milliseconds.
    public static let gzipLargestBytes = 1 << 20
    /// Unread body of a request that is read over after its answer to keep the connection; beyond it the connection closes.
    public static let bodyDrainBytes = 64 << 10
    /// Requests of one process that wait for their answers, streams and long polls apart: what waits longer than its caller is work for
    /// nothing. The process refuses more, and answers for its own health at once all the time.
    public static let httpRequestsInProgress = 4_096
    /// Refusals that one process sends in a second for want of room; further ones wait for their turn, and their connections with them. At
    /// some ten microseconds each they leave most of the time to what is admitted, however often clients ask again.
    public static let httpRefusalsPerSecond = 10_000
    /// New connections that are read ahead of others until they have asked for the first time: the newest ones. Operators have few.
    public static let newcomers = 64
    /// A read that brings less of an unfinished request is a drop, in bytes: any client sends at least a line at a time.
    public static let dropBytes = 64
    /// So many drops in a row are a trickle: some proxies send a head in a few pieces.
    public static let dropsOfTrickle = 8
    /// How often trickles are read, in milliseconds: hardly felt by a slow client that means well.
    public static let trickleMilliseconds = 10
    /// Trickles that are read at once, some hundred microseconds of work.
    public static let trickleReads = 64
    /// Body bytes of the requests in progress that one process holds, in all.
    public static let httpBodyBytes = 256 << 20
    /// Body bytes kept for a handler that has not asked for them yet; then reading pauses.
    public static let bodyBufferBytes = 64 << 10
    /// A streamed request body must bring this many bytes in each window, or it is a trickle that only holds resources.
    public static let streamRateBytes = 1 << 10
    /// The window of `streamRateBytes`, in milliseconds.
    public static let streamRateMilliseconds = 10_000
    /// How long a request goes on after its client has closed its sending half, in milliseconds. Closing fully looks the same at first.
    public static let halfCloseMilliseconds = 1_000
    /// How long an answer may stand still because its reader takes not one byte, in milliseconds. A slow reader is no stalled one.
    public static let writeStallMilliseconds = 30_000
    /// What a long poll may take beyond the wait it asked for, in milliseconds.
    public static let waitMarginMilliseconds = 5_000
    /// The kernel's send buffer of an event stream: without a bound it holds megabytes for each sleeping reader. Two segments of the
    /// loopback (64 KiB) must fit, or each waits for a delayed acknowledgement: 2 MB/s with 32 KiB, 1 GB/s with 64 KiB.
    public static let eventStreamSendBytes = 64 << 10
    /// The body of one RPC frame; larger bodies flow as DATA frames against credit.
    public static let frameBodyBytes = 64 << 10
    /// The metadata block before the body of a request.
    public static let frameMetadataBytes = 512
    /// The id of a principal; it travels with every request.
    public static let principalBytes = 128
    /// Names that two processes tell each other when they meet: instance, build, epoch.
    public static let instanceBytes = 128
    /// Unacknowledged bytes of one RPC stream.
    public static let streamCreditBytes = 256 << 10
    /// Exports and bulk requests of one gateway at once. Each may hold the credit of a stream while its client stands still.
    public static let streamsAtOnce = 64
    /// Unacknowledged bytes of all streams of one RPC connection: what all streams of a gateway may hold whose clients stand still, and as
    /// much again for everyone else.
    public static let connectionCreditBytes = 2 * streamsAtOnce * streamCreditBytes
    /// Requests one RPC connection may have unanswered; above it BUSY.
    public static let requestsInFlight = 1_024
    /// One RPC message put together from DATA frames: a page of changes that ends with the largest transaction, and its envelope.
    public static let messageBytes = transactionBytes + (6 << 20)
    /// Messages of one RPC connection that are being put together, in all.
    public static let assemblyBytes = 128 << 20
    /// Calls that wait in a client for a connection or for a free place in flight.
    public static let callsWaiting = 16_384
    /// Memory of one decoded protobuf message, as a multiple of its encoded size.
    public static let arenaFactor = 4
    /// Memory of one decoded protobuf message on top of that: the fixed cost of small ones.
    public static let arenaBytes = 32 << 10
    /// Tables of one database.
    public static let tables = 10_000
    /// Finished and running jobs that are remembered.
    public static let jobsKept = 1_000
    /// The path of a Unix socket: sockaddr_un holds 108 bytes with the terminator.
    public static let socketPathBytes = 107
    /// Bytes the committer draws into one batch.
    public static let commitBatchBytes = 4 << 20
    /// Times a stale prepare goes back to the pool before it is done inline.
    public static let prepareAttempts = 3
    /// Change records one page may hold.
    public static let changefeedPage = 10_000
    /// Bytes of one page of change records; the page ends early, at the end of a transaction.
    public static let changefeedPageBytes = 4 << 20
    /// Longest wait of a long poll, in milliseconds.
    public static let longPollMilliseconds = 60_000
    /// Log lines of one code in one second; the rest is counted and named in one line.
    public static let logLinesPerSecond = 10
    /// One line of the log; longer records are cut, and stay valid JSON.
    public static let logLineBytes = 16 << 10
    /// Different log texts watched for flooding at once; what goes beyond shares one window.
    public static let logWindows = 256
    /// Series of one metric: labels are closed sets, and a mistake must not eat the memory.
    public static let metricSeries = 1_000
    /// Bytes of one pushed metric snapshot.
    public static let metricSnapshotBytes = 1 << 20
    /// One label value in a pushed metric snapshot.
    public static let metricLabelBytes = 256
    /// Processes whose metrics the core adds up at once.
    public static let metricInstances = 256
    /// Ended processes whose metrics are still kept apart, so that one that comes back is not counted twice.
    public static let metricRetiredInstances = 256
    /// One text of a span: a name, a path, a user agent.
    public static let spanTextBytes = 256
    /// The caller's `tracestate`, which vendors may fill with this many bytes.
    public static let traceStateBytes = 512
    /// Attributes of one span.
    public static let spanAttributes = 32
    /// One encoded span: every text and attribute at its longest.
    public static let spanBytes = 24 << 10
    /// Finished spans that wait in a process for the core; more are dropped and counted.
    public static let spansWaiting = 4_096
    /// Bytes of finished spans that wait in a process.
    public static let spansWaitingBytes = 2 << 20
    /// Bytes of spans in one message to the core: they travel within the frame and need no credit that data could use.
    public static let spanPushBytes = 60 << 10
    /// Spans that the core takes in a second from the whole set: tracing must not cost what it measures.
    public static let spansPerSecond = 5_000
    /// Bytes of spans that wait in the core for an exporter.
    public static let spanBufferBytes = 8 << 20
    /// Bytes of spans that an exporter takes at once.
    public static let spanTakeBytes = 512 << 10
    /// Parts of what an exporter takes at once; each comes from one process.
    public static let spanGroups = 4_096
    /// Longest wait of an exporter for spans, in milliseconds.
    public static let spanWaitMilliseconds = 10_000
    /// Spans that wait in an exporter for their collector; while there is no room the core keeps them.
    public static let exporterSpans = 8_192
    /// Bytes of spans that wait in an exporter.
    public static let exporterSpanBytes = 8 << 20
    /// A configuration file: it is written by hand.
    public static let configurationBytes = 1 << 20
    /// Nesting of a configuration file.
    public static let configurationDepth = 16
    /// Keys, values and lists of a configuration file.
    public static let configurationNodes = 10_000
}
