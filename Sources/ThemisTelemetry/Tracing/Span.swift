import ThemisBase

/// What a span is to those around it. The numbers are those of OTLP.
public enum SpanKind: UInt8, Sendable {
    /// A step within a process.
    case `internal` = 1
    /// Answers a request from another process.
    case server = 2
    /// Waits for another process.
    case client = 3
}

/// The value of an attribute.
public enum SpanValue: Sendable, Equatable {
    /// A text; longer ones than `Limits.spanTextBytes` are cut.
    case text(String)
    /// A whole number.
    case integer(Int64)
    /// Yes or no.
    case bool(Bool)
}

/// One thing that is known of a span.
public struct SpanAttribute: Sendable, Equatable {
    /// The name: for spans made here the word of a `SpanKey`.
    public let key: String
    /// The value.
    public let value: SpanValue

    /// An attribute of this name.
    public init(_ key: String, _ value: SpanValue) {
        self.key = key
        self.value = value
    }
}

/// A finished span. A value; any thread.
public struct Span: Sendable, Equatable {
    /// Its trace and its own id.
    public var context: Traceparent
    /// The span that it belongs under; 0 for the root of a trace.
    public var parent: UInt64
    /// Whether the parent belongs to another process.
    public var isParentRemote: Bool
    /// What it is to those around it.
    public var kind: SpanKind
    /// A low-cardinality name: a route, a method, a stage.
    public var name: String
    /// The caller's `tracestate`, unchanged.
    public var traceState: String
    /// Nanoseconds since 1970-01-01 UTC.
    public var startNanoseconds: UInt64
    /// Nanoseconds since 1970-01-01 UTC, never before the start.
    public var endNanoseconds: UInt64
    /// What went wrong, as a word of a closed set; empty when nothing did.
    public var error: String
    /// What else is known.
    public var attributes: [SpanAttribute]

    /// A span with these members.
    public init(
        context: Traceparent, parent: UInt64 = 0, isParentRemote: Bool = false, kind: SpanKind, name: String, traceState: String = "",
        startNanoseconds: UInt64, endNanoseconds: UInt64, error: String = "", attributes: [SpanAttribute] = []
    ) {
        self.context = context
        self.parent = parent
        self.isParentRemote = isParentRemote
        self.kind = kind
        self.name = name
        self.traceState = traceState
        self.startNanoseconds = startNanoseconds
        self.endNanoseconds = endNanoseconds
        self.error = error
        self.attributes = attributes
    }

    /// The value of the attribute called `key`.
    public func value(_ key: SpanKey) -> SpanValue? { attributes.first { $0.key == key.rawValue }?.value }
}

/// The names of the attributes that spans of this product have: those of OpenTelemetry's stable semantic conventions, and a few of our own.
public enum SpanKey: String, Sendable, CaseIterable {
    /// The method of a request; `_OTHER` for one that is not known.
    case httpMethod = "http.request.method"
    /// The method as spelled, when it is not known.
    case httpMethodOriginal = "http.request.method_original"
    /// The pattern of the route that matched.
    case httpRoute = "http.route"
    /// The status of the answer.
    case httpStatus = "http.response.status_code"
    /// The path of the request, without its query.
    case urlPath = "url.path"
    /// `http`.
    case urlScheme = "url.scheme"
    /// The host that the client named, or the socket that is called.
    case serverAddress = "server.address"
    /// The port that the client named.
    case serverPort = "server.port"
    /// The address of the client.
    case clientAddress = "client.address"
    /// `1.1` or `1.0`.
    case protocolVersion = "network.protocol.version"
    /// `unix`.
    case transport = "network.transport"
    /// What the client says that it is.
    case userAgent = "user_agent.original"
    /// What went wrong: a status, or a word of docs/errors.md.
    case errorType = "error.type"
    /// `themis`.
    case rpcSystem = "rpc.system.name"
    /// The method that is called.
    case rpcMethod = "rpc.method"
    /// The code that the core answered with, when it was an error.
    case rpcStatus = "rpc.response.status_code"
    /// `themis`.
    case dbSystem = "db.system.name"
    /// What the core is asked to do.
    case dbOperation = "db.operation.name"
    /// The `X-Request-Id` of the answer, which stands in the log too.
    case requestID = "themis.request_id"
    /// Change records that were written together.
    case batchRecords = "themis.batch.records"
    /// Whether the write went back to be prepared again, and how often.
    case attempts = "themis.commit.attempts"
}
