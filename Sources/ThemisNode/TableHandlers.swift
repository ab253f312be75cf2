import ThemisBase
import ThemisDatabase
import ThemisRPC

/// Tables and jobs.
extension CoreService {
    func tableList(_ call: RPCServerCall) {
        let database = core.database
        read(call) { (_: EmptyMessage, _) in TableListResponse(tables: database.tables().map { TableMessage($0) }) }
    }

    func tableGet(_ call: RPCServerCall) {
        let database = core.database
        read(call) { (request: TableRequest, _) throws(ThemisError) in
            let name = try TableName(validating: request.name)
            guard let table = database.table(name) else { throw ThemisError(.notFound, "there is no table \(name.text)") }
            return TableResponse(table: TableMessage(table))
        }
    }

    func tablePut(_ call: RPCServerCall) {
        let database = core.database
        onPool(call) { (request: TablePutRequest, _) throws(ThemisError) in
            let answer = try database.putTable(TableName(validating: request.name), TableSettingsChange(request))
            return TableResponse(table: TableMessage(answer.table), created: answer.created)
        }
    }

    func tableDrop(_ call: RPCServerCall) {
        let database = core.database
        onPool(call) { (request: TableRequest, _) throws(ThemisError) in
            let answer = try database.dropTable(TableName(validating: request.name))
            return TableDropResponse(deleted: answer.deleted, sequence: answer.sequence)
        }
    }

    func tableTruncate(_ call: RPCServerCall) {
        let database = core.database
        onPool(call) { (request: TableRequest, _) throws(ThemisError) in
            let answer = try database.truncateTable(TableName(validating: request.name))
            return TableDropResponse(deleted: answer.deleted, sequence: answer.sequence)
        }
    }

    // MARK: Jobs

    func jobList(_ call: RPCServerCall) {
        let database = core.database
        onPool(call) { (_: EmptyMessage, _) in JobListResponse(jobs: database.jobs().map { JobMessage($0) }) }
    }

    func jobGet(_ call: RPCServerCall) {
        let database = core.database
        onPool(call) { (request: JobRequest, _) throws(ThemisError) in
            guard let job = database.job(request.id) else { throw ThemisError(.notFound, "there is no such job") }
            return JobResponse(job: JobMessage(job))
        }
    }

    func jobCancel(_ call: RPCServerCall) {
        let database = core.database
        onPool(call) { (request: JobRequest, _) throws(ThemisError) in
            guard let job = database.cancelJob(request.id) else { throw ThemisError(.notFound, "there is no such job") }
            return JobResponse(job: JobMessage(job))
        }
    }
}
