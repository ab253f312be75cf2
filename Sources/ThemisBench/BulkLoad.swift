import ThemisBase
import ThemisNet

/// One streamed import over HTTP: lines out as fast as the server takes them, results counted as they come.
@NetLoop final class BulkLoad: ByteStreamHandler {
    private let rows: Int
    private let documents: Documents
    private var measurement: Measurement
    private var next = 0
    private var answered = 0
    private var refused = 0
    private var hasHead = false
    private var chunks = ChunkReader()
    private var stream: ByteStream?
    private var done: CheckedContinuation<Void, any Error>?
    private var starts: [UInt64] = []

    /// Imports `rows` rows; the keys come in no order.
    init(rows: Int, documents: Documents, pids: [String]) {
        self.rows = rows
        self.documents = documents
        measurement = Measurement(pids: pids)
    }

    /// Returns when every row was answered, with the line to print.
    func run(port: Int) async throws -> String {
        let address = try SocketAddress(host: "127.0.0.1", port: UInt16(clamping: port))
        let stream = try await Connector.connect(address, timeoutMilliseconds: 5_000)
        self.stream = stream
        measurement.begin()
        try await withCheckedThrowingContinuation { continuation in
            done = continuation
            stream.start(self)
            let head =
                "POST /entities HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n"
            stream.write(Array(head.utf8))
        }
        measurement.end()
        stream.close()
        if refused > 0 { throw ThemisError(.internalError, "\(refused) of \(rows) rows were refused") }
        return measurement.line("bulk")
    }

    func drained(_ stream: ByteStream) {
        guard next < rows else { return }
        var block: [UInt8] = []
        while next < rows, block.count < Self.blockBytes {
            // A multiplier without a common divisor visits every number once, in no order.
            let number = next &* 7_919 % rows
            block.append(contentsOf: #"{"op":"put","key":""#.utf8)
            block.append(contentsOf: "\(Documents.table):\(Documents.pk(number))".utf8)
            block.append(contentsOf: #"","document":"#.utf8)
            block.append(contentsOf: documents.document(number))
            block.append(contentsOf: "}\n".utf8)
            next += 1
        }
        starts.append(contentsOf: repeatElement(measurement.now, count: next - starts.count))
        stream.write(Array((String(block.count, radix: 16) + "\r\n").utf8) + block + Array("\r\n".utf8))
        if next == rows { stream.write(Array("0\r\n\r\n".utf8)) }
    }

    private static let blockBytes = 60 << 10

    func received(_ bytes: UnsafeRawBufferPointer, on stream: ByteStream) -> Int {
        var used = 0
        if !hasHead {
            guard let answer = unsafe AnswerHead.read(bytes) else { return 0 }
            guard answer.status == 200 else {
                finish(ThemisError(.internalError, "POST /entities answered \(answer.status)"))
                return bytes.count
            }
            hasHead = true
            used = answer.head
        }
        let now = measurement.now
        unsafe chunks.read(bytes, &used) { piece in
            var line = 0
            while let end = unsafe piece[line...].firstIndex(of: 0x0A) {
                let text = unsafe UnsafeRawBufferPointer(rebasing: piece[line..<end])
                let hasSequence = unsafe TextSearch.find("\"sequence\"", in: text) != nil
                if hasSequence { measurement.succeeded(from: starts[answered], to: now) } else { refused += 1 }
                answered += 1
                line = end + 1
            }
            return line
        }
        if answered == rows { finish(nil) }
        return used
    }

    private func finish(_ error: (any Error)?) {
        guard let done else { return }
        self.done = nil
        if let error { done.resume(throwing: error) } else { done.resume() }
    }

    func ended(_ stream: ByteStream) { stream.close(.peer) }

    func closed(_ stream: ByteStream, _ reason: CloseReason) {
        finish(ThemisError(.coreUnavailable, "the connection ended after \(answered) of \(rows) rows: \(reason.text)"))
    }
}
