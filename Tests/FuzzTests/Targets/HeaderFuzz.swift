import ThemisBase
import ThemisRPC
import ThemisTelemetry

@testable import ThemisGateway
@testable import ThemisNet

/// Header values that the gateway takes apart.
enum HeaderFuzz {
    /// Which header, then its values with 0xFF between them.
    static func check(_ bytes: [UInt8]) throws {
        var input = FuzzInput(bytes)
        let which = input.choice(6)
        var values: [String] = []
        while !input.rest.isEmpty { values.append(String(decoding: input.part(), as: UTF8.self)) }
        let first = values.first ?? ""
        switch which {
        case 0: try tags(values)
        case 1: try trace(first)
        case 2: try key(values)
        case 3: try mediaTypes(first)
        case 4: _ = AcceptEncoding.acceptsGzip(Array(first.utf8)[...])
        default: try target(Array(first.utf8))
        }
    }

    private static func tags(_ values: [String]) throws {
        guard let list = accepted({ try EntityTagList.read(values, header: "If-Match") }), case .tags(let tags) = list else { return }
        let printed = tags.map { "\($0.isWeak ? "W/" : "")\"\($0.text)\"" }
        try require(try EntityTagList.read(printed, header: "If-Match") == list, "tags do not round-trip")
        for tag in tags where tag.version != nil {
            try require(EntityTag.text(version: tag.version ?? 0) == "\"\(tag.text)\"", "one version has two spellings: \(tag.text)")
        }
        _ = accepted { try OperationCondition.read(ifMatch: values, ifNoneMatch: []) }
        _ = accepted { try OperationCondition.read(ifMatch: [], ifNoneMatch: values) }
        for value in values { _ = accepted { try OperationCondition.read(memberIfMatch: value) } }
    }

    private static func trace(_ text: String) throws {
        guard let trace = Traceparent(parsing: text) else { return }
        try require(Traceparent(parsing: trace.text) == trace, "a trace does not round-trip as text")
        try require(Traceparent(decoding: trace.encoded) == trace, "a trace does not round-trip as bytes")
        try require(text.hasPrefix("00") ? text.dropLast(2) == trace.text.dropLast(2) : true, "a trace has two spellings")
    }

    private static func key(_ values: [String]) throws {
        let request = IdempotencyKey.Request(
            method: "PUT", target: values.last ?? "", ifMatch: values, ifNoneMatch: [], mediaType: "", body: [])
        guard let key = accepted({ try IdempotencyKey(values, of: request) }) ?? nil else { return }
        try require((1...Limits.idempotencyKeyBytes).contains(key.text.utf8.count), "a key of \(key.text.utf8.count) bytes")
        try require(key.text.utf8.allSatisfy { (0x21...0x7E).contains($0) }, "a key that is not visible ASCII")
    }

    private static func mediaTypes(_ text: String) throws {
        let allowed: [MediaType] = [.json, .ndjson, .mergePatch]
        if let type = accepted({ try MediaType.ofBody(text, allowed: allowed) }) {
            try require(allowed.contains(type), "a type that is not allowed")
        }
        try require(allowed.contains(MediaType.preferred(text, offered: allowed)), "a type that is not offered")
    }

    private static func target(_ bytes: [UInt8]) throws {
        guard let text = accepted({ try RequestTarget.decoded(bytes[...]) }) else { return }
        // Each byte as an escape: decoding once must give exactly it, never something decoded twice.
        let escaped = text.utf8.flatMap { Array("%".utf8) + Array(Digest.hex([$0]).utf8) }
        try require(try RequestTarget.decoded(escaped[...]) == text, "decoding does not undo escaping")
        try require(!text.utf8.contains(0), "a zero byte")
    }
}
