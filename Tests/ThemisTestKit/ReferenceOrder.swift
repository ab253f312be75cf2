public import ThemisBase

/// The order of values, said a second time: by comparing values, not bytes.
public enum ReferenceOrder {
    /// Below zero, zero or above: whether `left` stands before `right`, is equal, or stands behind.
    public static func compare(_ left: JSONValue, _ right: JSONValue) -> Int {
        let ranks = (rank(left), rank(right))
        if ranks.0 != ranks.1 { return ranks.0 < ranks.1 ? -1 : 1 }
        switch (left, right) {
        case (.number(let left), .number(let right)): return compare(left, right)
        case (.string(let left), .string(let right)): return compare(Array(left.unicodeScalars), Array(right.unicodeScalars))
        case (.array(let left), .array(let right)): return compare(left, right)
        case (.object(let left), .object(let right)):
            return compare(
                sorted(left).flatMap { [.string($0.name.text), $0.value] }, sorted(right).flatMap { [.string($0.name.text), $0.value] })
        default: return 0
        }
    }

    private static func rank(_ value: JSONValue) -> Int {
        switch value {
        case .null: 0
        case .bool(let value): value ? 2 : 1
        case .number: 3
        case .string, .unpairedString: 4
        case .array: 5
        case .object: 6
        }
    }

    private static func sorted(_ members: [JSONMember]) -> [JSONMember] {
        members.sorted { compare(Array($0.name.text.unicodeScalars), Array($1.name.text.unicodeScalars)) < 0 }
    }

    private static func compare(_ left: [Unicode.Scalar], _ right: [Unicode.Scalar]) -> Int {
        for (left, right) in zip(left, right) where left != right { return left < right ? -1 : 1 }
        return left.count == right.count ? 0 : left.count < right.count ? -1 : 1
    }

    private static func compare(_ left: [JSONValue], _ right: [JSONValue]) -> Int {
        for (left, right) in zip(left, right) {
            let order = compare(left, right)
            if order != 0 { return order }
        }
        return left.count == right.count ? 0 : left.count < right.count ? -1 : 1
    }

    /// Whole part and rest, both exact: 128 bits hold every whole number of 64 bits and every double with a fraction.
    private static func compare(_ left: JSONNumber, _ right: JSONNumber) -> Int {
        let values = (parts(left), parts(right))
        switch values {
        case (.success(let left), .success(let right)):
            if left.whole != right.whole { return left.whole < right.whole ? -1 : 1 }
            return left.rest == right.rest ? 0 : left.rest < right.rest ? -1 : 1
        case (.failure(let left), .failure(let right)): return left.value == right.value ? 0 : left.value < right.value ? -1 : 1
        case (.failure(let left), .success): return left.value < 0 ? -1 : 1
        case (.success, .failure(let right)): return right.value < 0 ? 1 : -1
        }
    }

    private struct Huge: Error { let value: Double }

    private static func parts(_ number: JSONNumber) -> Result<(whole: Int128, rest: Double), Huge> {
        if let whole = number.int64 { return .success((Int128(whole), 0)) }
        if let whole = number.uint64 { return .success((Int128(whole), 0)) }
        let value = Double(number.spelling) ?? .nan
        guard value.magnitude < 0x1p100 else { return .failure(Huge(value: value)) }
        return .success((Int128(value.rounded(.towardZero)), value - value.rounded(.towardZero)))
    }
}
