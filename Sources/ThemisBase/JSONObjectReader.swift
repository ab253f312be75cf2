/// Reads the object of a request field by field and collects everything that is wrong with it.
///
/// A required field that is missing or wrong reads as a neutral value; `read` then throws one error that names every such field,
/// and no field that nobody asked for is let through. An optional field that is `null` counts as absent.
///
///     let query = try JSONObjectReader.read(body) { (fields) throws(ThemisError) in
///         Query(table: fields.string("table"), limit: fields.optionalInteger("limit", in: 1...1_000) ?? 100)
///     }
public struct JSONObjectReader {
    private let members: [JSONMember]
    /// What stands before the name of a field in an error; made only for one.
    private let path: () -> String
    private var isRead: [Bool]
    private var refused: [FieldError] = []
    private var unknown: [String] = []

    /// Reads a whole request body.
    ///
    /// - Throws: `invalid_json`; what `body` throws; `unknown_parameter` naming each field that `body` did not read;
    ///   `invalid_request` naming each field that is missing or wrong. Field errors go before an error of `body`, which may only
    ///   follow from them.
    public static func read<Result>(
        _ bytes: [UInt8], in range: Range<Int>? = nil, _ body: (inout JSONObjectReader) throws(ThemisError) -> Result
    ) throws(ThemisError) -> Result {
        try read(members(of: bytes, in: range), body)
    }

    /// The members of a request body.
    ///
    /// - Throws: `invalid_json`; `invalid_request` when it is no object.
    public static func members(of bytes: [UInt8], in range: Range<Int>? = nil) throws(ThemisError) -> [JSONMember] {
        let value = try JSONValue(parsing: bytes, in: range)
        guard case .object(let members) = value else {
            throw ThemisError(.invalidRequest, "the body must be an object, not \(value.kind.phrase)")
        }
        return members
    }

    /// Reads an object that is parsed already.
    ///
    /// - Throws: as for bytes.
    public static func read<Result>(
        _ members: [JSONMember], _ body: (inout JSONObjectReader) throws(ThemisError) -> Result
    ) throws(ThemisError) -> Result {
        var reader = JSONObjectReader(members) { "" }
        do throws(ThemisError) {
            let result = try body(&reader)
            reader.noteUnread()
            try reader.throwRefused()
            return result
        } catch {
            if error.fields.isEmpty { try reader.throwRefused() }
            throw error
        }
    }

    private init(_ members: [JSONMember], path: @escaping () -> String) {
        self.members = members
        self.path = path
        isRead = Array(repeating: false, count: members.count)
    }

    // MARK: - Errors

    /// Refuses `field` for a reason of the caller.
    public mutating func refuse(_ field: String, _ message: String) { refused.append(FieldError(path() + field, message)) }

    private mutating func noteUnread() {
        for (index, member) in members.enumerated() where !isRead[index] { unknown.append(path() + member.name.text) }
    }

    private func throwRefused() throws(ThemisError) {
        guard !unknown.isEmpty || !refused.isEmpty else { return }
        let names = unknown.prefix(Limits.fieldErrors).map { String($0.prefix(Limits.fieldNameCharacters)) }
        let fields = Array((names.map { FieldError($0, "is not a field of this request") } + refused).prefix(Limits.fieldErrors))
        let more = unknown.count > names.count ? " and \(unknown.count - names.count) more" : ""
        guard unknown.isEmpty else {
            throw ThemisError(.unknownParameter, "unknown field: \(names.joined(separator: ", "))\(more)", fields: fields)
        }
        let text = fields.map { "\($0.field) \($0.message)" }.joined(separator: "; ")
        throw ThemisError(.invalidRequest, text, fields: fields)
    }

    // MARK: - Any value

    /// Whether the field is there and not `null`.
    public func has(_ field: String) -> Bool { members.contains { $0.name.matches(field) && !$0.value.isNull } }

    /// The value of a field, nil when it is absent or `null`.
    public mutating func optionalValue(_ field: String) -> JSONValue? {
        guard let index = members.firstIndex(where: { $0.name.matches(field) }) else { return nil }
        isRead[index] = true
        return members[index].value.isNull ? nil : members[index].value
    }

    /// The value of a field, also when it is `null`; nil when it is absent.
    public mutating func optionalOrNull(_ field: String) -> JSONValue? {
        guard let index = members.firstIndex(where: { $0.name.matches(field) }) else { return nil }
        isRead[index] = true
        return members[index].value
    }

    /// What the value of a field is; nil when it is absent. Does not count as reading it.
    public func kind(of field: String) -> JSONKind? { members.first { $0.name.matches(field) }?.value.kind }

    /// The value of a field that has to be there; it may be `null`.
    public mutating func value(_ field: String) -> JSONValue {
        guard let index = members.firstIndex(where: { $0.name.matches(field) }) else {
            refuse(field, "is missing")
            return .null
        }
        isRead[index] = true
        return members[index].value
    }

    /// Reads a field by `convert`, which says what it expected by returning nil.
    private mutating func convert<Value>(
        _ field: String, _ expected: @autoclosure () -> String, _ convert: (JSONValue) -> Value?
    ) -> Value? {
        guard let value = optionalValue(field) else { return nil }
        if let result = convert(value) { return result }
        refuse(field, "must be \(expected())")
        return nil
    }

    private mutating func required<Value>(_ field: String, or neutral: Value, _ read: (inout JSONObjectReader) -> Value?) -> Value {
        let before = refused.count
        if let value = read(&self) { return value }
        if refused.count == before { refuse(field, "is missing") }
        return neutral
    }

    // MARK: - Scalars

    /// A string, nil when absent.
    ///
    /// - Parameter length: bytes of UTF-8 allowed.
    public mutating func optionalString(_ field: String, length: ClosedRange<Int> = 0...Limits.documentBytes) -> String? {
        convert(
            field, length == 0...Limits.documentBytes ? "a string" : "a string of \(length.lowerBound)–\(length.upperBound) bytes"
        ) { value in
            value.stringValue.flatMap { length.contains($0.utf8.count) ? $0 : nil }
        }
    }

    /// A string that has to be there.
    public mutating func string(_ field: String, length: ClosedRange<Int> = 0...Limits.documentBytes) -> String {
        required(field, or: "") { $0.optionalString(field, length: length) }
    }

    /// A whole number, nil when absent.
    public mutating func optionalInteger<Value: FixedWidthInteger>(
        _ field: String, in range: ClosedRange<Value> = Value.min...Value.max
    ) -> Value? {
        convert(field, "a whole number from \(range.lowerBound) to \(range.upperBound)") { value in
            let number: Value? =
                value.int64Value.flatMap { Value(exactly: $0) } ?? value.uint64Value.flatMap { Value(exactly: $0) }
            return number.flatMap { range.contains($0) ? $0 : nil }
        }
    }

    /// A whole number that has to be there. Neutral: the smallest allowed.
    public mutating func integer<Value: FixedWidthInteger>(
        _ field: String, in range: ClosedRange<Value> = Value.min...Value.max
    ) -> Value {
        required(field, or: range.lowerBound) { $0.optionalInteger(field, in: range) }
    }

    /// A number, nil when absent.
    public mutating func optionalDouble(_ field: String, in range: ClosedRange<Double>? = nil) -> Double? {
        convert(field, range.map { "a number from \($0.lowerBound) to \($0.upperBound)" } ?? "a number") { value in
            value.doubleValue.flatMap { range?.contains($0) == false ? nil : $0 }
        }
    }

    /// A number that has to be there. Neutral: 0.
    public mutating func double(_ field: String, in range: ClosedRange<Double>? = nil) -> Double {
        required(field, or: 0) { $0.optionalDouble(field, in: range) }
    }

    /// A truth value, nil when absent.
    public mutating func optionalBool(_ field: String) -> Bool? { convert(field, "true or false") { $0.boolValue } }

    /// A truth value that has to be there. Neutral: false.
    public mutating func bool(_ field: String) -> Bool { required(field, or: false) { $0.optionalBool(field) } }

    /// One word of a closed set, nil when absent.
    public mutating func optionalWord<Word: RawRepresentable & CaseIterable>(
        _ field: String, of type: Word.Type
    ) -> Word? where Word.RawValue == String {
        convert(field, "one of " + type.allCases.map(\.rawValue).joined(separator: ", ")) {
            $0.stringValue.flatMap { Word(rawValue: $0) }
        }
    }

    // MARK: - Arrays and objects

    /// An array of strings, nil when absent.
    ///
    /// - Parameter count: elements allowed.
    public mutating func optionalStrings(_ field: String, count: ClosedRange<Int>) -> [String]? {
        convert(field, "an array of \(count.lowerBound)–\(count.upperBound) strings") { value in
            guard let elements = value.elements, count.contains(elements.count) else { return nil }
            let strings = elements.compactMap(\.stringValue)
            return strings.count == elements.count ? strings : nil
        }
    }

    /// An array of strings that has to be there. Neutral: empty.
    public mutating func strings(_ field: String, count: ClosedRange<Int>) -> [String] {
        required(field, or: []) { $0.optionalStrings(field, count: count) }
    }

    /// An array of anything, nil when absent.
    ///
    /// - Parameter count: elements allowed.
    public mutating func optionalArray(_ field: String, count: ClosedRange<Int>) -> [JSONValue]? {
        convert(field, "an array of \(count.lowerBound)–\(count.upperBound) elements") { value in
            value.elements.flatMap { count.contains($0.count) ? $0 : nil }
        }
    }

    /// An object whose fields `body` reads, nil when absent. Its errors are named `field.inner`.
    public mutating func optionalObject<Result>(
        _ field: String, _ body: (inout JSONObjectReader) throws(ThemisError) -> Result
    ) throws(ThemisError) -> Result? {
        guard let members = convert(field, "an object", { $0.members }) else { return nil }
        return try nested(members, in: field, body)
    }

    /// An array of objects whose fields `body` reads, nil when absent. Its errors are named `field[index].inner`.
    public mutating func optionalObjects<Result>(
        _ field: String, count: ClosedRange<Int>, _ body: (inout JSONObjectReader) throws(ThemisError) -> Result
    ) throws(ThemisError) -> [Result]? {
        let elements = convert(field, "an array of \(count.lowerBound)–\(count.upperBound) objects") { value in
            value.elements.flatMap { count.contains($0.count) ? $0 : nil }
        }
        guard let elements else { return nil }
        let path = path
        var results: [Result] = []
        for (index, element) in elements.enumerated() {
            if let members = element.members {
                results.append(try nested(members, path: { "\(path())\(field)[\(index)]." }, body))
            } else {
                refuse("\(field)[\(index)]", "must be an object")
            }
        }
        return results
    }

    /// An object inside a value that the caller has read by itself: its fields are named `field.inner`.
    public mutating func nested<Result>(
        _ members: [JSONMember], in field: String, _ body: (inout JSONObjectReader) throws(ThemisError) -> Result
    ) throws(ThemisError) -> Result {
        let path = path
        return try nested(members, path: { "\(path())\(field)." }, body)
    }

    private mutating func nested<Result>(
        _ members: [JSONMember], path: @escaping () -> String, _ body: (inout JSONObjectReader) throws(ThemisError) -> Result
    ) throws(ThemisError) -> Result {
        var reader = JSONObjectReader(members, path: path)
        defer {
            if !reader.refused.isEmpty { refused += reader.refused }
            if !reader.unknown.isEmpty { unknown += reader.unknown }
        }
        let result = try body(&reader)
        reader.noteUnread()
        return result
    }
}
