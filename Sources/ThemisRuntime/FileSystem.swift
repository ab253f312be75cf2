import Glibc
import ThemisBase

/// The few questions to the system that starting needs. Any thread; blocks.
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

    /// Whether the absolute `path` lies on NFS or SMB, by the kernel's list of mounts.
    static func isRemote(_ path: String, mounts: String) -> Bool {
        var nearest: (point: Substring, kind: Substring)?
        for line in mounts.split(separator: "\n") {
            // `id parent device root point options … - kind source options`
            let fields = line.split(separator: " ")
            guard fields.count > 4, let dash = fields.firstIndex(of: "-"), dash + 1 < fields.count else { continue }
            let point = fields[4]
            let holds = point == "/" || path == point || path.hasPrefix(point + "/")
            // A later mount of the same point covers the earlier one.
            if holds, point.count >= nearest?.point.count ?? 0 { nearest = (point, fields[dash + 1]) }
        }
        return ["nfs", "nfs4", "cifs", "smb3", "smbfs"].contains(nearest?.kind ?? "")
    }

    /// Whether `text` is an IP address of version 4 or 6, or `localhost`. Names are not asked for: that may block for seconds.
    static func isAddress(_ text: String) -> Bool {
        var address = in6_addr()
        if text == "localhost" { return true }
        return unsafe inet_pton(AF_INET, text, &address) == 1 || inet_pton(AF_INET6, text, &address) == 1
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
