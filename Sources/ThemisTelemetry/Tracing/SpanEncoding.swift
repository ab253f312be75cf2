public import ThemisBase

/// The compact form in which spans travel from a process to the core, and from the core to an exporter.
///
/// `version u8 | flags u8 | kind u8 | trace id 16 bytes | span id u64 | parent u64` (ids big-endian), then `start varint |
/// duration varint | name | trace state | error | attributes varint`, then for each attribute its name, `kind u8` and its value: 0
/// a text, 1 a number as zigzag varint, 2 a byte. Texts have a varint of length in front. Flag 1: the parent belongs to another process.
extension Span {
    private static let version: UInt8 = 1
    private static let remoteFlag: UInt8 = 1

    /// The span as bytes, at most `Limits.spanBytes`: texts are cut, attributes that do not fit are left out.
    public func encoded() -> [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity(320)
        out.append(Self.version)
        out.append(isParentRemote ? Self.remoteFlag : 0)
        out.append(kind.rawValue)
        out.appendBigEndian(context.traceHigh)
        out.appendBigEndian(context.traceLow)
        out.appendBigEndian(context.span)
        out.appendBigEndian(parent)
        out.appendVarint(startNanoseconds)
        out.appendVarint(endNanoseconds > startNanoseconds ? endNanoseconds - startNanoseconds : 0)
        Self.append(name, to: &out)
        Self.append(traceState, limit: Limits.traceStateBytes, to: &out)
        Self.append(error, to: &out)
        let kept = attributes.prefix(Limits.spanAttributes)
        out.appendVarint(UInt64(kept.count))
        for attribute in kept {
            Self.append(attribute.key, to: &out)
            switch attribute.value {
            case .text(let text):
                out.append(0)
                Self.append(text, to: &out)
            case .integer(let number):
                out.append(1)
                out.appendVarint(UInt64(bitPattern: number << 1 ^ number >> 63))
            case .bool(let value):
                out.append(2)
                out.append(value ? 1 : 0)
            }
        }
        return out
    }

    /// Reads what `encoded` wrote.
    ///
    /// - Throws: `invalid_request` when the bytes are cut, of another version or hold something out of bounds.
    public init(decoding bytes: ArraySlice<UInt8>) throws(ThemisError) {
        guard bytes.count <= Limits.spanBytes, let span = Self.read(Array(bytes)) else {
            throw ThemisError(.invalidRequest, "a span is damaged, or of another version")
        }
        self = span
    }

    private static func read(_ bytes: [UInt8]) -> Span? {
        var reader = ByteReader(bytes)
        guard reader.byte() == version, let flags = reader.byte(), let kind = reader.byte().flatMap(SpanKind.init),
            let high = reader.bigEndian(UInt64.self), let low = reader.bigEndian(UInt64.self), let id = reader.bigEndian(UInt64.self),
            let context = Traceparent(traceHigh: high, traceLow: low, span: id, isSampled: true),
            let parent = reader.bigEndian(UInt64.self), let start = reader.varint(), let duration = reader.varint(),
            start <= UInt64(Int64.max), duration <= UInt64(Int64.max), let name = text(&reader),
            let traceState = text(&reader, limit: Limits.traceStateBytes), let error = text(&reader), let count = reader.varint(),
            count <= UInt64(Limits.spanAttributes)
        else { return nil }
        var span = Span(
            context: context, parent: parent, isParentRemote: flags & remoteFlag != 0, kind: kind, name: name, traceState: traceState,
            startNanoseconds: start, endNanoseconds: start + duration, error: error)
        for _ in 0..<count {
            guard let key = text(&reader), let value = value(&reader) else { return nil }
            span.attributes.append(SpanAttribute(key, value))
        }
        return reader.remaining == 0 ? span : nil
    }

    private static func value(_ reader: inout ByteReader) -> SpanValue? {
        switch reader.byte() {
        case 0: return text(&reader).map { .text($0) }
        case 1: return reader.varint().map { .integer(Int64(bitPattern: $0 >> 1) ^ -Int64(bitPattern: $0 & 1)) }
        case 2: return reader.byte().map { .bool($0 != 0) }
        default: return nil
        }
    }

    private static func text(_ reader: inout ByteReader, limit: Int = Limits.spanTextBytes) -> String? {
        guard let bytes = reader.lengthPrefixed(), bytes.count <= limit else { return nil }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Appends at most `limit` bytes of `text`, cut between characters.
    private static func append(_ text: String, limit: Int = Limits.spanTextBytes, to out: inout [UInt8]) {
        let bytes = text.utf8
        guard bytes.count > limit else { return out.appendLengthPrefixed(bytes) }
        var end = bytes.index(bytes.startIndex, offsetBy: limit)
        while end > bytes.startIndex, bytes[end] & 0xC0 == 0x80 { end = bytes.index(before: end) }
        out.appendLengthPrefixed(bytes[..<end])
    }
}

/// Encoded spans in a row, each behind its length as varint: what one message carries. A value; any thread.
public struct SpanBatch: Sendable, Equatable {
    /// How many spans there are.
    public private(set) var count: Int
    /// The spans, each behind its length.
    public private(set) var bytes: [UInt8]

    /// Without spans.
    public init() { (count, bytes) = (0, []) }

    /// The spans in `bytes`.
    ///
    /// - Throws: `invalid_request` when the lengths do not fit the bytes.
    public init(_ bytes: [UInt8]) throws(ThemisError) {
        var reader = ByteReader(bytes)
        var count = 0
        while reader.remaining > 0 {
            guard let span = reader.lengthPrefixed(), span.count <= Limits.spanBytes else {
                throw ThemisError(.invalidRequest, "a batch of spans is damaged")
            }
            count += 1
        }
        (self.count, self.bytes) = (count, bytes)
    }

    /// Appends an encoded span.
    public mutating func append(_ span: some Collection<UInt8>) {
        bytes.appendLengthPrefixed(span)
        count += 1
    }

    /// Keeps the first `kept` spans.
    public mutating func truncate(to kept: Int) {
        guard kept < count else { return }
        var reader = ByteReader(bytes)
        for _ in 0..<max(0, kept) { _ = reader.lengthPrefixed() }
        bytes.removeSubrange(reader.position...)
        count = max(0, kept)
    }

    /// Calls `body` with the bytes of each span.
    public func forEach(_ body: (ArraySlice<UInt8>) -> Void) {
        var reader = ByteReader(bytes)
        while reader.remaining > 0, let span = reader.lengthPrefixed() { body(span) }
    }
}
