import Foundation
import Testing
import ThemisBase
import ThemisTelemetry
import ThemisTestKit

@testable import ThemisStorage

/// Faults that end a process: each runs in a child, `StorageProbe`.
@Suite(.serialized) struct ProcessFaultTests {
    /// A child that commits numbered writes, and what it said.
    final class Probe {
        let scratch: ScratchDirectory
        let process: LaunchedProcess
        var dataPath: String { "\(scratch.path)/data" }
        private let logPath: String

        init(_ scratch: ScratchDirectory, environment: [String: String] = [:], run: Int = 0) throws {
            self.scratch = scratch
            logPath = "\(scratch.path)/probe-\(run).out"
            process = try LaunchedProcess(
                "\(ProcessSet.programs)/StorageProbe", ["\(scratch.path)/data"], environment: environment, logPath: logPath)
        }

        var lines: [String] {
            guard let text = try? String(contentsOfFile: logPath, encoding: .utf8) else { return [] }
            // The last line may be half written.
            return text.split(separator: "\n", omittingEmptySubsequences: false).dropLast().map(String.init)
        }

        /// The last number that the child called durable.
        var acknowledged: Int { lines.compactMap { Int($0) }.last ?? 0 }

        func wait(for number: Int) throws {
            try Patience.wait(20, "write \(number) of the probe", log: logPath) {
                self.acknowledged >= number || !self.process.isRunning
            }
        }
    }

    /// Opens what a child left, and gives the last write after checking that all up to it are there, each whole.
    static func lastWrite(_ path: String) throws -> Int {
        let directory = try DataDirectory(opening: path)
        let mark = try DurableMark(in: directory, telemetry: .silent())
        defer { mark.close() }
        let engine = try RocksDBEngine(opening: directory, smallOptions(), telemetry: .silent())
        defer { engine.close() }
        func number(_ bytes: [UInt8]) -> Int { bytes.reduce(0) { $0 << 8 | Int($1) } }
        let last = number(try engine.get(.meta, bytes("last")) ?? [])
        #expect(last >= Int(mark.recorded?.sequence ?? 0))
        #expect(try engine.contents(.entities).map { number($0.key) } == Array(1..<(last + 1)))
        #expect(try engine.contents(.changes).map { number($0.key) } == Array(1..<(last + 1)))
        return last
    }

    /// The preloaded library, built once.
    static let failingDisk: String? = {
        let source = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("FailingDisk.c").path
        let library = "\(ProcessSet.programs)/FailingDisk.so"
        for compiler in ["cc", "clang"]
        where run(compiler, "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl") == 0 { return library }
        return nil
    }()

    @Test func `kill -9 at any moment keeps every acknowledged write and no half of any`() throws {
        let seed = Seed.current()
        var random = SeededRandom(seed: seed)
        let scratch = ScratchDirectory()
        var acknowledged = 0
        for round in 0..<8 {
            let probe = try Probe(scratch, run: round)
            try probe.wait(for: acknowledged + Int.random(in: 1...120, using: &random))
            probe.process.killNow()
            #expect(probe.acknowledged > acknowledged, "seed \(seed), round \(round): \(probe.lines.suffix(3))")
            acknowledged = probe.acknowledged
            // Every other time the next child recovers the log itself.
            if round % 2 == 1 { #expect(try Self.lastWrite(probe.dataPath) >= acknowledged, "seed \(seed), round \(round)") }
        }
    }

    @Test(arguments: ["sync", "space"])
    func `a failed sync or a log without space ends all writes with an unknown outcome`(fault: String) throws {
        let library = try #require(Self.failingDisk, "a C compiler (cc or clang) is needed to build the fault library")
        let scratch = ScratchDirectory()
        let probe = try Probe(scratch, environment: ["LD_PRELOAD": library, "THEMIS_FAULT": scratch.path])
        try probe.wait(for: 20)
        run("touch", "\(scratch.path)/\(fault)")
        #expect(try probe.process.exitCode(within: 20) == 75)
        let said = probe.lines.filter {
            Int($0) == nil && !$0.contains(" ERROR ") && !$0.contains(" INFO ") && !$0.contains(" WARN ")
        }
        #expect(said == ["failed commit_unknown unknown", "again commit_unknown", "health failed"])
        // The next process reads back what the log really holds: all that was acknowledged, and perhaps the write that failed.
        let last = try Self.lastWrite(probe.dataPath)
        #expect(last == probe.acknowledged || last == probe.acknowledged + 1)
    }

    @Test func `the data directory of a living process is refused with its pid`() throws {
        let scratch = ScratchDirectory()
        let probe = try Probe(scratch)
        try probe.wait(for: 1)
        let error = #expect(throws: ThemisError.self) { try DataDirectory(opening: probe.dataPath) }
        #expect(error?.code == .dataLocked)
        #expect(error?.message.contains("process \(probe.process.pid)") == true)
        probe.process.killNow()
        _ = try DataDirectory(opening: probe.dataPath)
    }
}
