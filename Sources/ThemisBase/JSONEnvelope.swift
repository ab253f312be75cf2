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
    /// The entity must exist, in whatever version.
    public let ifExists: Bool

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
        for name in ["if_none_match", "if_absent"] { try fields.refuse(name, unless: isPut, "belongs to put only") }
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
        let match = try fields.version("if_match")
        ifMatch = try fields.version("if_version") ?? match
        let absence = try fields.string("if_none_match")
        guard absence == nil || absence == "*" else { throw EnvelopeFields.error("if_none_match", "must be \"*\"") }
        let isAbsent = try fields.bool("if_absent")
        ifAbsent = absence != nil || isAbsent
        ifExists = try fields.bool("if_exists")
        if absence != nil, ifMatch != nil { throw EnvelopeFields.error("if_match", "excludes if_none_match") }
        guard (ifMatch == nil ? 0 : 1) + (ifAbsent ? 1 : 0) + (ifExists ? 1 : 0) <= 1 else {
            throw EnvelopeFields.error("if_version", "if_absent and if_exists exclude each other")
        }
    }
}

extension JSONEnvelope {
    /// Reads the body `{"operations":[…]}` of a transaction, 1–`Limits.atomicOperations` of them: as lines, with the conditions
    /// `if_version`, `"if_absent":true` (a put only) and `"if_exists":true`, at most one of them.
    ///
    /// - Throws: as `line`, naming `operations[i]`. Offsets count from the start of `bytes`.
    public static func operations(_ bytes: [UInt8]) throws(ThemisError) -> [JSONEnvelope] {
        // The document lies three levels deeper than it would by itself.
        let members = try JSONMembers.validate(bytes, depth: Limits.jsonDepth + 3)
        let unknown = members.map { $0.name(in: bytes) }.filter { $0 != "operations" }
        try EnvelopeFields.refuse(unknown: unknown)
        guard let list = members.first else { throw EnvelopeFields.error("operations", "is missing") }
        guard list.kind == .array else { throw EnvelopeFields.error("operations", "must be an array") }
        var ranges: [Range<Int>] = []
        var cursor = JSONCursor(bytes, in: list.range)
        try cursor.forEachElement { (cursor) throws(ThemisError) in
            guard ranges.count < Limits.atomicOperations else {
                throw ThemisError(.bodyTooLarge, "a transaction has at most \(Limits.atomicOperations) operations")
            }
            let start = cursor.position
            try cursor.skipValue()
            ranges.append(start..<cursor.position)
        }
        guard !ranges.isEmpty else { throw EnvelopeFields.error("operations", "must hold an operation") }
        var operations: [JSONEnvelope] = []
        operations.reserveCapacity(ranges.count)
        for (index, range) in ranges.enumerated() {
            do throws(ThemisError) {
                operations.append(try operation(bytes, in: range))
            } catch {
                var named = error
                named.fields.insert(FieldError("operations[\(index)]", error.message), at: 0)
                throw named
            }
        }
        return operations
    }

    private static func operation(_ bytes: [UInt8], in range: Range<Int>) throws(ThemisError) -> JSONEnvelope {
        guard bytes[range.lowerBound] == 0x7B else { throw ThemisError(.invalidRequest, "an operation must be an object") }
        let known = ["op", "key", "document", "patch", "if_version", "if_absent", "if_exists"]
        let fields = try EnvelopeFields(bytes, JSONMembers.scan(bytes, in: range), known: known)
        guard let word = try fields.string("op"), let operation = Operation(rawValue: word) else {
            throw EnvelopeFields.error("op", "must be put, patch or delete")
        }
        return try JSONEnvelope(fields, operation: operation)
    }
}

/// The members of an envelope. The document lies one level deeper than it would by itself, so one level more is allowed.
private struct EnvelopeFields {
    let bytes: [UInt8]
    /// At most as many as there are known names, so that looking through them is quicker than a table.
    private var members: [(name: String, member: JSONMembers.Member)] = []

    init(_ bytes: [UInt8], in range: Range<Int>?, known: [String]) throws(ThemisError) {
        try self.init(bytes, JSONMembers.validate(bytes, in: range, depth: Limits.jsonDepth + 1), known: known)
    }

    init(_ bytes: [UInt8], _ all: [JSONMembers.Member], known: [String]) throws(ThemisError) {
        self.bytes = bytes
        var unknown: [String] = []
        for member in all {
            let name = member.name(in: bytes)
            if known.contains(name) { members.append((name, member)) } else { unknown.append(name) }
        }
        try Self.refuse(unknown: unknown)
    }

    static func refuse(unknown: [String]) throws(ThemisError) {
        guard !unknown.isEmpty else { return }
        let names = unknown.prefix(Limits.fieldErrors).map { String($0.prefix(Limits.fieldNameCharacters)) }
        let more = unknown.count > names.count ? " and \(unknown.count - names.count) more" : ""
        throw ThemisError(
            .unknownParameter, "unknown field: \(names.joined(separator: ", "))\(more)",
            fields: names.map { FieldError($0, "is not a field of this request") })
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

    /// `true`, `false`, or absent, which counts as false.
    func bool(_ field: String) throws(ThemisError) -> Bool {
        guard let member = self[field] else { return false }
        guard let value = try JSONValue(checked: bytes, in: member.range).boolValue else {
            throw Self.error(field, "must be true or false")
        }
        return value
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
