import CLinux
import Glibc
public import ThemisBase

/// Where a socket listens or connects: a TCP host and port, or a Unix path. Any thread.
public struct SocketAddress: Sendable {
    let raw: themis_address
    /// The address as the user wrote it, for messages.
    public let text: String

    /// A Unix socket.
    ///
    /// - Throws: `invalid_configuration` when `path` is longer than `Limits.socketPathBytes` or empty.
    public init(unixPath path: String) throws(ThemisError) {
        let count = path.utf8.count
        guard count > 0, count <= Limits.socketPathBytes, !path.utf8.contains(0) else {
            throw ThemisError(
                .invalidConfiguration,
                "socket path has \(count) bytes of at most \(Limits.socketPathBytes): choose a shorter directory (rpc.socket)"
            )
        }
        var address = themis_address()
        guard unsafe themis_unix_address(path, &address) == 0 else {
            throw ThemisError(.invalidConfiguration, "socket path cannot be used")
        }
        raw = address
        text = path
    }

    /// A TCP address with a numeric host, or `localhost`, or `*` for every interface. Never blocks.
    ///
    /// - Throws: `invalid_configuration` when `host` is a name.
    public init(host: String, port: UInt16) throws(ThemisError) {
        try self.init(host: host, port: port, isNumeric: true)
    }

    /// A TCP address whose host may be a name: asks the resolver, which may block for seconds. Not on the loop.
    ///
    /// - Throws: `invalid_configuration` when the name cannot be resolved.
    public init(resolving host: String, port: UInt16) throws(ThemisError) {
        try self.init(host: host, port: port, isNumeric: false)
    }

    private init(host: String, port: UInt16, isNumeric: Bool) throws(ThemisError) {
        var address = themis_address()
        let name =
            switch host {
            case "localhost": "127.0.0.1"
            case "*": "0.0.0.0"
            default: host.hasPrefix("[") && host.hasSuffix("]") ? String(host.dropFirst().dropLast()) : host
            }
        guard !name.utf8.contains(0), unsafe themis_resolve(name, port, 0, isNumeric ? 1 : 0, &address) == 0 else {
            throw ThemisError(
                .invalidConfiguration,
                isNumeric ? "host \"\(host)\" is not an IP address" : "host \"\(host)\" cannot be resolved")
        }
        raw = address
        text = "\(host):\(port)"
    }
}
