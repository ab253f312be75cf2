import ThemisBase

/// Where the core's socket lies when nobody says: in a private directory named after the data directory, so that several sets run
/// on one machine and a tool that knows the data directory finds its set.
public enum SocketPath {
    /// The file's name in its directory.
    static let fileName = "core.sock"

    /// The default of `rpc.socket`.
    ///
    /// A process that serves takes the first base directory in which it may write; a client first looks where a socket already
    /// lies. Bases whose path would be longer than a socket's may be are passed over.
    ///
    /// - Parameter dataDirectory: as configured; made absolute here.
    public static func standard(dataDirectory: String, serving: Bool, environment: LaunchEnvironment) -> String {
        let name = directoryName(of: environment.absolute(dataDirectory))
        let temporary = environment.variables["TMPDIR"].flatMap { $0.hasPrefix("/") ? $0 : nil } ?? "/tmp"
        // Everyone may write to the temporary directory: the user's id keeps the sets of two users apart there.
        var candidates = [(base: "/run/themis", path: "/run/themis/\(name)/\(fileName)")]
        if let runtime = environment.variables["XDG_RUNTIME_DIR"], runtime.hasPrefix("/") {
            candidates.append((runtime, "\(runtime)/themis-\(name)/\(fileName)"))
        }
        for base in temporary == "/tmp" ? ["/tmp"] : [temporary, "/tmp"] {
            candidates.append((base, "\(base)/themis-\(environment.userID)-\(name)/\(fileName)"))
        }
        let fitting = candidates.filter { $0.path.utf8.count <= Limits.socketPathBytes }
        if !serving, let present = fitting.first(where: { environment.resolve($0.path) != nil }) { return present.path }
        let writable = fitting.first { environment.isWritableDirectory($0.base) }
        return (writable ?? fitting.last ?? candidates[candidates.count - 1]).path
    }

    /// A name that says which directory is meant and is different for each.
    private static func directoryName(of path: String) -> String {
        let last = path.split(separator: "/").last.map(String.init) ?? "root"
        let readable = last.utf8.prefix(24).map { byte -> Character in
            let isPlain = (0x61...0x7A).contains(byte | 0x20) || (0x30...0x39).contains(byte) || byte == 0x2D || byte == 0x5F
            return isPlain ? Character(UnicodeScalar(byte)) : "_"
        }
        return String(readable) + "-" + Digest.hex(Digest.sha256(Array(path.utf8)).prefix(6))
    }
}
