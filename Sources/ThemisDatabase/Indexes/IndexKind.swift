import ThemisBase

/// The values that one document has at one path, in their ordered coding.
struct ColumnValues: Sendable {
    let path: JSONPath
    /// None when nothing is there; several only for a path with `[*]`.
    var codings: [[UInt8]] = []
    /// False when one of them has no place of its own in the order (see `OrderedCoding.append`).
    var isKept = true
}

/// What an index of one type does: which entries a document has, and how the entries serve a query.
///
/// There are no defaults: a new type has to think about every member. Entries are values in their ordered coding, without the id of the
/// index before and the primary key behind them. Pure: any thread.
protocol IndexKind: Sendable {
    /// The word of the public interface.
    static var word: String { get }

    /// Whether equal entries are equal values, so that an index of this type can keep them apart.
    static var canBeUnique: Bool { get }

    /// - Throws: `invalid_request` when columns of this number or form cannot be indexed so.
    init(columns: [JSONPath]) throws(ThemisError)

    /// What of a document the entries are made of.
    var paths: [JSONPath] { get }

    /// The entries of a document with these values of `paths`, sorted and each once.
    ///
    /// - Throws: `unprocessable` when a value cannot be indexed.
    func entries(of columns: [ColumnValues]) throws(ThemisError) -> [[UInt8]]

    /// Which part of the entries holds all entities that can pass `conjunction`; nil when this type cannot tell.
    func access(_ conjunction: Conjunction) -> IndexRanges?

    /// Whether every entity of the table has exactly one entry, so that the entries in their order are the table in that order.
    var isComplete: Bool { get }

    /// Whether the entries come in the order of the columns' values.
    var isOrdered: Bool { get }

    /// The ordered codings of which an entry consists.
    var entryValues: Int { get }

    /// Whether with one column without `[*]` its one entry for a document is the value itself, with null for what is missing.
    var isValueItself: Bool { get }

    /// Whether null, and what is missing, has no entry.
    var skipsNull: Bool { get }
}

/// The one list of index types.
enum IndexCatalog {
    static let kinds: [any IndexKind.Type] = [
        EqualityIndex.self, RangeIndex.self, CompositeIndex.self, SparseIndex.self, GeoIndex.self, TTLIndex.self, EdgeIndex.self,
    ]

    /// Types of the public interface that this version does not have.
    static let missing = ["fulltext", "vector"]

    static func kind(_ word: String) -> (any IndexKind.Type)? { kinds.first { $0.word == word } }

    /// Every word, for error texts.
    static var words: String { kinds.map { $0.word }.joined(separator: ", ") }
}

/// What the kinds over ordered values share.
enum ColumnEntries {
    /// Every combination of one value for each column; what is missing counts as null, unless a column is expanded.
    ///
    /// - Throws: `unprocessable`.
    static func all(_ columns: [ColumnValues], skipsNull: Bool = false) throws(ThemisError) -> [[UInt8]] {
        if columns.count == 1, let only = single(columns[0]) { return skipsNull && OrderedCoding.isNull(only) ? [] : [only] }
        var entries: [[UInt8]] = [[]]
        for column in columns {
            guard column.isKept else {
                throw ThemisError(
                    .unprocessable,
                    "column \(column.path) is indexed and holds a number beyond every double or a lone surrogate",
                    fields: [FieldError(column.path.text, "cannot be indexed: a number beyond every double, or a lone surrogate")])
            }
            var codings = column.codings
            if codings.isEmpty, !column.path.isExpanded { codings = [OrderedCoding.null] }
            if skipsNull { codings.removeAll { OrderedCoding.isNull($0) } }
            if codings.count > 1 { codings = Array(Set(codings)).sorted { $0.lexicographicallyPrecedes($1) } }
            guard codings.count * entries.count <= Limits.indexEntries else {
                throw ThemisError(
                    .unprocessable, "column \(column.path) is indexed and may have at most \(Limits.indexEntries) different elements",
                    fields: [FieldError(column.path.text, "at most \(Limits.indexEntries) different elements")])
            }
            entries = entries.flatMap { entry in codings.map { entry + $0 } }
            guard entries.allSatisfy({ $0.count <= Limits.indexValueBytes }) else {
                throw ThemisError(
                    .unprocessable, "column \(column.path) is indexed; the values of an entry may have \(Limits.indexValueBytes) bytes",
                    fields: [FieldError(column.path.text, "too long to be indexed")])
            }
        }
        return entries
    }

    /// The one entry of a column with one value in its bounds; nil for whatever needs a closer look.
    private static func single(_ column: ColumnValues) -> [UInt8]? {
        guard column.isKept, column.codings.count == 1, column.codings[0].count <= Limits.indexValueBytes else { return nil }
        return column.codings[0]
    }
}

/// Value → entities: equality only.
struct EqualityIndex: IndexKind {
    static let word = "equality"
    static let canBeUnique = true
    let columns: [JSONPath]

    init(columns: [JSONPath]) throws(ThemisError) {
        guard columns.count == 1 else { throw IndexDefinition.error("columns", "an equality index has one column; composite has several") }
        self.columns = columns
    }

    var paths: [JSONPath] { columns }
    var isOrdered: Bool { !columns.contains(where: \.isExpanded) }
    var entryValues: Int { columns.count }
    var isValueItself: Bool { true }
    var skipsNull: Bool { false }

    func entries(of columns: [ColumnValues]) throws(ThemisError) -> [[UInt8]] { try ColumnEntries.all(columns) }

    func access(_ conjunction: Conjunction) -> IndexRanges? {
        guard let ranges = IndexRanges(columns, conjunction), ranges.isPoints else { return nil }
        return ranges
    }

    /// It could be read in order, but it does not promise to.
    var isComplete: Bool { false }
}

/// One column in its order.
struct RangeIndex: IndexKind {
    static let word = "range"
    static let canBeUnique = true
    let columns: [JSONPath]

    init(columns: [JSONPath]) throws(ThemisError) {
        guard columns.count == 1 else { throw IndexDefinition.error("columns", "a range index has one column; composite has several") }
        self.columns = columns
    }

    var paths: [JSONPath] { columns }
    var isOrdered: Bool { !columns.contains(where: \.isExpanded) }
    var entryValues: Int { columns.count }
    var isValueItself: Bool { true }
    var skipsNull: Bool { false }

    func entries(of columns: [ColumnValues]) throws(ThemisError) -> [[UInt8]] { try ColumnEntries.all(columns) }
    func access(_ conjunction: Conjunction) -> IndexRanges? { IndexRanges(columns, conjunction) }
    var isComplete: Bool { !columns[0].isExpanded }
}

/// Several columns in their order: equality on the first ones, then a range, then the order of the rest.
struct CompositeIndex: IndexKind {
    static let word = "composite"
    static let canBeUnique = true
    let columns: [JSONPath]

    init(columns: [JSONPath]) throws(ThemisError) {
        guard (2...Limits.indexColumns).contains(columns.count) else {
            throw IndexDefinition.error("columns", "a composite index has 2–\(Limits.indexColumns) columns")
        }
        guard columns.count(where: \.isExpanded) <= 1 else {
            throw IndexDefinition.error("columns", "a composite index has at most one column with [*]")
        }
        self.columns = columns
    }

    var paths: [JSONPath] { columns }
    var isOrdered: Bool { !columns.contains(where: \.isExpanded) }
    var entryValues: Int { columns.count }
    var isValueItself: Bool { false }
    var skipsNull: Bool { false }

    func entries(of columns: [ColumnValues]) throws(ThemisError) -> [[UInt8]] { try ColumnEntries.all(columns) }

    func access(_ conjunction: Conjunction) -> IndexRanges? {
        guard let ranges = IndexRanges(columns, conjunction) else { return nil }
        // Entities without an element have no entry: only a test on the elements leaves nothing out.
        guard columns.prefix(ranges.tested).contains(where: \.isExpanded) == columns.contains(where: \.isExpanded) else { return nil }
        return ranges
    }

    var isComplete: Bool { !columns.contains(where: \.isExpanded) }
}

/// As equality, without entries for null and for what is missing.
struct SparseIndex: IndexKind {
    static let word = "sparse"
    static let canBeUnique = true
    let columns: [JSONPath]

    init(columns: [JSONPath]) throws(ThemisError) {
        guard columns.count == 1 else { throw IndexDefinition.error("columns", "a sparse index has one column") }
        self.columns = columns
    }

    var paths: [JSONPath] { columns }
    var isOrdered: Bool { !columns.contains(where: \.isExpanded) }
    var entryValues: Int { columns.count }
    var isValueItself: Bool { true }
    var skipsNull: Bool { true }

    func entries(of columns: [ColumnValues]) throws(ThemisError) -> [[UInt8]] { try ColumnEntries.all(columns, skipsNull: true) }

    func access(_ conjunction: Conjunction) -> IndexRanges? {
        guard let ranges = IndexRanges(columns, conjunction), ranges.isPoints,
            !ranges.ranges.contains(where: { OrderedCoding.isNull($0.lower) })
        else { return nil }
        return ranges
    }

    var isComplete: Bool { false }
}
