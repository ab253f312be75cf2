import Synchronization
import ThemisBase

/// A change record as it is stored.
struct LogRecord: Sendable {
    let sequence: SequenceNumber
    let ordinal: UInt16
    let bytes: [UInt8]
}

/// The newest change records in memory, so that followers need not visit the engine. Any thread.
final class FeedRing: Sendable {
    private struct State {
        var records: [LogRecord] = []
        /// Where the ring begins in `records`; what lies before it was dropped and is waiting to be cleared.
        var head = 0
        var bytes = 0
        /// Every record behind the data record with this sequence, or a later one, is here.
        var floor: SequenceNumber
    }

    private let state: Mutex<State>
    private let capacityBytes: Int

    /// An empty ring behind the end of the log.
    init(behind end: LogEnd, capacityBytes: Int) {
        state = Mutex(State(floor: Self.floor(behind: end.sequence, end.ordinal)))
        self.capacityBytes = capacityBytes
    }

    /// Bytes of the records that are kept.
    var bytes: Int { state.withLock { $0.bytes } }

    /// Appends records that are in the engine already.
    func append(_ records: [LogRecord]) {
        state.withLock { state in
            for record in records { state.bytes += record.bytes.count }
            state.records.append(contentsOf: records)
            while state.bytes > capacityBytes, state.head < state.records.count {
                let record = state.records[state.head]
                state.bytes -= record.bytes.count
                state.floor = Self.floor(behind: record.sequence, record.ordinal)
                state.head += 1
            }
            // Cleared in large steps, so that the cost for a record stays constant.
            if state.head > 1_024, state.head * 2 > state.records.count {
                state.records.removeFirst(state.head)
                state.head = 0
            }
        }
    }

    /// Records behind the position, with a sequence not above `upTo`, at most `count`; nil when the ring does not reach back so
    /// far.
    func records(
        behind position: (sequence: SequenceNumber, ordinal: UInt16), upTo: SequenceNumber, count: Int
    ) -> [LogRecord]? {
        state.withLock { state in
            guard position.sequence >= state.floor else { return nil }
            var low = state.head
            var high = state.records.count
            while low < high {
                let middle = (low + high) / 2
                let record = state.records[middle]
                if (record.sequence, record.ordinal) <= position { low = middle + 1 } else { high = middle }
            }
            var end = low
            let limit = min(state.records.count, low + count)
            while end < limit, state.records[end].sequence <= upTo { end += 1 }
            // A copy: a slice would share the ring's memory, and the next append would have to copy all of it.
            return Array(state.records[low..<end])
        }
    }

    /// A reader behind a data record also wants the system records that hang at it: once one of them is gone, he cannot be
    /// served.
    private static func floor(behind sequence: SequenceNumber, _ ordinal: UInt16) -> SequenceNumber {
        ordinal == 0 ? sequence : sequence + 1
    }
}
