import ThemisBase

/// Which way edges are walked.
enum EdgeDirection: String, CaseIterable, Sendable {
    /// From `_from` to `_to`.
    case outbound
    /// From `_to` to `_from`.
    case inbound
    /// Both.
    case any

    /// The passes over the index that it needs.
    var passes: [EdgeDirection] { self == .any ? [.outbound, .inbound] : [self] }
}

/// An edge as its vertex sees it: one entry of an edge index (docs/data-format.md, "Indexes").
///
/// Entry: false for outbound or true for inbound, the vertex, the type, the other vertex, beginning and end of the validity, weight; each
/// in its ordered coding.
struct EdgeEntry {
    /// The ordered values of an entry.
    static let values = 7
    private static let codes: [EdgeDirection: [UInt8]] = [
        .outbound: OrderedCoding.coding(of: .bool(false)), .inbound: OrderedCoding.coding(of: .bool(true)),
    ]

    /// The stored key.
    private let key: [UInt8]
    private let typeRange: Range<Int>
    private let otherRange: Range<Int>
    private let pkStart: Int
    let isInbound: Bool
    /// Milliseconds since 1970, both included; nil for always.
    let validFrom: Int64?
    let validTo: Int64?
    let weight: Double

    /// What it takes to keep it, in bytes.
    var keptBytes: Int { key.count + 128 }
    /// The type in its ordered coding.
    var type: ArraySlice<UInt8> { key[typeRange] }
    /// The vertex at the other end, in its ordered coding.
    var other: ArraySlice<UInt8> { key[otherRange] }
    /// The primary key of the edge.
    var pk: ArraySlice<UInt8> { key[pkStart...] }

    /// What entries of a vertex begin with, or only those of a type.
    static func prefix(_ direction: EdgeDirection, _ vertex: ArraySlice<UInt8>, _ type: [UInt8] = []) -> [UInt8] {
        (codes[direction] ?? []) + vertex + type
    }

    /// - Parameter prefix: the bytes of the index and the vertex, which are known.
    /// - Throws: `data_corrupt`.
    init(_ key: [UInt8], behind prefix: Int, isInbound: Bool) throws(ThemisError) {
        var reader = ByteReader(key, in: prefix..<key.count)
        let typeStart = reader.position
        let isTypeSound = OrderedCoding.skipString(&reader)
        let otherStart = reader.position
        guard isTypeSound, OrderedCoding.skipString(&reader) else { throw Self.damaged(key) }
        typeRange = typeStart..<otherStart
        otherRange = otherStart..<reader.position
        validFrom = try Self.time(&reader, key)
        validTo = try Self.time(&reader, key)
        guard let number = OrderedCoding.number(from: &reader), reader.remaining > 0 else { throw Self.damaged(key) }
        weight = number.double
        pkStart = reader.position
        self.isInbound = isInbound
        self.key = key
    }

    private static func time(_ reader: inout ByteReader, _ key: [UInt8]) throws(ThemisError) -> Int64? {
        if OrderedCoding.takeNull(&reader) { return nil }
        guard case .signed(let value)? = OrderedCoding.number(from: &reader) else { throw damaged(key) }
        return value
    }

    private static func damaged(_ key: [UInt8]) -> ThemisError {
        ThemisError(.dataCorrupt, "an index entry of \(key.count) bytes is none of an edge")
    }

    func isValid(at time: Int64) -> Bool { (validFrom ?? .min) <= time && time <= (validTo ?? .max) }
}
