import Glibc
import ThemisBase

/// Walks the records of one log file, and searches for records behind damage. One thread.
struct LogFileWalk {
    /// A whole record, or the beginning of one found behind damage.
    struct Record: Sendable {
        let offset: Int
        let mark: LogFormat.ChainMark?
    }

    enum Step: Sendable {
        case record(Record)
        /// Nothing valid follows the last whole record directly; there may or may not be bytes.
        case stop(at: Int)
    }

    let name: String
    let number: UInt64
    let size: Int
    private let file: OpenFile
    private var block: [UInt8] = []
    private var blockStart = -1
    private var position = 0
    /// Behind the last whole record: what a cut keeps.
    private(set) var validEnd = 0

    init(_ directory: String, _ name: String, number: UInt64) throws(SystemFailure) {
        self.name = name
        self.number = number
        file = try OpenFile("\(directory)/\(name)", O_RDONLY)
        size = try file.size
    }

    /// The next whole record, in order, without a doubt.
    mutating func next() throws(SystemFailure) -> Step {
        var start: Int?
        var head: [UInt8] = []
        while true {
            try load(position)
            let offset = position - blockStart
            if block.count - offset < LogFormat.headerBytes {
                // The end of a block that nobody reads, or the end of the file.
                guard block.count == LogFormat.blockBytes else { return .stop(at: start ?? position) }
                position = blockStart + LogFormat.blockBytes
                continue
            }
            guard let fragment = LogFormat.fragment(in: block, at: offset, logNumber: number) else {
                return .stop(at: start ?? position)
            }
            switch fragment.kind {
            case .full, .first:
                // A record begins inside another: that one lost its end.
                if let start { return .stop(at: start) }
                start = position
            case .middle, .last:
                // A record without its beginning.
                if start == nil { return .stop(at: position) }
            }
            head.append(contentsOf: block[fragment.payload].prefix(LogFormat.ChainMark.headBytes - head.count))
            position = blockStart + fragment.payload.upperBound
            if fragment.kind == .full || fragment.kind == .last {
                validEnd = position
                return .record(Record(offset: start ?? position, mark: LogFormat.ChainMark(head)))
            }
        }
    }

    /// The next beginning of a valid record at or behind the place where `next` stopped, nil at the end of the file.
    ///
    /// Middles and ends are passed over: they belong to the record that is damaged, and prove nothing about later ones.
    mutating func search() throws(SystemFailure) -> Record? {
        while position < size {
            try load(position)
            var offset = position - blockStart
            while offset + LogFormat.headerBytes <= block.count {
                guard let fragment = LogFormat.fragment(in: block, at: offset, logNumber: number) else {
                    offset += 1
                    continue
                }
                let start = blockStart + offset
                offset = fragment.payload.upperBound
                guard fragment.kind == .full || fragment.kind == .first else { continue }
                position = blockStart + offset
                return Record(
                    offset: start, mark: LogFormat.ChainMark(Array(block[fragment.payload].prefix(LogFormat.ChainMark.headBytes)))
                )
            }
            position = blockStart + LogFormat.blockBytes
        }
        return nil
    }

    private mutating func load(_ position: Int) throws(SystemFailure) {
        let start = position - position % LogFormat.blockBytes
        guard start != blockStart else { return }
        block = try file.read(LogFormat.blockBytes, at: start)
        blockStart = start
    }
}
