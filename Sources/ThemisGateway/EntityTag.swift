import ThemisBase
import ThemisNet
import ThemisRPC

/// One validator of an `If-Match` or `If-None-Match` header (RFC 9110, 8.8.3).
struct EntityTag: Equatable {
    /// What stands between the quotes.
    let text: String
    /// Whether it had the mark `W/`.
    let isWeak: Bool

    /// The version it names; nil when it is none that this server could have given out.
    var version: UInt64? {
        guard !text.isEmpty, text.utf8.first != 0x30, text.utf8.count <= 20, text.utf8.allSatisfy({ (0x30...0x39).contains($0) })
        else {
            return nil
        }
        return UInt64(text)
    }

    /// The tag of `version`, as it stands in a header.
    static func text(version: UInt64) -> String { HeaderText.quoted(version) }
}

/// The value of an `If-Match` or `If-None-Match` header.
enum EntityTagList: Equatable {
    /// `*`.
    case any
    /// At least one tag.
    case tags([EntityTag])

    /// Reads the values of all headers with the name `header`; nil when there is none.
    ///
    /// - Throws: `invalid_request` naming the header when it is not a list of tags.
    static func read(_ values: [String], header: String) throws(ThemisError) -> EntityTagList? {
        guard !values.isEmpty else { return nil }
        var tags: [EntityTag] = []
        let text = Array(values.joined(separator: ",").utf8)
        if trimmed(text[...]).elementsEqual("*".utf8) { return .any }
        var position = 0
        while true {
            skip(text, &position) { $0 == 0x20 || $0 == 0x09 || $0 == 0x2C }
            guard position < text.count else { break }
            let isWeak = text[position...].starts(with: "W/".utf8)
            if isWeak { position += 2 }
            guard position < text.count, text[position] == 0x22 else { throw malformed(header) }
            let start = position + 1
            guard let end = text[start...].firstIndex(of: 0x22) else { throw malformed(header) }
            tags.append(EntityTag(text: String(decoding: text[start..<end], as: UTF8.self), isWeak: isWeak))
            position = end + 1
            skip(text, &position) { $0 == 0x20 || $0 == 0x09 }
            guard position == text.count || text[position] == 0x2C else { throw malformed(header) }
        }
        guard !tags.isEmpty else { throw malformed(header) }
        return .tags(tags)
    }

    /// Whether `version` is among the tags by weak comparison, which is that of `If-None-Match`.
    func matchesWeakly(_ version: UInt64) -> Bool {
        switch self {
        case .any: true
        case .tags(let tags): tags.contains { $0.version == version }
        }
    }

    private static func trimmed(_ bytes: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        var bytes = bytes
        while let first = bytes.first, first == 0x20 || first == 0x09 { bytes.removeFirst() }
        while let last = bytes.last, last == 0x20 || last == 0x09 { bytes.removeLast() }
        return bytes
    }

    private static func skip(_ text: [UInt8], _ position: inout Int, while isSkipped: (UInt8) -> Bool) {
        while position < text.count, isSkipped(text[position]) { position += 1 }
    }

    private static func malformed(_ header: String) -> ThemisError {
        let message = "must be * or ETags in quotes, separated by commas"
        return ThemisError(.invalidRequest, "\(header) \(message)", fields: [FieldError(header, message)])
    }
}

extension OperationCondition {
    /// The condition of a write's headers.
    ///
    /// - Throws: `precondition_failed` when it can never hold, `invalid_request` for what is not supported.
    static func read(ifMatch: [String], ifNoneMatch: [String]) throws(ThemisError) -> OperationCondition {
        let match = try EntityTagList.read(ifMatch, header: "If-Match")
        let noneMatch = try EntityTagList.read(ifNoneMatch, header: "If-None-Match")
        switch (match, noneMatch) {
        case (nil, nil): return .none
        case (.some, .some): throw refused("If-None-Match", "cannot stand beside If-Match")
        case (nil, .any): return .absent
        case (nil, .tags): throw refused("If-None-Match", "on a write must be *")
        case (.any, nil): return .exists
        case (.tags(let tags), nil):
            // RFC 9110 wants the strong comparison here: a weak tag equals nothing.
            let strong = tags.filter { !$0.isWeak }
            guard strong.count <= 1 else { throw refused("If-Match", "may hold one strong ETag, not \(strong.count)") }
            guard let version = strong.first?.version else {
                throw ThemisError(.preconditionFailed, "no version of the entity has an ETag that If-Match names")
            }
            return .version(version)
        }
    }

    /// The condition of a line's `if_match`: a version, with or without the quotes of its ETag, or `*`.
    ///
    /// - Throws: `precondition_failed` when no version has that name.
    static func read(memberIfMatch text: String) throws(ThemisError) -> OperationCondition {
        if text == "*" { return .exists }
        var inner = text[...]
        if inner.utf8.count >= 2, inner.hasPrefix("\""), inner.hasSuffix("\"") { inner = inner.dropFirst().dropLast() }
        guard let version = EntityTag(text: String(inner), isWeak: false).version else {
            throw ThemisError(.preconditionFailed, "no version of the entity has the name that if_match gives")
        }
        return .version(version)
    }

    private static func refused(_ header: String, _ message: String) -> ThemisError {
        ThemisError(.invalidRequest, "\(header) \(message)", fields: [FieldError(header, message)])
    }
}
