import Foundation
import ThemisBase

/// Where the files of a test process lie: in one directory that goes when the process ends, whatever became of its tests.
public enum TestDirectory {
    private static let root: String = {
        let root = (NSTemporaryDirectory() as NSString).appendingPathComponent("themis-\(getpid())")
        do {
            try FileManager.default.createDirectory(atPath: root, withIntermediateDirectories: true)
        } catch {
            preconditionFailure("no temporary directory for tests: \(error)")
        }
        atexit { TestDirectory.removeAll() }
        return root
    }()

    /// A path that nobody else uses; nothing is made there. Short, because it may become that of a socket.
    public static func path(_ name: String) -> String { "\(root)/\(name)-\(Digest.hex(Digest.random(4)))" }

    private static func removeAll() {
        if ProcessInfo.processInfo.environment["THEMIS_KEEP"] != "1" { try? FileManager.default.removeItem(atPath: root) }
    }
}
