import Foundation
import Testing
import ThemisBase
import ThemisDatabase
import ThemisStorage
import ThemisTelemetry

/// A database with plain calls that wait.
final class DatabaseFixture: Sendable {
    let engine: any StorageEngine
    let time: ManualTime
    let database: Database

    init(
        engine: any StorageEngine = MemoryEngine(), time: ManualTime = ManualTime(), options: DatabaseOptions = DatabaseOptions()
    ) throws {
        self.engine = engine
        self.time = time
        database = try Database.open(engine: engine, options: options, telemetry: .silent(time: time))
    }

    deinit { database.close() }

    static func key(_ text: String) throws -> EntityKey { try EntityKey(validating: text) }

    func submit(_ operation: WriteOperation, _ context: WriteContext = WriteContext()) -> Answer<OperationResult> {
        let answer = Answer<OperationResult>()
        database.write(operation, context) { answer.set($0) }
        return answer
    }

    @discardableResult
    func put(
        _ key: String, _ document: String, if condition: WriteCondition = .none, _ context: WriteContext = WriteContext()
    ) throws -> OperationResult {
        try submit(WriteOperation(Self.key(key), .put(Array(document.utf8)), if: condition), context).get()
    }

    @discardableResult
    func delete(
        _ key: String, if condition: WriteCondition = .none, _ context: WriteContext = WriteContext()
    ) throws -> OperationResult {
        try submit(WriteOperation(Self.key(key), .delete, if: condition), context).get()
    }

    @discardableResult
    func patch(
        _ key: String, merge patch: String, if condition: WriteCondition = .none, _ context: WriteContext = WriteContext()
    ) throws -> OperationResult {
        try submit(WriteOperation(Self.key(key), .mergePatch(Array(patch.utf8)), if: condition), context).get()
    }

    @discardableResult
    func atomic(_ operations: [WriteOperation], _ context: WriteContext = WriteContext()) throws -> TransactionResult {
        let answer = Answer<TransactionResult>()
        database.writeAtomic(operations, context) { answer.set($0) }
        return try answer.get()
    }

    func document(_ key: String) throws -> String? {
        try database.get(Self.key(key)).map { String(decoding: $0.document, as: UTF8.self) }
    }

    func changes(
        after: SequenceNumber? = 0, limit: Int = 10_000, filter: ChangesFilter = ChangesFilter(), epoch: String? = nil,
        oldValues: Bool = false
    ) throws -> ChangesPage {
        try database.readChanges(ChangesRequest(after: after, epoch: epoch, limit: limit, filter: filter, oldValues: oldValues))
    }
}

/// An answer that arrives on another thread.
final class Answer<Value: Sendable>: Sendable {
    private let state = Monitor<Result<Value, ThemisError>?>(nil)

    func set(_ result: Result<Value, ThemisError>) {
        state.withLock {
            precondition($0 == nil, "a write is answered once")
            $0 = result
        }
        state.notifyAll()
    }

    func get() throws -> Value { try result().get() }

    func result() -> Result<Value, ThemisError> {
        guard let result = state.wait(milliseconds: 60_000, { $0 }) else { fatalError("no answer after a minute") }
        return result
    }

    var isSet: Bool { state.withLock { $0 != nil } }
}

/// The code of the error that `body` throws; nil when it throws none.
func errorCode(_ body: () throws -> Void) -> ErrorCode? { thrown(body)?.code }

/// The error that `body` throws.
func thrown(_ body: () throws -> Void) -> ThemisError? {
    do {
        try body()
        return nil
    } catch {
        return error as? ThemisError
    }
}
