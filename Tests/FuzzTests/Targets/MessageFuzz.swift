import ThemisBase
import ThemisTelemetry

@testable import ThemisRPC

/// Bodies of every message: what is accepted encodes again, and that is stable.
enum MessageFuzz {
    private static let types: [any RPCMessage.Type] = [
        WriteAtomicRequest.self, WriteAtomicResponse.self, WriteStreamResult.self, DeleteRangeRequest.self, ChangesFilter.self,
        ChangeMessage.self, ChangesReadRequest.self, ChangesPage.self, ChangesInfoResponse.self, EntityMessage.self, GetRequest.self,
        MultiGetRequest.self, MultiGetResponse.self, ListRequest.self, ListResponse.self, ThemisError.self, JobMessage.self,
        JobListResponse.self, JobRequest.self, JobResponse.self, CompactRequest.self, OperationMessage.self, OperationResult.self,
        WriteRequest.self, WriteResponse.self, EmptyMessage.self, PingResponse.self, TextResponse.self, ConfigRequest.self,
        MetricsPushRequest.self, MetricsReadRequest.self, MetricsReadResponse.self, TableMessage.self, TableListResponse.self,
        TableRequest.self, TablePutRequest.self, TableResponse.self, TableDropResponse.self,
    ]

    /// Which message, then its body.
    static func check(_ bytes: [UInt8]) throws {
        var input = FuzzInput(bytes)
        let which = input.choice(types.count + 1)
        let body = input.all()
        if which == types.count { return try snapshot(body) }
        try check(types[which], body)
    }

    private static func check<Message: RPCMessage>(_ type: Message.Type, _ body: [UInt8]) throws {
        guard let message = accepted({ try Message(decoding: body) }) else { return }
        // A text with a zero character does not travel. Everything else that was read can be sent.
        guard let sent = accepted({ try message.encoded() }) else {
            throw FuzzFinding(description: "\(type) was read and cannot be sent")
        }
        let again = try Message(decoding: sent)
        try require(try again.encoded() == sent, "\(type) is not stable")
        try require("\(again)" == "\(message)", "\(type) changes on its way: \(message) \(again)")
    }

    /// Metrics of a sidecar travel in a form of their own.
    private static func snapshot(_ body: [UInt8]) throws {
        guard let snapshot = accepted({ try MetricSnapshot(decoding: body) }) else { return }
        let sent = snapshot.encoded()
        try require(try MetricSnapshot(decoding: sent).encoded() == sent, "a snapshot is not stable")
    }
}
