import Synchronization
import ThemisBase
import ThemisStorage

/// The newest state, opened once for all who read it before the next change. Any thread.
///
/// It is given up as a batch is published, before anybody can know of the batch: who begins to read later sees the batch. What is kept
/// while nothing is published is the newest state, so it holds nothing that the engine could remove.
final class SharedSnapshot: Sendable {
    /// A snapshot, with what was read in it for everybody.
    final class Opened: Sendable {
        let snapshot: any StorageSnapshot
        /// The last change in it, exactly.
        let sequence: SequenceNumber
        private let tables = Mutex<[String: Table]>([:])

        /// - Throws: errors of the engine.
        init(_ engine: any StorageEngine) throws(ThemisError) {
            snapshot = try engine.snapshot()
            // Part of every batch: it cannot be older or newer than the rest of the snapshot.
            guard let end = try snapshot.get(.meta, MetaRecords.last) else { throw MetaRecords.damaged("the end of the log") }
            sequence = try LogEnd(end).sequence
        }

        /// The table of this name, if somebody found it in this state before.
        func table(_ name: TableName) -> Table? { tables.withLock { $0[name.text] } }

        /// Notes a table that is stored so in this state.
        func note(_ table: Table) { tables.withLock { $0[table.name.text] = table } }
    }

    private struct State {
        var opened: Opened?
        /// How often it was given up: what was opened before the last time is not kept.
        var ended: UInt64 = 0
        var isClosed = false
    }

    private let state = Mutex(State())

    /// The newest state. May read the disk.
    ///
    /// - Throws: errors of the engine.
    func open(_ engine: any StorageEngine) throws(ThemisError) -> Opened {
        let (known, ended) = state.withLock { ($0.opened, $0.ended) }
        if let known { return known }
        let opened = try Opened(engine)
        state.withLock { state in
            if state.ended == ended, !state.isClosed { state.opened = opened }
        }
        return opened
    }

    /// Gives the state up: the engine has a newer one. Those who read it keep it until they are done.
    func end() {
        // Released outside of the lock.
        _ = state.withLock { state in
            state.ended &+= 1
            return state.opened.take()
        }
    }

    /// From now on nothing is kept: the engine is to be closed.
    func close() {
        state.withLock { $0.isClosed = true }
        end()
    }
}
