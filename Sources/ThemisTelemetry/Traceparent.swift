import ThemisBase

/// The position of a request in a trace, as W3C Trace Context names it.
public struct Traceparent: Sendable, Hashable {
    /// Bytes of `encoded`.
    public static let encodedBytes = 26

    /// The upper half of the trace id.
    public let traceHigh: UInt64
    /// The lower half of the trace id. Not both halves are zero.
    public let traceLow: UInt64
    /// The span that calls. Not zero.
    public let span: UInt64
    /// Whether the trace is recorded.
    public let isSampled: Bool

    /// The position with these ids; nil when the trace id or the span id is zero.
    public init?(traceHigh: UInt64, traceLow: UInt64, span: UInt64, isSampled: Bool) {
        guard traceHigh | traceLow != 0, span != 0 else { return nil }
        self.traceHigh = traceHigh
        self.traceLow = traceLow
        self.span = span
        self.isSampled = isSampled
    }

    /// Reads the header `traceparent`; nil for what the recommendation calls invalid (the caller starts a new trace then).
    ///
    /// A version above 00 may have more fields; they are read over.
    public init?(parsing text: String) { self.init(parsing: Array(text.utf8)[...]) }

    /// The same with the bytes of the header.
    public init?(parsing bytes: ArraySlice<UInt8>) {
        let start = bytes.startIndex
        func part(_ from: Int, _ to: Int) -> ArraySlice<UInt8> { bytes[(start + from)..<(start + to)] }
        guard bytes.count >= 55, bytes[start + 2] == 0x2D, bytes[start + 35] == 0x2D, bytes[start + 52] == 0x2D else { return nil }
        guard let version = Self.hex(part(0, 2)), version != 0xFF, let high = Self.hex(part(3, 19)), let low = Self.hex(part(19, 35)),
            let span = Self.hex(part(36, 52)), let flags = Self.hex(part(53, 55))
        else { return nil }
        guard bytes.count == 55 || (version != 0 && bytes[start + 55] == 0x2D) else { return nil }
        self.init(traceHigh: high, traceLow: low, span: span, isSampled: flags & 1 == 1)
    }

    /// Reads what `encoded` wrote; nil for other bytes.
    public init?(decoding bytes: some Collection<UInt8>) {
        guard bytes.count == Self.encodedBytes else { return nil }
        var reader = ByteReader(Array(bytes))
        guard reader.byte() == 0, let high = reader.bigEndian(UInt64.self), let low = reader.bigEndian(UInt64.self),
            let span = reader.bigEndian(UInt64.self), let flags = reader.byte()
        else { return nil }
        self.init(traceHigh: high, traceLow: low, span: span, isSampled: flags & 1 == 1)
    }

    /// The form of the RPC metadata block: version 0, trace id, span id, flags.
    public var encoded: [UInt8] {
        var out: [UInt8] = [0]
        out.appendBigEndian(traceHigh)
        out.appendBigEndian(traceLow)
        out.appendBigEndian(span)
        out.append(isSampled ? 1 : 0)
        return out
    }

    /// The header `traceparent`, version 00.
    public var text: String { "00-\(traceID)-\(Self.digits(span))-\(isSampled ? "01" : "00")" }

    /// The trace id as 32 hexadecimal digits.
    public var traceID: String { Self.digits(traceHigh) + Self.digits(traceLow) }

    /// The same trace, seen from another span.
    func with(span: UInt64) -> Traceparent {
        precondition(span != 0, "the id of a span is not zero")
        return Traceparent(unchecked: traceHigh, traceLow, span, isSampled)
    }

    private init(unchecked traceHigh: UInt64, _ traceLow: UInt64, _ span: UInt64, _ isSampled: Bool) {
        self.traceHigh = traceHigh
        self.traceLow = traceLow
        self.span = span
        self.isSampled = isSampled
    }

    private static func digits(_ value: UInt64) -> String {
        var bytes: [UInt8] = []
        bytes.appendBigEndian(value)
        return Digest.hex(bytes)
    }

    /// Lower-case hexadecimal digits, as the recommendation demands.
    private static func hex(_ bytes: ArraySlice<UInt8>) -> UInt64? {
        var value: UInt64 = 0
        for byte in bytes {
            switch byte {
            case 0x30...0x39: value = value << 4 | UInt64(byte - 0x30)
            case 0x61...0x66: value = value << 4 | UInt64(byte - 0x61 + 10)
            default: return nil
            }
        }
        return value
    }
}

/// Names for requests whose caller gave none.
public enum RequestID {
    /// Sixteen hexadecimal digits.
    public static func make(using random: inout some RandomNumberGenerator) -> String {
        var bytes: [UInt8] = []
        bytes.appendBigEndian(random.next() as UInt64)
        return Digest.hex(bytes)
    }
}
