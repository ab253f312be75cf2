import Glibc
import ThemisBase

/// What a test's own client met.
public struct ClientFailure: Error, CustomStringConvertible {
    /// What happened.
    public let description: String
    /// Says what happened.
    public init(_ description: String) { self.description = description }
}

/// A blocking socket of a test: its bytes are exactly those the test writes. One thread at a time.
public final class ClientSocket {
    private var descriptor: Int32
    /// Bytes received and not taken yet.
    private var buffer: [UInt8] = []

    /// Connects to 127.0.0.1:`port`.
    ///
    /// - Parameter receiveBufferBytes: the kernel's receive buffer; small ones make a slow reader felt at once.
    public init(port: UInt16, receiveBufferBytes: Int32? = nil) throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw ClientFailure("socket: errno \(errno)") }
        if var bytes = receiveBufferBytes {
            unsafe setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &bytes, socklen_t(MemoryLayout<Int32>.size))
        }
        var one: Int32 = 1
        unsafe setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &one, socklen_t(MemoryLayout<Int32>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        let status = unsafe withUnsafePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        try finishConnecting(status, "127.0.0.1:\(port)")
    }

    /// Connects to the Unix socket at `path`.
    public init(path: String) throws {
        descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw ClientFailure("socket: errno \(errno)") }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let bytes = Array(path.utf8)
        guard bytes.count <= Limits.socketPathBytes else { throw ClientFailure("\(path) is too long for a socket") }
        unsafe withUnsafeMutableBytes(of: &address.sun_path) { unsafe $0.copyBytes(from: bytes) }
        let status = unsafe withUnsafePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        try finishConnecting(status, path)
    }

    deinit { shut() }

    private func finishConnecting(_ status: Int32, _ place: String) throws {
        guard status != 0 else { return }
        let code = errno
        shut()
        throw ClientFailure("connect to \(place): errno \(code)")
    }

    /// Closes both directions. Harmless when closed.
    public func shut() {
        if descriptor >= 0 { close(descriptor) }
        descriptor = -1
    }

    /// Tells the other side that nothing more will be sent; answers can still be read.
    public func finishSending() { shutdown(descriptor, Int32(SHUT_WR)) }

    /// Closes by a reset instead of an orderly end.
    public func reset() {
        var linger = linger(l_onoff: 1, l_linger: 0)
        unsafe setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &linger, socklen_t(MemoryLayout<linger>.size))
        shut()
    }

    /// Sends all of `bytes`.
    public func send(_ bytes: some Collection<UInt8>) throws {
        let copy = Array(bytes)
        var sent = 0
        while sent < copy.count {
            let count = unsafe copy.withUnsafeBytes {
                unsafe Glibc.send(descriptor, $0.baseAddress?.advanced(by: sent), copy.count - sent, Int32(MSG_NOSIGNAL))
            }
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else { throw ClientFailure("send: errno \(errno)") }
            sent += count
        }
    }

    /// Sends `text` as UTF-8.
    public func send(_ text: String) throws { try send(Array(text.utf8)) }

    /// Receives once into the buffer; false at the end of the stream.
    ///
    /// - Throws: when nothing came within `milliseconds`, or the connection broke.
    private func fill(milliseconds: Int32) throws -> Bool {
        var waiter = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        let ready = unsafe poll(&waiter, 1, milliseconds)
        if ready < 0 && errno == EINTR { return true }
        guard ready > 0 else { throw ClientFailure("nothing came within \(milliseconds) ms") }
        var chunk = [UInt8](repeating: 0, count: 64 << 10)
        let count = unsafe chunk.withUnsafeMutableBytes { unsafe recv(descriptor, $0.baseAddress, $0.count, 0) }
        guard count >= 0 else { throw ClientFailure("receive: errno \(errno)") }
        buffer += chunk.prefix(count)
        return count > 0
    }

    /// Takes exactly `count` bytes.
    public func receive(_ count: Int, milliseconds: Int32 = 10_000) throws -> [UInt8] {
        while buffer.count < count {
            guard try fill(milliseconds: milliseconds) else {
                throw ClientFailure("the connection ended \(count - buffer.count) bytes early")
            }
        }
        defer { buffer.removeFirst(count) }
        return Array(buffer.prefix(count))
    }

    /// Takes bytes up to and without the next line feed and a carriage return before it; nil at the end of the stream.
    public func receiveLine(milliseconds: Int32 = 10_000) throws -> String? {
        var searched = 0
        while true {
            if let end = buffer[searched...].firstIndex(of: 0x0A) {
                let line = buffer[..<end]
                let text = String(decoding: line.last == 0x0D ? line.dropLast() : line, as: UTF8.self)
                buffer.removeFirst(end + 1)
                return text
            }
            searched = buffer.count
            guard try fill(milliseconds: milliseconds) else { return nil }
        }
    }

    /// Takes everything until the other side closes.
    public func receiveToEnd(milliseconds: Int32 = 10_000) throws -> [UInt8] {
        while try fill(milliseconds: milliseconds) {}
        defer { buffer = [] }
        return buffer
    }

    /// Whether the other side closes, or resets, within `milliseconds`; what it sends before that is dropped.
    public func isClosed(within milliseconds: Int32) -> Bool {
        do {
            while try fill(milliseconds: milliseconds) {}
            return true
        } catch let failure as ClientFailure {
            return !failure.description.hasPrefix("nothing came")
        } catch {
            return false
        }
    }
}

/// Finds ports that nobody listens on at the moment.
public enum FreePort {
    /// `count` different ports of 127.0.0.1, all held open at once while they are chosen.
    public static func some(_ count: Int) throws -> [UInt16] {
        var descriptors: [Int32] = []
        defer { for descriptor in descriptors { close(descriptor) } }
        return try (0..<count).map { _ in
            let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
            descriptors.append(descriptor)
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
            var length = socklen_t(MemoryLayout<sockaddr_in>.size)
            let status = unsafe withUnsafeMutablePointer(to: &address) { pointer in
                unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    unsafe bind(descriptor, $0, length) == 0 && getsockname(descriptor, $0, &length) == 0
                }
            }
            guard status else { throw ClientFailure("no free port: errno \(errno)") }
            return UInt16(bigEndian: address.sin_port)
        }
    }
}
