/// JSON Patch (RFC 6902). Any thread.
///
/// All operations apply or none. Members keep their order, numbers their spelling. The work of one patch is bounded, whatever its
/// operations do to large arrays or by copying.
public enum JSONPatch {
    /// Applies `patch`, which is all of its array or `range` in it, to a stored document.
    ///
    /// - Throws: `invalid_json` when the patch is not JSON; `invalid_request` when it is not a list of at most 10 000 operations;
    ///   `unprocessable` when an operation cannot be done, a test fails, or the result is not an object of at most 8 MiB and 128
    ///   levels. `fields` names the operation by its index, as in `[3].path`.
    public static func apply(_ patch: [UInt8], in range: Range<Int>? = nil, to document: [UInt8]) throws(ThemisError) -> [UInt8] {
        let operations = try operations(patch, in: range)
        var tree = try JSONPatchTree(JSONValue(checked: document))
        for (index, operation) in operations.enumerated() {
            do throws(JSONPatchFault) {
                try tree.apply(operation)
            } catch {
                let field = "[\(index)]" + (error.member.map { ".\($0)" } ?? "")
                throw ThemisError(
                    .unprocessable, "operation \(index) of the patch (\(operation.word)): \(error.message)",
                    fields: [FieldError(field, error.message)])
            }
        }
        let result = tree.root.bytes
        try checkResult(result)
        return result
    }

    /// Checks what a patch has made.
    static func checkResult(_ result: [UInt8]) throws(ThemisError) {
        guard result.count <= Limits.documentBytes else {
            throw ThemisError(
                .unprocessable, "the patched document has \(result.count) bytes; at most \(Limits.documentBytes) are stored")
        }
        guard result.first(where: { $0 > 0x20 }) == 0x7B else {
            throw ThemisError(.unprocessable, "the patched document is not an object")
        }
    }

    // MARK: - Reading

    private static func operations(_ patch: [UInt8], in range: Range<Int>?) throws(ThemisError) -> [JSONPatchOperation] {
        // A value lies in an operation in the list: two levels deeper than it will lie in the document at least.
        let value = try JSONValue(parsing: patch, in: range, depth: Limits.jsonDepth + 2)
        guard let elements = value.elements else {
            throw ThemisError(.invalidRequest, "a JSON Patch must be an array of operations, not \(value.kind.phrase)")
        }
        guard elements.count <= Limits.patchOperations else {
            throw ThemisError(
                .invalidRequest, "the patch has \(elements.count) operations; at most \(Limits.patchOperations) are allowed")
        }
        var operations: [JSONPatchOperation] = []
        for (index, element) in elements.enumerated() {
            do throws(JSONPatchFault) {
                operations.append(try operation(element))
            } catch {
                let field = "[\(index)]" + (error.member.map { ".\($0)" } ?? "")
                throw ThemisError(
                    .invalidRequest, "operation \(index) of the patch: \(error.member ?? "it") \(error.message)",
                    fields: [FieldError(field, error.message)])
            }
        }
        return operations
    }

    /// Reads one operation. Members that the operation does not define are ignored, as RFC 6902, 4 demands.
    private static func operation(_ element: JSONValue) throws(JSONPatchFault) -> JSONPatchOperation {
        guard element.kind == .object else { throw JSONPatchFault(nil, "must be an object") }
        func pointer(_ member: String) throws(JSONPatchFault) -> JSONPointer {
            guard let value = element[member] else { throw JSONPatchFault(member, "is missing") }
            guard let text = value.stringValue, let pointer = JSONPointer(text) else {
                throw JSONPatchFault(member, "must be a JSON Pointer")
            }
            guard pointer.tokens.count <= Limits.jsonDepth else {
                throw JSONPatchFault(member, "is deeper than \(Limits.jsonDepth) levels")
            }
            return pointer
        }
        func value() throws(JSONPatchFault) -> JSONValue {
            guard let value = element["value"] else { throw JSONPatchFault("value", "is missing") }
            return value
        }
        guard let op = element["op"] else { throw JSONPatchFault("op", "is missing") }
        switch op.stringValue {
        case "add": return .add(try pointer("path"), try value())
        case "remove": return .remove(try pointer("path"))
        case "replace": return .replace(try pointer("path"), try value())
        case "move":
            let (from, path) = (try pointer("from"), try pointer("path"))
            guard !from.isProperPrefix(of: path) else { throw JSONPatchFault("path", "lies inside the value to be moved") }
            return .move(from: from, path)
        case "copy": return .copy(from: try pointer("from"), try pointer("path"))
        case "test": return .test(try pointer("path"), try value())
        default: throw JSONPatchFault("op", "must be add, remove, replace, move, copy or test")
        }
    }
}

/// One operation of a JSON Patch.
enum JSONPatchOperation {
    case add(JSONPointer, JSONValue)
    case remove(JSONPointer)
    case replace(JSONPointer, JSONValue)
    case move(from: JSONPointer, JSONPointer)
    case copy(from: JSONPointer, JSONPointer)
    case test(JSONPointer, JSONValue)

    var word: String {
        switch self {
        case .add: "add"
        case .remove: "remove"
        case .replace: "replace"
        case .move: "move"
        case .copy: "copy"
        case .test: "test"
        }
    }
}

/// Why an operation is malformed or cannot be done.
struct JSONPatchFault: Error {
    /// The member of the operation that is to blame, if one is.
    let member: String?
    let message: String

    init(_ member: String?, _ message: String) {
        self.member = member
        self.message = message
    }
}
