import Glibc
public import ThemisBase
public import ThemisTelemetry

/// Makes damaged data openable again, keeping what can be read and everything that is given up beside it.
///
/// Runs instead of a start (`--salvage`). The log is cut at its first damage; a list of files that cannot be read is rebuilt;
/// where data files are damaged, every readable pair is copied into new ones. Nothing is thrown away: the logs stay as
/// `*.salvaged`, the old files as `db.salvaged`. The note `SALVAGED` tells the database to begin a new epoch.
public enum Salvage {
    /// What became of the data.
    public struct Report: Sendable, Equatable {
        /// Whole log records that were kept.
        public var recordsKept = 0
        /// Readable log records behind the damage, which were given up.
        public var recordsGivenUp = 0
        /// Log files that were cut; each has its old content beside it as `NAME.salvaged`.
        public var cutLogs: [String] = []
        /// Whether the list of data files had to be rebuilt. Files that could not be read lie in `db/lost`.
        public var isRepaired = false
        /// Whether data files were damaged and all readable pairs were copied; the old files lie in `db.salvaged`.
        public var isCopied = false
        /// Pairs that were read, in the order of `Keyspace.allCases`.
        public var pairs: [UInt64] = []
        /// Ranges of keys in which pairs were lost, in the order of `Keyspace.allCases`.
        public var lostRanges: [Int] = []
    }

    /// Salvages the data in `path`, which no process may have open.
    ///
    /// - Throws: `data_locked`, `format_too_new`; `disk_full` when a copy does not fit; `data_corrupt` when nothing can be read.
    public static func run(
        _ path: String, _ options: RocksDBOptions = RocksDBOptions(), telemetry: Telemetry
    ) throws(ThemisError) -> Report {
        let directory = try DataDirectory(opening: path)
        var report = Report()
        // First: a salvage that is interrupted has changed history as well.
        try leaveNote(directory)
        try setAsideBrokenMark(directory, telemetry)
        try cutLogs(options.walDirectory ?? directory.enginePath, directory, &report, telemetry.log)
        let engine = try openOrRepair(directory, options, &report, telemetry)
        do throws(ThemisError) {
            try verify(engine, &report)
            if report.lostRanges.contains(where: { $0 > 0 }) {
                try copy(engine, directory, options, &report, telemetry)
            } else {
                engine.close()
            }
        } catch {
            engine.close()
            throw error
        }
        telemetry.log.warning(
            "salvage done: the next start begins a new epoch",
            [(.directory, path), (.count, String(report.recordsKept)), (.detail, "\(report)")])
        return report
    }

    private static func leaveNote(_ directory: DataDirectory) throws(ThemisError) {
        do throws(SystemFailure) {
            try FileSystem.replace("SALVAGED", in: directory.path, with: Array("salvaged by \(Build.version)\n".utf8))
        } catch { throw error.error }
    }

    /// A mark that can be read stays: the new epoch must begin above it.
    private static func setAsideBrokenMark(_ directory: DataDirectory, _ telemetry: Telemetry) throws(ThemisError) {
        do throws(ThemisError) {
            try DurableMark(in: directory, telemetry: telemetry).close()
        } catch {
            guard error.code == .logDamaged else { throw error }
            do throws(SystemFailure) {
                try FileSystem.move("\(directory.path)/DURABLE", to: "\(directory.path)/DURABLE.salvaged")
            } catch { throw error.error }
        }
    }

    private static func cutLogs(
        _ logPath: String, _ directory: DataDirectory, _ report: inout Report, _ log: Logger
    ) throws(ThemisError) {
        let scan = try WriteAheadLogScan(reading: logPath, neededIn: directory.enginePath)
        report.recordsKept = scan.records
        report.recordsGivenUp = scan.damage?.recordsBehind ?? 0
        for cut in scan.cuts {
            report.cutLogs.append(cut.file)
            do throws(SystemFailure) {
                try FileSystem.copy("\(logPath)/\(cut.file)", to: "\(logPath)/\(cut.file).salvaged")
            } catch { throw error.error }
        }
        try scan.applyCuts(log)
    }

    private static func openOrRepair(
        _ directory: DataDirectory, _ options: RocksDBOptions, _ report: inout Report, _ telemetry: Telemetry
    ) throws(ThemisError) -> RocksDBEngine {
        var calm = options
        calm.compactsByItself = false
        do throws(ThemisError) {
            return try RocksDBEngine(opening: directory, calm, telemetry: telemetry)
        } catch {
            guard error.code == .dataCorrupt else { throw error }
            telemetry.log.warning("the list of data files is rebuilt from the files that can be read", [(.error, error.message)])
        }
        let status = RocksDBHandle.repair(directory, calm)
        guard status.isOK else { throw status.openError(directory.enginePath) }
        report.isRepaired = true
        return try RocksDBEngine(opening: directory, calm, telemetry: telemetry)
    }

    /// Reads every pair.
    private static func verify(_ engine: RocksDBEngine, _ report: inout Report) throws(ThemisError) {
        let snapshot = try engine.snapshot()
        for keyspace in Keyspace.allCases {
            let walk = SalvageWalk(snapshot, keyspace)
            var pairs: UInt64 = 0
            while try walk.advance() { pairs += 1 }
            report.pairs.append(pairs)
            report.lostRanges.append(walk.lostRanges)
        }
    }

    /// Copies every readable pair into new files and puts the directory in the place of the old one.
    private static func copy(
        _ engine: RocksDBEngine, _ directory: DataDirectory, _ options: RocksDBOptions, _ report: inout Report,
        _ telemetry: Telemetry
    ) throws(ThemisError) {
        let copyPath = "\(directory.path)/salvage"
        var copyOptions = options
        copyOptions.walDirectory = nil
        do throws(SystemFailure) { try FileSystem.removeTree(copyPath) } catch { throw error.error }
        let target = try RocksDBEngine(opening: DataDirectory(opening: copyPath), copyOptions, telemetry: telemetry)
        defer { target.close() }
        try copyPairs(engine, target)
        target.close()
        engine.close()
        do throws(SystemFailure) {
            let aside = "\(directory.enginePath).salvaged"
            try FileSystem.removeTree(aside)
            try FileSystem.move(directory.enginePath, to: aside)
            try FileSystem.move("\(copyPath)/db", to: directory.enginePath)
            try FileSystem.removeTree(copyPath)
            if let walDirectory = options.walDirectory {
                // What the old log held went into the copy.
                for file in try WriteAheadLogScan.logFiles(in: walDirectory) {
                    try FileSystem.move("\(walDirectory)/\(file.name)", to: "\(walDirectory)/\(file.name).salvaged")
                }
            }
            try FileSystem.syncDirectory(directory.path)
        } catch { throw error.error }
        report.isCopied = true
    }

    private static func copyPairs(_ source: RocksDBEngine, _ target: RocksDBEngine) throws(ThemisError) {
        let snapshot = try source.snapshot()
        for keyspace in Keyspace.allCases {
            let walk = SalvageWalk(snapshot, keyspace)
            var batch = WriteBatch()
            while try walk.advance() {
                batch.put(keyspace, walk.key, walk.value)
                guard batch.bytes.count >= Limits.commitBatchBytes else { continue }
                try target.commit(batch, .buffered)
                batch.removeAll()
            }
            try target.commit(batch, .synced)
        }
    }
}

/// Walks a keyspace from its low end and steps over what cannot be read.
final class SalvageWalk {
    private let snapshot: any StorageSnapshot
    private let keyspace: Keyspace
    private var cursor: (any StorageCursor)?
    private(set) var key: [UInt8] = []
    private(set) var value: [UInt8] = []
    /// Ranges that were stepped over.
    private(set) var lostRanges = 0
    private var isAtStart = true

    init(_ snapshot: any StorageSnapshot, _ keyspace: Keyspace) {
        self.snapshot = snapshot
        self.keyspace = keyspace
    }

    /// The next readable pair; false at the end.
    func advance() throws(ThemisError) -> Bool {
        do throws(ThemisError) {
            if let cursor { return try take(cursor) }
            let first = try snapshot.scan(keyspace, from: [], to: nil, reverse: false)
            cursor = first
            return try take(first)
        } catch {
            guard error.code == .dataCorrupt else { throw error }
        }
        lostRanges += 1
        guard let next = try firstReadable(behind: isAtStart ? [] : key) else { return false }
        cursor = next
        return try take(next)
    }

    private func take(_ cursor: any StorageCursor) throws(ThemisError) -> Bool {
        guard try cursor.advance() else { return false }
        key = cursor.key
        value = cursor.value
        isAtStart = false
        return true
    }

    /// A cursor from the first place behind `key` where reading works again, nil when there is none.
    private func firstReadable(behind key: [UInt8]) throws(ThemisError) -> (any StorageCursor)? {
        // Further and further away from the key, until a place can be read.
        var low = key
        var high: [UInt8]?
        var length = key.count
        while length >= 0, high == nil {
            let candidates: [[UInt8]] =
                length == key.count
                ? [key + [1], key + [0x10], key + [0x80], key + [0xFF]]
                : stride(from: 1, through: 255, by: 8).compactMap { step in
                    Int(key[length]) + step > 255 ? nil : Array(key[..<length]) + [key[length] + UInt8(step)]
                }
            for candidate in candidates {
                if try canRead(from: candidate) {
                    high = candidate
                    break
                }
                low = candidate
            }
            length -= 1
        }
        guard var high else { return nil }
        // Halve the distance: below `low` nothing can be read, from `high` on it can.
        for _ in 0..<96 {
            let middle = Self.middle(low, high)
            if middle == low || middle == high { break }
            if try canRead(from: middle) { high = middle } else { low = middle }
        }
        return try snapshot.scan(keyspace, from: high, to: nil, reverse: false)
    }

    private func canRead(from key: [UInt8]) throws(ThemisError) -> Bool {
        do throws(ThemisError) {
            _ = try snapshot.scan(keyspace, from: key, to: nil, reverse: false).advance()
            return true
        } catch {
            guard error.code == .dataCorrupt else { throw error }
            return false
        }
    }

    /// A key about half-way between two keys, seen as fractions.
    static func middle(_ low: [UInt8], _ high: [UInt8]) -> [UInt8] {
        let width = max(low.count, high.count) + 1
        func digit(_ key: [UInt8], _ index: Int) -> Int { index < key.count ? Int(key[index]) : 0 }
        var sum = [Int](repeating: 0, count: width)
        var carry = 0
        for index in (0..<width).reversed() {
            let total = digit(low, index) + digit(high, index) + carry
            sum[index] = total & 0xFF
            carry = total >> 8
        }
        var half: [UInt8] = []
        for value in sum {
            let total = carry << 8 | value
            half.append(UInt8(total / 2))
            carry = total % 2
        }
        return half
    }
}
