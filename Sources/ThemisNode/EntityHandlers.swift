import ThemisBase
import ThemisDatabase
import ThemisRPC

/// Entities: point reads on the loop when memory answers, the rest on the pool.
extension CoreService {
    func get(_ call: RPCServerCall) {
        let database = core.database
        do throws(ThemisError) {
            let request: GetRequest = try call.decode()
            let key = try EntityKey(table: TableName(validating: request.table), pk: request.pk)
            if call.transaction == nil, call.metadata.minSequence <= database.durableSequence {
                switch try database.cachedGet(key, fields: request.fields) {
                case .hit(let entity):
                    let isKnown = request.unlessVersion != 0 && request.unlessVersion == entity.version
                    return call.respond(EntityMessage(withoutDocument: entity), document: isKnown ? [] : entity.document)
                case .absent: return call.respond(EntityMessage(table: request.table, pk: request.pk, missing: true))
                case .wouldBlock: break
                }
            }
        } catch {
            return call.fail(error)
        }
        let transaction = call.transaction
        read(call) { (request: GetRequest, context) throws(ThemisError) in
            let key = try EntityKey(table: TableName(validating: request.table), pk: request.pk)
            guard let entity = try database.get(key, fields: request.fields, in: transaction, context) else {
                return EntityMessage(table: request.table, pk: request.pk, missing: true)
            }
            return Self.answer(entity, request)
        }
    }

    private nonisolated static func answer(_ entity: Entity, _ request: GetRequest) -> EntityMessage {
        var message = EntityMessage(entity)
        if request.unlessVersion != 0, request.unlessVersion == entity.version { message.document = [] }
        return message
    }

    func multiGet(_ call: RPCServerCall) {
        let database = core.database
        let transaction = call.transaction
        read(call) { (request: MultiGetRequest, context) throws(ThemisError) in
            guard request.keys.count <= Limits.pageEntities else {
                throw ThemisError(.invalidRequest, "at most \(Limits.pageEntities) keys at once; this asks for \(request.keys.count)")
            }
            var keys: [EntityKey] = []
            keys.reserveCapacity(request.keys.count)
            for key in request.keys { keys.append(try EntityKey(table: TableName(validating: key.table), pk: key.pk)) }
            let result = try database.multiGet(keys, fields: request.fields, in: transaction, context)
            var entities: [EntityMessage] = []
            for (key, entity) in zip(keys, result.entities) {
                entities.append(entity.map { EntityMessage($0) } ?? EntityMessage(table: key.table.text, pk: key.pk, missing: true))
            }
            return MultiGetResponse(entities: entities, unread: UInt32(result.unread))
        }
    }

    func list(_ call: RPCServerCall) {
        let database = core.database
        let transaction = call.transaction
        read(call) { (request: ThemisRPC.ListRequest, context) throws(ThemisError) in
            let page = try database.list(
                ThemisDatabase.ListRequest(request), cursor: request.cursor.isEmpty ? nil : request.cursor,
                limit: max(1, min(Limits.pageEntities, Int(request.limit))), in: transaction, context)
            return ThemisRPC.ListResponse(
                entities: page.entities.map { EntityMessage($0) }, nextCursor: page.nextCursor ?? "", sequence: page.sequence)
        }
    }

    /// Streams a range from one snapshot: a piece is read only when the one before has left.
    func export(_ call: RPCServerCall) {
        let database = core.database
        stream(call) { call throws(ThemisError) in
            let message: ThemisRPC.ListRequest = try call.decode()
            let context = call.context()
            let cursor = try await self.awaitPool(.heavy) { () throws(ThemisError) in
                try database.export(ThemisDatabase.ListRequest(message), context)
            }
            while true {
                try await call.awaitWritable()
                let piece = try await self.awaitPool(.heavy) { () throws(ThemisError) -> MessagePayload? in
                    let entities = try cursor.next(maxBytes: Limits.streamCreditBytes)
                    if entities.isEmpty { return nil }
                    var payload = MessagePayload()
                    for entity in entities { try payload.append(EntityMessage(entity)) }
                    return payload
                }
                guard let piece else { return }
                call.send(piece)
            }
        }
    }

    // MARK: Writes

    /// A write is prepared on the pool; its answer comes from the committer's thread.
    func write(_ call: RPCServerCall) {
        let database = core.database
        let transaction = call.transaction
        submit(call) { (request: WriteRequest, context) throws(ThemisError) in
            if let transaction {
                let answer = try database.write(WriteOperation(request.operation), in: transaction, context)
                return call.reply(WriteResponse(result: .init(answer)))
            }
            let write = try Self.writeContext(call, context, fingerprint: request.fingerprint)
            database.write(try WriteOperation(request.operation), write) { result in
                switch result {
                case .success(let answer): call.reply(WriteResponse(result: .init(answer)).encoded())
                case .failure(let error): call.reply(failing: error)
                }
            }
        }
    }

    func writeAtomic(_ call: RPCServerCall) {
        let database = core.database
        submit(call) { (request: WriteAtomicRequest, context) throws(ThemisError) in
            let write = try Self.writeContext(call, context, fingerprint: request.fingerprint)
            var operations: [WriteOperation] = []
            operations.reserveCapacity(request.operations.count)
            for (index, operation) in request.operations.enumerated() {
                do throws(ThemisError) { operations.append(try WriteOperation(operation)) } catch {
                    var named = error
                    named.fields.insert(FieldError("operations[\(index)]", error.message), at: 0)
                    throw named
                }
            }
            database.writeAtomic(operations, write) { result in
                switch result {
                case .success(let answer):
                    call.reply(WriteAtomicResponse(results: answer.results.map { .init($0) }, sequence: answer.sequence))
                case .failure(let error): call.reply(failing: error)
                }
            }
        }
    }

    nonisolated static func writeContext(
        _ call: RPCServerCall, _ context: CallContext, fingerprint: [UInt8]
    ) throws(ThemisError) -> WriteContext {
        var token: IdempotencyToken?
        if !call.metadata.idempotencyKey.isEmpty {
            token = try IdempotencyToken(key: call.metadata.idempotencyKey, fingerprint: fingerprint)
        }
        return WriteContext(principal: call.metadata.principal, call: context, idempotency: token)
    }

    func deleteRange(_ call: RPCServerCall) {
        let database = core.database
        onPool(call) { (request: DeleteRangeRequest, _) throws(ThemisError) in
            let job = try database.deleteRange(TableName(validating: request.table), prefix: KeyPrefix.proved(request.prefix))
            return JobResponse(job: JobMessage(job))
        }
    }
}
