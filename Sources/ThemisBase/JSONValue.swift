/// A JSON value as a tree, for requests, configuration, patches and comparisons. Any thread.
///
/// Documents themselves are kept as bytes (`JSONDocument`, `JSONMembers`). Numbers keep their spelling, objects the order of
/// their members. Equality is by value: numbers by what they are worth, strings and names by code points (not by Swift's
/// canonical equivalence), objects regardless of order. Trees are at most 256 levels deep when they come from outside.
public enum JSONValue: Sendable {
    /// `null`.
    case null
    /// `true` or `false`.
    case bool(Bool)
    /// A number of any size.
    case number(JSONNumber)
    /// A string.
    case string(String)
    /// A string with a lone surrogate, which Swift's strings cannot hold.
    case unpairedString(JSONUnpairedText)
    /// An array.
    case array([JSONValue])
    /// An object, in the order of its members.
    case object([JSONMember])
}

/// One member of an object. Any thread.
public struct JSONMember: Sendable {
    /// The name.
    public let name: JSONName
    /// The value.
    public var value: JSONValue

    /// Makes a member.
    public init(_ name: JSONName, _ value: JSONValue) {
        self.name = name
        self.value = value
    }
}

/// The name of a member, compared by code points. Any thread.
public struct JSONName: Sendable, ExpressibleByStringLiteral {
    /// The name; lone surrogates are replaced by U+FFFD in it.
    public let text: String
    /// The name as it is spelled, when it has a lone surrogate.
    public let unpaired: JSONUnpairedText?

    /// A name.
    public init(_ text: String) {
        self.text = text
        unpaired = nil
    }

    /// A name.
    public init(stringLiteral text: String) { self.init(text) }

    private init(_ unpaired: JSONUnpairedText) {
        text = String(decoding: unpaired.bytes, as: UTF8.self)
        self.unpaired = unpaired
    }

    /// A name from the bytes of its token.
    init(token: ArraySlice<UInt8>, isEscaped: Bool) {
        switch JSONUnpairedText.decode(token, isEscaped: isEscaped) {
        case .success(let text): self.init(text)
        case .failure(let unpaired): self.init(unpaired)
        }
    }

    /// Whether this is the name `other`, by code points.
    func matches(_ other: String) -> Bool { unpaired == nil && text.hasSameCodePoints(as: other) }
}

extension JSONName: Hashable {
    /// By code points.
    public static func == (left: JSONName, right: JSONName) -> Bool {
        left.unpaired == right.unpaired && left.text.hasSameCodePoints(as: right.text)
    }

    /// Hashes the code points.
    public func hash(into hasher: inout Hasher) {
        var text = text
        text.withUTF8 { unsafe hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
        hasher.combine(text.utf8.count)
    }
}

/// The text of a string token with a lone surrogate, which is kept as it is spelled. Any thread.
public struct JSONUnpairedText: Error, Sendable {
    /// The token without its quotes.
    public let spelling: [UInt8]
    /// The text as generalised UTF-8 (WTF-8).
    var bytes: [UInt8] { JSONEscape.unescaped(spelling) }

    /// The string of a token, or its text when it has a lone surrogate.
    static func decode(_ token: ArraySlice<UInt8>, isEscaped: Bool) -> Result<String, JSONUnpairedText> {
        guard isEscaped else { return .success(String(decoding: token, as: UTF8.self)) }
        let bytes = JSONEscape.unescaped(token)
        if let text = String(validating: bytes, as: UTF8.self) { return .success(text) }
        return .failure(JSONUnpairedText(spelling: Array(token)))
    }
}

extension JSONUnpairedText: Hashable {
    /// By code units.
    public static func == (left: JSONUnpairedText, right: JSONUnpairedText) -> Bool { left.bytes == right.bytes }

    /// Hashes the code units.
    public func hash(into hasher: inout Hasher) { hasher.combine(bytes) }
}

extension String {
    /// Whether both are the same sequence of code points. `==` also takes canonically equivalent strings for equal.
    public func hasSameCodePoints(as other: String) -> Bool {
        utf8.count == other.utf8.count && utf8.elementsEqual(other.utf8)
    }
}

// MARK: - Looking inside

extension JSONValue {
    /// What the value is.
    public var kind: JSONKind {
        switch self {
        case .null: .null
        case .bool: .bool
        case .number: .number
        case .string, .unpairedString: .string
        case .array: .array
        case .object: .object
        }
    }

    /// Whether this is `null`.
    public var isNull: Bool { kind == .null }

    /// The truth value, nil for other kinds.
    public var boolValue: Bool? { if case .bool(let value) = self { value } else { nil } }

    /// The number, nil for other kinds.
    public var numberValue: JSONNumber? { if case .number(let value) = self { value } else { nil } }

    /// The whole number, nil for other kinds and when it does not fit.
    public var int64Value: Int64? { numberValue?.int64 }

    /// The whole number, nil for other kinds and when it does not fit.
    public var uint64Value: UInt64? { numberValue?.uint64 }

    /// The nearest double, nil for other kinds and when there is none.
    public var doubleValue: Double? { numberValue?.double }

    /// The string, nil for other kinds and for strings with lone surrogates.
    public var stringValue: String? { if case .string(let value) = self { value } else { nil } }

    /// The elements of an array, nil for other kinds.
    public var elements: [JSONValue]? { if case .array(let value) = self { value } else { nil } }

    /// The members of an object in their order, nil for other kinds.
    public var members: [JSONMember]? { if case .object(let value) = self { value } else { nil } }

    /// The member `name` of an object; nil when there is none, or no object.
    public subscript(_ name: String) -> JSONValue? { members?.first { $0.name.matches(name) }?.value }
}

// MARK: - Literals

// No nil literal: `condition ? nil : value` would silently become `null` where an optional is meant.
extension JSONValue: ExpressibleByBooleanLiteral, ExpressibleByIntegerLiteral, ExpressibleByFloatLiteral,
    ExpressibleByStringLiteral,
    ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
    /// `true` or `false`.
    public init(booleanLiteral value: Bool) { self = .bool(value) }

    /// A whole number.
    public init(integerLiteral value: Int64) { self = .number(JSONNumber(value)) }

    /// A number; `null` for what JSON has no number for.
    public init(floatLiteral value: Double) { self = JSONNumber(value).map(JSONValue.number) ?? .null }

    /// A string.
    public init(stringLiteral value: String) { self = .string(value) }

    /// An array.
    public init(arrayLiteral elements: JSONValue...) { self = .array(elements) }

    /// An object with its members in the given order; the caller gives each name once.
    public init(dictionaryLiteral members: (JSONName, JSONValue)...) { self = .object(members.map { JSONMember($0.0, $0.1) }) }

    /// A whole number.
    public static func integer(_ value: some FixedWidthInteger) -> JSONValue { .number(JSONNumber(value)) }
}

// MARK: - Equality

extension JSONValue: Hashable {
    /// By value, as the type says.
    public static func == (left: JSONValue, right: JSONValue) -> Bool {
        switch (left, right) {
        case (.null, .null): true
        case (.bool(let left), .bool(let right)): left == right
        case (.number(let left), .number(let right)): left == right
        case (.string(let left), .string(let right)): left.hasSameCodePoints(as: right)
        case (.unpairedString(let left), .unpairedString(let right)): left == right
        case (.array(let left), .array(let right)): left == right
        case (.object(let left), .object(let right)): areEqual(left, right)
        default: false
        }
    }

    private static func areEqual(_ left: [JSONMember], _ right: [JSONMember]) -> Bool {
        guard left.count == right.count else { return false }
        var positions: [JSONName: Int]?
        for index in left.indices {
            // Objects that are equal mostly have their members in the same order.
            var other: Int? = index
            if left[index].name != right[index].name {
                if positions == nil {
                    positions = Dictionary(zip(right.map(\.name), right.indices), uniquingKeysWith: { first, _ in first })
                }
                other = positions?[left[index].name]
            }
            guard let other, left[index].value == right[other].value else { return false }
        }
        return true
    }

    /// Hashes the value, regardless of the order of members.
    public func hash(into hasher: inout Hasher) {
        hasher.combine(kind)
        switch self {
        case .null: break
        case .bool(let value): hasher.combine(value)
        case .number(let value): hasher.combine(value)
        case .string(let value): hasher.combine(JSONName(value))
        case .unpairedString(let value): hasher.combine(value)
        case .array(let elements): for element in elements { element.hash(into: &hasher) }
        case .object(let members):
            var sum = 0
            for member in members {
                var inner = Hasher()
                member.name.hash(into: &inner)
                member.value.hash(into: &inner)
                sum &+= inner.finalize()
            }
            hasher.combine(sum)
        }
    }
}
