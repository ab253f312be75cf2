import Glibc
import ThemisBase

/// The few questions to the file system that starting needs. Any thread; blocks.
enum FileSystem {
    /// The text of the last system error.
    static var lastError: String { unsafe String(cString: strerror(errno)) }

    static func currentDirectory() -> String {
        guard let path = unsafe getcwd(nil, 0) else { return "/" }
        defer { unsafe free(path) }
        return unsafe String(cString: path)
    }

    static func resolve(_ path: String) -> String? {
        guard let resolved = unsafe realpath(path, nil) else { return nil }
        defer { unsafe free(resolved) }
        return unsafe String(cString: resolved)
    }

    static func isWritableDirectory(_ path: String) -> Bool {
        var status = stat()
        return unsafe stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR && access(path, W_OK | X_OK) == 0
    }

    static func exists(_ path: String) -> Bool { unsafe access(path, F_OK) == 0 }

    /// Reads a file of at most `Limits.configurationBytes`.
    static func read(_ path: String) -> LaunchEnvironment.FileContent {
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { return errno == ENOENT || errno == ENOTDIR ? .missing : .unreadable(lastError) }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var block = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            let count = unsafe block.withUnsafeMutableBytes { unsafe Glibc.read(descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { return .unreadable(lastError) }
            if count == 0 { return .bytes(bytes) }
            bytes += block[..<count]
            guard bytes.count <= Limits.configurationBytes else {
                return .unreadable("it has more than \(Limits.configurationBytes) bytes")
            }
        }
    }
}
