/// JSON Merge Patch (RFC 7396) on bytes. Any thread.
///
/// What the patch does not name is copied as it is spelled, in its order; new members follow in the order of the patch. Work is
/// linear in both texts.
public enum JSONMergePatch {
    /// Applies `patch`, which is all of its array or `range` in it, to a stored document.
    ///
    /// - Throws: `invalid_json` when the patch is not JSON; `unprocessable` when the result is not an object or is larger than 8
    ///   MiB.
    public static func apply(_ patch: [UInt8], in range: Range<Int>? = nil, to document: [UInt8]) throws(ThemisError) -> [UInt8] {
        let result = try merge(patch, in: range, to: document)
        try JSONPatch.checkResult(result)
        return result
    }

    /// As `apply`, for values of every kind and size.
    static func merge(_ patch: [UInt8], in range: Range<Int>? = nil, to target: [UInt8]) throws(ThemisError) -> [UInt8] {
        try JSONDocument.validate(patch, in: range)
        var patchCursor = JSONCursor(patch, in: range ?? 0..<patch.count)
        let node = try MergeNode(&patchCursor)
        var targetCursor = JSONCursor(target, in: 0..<target.count)
        var merge = Merge(patch: patch, target: target)
        merge.out.reserveCapacity(target.count + patch.count)
        try merge.apply(node, at: &targetCursor)
        return merge.out
    }
}

/// One value of a merge patch. As deep as the patch, which was checked.
private enum MergeNode {
    /// Removes the member.
    case null
    /// Takes the place of the member: the bytes of the patch.
    case value(Range<Int>)
    /// Is merged into the member.
    case object([Member])

    struct Member {
        let name: JSONCursor.Name
        let node: MergeNode
    }

    init(_ cursor: inout JSONCursor) throws(ThemisError) {
        let kind = try cursor.kind()
        guard kind == .object else {
            let start = cursor.position
            try cursor.skipValue()
            self = kind == .null ? .null : .value(start..<cursor.position)
            return
        }
        var members: [Member] = []
        try cursor.forEachMember { (cursor, name) throws(ThemisError) in
            members.append(Member(name: name, node: try MergeNode(&cursor)))
        }
        self = .object(members)
    }
}

/// An unescaped name that is hashed in one piece, not byte by byte as a collection is.
private struct NameKey: Hashable {
    let bytes: ArraySlice<UInt8>

    init(_ bytes: ArraySlice<UInt8>) { self.bytes = bytes }

    func hash(into hasher: inout Hasher) { unsafe bytes.withUnsafeBytes { unsafe hasher.combine(bytes: $0) } }
}

/// Writes the merged text.
private struct Merge {
    let patch: [UInt8]
    let target: [UInt8]
    var out: [UInt8] = []

    /// Goes behind the target's value at `cursor` and writes what `node` makes of it.
    mutating func apply(_ node: MergeNode, at cursor: inout JSONCursor) throws(ThemisError) {
        guard case .object(let members) = node, try cursor.kind() == .object else {
            try cursor.skipValue()
            create(node)
            return
        }
        var positions: [NameKey: Int] = [:]
        positions.reserveCapacity(members.count)
        for (index, member) in members.enumerated() { positions[NameKey(member.name.bytes(in: patch))] = index }
        var isUsed = [Bool](repeating: false, count: members.count)
        var isFirst = true
        out.append(0x7B)
        try cursor.forEachMember { (cursor, name) throws(ThemisError) in
            guard let position = positions[NameKey(name.bytes(in: target))] else {
                let start = cursor.position
                try cursor.skipValue()
                writeName(target[name.range], &isFirst)
                out.append(contentsOf: target[start..<cursor.position])
                return
            }
            isUsed[position] = true
            if case .null = members[position].node {
                try cursor.skipValue()
            } else {
                writeName(target[name.range], &isFirst)
                try apply(members[position].node, at: &cursor)
            }
        }
        for (index, member) in members.enumerated() where !isUsed[index] { createMember(member, &isFirst) }
        out.append(0x7D)
    }

    /// Writes what `node` makes of nothing.
    private mutating func create(_ node: MergeNode) {
        switch node {
        case .null: out.append(contentsOf: [0x6E, 0x75, 0x6C, 0x6C])
        case .value(let range): out.append(contentsOf: patch[range])
        case .object(let members):
            var isFirst = true
            out.append(0x7B)
            for member in members { createMember(member, &isFirst) }
            out.append(0x7D)
        }
    }

    private mutating func createMember(_ member: MergeNode.Member, _ isFirst: inout Bool) {
        if case .null = member.node { return }
        writeName(patch[member.name.range], &isFirst)
        create(member.node)
    }

    private mutating func writeName(_ token: ArraySlice<UInt8>, _ isFirst: inout Bool) {
        if !isFirst { out.append(0x2C) }
        isFirst = false
        out.append(0x22)
        out.append(contentsOf: token)
        out.append(contentsOf: [0x22, 0x3A])
    }
}
