import ThemisBase
import ThemisStorage

/// The third stage: takes encoded batches one after another and tells when they are stored. Later a replicated log takes its
/// place.
///
/// Embedded: log and apply are one write of the engine. A thread of its own, so that the next batch is ordered while the disk
/// works.
final class CommitLog: Sendable {
    /// What happened.
    enum Event: Sendable {
        /// The batch is in the engine; on disk too, unless durability is relaxed. Its memory waits in `takeSpare`.
        case appended
        /// The batch is not, or nobody knows.
        case failed(ThemisError)
        /// Relaxed: everything up to the sequence is on disk now.
        case synced(SequenceNumber)
        /// Relaxed: nobody knows what is on disk.
        case syncFailed(ThemisError)
    }

    private struct Slot {
        var batch: (bytes: WriteBatch, last: SequenceNumber, isDurable: Bool)?
        /// Memory of the last batch.
        var spare = WriteBatch()
        var isClosing = false
    }

    /// Relaxed writes are on disk at the latest after this time and one sync.
    private static let syncMilliseconds: Int64 = 50

    private let engine: any StorageEngine
    private let durability: CommitDurability
    private let time: any TimeSource
    private let slot = Monitor(Slot())

    init(engine: any StorageEngine, durability: CommitDurability, time: any TimeSource) {
        self.engine = engine
        self.durability = durability
        self.time = time
    }

    /// Takes a batch whose last sequence is `last`. One at a time: the next comes after the event of this one.
    ///
    /// - Parameter isDurable: false: the next durable batch brings it to the disk.
    func append(_ batch: WriteBatch, last: SequenceNumber, isDurable: Bool) {
        slot.withLock { slot in
            precondition(slot.batch == nil, "one batch is appended at a time")
            slot.batch = (batch, last, isDurable)
        }
        slot.notifyOne()
    }

    /// Stores a batch on the calling thread. Only while no other batch is on its way. The batch is empty afterwards.
    func appendHere(_ batch: inout WriteBatch, isDurable: Bool) -> Event {
        do throws(ThemisError) {
            try engine.commit(batch, isDurable ? .synced : .buffered)
            batch.removeAll()
            return .appended
        } catch {
            return .failed(error)
        }
    }

    /// The memory of the last batch, empty and with no other owner: fresh pages cost more than writing into it.
    func takeSpare() -> WriteBatch {
        slot.withLock { slot in
            var spare = WriteBatch()
            swap(&spare, &slot.spare)
            return spare
        }
    }

    /// Ends the thread when it has nothing left to do.
    func close() {
        slot.withLock { $0.isClosing = true }
        slot.notifyOne()
    }

    /// The body of the log's thread.
    func run(_ report: @Sendable (Event) -> Void) {
        var unsynced: SequenceNumber?
        var syncAt: UInt64 = 0
        var batch = WriteBatch()
        while true {
            let next = nextBatch(before: unsynced == nil ? nil : syncAt, into: &batch)
            var isLast = false
            switch next {
            case .batch(let last, let isDurable):
                do throws(ThemisError) {
                    try engine.commit(batch, durability == .sync && isDurable ? .synced : .buffered)
                    if durability == .relaxed, unsynced == nil {
                        syncAt = time.monotonicNanoseconds() + UInt64(Self.syncMilliseconds) * 1_000_000
                    }
                    if durability == .relaxed { unsynced = last }
                    batch.removeAll()
                    slot.withLock { swap(&$0.spare, &batch) }
                    report(.appended)
                } catch {
                    report(.failed(error))
                }
            case .due: break
            case .end: isLast = true
            }
            if let sequence = unsynced, isLast || time.monotonicNanoseconds() >= syncAt {
                unsynced = nil
                do throws(ThemisError) {
                    try engine.syncLog()
                    report(.synced(sequence))
                } catch {
                    report(.syncFailed(error))
                }
            }
            if isLast { return }
        }
    }

    private enum Next {
        case batch(last: SequenceNumber, isDurable: Bool)
        case due
        case end
    }

    private func nextBatch(before deadline: UInt64?, into place: inout WriteBatch) -> Next {
        func take(_ slot: inout Slot) -> Next? {
            if let (bytes, last, isDurable) = slot.batch.take() {
                place = bytes
                return .batch(last: last, isDurable: isDurable)
            }
            return slot.isClosing ? .end : nil
        }
        guard let deadline else { return slot.wait(take) }
        let now = time.monotonicNanoseconds()
        guard deadline > now else { return slot.withLock(take) ?? .due }
        return slot.wait(milliseconds: Int64((deadline - now) / 1_000_000 + 1), take) ?? .due
    }
}
