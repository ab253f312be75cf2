import ThemisBase
import ThemisRPC

/// The newest change records of this process, encoded once for every subscriber.
///
/// Frames lie one behind the other in blocks, each frame ready to be sent as it is: a subscriber is a position, and what it lacks is one
/// contiguous range of bytes. Sequences in the ring are gapless. Bounded by `capacityBytes`; the oldest block leaves first.
struct FeedRing {
    /// Where a frame lies.
    private struct Entry {
        let block: Int
        let range: Range<Int>
    }

    private struct Block {
        var bytes: [UInt8]
        let first: SequenceNumber
        var last: SequenceNumber
        var changeBytes: Int
    }

    /// Bytes of one block. A subscriber stuck inside a block keeps that block alive, not the ring.
    static let blockBytes = 64 << 10

    private let capacityBytes: Int
    private var blocks: [Block] = []
    private var firstBlock = 0
    private var entries: [Entry] = []
    private var changes: [ChangeMessage?] = []
    private var dropped = 0
    private var heldBytes = 0

    /// The first sequence held; meaningless while the ring is empty.
    private(set) var first: SequenceNumber = 1
    /// The position of the newest record, whether or not it is still held.
    private(set) var latest: SequenceNumber = 0

    /// An empty ring behind `position`.
    init(capacityBytes: Int, position: SequenceNumber) {
        self.capacityBytes = capacityBytes
        latest = position
        first = position + 1
    }

    /// How many records are held.
    var count: Int { entries.count - dropped }

    /// Whether everything behind `position` up to the newest record is here.
    func covers(_ position: SequenceNumber) -> Bool { position >= latest || (position + 1 >= first && position <= latest) }

    /// Appends the next record and its frame.
    ///
    /// - Returns: false when `change` is not the next sequence: the follower has lost something and must say so.
    mutating func append(_ change: ChangeMessage, frame: [UInt8]) -> Bool {
        guard change.sequence == latest + 1 else { return false }
        if blocks.isEmpty || blocks[blocks.count - 1].bytes.count + frame.count > Self.blockBytes {
            var bytes: [UInt8] = []
            bytes.reserveCapacity(max(Self.blockBytes, frame.count))
            blocks.append(Block(bytes: bytes, first: change.sequence, last: change.sequence, changeBytes: 0))
        }
        let index = blocks.count - 1
        let start = blocks[index].bytes.count
        blocks[index].bytes.append(contentsOf: frame)
        blocks[index].last = change.sequence
        let cost = change.value.count + change.oldValue.count + 160
        blocks[index].changeBytes += cost
        heldBytes += frame.count + cost
        entries.append(Entry(block: firstBlock + index, range: start..<(start + frame.count)))
        changes.append(change)
        latest = change.sequence
        evict()
        return true
    }

    /// The frames behind `position` that lie in one block, and the position after them; nil when the subscriber has them all.
    ///
    /// Shares the block's memory. `position` must be covered.
    func frames(after position: SequenceNumber) -> (bytes: ArraySlice<UInt8>, last: SequenceNumber)? {
        guard position < latest else { return nil }
        let entry = entries[dropped + Int(position + 1 - first)]
        let block = blocks[entry.block - firstBlock]
        return (block.bytes[entry.range.lowerBound...], block.last)
    }

    /// The record with `sequence`, which must be held.
    func change(_ sequence: SequenceNumber) -> ChangeMessage {
        guard let change = changes[dropped + Int(sequence - first)] else { preconditionFailure("\(sequence) has left the ring") }
        return change
    }

    /// The frame of `sequence`, which must be held.
    func frame(_ sequence: SequenceNumber) -> ArraySlice<UInt8> {
        let entry = entries[dropped + Int(sequence - first)]
        return blocks[entry.block - firstBlock].bytes[entry.range]
    }

    private mutating func evict() {
        while heldBytes > capacityBytes, blocks.count > 1 {
            let block = blocks.removeFirst()
            firstBlock += 1
            let leaving = Int(block.last - block.first) + 1
            heldBytes -= block.bytes.count + block.changeBytes
            first = block.last + 1
            // Let go at once: a dead place must not keep a document.
            for index in dropped..<(dropped + leaving) { changes[index] = nil }
            dropped += leaving
        }
        // Amortised: the arrays are moved down once half of them is dead.
        if dropped > 1_024, dropped * 2 > entries.count {
            entries.removeFirst(dropped)
            changes.removeFirst(dropped)
            dropped = 0
        }
    }
}
