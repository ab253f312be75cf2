/// The one list of key spaces. Each is a column family of the engine.
///
/// Raw values stand in encoded batches: never reused, never renumbered. `docs/data-format.md` describes keys and values byte by
/// byte.
public enum Keyspace: UInt8, CaseIterable, Sendable {
    /// Format version, epoch, clocks, the name → id catalog of tables, jobs. Key: a word; value: see docs/data-format.md.
    case meta = 0
    /// Entities. Key `table_id u32 BE | pk`; value: header, then the document as sent.
    case entities = 1
    /// Index entries. Key `index_generation_id u32 BE | ordered value | pk`.
    case indexes = 2
    /// Change records. Key `sequence u64 BE | ordinal u16 BE`. Append-only; removed from the front by whole files.
    case changes = 3
    /// Answers kept under idempotency keys. Keys and values: see docs/data-format.md.
    case idempotency = 4

    /// The name of the column family.
    public var columnFamily: String {
        switch self {
        case .meta: "default"
        case .entities: "entities"
        case .indexes: "indexes"
        case .changes: "changes"
        case .idempotency: "idempotency"
        }
    }
}
