public import ThemisBase

/// Percent-decoding and queries (RFC 3986). Pure; any thread.
public enum RequestTarget {
    /// Decodes one segment or value: every `%XX` once; `+` stays `+`, because only HTML forms mean a space by it.
    ///
    /// - Throws: `invalid_request` when an escape is broken, or when the result holds NUL or is not UTF-8.
    public static func decoded(_ bytes: ArraySlice<UInt8>) throws(ThemisError) -> String {
        var plain: [UInt8] = []
        plain.reserveCapacity(bytes.count)
        var index = bytes.startIndex
        while index < bytes.endIndex {
            let byte = bytes[index]
            guard byte == ASCII.percent else {
                plain.append(byte)
                index += 1
                continue
            }
            guard index + 2 < bytes.endIndex, let high = ASCII.hexValue(bytes[index + 1]),
                let low = ASCII.hexValue(bytes[index + 2])
            else {
                throw ThemisError(
                    .invalidRequest, "the path or query holds a % that is not followed by two hexadecimal digits; write it as %25"
                )
            }
            plain.append(high << 4 | low)
            index += 3
        }
        guard !plain.contains(0) else { throw ThemisError(.invalidRequest, "the path or query holds %00") }
        guard let text = String(validating: plain, as: UTF8.self) else {
            throw ThemisError(.invalidRequest, "the path or query is not UTF-8 after percent-decoding")
        }
        return text
    }

    /// The parameters of a query, in their order.
    ///
    /// - Throws: `unknown_parameter` naming every one that is not in `allowed`; `invalid_request` for a repeated or broken one.
    public static func parameters(
        _ query: ArraySlice<UInt8>, allowed: [String]
    ) throws(ThemisError) -> [(name: String, value: String)] {
        guard !query.isEmpty else { return [] }
        var found: [(name: String, value: String)] = []
        var refused: [FieldError] = []
        for pair in query.split(separator: 0x26) {
            guard found.count + refused.count < Limits.queryParameters else {
                throw ThemisError(.invalidRequest, "there are more than \(Limits.queryParameters) query parameters")
            }
            let name = try decoded(pair.prefix { $0 != 0x3D })
            let value = try decoded(pair.drop { $0 != 0x3D }.dropFirst())
            if !allowed.contains(name) {
                refused.append(
                    FieldError(
                        name,
                        allowed.isEmpty
                            ? "not known here; remove it" : "not known here; one of \(allowed.joined(separator: ", "))"))
            } else if found.contains(where: { $0.name == name }) {
                throw ThemisError(.invalidRequest, "a query parameter is given twice", fields: [FieldError(name, "give it once")])
            } else {
                found.append((name, value))
            }
        }
        guard refused.isEmpty else {
            throw ThemisError(.unknownParameter, "a query parameter is not known here", fields: refused)
        }
        return found
    }
}
