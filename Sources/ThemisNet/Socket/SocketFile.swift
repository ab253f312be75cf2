import CLinux
import Glibc
public import ThemisBase
public import ThemisTelemetry

/// The Unix socket of a server, in a directory of its own: bound so that a socket left behind never blocks a start, and a live
/// one never is taken over.
///
/// The lock beside it is the kernel's and ends with the process, however that ends. The loop only.
@NetLoop public final class SocketFile {
    /// The bound socket; connections queue in the kernel until it is started.
    public let listener: Listener
    private let path: String
    private let lock: OwnedDescriptor

    /// Makes the directory (mode 2770) when it is missing, locks, removes a stale socket, binds (mode 0660).
    ///
    /// - Throws: `invalid_configuration` when the path cannot be used, `address_in_use` naming the process that serves it.
    public init(path: String, telemetry: Telemetry) throws(ThemisError) {
        let address = try SocketAddress(unixPath: path)
        try Self.prepareDirectory(of: path)
        lock = try Self.lock(path + ".lock", for: path)
        try Self.removeStale(path, address)
        listener = try Listener(address, telemetry: telemetry)
        self.path = path
        guard unsafe chmod(path, 0o660) == 0 else {
            throw ThemisError(.invalidConfiguration, "the mode of \(path) cannot be set: \(errorText(errno))")
        }
    }

    /// Stops listening and removes the socket. The lock stays until `close`, so that nobody starts beside what still runs.
    public func stopListening() {
        guard listener.isOpen else { return }
        listener.close()
        unsafe unlink(path)
    }

    /// Stops listening and gives the lock back.
    public func close() {
        stopListening()
        lock.close()
    }

    private static func prepareDirectory(of path: String) throws(ThemisError) {
        var directory = path.lastIndex(of: "/").map { String(path[..<$0]) } ?? "."
        if directory.isEmpty { directory = "/" }
        if unsafe mkdir(directory, 0o770) == 0 {
            // Once more: the umask has taken bits away, and mkdir never sets the group bit.
            unsafe chmod(directory, 0o2770)
        } else if errno != EEXIST {
            throw ThemisError(
                .invalidConfiguration,
                "the directory \(directory) of the socket cannot be made: \(errorText(errno)); make it or set rpc.socket")
        }
        var status = stat()
        guard unsafe stat(directory, &status) == 0, status.st_mode & S_IFMT == S_IFDIR else {
            throw ThemisError(
                .invalidConfiguration, "\(directory) is not a directory; set rpc.socket to a path in a directory of its own")
        }
        // There, everyone could put a socket in the place of ours.
        guard status.st_mode & S_IWOTH == 0 else {
            throw ThemisError(
                .invalidConfiguration, "everyone may write to \(directory); set rpc.socket to a path in a directory of its own")
        }
    }

    private static func lock(_ lockPath: String, for path: String) throws(ThemisError) -> OwnedDescriptor {
        let descriptor = OwnedDescriptor(unsafe themis_open(lockPath, O_RDWR | O_CREAT, 0o660))
        guard descriptor.number >= 0 else {
            throw ThemisError(.invalidConfiguration, "the lock \(lockPath) cannot be opened: \(errorText(errno)); set rpc.socket")
        }
        guard themis_lock_file(descriptor.number) == 0 else { throw inUse(path, by: themis_lock_holder(descriptor.number)) }
        return descriptor
    }

    private static func removeStale(_ path: String, _ address: SocketAddress) throws(ThemisError) {
        var status = stat()
        guard unsafe lstat(path, &status) == 0 else { return }
        guard status.st_mode & S_IFMT == S_IFSOCK else {
            throw ThemisError(.invalidConfiguration, "\(path) exists and is not a socket; move it away or set rpc.socket")
        }
        var raw = address.raw
        let probe = OwnedDescriptor(unsafe themis_connect(&raw))
        let error = errno
        // A full queue of connections is a sign of life, too.
        if probe.number >= 0 || error == EAGAIN {
            var (uid, gid, pid) = (uid_t(), gid_t(), pid_t())
            let isKnown = unsafe probe.number >= 0 && themis_peer_credentials(probe.number, &uid, &gid, &pid) == 0
            throw inUse(path, by: isKnown ? pid : -1)
        }
        guard error == ECONNREFUSED || error == ENOENT else {
            throw ThemisError(.invalidConfiguration, "the socket \(path) cannot be probed: \(errorText(error)); remove it")
        }
        guard unsafe unlink(path) == 0 || errno == ENOENT else {
            throw ThemisError(.invalidConfiguration, "the stale socket \(path) cannot be removed: \(errorText(errno))")
        }
    }

    private static func inUse(_ path: String, by pid: pid_t) -> ThemisError {
        let holder = pid > 0 ? " by process \(pid)" : ""
        return ThemisError(.addressInUse, "\(path) is served\(holder) already; stop it or set rpc.socket")
    }
}
