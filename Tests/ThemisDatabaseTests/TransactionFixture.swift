import Foundation
import Testing
import ThemisBase
import ThemisDatabase

/// A transaction with plain calls that wait.
struct OpenTransaction: Sendable {
    let fixture: DatabaseFixture
    let reference: TransactionReference

    func put(_ key: String, _ document: String, if condition: WriteCondition = .none) throws {
        _ = try fixture.database.write(
            WriteOperation(DatabaseFixture.key(key), .put(Array(document.utf8)), if: condition), in: reference)
    }

    func patch(_ key: String, _ patch: String) throws {
        _ = try fixture.database.write(WriteOperation(DatabaseFixture.key(key), .mergePatch(Array(patch.utf8))), in: reference)
    }

    @discardableResult
    func delete(_ key: String, if condition: WriteCondition = .none) throws -> Bool {
        try fixture.database.write(WriteOperation(DatabaseFixture.key(key), .delete, if: condition), in: reference).deleted
    }

    func get(_ key: String) throws -> String? {
        try fixture.database.get(DatabaseFixture.key(key), in: reference).map { String(decoding: $0.document, as: UTF8.self) }
    }

    func number(_ key: String) throws -> Int? {
        try get(key).flatMap { try JSONValue(parsing: Array($0.utf8))["n"]?.int64Value.map { Int($0) } }
    }

    func list(_ table: String, prefix: String = "", reverse: Bool = false, limit: Int = 100) throws -> [String] {
        try fixture.database.list(
            ListRequest(table: TableName(validating: table), prefix: prefix, reverse: reverse), limit: limit, in: reference
        ).entities.map(\.key.pk)
    }

    /// The keys of the rows of a query.
    func query(_ body: String) throws -> [String] {
        let answer = try JSONValue(parsing: fixture.database.query(Array(body.utf8), in: reference))
        return (answer["keys"]?.elements ?? []).compactMap(\.stringValue)
    }

    func submitCommit() -> Answer<TransactionResult> {
        let answer = Answer<TransactionResult>()
        fixture.database.commit(reference) { answer.set($0) }
        return answer
    }

    @discardableResult
    func commit() throws -> TransactionResult { try submitCommit().get() }

    func rollBack() throws { try fixture.database.rollBack(reference) }
}

extension DatabaseFixture {
    func begin(
        _ isolation: TransactionIsolation = .serializable, timeoutMilliseconds: Int64 = Limits.transactionMilliseconds,
        principal: String = ""
    ) throws -> OpenTransaction {
        let begun = try database.beginTransaction(
            isolation, timeoutMilliseconds: timeoutMilliseconds, principal: principal)
        return OpenTransaction(fixture: self, reference: TransactionReference(begun.id, principal: principal))
    }
}
