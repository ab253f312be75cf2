import ThemisBase
import ThemisStorage

/// A batch on its way: what is written together, and what becomes known when it is.
struct OpenBatch: Sendable {
    /// The counts of a table after the batch.
    struct Count: Sendable {
        let table: Table
        let entities: UInt64
        let bytes: UInt64
    }

    /// The counts of an index after the batch.
    struct IndexCount: Sendable {
        let index: Index
        let state: IndexCounters.State
    }

    var bytes = WriteBatch()
    var records: [LogRecord] = []
    var writes: [PendingWrite] = []
    /// The keys of entities that it changes, with their new value where that is worth keeping.
    var changed: [(key: RecentKey, value: [UInt8]?)] = []
    var counts: [Count] = []
    var indexCounts: [IndexCount] = []
    /// The tables after the batch, when they change.
    var catalog: TableCatalog?
    var end = LogEnd()
    var idempotency = IdempotencyUsage()
    /// The time of every change in it, in milliseconds since 1970.
    var now: Int64 = 0
    var operations = 0
    /// When it left for the log, on the monotonic clock.
    var sentNanoseconds: UInt64 = 0
    /// When the log had stored it.
    var storedNanoseconds: UInt64 = 0

    /// Nobody waits and nothing is to be written.
    var isEmpty: Bool { writes.isEmpty && bytes.isEmpty }
    /// Whether somebody waits for the disk.
    var isDurable: Bool { writes.contains { $0.isDurable } }
    /// Another operation must wait for the next one.
    var isFull: Bool { bytes.bytes.count >= Limits.commitBatchBytes }
}
