/// Which parts of a document a reader wants: `a,b.c`. Any thread.
///
/// A path goes from object to object by names without dots; it does not enter arrays. What is there keeps its order and spelling;
/// what is not there is left out, with the objects that would then be empty.
public struct JSONProjection: Sendable {
    private struct Node {
        var name: [UInt8] = []
        var isWhole = false
        var children: [Node] = []

        mutating func insert(_ segments: ArraySlice<[UInt8]>) {
            guard let first = segments.first else {
                isWhole = true
                return
            }
            let index: Int
            if let known = children.firstIndex(where: { $0.name == first }) {
                index = known
            } else {
                index = children.count
                children.append(Node(name: first))
            }
            children[index].insert(segments.dropFirst())
        }
    }

    private var root = Node()

    /// Reads the value of the parameter `fields`: paths with commas between them.
    ///
    /// - Throws: `invalid_request` when a path is empty or too deep, or there are more than 64.
    public init(fields: String) throws(ThemisError) {
        try self.init(paths: fields.split(separator: ",", omittingEmptySubsequences: false).map(String.init))
    }

    /// Reads paths, each without commas.
    ///
    /// - Throws: `invalid_request` when a path is empty or too deep, or there are none or more than 64.
    public init(paths: [String]) throws(ThemisError) {
        guard !paths.isEmpty, paths.count <= Limits.projectionFields else {
            throw Self.error("must name 1–\(Limits.projectionFields) paths")
        }
        for path in paths {
            let segments = path.utf8.split(separator: 0x2E, omittingEmptySubsequences: false).map(Array.init)
            guard segments.allSatisfy({ !$0.isEmpty }) else { throw Self.error("has an empty path or name; write it as a,b.c") }
            guard segments.count <= Limits.jsonDepth else {
                throw Self.error("has a path of more than \(Limits.jsonDepth) names")
            }
            root.insert(segments[...])
        }
    }

    private static func error(_ message: String) -> ThemisError {
        ThemisError(.invalidRequest, "fields \(message)", fields: [FieldError("fields", message)])
    }

    /// The parts of a stored document.
    ///
    /// - Throws: `invalid_json` when the document is damaged.
    public func apply(to document: [UInt8], in range: Range<Int>? = nil) throws(ThemisError) -> [UInt8] {
        var out: [UInt8] = []
        try write(document, in: range, to: &out)
        return out
    }

    /// Appends the parts of a stored document.
    ///
    /// - Throws: `invalid_json` when the document is damaged; `out` then holds a part of them.
    public func write(_ document: [UInt8], in range: Range<Int>? = nil, to out: inout [UInt8]) throws(ThemisError) {
        var cursor = JSONCursor(document, in: range ?? 0..<document.count)
        _ = try Self.write(root, &cursor, to: &out)
    }

    /// Writes an object with the members that `node` names; false when it has none of them.
    private static func write(_ node: Node, _ cursor: inout JSONCursor, to out: inout [UInt8]) throws(ThemisError) -> Bool {
        var isEmpty = true
        out.append(0x7B)
        try cursor.forEachMember { (cursor, name) throws(ThemisError) in
            let token = name.bytes(in: cursor.bytes)
            guard let child = node.children.first(where: { $0.name.elementsEqual(token) }) else {
                try cursor.skipValue()
                return
            }
            let start = cursor.position
            let mark = out.count
            if !isEmpty { out.append(0x2C) }
            out.append(0x22)
            out.append(contentsOf: cursor.bytes[name.range])
            out.append(contentsOf: [0x22, 0x3A])
            var isWritten = true
            if child.isWhole {
                try cursor.skipValue()
                out.append(contentsOf: cursor.bytes[start..<cursor.position])
            } else if try cursor.kind() == .object {
                isWritten = try write(child, &cursor, to: &out)
            } else {
                try cursor.skipValue()
                isWritten = false
            }
            if isWritten { isEmpty = false } else { out.removeLast(out.count - mark) }
        }
        out.append(0x7D)
        return !isEmpty
    }
}
