/// A document while a JSON Patch changes it.
///
/// No pointer has more than 128 tokens and no value is put where it would reach deeper than 128 levels, so that recursion stays
/// shallow. Size and steps are counted before the work is done: copying a value into itself again and again ends with an error.
struct JSONPatchTree {
    /// The document.
    private(set) var root: JSONValue
    /// About as many bytes as the document would be written with.
    private var size: Int
    private var steps = 0

    init(_ root: JSONValue) {
        self.root = root
        size = Self.extent(root).size
    }

    mutating func apply(_ operation: JSONPatchOperation) throws(JSONPatchFault) {
        switch operation {
        case .add(let path, let value): try add(value, at: path)
        case .remove(let path): _ = try remove(at: path, "path")
        case .replace(let path, let value): try replace(with: value, at: path)
        case .move(let from, let path):
            // Removing and adding in place would put a member at the end of its object.
            if from == path { _ = try value(at: from, "from") } else { try add(try remove(at: from, "from"), at: path) }
        case .copy(let from, let path): try add(try value(at: from, "from"), at: path)
        case .test(let path, let expected):
            let found = try value(at: path, "path")
            try spend(Self.extent(expected).size + Self.extent(found).size)
            guard found == expected else { throw JSONPatchFault(nil, "the value is not the tested one") }
        }
    }

    // MARK: - Operations

    private mutating func add(_ value: JSONValue, at path: JSONPointer) throws(JSONPatchFault) {
        try admit(value, at: path)
        try edit(path, "path") { (container, token, steps) throws(JSONPatchFault) -> JSONValue? in
            switch container {
            case .object(var members):
                let index = Self.memberIndex(token, members, &steps)
                container = .null
                defer { container = .object(members) }
                guard let index else {
                    members.append(JSONMember(JSONName(token), value))
                    return nil
                }
                defer { members[index].value = value }
                return members[index].value
            case .array(var elements):
                let index = token == "-" ? elements.count : JSONPointer.index(token)
                guard let index, index <= elements.count else {
                    throw JSONPatchFault("path", "must end with an index of 0…\(elements.count) or with '-'")
                }
                steps += elements.count - index
                container = .null
                elements.insert(value, at: index)
                container = .array(elements)
                return nil
            default: throw JSONPatchFault("path", "leads into a value that is neither an object nor an array")
            }
        } whole: { _ in
            value
        }
    }

    private mutating func replace(with value: JSONValue, at path: JSONPointer) throws(JSONPatchFault) {
        try admit(value, at: path)
        try edit(path, "path") { (container, token, steps) throws(JSONPatchFault) -> JSONValue? in
            let index = try Self.childIndex(token, container, &steps, "path")
            switch container {
            case .object(var members):
                container = .null
                defer { container = .object(members) }
                defer { members[index].value = value }
                return members[index].value
            case .array(var elements):
                container = .null
                defer { container = .array(elements) }
                defer { elements[index] = value }
                return elements[index]
            default: return nil
            }
        } whole: { _ in
            value
        }
    }

    private mutating func remove(at path: JSONPointer, _ member: String) throws(JSONPatchFault) -> JSONValue {
        guard !path.tokens.isEmpty else { throw JSONPatchFault(member, "is the whole document, which a patch cannot remove") }
        var removed = JSONValue.null
        try edit(path, member) { (container, token, steps) throws(JSONPatchFault) -> JSONValue? in
            let index = try Self.childIndex(token, container, &steps, member)
            switch container {
            case .object(var members):
                steps += members.count - index
                container = .null
                removed = members.remove(at: index).value
                container = .object(members)
            case .array(var elements):
                steps += elements.count - index
                container = .null
                removed = elements.remove(at: index)
                container = .array(elements)
            default: break
            }
            return removed
        } whole: {
            $0
        }
        return removed
    }

    private mutating func value(at path: JSONPointer, _ member: String) throws(JSONPatchFault) -> JSONValue {
        var value = root
        for token in path.tokens {
            let index = try Self.childIndex(token, value, &steps, member)
            switch value {
            case .object(let members): value = members[index].value
            case .array(let elements): value = elements[index]
            default: break
            }
        }
        try spend(0)
        return value
    }

    // MARK: - Walking

    /// Hands the container that holds the last token to `body`, which returns the value that went away; the whole document to
    /// `whole`.
    private mutating func edit(
        _ path: JSONPointer, _ member: String,
        _ body: (inout JSONValue, String, inout Int) throws(JSONPatchFault) -> JSONValue?, whole: (JSONValue) -> JSONValue
    ) throws(JSONPatchFault) {
        guard !path.tokens.isEmpty else {
            size -= Self.extent(root).size
            root = whole(root)
            return
        }
        let gone = try Self.descend(&root, path.tokens[...], &steps, member, body)
        if let gone {
            let extent = Self.extent(gone).size
            size -= extent
            try spend(extent)
        }
        try spend(0)
    }

    private static func descend(
        _ value: inout JSONValue, _ tokens: ArraySlice<String>, _ steps: inout Int, _ member: String,
        _ body: (inout JSONValue, String, inout Int) throws(JSONPatchFault) -> JSONValue?
    ) throws(JSONPatchFault) -> JSONValue? {
        guard let token = tokens.first else { return nil }
        if tokens.count == 1 { return try body(&value, token, &steps) }
        let index = try childIndex(token, value, &steps, member)
        switch value {
        case .object(var members):
            // The tree lets go of the array while it is changed, so that it changes in place.
            value = .null
            defer { value = .object(members) }
            return try descend(&members[index].value, tokens.dropFirst(), &steps, member, body)
        case .array(var elements):
            value = .null
            defer { value = .array(elements) }
            return try descend(&elements[index], tokens.dropFirst(), &steps, member, body)
        default: return nil
        }
    }

    /// Where the child that `token` names stands in `container`.
    private static func childIndex(
        _ token: String, _ container: JSONValue, _ steps: inout Int, _ member: String
    ) throws(JSONPatchFault) -> Int {
        switch container {
        case .object(let members):
            guard let index = memberIndex(token, members, &steps) else { throw JSONPatchFault(member, "leads to no value") }
            return index
        case .array(let elements):
            guard let index = JSONPointer.index(token), index < elements.count else {
                throw JSONPatchFault(member, "leads to no element of an array of \(elements.count)")
            }
            return index
        default: throw JSONPatchFault(member, "leads into a value that is neither an object nor an array")
        }
    }

    private static func memberIndex(_ token: String, _ members: [JSONMember], _ steps: inout Int) -> Int? {
        let length = token.utf8.count
        for (index, member) in members.enumerated() {
            steps += member.name.text.utf8.count == length ? length + 1 : 1
            if member.name.matches(token) { return index }
        }
        return nil
    }

    // MARK: - Bounds

    private mutating func spend(_ count: Int) throws(JSONPatchFault) {
        steps += count
        guard steps <= Limits.patchSteps else { throw JSONPatchFault(nil, "the patch is too expensive; send it in parts") }
    }

    /// Counts a value that is put into the document, or refuses it.
    private mutating func admit(_ value: JSONValue, at path: JSONPointer) throws(JSONPatchFault) {
        let extent = Self.extent(value)
        try spend(extent.size)
        guard path.tokens.count + extent.height <= Limits.jsonDepth else {
            throw JSONPatchFault("path", "the document would be deeper than \(Limits.jsonDepth) levels")
        }
        size += extent.size
        guard size <= Limits.documentBytes * 2 else {
            throw JSONPatchFault(nil, "the document would be larger than \(Limits.documentBytes) bytes")
        }
    }

    /// The bytes that a value is written with, not counting escapes, and its levels.
    private static func extent(_ value: JSONValue) -> (size: Int, height: Int) {
        var (size, height) = (0, 0)
        switch value {
        case .null, .bool: size = 5
        case .number(let number): size = number.spelling.utf8.count + 1
        case .string(let text): size = text.utf8.count + 3
        case .unpairedString(let text): size = text.spelling.count + 3
        case .array(let elements):
            for element in elements {
                let inner = extent(element)
                size += inner.size
                height = max(height, inner.height)
            }
            (size, height) = (size + 2, height + 1)
        case .object(let members):
            for member in members {
                let inner = extent(member.value)
                size += inner.size + member.name.text.utf8.count + 4
                height = max(height, inner.height)
            }
            (size, height) = (size + 2, height + 1)
        }
        return (size, height)
    }
}
