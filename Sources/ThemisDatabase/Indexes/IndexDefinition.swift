public import ThemisBase

/// What an index is: given by whoever creates it, never changed. Any thread.
public struct IndexDefinition: Sendable {
    /// The table.
    public let table: TableName
    /// The type's word: `equality`, `range`, …
    public let type: String
    /// The columns, in the order of the index.
    public let columns: [JSONPath]
    /// Whether no two entities may have the same values. A null or missing column never counts as the same.
    public let isUnique: Bool
    /// What else was said.
    public let settings: IndexSettings
    let kind: any IndexKind

    /// Proves a definition.
    ///
    /// - Throws: `invalid_request` for an unknown type, or columns or settings that do not fit it; `not_implemented` for a type that this
    ///   version does not have.
    public init(
        table: TableName, type: String, columns: [JSONPath], isUnique: Bool, settings: IndexSettings = IndexSettings()
    ) throws(ThemisError) {
        guard let found = IndexCatalog.kind(type) else {
            if IndexCatalog.missing.contains(type) {
                throw ThemisError(
                    .notImplemented, "this version has no \(type) indexes; it has \(IndexCatalog.words)",
                    fields: [FieldError("type", "one of \(IndexCatalog.words)")])
            }
            throw Self.error("type", "must be one of \(IndexCatalog.words)")
        }
        guard Set(columns).count == columns.count else { throw Self.error("columns", "names a column twice") }
        self.table = table
        self.type = type
        self.columns = columns
        self.isUnique = isUnique
        self.settings = settings
        if found == TTLIndex.self {
            kind = try TTLIndex(columns: columns, settings: settings)
        } else {
            guard settings.isEmpty else { throw Self.error("config", "a \(type) index has no settings") }
            kind = try found.init(columns: columns)
        }
        guard !isUnique || found.canBeUnique else { throw Self.error("unique", "a \(type) index cannot be unique") }
    }

    /// The columns that every index of a type has; nil when they are to be given.
    public static func fixedColumns(of type: String) -> [JSONPath]? { type == EdgeIndex.word ? EdgeIndex.columns : nil }

    static func error(_ field: String, _ message: String) -> ThemisError {
        ThemisError(.invalidRequest, "\(field): \(message)", fields: [FieldError(field, message)])
    }

    /// The columns with `+` between them.
    public var name: String { columns.map(\.text).joined(separator: "+") }

    /// Whether both are the same in everything.
    func isEqual(to other: IndexDefinition) -> Bool {
        isSameIndex(as: other) && isUnique == other.isUnique && settings == other.settings
    }

    /// Whether both are the index of the same type on the same columns, of which there is one.
    func isSameIndex(as other: IndexDefinition) -> Bool { type == other.type && columns == other.columns && table == other.table }
}

/// Whether an index answers queries.
public enum IndexState: UInt8, Sendable {
    /// It has all entries.
    case ready = 1
    /// Its entries are being made; writes keep those that exist.
    case building = 2

    /// The word of the public interface.
    public var word: String { self == .ready ? "ready" : "building" }
}

/// An index as the operator sees it.
public struct IndexInfo: Sendable {
    /// What it is.
    public var definition: IndexDefinition
    /// Its number in keys; never used again.
    public var generation: UInt32
    /// Whether it answers queries.
    public var state: IndexState
    /// Entries, exactly. An entity may have several, or none.
    public var entries: UInt64
    /// Bytes of their keys, exactly.
    public var bytes: UInt64
    /// When it was asked for, in milliseconds since 1970.
    public var createdMilliseconds: Int64
    /// Whether it will take the place of another one when it is complete.
    public var isReplacement: Bool
}
