import Foundation
import Synchronization
import Testing
import ThemisBase
import ThemisTestKit

/// `themis_server` as a stranger starts it: a parent with the whole set under it.
@Suite struct OneMachineTests {
    private static let names = ["themis_changefeed", "themis_exporter", "themis_gateway", "themis_server core"]

    private static func children(_ set: ProcessSet) throws -> [String: pid_t] {
        ProcessTree.children(of: try #require(set[.server]).pid)
    }

    @Test func `the whole set runs below one process and stops within five seconds`() throws {
        let set = try ProcessSet()
        try set.startAll()
        let children = try Self.children(set)
        #expect(children.keys.sorted() == Self.names)
        #expect(try set.client().put("/entities/t:1", "{}").status == 201)
        #expect(try set.stop(.server) == 0)
        for (name, pid) in children { #expect(kill(pid, 0) != 0, "\(name) is still there") }
    }

    @Test func `a stop under load loses no answer in flight`() throws {
        let set = try ProcessSet()
        try set.startAll()
        let ledger = Mutex<(acknowledged: [String], unanswered: [String])>(([], []))
        let writers = (0..<16).map { writer in
            Thread {
                guard let socket = try? ClientSocket(port: set.gatewayPort) else { return }
                for number in 0..<1_000_000 {
                    let key = "t:\(writer)-\(number)"
                    let request =
                        "PUT /entities/\(key) HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 7\r\n\r\n{\"n\":1}"
                    guard (try? socket.send(request)) != nil else { return }
                    guard let status = try? socket.receiveLine() else { return ledger.withLock { $0.unanswered.append(key) } }
                    var closes = false
                    var length = 0
                    while let line = try? socket.receiveLine(), !line.isEmpty {
                        let field = line.lowercased()
                        if field == "connection: close" { closes = true }
                        if field.hasPrefix("content-length: ") { length = Int(field.dropFirst(16)) ?? 0 }
                    }
                    _ = try? socket.receive(length)
                    if status.contains(" 201 ") { ledger.withLock { $0.acknowledged.append(key) } }
                    // The server says when it wants no more on this connection: what is sent after that is the sender's risk.
                    if closes { return }
                }
            }
        }
        for writer in writers { writer.start() }
        try Patience.wait(20, "writes under way") { ledger.withLock { $0.acknowledged.count } > 500 }
        #expect(try set.stop(.server) == 0)
        try Patience.wait(10, "writers to end") { writers.allSatisfy(\.isFinished) }
        let (acknowledged, unanswered) = ledger.withLock { $0 }
        #expect(unanswered == [])
        try set.startAll()
        let client = set.client()
        for key in acknowledged { #expect(try client.get("/entities/\(key)").status == 200) }
    }

    @Test(arguments: ["themis_gateway", "themis_changefeed", "themis_exporter"])
    func `a killed sidecar is brought back and the others do not notice`(name: String) throws {
        let set = try ProcessSet()
        try set.startAll()
        let before = try Self.children(set)
        let watched: ServiceRole = name == "themis_changefeed" ? .gateway : .changefeed
        let stream = try EventStreamClient(port: set.port(watched), "/changefeed/stream?from_seq=0&heartbeat_ms=200")
        #expect(try stream.nextEvent()?.event == "hello")
        kill(try #require(before[name]), SIGKILL)
        try Patience.wait(10, "another \(name)", log: set.logPath(.server)) {
            let now = try Self.children(set)
            return now[name] != nil && now[name] != before[name]
        }
        for role in [ServiceRole.gateway, .changefeed, .exporter] { try set.waitUntilReady(role) }
        try FeedFixture.write(set, 3)
        #expect(try FeedFixture.events(stream, 3).map(\.sequence) == [1, 2, 3])
        let now = try Self.children(set)
        for other in Self.names where other != name { #expect(now[other] == before[other], "\(other) was restarted too") }
    }

    @Test func `a killed core is brought back, with every acknowledged write and open streams`() throws {
        let set = try ProcessSet()
        try set.startAll()
        let before = try Self.children(set)
        let stream = try EventStreamClient(port: set.changefeedPort, "/changefeed/stream?from_seq=0&heartbeat_ms=200")
        try FeedFixture.write(set, 10)
        #expect(try FeedFixture.events(stream, 10).count == 10)
        kill(try #require(before["themis_server core"]), SIGKILL)
        try Patience.wait(10, "another core", log: set.logPath(.server)) {
            let now = try Self.children(set)["themis_server core"]
            return now != nil && now != before["themis_server core"]
        }
        try set.waitUntilHealthy()
        #expect(try set.client().get("/entities/t:9").text == "{\"n\":9}")
        try FeedFixture.write(set, 1, from: 10)
        #expect(try FeedFixture.events(stream, 1).map(\.sequence) == [11])
        let now = try Self.children(set)
        for other in Self.names.dropLast() { #expect(now[other] == before[other], "\(other) was restarted too") }
    }

    @Test func `the set ends with its parent, also when that is killed`() throws {
        let set = try ProcessSet()
        try set.startAll()
        let children = try Self.children(set)
        set.kill(.server)
        try Patience.wait(5, "the end of every child") { children.values.allSatisfy { ProcessTree.ticks(of: $0) == nil } }
    }

    @Test func `an idle set uses less than one percent of a processor`() throws {
        let set = try ProcessSet()
        try set.startAll()
        try FeedFixture.write(set, 10)
        let pids = try Self.children(set).values + [try #require(set[.server]).pid]
        func used() -> UInt64 { pids.reduce(0) { $0 + ProcessTree.nanoseconds(of: $1) } }
        let time = SystemTime()
        var share = 1.0
        // A machine that others slow down makes everything dearer for a while: the best of three stretches counts.
        for _ in 0..<3 where share >= 0.01 {
            let began = (used: used(), nanoseconds: time.monotonicNanoseconds())
            try Patience.wait(10, "five seconds to pass") { time.monotonicNanoseconds() - began.nanoseconds >= 5_000_000_000 }
            share = min(share, Double(used() - began.used) / Double(time.monotonicNanoseconds() - began.nanoseconds))
        }
        #expect(share > 0 && share < 0.01, "\(share)")
    }

    @Test(arguments: ["themis_gateway", "themis_changefeed", "themis_exporter"])
    func `a sidecar is not linked with the storage engine`(name: String) throws {
        let log = NSTemporaryDirectory() + "themis-ldd-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: log) }
        let ldd = try LaunchedProcess("/usr/bin/ldd", ["\(ProcessSet.programs)/\(name)"], logPath: log)
        #expect(try ldd.exitCode(within: 10) == 0)
        #expect(ldd.log.contains("libc.so"))
        #expect(!ldd.log.contains("rocksdb"))
    }
}
