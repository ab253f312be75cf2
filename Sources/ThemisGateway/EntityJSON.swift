import ThemisBase
import ThemisRPC

/// Answers about entities as JSON text. Documents go in as they are stored.
enum EntityJSON {
    /// `{key, version, sequence, created}` of a put or patch.
    static func written(_ key: EntityKey, _ result: OperationResult) -> [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity(key.table.text.utf8.count + key.pk.utf8.count + 128)
        out.append(contentsOf: #"{"key":"#.utf8)
        appendKey(key.table.text, key.pk, to: &out)
        out.append(contentsOf: #","version":"#.utf8)
        appendNumber(result.version, to: &out)
        out.append(contentsOf: #","sequence":"#.utf8)
        appendNumber(result.sequence, to: &out)
        out.append(contentsOf: result.created ? #","created":true"#.utf8 : #","created":false"#.utf8)
        appendDurability(result, to: &out)
        out.append(0x7D)
        return out
    }

    /// `{key, deleted, sequence?}` of a delete.
    static func deleted(_ key: EntityKey, _ result: OperationResult) -> [UInt8] {
        var out: [UInt8] = []
        out.append(contentsOf: #"{"key":"#.utf8)
        appendKey(key.table.text, key.pk, to: &out)
        out.append(contentsOf: #","deleted":\#(result.deleted)"#.utf8)
        if result.sequence > 0 { out.append(contentsOf: #","sequence":\#(result.sequence)"#.utf8) }
        appendDurability(result, to: &out)
        out.append(0x7D)
        return out
    }

    /// `{key, created|deleted, staged: true}` of a write within a transaction, which has no version yet.
    static func staged(_ key: EntityKey, _ result: OperationResult, isDelete: Bool) -> [UInt8] {
        var out: [UInt8] = []
        out.append(contentsOf: #"{"key":"#.utf8)
        appendKey(key.table.text, key.pk, to: &out)
        out.append(contentsOf: isDelete ? #","deleted":\#(result.deleted)"#.utf8 : #","created":\#(result.created)"#.utf8)
        out.append(contentsOf: #","staged":true}"#.utf8)
        return out
    }

    /// The result of one operation of a bulk request.
    static func appendBulkResult(
        line: UInt64, key: EntityKey, kind: OperationKind, _ result: OperationResult, to out: inout [UInt8]
    ) {
        out.append(contentsOf: #"{"line":"#.utf8)
        appendNumber(line, to: &out)
        out.append(0x2C)
        appendResult(key, kind, result, to: &out)
    }

    /// The members of an operation's result from `status` on, and the end of its object.
    static func appendResult(_ key: EntityKey, _ kind: OperationKind, _ result: OperationResult, to out: inout [UInt8]) {
        let status = kind != .delete && result.created ? 201 : 200
        out.append(contentsOf: status == 201 ? #""status":201,"key":"#.utf8 : #""status":200,"key":"#.utf8)
        appendKey(key.table.text, key.pk, to: &out)
        if kind == .delete {
            out.append(contentsOf: result.deleted ? #","deleted":true"#.utf8 : #","deleted":false"#.utf8)
        } else {
            out.append(contentsOf: #","version":"#.utf8)
            appendNumber(result.version, to: &out)
        }
        if result.sequence > 0 {
            out.append(contentsOf: #","sequence":"#.utf8)
            appendNumber(result.sequence, to: &out)
        }
        appendDurability(result, to: &out)
        out.append(0x7D)
    }

    /// The error of one operation of a bulk request.
    static func appendBulkError(line: UInt64, key: EntityKey?, _ error: ThemisError, to out: inout [UInt8]) {
        out.append(contentsOf: #"{"line":\#(line),"status":\#(error.code.status)"#.utf8)
        if let key {
            out.append(contentsOf: #","key":"#.utf8)
            appendKey(key.table.text, key.pk, to: &out)
        }
        out.append(contentsOf: #","code":"\#(error.code.word)","detail":"#.utf8)
        JSONText.appendString(error.message, to: &out)
        out.append(contentsOf: #","retryable":\#(error.code.isRetryable)"#.utf8)
        if let outcome = error.outcome { out.append(contentsOf: #","outcome":"\#(outcome.rawValue)""#.utf8) }
        for (name, value) in error.members {
            out.append(0x2C)
            JSONText.appendString(name, to: &out)
            out.append(0x3A)
            switch value {
            case .number(let number): appendNumber(number, to: &out)
            case .text(let text): JSONText.appendString(text, to: &out)
            }
        }
        if !error.fields.isEmpty {
            out.append(contentsOf: #","errors":["#.utf8)
            for (index, field) in error.fields.enumerated() {
                out.append(contentsOf: index == 0 ? #"{"field":"#.utf8 : #",{"field":"#.utf8)
                JSONText.appendString(field.field, to: &out)
                out.append(contentsOf: #","message":"#.utf8)
                JSONText.appendString(field.message, to: &out)
                out.append(0x7D)
            }
            out.append(0x5D)
        }
        out.append(0x7D)
    }

    /// One entity: `{key, version, document}`, without the document with `keysOnly`, or `{key, missing:true}`.
    static func append(_ entity: EntityMessage, keysOnly: Bool = false, to out: inout [UInt8]) {
        out.append(contentsOf: #"{"key":"#.utf8)
        appendKey(entity.table, entity.pk, to: &out)
        if entity.missing {
            out.append(contentsOf: #","missing":true}"#.utf8)
            return
        }
        out.append(contentsOf: #","version":"#.utf8)
        appendNumber(entity.version, to: &out)
        if !keysOnly {
            out.append(contentsOf: #","document":"#.utf8)
            out.append(contentsOf: entity.document)
        }
        out.append(0x7D)
    }

    /// One entity of an export. A document may hold line ends between its tokens; spaces mean the same and keep it on its line.
    static func appendLine(_ entity: EntityMessage, keysOnly: Bool, to out: inout [UInt8]) {
        let start = out.count
        append(entity, keysOnly: keysOnly, to: &out)
        for index in start..<out.count where out[index] == 0x0A || out[index] == 0x0D { out[index] = 0x20 }
        out.append(0x0A)
    }

    /// A page of a table.
    static func page(table: String, keysOnly: Bool, _ response: ListResponse) -> [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity(response.entities.reduce(256) { $0 + $1.document.count + $1.pk.utf8.count + 96 })
        out.append(contentsOf: #"{"table":"\#(table)","count":\#(response.entities.count),"#.utf8)
        out.append(contentsOf: keysOnly ? #""keys":["#.utf8 : #""entities":["#.utf8)
        for (index, entity) in response.entities.enumerated() {
            if index > 0 { out.append(0x2C) }
            if keysOnly { appendKey(entity.table, entity.pk, to: &out) } else { append(entity, to: &out) }
        }
        out.append(0x5D)
        if !response.nextCursor.isEmpty {
            out.append(contentsOf: #","next_cursor":"#.utf8)
            JSONText.appendString(response.nextCursor, to: &out)
        }
        out.append(contentsOf: #","sequence":\#(response.sequence)}"#.utf8)
        return out
    }

    /// The answer of a multi-get for `keys`.
    static func multiGet(_ keys: [EntityKey], _ response: MultiGetResponse) -> [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity(response.entities.reduce(256) { $0 + $1.document.count + $1.pk.utf8.count + 96 })
        out.append(contentsOf: #"{"entities":["#.utf8)
        for (index, entity) in response.entities.enumerated() {
            if index > 0 { out.append(0x2C) }
            append(entity, to: &out)
        }
        out.append(contentsOf: #"],"unread":["#.utf8)
        for (index, key) in keys.suffix(min(Int(response.unread), keys.count)).enumerated() {
            if index > 0 { out.append(0x2C) }
            appendKey(key.table.text, key.pk, to: &out)
        }
        out.append(contentsOf: "]}".utf8)
        return out
    }

    /// `"table:pk"`.
    static func appendKey(_ table: String, _ pk: String, to out: inout [UInt8]) {
        out.append(0x22)
        // A table name has no character that JSON escapes.
        out.append(contentsOf: table.utf8)
        out.append(0x3A)
        let start = out.count
        JSONText.appendString(pk, to: &out)
        out.remove(at: start)
    }

    private static func appendDurability(_ result: OperationResult, to out: inout [UInt8]) {
        if !result.durable { out.append(contentsOf: #","durable":false"#.utf8) }
    }

    /// Decimal digits without a detour over a string.
    static func appendNumber(_ number: UInt64, to out: inout [UInt8]) {
        var digits = InlineArray<20, UInt8>(repeating: 0)
        var start = digits.count
        var rest = number
        repeat {
            start -= 1
            digits[start] = 0x30 + UInt8(rest % 10)
            rest /= 10
        } while rest > 0
        for index in start..<digits.count { out.append(digits[index]) }
    }
}
