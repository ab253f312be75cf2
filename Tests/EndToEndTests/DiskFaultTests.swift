import Foundation
import Testing
import ThemisBase
import ThemisTestKit

/// Disks that do not take what is written, under a whole set.
@Suite(.serialized) struct DiskFaultTests {
    /// The library that makes syncs fail while a file named `sync` is there; built once.
    private static let failingDisk: String? = {
        let tests = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        let source = tests.appendingPathComponent("ThemisStorageTests/FailingDisk.c").path
        let library = "\(ProcessSet.programs)/FailingDiskOfSet.so"
        for compiler in ["cc", "clang"] {
            let built = try? LaunchedProcess(
                "/usr/bin/env", [compiler, "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], logPath: library + ".log")
            if (try? built?.exitCode(within: 30)) == 0 { return library }
        }
        return nil
    }()

    @Test func `a disk that does not sync for a while ends nothing but the core, and loses no acknowledged write`() throws {
        let library = try #require(Self.failingDisk, "a C compiler (cc or clang) is needed to build the fault library")
        let switches = NSTemporaryDirectory() + "themis-fault-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: switches, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: switches) }
        let set = try ProcessSet(environment: ["LD_PRELOAD": library, "THEMIS_FAULT": switches])
        try set.startAll()
        let client = set.client()
        for number in 0..<5 { #expect(try client.put("/entities/t:\(number)", "{\"n\":\(number)}").status == 201) }
        let stream = try EventStreamClient(port: set.changefeedPort, "/changefeed/stream?from_seq=0&heartbeat_ms=200")
        #expect(try FeedFixture.events(stream, 5).map(\.sequence) == [1, 2, 3, 4, 5])

        _ = FileManager.default.createFile(atPath: switches + "/sync", contents: nil)
        let refused = try client.put("/entities/t:5", "{}")
        #expect(refused.status == 503)
        #expect(refused.json["code"] as? String == "commit_unknown")
        #expect(refused.json["outcome"] as? String == "unknown")
        // The next core cannot open the data either: that must not look like damage, and must not end the set.
        let parent = try #require(set[.server])
        try Patience.wait(20, "a core that finds the disk failing", log: set.logPath(.server)) {
            parent.log.contains("disk does not work") || !parent.isRunning
        }
        #expect(parent.isRunning)
        #expect(!parent.log.contains("data is damaged"))
        #expect(try set.client().get("/health/ready").status == 200)
        #expect(try set.client().get("/health").status == 503)

        try FileManager.default.removeItem(atPath: switches + "/sync")
        try set.waitUntilHealthy(seconds: 30)
        for number in 0..<5 { #expect(try set.client().get("/entities/t:\(number)").status == 200) }
        #expect(try set.client().put("/entities/t:6", "{}").status == 201)
        // The write whose outcome was unknown may be there: then it is in the stream too, and there is no gap either way.
        let latest = try #require(try set.client().get("/changefeed?from_seq=now").number("latest_sequence"))
        let more = try FeedFixture.events(stream, Int(latest) - 5)
        #expect(more.map(\.sequence) == Array(6...latest))
        #expect(more.last?.key == "t:6")
    }

    @Test func `a nearly full disk refuses writes with 507, serves reads, and shows in the health`() throws {
        let set = try ProcessSet()
        try set.startCore(with: .gateway)
        #expect(try set.client().put("/entities/t:1", "{}").status == 201)
        set.kill(.server)
        // No disk has so much: 16 TiB must be free. The log is not written to files then, and what it holds is served all the same.
        try set.start(.server, environment: ["THEMIS_STORAGE_MIN_FREE_MB": "16777216"])
        let client = set.client()
        try Patience.wait(20, "the core", log: set.logPath(.server)) { try client.get("/entities/t:1").status == 200 }
        let refused = try client.put("/entities/t:1", "{}")
        #expect(refused.status == 507)
        #expect(refused.json["code"] as? String == "disk_full")
        #expect(refused.json["outcome"] as? String == "not_committed")
        let health = try client.get("/health")
        #expect(health.status == 200)
        #expect(health.json["status"] as? String == "degraded")
        let core = (health.json["components"] as? [String: Any])?["core"] as? [String: Any]
        #expect((core?["detail"] as? String)?.contains("disk") == true)
        // The next start has the same log again, and room.
        #expect(try set.stop(.server) == 0)
        try set.start(.server)
        try set.waitUntilHealthy()
        #expect(try client.get("/entities/t:1").status == 200)
        #expect(try client.put("/entities/t:2", "{}").status == 201)
    }

    @Test func `requests that take no fields refuse them instead of ignoring them`() throws {
        let set = try ProcessSet()
        try set.startCore(with: .gateway)
        let client = set.client()
        #expect(try client.put("/entities/t:1", "{}").status == 201)
        for target in ["/admin/flush", "/tables/t/truncate"] {
            let refused = try client.post(target, #"{"dry_run":true}"#)
            #expect(refused.status == 400)
            #expect(refused.text.contains("dry_run"))
        }
        #expect(try client.get("/entities/t:1").status == 200)
        #expect(try client.post("/tables/t/truncate", "{}").status == 200)
    }
}
