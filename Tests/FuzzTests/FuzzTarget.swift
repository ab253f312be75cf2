/// A place at which bytes from outside enter, with what must hold for every input.
///
/// libFuzzer drives it in `themis_fuzz`, `CorpusTests` replays the kept inputs through it.
struct FuzzTarget: Sendable {
    /// The name of its corpus folder and of the command line.
    let name: String
    /// Longer inputs find nothing that shorter ones do not.
    let longestInput: Int
    /// Throws `FuzzFinding` when something does not hold; may trap.
    let check: @Sendable ([UInt8]) throws -> Void

    static let all: [FuzzTarget] = [
        FuzzTarget(name: "http-request", longestInput: 4_096, check: HTTPFuzz.request),
        FuzzTarget(name: "http-response", longestInput: 2_048, check: HTTPFuzz.response),
        FuzzTarget(name: "http-fields", longestInput: 512, check: HeaderFuzz.check),
        FuzzTarget(name: "gzip", longestInput: 2_048, check: GzipFuzz.check),
        FuzzTarget(name: "json", longestInput: 2_048, check: JSONFuzz.document),
        FuzzTarget(name: "json-change", longestInput: 1_024, check: JSONFuzz.change),
        FuzzTarget(name: "bulk", longestInput: 2_048, check: BulkFuzz.check),
        FuzzTarget(name: "changefeed-query", longestInput: 512, check: ChangefeedFuzz.check),
        FuzzTarget(name: "configuration", longestInput: 2_048, check: ConfigurationFuzz.check),
        FuzzTarget(name: "rpc-frames", longestInput: 2_048, check: FrameFuzz.check),
        FuzzTarget(name: "rpc-messages", longestInput: 1_024, check: MessageFuzz.check),
        FuzzTarget(name: "stored-records", longestInput: 1_024, check: RecordFuzz.check),
        FuzzTarget(name: "write-ahead-log", longestInput: 4_096, check: LogFuzz.check),
        FuzzTarget(name: "engine-manifest", longestInput: 1_024, check: ManifestFuzz.check),
    ]
}

/// Something that must hold does not.
struct FuzzFinding: Error, CustomStringConvertible {
    let description: String
}

/// Throws a finding unless `condition` holds.
func require(_ condition: Bool, _ text: @autoclosure () -> String) throws {
    if !condition { throw FuzzFinding(description: text()) }
}

/// What `body` gives, nil when it throws.
func accepted<Value>(_ body: () throws -> Value) -> Value? { try? body() }

/// Takes an input apart: choices from its front, the rest is data.
struct FuzzInput {
    private(set) var rest: ArraySlice<UInt8>

    init(_ bytes: [UInt8]) { rest = bytes[...] }

    /// The next byte, 0 at the end.
    mutating func byte() -> UInt8 { rest.popFirst() ?? 0 }

    /// A number below `bound`.
    mutating func choice(_ bound: Int) -> Int { Int(byte()) % bound }

    /// The next bytes, as many as there are up to `count`.
    mutating func take(_ count: Int) -> [UInt8] {
        defer { rest = rest.dropFirst(count) }
        return Array(rest.prefix(count))
    }

    /// Everything up to the next byte 0xFF, which no UTF-8 text holds, or to the end.
    mutating func part() -> [UInt8] {
        let part = rest.prefix { $0 != 0xFF }
        rest = rest.dropFirst(part.count + 1)
        return Array(part)
    }

    /// Everything left.
    mutating func all() -> [UInt8] { take(rest.count) }
}

/// Cuts a stream into pieces, as the network does: the lengths are told by bytes that are used again and again.
struct PieceLengths {
    private let bytes: [UInt8]
    private var index = 0

    /// - Parameter bytes: lengths less one; empty = pieces of one byte.
    init(_ bytes: [UInt8]) { self.bytes = bytes.isEmpty ? [0] : bytes }

    mutating func next() -> Int {
        defer { index += 1 }
        return Int(bytes[index % bytes.count]) + 1
    }
}
