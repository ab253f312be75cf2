import ThemisBase

/// Edges of a graph: who is next to whom, in both directions, with all that a walk needs of an edge.
struct EdgeIndex: IndexKind {
    static let word = "edge"
    static let canBeUnique = false
    /// The columns of every edge index.
    static let columns = [path("_from"), path("_to")]
    let paths = columns + [path("_type"), path("_weight"), path("valid_from"), path("valid_to")]

    private static func path(_ text: String) -> JSONPath {
        do throws(ThemisError) { return try JSONPath(text) } catch { preconditionFailure("a name is a path: \(error)") }
    }

    init(columns: [JSONPath]) throws(ThemisError) {
        guard columns == Self.columns else { throw IndexDefinition.error("columns", "an edge index has the columns _from and _to") }
    }

    /// Two for an edge, none for a document with neither end.
    func entries(of columns: [ColumnValues]) throws(ThemisError) -> [[UInt8]] {
        let values = columns.map { column in column.codings.first.map { Value(coding: $0, isKept: column.isKept) } ?? Value() }
        if values[0].json.isNull, values[1].json.isNull { return [] }
        for end in [0, 1] {
            let bytes = values[end].json.stringValue?.utf8.count ?? 0
            guard values[end].isKept, (1...Limits.vertexBytes).contains(bytes) else {
                throw Self.error(columns[end].path, "must be a string of 1–\(Limits.vertexBytes) bytes, the name of a vertex")
            }
        }
        let type = values[2].json.isNull ? Value(.string("")) : values[2]
        guard type.isKept, let text = type.json.stringValue, text.utf8.count <= Limits.edgeTypeBytes else {
            throw Self.error(columns[2].path, "must be a string of at most \(Limits.edgeTypeBytes) bytes")
        }
        let weight = values[3].json.isNull ? Value(.integer(1)) : values[3]
        guard weight.isKept, let number = weight.json.doubleValue, (0...Double(Limits.edgeWeight)).contains(number) else {
            throw Self.error(columns[3].path, "must be a number from 0 to \(Limits.edgeWeight)")
        }
        for bound in [4, 5] where !values[bound].json.isNull && values[bound].json.int64Value == nil {
            throw Self.error(columns[bound].path, "must be a whole number of milliseconds since 1970")
        }
        if let begin = values[4].json.int64Value, let end = values[5].json.int64Value, begin > end {
            throw Self.error(columns[5].path, "must not be before \(columns[4].path)")
        }
        let rest = values[4].coding + values[5].coding + weight.coding
        let (from, to) = (values[0].coding, values[1].coding)
        return [
            EdgeEntry.prefix(.outbound, from[...], type.coding) + to + rest, EdgeEntry.prefix(.inbound, to[...], type.coding) + from + rest,
        ]
    }

    private struct Value {
        var coding = OrderedCoding.null
        var isKept = true
        var json = JSONValue.null

        init() {}

        init(_ json: JSONValue) {
            self.json = json
            coding = OrderedCoding.coding(of: json)
        }

        init(coding: [UInt8], isKept: Bool) {
            self.coding = coding
            self.isKept = isKept
            var reader = ByteReader(coding)
            json = OrderedCoding.value(from: &reader) ?? .null
        }
    }

    private static func error(_ path: JSONPath, _ message: String) -> ThemisError {
        ThemisError(.unprocessable, "\(path) of an edge \(message)", fields: [FieldError(path.text, message)])
    }

    /// It serves walks, not tests of columns.
    func access(_ conjunction: Conjunction) -> IndexRanges? { nil }

    var isComplete: Bool { false }
    var isOrdered: Bool { false }
    var entryValues: Int { EdgeEntry.values }
    var isValueItself: Bool { false }
    var skipsNull: Bool { false }
}
