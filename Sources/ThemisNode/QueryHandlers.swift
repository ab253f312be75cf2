import ThemisBase
import ThemisDatabase
import ThemisRPC

/// Queries and indexes. Their bodies are JSON: what they say is proved here and in the database, once.
extension CoreService {
    /// A question whose body and answer are texts, asked within the caller's transaction if there is one.
    func ask(
        _ call: RPCServerCall,
        _ answer: @escaping @Sendable (Database) -> ([UInt8], TransactionReference?, CallContext) throws(ThemisError) -> [UInt8]
    ) {
        let database = core.database
        let transaction = call.transaction
        read(call) { (request: TextRequest, context) throws(ThemisError) in
            TextResponse(text: try answer(database)(request.text, transaction, context))
        }
    }

    func query(_ call: RPCServerCall) { ask(call, Database.query(_:in:_:)) }

    func indexCreate(_ call: RPCServerCall) {
        let database = core.database
        onPool(call) { (request: TextRequest, _) throws(ThemisError) in
            let definition = try IndexJSON.definition(request.text)
            if let token = try Self.token(call, request) {
                let principal = call.metadata.principal
                let kept = try database.createIndex(definition, once: token, principal: principal) { index, created, job in
                    JSONValue.object([
                        JSONMember("index", IndexJSON.value(index)), JSONMember("created", .bool(created)),
                        JSONMember("job", job.map { .string($0) } ?? .null),
                    ]).bytes
                }
                return try Self.response(kept, database)
            }
            let answer = try database.createIndex(definition)
            return IndexCreateResponse(
                text: IndexJSON.value(answer.index).bytes, created: answer.created, job: answer.job.map { JobMessage($0) })
        }
    }

    /// The kept answer of a create as its response. The job is as it is now: nil when it is long over.
    private nonisolated static func response(_ kept: KeptAnswer, _ database: Database) throws(ThemisError) -> IndexCreateResponse {
        let answer = try JSONValue(parsing: kept.text)
        return IndexCreateResponse(
            text: (answer["index"] ?? .null).bytes, created: answer["created"]?.boolValue ?? false,
            job: (answer["job"]?.stringValue).flatMap { database.job($0) }.map { JobMessage($0) }, replayed: kept.replayed)
    }

    /// The idempotency key of an index write. What its request says is its method and its body.
    private nonisolated static func token(_ call: RPCServerCall, _ request: TextRequest) throws(ThemisError) -> IdempotencyToken? {
        guard !call.metadata.idempotencyKey.isEmpty else { return nil }
        var bytes: [UInt8] = []
        bytes.appendLengthPrefixed(call.method.name.utf8)
        bytes.appendLengthPrefixed(request.text)
        return try IdempotencyToken(key: call.metadata.idempotencyKey, fingerprint: Digest.sha256(bytes))
    }

    func indexDrop(_ call: RPCServerCall) {
        let database = core.database
        onPool(call) { (request: TextRequest, _) throws(ThemisError) in
            let target = try IndexJSON.target(request.text)
            let answer: @Sendable (IndexInfo) -> [UInt8] = { index in
                JSONValue.object([JSONMember("dropped", true), JSONMember("index", IndexJSON.value(index))]).bytes
            }
            if let token = try Self.token(call, request) {
                let kept = try database.dropIndex(
                    target.table, columns: target.columns, type: target.type, once: token, principal: call.metadata.principal, answer)
                return TextResponse(text: kept.text, replayed: kept.replayed)
            }
            return TextResponse(text: answer(try database.dropIndex(target.table, columns: target.columns, type: target.type)))
        }
    }

    func indexList(_ call: RPCServerCall) {
        let database = core.database
        read(call) { (request: TextRequest, _) throws(ThemisError) in
            let target = try IndexJSON.selection(request.text)
            let indexes = try database.indexes(target.table).map { IndexJSON.value($0) }
            return TextResponse(text: JSONValue.object([JSONMember("indexes", .array(indexes))]).bytes)
        }
    }

    func indexStats(_ call: RPCServerCall) {
        let database = core.database
        read(call) { (request: TextRequest, context) throws(ThemisError) in
            let target = try IndexJSON.selection(request.text)
            let indexes = try database.indexStatistics(target.table, columns: target.columns, type: target.type, context)
            return TextResponse(text: JSONValue.object([JSONMember("indexes", .array(indexes.map { IndexJSON.value($0) }))]).bytes)
        }
    }

    func indexRebuild(_ call: RPCServerCall) {
        let database = core.database
        onPool(call) { (request: TextRequest, _) throws(ThemisError) in
            let target = try IndexJSON.target(request.text)
            let job = try database.rebuildIndex(target.table, columns: target.columns, type: target.type)
            return JobResponse(job: JobMessage(job))
        }
    }

    func verify(_ call: RPCServerCall) {
        let database = core.database
        onPool(call) { (request: TextRequest, _) throws(ThemisError) in
            var repairs = false
            if !request.text.isEmpty {
                repairs = try JSONObjectReader.read(request.text) { (fields) in fields.optionalBool("repair") ?? false }
            }
            return JobResponse(job: JobMessage(try database.verify(repairs: repairs)))
        }
    }

    func ttlCleanup(_ call: RPCServerCall) {
        let database = core.database
        onPool(call) { (request: TextRequest, _) throws(ThemisError) in
            var table: TableName?
            var acceptsClock = false
            if !request.text.isEmpty {
                try JSONObjectReader.read(request.text) { (fields) throws(ThemisError) in
                    if let name = fields.optionalString("table") { table = try TableName(validating: name) }
                    acceptsClock = fields.optionalBool("accept_clock") ?? false
                }
            }
            return JobResponse(job: JobMessage(try database.cleanExpired(table, acceptsClock: acceptsClock)))
        }
    }

    func indexReindex(_ call: RPCServerCall) {
        let database = core.database
        onPool(call) { (request: TextRequest, _) throws(ThemisError) in
            let table = try IndexJSON.table(request.text)
            return JobListResponse(jobs: try database.reindex(table).map { JobMessage($0) })
        }
    }
}

/// Indexes in the words of the public interface.
enum IndexJSON {
    /// Which index a request means.
    struct Target: Sendable {
        var table: TableName
        var columns: [JSONPath]
        var type: String?
    }

    /// Which indexes a request means: all that it does not exclude.
    struct Selection: Sendable {
        var table: TableName?
        var columns: [JSONPath] = []
        var type: String?
    }

    /// The body of `/index/create`.
    ///
    /// - Throws: `invalid_json`, `invalid_request`, `unknown_parameter`, `invalid_key`, `not_implemented`.
    static func definition(_ body: [UInt8]) throws(ThemisError) -> IndexDefinition {
        try JSONObjectReader.read(body) { (fields) throws(ThemisError) in
            let table = try TableName(validating: fields.string("table"))
            let columns = try columns(&fields)
            let isUnique = fields.optionalBool("unique") ?? false
            let type = fields.string("type")
            // The other types have no settings: every key in it is unknown.
            let settings = try fields.optionalObject("config") { (config) in
                guard type == "ttl" else { return IndexSettings() }
                return IndexSettings(
                    ttlSeconds: config.optionalInteger("ttl_seconds", in: 1...Limits.ttlSeconds),
                    isExpiryInColumn: config.optionalBool("expire_at") ?? false)
            }
            return try IndexDefinition(
                table: table, type: type, columns: columns, isUnique: isUnique, settings: settings ?? IndexSettings())
        }
    }

    /// The body of `/index/drop` and `/index/rebuild`.
    static func target(_ body: [UInt8]) throws(ThemisError) -> Target {
        try JSONObjectReader.read(body) { (fields) throws(ThemisError) in
            Target(
                table: try TableName(validating: fields.string("table")), columns: try columns(&fields),
                type: fields.optionalString("type"))
        }
    }

    /// The body of `/index/reindex`.
    static func table(_ body: [UInt8]) throws(ThemisError) -> TableName {
        try JSONObjectReader.read(body) { (fields) throws(ThemisError) in try TableName(validating: fields.string("table")) }
    }

    /// What `/index/list` and `/index/stats` ask for.
    static func selection(_ body: [UInt8]) throws(ThemisError) -> Selection {
        try JSONObjectReader.read(body) { (fields) throws(ThemisError) in
            var selection = Selection()
            if let name = fields.optionalString("table") { selection.table = try TableName(validating: name) }
            if fields.has("column") || fields.has("columns") { selection.columns = try columns(&fields) }
            selection.type = fields.optionalString("type")
            return selection
        }
    }

    /// `column`, or `columns`. Several columns may also stand in `column` with `+` between them, as indexes are named.
    ///
    /// An edge index has always the same, and need not name them.
    private static func columns(_ fields: inout JSONObjectReader) throws(ThemisError) -> [JSONPath] {
        let texts: [String]
        if !fields.has("column"), !fields.has("columns"), let columns = fixedColumns(&fields) { return columns }
        if fields.has("columns") {
            if fields.has("column") { fields.refuse("column", "is given together with columns") }
            _ = fields.optionalValue("column")
            texts = fields.strings("columns", count: 1...Limits.indexColumns)
        } else {
            texts = fields.string("column").split(separator: "+", omittingEmptySubsequences: false).map(String.init)
        }
        var columns: [JSONPath] = []
        for text in texts {
            do throws(ThemisError) {
                columns.append(try JSONPath(text))
            } catch {
                fields.refuse("column", error.message)
            }
        }
        guard !columns.isEmpty, columns.count == texts.count else {
            throw ThemisError(.invalidRequest, "column: name the column that is meant, or several in columns")
        }
        return columns
    }

    private static func fixedColumns(_ fields: inout JSONObjectReader) -> [JSONPath]? {
        fields.optionalString("type").flatMap { IndexDefinition.fixedColumns(of: $0) }
    }

    private static func members(_ info: IndexInfo) -> [JSONMember] {
        [
            JSONMember("table", .string(info.definition.table.text)), JSONMember("column", .string(info.definition.name)),
            JSONMember("columns", .array(info.definition.columns.map { .string($0.text) })),
            JSONMember("type", .string(info.definition.type)), JSONMember("unique", .bool(info.definition.isUnique)),
            JSONMember("state", .string(info.isReplacement ? "rebuilding" : info.state.word)),
            JSONMember("entries", .integer(info.entries)), JSONMember("bytes", .integer(info.bytes)),
            JSONMember("created", .string(Timestamp.text(milliseconds: info.createdMilliseconds))),
        ] + info.definition.settings.members
    }

    static func value(_ info: IndexInfo) -> JSONValue { .object(members(info)) }

    static func value(_ statistics: IndexStatistics) -> JSONValue {
        .object(
            members(statistics.info) + [
                JSONMember("cardinality", .integer(statistics.cardinality)),
                JSONMember("cardinality_exact", .bool(statistics.isCardinalityExact)),
            ])
    }
}
