/// A JSON number of any size, as it is spelled. Any thread.
///
/// Equality is by value: `1`, `1.0` and `10e-1` are equal, `0` and `-0` too.
public struct JSONNumber: Sendable {
    /// The number's text, by the grammar of RFC 8259.
    public let spelling: String

    /// A number that a walk has read.
    init(checked spelling: String) { self.spelling = spelling }

    /// A number as it is spelled; nil when the text is not a JSON number.
    public init?(spelling: String) {
        let bytes = Array(spelling.utf8)
        guard let first = bytes.first, let last = bytes.last, JSONKind(firstByte: first) == .number, last > 0x20 else {
            return nil
        }
        guard (try? JSONDocument.validate(bytes)) != nil else { return nil }
        self.spelling = spelling
    }

    /// A whole number.
    public init(_ value: some FixedWidthInteger) { spelling = String(value) }

    /// The shortest spelling that reads back as `value`; nil for infinities and NaN, which JSON does not have.
    public init?(_ value: Double) {
        guard value.isFinite else { return nil }
        spelling = value.description
    }

    /// The value, when it is whole and fits. `1.0` and `1e3` are whole.
    public var int64: Int64? { integer(Int64.self) }

    /// The value, when it is whole and fits. `1.0` and `1e3` are whole.
    public var uint64: UInt64? { integer(UInt64.self) }

    /// The nearest double; nil when the number is too large for one.
    public var double: Double? {
        guard let value = Double(spelling), value.isFinite else { return nil }
        return value
    }

    private func integer<Value: FixedWidthInteger>(_ type: Value.Type) -> Value? {
        if let value = Value(spelling) { return value }
        guard let decimal = Decimal(spelling), decimal.hugeExponent.isEmpty else { return nil }
        if decimal.digits.isEmpty { return 0 }
        guard decimal.exponent >= 0, decimal.exponent < 20, decimal.digits.count < 21 else { return nil }
        let digits = decimal.digits + [UInt8](repeating: 0x30, count: Int(decimal.exponent))
        return Value((decimal.isNegative ? "-" : "") + String(decoding: digits, as: UTF8.self))
    }

    /// A number as sign, digits and power of ten: one form for each value.
    private struct Decimal: Hashable {
        var isNegative = false
        /// Without zeros at either end. Empty for zero.
        var digits: [UInt8] = []
        /// The power of ten of the last digit.
        var exponent: Int64 = 0
        /// An exponent of more than 17 digits is kept as spelled, with its sign; `exponent` then counts from it.
        var hugeExponent: [UInt8] = []

        /// Nil when the text is not a number.
        init?(_ spelling: String) {
            var text = Array(spelling.utf8)[...]
            if text.first == 0x2D {
                isNegative = true
                text.removeFirst()
            }
            if let mark = text.firstIndex(where: { $0 | 0x20 == 0x65 }) {
                guard readExponent(text[(mark + 1)...]) else { return nil }
                text = text[..<mark]
            }
            if let point = text.firstIndex(of: 0x2E) {
                exponent -= Int64(text.endIndex - point - 1)
                digits = Array(text[..<point]) + text[(point + 1)...]
            } else {
                digits = Array(text)
            }
            while digits.last == 0x30 {
                digits.removeLast()
                exponent += 1
            }
            digits.removeSubrange(0..<(digits.firstIndex { $0 != 0x30 } ?? digits.count))
            if digits.isEmpty { (isNegative, exponent, hugeExponent) = (false, 0, []) }
        }

        private mutating func readExponent(_ spelled: ArraySlice<UInt8>) -> Bool {
            var text = spelled
            let isNegative = text.first == 0x2D
            if isNegative || text.first == 0x2B { text.removeFirst() }
            guard !text.isEmpty else { return false }
            text = text.drop { $0 == 0x30 }
            if text.count > 17 {
                hugeExponent = (isNegative ? [0x2D] : []) + text
                return true
            }
            for byte in text { exponent = exponent * 10 + Int64(byte &- 0x30) }
            if isNegative { exponent = -exponent }
            return true
        }
    }
}

extension JSONNumber: Hashable {
    /// By value. Numbers with exponents of more than 17 digits are equal only when the exponents are spelled alike.
    public static func == (left: JSONNumber, right: JSONNumber) -> Bool {
        if left.spelling == right.spelling { return true }
        if let left = Int64(left.spelling), let right = Int64(right.spelling) { return left == right }
        return Decimal(left.spelling) == Decimal(right.spelling)
    }

    /// Hashes the value.
    public func hash(into hasher: inout Hasher) { hasher.combine(Decimal(spelling)) }
}
