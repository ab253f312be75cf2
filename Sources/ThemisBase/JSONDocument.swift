/// Checks that bytes are JSON: RFC 8259, valid UTF-8, bounded depth, no name twice in one object. Any thread.
///
/// Numbers may have any size and strings may hold escaped lone surrogates: both are kept as they are spelled. A byte order mark
/// is refused, white space around the value is not. Time is linear in the number of bytes; nothing recurses.
public enum JSONDocument {
    /// Checks one JSON value.
    ///
    /// - Parameter depth: nesting allowed, 1…256; `{}` has depth 1.
    /// - Throws: `invalid_json`, naming the offset of the first wrong byte and the reason.
    public static func validate(_ bytes: UnsafeRawBufferPointer, depth: Int = Limits.jsonDepth) throws(ThemisError) {
        _ = unsafe try walk(bytes, 0..<bytes.count, depth: depth, topMustBeObject: false, recordsMembers: false)
    }

    /// Checks one JSON value, which is all of `bytes`, or all of `range` in it; offsets in errors count from the start of
    /// `bytes`.
    ///
    /// - Throws: `invalid_json`, naming the offset of the first wrong byte and the reason.
    public static func validate(_ bytes: [UInt8], in range: Range<Int>? = nil, depth: Int = Limits.jsonDepth) throws(ThemisError) {
        _ = try walk(bytes, range, depth: depth, topMustBeObject: false, recordsMembers: false)
    }

    /// Checks a document as it is stored: an object of at most 8 MiB, 128 levels deep.
    ///
    /// - Throws: `invalid_json`, or `body_too_large`.
    public static func validateDocument(_ bytes: [UInt8], in range: Range<Int>? = nil) throws(ThemisError) {
        try checkSize(range?.count ?? bytes.count)
        _ = try walk(bytes, range, depth: Limits.jsonDepth, topMustBeObject: true, recordsMembers: false)
    }

    /// Checks a document as it is stored, in memory that belongs to someone else.
    ///
    /// - Throws: `invalid_json`, or `body_too_large`.
    public static func validateDocument(_ bytes: UnsafeRawBufferPointer) throws(ThemisError) {
        try checkSize(bytes.count)
        _ = unsafe try walk(bytes, 0..<bytes.count, depth: Limits.jsonDepth, topMustBeObject: true, recordsMembers: false)
    }

    /// Checks the size of a document.
    ///
    /// - Throws: `body_too_large`.
    static func checkSize(_ count: Int) throws(ThemisError) {
        guard count <= Limits.documentBytes else {
            throw ThemisError(.bodyTooLarge, "document has \(count) bytes; at most \(Limits.documentBytes) are stored")
        }
    }

    static func walk(
        _ bytes: [UInt8], _ range: Range<Int>?, depth: Int, topMustBeObject: Bool, recordsMembers: Bool
    ) throws(ThemisError) -> [JSONMembers.Member] {
        let result: Result<[JSONMembers.Member], ThemisError> = unsafe bytes.withUnsafeBytes { buffer in
            do throws(ThemisError) {
                return .success(
                    unsafe try walk(
                        buffer, range ?? 0..<buffer.count, depth: depth, topMustBeObject: topMustBeObject,
                        recordsMembers: recordsMembers))
            } catch {
                return .failure(error)
            }
        }
        return try result.get()
    }

    static func walk(
        _ bytes: UnsafeRawBufferPointer, _ range: Range<Int>, depth: Int, topMustBeObject: Bool, recordsMembers: Bool
    ) throws(ThemisError) -> [JSONMembers.Member] {
        precondition(range.lowerBound >= 0 && range.upperBound <= bytes.count, "a range of the bytes")
        guard let start = bytes.baseAddress else { throw error(JSONFault(offset: 0, reason: .endOfText), depth: depth) }
        var walk = unsafe JSONWalk(
            start.assumingMemoryBound(to: UInt8.self), from: range.lowerBound, to: range.upperBound, maximumDepth: depth,
            recordsMembers: recordsMembers)
        do throws(JSONFault) {
            try walk.run(topMustBeObject: topMustBeObject)
        } catch {
            throw Self.error(error, depth: depth)
        }
        return walk.members
    }

    /// The fault as the caller reads it.
    static func error(_ fault: JSONFault, depth: Int) -> ThemisError {
        let bound = fault.reason == .tooDeep ? " (at most \(depth) levels)" : ""
        return ThemisError(.invalidJSON, "invalid JSON at byte \(fault.offset): \(fault.reason.rawValue)\(bound)")
    }
}

/// What a JSON value is.
public enum JSONKind: UInt8, Sendable {
    /// `null`.
    case null
    /// `true` or `false`.
    case bool
    /// A number.
    case number
    /// A string.
    case string
    /// An array.
    case array
    /// An object.
    case object

    /// The kind of a value by its first byte, nil when no value begins so.
    public init?(firstByte: UInt8) {
        switch firstByte {
        case 0x7B: self = .object
        case 0x5B: self = .array
        case 0x22: self = .string
        case 0x74, 0x66: self = .bool
        case 0x6E: self = .null
        case 0x2D, 0x30...0x39: self = .number
        default: return nil
        }
    }

    /// The kind with its article, for error texts: `an object`.
    var phrase: String {
        switch self {
        case .null: "null"
        case .bool: "true or false"
        case .number: "a number"
        case .string: "a string"
        case .array: "an array"
        case .object: "an object"
        }
    }
}
