import Foundation
import Testing
import ThemisBase
import ThemisTelemetry

@testable import ThemisStorage

/// What a killed process leaves: a data directory whose write-ahead log holds numbered, synced writes, and a durable mark that
/// says so.
final class LogImage {
    let scratch = ScratchDirectory()
    /// How many writes there are: number n is record n.
    let count: Int
    let logName: String
    /// The log as it was left.
    let log: [UInt8]
    /// Where each record begins and ends in `log`.
    private(set) var records: [Range<Int>] = []

    /// - Parameters:
    ///   - sizes: bytes of the value of each write.
    ///   - buffered: how many writes at the end were never synced.
    init(sizes: [Int], buffered: Int = 0) throws {
        count = sizes.count
        let live = "\(scratch.path)/live"
        let directory = try DataDirectory(opening: live)
        let mark = try DurableMark(in: directory, telemetry: .silent())
        let engine = try RocksDBEngine(opening: directory, smallOptions(), telemetry: .silent())
        for (index, size) in sizes.enumerated() {
            let isSynced = index < sizes.count - buffered
            try engine.commit(Self.batch(index + 1, size), isSynced ? .synced : .buffered)
            if isSynced { mark.note(epoch: 1, sequence: UInt64(index + 1)) }
        }
        mark.close()
        // As kill -9 would leave it: nothing is closed before the copy.
        run("cp", "-r", live, "\(scratch.path)/image")
        engine.close()
        let names = try FileSystem.names(in: "\(scratch.path)/image/db").filter { $0.hasSuffix(".log") }
        logName = try #require(names.last)
        log = try Self.read("\(scratch.path)/image/db/\(logName)")
        try findRecords()
        try #require(records.count == count)
    }

    static func read(_ path: String) throws -> [UInt8] { Array(try Data(contentsOf: URL(fileURLWithPath: path))) }

    static func write(_ bytes: [UInt8], to path: String) throws { try Data(bytes).write(to: URL(fileURLWithPath: path)) }

    static func batch(_ number: Int, _ size: Int) -> WriteBatch {
        var batch = WriteBatch()
        batch.put(.entities, bytes("k\(number)"), noise(number, size))
        batch.put(.changes, bytes("k\(number)"), [])
        batch.put(.meta, bytes("last"), bytes("\(number)"))
        return batch
    }

    private func findRecords() throws {
        var walk = try LogFileWalk("\(scratch.path)/image/db", logName, number: UInt64(logName.dropLast(4)) ?? 0)
        while case .record(let record) = try walk.next() { records.append(record.offset..<walk.validEnd) }
    }

    /// A directory for `scan`, with the log replaced.
    func scan(_ changed: [UInt8]) throws -> WriteAheadLogScan {
        let path = "\(scratch.path)/scan"
        try FileSystem.makeDirectories(path)
        try Self.write(changed, to: "\(path)/\(logName)")
        return try WriteAheadLogScan(reading: path)
    }

    /// How many writes a core finds that is started on a copy of the image with this log; nil when the start is refused as it
    /// should be.
    func open(_ changed: [UInt8]) throws -> Int? {
        let path = "\(scratch.path)/open"
        run("rm", "-rf", path)
        run("cp", "-r", "\(scratch.path)/image", path)
        try Self.write(changed, to: "\(path)/db/\(logName)")
        return try Self.openAsCore(path)
    }

    /// Opens the data, compares it with the durable mark, and checks that exactly the first writes are there, each whole.
    static func openAsCore(_ path: String) throws -> Int? {
        do throws(ThemisError) {
            let directory = try DataDirectory(opening: path)
            let mark = try DurableMark(in: directory, telemetry: .silent())
            defer { mark.close() }
            let engine = try RocksDBEngine(opening: directory, smallOptions(), telemetry: .silent())
            defer { engine.close() }
            let last = try engine.get(.meta, bytes("last")).flatMap { Int(String(decoding: $0, as: UTF8.self)) } ?? 0
            if last < Int(mark.recorded?.sequence ?? 0) { throw ThemisError(.logDamaged, "below the mark") }
            var present = 0
            while try engine.get(.entities, bytes("k\(present + 1)")) != nil,
                try engine.get(.changes, bytes("k\(present + 1)")) != nil
            {
                present += 1
            }
            try checkNothingElse(engine, last, present)
            return last
        } catch {
            guard error.code == .logDamaged else { throw error }
            return nil
        }
    }

    private static func checkNothingElse(_ engine: RocksDBEngine, _ last: Int, _ present: Int) throws(ThemisError) {
        var keys = 0
        let cursor = try engine.snapshot().scan(.entities, from: [], to: nil, reverse: false)
        while try cursor.advance() { keys += 1 }
        guard last == present, keys == present else {
            throw ThemisError(.internalError, "meta says \(last), \(present) are there from the first on, \(keys) in all")
        }
    }
}
