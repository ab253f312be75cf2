import ThemisBase

/// A version of the RPC protocol. A core serves its own and the minor version before.
public struct RPCVersion: Sendable, Hashable, Comparable, CustomStringConvertible {
    /// Raised when old peers cannot be served.
    public let major: UInt8
    /// Raised with every addition that a peer must know of.
    public let minor: UInt8

    /// The version `major.minor`.
    public init(_ major: UInt8, _ minor: UInt8) {
        self.major = major
        self.minor = minor
    }

    init(number: UInt16) { self.init(UInt8(number >> 8), UInt8(number & 0xFF)) }

    var number: UInt16 { UInt16(major) << 8 | UInt16(minor) }

    /// What this build speaks best.
    public static let current = RPCVersion(1, 0)
    /// The oldest that this build speaks.
    public static let oldest = RPCVersion(1, 0)

    /// By age.
    public static func < (left: RPCVersion, right: RPCVersion) -> Bool { left.number < right.number }

    /// `major.minor`.
    public var description: String { "\(major).\(minor)" }
}

/// The first frame of a client.
struct Hello: Equatable, Sendable {
    var oldest = RPCVersion.oldest
    var newest = RPCVersion.current
    /// Bits of what the client can do beyond its version; none is defined yet.
    var features: UInt64 = 0
    var role: UInt8
    /// Names this process among those of its role.
    var instance: String
    var build: String

    static let magic: UInt32 = 0x534D_4854  // "THMS" on the wire

    func encoded() -> [UInt8] {
        var out: [UInt8] = []
        out.appendLittleEndian(Self.magic)
        out.appendLittleEndian(oldest.number)
        out.appendLittleEndian(newest.number)
        out.appendLittleEndian(features)
        out.append(role)
        out.appendShort(instance)
        out.appendShort(build)
        return out
    }

    /// Bytes behind the known members are skipped.
    init(decoding bytes: UnsafeRawBufferPointer) throws(ProtocolViolation) {
        var reader = unsafe BlockReader(bytes)
        guard try reader.take(UInt32.self) == Self.magic else { throw ProtocolViolation(.hello, "HELLO has another magic") }
        oldest = RPCVersion(number: try reader.take(UInt16.self))
        newest = RPCVersion(number: try reader.take(UInt16.self))
        features = try reader.take(UInt64.self)
        role = try reader.take(UInt8.self)
        instance = try reader.text(limit: Limits.instanceBytes)
        build = try reader.text(limit: Limits.instanceBytes)
    }

    init(role: PeerRole, instance: String, build: String = Build.version) {
        self.role = role.rawValue
        self.instance = instance
        self.build = build
    }

    /// The newest version that both speak, nil when there is none.
    func commonVersion(oldest: RPCVersion, newest: RPCVersion) -> RPCVersion? {
        let best = min(self.newest, newest)
        return best >= self.oldest && best >= oldest ? best : nil
    }
}

/// The bounds of a connection, told by the server; they hold in both directions.
struct ConnectionLimits: Equatable, Sendable {
    var requestsInFlight = UInt32(Limits.requestsInFlight)
    var streamCreditBytes = UInt32(Limits.streamCreditBytes)
    var connectionCreditBytes = UInt32(Limits.connectionCreditBytes)
    var messageBytes = UInt32(Limits.messageBytes)
}

/// The server's answer to HELLO: the connection is open.
struct HelloOK: Equatable, Sendable {
    var version: RPCVersion
    var features: UInt64 = 0
    /// Changes with every start of the core.
    var bootID: BootID
    var limits = ConnectionLimits()
    /// The epoch of the change log.
    var epoch: String
    var build: String

    func encoded() -> [UInt8] {
        var out: [UInt8] = []
        out.appendLittleEndian(version.number)
        out.appendLittleEndian(features)
        out.appendLittleEndian(bootID.high)
        out.appendLittleEndian(bootID.low)
        out.appendLittleEndian(limits.requestsInFlight)
        out.appendLittleEndian(limits.streamCreditBytes)
        out.appendLittleEndian(limits.connectionCreditBytes)
        out.appendLittleEndian(limits.messageBytes)
        out.appendShort(epoch)
        out.appendShort(build)
        return out
    }

    init(
        version: RPCVersion, bootID: BootID, limits: ConnectionLimits = ConnectionLimits(), epoch: String,
        build: String = Build.version
    ) {
        self.version = version
        self.bootID = bootID
        self.limits = limits
        self.epoch = epoch
        self.build = build
    }

    init(decoding bytes: UnsafeRawBufferPointer) throws(ProtocolViolation) {
        var reader = unsafe BlockReader(bytes)
        version = RPCVersion(number: try reader.take(UInt16.self))
        features = try reader.take(UInt64.self)
        let high = try reader.take(UInt64.self)
        bootID = BootID(high: high, low: try reader.take(UInt64.self))
        limits.requestsInFlight = try reader.take(UInt32.self)
        limits.streamCreditBytes = try reader.take(UInt32.self)
        limits.connectionCreditBytes = try reader.take(UInt32.self)
        limits.messageBytes = try reader.take(UInt32.self)
        epoch = try reader.text(limit: Limits.instanceBytes)
        build = try reader.text(limit: Limits.instanceBytes)
        guard limits.requestsInFlight > 0, limits.streamCreditBytes >= 1_024,
            limits.connectionCreditBytes >= limits.streamCreditBytes
        else {
            throw ProtocolViolation(.hello, "HELLO_OK names limits that nobody could work with")
        }
    }
}

/// The server's answer to a HELLO that it does not accept; it closes then.
struct HelloRefused: Equatable, Sendable {
    var code: UInt16
    var oldest = RPCVersion.oldest
    var newest = RPCVersion.current
    var message: String

    init(_ code: ErrorCode, _ message: String) {
        self.code = code.number
        self.message = message
    }

    func encoded() -> [UInt8] {
        var out: [UInt8] = []
        out.appendLittleEndian(code)
        out.appendLittleEndian(oldest.number)
        out.appendLittleEndian(newest.number)
        out.appendShort(message)
        return out
    }

    init(decoding bytes: UnsafeRawBufferPointer) throws(ProtocolViolation) {
        var reader = unsafe BlockReader(bytes)
        code = try reader.take(UInt16.self)
        oldest = RPCVersion(number: try reader.take(UInt16.self))
        newest = RPCVersion(number: try reader.take(UInt16.self))
        message = try reader.text(limit: 255)
    }
}

/// Names one start of the core.
public struct BootID: Sendable, Hashable, CustomStringConvertible {
    /// The first half.
    public let high: UInt64
    /// The second half.
    public let low: UInt64

    /// The id with these halves.
    public init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// A new one, from the kernel's random source.
    public static func random() -> BootID {
        var generator = SystemRandomNumberGenerator()
        return BootID(high: generator.next(), low: generator.next())
    }

    /// 32 hexadecimal digits.
    public var description: String {
        var bytes: [UInt8] = []
        bytes.appendBigEndian(high)
        bytes.appendBigEndian(low)
        return Digest.hex(bytes)
    }
}

extension Array where Element == UInt8 {
    /// Appends a text of at most 255 bytes behind its length; a longer one is cut at a character.
    mutating func appendShort(_ text: String) {
        var kept = text
        while kept.utf8.count > 255 { kept.removeLast() }
        append(UInt8(kept.utf8.count))
        append(contentsOf: kept.utf8)
    }
}
