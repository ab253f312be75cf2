// Bytes to trees and back.

extension JSONValue {
    /// Reads one JSON value, which is all of `bytes`, or all of `range` in it, and checks it as `JSONDocument.validate` does.
    ///
    /// - Parameter depth: nesting allowed, 1…256.
    /// - Throws: `invalid_json`, naming the offset of the first wrong byte and the reason.
    public init(parsing bytes: [UInt8], in range: Range<Int>? = nil, depth: Int = Limits.jsonDepth) throws(ThemisError) {
        try JSONDocument.validate(bytes, in: range, depth: depth)
        try self.init(checked: bytes, in: range)
    }

    /// Reads a value that was checked before, such as a stored document or a member's range of a checked body.
    ///
    /// - Throws: `invalid_json` when the bytes are damaged.
    public init(checked bytes: [UInt8], in range: Range<Int>? = nil) throws(ThemisError) {
        var cursor = JSONCursor(bytes, in: range ?? 0..<bytes.count)
        self = try JSONTree.read(&cursor)
    }

    /// The value as JSON text without white space.
    public var bytes: [UInt8] {
        var out: [UInt8] = []
        write(to: &out)
        return out
    }

    /// Appends the value as JSON text without white space. Numbers and lone surrogates are spelled as they came.
    public func write(to out: inout [UInt8]) {
        switch self {
        case .null: out.append(contentsOf: [0x6E, 0x75, 0x6C, 0x6C])
        case .bool(true): out.append(contentsOf: [0x74, 0x72, 0x75, 0x65])
        case .bool(false): out.append(contentsOf: [0x66, 0x61, 0x6C, 0x73, 0x65])
        case .number(let value): out.append(contentsOf: value.spelling.utf8)
        case .string(let value): JSONText.appendString(value, to: &out)
        case .unpairedString(let value): value.write(to: &out)
        case .array(let elements):
            out.append(0x5B)
            for (index, element) in elements.enumerated() {
                if index > 0 { out.append(0x2C) }
                element.write(to: &out)
            }
            out.append(0x5D)
        case .object(let members):
            out.append(0x7B)
            for (index, member) in members.enumerated() {
                if index > 0 { out.append(0x2C) }
                member.name.write(to: &out)
                out.append(0x3A)
                member.value.write(to: &out)
            }
            out.append(0x7D)
        }
    }
}

extension JSONName {
    /// Appends the name as a JSON string.
    func write(to out: inout [UInt8]) {
        if let unpaired { unpaired.write(to: &out) } else { JSONText.appendString(text, to: &out) }
    }
}

extension JSONUnpairedText {
    /// Appends the token as it is spelled.
    func write(to out: inout [UInt8]) {
        out.append(0x22)
        out.append(contentsOf: spelling)
        out.append(0x22)
    }
}

/// Builds a tree without recursion.
private enum JSONTree {
    /// A container whose values are being read.
    private struct Frame {
        var elements: [JSONValue] = []
        var members: [JSONMember] = []
        /// The name of the member being read; nil in an array.
        var name: JSONName?

        mutating func append(_ value: JSONValue) {
            if let name { members.append(JSONMember(name, value)) } else { elements.append(value) }
        }

        var value: JSONValue { name == nil ? .array(elements) : .object(members) }
    }

    static func read(_ cursor: inout JSONCursor) throws(ThemisError) -> JSONValue {
        var frames: [Frame] = []
        while true {
            var value: JSONValue
            if let scalar = try readScalar(&cursor, into: &frames) { value = scalar } else { continue }
            while true {
                guard var frame = frames.popLast() else {
                    cursor.skipSpace()
                    guard cursor.position == cursor.end else { throw cursor.fault(.trailingBytes) }
                    return value
                }
                frame.append(value)
                if cursor.take(0x2C) {
                    if frame.name != nil { frame.name = try readName(&cursor) }
                    frames.append(frame)
                    break
                }
                guard cursor.take(frame.name == nil ? 0x5D : 0x7D) else {
                    throw cursor.fault(frame.name == nil ? .expectedCommaInArray : .expectedCommaInObject)
                }
                value = frame.value
            }
        }
    }

    /// Reads a scalar or an empty container; otherwise begins a container and returns nil.
    private static func readScalar(_ cursor: inout JSONCursor, into frames: inout [Frame]) throws(ThemisError) -> JSONValue? {
        switch try cursor.kind() {
        case .null:
            _ = cursor.scalar()
            return .null
        case .bool: return .bool(cursor.bytes[cursor.scalar().lowerBound] == 0x74)
        case .number: return .number(JSONNumber(checked: String(decoding: cursor.bytes[cursor.scalar()], as: UTF8.self)))
        case .string:
            let token = try cursor.string()
            switch JSONUnpairedText.decode(cursor.bytes[token.range], isEscaped: token.isEscaped) {
            case .success(let text): return .string(text)
            case .failure(let unpaired): return .unpairedString(unpaired)
            }
        case .array:
            _ = cursor.take(0x5B)
            if cursor.take(0x5D) { return .array([]) }
            try push(Frame(), onto: &frames, at: cursor)
        case .object:
            _ = cursor.take(0x7B)
            if cursor.take(0x7D) { return .object([]) }
            try push(Frame(name: readName(&cursor)), onto: &frames, at: cursor)
        }
        return nil
    }

    private static func push(_ frame: Frame, onto frames: inout [Frame], at cursor: JSONCursor) throws(ThemisError) {
        guard frames.count < JSONWalk.deepest else { throw cursor.fault(.tooDeep) }
        frames.append(frame)
    }

    private static func readName(_ cursor: inout JSONCursor) throws(ThemisError) -> JSONName {
        cursor.skipSpace()
        let token = try cursor.string()
        guard cursor.take(0x3A) else { throw cursor.fault(.expectedColon) }
        return JSONName(token: cursor.bytes[token.range], isEscaped: token.isEscaped)
    }
}
