import ThemisBase
import ThemisDatabase
import ThemisRPC

/// Transactions over several requests.
extension CoreService {
    func transactionBegin(_ call: RPCServerCall) {
        let database = core.database
        let principal = call.metadata.principal
        onPool(call) { (request: TextRequest, context) throws(ThemisError) in
            let (isolation, timeout) = try JSONObjectReader.read(request.text) { (fields) in
                (
                    fields.optionalWord("isolation", of: TransactionIsolation.self) ?? .serializable,
                    fields.optionalInteger("timeout_ms", in: 1...Limits.transactionMilliseconds) ?? Limits.transactionMilliseconds
                )
            }
            let begun = try database.beginTransaction(isolation, timeoutMilliseconds: timeout, principal: principal, context)
            return TextResponse(
                text: JSONValue.object([
                    JSONMember("transaction_id", .string(begun.id.description)),
                    JSONMember("isolation", .string(begun.isolation.rawValue)), JSONMember("sequence", .integer(begun.sequence)),
                    JSONMember("timeout_ms", .integer(begun.timeoutMilliseconds)),
                    JSONMember("idle_timeout_ms", .integer(Limits.transactionIdleMilliseconds)),
                ]).bytes)
        }
    }

    func transactionCommit(_ call: RPCServerCall) {
        let database = core.database
        withTransaction(call) { transaction, context in
            database.commit(transaction, context) { result in
                switch result {
                case .success(let answer):
                    call.reply(WriteAtomicResponse(results: answer.results.map { .init($0) }, sequence: answer.sequence))
                case .failure(let error): call.reply(failing: error)
                }
            }
        }
    }

    func transactionRollback(_ call: RPCServerCall) {
        let database = core.database
        withTransaction(call) { (transaction, _) throws(ThemisError) in
            try database.rollBack(transaction)
            call.reply(EmptyMessage())
        }
    }

    func transactionGet(_ call: RPCServerCall) {
        let database = core.database
        withTransaction(call) { (transaction, _) throws(ThemisError) in
            var members = [JSONMember("transaction_id", .string(transaction.id.description))]
            switch try database.transactionState(transaction) {
            case .open: members.append(JSONMember("state", "open"))
            case .committing: members.append(JSONMember("state", "committing"))
            case .committed(let sequence, let operations):
                members += [
                    JSONMember("state", "committed"), JSONMember("sequence", .integer(sequence)),
                    JSONMember("operations", .integer(operations)),
                ]
            }
            call.reply(TextResponse(text: JSONValue.object(members).bytes))
        }
    }

    func transactionStats(_ call: RPCServerCall) {
        let database = core.database
        onPool(call) { (_: EmptyMessage, _) in
            let counts = database.transactionStatistics
            return TextResponse(
                text: JSONValue.object([
                    JSONMember("open", .integer(counts.open)), JSONMember("begun", .integer(counts.begun)),
                    JSONMember("committed", .integer(counts.committed)), JSONMember("rolled_back", .integer(counts.rolledBack)),
                    JSONMember("conflicts", .integer(counts.conflicts)), JSONMember("expired", .integer(counts.expired)),
                    JSONMember("failed", .integer(counts.failed)), JSONMember("held_bytes", .integer(counts.heldBytes)),
                    JSONMember("history_bytes", .integer(counts.historyBytes)),
                ]).bytes)
        }
    }

    /// Runs `body` on the pool with the transaction that the call names.
    private func withTransaction(
        _ call: RPCServerCall, _ body: @escaping @Sendable (TransactionReference, CallContext) throws(ThemisError) -> Void
    ) {
        guard let transaction = call.transaction else {
            return call.fail(ThemisError(.invalidRequest, "\(call.method.name) needs a transaction id"))
        }
        submit(call) { (_: EmptyMessage, context) throws(ThemisError) in try body(transaction, context) }
    }
}

extension RPCServerCall {
    /// The transaction that the call belongs to; nil when it belongs to none.
    var transaction: TransactionReference? {
        metadata.transaction.map { TransactionReference($0, principal: metadata.principal) }
    }
}
