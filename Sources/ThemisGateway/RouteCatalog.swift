import ThemisBase
import ThemisNet
import ThemisRuntime
import ThemisTelemetry

/// The one list of the gateway's routes. `docs/openapi.yaml` says the same (a test compares them).
@NetLoop enum RouteCatalog {
    /// Every route that is answered by `gateway` itself.
    static func routes(_ gateway: Gateway) -> [Route] {
        let set = SetRoutes(gateway: gateway)
        return OperationsRoutes.routes(
            uptimeSeconds: { gateway.process.uptimeSeconds }, missing: { gateway.missing }, health: { await set.health() })
            + operations(gateway) + entities(gateway) + tables(gateway) + queries(gateway) + graphs(gateway) + transactions(gateway)
            + jobs(gateway)
    }

    private static func operations(_ gateway: Gateway) -> [Route] {
        let routes = SetRoutes(gateway: gateway)
        return [
            Route(.get, "/version", scope: nil, summary: "What runs.") { try await routes.version($0) },
            Route(.get, "/metrics", scope: .metricsRead, summary: "Metrics of the whole set.") { try await routes.metrics($0) },
            Route(.get, "/stats", scope: .metricsRead, summary: "Storage, changefeed and peers.") { try await routes.stats($0) },
            Route(.get, "/config", scope: .configRead, parameters: ["view"], summary: "The running configuration.") {
                try await routes.config($0)
            },
        ]
    }

    private static func entities(_ gateway: Gateway) -> [Route] {
        let reads = EntityReadRoutes(gateway: gateway)
        let writes = EntityWriteRoutes(gateway: gateway)
        let bulk = BulkRoutes(gateway: gateway)
        let tables = TableRoutes(gateway: gateway)
        return [
            .direct(
                .post, "/entities", scope: .dataWrite, parameters: ["atomic"], summary: "Write one entity, or many.",
                handler: { (exchange) throws(ThemisError) in try bulk.post(exchange) }),
            Route(
                .get, "/entities", scope: .dataRead,
                parameters: ["table", "prefix", "limit", "cursor", "reverse", "return", "min_sequence"],
                summary: "A page of a table, or all of it."
            ) { try await reads.list($0) },
            Route(
                .delete, "/entities", .job, scope: .dataWrite, parameters: ["table", "prefix"],
                summary: "Delete a range of a table."
            ) {
                try await tables.deleteRange($0)
            },
            Route(.post, "/entities/get", scope: .dataRead, parameters: ["min_sequence"], summary: "Read entities by key.") {
                try await reads.multiGet($0)
            },
            .direct(
                .put, "/entities/{key*}", scope: .dataWrite, summary: "Create or replace an entity.",
                handler: { (exchange) throws(ThemisError) in try writes.put(exchange) }),
            .direct(
                .patch, "/entities/{key*}", scope: .dataWrite, summary: "Change an entity.",
                handler: { (exchange) throws(ThemisError) in try writes.patch(exchange) }),
            .direct(
                .get, "/entities/{key*}", scope: .dataRead, parameters: ["fields", "min_sequence"], summary: "Read an entity.",
                handler: { (exchange) throws(ThemisError) in try reads.get(exchange) }),
            .direct(
                .delete, "/entities/{key*}", scope: .dataWrite, summary: "Delete an entity.",
                handler: { (exchange) throws(ThemisError) in try writes.delete(exchange) }),
        ]
    }

    private static func tables(_ gateway: Gateway) -> [Route] {
        let tables = TableRoutes(gateway: gateway)
        return [
            Route(.get, "/tables", scope: .dataRead, parameters: ["min_sequence"], summary: "All tables.") {
                try await tables.list($0)
            },
            Route(.get, "/tables/{table}", scope: .dataRead, parameters: ["min_sequence"], summary: "One table.") {
                try await tables.get($0)
            },
            Route(.put, "/tables/{table}", scope: .dataWrite, summary: "Create a table or change its settings.") {
                try await tables.put($0)
            },
            Route(.delete, "/tables/{table}", scope: .dataWrite, summary: "Drop a table.") { try await tables.drop($0) },
            Route(.post, "/tables/{table}/truncate", scope: .dataWrite, summary: "Delete all entities of a table.") {
                try await tables.truncate($0)
            },
        ]
    }

    private static func queries(_ gateway: Gateway) -> [Route] {
        let queries = QueryRoutes(gateway: gateway)
        return [
            Route(.post, "/query", scope: .dataRead, parameters: ["min_sequence"], summary: "Ask for entities by their values.") {
                try await queries.query($0)
            },
            Route(.post, "/index/create", scope: .dataWrite, summary: "Create an index.") { try await queries.create($0) },
            Route(.post, "/index/drop", scope: .dataWrite, summary: "Drop an index.") { try await queries.drop($0) },
            Route(.get, "/index/list", scope: .dataRead, parameters: ["table"], summary: "The indexes of a table, or all.") {
                try await queries.list($0)
            },
            Route(
                .get, "/index/stats", scope: .dataRead, parameters: ["table", "column", "type"],
                summary: "Counts and estimates of indexes."
            ) { try await queries.stats($0) },
            Route(.post, "/index/rebuild", .job, scope: .admin, summary: "Build an index anew.") { try await queries.rebuild($0) },
            Route(.post, "/index/reindex", scope: .admin, summary: "Build the indexes of a table anew.") {
                try await queries.reindex($0)
            },
            Route(.post, "/admin/verify", .job, scope: .admin, summary: "Compare indexes with entities; look for gaps.") {
                try await queries.verify($0)
            },
            Route(.post, "/admin/ttl/cleanup", .job, scope: .admin, summary: "Remove entities that have expired.") {
                try await queries.ttlCleanup($0)
            },
        ]
    }

    private static func graphs(_ gateway: Gateway) -> [Route] {
        let graphs = GraphRoutes(gateway: gateway)
        return [
            Route(.post, "/graph/edge", scope: .dataWrite, parameters: ["table"], summary: "Create or replace an edge.") {
                try await graphs.putEdge($0)
            },
            Route(.delete, "/graph/edge/{id*}", scope: .dataWrite, parameters: ["table"], summary: "Delete an edge.") {
                try await graphs.deleteEdge($0)
            },
            Route(
                .get, "/graph/neighbors/{vertex*}", scope: .dataRead,
                parameters: ["direction", "type", "limit", "at", "table", "min_sequence"], summary: "The edges of a vertex."
            ) { try await graphs.neighbors($0) },
            Route(
                .post, "/graph/traverse", scope: .dataRead, parameters: ["min_sequence"], summary: "The vertices around one, nearest first."
            ) { try await graphs.traverse($0) },
            Route(
                .post, "/graph/shortest_path", scope: .dataRead, parameters: ["min_sequence"],
                summary: "The shortest way between two vertices."
            ) { try await graphs.shortestPath($0) },
            Route(
                .post, "/admin/graph/rebuild-topology", .job, scope: .admin,
                summary: "Compare adjacency with the edges; build it anew."
            ) { try await graphs.rebuild($0) },
        ]
    }

    private static func transactions(_ gateway: Gateway) -> [Route] {
        let transactions = TransactionRoutes(gateway: gateway)
        return [
            Route(.post, "/transaction", scope: .dataWrite, summary: "Write several entities, all or none.") {
                try await transactions.atomic($0)
            },
            Route(.post, "/transaction/begin", scope: .dataRead, summary: "Begin a transaction over several requests.") {
                try await transactions.begin($0)
            },
            Route(.post, "/transaction/commit", scope: .dataWrite, summary: "Commit a transaction.") {
                try await transactions.commit($0)
            },
            Route(.post, "/transaction/rollback", scope: .dataRead, summary: "End a transaction without a trace.") {
                try await transactions.rollback($0)
            },
            Route(.get, "/transaction/stats", scope: .metricsRead, summary: "How many transactions there are and were.") {
                try await transactions.stats($0)
            },
            Route(.get, "/transaction/{id}", scope: .dataRead, summary: "What became of a transaction.") {
                try await transactions.get($0)
            },
        ]
    }

    private static func jobs(_ gateway: Gateway) -> [Route] {
        let jobs = JobRoutes(gateway: gateway)
        return [
            Route(.get, "/admin/jobs", scope: .admin, summary: "Jobs, newest first.") { try await jobs.list($0) },
            Route(.get, "/admin/jobs/{id}", scope: .admin, summary: "One job.") { try await jobs.get($0) },
            Route(.delete, "/admin/jobs/{id}", scope: .admin, summary: "Cancel a job.") { try await jobs.cancel($0) },
            Route(.post, "/admin/flush", scope: .admin, summary: "Write memory tables to files.") { try await jobs.flush($0) },
            Route(.post, "/admin/compact", .job, scope: .admin, summary: "Compact the storage.") { try await jobs.compact($0) },
        ]
    }
}
