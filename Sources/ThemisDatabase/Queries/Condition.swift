import ThemisBase

/// What a document must be like: the one expression that every query front end makes and one function evaluates. Any thread.
///
/// Values are compared in the total order of `OrderedCoding`; what is missing counts as null. A test on a path with `[*]` passes when
/// one of the elements passes.
indirect enum Condition: Sendable {
    /// Every part holds; also when there is none.
    case all([Condition])
    /// One part holds.
    case any([Condition])
    /// The value is in the set: `=`, `≠`, `<`, `≤`, `>`, `≥`, `in`, `prefix` and ranges.
    case within(JSONPath, ValueSet)
    /// The path leads to something, be it null; or to nothing.
    case exists(JSONPath, Bool)
    /// An array with this element, or a string with this string in it.
    case contains(JSONPath, element: [UInt8], text: [UInt8]?)
    /// The position in the column lies in a part of the earth; what is no position lies nowhere.
    case located(GeoColumn, GeoRegion)
}

/// A condition with one reader for all of its paths: one walk over each document. Any thread.
struct ConditionEvaluator: Sendable {
    private indirect enum Node: Sendable {
        case all([Node])
        case any([Node])
        case within(Int, ValueSet, isExpanded: Bool)
        case exists(Int, Bool)
        case contains(Int, element: [UInt8], text: [UInt8]?)
        case located([Int], GeoRegion)
    }

    private let root: Node
    private let reader: JSONPathReader
    private let isTrivial: Bool

    init(_ condition: Condition) {
        var paths: [JSONPath] = []
        root = Self.node(condition, &paths)
        reader = JSONPathReader(paths)
        isTrivial = paths.isEmpty && Self.holdsAlways(root)
    }

    private static func holdsAlways(_ node: Node) -> Bool {
        if case .all(let parts) = node { parts.allSatisfy(holdsAlways) } else { false }
    }

    private static func node(_ condition: Condition, _ paths: inout [JSONPath]) -> Node {
        func place(_ path: JSONPath) -> Int {
            if let known = paths.firstIndex(of: path) { return known }
            paths.append(path)
            return paths.count - 1
        }
        switch condition {
        case .all(let parts): return .all(parts.map { node($0, &paths) })
        case .any(let parts): return .any(parts.map { node($0, &paths) })
        case .within(let path, let set): return .within(place(path), set, isExpanded: path.isExpanded)
        case .exists(let path, let isThere): return .exists(place(path), isThere)
        case .contains(let path, let element, let text): return .contains(place(path), element: element, text: text)
        case .located(let column, let region): return .located(column.paths.map { place($0) }, region)
        }
    }

    /// Whether the stored document passes.
    ///
    /// - Throws: `data_corrupt` for a damaged document.
    func holds(for document: [UInt8], _ range: Range<Int>) throws(ThemisError) -> Bool {
        guard !isTrivial else { return true }
        do throws(ThemisError) {
            return try Self.holds(root, document, try reader.ranges(in: document, range))
        } catch {
            throw ThemisError(.dataCorrupt, "a stored document cannot be read: \(error.message)")
        }
    }

    private static func holds(_ node: Node, _ document: [UInt8], _ values: [[Range<Int>]]) throws(ThemisError) -> Bool {
        switch node {
        case .all(let parts):
            for part in parts { if try !holds(part, document, values) { return false } }
            return true
        case .any(let parts):
            for part in parts { if try holds(part, document, values) { return true } }
            return false
        case .within(let place, let set, let isExpanded):
            if values[place].isEmpty { return !isExpanded && set.contains(OrderedCoding.null) }
            for range in values[place] {
                if set.contains(try coding(document, range)) { return true }
            }
            return false
        case .exists(let place, let isThere): return values[place].isEmpty != isThere
        case .contains(let place, let element, let text):
            for range in values[place] {
                if try contains(document, range, element, text) { return true }
            }
            return false
        case .located(let places, let region): return try lies(places, region, document, values)
        }
    }

    private static func lies(
        _ places: [Int], _ region: GeoRegion, _ document: [UInt8], _ values: [[Range<Int>]]
    ) throws(ThemisError) -> Bool {
        func value(_ range: Range<Int>?) throws(ThemisError) -> JSONValue {
            guard let range else { return .null }
            return try JSONValue(checked: document, in: range)
        }
        var hasValue = false
        for range in values[places[0]] {
            let value = try value(range)
            if !value.isNull { hasValue = true }
            if let position = GeoPosition(value), region.contains(position) { return true }
        }
        guard !hasValue, places.count == 3 else { return false }
        let position = GeoPosition(latitude: try value(values[places[1]].first), longitude: try value(values[places[2]].first))
        return position.map { region.contains($0) } ?? false
    }

    private static func coding(_ document: [UInt8], _ range: Range<Int>) throws(ThemisError) -> [UInt8] {
        var coding: [UInt8] = []
        try OrderedCoding.append(json: document, in: range, to: &coding)
        return coding
    }

    private static func contains(
        _ document: [UInt8], _ range: Range<Int>, _ element: [UInt8], _ text: [UInt8]?
    ) throws(ThemisError) -> Bool {
        switch try JSONValue(checked: document, in: range) {
        case .array(let elements): return elements.contains { OrderedCoding.coding(of: $0) == element }
        case .string(let value):
            guard let text else { return false }
            return Array(value.utf8).holds(text)
        default: return false
        }
    }
}

extension [UInt8] {
    /// Whether `part` stands somewhere in these bytes.
    func holds(_ part: [UInt8]) -> Bool {
        guard let first = part.first else { return true }
        guard part.count <= count else { return false }
        var start = startIndex
        while let found = self[start...(count - part.count)].firstIndex(of: first) {
            if self[found..<(found + part.count)].elementsEqual(part) { return true }
            start = found + 1
            if start > count - part.count { return false }
        }
        return false
    }
}
