import Foundation
import Testing
import ThemisTestKit

/// A collector that is not ours: it decodes by the official classes what it is sent.
final class TestCollector {
    /// The process.
    let process: LaunchedProcess
    /// Its port on 127.0.0.1.
    let port: Int

    /// Starts it; with a certificate it speaks HTTPS only, and its answers cannot be changed.
    init(_ directory: String, name: String = "collector", cert: String? = nil, key: String? = nil) throws {
        let python = ProcessSet.venv("otlp") + "/bin/python"
        try #require(FileManager.default.isExecutableFile(atPath: python), "the decoder is missing: make install")
        let script = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("OTLPReceiver.py").path
        var arguments = [script]
        if let cert, let key { arguments += ["--cert", cert, "--key", key] }
        let process = try LaunchedProcess(python, arguments, logPath: "\(directory)/\(name)-\(UUID().uuidString).log")
        self.process = process
        var found: Int?
        try Patience.wait(20, "the collector's port", log: process.logPath) {
            found = Self.lines(process.log).first?["port"] as? Int
            return found != nil
        }
        port = try #require(found)
    }

    /// Decides how requests are answered from now on.
    func answer(_ json: String) throws {
        let answer = try HTTPClient(port: UInt16(port)).send(
            "POST", "/answer", ["Content-Type": "application/json"], body: Array(json.utf8))
        #expect(answer.status == 200)
    }

    private static func lines(_ log: String) -> [[String: Any]] {
        // The last line may still be on its way.
        log.split(separator: "\n").compactMap { (try? JSONSerialization.jsonObject(with: Data($0.utf8))) as? [String: Any] }
    }

    /// Every request, oldest first.
    var requests: [[String: Any]] { Self.lines(process.log).filter { $0["path"] != nil } }

    /// The spans of every request that was taken.
    var spans: [ReportedSpan] {
        requests.filter { ($0["answer"] as? [String: Any])?["status"] as? Int == 200 }
            .flatMap { $0["spans"] as? [[String: Any]] ?? [] }.map(ReportedSpan.init)
    }

    /// The data points of every request.
    var points: [[String: Any]] { requests.flatMap { $0["points"] as? [[String: Any]] ?? [] } }
}

/// A span as the collector decoded it.
struct ReportedSpan {
    let json: [String: Any]

    init(_ json: [String: Any]) { self.json = json }

    var name: String { json["name"] as? String ?? "" }
    var trace: String { json["trace"] as? String ?? "" }
    var id: String { json["id"] as? String ?? "" }
    var parent: String { json["parent"] as? String ?? "" }
    var kind: Int { json["kind"] as? Int ?? 0 }
    var start: UInt64 { (json["start"] as? NSNumber)?.uint64Value ?? 0 }
    var end: UInt64 { (json["end"] as? NSNumber)?.uint64Value ?? 0 }
    var role: String { resource["themis.role"] as? String ?? "" }
    var resource: [String: Any] { json["resource"] as? [String: Any] ?? [:] }
    func text(_ key: String) -> String? { (json["attributes"] as? [String: Any])?[key] as? String }
    func number(_ key: String) -> Int? { (json["attributes"] as? [String: Any])?[key] as? Int }
}
