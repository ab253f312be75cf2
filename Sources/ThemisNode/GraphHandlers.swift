import ThemisBase
import ThemisDatabase
import ThemisRPC

/// Graphs. Their bodies are JSON: what they say is proved in the database, once.
extension CoreService {
    /// As a write, for a table that must have an edge index.
    func edgePut(_ call: RPCServerCall) {
        let database = core.database
        let transaction = call.transaction
        submit(call) { (request: WriteRequest, context) throws(ThemisError) in
            if let transaction {
                let answer = try database.putEdge(WriteOperation(request.operation), in: transaction, context)
                return call.reply(WriteResponse(result: .init(answer)))
            }
            let write = try Self.writeContext(call, context, fingerprint: request.fingerprint)
            database.putEdge(try WriteOperation(request.operation), write) { result in
                switch result {
                case .success(let answer): call.reply(WriteResponse(result: .init(answer)))
                case .failure(let error): call.reply(failing: error)
                }
            }
        }
    }

    func graphNeighbors(_ call: RPCServerCall) { ask(call, Database.neighbors(_:in:_:)) }

    func graphTraverse(_ call: RPCServerCall) { ask(call, Database.traverse(_:in:_:)) }

    func graphShortestPath(_ call: RPCServerCall) { ask(call, Database.shortestPath(_:in:_:)) }

    func graphRebuild(_ call: RPCServerCall) {
        let database = core.database
        onPool(call) { (request: TextRequest, _) throws(ThemisError) in
            var table: TableName?
            if !request.text.isEmpty {
                table = try JSONObjectReader.read(request.text) { (fields) throws(ThemisError) in
                    guard let name = fields.optionalString("table") else { return nil }
                    return try TableName(validating: name)
                }
            }
            return JobResponse(job: JobMessage(try database.rebuildTopology(table)))
        }
    }
}
