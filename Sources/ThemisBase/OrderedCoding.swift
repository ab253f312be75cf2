/// JSON values as bytes that sort as the values do: null < false < true < numbers < strings < arrays < objects.
///
/// Numbers are compared by value (`OrderedNumber`), strings by code point, arrays element by element, objects as the list of their
/// members sorted by name. Equal values have equal bytes. No coding is the beginning of another, so that codings can be put behind
/// each other: the bytes of a list of values sort as the list does. docs/data-format.md says what each byte is. Any thread.
public enum OrderedCoding {
    enum Tag {
        /// Ends an array or object; below every other tag.
        static let end: UInt8 = 0x01
        static let null: UInt8 = 0x10
        static let no: UInt8 = 0x18
        static let yes: UInt8 = 0x19
        static let number: UInt8 = 0x20
        static let string: UInt8 = 0x28
        static let array: UInt8 = 0x30
        static let object: UInt8 = 0x38
    }

    /// The coding of `null`, which also stands for what is missing.
    public static let null: [UInt8] = [Tag.null]

    /// Whether `coding` is that of `null`.
    public static func isNull(_ coding: some Collection<UInt8>) -> Bool { coding.first == Tag.null }

    /// Whether one of the `values` codings that `list` begins with is that of `null`.
    public static func hasNull(_ list: [UInt8], values: Int) -> Bool {
        var reader = ByteReader(list)
        for _ in 0..<values {
            let start = reader.position
            guard start < list.count, list[start] != Tag.null else { return true }
            guard skip(&reader) else { return true }
        }
        return false
    }

    // MARK: Writing

    /// Appends the coding of the value that is all of `range` in `bytes`, which were checked before.
    ///
    /// - Returns: whether the value is kept: false when it holds a number beyond every double or a lone surrogate, which have a place
    ///   in the order, but are not told from their like.
    /// - Throws: `invalid_json` when the bytes are damaged; `out` then holds a part of the coding.
    @discardableResult
    public static func append(
        json bytes: [UInt8], in range: Range<Int>? = nil, to out: inout [UInt8]
    ) throws(ThemisError) -> Bool {
        var cursor = JSONCursor(bytes, in: range ?? 0..<bytes.count)
        return try append(&cursor, to: &out)
    }

    /// The coding of a value.
    public static func coding(of value: JSONValue) -> [UInt8] {
        var out: [UInt8] = []
        if case .string(let text) = value {
            append(string: text.utf8, to: &out)
            return out
        }
        // What a tree writes is JSON.
        let bytes = value.bytes
        do throws(ThemisError) { try append(json: bytes, to: &out) } catch { preconditionFailure("a tree writes JSON: \(error)") }
        return out
    }

    /// Appends the coding of a string.
    public static func append(string utf8: some Collection<UInt8>, to out: inout [UInt8]) {
        out.append(Tag.string)
        appendEscaped(utf8, to: &out)
    }

    /// What the codings of all strings that begin with `prefix` begin with.
    public static func beginning(of prefix: some Collection<UInt8>) -> [UInt8] {
        var out: [UInt8] = []
        append(string: prefix, to: &out)
        return out.dropLast(2)
    }

    private static func append(_ cursor: inout JSONCursor, to out: inout [UInt8]) throws(ThemisError) -> Bool {
        switch try cursor.kind() {
        case .null:
            _ = cursor.scalar()
            out.append(Tag.null)
            return true
        case .bool:
            out.append(cursor.bytes[cursor.scalar().lowerBound] == 0x74 ? Tag.yes : Tag.no)
            return true
        case .number:
            let number = OrderedNumber(spelling: cursor.bytes[cursor.scalar()])
            out.append(Tag.number)
            number.append(to: &out)
            return !number.isInfinite
        case .string:
            let token = try cursor.string()
            out.append(Tag.string)
            return appendText(token, cursor, to: &out)
        case .array:
            var isKept = true
            out.append(Tag.array)
            try cursor.forEachElement { (cursor) throws(ThemisError) in
                if try !append(&cursor, to: &out) { isKept = false }
            }
            out.append(Tag.end)
            return isKept
        case .object: return try appendObject(&cursor, to: &out)
        }
    }

    /// Appends the content of a string token; whether it is kept.
    private static func appendText(_ token: JSONCursor.Name, _ cursor: JSONCursor, to out: inout [UInt8]) -> Bool {
        let text = cursor.bytes[token.range]
        guard token.isEscaped else {
            appendEscaped(text, to: &out)
            return true
        }
        let unescaped = JSONEscape.unescaped(text)
        appendEscaped(unescaped, to: &out)
        // Only a lone surrogate has these bytes, which no valid UTF-8 has.
        return !zip(unescaped, unescaped.dropFirst()).contains { $0 == 0xED && $1 >= 0xA0 }
    }

    private static func appendObject(_ cursor: inout JSONCursor, to out: inout [UInt8]) throws(ThemisError) -> Bool {
        var isKept = true
        var members: [[UInt8]] = []
        try cursor.forEachMember { (cursor, name) throws(ThemisError) in
            var member: [UInt8] = [Tag.string]
            if !appendText(name, cursor, to: &member) { isKept = false }
            if try !append(&cursor, to: &member) { isKept = false }
            members.append(member)
        }
        // Names differ and no coding is the beginning of another: the order of the members is that of their names.
        members.sort { $0.lexicographicallyPrecedes($1) }
        out.append(Tag.object)
        for member in members { out.append(contentsOf: member) }
        out.append(Tag.end)
        return isKept
    }

    /// A zero byte becomes `00 FF`, the end is `00 01`: what is shorter sorts first.
    private static func appendEscaped(_ text: some Collection<UInt8>, to out: inout [UInt8]) {
        if text.contains(0) {
            for byte in text {
                out.append(byte)
                if byte == 0 { out.append(0xFF) }
            }
        } else {
            out.append(contentsOf: text)
        }
        out.append(0)
        out.append(1)
    }

    // MARK: Reading

    /// The value with the coding that `reader` stands at: numbers in their shortest spelling, members sorted by name. Nil when the
    /// bytes are no coding.
    public static func value(from reader: inout ByteReader, depth: Int = 2 * Limits.jsonDepth) -> JSONValue? {
        guard depth > 0, let tag = reader.byte() else { return nil }
        switch tag {
        case Tag.null: return .null
        case Tag.no: return .bool(false)
        case Tag.yes: return .bool(true)
        case Tag.number: return OrderedNumber(from: &reader).map { .number(JSONNumber(checked: $0.spelling)) }
        case Tag.string:
            guard let text = unescaped(&reader) else { return nil }
            if let string = String(validating: text, as: UTF8.self) { return .string(string) }
            return .unpairedString(JSONUnpairedText(spelling: JSONEscape.spelled(text)))
        case Tag.array:
            var elements: [JSONValue] = []
            while !takesEnd(&reader) {
                guard let element = value(from: &reader, depth: depth - 1) else { return nil }
                elements.append(element)
            }
            return .array(elements)
        case Tag.object:
            var members: [JSONMember] = []
            while !takesEnd(&reader) {
                guard reader.byte() == Tag.string, let name = unescaped(&reader), let value = value(from: &reader, depth: depth - 1)
                else { return nil }
                members.append(JSONMember(JSONName(token: JSONEscape.spelled(name)[...], isEscaped: true), value))
            }
            return .object(members)
        default: return nil
        }
    }

    /// The number that `reader` stands at; nil when it stands at no number.
    public static func number(from reader: inout ByteReader) -> OrderedNumber? {
        reader.byte() == Tag.number ? OrderedNumber(from: &reader) : nil
    }

    /// Goes behind a null; false, without moving, when `reader` stands at none.
    public static func takeNull(_ reader: inout ByteReader) -> Bool {
        var ahead = reader
        guard ahead.byte() == Tag.null else { return false }
        reader = ahead
        return true
    }

    /// Goes behind the string that `reader` stands at; false when it stands at no string.
    public static func skipString(_ reader: inout ByteReader) -> Bool { reader.byte() == Tag.string && skipText(&reader) }

    /// The text of a string in its coding.
    public static func text(of coding: ArraySlice<UInt8>) -> [UInt8] {
        // Between the tag and the two bytes of the end.
        let escaped = coding.dropFirst().dropLast(2)
        guard escaped.contains(0) else { return Array(escaped) }
        var text: [UInt8] = []
        var isBehindZero = false
        for byte in escaped {
            if !isBehindZero { text.append(byte) }
            isBehindZero = byte == 0 && !isBehindZero
        }
        return text
    }

    /// Goes behind the coding that `reader` stands at; false when the bytes are no coding.
    public static func skip(_ reader: inout ByteReader) -> Bool {
        var open = 0
        repeat {
            guard let tag = reader.byte() else { return false }
            switch tag {
            case Tag.null, Tag.no, Tag.yes: break
            case Tag.number: if OrderedNumber(from: &reader) == nil { return false }
            case Tag.string: if !skipText(&reader) { return false }
            case Tag.array, Tag.object: open += 1
            case Tag.end where open > 0: open -= 1
            default: return false
            }
        } while open > 0
        return true
    }

    private static func takesEnd(_ reader: inout ByteReader) -> Bool {
        var ahead = reader
        guard ahead.byte() == Tag.end else { return false }
        reader = ahead
        return true
    }

    private static func skipText(_ reader: inout ByteReader) -> Bool {
        while let byte = reader.byte() {
            if byte == 0 {
                switch reader.byte() {
                case 1: return true
                case 0xFF: break
                default: return false
                }
            }
        }
        return false
    }

    private static func unescaped(_ reader: inout ByteReader) -> [UInt8]? {
        var text: [UInt8] = []
        while let byte = reader.byte() {
            guard byte == 0 else {
                text.append(byte)
                continue
            }
            switch reader.byte() {
            case 1: return text
            case 0xFF: text.append(0)
            default: return nil
            }
        }
        return nil
    }
}
