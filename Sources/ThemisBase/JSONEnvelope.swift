/// What a body or a line of NDJSON wants done with one entity. Any thread.
///
/// The document is not read into a tree: its range in the body is its exact text, with the order of its members and the spelling
/// of its numbers. One walk checks the whole body.
public struct JSONEnvelope: Sendable {
    /// What to do.
    public enum Operation: String, Sendable, CaseIterable {
        /// Write `document`.
        case put
        /// Change the document by `patch`.
        case patch
        /// Delete the entity.
        case delete
    }

    /// The form of a patch.
    public enum PatchFormat: Sendable {
        /// RFC 7396; the patch is an object.
        case merge
        /// RFC 6902; the patch is an array.
        case operations
    }

    /// What to do.
    public let operation: Operation
    /// With which entity.
    public let key: EntityKey
    /// Where the document or the patch stands in the bytes that were read; empty for a delete.
    public let payload: Range<Int>
    /// The form of the patch, nil when there is none.
    public let patchFormat: PatchFormat?
    /// The version that the entity has to have, as the caller spelled it.
    public let ifMatch: String?
    /// The entity must not exist.
    public let ifAbsent: Bool

    /// Reads the body `{"key":…,"document":{…}}`.
    ///
    /// - Throws: `invalid_json`, `unknown_parameter`, `invalid_request`, `invalid_key`, `body_too_large`.
    public static func body(_ bytes: [UInt8], in range: Range<Int>? = nil) throws(ThemisError) -> JSONEnvelope {
        try JSONEnvelope(EnvelopeFields(bytes, in: range, known: ["key", "document"]), operation: .put)
    }

    /// Reads a line `{"op":"put|patch|delete","key":…}` with `document` for a put and `patch` for a patch (an object: merge
    /// patch; an array: JSON Patch). `if_match` names the version that the entity must have; `"if_none_match":"*"` lets a put
    /// only create.
    ///
    /// - Throws: `invalid_json`, `unknown_parameter`, `invalid_request`, `invalid_key`, `body_too_large`. Offsets count from the
    ///   start of `bytes`.
    public static func line(_ bytes: [UInt8], in range: Range<Int>? = nil) throws(ThemisError) -> JSONEnvelope {
        let fields = try EnvelopeFields(bytes, in: range, known: ["op", "key", "document", "patch", "if_match", "if_none_match"])
        guard let word = try fields.string("op"), let operation = Operation(rawValue: word) else {
            throw EnvelopeFields.error("op", "must be put, patch or delete")
        }
        return try JSONEnvelope(fields, operation: operation)
    }

    private init(_ fields: EnvelopeFields, operation: Operation) throws(ThemisError) {
        self.operation = operation
        let isPut = operation == .put
        try fields.refuse("document", unless: isPut, "belongs to put only")
        try fields.refuse("patch", unless: operation == .patch, "belongs to patch only")
        try fields.refuse("if_none_match", unless: isPut, "belongs to put only")
        guard let text = try fields.string("key") else { throw EnvelopeFields.error("key", "is missing") }
        key = try EntityKey(validating: text)
        switch operation {
        case .put:
            payload = try fields.payload("document", kinds: [.object], "must be an object")
            try JSONDocument.checkSize(payload.count)
            patchFormat = nil
        case .patch:
            payload = try fields.payload(
                "patch", kinds: [.object, .array], "must be an object (merge patch) or an array (JSON Patch)")
            patchFormat = fields.bytes[payload.lowerBound] == 0x7B ? .merge : .operations
        case .delete:
            payload = 0..<0
            patchFormat = nil
        }
        ifMatch = try fields.version("if_match")
        let absence = try fields.string("if_none_match")
        guard absence == nil || absence == "*" else { throw EnvelopeFields.error("if_none_match", "must be \"*\"") }
        ifAbsent = absence != nil
        if ifAbsent, ifMatch != nil { throw EnvelopeFields.error("if_match", "excludes if_none_match") }
    }
}

/// The members of an envelope. The document lies one level deeper than it would by itself, so one level more is allowed.
private struct EnvelopeFields {
    let bytes: [UInt8]
    /// At most as many as there are known names, so that looking through them is quicker than a table.
    private var members: [(name: String, member: JSONMembers.Member)] = []

    init(_ bytes: [UInt8], in range: Range<Int>?, known: [String]) throws(ThemisError) {
        self.bytes = bytes
        let all = try JSONMembers.validate(bytes, in: range, depth: Limits.jsonDepth + 1)
        var unknown: [String] = []
        for member in all {
            let name = member.name(in: bytes)
            if known.contains(name) { members.append((name, member)) } else { unknown.append(name) }
        }
        guard unknown.isEmpty else {
            let names = unknown.prefix(Limits.fieldErrors).map { String($0.prefix(Limits.fieldNameCharacters)) }
            let more = unknown.count > names.count ? " and \(unknown.count - names.count) more" : ""
            throw ThemisError(
                .unknownParameter, "unknown field: \(names.joined(separator: ", "))\(more)",
                fields: names.map { FieldError($0, "is not a field of this request") })
        }
    }

    private subscript(_ field: String) -> JSONMembers.Member? { members.first { $0.name == field }?.member }

    static func error(_ field: String, _ message: String) -> ThemisError {
        ThemisError(.invalidRequest, "\(field) \(message)", fields: [FieldError(field, message)])
    }

    func refuse(_ field: String, unless isAllowed: Bool, _ message: String) throws(ThemisError) {
        if !isAllowed, self[field] != nil { throw Self.error(field, message) }
    }

    /// A string, nil when absent.
    func string(_ field: String) throws(ThemisError) -> String? {
        guard let member = self[field] else { return nil }
        guard let text = try JSONValue(checked: bytes, in: member.range).stringValue else {
            throw Self.error(field, "must be a string")
        }
        return text
    }

    /// A version: a string, or a number as a program may have kept it. Nil when absent.
    func version(_ field: String) throws(ThemisError) -> String? {
        guard let member = self[field] else { return nil }
        switch try JSONValue(checked: bytes, in: member.range) {
        case .string(let text): return text
        case .number(let number): return number.spelling
        default: throw Self.error(field, "must be a version")
        }
    }

    func payload(_ field: String, kinds: [JSONKind], _ message: String) throws(ThemisError) -> Range<Int> {
        guard let member = self[field] else { throw Self.error(field, "is missing") }
        guard kinds.contains(member.kind) else { throw Self.error(field, message) }
        return member.range
    }
}
