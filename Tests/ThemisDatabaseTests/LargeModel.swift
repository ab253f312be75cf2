import Foundation
import Testing
import ThemisBase
import ThemisDatabase
import ThemisStorage
import ThemisTestKit

/// What a table should hold: documents with the times at which they expire.
struct LargeModel {
    struct Row {
        var document: JSONValue
        /// 0 for never.
        var expiresAt: Int64
        /// Nil when the answer of its write was lost.
        var version: UInt64?
    }

    /// How the table lets its entities expire, as the database says.
    struct Rules {
        var tableSeconds: Int64 = 0
        var indexes: [(column: String, settings: IndexSettings)] = []

        /// When a write of `document` at `now` expires.
        func expiry(_ document: JSONValue, _ now: Int64, table: Bool = true) -> Int64 {
            var times: [Int64] = table && tableSeconds > 0 ? [now + tableSeconds * 1_000] : []
            for (column, settings) in indexes {
                guard let value = ReferenceQuery.values(document, column).first, !value.isNull else { continue }
                if let seconds = settings.ttlSeconds { times.append(now + seconds * 1_000) } else { times.append(value.int64Value ?? 0) }
            }
            return times.min().map { max(1, $0) } ?? 0
        }
    }

    /// One operation, and what it does to a state that it is applied to.
    struct Step {
        enum Change {
            case put(JSONValue)
            /// A merge patch that sets `a`.
            case patch(JSONValue)
            case delete
        }

        var key: String
        var change: Change
        var condition: WriteCondition = .none

        func operation() throws -> WriteOperation {
            let bytes: WriteChange =
                switch change {
                case .put(let document): .put(document.bytes)
                case .patch(let value): .mergePatch(JSONValue.object([JSONMember("a", value)]).bytes)
                case .delete: .delete
                }
            return WriteOperation(try DatabaseFixture.key("t:\(key)"), bytes, if: condition)
        }
    }

    var rows: [String: Row] = [:]

    func visible(_ now: Int64) -> [String: Row] { rows.filter { $0.value.expiresAt == 0 || $0.value.expiresAt > now } }

    /// Applies one operation; the code with which it must fail, nil when it must succeed.
    ///
    /// - Parameter unique: whether no two entities may have the same `u`.
    mutating func apply(_ step: Step, _ rules: Rules, _ now: Int64, unique: Bool) -> ErrorCode? {
        let found = rows[step.key].flatMap { $0.expiresAt == 0 || $0.expiresAt > now ? $0 : nil }
        switch step.condition {
        case .none: break
        case .absent: if found != nil { return .preconditionFailed }
        case .exists: if found == nil { return .preconditionFailed }
        case .version(let version): if found == nil || found?.version != version { return .preconditionFailed }
        }
        var document: JSONValue
        switch step.change {
        case .delete:
            if found != nil { rows[step.key] = nil }
            return nil
        case .put(let value): document = value
        case .patch(let value):
            guard let found, case .object(var members) = found.document else { return .notFound }
            members.removeAll { $0.name.text == "a" }
            document = .object(members + [JSONMember("a", value)])
        }
        if unique, let value = document["u"], !value.isNull, holder(of: value, besides: step.key, now) != nil { return .uniqueViolation }
        rows[step.key] = Row(document: document, expiresAt: rules.expiry(document, now), version: nil)
        return nil
    }

    /// Who else has the value.
    func holder(of value: JSONValue, besides key: String, _ now: Int64) -> String? {
        for (other, row) in visible(now) where other != key {
            if let held = row.document["u"], ReferenceOrder.compare(held, value) == 0 { return other }
        }
        return nil
    }

    /// What a new TTL index does to the rows that are there.
    mutating func takeUp(_ rule: (column: String, settings: IndexSettings), _ now: Int64) {
        var one = Rules()
        one.indexes = [rule]
        for (key, row) in visible(now) {
            let expiry = one.expiry(row.document, now, table: false)
            guard expiry != 0 else { continue }
            rows[key]?.expiresAt = row.expiresAt == 0 ? expiry : min(row.expiresAt, expiry)
            rows[key]?.version = nil
        }
    }
}
