import ThemisBase

/// A media type without its parameters, in lower case.
struct MediaType: Equatable, Sendable {
    /// Such as `application/json`.
    let text: String

    static let json = MediaType(text: "application/json")
    static let ndjson = MediaType(text: "application/x-ndjson")
    static let mergePatch = MediaType(text: "application/merge-patch+json")
    static let jsonPatch = MediaType(text: "application/json-patch+json")
    static let plainText = MediaType(text: "text/plain")
    static let openMetrics = MediaType(text: "application/openmetrics-text")

    /// The type of a body by its `Content-Type`, which must be one of `allowed`; the first one when there is no header.
    ///
    /// - Throws: `unsupported_media_type` listing what is allowed.
    static func ofBody(_ header: String?, allowed: [MediaType]) throws(ThemisError) -> MediaType {
        if let header, let exact = allowed.first(where: { $0.text == header }) { return exact }
        guard let header, !header.allSatisfy({ $0 == " " }) else { return allowed[0] }
        let parts = header.split(separator: ";", omittingEmptySubsequences: false).map(trimmed)
        let found = MediaType(text: parts[0].lowercased())
        guard allowed.contains(found) else {
            let names = allowed.map(\.text).joined(separator: " or ")
            throw ThemisError(
                .unsupportedMediaType, "Content-Type must be \(names)", fields: [FieldError("Content-Type", "must be \(names)")])
        }
        for parameter in parts.dropFirst() {
            let sides = parameter.split(separator: "=", maxSplits: 1).map(trimmed)
            guard sides.count == 2, sides[0].lowercased() == "charset" else { continue }
            let charset = sides[1].lowercased().filter { $0 != "\"" }
            guard charset == "utf-8" || charset == "us-ascii" else {
                throw ThemisError(
                    .unsupportedMediaType, "charset must be utf-8", fields: [FieldError("Content-Type", "charset must be utf-8")])
            }
        }
        return found
    }

    /// The one of `offered` that an `Accept` header likes best; the first one when it likes several alike or none.
    static func preferred(_ accept: String?, offered: [MediaType]) -> MediaType {
        guard let accept else { return offered[0] }
        let ranges = accept.split(separator: ",").map(AcceptRange.init)
        var best = (type: offered[0], quality: -1)
        for type in offered {
            // The most specific range decides about a type (RFC 9110, 12.5.1).
            let match = ranges.filter { $0.covers(type) }.max { $0.specificity < $1.specificity }
            let quality = match?.quality ?? 0
            if quality > best.quality { best = (type, quality) }
        }
        return best.type
    }

    private static func trimmed(_ text: Substring) -> String {
        var text = text
        while let first = text.first, first == " " || first == "\t" { text.removeFirst() }
        while let last = text.last, last == " " || last == "\t" { text.removeLast() }
        return String(text)
    }

    private struct AcceptRange {
        let text: String
        /// Thousandths.
        let quality: Int

        init(_ part: Substring) {
            let pieces = part.split(separator: ";", omittingEmptySubsequences: false).map(MediaType.trimmed)
            text = pieces[0].lowercased()
            let weight = pieces.dropFirst().first { $0.lowercased().hasPrefix("q=") }
            quality = weight.map { Self.thousandths($0.dropFirst(2)) } ?? 1_000
        }

        var specificity: Int { text == "*/*" ? 0 : text.hasSuffix("/*") ? 1 : 2 }

        func covers(_ type: MediaType) -> Bool {
            text == "*/*" || text == type.text || (text.hasSuffix("/*") && type.text.hasPrefix(text.dropLast()))
        }

        /// `0`–`1` with up to three decimals; anything else counts as 0, so that a wrong weight never wins.
        private static func thousandths(_ text: Substring) -> Int {
            let sides = text.split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
            guard let whole = Int(sides[0]), whole == 0 || whole == 1 else { return 0 }
            let decimals = sides.count == 2 ? sides[1] : ""
            guard decimals.utf8.count <= 3, decimals.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else { return 0 }
            let padded = decimals + String(repeating: "0", count: 3 - decimals.utf8.count)
            return min(1_000, whole * 1_000 + (Int(padded) ?? 0))
        }
    }
}
