import ThemisBase
import ThemisDatabase
import ThemisNet
import ThemisRPC

/// One WriteStream: operations come in, one result for each goes out, in the same order, with bounded memory between.
///
/// Groups are prepared on the pool beside each other; reading pauses while `groupsInFlight` of them are on their way or the client leaves
/// its results unread, and the stream's credit then stops the sender.
@NetLoop final class BulkStream {
    /// Operations of one group.
    private static let groupOperations = 256
    /// Bytes of one group.
    private static let groupBytes = 512 << 10
    /// Groups between reading and their results: enough to keep pool, committer and disk busy at once; one while others have to be
    /// refused.
    private var groupsInFlight: UInt64 { service.writeGate.isCongested ? 1 : 8 }

    /// What one line of a group became before it reached the database.
    private enum Slot: Sendable {
        case submitted
        case refused(ThemisError)
    }

    private let service: CoreService
    private let call: RPCServerCall
    private let writer: BulkWriter
    private var operations: [WriteOperation] = []
    private var slots: [Slot] = []
    private var bytes = 0
    private var nextGroup: UInt64 = 0
    private var nextAnswer: UInt64 = 0
    private var finished: [UInt64: MessagePayload] = [:]
    private var hasEnded = false
    private var isOver = false

    init(_ call: RPCServerCall, _ service: CoreService) {
        self.call = call
        self.service = service
        writer = BulkWriter(service.core.database, call.context())
        let cancel = call.onCancel
        // The closures keep this object until the call ends and drops them.
        call.onCancel = { [self] in
            cancel?()
            end(ThemisError(.cancelled, "the caller went away"))
        }
        call.onReadable = { [self] in pump() }
        call.onWritable = { [self] in pump() }
    }

    /// Reads as much as may be on its way.
    func pump() {
        while !isOver, !hasEnded, nextGroup - nextAnswer < groupsInFlight, call.isWritable {
            do throws(ThemisError) {
                switch try call.takeMessage() {
                case .message(let message): add(message)
                case .end:
                    hasEnded = true
                    submit()
                case .nothing: return submit()
                }
            } catch {
                return end(error)
            }
        }
        finishIfDone()
    }

    private func add(_ message: [UInt8]) {
        bytes += message.count
        do throws(ThemisError) {
            operations.append(try WriteOperation(OperationMessage(decoding: message)))
            slots.append(.submitted)
        } catch {
            slots.append(.refused(error))
        }
        if slots.count >= Self.groupOperations || bytes >= Self.groupBytes { submit() }
    }

    private func submit() {
        guard !slots.isEmpty else { return }
        let group = nextGroup
        nextGroup += 1
        let slots = self.slots
        let operations = self.operations
        self.slots = []
        self.operations = []
        bytes = 0
        writer.submit(operations) { results in
            NetLoop.post { self.answer(group, slots, results) }
        }
    }

    private func answer(_ group: UInt64, _ slots: [Slot], _ results: [Result<ThemisDatabase.OperationResult, ThemisError>]) {
        guard !isOver else { return }
        var payload = MessagePayload()
        var next = results.makeIterator()
        for slot in slots {
            var message = WriteStreamResult()
            switch slot {
            case .refused(let error): message.error = error
            case .submitted:
                switch next.next() {
                case .success(let result): message.result = .init(result)
                case .failure(let error): message.error = error
                case nil: message.error = ThemisError(.internalError, "a result is missing")
                }
            }
            do throws(ThemisError) { try payload.append(message) } catch { return end(error) }
        }
        finished[group] = payload
        while let ready = finished.removeValue(forKey: nextAnswer) {
            nextAnswer += 1
            call.send(ready)
        }
        pump()
        finishIfDone()
    }

    private func finishIfDone() {
        guard hasEnded, !isOver, nextAnswer == nextGroup else { return }
        isOver = true
        call.finish()
    }

    private func end(_ error: ThemisError) {
        guard !isOver else { return }
        isOver = true
        call.fail(error)
    }
}

extension CoreService {
    func writeStream(_ call: RPCServerCall) { BulkStream(call, self).pump() }
}
