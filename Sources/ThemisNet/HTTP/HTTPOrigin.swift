/// The address of an HTTP service: `http://host[:port][/path]` or `https://…`. A value; any thread.
public struct HTTPOrigin: Sendable, Equatable {
    /// Whether the connection is encrypted.
    public let isTLS: Bool
    /// A name or an IP address; IPv6 without brackets.
    public let host: String
    /// The port.
    public let port: UInt16
    /// What stands before the paths of the service, without a slash at its end.
    public let basePath: String

    /// Reads an address. Nil for one with a user, a query, a fragment, or characters that an address does not have.
    public init?(parsing text: String) {
        guard text.utf8.count <= 2_000, text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else { return nil }
        let scheme = text.prefix { $0 != ":" }.lowercased()
        guard scheme == "http" || scheme == "https", text.dropFirst(scheme.count).hasPrefix("://") else { return nil }
        let rest = text.dropFirst(scheme.count + 3)
        let authority = rest.prefix { $0 != "/" }
        let path = rest.dropFirst(authority.count)
        guard !rest.contains(where: { "?#@\\\"<>^`{|}".contains($0) }) else { return nil }
        isTLS = scheme == "https"
        var host = authority[...]
        var port = isTLS ? 443 : 80
        if let colon = authority.lastIndex(of: ":"), authority.last != "]" {
            let digits = authority[authority.index(after: colon)...]
            guard !digits.isEmpty, digits.allSatisfy(\.isNumber), let number = Int(digits), (1...65_535).contains(number) else {
                return nil
            }
            port = number
            host = authority[..<colon]
        }
        if host.hasPrefix("["), host.hasSuffix("]") { host = host.dropFirst().dropLast() } else if host.contains(":") { return nil }
        guard !host.isEmpty, host.utf8.count <= 253, host.allSatisfy({ $0.isLetter || $0.isNumber || ".-_:%".contains($0) }) else {
            return nil
        }
        self.host = String(host)
        self.port = UInt16(port)
        basePath = String(path.reversed().drop { $0 == "/" }.reversed())
    }

    /// What the Host header says.
    public var authority: String {
        let name = host.contains(":") ? "[\(host)]" : host
        return port == (isTLS ? 443 : 80) ? name : "\(name):\(port)"
    }
}
