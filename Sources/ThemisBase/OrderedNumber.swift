/// A JSON number in the domain in which numbers are compared: whole numbers of 64 bits exactly, all others as the nearest double.
///
/// One value has one form: a double that is whole and fits into 64 bits is a whole number, and there is no negative zero. A number
/// beyond every double is an infinity of its sign. Any thread.
public enum OrderedNumber: Sendable, Hashable {
    /// A whole number from -2^63 to 2^63 - 1.
    case signed(Int64)
    /// A whole number from 2^63 to 2^64 - 1.
    case unsigned(UInt64)
    /// Any other.
    case double(Double)

    /// The number by its nearest double.
    public init(_ value: Double) {
        if let whole = Int64(exactly: value) {
            self = .signed(whole)
        } else if let whole = UInt64(exactly: value) {
            self = .unsigned(whole)
        } else {
            self = .double(value)
        }
    }

    /// A whole number.
    public init(_ value: UInt64) { self = Int64(exactly: value).map { .signed($0) } ?? .unsigned(value) }

    /// A number as it is spelled; the text was checked to be one.
    init(spelling text: ArraySlice<UInt8>) {
        if let small = Self.small(text) {
            self = .signed(small)
            return
        }
        let spelling = String(decoding: text, as: UTF8.self)
        if let whole = Int64(spelling) {
            self = .signed(whole)
        } else if let whole = UInt64(spelling) {
            self = .unsigned(whole)
        } else {
            self = Self.decimal(spelling)
        }
    }

    /// At most 18 digits and nothing else but a sign.
    private static func small(_ text: ArraySlice<UInt8>) -> Int64? {
        let isNegative = text.first == 0x2D
        let digits = isNegative ? text.dropFirst() : text
        guard (1...18).contains(digits.count) else { return nil }
        var value: Int64 = 0
        for digit in digits {
            guard (0x30...0x39).contains(digit) else { return nil }
            value = value * 10 + Int64(digit - 0x30)
        }
        return isNegative ? -value : value
    }

    private static func decimal(_ spelling: String) -> OrderedNumber {
        guard let value = Double(spelling) else { return .double(spelling.utf8.first == 0x2D ? -.infinity : .infinity) }
        // Below 2^53 every whole number is a double, so that the nearest one tells; beyond 2^65 none fits.
        guard value.magnitude >= 0x1p53, value.magnitude < 0x1p65 else { return OrderedNumber(value) }
        let number = JSONNumber(checked: spelling)
        if let whole = number.int64 { return .signed(whole) }
        if let whole = number.uint64 { return .unsigned(whole) }
        return OrderedNumber(value)
    }

    /// Whether it is beyond every double, so that its value is lost.
    public var isInfinite: Bool { if case .double(let value) = self { value.isInfinite } else { false } }

    /// The nearest double.
    public var double: Double {
        switch self {
        case .signed(let value): Double(value)
        case .unsigned(let value): Double(value)
        case .double(let value): value
        }
    }

    /// The shortest spelling with this value; of an infinity one that reads as it again.
    public var spelling: String {
        switch self {
        case .signed(let value): String(value)
        case .unsigned(let value): String(value)
        case .double(let value): value.isInfinite ? (value < 0 ? "-1e999" : "1e999") : value.description
        }
    }
}

// The ordered form: the greatest double that is not above the number, as 8 bytes that sort as the double does, and from 2^53 on, where
// whole numbers lie between doubles, the distance to it as 2 bytes. Whether the 2 bytes follow is told by the 8.
extension OrderedNumber {
    /// Doubles from here on, up to 64 bits, have whole numbers between them.
    private static func hasDistance(_ floor: Double) -> Bool {
        floor >= 0 ? floor >= 0x1p53 && floor < 0x1p64 : floor <= -0x1p53 && floor >= -0x1p63
    }

    func append(to out: inout [UInt8]) {
        switch self {
        case .signed(let value) where value < 0: Self.append(negative: value.magnitude, to: &out)
        case .signed(let value): Self.append(positive: value.magnitude, to: &out)
        case .unsigned(let value): Self.append(positive: value, to: &out)
        case .double(let value): Self.append(floor: value, distance: 0, to: &out)
        }
    }

    /// The lowest bits of a magnitude that a double cannot hold.
    private static func lostBits(_ magnitude: UInt64) -> UInt64 {
        let shift = 64 - magnitude.leadingZeroBitCount - 53
        return shift > 0 ? magnitude & ((1 << UInt64(shift)) - 1) : 0
    }

    private static func append(positive magnitude: UInt64, to out: inout [UInt8]) {
        let lost = lostBits(magnitude)
        append(floor: Double(magnitude - lost), distance: UInt16(lost), to: &out)
    }

    private static func append(negative magnitude: UInt64, to out: inout [UInt8]) {
        let lost = lostBits(magnitude)
        guard lost > 0 else { return append(floor: -Double(magnitude), distance: 0, to: &out) }
        // The double below a negative number has the greater magnitude, at most 2^63.
        let shift = UInt64(64 - magnitude.leadingZeroBitCount - 53)
        let above = magnitude - lost + 1 << shift
        append(floor: -Double(above), distance: UInt16(above - magnitude), to: &out)
    }

    private static func append(floor: Double, distance: UInt16, to out: inout [UInt8]) {
        let bits = floor.bitPattern
        out.appendBigEndian(bits >> 63 == 1 ? ~bits : bits | 1 << 63)
        if hasDistance(floor) { out.appendBigEndian(distance) }
    }

    /// Nil when the bytes are none that `append` makes.
    init?(from reader: inout ByteReader) {
        guard let ordered = reader.bigEndian(UInt64.self) else { return nil }
        let floor = Double(bitPattern: ordered >> 63 == 1 ? ordered ^ 1 << 63 : ~ordered)
        guard !floor.isNaN else { return nil }
        self.init(floor)
        guard Self.hasDistance(floor) else { return }
        guard let distance = reader.bigEndian(UInt16.self), distance < 1 << 11 else { return nil }
        switch self {
        case .signed(let value):
            let (sum, isOverflow) = value.addingReportingOverflow(Int64(distance))
            guard !isOverflow else { return nil }
            self = .signed(sum)
        case .unsigned(let value):
            let (sum, isOverflow) = value.addingReportingOverflow(UInt64(distance))
            guard !isOverflow else { return nil }
            self = .unsigned(sum)
        case .double: return nil
        }
    }
}
