@testable import ThemisBase

/// Documents, and what changes and projects them.
enum JSONFuzz {
    /// A document by itself: every reader judges it alike, and printing is stable.
    static func document(_ bytes: [UInt8]) throws {
        let isValid = accepted { try JSONDocument.validate(bytes) } != nil
        let value = accepted { try JSONValue(parsing: bytes) }
        try require((value != nil) == isValid, "the walk and the tree differ about \(bytes)")
        // What reads stored bytes must end, whatever they have become.
        _ = accepted { try JSONValue(checked: bytes) }
        let scanned = accepted { try JSONMembers.scan(bytes) }
        for member in scanned ?? [] {
            _ = member.name(in: bytes)
            _ = accepted { try JSONValue(checked: bytes, in: member.range) }
        }
        _ = accepted { try projection.apply(to: bytes) }
        guard let value else { return }
        let printed = value.bytes
        let again = try JSONValue(parsing: printed)
        try require(again == value && again.hashValue == value.hashValue, "printing changes the value")
        try require(again.bytes == printed, "printing is not stable")
        guard let object = value.members else { return }
        let members = try JSONMembers.validate(bytes)
        try require(members.map(\.range) == scanned?.map(\.range), "scan and validate differ")
        try require(members.count == object.count, "members are missing")
        for (member, expected) in zip(members, object) {
            try require(try JSONValue(parsing: bytes, in: member.range) == expected.value, "a member is another value")
        }
        let projected = try projection.apply(to: bytes)
        try require(try projection.apply(to: projected) == projected, "projecting twice gives something else")
        try require(projected.count <= bytes.count + 2, "a projection is larger than its document")
    }

    /// A document, 0xFF, a patch, 0xFF, paths.
    static func change(_ bytes: [UInt8]) throws {
        var input = FuzzInput(bytes)
        let document = input.part()
        let patch = input.part()
        let fields = String(decoding: input.all(), as: UTF8.self)
        let isDocument = accepted { try JSONDocument.validateDocument(document) } != nil
        let merged = accepted { try JSONMergePatch.apply(patch, to: document) }
        let patched = accepted { try JSONPatch.apply(patch, to: document) }
        let projection = accepted { try JSONProjection(fields: fields) }
        let projected = projection.flatMap { projection in accepted { try projection.apply(to: document) } }
        guard isDocument else { return }
        if let projection, let projected {
            try JSONDocument.validateDocument(projected)
            try require(try projection.apply(to: projected) == projected, "projecting twice gives something else")
        }
        if let patched { try JSONDocument.validateDocument(patched) }
        guard let merged else { return }
        try JSONDocument.validate(merged, depth: 256)
        let change = try JSONValue(parsing: patch)
        let expected = reference(try JSONValue(parsing: document), change)
        try require(try JSONValue(checked: merged) == expected, "the merge differs from RFC 7396")
        let twice = try JSONMergePatch.merge(patch, to: merged)
        try require(try JSONValue(checked: twice) == expected, "merging twice gives something else")
    }

    private static let projection: JSONProjection = {
        guard let projection = accepted({ try JSONProjection(fields: "a,b.c,key.nested.x,a.b") }) else { fatalError("paths") }
        return projection
    }()

    /// RFC 7396, section 2, word by word.
    private static func reference(_ target: JSONValue?, _ patch: JSONValue) -> JSONValue {
        guard case .object(let changes) = patch else { return patch }
        var members = target?.members ?? []
        for change in changes {
            let index = members.firstIndex { $0.name == change.name }
            if change.value.isNull {
                if let index { members.remove(at: index) }
            } else if let index {
                members[index].value = reference(members[index].value, change.value)
            } else {
                members.append(JSONMember(change.name, reference(nil, change.value)))
            }
        }
        return .object(members)
    }
}
