/// The members of an object and where they stand, without a tree and without a copy of their values. Any thread.
public enum JSONMembers {
    /// One member of an object. Offsets count from the start of the array that was read.
    public struct Member: Sendable {
        /// Where the name stands, without its quotes and as it is spelled.
        let nameStart: Int
        let nameEnd: Int
        let isNameEscaped: Bool
        let start: Int
        var end: Int
        /// What the value is.
        public let kind: JSONKind

        /// The bytes of the value, without the white space around it.
        public var range: Range<Int> { start..<end }
        /// The bytes of the name, without its quotes and as it is spelled.
        public var nameRange: Range<Int> { nameStart..<nameEnd }

        /// The name, unescaped. `bytes` is the array that was read.
        public func name(in bytes: [UInt8]) -> String { String(decoding: nameBytes(in: bytes), as: UTF8.self) }

        /// The name as bytes of UTF-8, unescaped; a lone surrogate has its three bytes of generalised UTF-8. Equal names have
        /// equal bytes.
        func nameBytes(in bytes: [UInt8]) -> ArraySlice<UInt8> {
            isNameEscaped ? JSONEscape.unescaped(bytes[nameRange])[...] : bytes[nameRange]
        }
    }

    /// Checks an object as `JSONDocument.validate` does and gives its members in their order, in the same walk.
    ///
    /// - Parameter depth: nesting allowed, 1…256.
    /// - Throws: `invalid_json`, naming the offset of the first wrong byte and the reason.
    public static func validate(
        _ bytes: [UInt8], in range: Range<Int>? = nil, depth: Int = Limits.jsonDepth
    ) throws(ThemisError) -> [Member] {
        try JSONDocument.walk(bytes, range, depth: depth, topMustBeObject: true, recordsMembers: true)
    }

    /// The members, in their order, of an object that was checked before: a stored document, or a member's range of a checked
    /// body.
    ///
    /// Values are skipped, not looked into. Bytes that are not JSON give an error or a wrong range inside `bytes`, never a trap.
    ///
    /// - Throws: `invalid_json` when the bytes are not an object.
    public static func scan(_ bytes: [UInt8], in range: Range<Int>? = nil) throws(ThemisError) -> [Member] {
        var cursor = JSONCursor(bytes, in: range ?? 0..<bytes.count)
        var members: [Member] = []
        try cursor.forEachMember { (cursor, name) throws(ThemisError) in
            let start = cursor.position
            let kind = try cursor.skipValue()
            members.append(
                Member(
                    nameStart: name.range.lowerBound, nameEnd: name.range.upperBound, isNameEscaped: name.isEscaped, start: start,
                    end: cursor.position, kind: kind))
        }
        return members
    }
}

/// Reads JSON that was checked before, without checking it again.
///
/// Every step goes forward and stays inside its range, so that damaged bytes end in an error and not in a trap or a loop.
struct JSONCursor {
    /// A name as it is spelled, without its quotes.
    struct Name {
        let range: Range<Int>
        let isEscaped: Bool

        /// The name unescaped.
        func bytes(in bytes: [UInt8]) -> ArraySlice<UInt8> { isEscaped ? JSONEscape.unescaped(bytes[range])[...] : bytes[range] }
    }

    let bytes: [UInt8]
    private(set) var position: Int
    let end: Int

    init(_ bytes: [UInt8], in range: Range<Int>) {
        precondition(range.lowerBound >= 0 && range.upperBound <= bytes.count, "a range of the bytes")
        self.bytes = bytes
        position = range.lowerBound
        end = range.upperBound
    }

    func fault(_ reason: JSONFault.Reason) -> ThemisError {
        JSONDocument.error(JSONFault(offset: position, reason: position >= end ? .endOfText : reason), depth: Limits.jsonDepth)
    }

    mutating func skipSpace() {
        while position < end {
            switch bytes[position] {
            case 0x20, 0x0A, 0x0D, 0x09: position += 1
            default: return
            }
        }
    }

    /// The kind of the value that begins at `position` once white space is skipped.
    mutating func kind() throws(ThemisError) -> JSONKind {
        skipSpace()
        guard position < end, let kind = JSONKind(firstByte: bytes[position]) else { throw fault(.expectedValue) }
        return kind
    }

    /// Takes `byte` when it comes next.
    mutating func take(_ byte: UInt8) -> Bool {
        skipSpace()
        guard position < end, bytes[position] == byte else { return false }
        position += 1
        return true
    }

    /// Reads an object. `body` is called with the cursor before each value and has to read it.
    mutating func forEachMember(_ body: (inout JSONCursor, Name) throws(ThemisError) -> Void) throws(ThemisError) {
        guard take(0x7B) else { throw fault(.notObject) }
        if take(0x7D) { return }
        repeat {
            skipSpace()
            let name = try string()
            guard take(0x3A) else { throw fault(.expectedColon) }
            skipSpace()
            try body(&self, name)
        } while take(0x2C)
        guard take(0x7D) else { throw fault(.expectedCommaInObject) }
    }

    /// Reads an array. `body` is called with the cursor before each value and has to read it.
    mutating func forEachElement(_ body: (inout JSONCursor) throws(ThemisError) -> Void) throws(ThemisError) {
        guard take(0x5B) else { throw fault(.expectedValue) }
        if take(0x5D) { return }
        repeat {
            skipSpace()
            try body(&self)
        } while take(0x2C)
        guard take(0x5D) else { throw fault(.expectedCommaInArray) }
    }

    /// Reads a string token.
    mutating func string() throws(ThemisError) -> Name {
        guard position < end, bytes[position] == 0x22 else { throw fault(.expectedName) }
        let start = position + 1
        var isEscaped = false
        var offset = start
        while offset < end {
            switch bytes[offset] {
            case 0x22:
                position = offset + 1
                return Name(range: start..<offset, isEscaped: isEscaped)
            case 0x5C:
                isEscaped = true
                offset += 2
            default: offset += 1
            }
        }
        position = end
        throw fault(.endOfText)
    }

    /// Reads a number, `true`, `false` or `null`.
    mutating func scalar() -> Range<Int> {
        let start = position
        while position < end {
            switch bytes[position] {
            case 0x2C, 0x5D, 0x7D, 0x20, 0x0A, 0x0D, 0x09: return start..<position
            default: position += 1
            }
        }
        return start..<position
    }

    /// Goes behind the value that begins at `position` once white space is skipped.
    @discardableResult mutating func skipValue() throws(ThemisError) -> JSONKind {
        let kind = try kind()
        switch kind {
        case .string: _ = try string()
        case .null, .bool, .number: _ = scalar()
        case .object, .array: try skipContainer()
        }
        return kind
    }

    private mutating func skipContainer() throws(ThemisError) {
        var depth = 0
        repeat {
            guard position < end else { throw fault(.endOfText) }
            switch bytes[position] {
            case 0x22: _ = try string()
            case 0x7B, 0x5B:
                depth += 1
                position += 1
            case 0x7D, 0x5D:
                depth -= 1
                position += 1
            default: position += 1
            }
        } while depth > 0
    }
}
