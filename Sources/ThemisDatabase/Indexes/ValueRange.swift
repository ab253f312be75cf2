import ThemisBase

/// Ordered codings from `lower` to `upper`, which is exclusive.
struct ValueRange: Sendable, Equatable {
    var lower: [UInt8]
    var upper: [UInt8]

    /// Above every coding.
    static let end: [UInt8] = [0xFF]
    static let all = ValueRange(lower: [], upper: end)

    /// Everything that begins with `prefix`: since no coding is the beginning of another, one value when it is a whole coding.
    init(prefix: [UInt8]) {
        lower = prefix
        upper = Self.successor(prefix)
    }

    init(lower: [UInt8], upper: [UInt8]) {
        self.lower = lower
        self.upper = upper
    }

    /// The least bytes above everything that begins with `prefix`.
    static func successor(_ prefix: [UInt8]) -> [UInt8] {
        var bytes = prefix
        while let last = bytes.popLast() {
            if last < 0xFF { return bytes + [last + 1] }
        }
        return end
    }

    var isEmpty: Bool { !lower.lexicographicallyPrecedes(upper) }

    func contains(_ coding: some Collection<UInt8>) -> Bool {
        !coding.lexicographicallyPrecedes(lower) && coding.lexicographicallyPrecedes(upper)
    }
}

/// The values that a test on one column lets pass: ranges in their order, apart from each other.
struct ValueSet: Sendable, Equatable {
    private(set) var ranges: [ValueRange]
    /// Whether each range is one value.
    private(set) var isPoints: Bool

    static let all = ValueSet(ranges: [.all])

    init(ranges: [ValueRange]) {
        self.ranges = ranges.filter { !$0.isEmpty }
        isPoints = false
    }

    /// Exactly these values.
    init(points: [[UInt8]]) {
        ranges = Set(points).sorted { $0.lexicographicallyPrecedes($1) }.map { ValueRange(prefix: $0) }
        isPoints = true
    }

    func contains(_ coding: some Collection<UInt8>) -> Bool {
        // The last range that begins at or before the value, by halving.
        var low = 0
        var high = ranges.count
        while low < high {
            let middle = (low + high) / 2
            if coding.lexicographicallyPrecedes(ranges[middle].lower) { high = middle } else { low = middle + 1 }
        }
        return low > 0 && coding.lexicographicallyPrecedes(ranges[low - 1].upper)
    }

    /// What both let pass.
    func intersection(_ other: ValueSet) -> ValueSet {
        var result: [ValueRange] = []
        var left = 0
        var right = 0
        while left < ranges.count, right < other.ranges.count {
            let (a, b) = (ranges[left], other.ranges[right])
            let lower = a.lower.lexicographicallyPrecedes(b.lower) ? b.lower : a.lower
            let isLeftFirst = a.upper.lexicographicallyPrecedes(b.upper)
            let range = ValueRange(lower: lower, upper: isLeftFirst ? a.upper : b.upper)
            if !range.isEmpty { result.append(range) }
            if isLeftFirst { left += 1 } else { right += 1 }
        }
        var set = ValueSet(ranges: result)
        set.isPoints = isPoints || other.isPoints
        return set
    }

    /// Everything else.
    var complement: ValueSet {
        var result: [ValueRange] = []
        var lower: [UInt8] = []
        for range in ranges {
            result.append(ValueRange(lower: lower, upper: range.lower))
            lower = range.upper
        }
        result.append(ValueRange(lower: lower, upper: ValueRange.end))
        return ValueSet(ranges: result)
    }
}

/// The part of an index that a conjunction needs: ranges over the columns of the index, one behind the other.
struct IndexRanges: Sendable {
    /// In the order of the index, apart from each other.
    let ranges: [ValueRange]
    /// Columns whose tests made the ranges.
    let tested: Int
    /// Whether every range is one combination of values of all columns: its entries are sorted by primary key.
    let isPoints: Bool
    /// The columns whose values the ranges compare, exactly: an entry is in them if, and only if, its values pass. Empty for other ranges.
    let columns: ArraySlice<JSONPath>

    /// Ranges over the columns from the first on, as far as they are tested; nil when the first is not, or there would be too many.
    init?(_ columns: [JSONPath], _ conjunction: Conjunction) {
        var prefixes: [[UInt8]] = [[]]
        var tested = 0
        for column in columns {
            guard let set = conjunction.set(for: column) else { break }
            guard prefixes.count * max(1, set.ranges.count) <= Limits.indexRanges else { break }
            tested += 1
            guard set.isPoints else {
                let made = prefixes.flatMap { prefix in
                    set.ranges.map { ValueRange(lower: prefix + $0.lower, upper: prefix + $0.upper) }
                }
                self.init(made, tested: tested, isPoints: false, columns[..<tested])
                return
            }
            prefixes = prefixes.flatMap { prefix in set.ranges.map { prefix + $0.lower } }
        }
        guard tested > 0 else { return nil }
        self.init(prefixes.map { ValueRange(prefix: $0) }, tested: tested, isPoints: tested == columns.count, columns[..<tested])
    }

    /// One of the ranges alone.
    func only(_ range: ValueRange) -> IndexRanges { IndexRanges([range], tested: tested, isPoints: isPoints, columns) }

    /// The whole index.
    static let all = IndexRanges([.all], tested: 0, isPoints: false, [])

    /// Ranges that one test made, in their order and apart from each other.
    init(_ ranges: [ValueRange]) { self.init(ranges, tested: 1, isPoints: false, []) }

    private init(_ ranges: [ValueRange], tested: Int, isPoints: Bool, _ columns: ArraySlice<JSONPath>) {
        self.ranges = ranges
        self.tested = tested
        self.isPoints = isPoints
        self.columns = columns
    }
}
