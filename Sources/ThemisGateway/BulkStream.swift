import ThemisBase
import ThemisNet
import ThemisRPC

/// One bulk request on its way: lines go to the core as they come, results to the client as they come.
///
/// Two tasks of the loop share it. Nothing is held but a piece of input, the keys of the lines that the core has, and a piece of
/// output: a client that does not read its results stops the results, which stops the core, which stops the input.
@NetLoop final class BulkStream {
    /// A line without a result, in the order of the lines.
    private enum Line {
        /// The core has it.
        case sent(number: UInt64, key: EntityKey, kind: OperationKind)
        /// It never reached the core.
        case refused(number: UInt64, ThemisError)
    }

    /// Bytes of results that are worth a piece of their own.
    private static let pieceBytes = 32 << 10

    private let exchange: HTTPExchange
    private let call: RPCStream<OperationMessage, WriteStreamResult>
    private var splitter = LineSplitter()
    private var lines = Fifo<Line>()
    /// Operations of the piece of input that is being read.
    private var payload = MessagePayload()
    private var output: [UInt8] = []
    private var room: CheckedContinuation<Void, Never>?
    private var failure: ThemisError?

    /// The stream of `exchange`, whose operations go into `call`.
    init(_ exchange: HTTPExchange, _ call: RPCStream<OperationMessage, WriteStreamResult>) {
        self.exchange = exchange
        self.call = call
    }

    /// Runs to the end of both directions, or until one of them breaks.
    func run() async {
        exchange.beginStream(200, contentType: MediaType.ndjson.text)
        let results = NetLoop.spawn { [self] in await takeResults() }
        do {
            try await sendLines()
            call.finish()
        } catch {
            // The client is gone, its body is broken, or the core is: the answer cannot be completed.
            note(error)
            call.cancel()
        }
        await results.value
        do {
            try await sendOutput()
        } catch {
            note(error)
        }
        if let failure { exchange.fail(failure) } else { exchange.end() }
    }

    private func note(_ error: any Error) {
        guard failure == nil else { return }
        failure = error as? ThemisError ?? ThemisError(.cancelled, "the client went away")
    }

    // MARK: Lines to the core

    private func sendLines() async throws {
        while let chunk = try await exchange.nextBodyChunk() {
            splitter.append(chunk)
            try await sendSplit()
        }
        splitter.finish()
        try await sendSplit()
    }

    /// Sends every line that is complete.
    private func sendSplit() async throws {
        while let line = splitter.next() {
            if let operation = read(line) { try payload.append(operation) }
            if payload.count >= Self.pieceBytes { try await sendPayload() }
            if lines.count >= Limits.bulkLinesInFlight { try await waitForRoom() }
        }
        try await sendPayload()
        answerRefused()
        if output.count >= Self.pieceBytes || lines.isEmpty { try await sendOutput() }
    }

    private func sendPayload() async throws {
        guard payload.count > 0 else { return }
        let full = payload
        payload = MessagePayload()
        try await call.send(full)
    }

    /// Notes a line and gives its operation, nil for one that is refused here.
    private func read(_ line: LineSplitter.Line) -> OperationMessage? {
        switch line {
        case .tooLong(let number):
            lines.append(.refused(number: number, LineSplitter.tooLong))
            return nil
        case .text(let number, let range):
            do throws(ThemisError) {
                let (operation, key) = try OperationMessage.read(line: splitter.bytes, in: range)
                lines.append(.sent(number: number, key: key, kind: operation.kind))
                return operation
            } catch {
                lines.append(.refused(number: number, error))
                return nil
            }
        }
    }

    private func waitForRoom() async throws {
        try await sendPayload()
        answerRefused()
        try await sendOutput()
        while lines.count >= Limits.bulkLinesInFlight, failure == nil {
            await withCheckedContinuation { room = $0 }
        }
        if let failure { throw failure }
    }

    private func wakeSender() {
        room?.resume()
        room = nil
    }

    // MARK: Results to the client

    private func takeResults() async {
        do {
            while let result = try await call.next() {
                try answer(result)
                // What came in one turn of the loop goes out in one piece.
                while output.count < Self.pieceBytes, let more = try call.nextIfHere() { try answer(more) }
                if lines.count < Limits.bulkLinesInFlight { wakeSender() }
                try await sendOutput()
            }
            guard lines.isEmpty else {
                throw ThemisError(.internalError, "the core ended a stream of writes before its last result")
            }
        } catch {
            abandon(error)
            try? await sendOutput()
            // The input may be far from its end: breaking the answer off ends its reading too.
            if let failure { exchange.fail(failure) }
        }
        wakeSender()
    }

    /// Writes the result of the oldest line that the core has, after those that were refused before it.
    private func answer(_ result: WriteStreamResult) throws(ThemisError) {
        answerRefused()
        guard case .sent(let number, let key, let kind)? = lines.popFirst() else {
            throw ThemisError(.internalError, "the core answered a line that it was not sent")
        }
        if let error = result.error {
            EntityJSON.appendBulkError(line: number, key: key, error, to: &output)
        } else {
            EntityJSON.appendBulkResult(line: number, key: key, kind: kind, result.result ?? OperationResult(), to: &output)
        }
        output.append(0x0A)
        answerRefused()
    }

    /// Writes the errors of refused lines that no other line is waited for before.
    private func answerRefused() {
        while case .refused(let number, let error)? = lines.first {
            _ = lines.popFirst()
            EntityJSON.appendBulkError(line: number, key: nil, error, to: &output)
            output.append(0x0A)
        }
    }

    /// The core is gone: what it had is told as unknown, and the answer breaks off behind it.
    private func abandon(_ error: any Error) {
        note(error)
        let cause = error as? ThemisError ?? ThemisError(.coreUnavailable, "the connection to the core broke")
        let told = cause.outcome == nil ? cause.with(outcome: .unknown) : cause
        while let line = lines.popFirst() {
            switch line {
            case .sent(let number, let key, _): EntityJSON.appendBulkError(line: number, key: key, told, to: &output)
            case .refused(let number, let refusal): EntityJSON.appendBulkError(line: number, key: nil, refusal, to: &output)
            }
            output.append(0x0A)
        }
    }

    /// Sends the results written so far. Pieces keep their order: what is taken is written before anything waits.
    private func sendOutput() async throws {
        guard !output.isEmpty else { return }
        var piece: [UInt8] = []
        swap(&piece, &output)
        try await exchange.send(piece)
    }
}
