import ThemisBase

/// What a caller asks of a graph. Bodies are read strictly: a field that nobody knows is refused.
struct GraphRequest: Sendable {
    /// What is said about each vertex of a walk.
    enum Shape: String, CaseIterable, Sendable {
        case vertices, edges, paths
    }

    /// The table of a graph when none is named.
    static let defaultTable = "edge"

    var table = TableName(stored: defaultTable)
    /// Where the walk begins, in its ordered coding.
    var start: [UInt8] = []
    /// Where it is to end.
    var target: [UInt8] = []
    var rule = EdgeRule()
    var depth = 0...3
    var limit = 1_000
    var shape: Shape?
    /// Tests of the vertices' documents.
    var condition = Condition.all([])
    var isWeighted = false

    /// The body of POST `/graph/traverse`.
    ///
    /// - Throws: `invalid_json`, `invalid_request`, `unknown_parameter`, `invalid_key`.
    static func traversal(_ body: [UInt8]) throws(ThemisError) -> GraphRequest {
        try JSONObjectReader.read(body) { (fields) throws(ThemisError) in
            var request = GraphRequest()
            request.start = vertex(&fields, "start_vertex")
            let least = fields.optionalInteger("min_depth", in: 0...Limits.graphDepth) ?? 0
            let most = fields.optionalInteger("max_depth", in: 0...Limits.graphDepth) ?? 3
            if least > most { fields.refuse("min_depth", "is greater than max_depth") }
            request.depth = min(least, most)...most
            request.limit = fields.optionalInteger("limit", in: 1...Limits.graphRows) ?? request.limit
            request.shape = fields.optionalWord("return", of: Shape.self)
            try request.readRule(&fields) { (fields) throws(ThemisError) in try tests(&fields, "vertices") }
            return request
        }
    }

    /// The body of POST `/graph/shortest_path`.
    ///
    /// - Throws: as `traversal`.
    static func path(_ body: [UInt8]) throws(ThemisError) -> GraphRequest {
        try JSONObjectReader.read(body) { (fields) throws(ThemisError) in
            var request = GraphRequest()
            request.start = vertex(&fields, "from")
            request.target = vertex(&fields, "to")
            request.isWeighted = fields.optionalBool("weighted") ?? false
            try request.readRule(&fields) { (_) in .all([]) }
            return request
        }
    }

    /// What GET `/graph/neighbors/{vertex}` asks for, as an object.
    ///
    /// - Throws: as `traversal`.
    static func neighbors(_ body: [UInt8]) throws(ThemisError) -> GraphRequest {
        try JSONObjectReader.read(body) { (fields) throws(ThemisError) in
            var request = GraphRequest()
            request.start = vertex(&fields, "vertex")
            request.limit = fields.optionalInteger("limit", in: 1...Limits.graphRows) ?? 100
            try request.readRule(&fields) { (_) in .all([]) }
            return request
        }
    }

    /// What all of them may say about the edges to be followed; `vertices` reads the tests of vertices.
    private mutating func readRule(
        _ fields: inout JSONObjectReader, vertices: (inout JSONObjectReader) throws(ThemisError) -> Condition
    ) throws(ThemisError) {
        if let name = fields.optionalString("table") { table = try TableName(validating: name) }
        rule.direction = fields.optionalWord("direction", of: EdgeDirection.self) ?? .outbound
        let types = Set(fields.optionalStrings("types", count: 1...Limits.graphTypes) ?? [])
        rule.types = types.map { OrderedCoding.coding(of: .string($0)) }.sorted { $0.lexicographicallyPrecedes($1) }
        rule.time = fields.optionalInteger("at")
        let conditions = try fields.optionalObject("filter") { (fields) throws(ThemisError) in
            (try Self.tests(&fields, "edges"), try vertices(&fields))
        }
        if let conditions { (rule.condition, condition) = conditions }
    }

    private static func tests(_ fields: inout JSONObjectReader, _ name: String) throws(ThemisError) -> Condition {
        let parts = try fields.optionalObjects(name, count: 0...Limits.queryTests) { (fields) throws(ThemisError) in
            try PredicateQuery.predicate(&fields, depth: 1)
        }
        return .all(parts ?? [])
    }

    private static func vertex(_ fields: inout JSONObjectReader, _ name: String) -> [UInt8] {
        OrderedCoding.coding(of: .string(fields.string(name, length: 1...Limits.vertexBytes)))
    }
}
