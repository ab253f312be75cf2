import Glibc
public import ThemisBase
public import ThemisTelemetry

/// The check of the write-ahead log before the engine opens it.
///
/// No recovery mode of RocksDB suffices: a flipped type byte ends recovery in silence, and a tail of zeros, which a power loss
/// may leave, is refused although it is harmless. So every record is checked here. Damage with nothing promised behind it is a
/// torn tail and is cut off; damage in front of, or a gap between, records that prove it was once on disk is a loss, and the
/// start is refused. The proof is the mark in each of our records: its number, and the highest number that was synced when it was
/// written.
public struct WriteAheadLogScan: Sendable {
    /// Bytes behind the last whole record of a file that belong to no acknowledged write.
    public struct Cut: Sendable, Equatable {
        /// The file's name.
        public let file: String
        /// Where it will end.
        public let offset: Int
        /// Bytes that go.
        public let bytes: Int
    }

    /// A place where acknowledged writes are lost.
    public struct Damage: Sendable, Equatable {
        /// The file's name.
        public let file: String
        /// The first byte that cannot be read as a record.
        public let offset: Int
        /// What is wrong.
        public let reason: String
        /// Whole records of the later log that a cut at `offset` would give up.
        public let recordsBehind: Int
    }

    /// Log files by name, oldest first.
    public private(set) var files: [String] = []
    /// Whole records up to the end, the first cut or the damage.
    public private(set) var records = 0
    /// The number of the last of them.
    public private(set) var lastChain: UInt64?
    /// What to cut off; harmless when there is no `damage`.
    public private(set) var cuts: [Cut] = []
    /// Why the log must not be opened.
    public private(set) var damage: Damage?

    private let directory: String
    private let oldestNeeded: UInt64

    /// Reads the logs in `directory` that the engine in `enginePath` still needs; changes nothing. A directory without logs is clean.
    ///
    /// Older ones hold only what lies in data files already. They are there when a process was killed while it removed them.
    init(reading directory: String, neededIn enginePath: String) throws(ThemisError) {
        let oldest: UInt64
        do throws(SystemFailure) {
            oldest = try EngineManifest.oldestNeededLog(in: enginePath)
        } catch { throw ThemisError(.dataCorrupt, "the engine's list of files cannot be read: \(error.text)") }
        try self.init(reading: directory, from: oldest)
    }

    /// Reads every log in `directory` whose number is not below `oldestNeeded`; changes nothing.
    init(reading directory: String, from oldestNeeded: UInt64 = 0) throws(ThemisError) {
        self.directory = directory
        self.oldestNeeded = oldestNeeded
        do throws(SystemFailure) {
            try read()
        } catch { throw ThemisError(.logDamaged, "the write-ahead log cannot be read: \(error.text)") }
    }

    /// The error of a refused start.
    public var refusal: ThemisError? {
        damage.map {
            ThemisError(
                .logDamaged,
                "write-ahead log \(directory)/\($0.file) is damaged at byte \($0.offset): \($0.reason); restore a snapshot "
                    + "(--restore), or start once with --salvage to keep what is readable under a new epoch")
        }
    }

    /// Cuts off what `cuts` names and logs it.
    public func applyCuts(_ log: Logger) throws(ThemisError) {
        do throws(SystemFailure) {
            for cut in cuts {
                let file = try OpenFile("\(directory)/\(cut.file)", O_RDWR)
                try file.truncate(to: cut.offset)
                try file.sync()
                log.warning(
                    "unfinished end of the write-ahead log cut off; no acknowledged write was in it",
                    [(.file, cut.file), (.value, String(cut.offset)), (.bytes, String(cut.bytes))])
            }
        } catch { throw error.startError(.logDamaged, "the write-ahead log's unfinished end cannot be cut off: \(error.text)") }
    }

    /// The log files of `directory` with their numbers, oldest first.
    static func logFiles(in directory: String) throws(SystemFailure) -> [(name: String, number: UInt64)] {
        guard FileSystem.exists(directory) else { return [] }
        var files: [(name: String, number: UInt64)] = []
        for name in try FileSystem.names(in: directory) where name.hasSuffix(".log") {
            if let number = UInt64(name.dropLast(4)) { files.append((name, number)) }
        }
        return files.sorted { $0.number < $1.number }
    }

    private mutating func read() throws(SystemFailure) {
        let found = try Self.logFiles(in: directory).filter { $0.number >= oldestNeeded }
        files = found.map(\.name)
        var index = 0
        while index < found.count {
            var walk = try LogFileWalk(directory, found[index].name, number: found[index].number)
            var isWhole = true
            scan: while isWhole {
                switch try walk.next() {
                case .record(let record):
                    if let last = lastChain, let mark = record.mark, mark.chain != last &+ 1 {
                        try judgeGap(before: record, mark, last, walk, found, index)
                        return
                    }
                    lastChain = record.mark?.chain ?? lastChain
                    records += 1
                case .stop(let offset):
                    guard walk.validEnd < walk.size else { break scan }
                    isWhole = false
                    if try !judgeStop(at: offset, &walk, found, index) { return }
                }
            }
            index += 1
        }
    }

    /// Nothing valid at `offset`: a torn tail or damage. True when reading goes on in the next file.
    private mutating func judgeStop(
        at offset: Int, _ walk: inout LogFileWalk, _ found: [(name: String, number: UInt64)], _ index: Int
    ) throws(SystemFailure) -> Bool {
        let tail = Cut(file: walk.name, offset: walk.validEnd, bytes: walk.size - walk.validEnd)
        var behind: [LogFileWalk.Record] = []
        while let record = try walk.search() { behind.append(record) }
        let isSameFile = !behind.isEmpty
        let later = try recordsAfter(index, found)
        // The next file goes on with the very next number: nothing is missing in between.
        if !isSameFile, let last = lastChain, let next = later.first?.mark, next.chain == last &+ 1 {
            cuts.append(tail)
            return true
        }
        behind += later
        if isPromised(behind) {
            damage = Damage(
                file: walk.name, offset: offset, reason: "what stands there is no whole record, and acknowledged records follow",
                recordsBehind: behind.count)
        }
        cuts.append(tail)
        try cutFiles(after: index, found)
        return false
    }

    /// Records `last + 1 ..< mark.chain` are missing in front of `record`.
    private mutating func judgeGap(
        before record: LogFileWalk.Record, _ mark: LogFormat.ChainMark, _ last: UInt64, _ walk: LogFileWalk,
        _ found: [(name: String, number: UInt64)], _ index: Int
    ) throws(SystemFailure) {
        var rest = walk
        var behind = [record]
        while let record = try rest.search() { behind.append(record) }
        behind += try recordsAfter(index, found)
        // Numbers that go back were never written in this order by anyone.
        if mark.chain <= last || isPromised(behind) {
            damage = Damage(
                file: walk.name, offset: record.offset,
                reason: "record \(mark.chain) follows record \(last): records between are missing",
                recordsBehind: behind.count)
        }
        cuts.append(Cut(file: walk.name, offset: record.offset, bytes: walk.size - record.offset))
        try cutFiles(after: index, found)
    }

    /// Whether one of the records behind a hole proves that what is missing was once synced.
    private func isPromised(_ behind: [LogFileWalk.Record]) -> Bool {
        behind.contains { record in
            guard let last = lastChain, let mark = record.mark else { return true }
            return mark.synced > last
        }
    }

    private func recordsAfter(
        _ index: Int, _ found: [(name: String, number: UInt64)]
    ) throws(SystemFailure) -> [LogFileWalk.Record] {
        var records: [LogFileWalk.Record] = []
        for file in found[(index + 1)...] {
            var walk = try LogFileWalk(directory, file.name, number: file.number)
            while let record = try walk.search() { records.append(record) }
        }
        return records
    }

    private mutating func cutFiles(after index: Int, _ found: [(name: String, number: UInt64)]) throws(SystemFailure) {
        for file in found[(index + 1)...] {
            let size = try OpenFile("\(directory)/\(file.name)", O_RDONLY).size
            if size > 0 { cuts.append(Cut(file: file.name, offset: 0, bytes: size)) }
        }
    }
}
