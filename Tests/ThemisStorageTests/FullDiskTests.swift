import Foundation
import Testing
import ThemisBase
import ThemisTelemetry
import ThemisTestKit

@testable import ThemisStorage

/// A small file system of memory, which only root may mount.
final class SmallDisk {
    static let isPossible: Bool = {
        let scratch = ScratchDirectory()
        return run("sh", "-c", "mount -t tmpfs none \(scratch.path) && umount \(scratch.path)") == 0
    }()

    let scratch = ScratchDirectory()
    var path: String { "\(scratch.path)/disk" }

    init(megabytes: Int) throws {
        run("mkdir", path)
        try #require(run("mount", "-t", "tmpfs", "-o", "size=\(megabytes)m", "none", path) == 0)
    }

    deinit { run("umount", "-l", path) }
}

/// A disk that runs full: writes stop before it is, reads go on, and everything resumes when there is space.
@Suite(.serialized) struct FullDiskTests {
    static func options() -> RocksDBOptions {
        var options = smallOptions()
        // Two thirds of the small disk, so that all there is can be merged, and nothing but the test does so: on a slow machine
        // compactions fall behind, which slows writes down.
        options.minFreeBytes = 42 << 20
        options.compactsByItself = false
        options.ballastBytes = 3 << 20
        return options
    }

    static func batch(_ number: Int) -> WriteBatch {
        var batch = WriteBatch()
        batch.put(.entities, bytes("k\(number)"), noise(number, 128 << 10))
        return batch
    }

    @Test(.enabled(if: SmallDisk.isPossible, "mounting a small tmpfs needs root; CI runs as root"))
    func `writes are refused before the disk is full, reads go on, and writes resume by themselves`() throws {
        let disk = try SmallDisk(megabytes: 64)
        let time = ManualTime()
        let engine = try openRocksDB("\(disk.path)/data", Self.options(), telemetry: .silent(time: time))
        defer { engine.close() }
        #expect(FileSystem.exists("\(disk.path)/data/ballast"))

        var number = 0
        var refusal: ThemisError?
        while refusal == nil, number < 1_000 {
            do throws(ThemisError) {
                try engine.commit(Self.batch(number), .synced)
                number += 1
            } catch { refusal = error }
        }
        #expect(refusal?.code == .diskFull)
        #expect(refusal?.outcome == .notCommitted)
        #expect(engine.health == .healthy)
        #expect(number > 50)
        #expect(try engine.get(.entities, bytes("k\(number)")) == nil)
        #expect(try engine.get(.entities, bytes("k\(number - 1)"))?.count == 128 << 10)

        // Somebody else fills the rest: the ballast goes, so that the engine's own work still has room. None runs right now:
        // Debian's RocksDB aborts where a background write meets the very end of the disk.
        try engine.flush(nil)
        try engine.compact(.entities, from: nil, to: nil)
        run("sh", "-c", "cat /dev/zero >\(disk.path)/filler 2>/dev/null")
        time.advance(milliseconds: 1_100)
        #expect(throws: ThemisError.self) { try engine.commit(Self.batch(number), .synced) }
        #expect(!FileSystem.exists("\(disk.path)/data/ballast"))
        #expect(try engine.get(.entities, bytes("k0"))?.count == 128 << 10)
        #expect(engine.health == .healthy)

        try engine.deleteFiles(.entities, from: bytes("k1"), to: bytes("k2"))
        try engine.flush(nil)

        run("rm", "\(disk.path)/filler")
        time.advance(milliseconds: 1_100)
        try engine.commit(Self.batch(number), .synced)
        #expect(try engine.get(.entities, bytes("k\(number)"))?.count == 128 << 10)
        #expect(engine.health == .healthy)
    }

    @Test(.enabled(if: SmallDisk.isPossible, "mounting a small tmpfs needs root; CI runs as root"))
    func `without a watermark a full disk ends the writes of the process, and nothing acknowledged is lost`() throws {
        let disk = try SmallDisk(megabytes: 24)
        let process = try LaunchedProcess(
            "\(ProcessSet.programs)/StorageProbe", ["\(disk.path)/data"], logPath: "\(disk.scratch.path)/probe.out")
        // Either the write fails, or a background write meets the end first, where Debian's RocksDB aborts: both end the process.
        let code = try process.exitCode(within: 60)
        #expect(code == 75 || code == 128 + Int(SIGABRT))
        let lines = try String(contentsOfFile: process.logPath, encoding: .utf8).split(separator: "\n").map(String.init)
        let acknowledged = lines.compactMap { Int($0) }.last ?? 0
        #expect(acknowledged > 100)
        let failures = ["failed commit_unknown unknown", "failed disk_full not_committed"]
        #expect(code != 75 || failures.contains { lines.contains($0) })
        #expect(!lines.contains("went on"))
        run("mount", "-o", "remount,size=128m", disk.path)
        let last = try ProcessFaultTests.lastWrite("\(disk.path)/data")
        #expect(last == acknowledged || last == acknowledged + 1)
    }

    @Test func `the ballast is laid down, given up and laid down again by free space`() throws {
        let scratch = ScratchDirectory()
        // No file system has this much: the guard believes itself full.
        let greedy = FreeSpaceGuard(
            directory: scratch.path, paths: [scratch.path], minFreeBytes: 1 << 60, ballastBytes: 1 << 20, telemetry: .silent())
        #expect(!FileSystem.exists("\(scratch.path)/ballast"))
        let error = #expect(throws: ThemisError.self) { try greedy.admit(bytes: 1) }
        #expect(error?.code == .diskFull)
        let modest = FreeSpaceGuard(
            directory: scratch.path, paths: [scratch.path], minFreeBytes: 1 << 20, ballastBytes: 1 << 20, telemetry: .silent())
        #expect(FileSystem.exists("\(scratch.path)/ballast"))
        try modest.admit(bytes: 1)
        _ = FreeSpaceGuard(
            directory: scratch.path, paths: [scratch.path], minFreeBytes: 1 << 60, ballastBytes: 1 << 20, telemetry: .silent())
        #expect(!FileSystem.exists("\(scratch.path)/ballast"))
    }
}
