import CLinux
import Glibc
public import ThemisBase
public import ThemisTelemetry

/// A listening socket. Closed by `close` or when dropped.
@NetLoop public final class Listener {
    /// The TCP port that is listened on (the one the kernel chose when 0 was asked), 0 for Unix sockets.
    public let localPort: Int
    private let socket: OwnedDescriptor
    private let telemetry: Telemetry
    private let failures: Counter
    private var accepted: (@NetLoop (Int32) -> Void)?
    private var watcher: FileWatcher?
    private var backOff: LoopTimer?

    /// Binds and listens; connections queue in the kernel until `start`.
    ///
    /// - Parameter reusesPort: several processes may listen on the same TCP port; the kernel spreads connections.
    /// - Throws: `address_in_use` naming the holder when /proc tells, `invalid_configuration` for any other refusal.
    public init(_ address: SocketAddress, reusesPort: Bool = false, telemetry: Telemetry) throws(ThemisError) {
        var raw = address.raw
        let descriptor = unsafe themis_listen(&raw, reusesPort ? 1 : 0, Self.backlog)
        guard descriptor >= 0 else { throw Self.refusal(errno, address) }
        socket = OwnedDescriptor(descriptor)
        localPort = Int(themis_local_port(descriptor))
        self.telemetry = telemetry
        failures = telemetry.metrics.counter(.acceptFailures)
    }

    /// Hands each accepted descriptor (non-blocking, close-on-exec, owned by the callee) to `accepted`.
    public func start(_ accepted: @escaping @NetLoop (Int32) -> Void) {
        guard watcher == nil, socket.number >= 0 else { return }
        self.accepted = accepted
        watcher = FileWatcher(descriptor: socket.number) { [weak self] _ in self?.acceptPending() }
        watcher?.lane = .pressing
        backOff = LoopTimer { [weak self] in _ = self?.watcher?.watch(.readable) }
        watcher?.watch(.readable)
    }

    /// Whether it listens.
    public var isOpen: Bool { socket.number >= 0 }

    /// Stops listening: the kernel refuses new connections from now on.
    public func close() {
        watcher?.cancel()
        watcher = nil
        backOff = nil
        accepted = nil
        socket.close()
    }

    /// Accepts what has queued in the kernel, at most 64 connections.
    func acceptPending() {
        // Bounded, so that a flood of connections leaves room for those that are served.
        for _ in 0..<64 {
            guard socket.number >= 0, let accepted else { return }
            let descriptor = themis_accept(socket.number)
            if descriptor >= 0 {
                accepted(descriptor)
                continue
            }
            switch errno {
            case EAGAIN: return
            case EINTR, ECONNABORTED, EPROTO: continue
            default: return rest(errno)
            }
        }
    }

    /// The descriptor stays readable while accept fails: without a pause the loop would spin.
    private func rest(_ error: Int32) {
        failures.add()
        telemetry.log.warning(
            "connections cannot be accepted", [(.error, errorText(error)), (.milliseconds, String(Self.restMilliseconds))])
        watcher?.watch([])
        backOff?.schedule(milliseconds: Self.restMilliseconds)
    }

    private static func refusal(_ error: Int32, _ address: SocketAddress) -> ThemisError {
        guard error == EADDRINUSE else {
            return ThemisError(.invalidConfiguration, "cannot listen on \(address.text): \(errorText(error))")
        }
        let port = address.text.split(separator: ":").last.flatMap { UInt16($0) }
        var holder = ""
        if address.raw.family != AF_UNIX, let port, let process = PortHolder(port) {
            holder = " by process \(process.pid) (\(process.name))"
        }
        return ThemisError(.addressInUse, "\(address.text) is in use\(holder); stop it or choose another port")
    }

    /// As many as the kernel keeps by default. Thousands of clients may come at once, when a peer of this process has died; who finds the
    /// queue full tries again only after a second.
    private static let backlog: Int32 = 4_096
    private static let restMilliseconds = 100
}

/// Who listens on a TCP port, as far as /proc shows it to this user.
public struct PortHolder: Sendable {
    /// The process.
    public let pid: Int32
    /// Its short name.
    public let name: String

    /// Looks for the listener; nil when there is none or /proc hides it. Reads many small files: not for a hot path.
    public init?(_ port: UInt16) {
        var name = [CChar](repeating: 0, count: 32)
        let pid = unsafe themis_port_holder(port, &name, name.count)
        guard pid > 0 else { return nil }
        self.pid = pid
        self.name = String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}

/// A descriptor that is closed once: by `close`, or when its owner goes.
final class OwnedDescriptor {
    private(set) var number: Int32

    init(_ number: Int32) { self.number = number }

    deinit { close() }

    func close() {
        guard number >= 0 else { return }
        _ = Glibc.close(number)
        number = -1
    }

    /// Gives the descriptor away; it is not closed here any more.
    func take() -> Int32 {
        defer { number = -1 }
        return number
    }
}

/// The system's words for an errno value.
func errorText(_ error: Int32) -> String { unsafe String(cString: themis_error_text(error)) }
