import ThemisBase
import ThemisNet
import ThemisRPC
import ThemisTelemetry

/// Loads entities through the core's streamed write, with the client that the sidecars use.
@NetLoop final class Fill {
    private let client: RPCClient
    private let first: Int
    private let documents: Documents
    private var measurement: Measurement
    private var sent: [UInt64] = []

    /// Writes `documents.keys` entities from number `first` on to the core at `socket`.
    init(socket: String, first: Int, documents: Documents, pids: [String]) throws(ThemisError) {
        client = try RPCClient(.init(socketPath: socket, role: .bench, instance: "fill", seed: 1), telemetry: .silent())
        self.first = first
        self.documents = documents
        measurement = Measurement(pids: pids)
    }

    /// Returns when every row was answered, with the line to print.
    func run() async throws -> String {
        client.start()
        defer { client.stop() }
        let metadata = RequestMetadata(principal: "bench", scopes: .all)
        let stream = try await client.writeStream(metadata)
        measurement.begin()
        let sender = NetLoop.spawn { [self] in
            do { try await send(on: stream) } catch { stream.cancel() }
        }
        var rows = 0
        while let answer = try await stream.next() {
            if let error = answer.error { throw error }
            if rows < sent.count { measurement.succeeded(from: sent[rows], to: measurement.now) }
            rows += 1
        }
        measurement.end()
        await sender.value
        guard rows == documents.keys else {
            throw ThemisError(.internalError, "\(documents.keys) rows were sent and \(rows) answered")
        }
        return measurement.line("fill")
    }

    private func send(on stream: RPCStream<OperationMessage, WriteStreamResult>) async throws {
        var payload = MessagePayload()
        for number in first..<(first + documents.keys) {
            let body = documents.document(number)
            try payload.append(OperationMessage(kind: .put, table: Documents.table, pk: Documents.pk(number), body: body))
            sent.append(measurement.now)
            guard payload.count > Self.blockBytes || number == first + documents.keys - 1 else { continue }
            try await stream.send(payload)
            payload = MessagePayload()
        }
        stream.finish()
    }

    private static let blockBytes = 48 << 10
}
