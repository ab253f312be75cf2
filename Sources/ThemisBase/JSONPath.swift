/// A way into documents: names with dots between them, each followed by `[*]` where every element of an array is meant. Any thread.
///
/// `address.city` is one value or none, `tags[*]` one for each element. A path does not enter what is not there: an array without
/// `[*]`, or anything but an object for a name, has nothing at the path.
public struct JSONPath: Sendable, CustomStringConvertible {
    enum Step: Hashable {
        case member([UInt8])
        case elements
    }

    /// The path as it was written.
    public let text: String
    let steps: [Step]

    /// Whether the path leads to any number of values.
    public let isExpanded: Bool

    /// Reads a path.
    ///
    /// - Throws: `invalid_request` saying what is wrong.
    public init(_ text: String) throws(ThemisError) {
        guard !text.isEmpty, text.utf8.count <= Limits.pathBytes else {
            throw Self.error("has 1–\(Limits.pathBytes) bytes")
        }
        var steps: [Step] = []
        for part in Array(text.utf8).split(separator: 0x2E, omittingEmptySubsequences: false) {
            let mark = Array("[*]".utf8)
            let isElements = part.suffix(3).elementsEqual(mark)
            let name = isElements ? part.dropLast(3) : part
            guard !name.isEmpty else { throw Self.error("has a name between its dots, such as address.city or tags[*]") }
            guard !name.contains(0x5B), !name.contains(0x5D) else {
                throw Self.error("may have [*] behind a name, and no other brackets")
            }
            steps.append(.member(Array(name)))
            if isElements { steps.append(.elements) }
        }
        guard steps.count <= Limits.pathSteps else { throw Self.error("has at most \(Limits.pathSteps) names and [*]") }
        self.text = text
        self.steps = steps
        isExpanded = steps.contains(.elements)
    }

    private static func error(_ message: String) -> ThemisError { ThemisError(.invalidRequest, "a path \(message)") }

    /// The path as it was written.
    public var description: String { text }
}

extension JSONPath: Hashable {
    /// By code points: canonically equivalent names are different names.
    public static func == (left: JSONPath, right: JSONPath) -> Bool { left.steps == right.steps }

    /// Hashes the names.
    public func hash(into hasher: inout Hasher) { hasher.combine(steps) }
}

/// Where a walk puts what it finds.
private protocol JSONPlaces {
    mutating func add(_ path: Int, _ range: Range<Int>)
}

/// Finds the values of several paths in one walk over a document. Any thread.
public struct JSONPathReader: Sendable {
    /// A place of the tree of all paths.
    private struct Node: Sendable {
        var name: [UInt8] = []
        /// The paths that end here.
        var ends: [Int] = []
        var members: [Node] = []
        /// The elements of an array: no node, or one.
        var elements: [Node] = []

        mutating func insert(_ path: Int, _ steps: ArraySlice<JSONPath.Step>) {
            guard let first = steps.first else { return ends.append(path) }
            switch first {
            case .member(let name):
                if let known = members.firstIndex(where: { $0.name == name }) {
                    members[known].insert(path, steps.dropFirst())
                } else {
                    members.append(Node(name: name))
                    members[members.count - 1].insert(path, steps.dropFirst())
                }
            case .elements:
                if elements.isEmpty { elements.append(Node()) }
                elements[0].insert(path, steps.dropFirst())
            }
        }
    }

    private var root = Node()
    private let count: Int

    /// Reads these paths; results have their order.
    public init(_ paths: [JSONPath]) {
        count = paths.count
        for (index, path) in paths.enumerated() { root.insert(index, path.steps[...]) }
    }

    /// Where the values of each path stand in a document that was checked before: without the white space around them.
    ///
    /// - Throws: `invalid_json` when the bytes are damaged.
    public func ranges(in document: [UInt8], _ range: Range<Int>? = nil) throws(ThemisError) -> [[Range<Int>]] {
        var found = ByPath(ranges: [[Range<Int>]](repeating: [], count: count))
        var cursor = JSONCursor(document, in: range ?? 0..<document.count)
        try Self.read(root, &cursor, into: &found, isLast: true)
        return found.ranges
    }

    /// The same in the order of the document, with the number of the path: one piece of memory.
    ///
    /// - Throws: `invalid_json` when the bytes are damaged.
    public func places(in document: [UInt8], _ range: Range<Int>) throws(ThemisError) -> [(path: Int, range: Range<Int>)] {
        var found = InOrder()
        found.places.reserveCapacity(count)
        var cursor = JSONCursor(document, in: range)
        try Self.read(root, &cursor, into: &found, isLast: true)
        return found.places
    }

    private struct ByPath: JSONPlaces {
        var ranges: [[Range<Int>]]
        mutating func add(_ path: Int, _ range: Range<Int>) { ranges[path].append(range) }
    }

    private struct InOrder: JSONPlaces {
        var places: [(path: Int, range: Range<Int>)] = []
        mutating func add(_ path: Int, _ range: Range<Int>) { places.append((path, range)) }
    }

    /// - Parameter isLast: nothing is read behind this value, so that its rest need not be walked.
    private static func read<Places: JSONPlaces>(
        _ node: Node, _ cursor: inout JSONCursor, into found: inout Places, isLast: Bool
    ) throws(ThemisError) {
        let kind = try cursor.kind()
        let start = cursor.position
        let isInner = isLast && node.ends.isEmpty
        switch kind {
        case .object where !node.members.isEmpty: try readMembers(node, &cursor, into: &found, isLast: isInner)
        case .array where !node.elements.isEmpty:
            try cursor.forEachElement { (cursor) throws(ThemisError) in
                try read(node.elements[0], &cursor, into: &found, isLast: false)
            }
        default: try cursor.skipValue()
        }
        for path in node.ends { found.add(path, start..<cursor.position) }
    }

    private static func readMembers<Places: JSONPlaces>(
        _ node: Node, _ cursor: inout JSONCursor, into found: inout Places, isLast: Bool
    ) throws(ThemisError) {
        guard cursor.take(0x7B) else { throw cursor.fault(.notObject) }
        if cursor.take(0x7D) { return }
        var left = node.members.count
        repeat {
            cursor.skipSpace()
            let name = try cursor.string()
            guard cursor.take(0x3A) else { throw cursor.fault(.expectedColon) }
            let token = name.bytes(in: cursor.bytes)
            if let member = node.members.first(where: { $0.name.elementsEqual(token) }) {
                left -= 1
                try read(member, &cursor, into: &found, isLast: isLast && left == 0)
                // A name stands once in an object: there is nothing more to find.
                if isLast, left == 0 { return }
            } else {
                try cursor.skipValue()
            }
        } while cursor.take(0x2C)
        guard cursor.take(0x7D) else { throw cursor.fault(.expectedCommaInObject) }
    }
}
