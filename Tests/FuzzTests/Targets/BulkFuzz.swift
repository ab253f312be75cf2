import ThemisBase
import ThemisRPC

@testable import ThemisGateway

/// Lines of a bulk request: the same lines however they arrive, and an operation that says what its line said.
enum BulkFuzz {
    private static let limit = 96

    /// Piece lengths, 0xFF, then the stream.
    static func check(_ bytes: [UInt8]) throws {
        var input = FuzzInput(bytes)
        let lengths = PieceLengths(input.part())
        let stream = input.all()
        for limit in [Self.limit, Limits.lineBytes] {
            let whole = try lines(stream, nil, limit: limit)
            let cut = try lines(stream, lengths, limit: limit)
            try require(whole == cut, "one piece: \(whole)\nseveral: \(cut)")
        }
        try checkTransaction(Array("{\"operations\":[".utf8) + stream + Array("]}".utf8))
        try checkTransaction(stream)
    }

    /// The same as the operations of a transaction: what is taken says what was sent.
    private static func checkTransaction(_ body: [UInt8]) throws {
        guard let envelopes = try? JSONEnvelope.operations(body) else { return }
        try require(!envelopes.isEmpty, "a transaction without an operation")
        for envelope in envelopes {
            guard let operation = try? OperationMessage(envelope, in: body) else { continue }
            try check(operation, envelope.key)
        }
    }

    private static func lines(_ stream: [UInt8], _ pieces: PieceLengths?, limit: Int) throws -> [String] {
        var splitter = LineSplitter(limit: limit)
        var lengths = pieces
        var found: [String] = []
        var start = 0
        while start < stream.count {
            let end = min(stream.count, start + (lengths?.next() ?? stream.count))
            splitter.append(Array(stream[start..<end]))
            start = end
            try take(&splitter, limit, &found)
            if pieces != nil {
                try require(splitter.bytes.count <= limit + 2 + 256, "the splitter keeps \(splitter.bytes.count) bytes")
            }
        }
        splitter.finish()
        try take(&splitter, limit, &found)
        return found
    }

    private static func take(_ splitter: inout LineSplitter, _ limit: Int, _ found: inout [String]) throws {
        while let line = splitter.next() {
            switch line {
            case .tooLong(let number): found.append("\(number) too long")
            case .text(let number, let range):
                try require(!range.isEmpty && range.count <= limit, "a line of \(range.count) bytes")
                found.append("\(number) \(try meaning(splitter.bytes, range))")
            }
        }
    }

    private static func meaning(_ bytes: [UInt8], _ range: Range<Int>) throws -> String {
        do throws(ThemisError) {
            let (operation, key) = try OperationMessage.read(line: bytes, in: range)
            try check(operation, key)
            return "\(operation)"
        } catch {
            return "\(error) \(error.fields)"
        }
    }

    private static func check(_ operation: OperationMessage, _ key: EntityKey) throws(ThemisError) {
        guard operation.table == key.table.text, operation.pk.utf8.elementsEqual(key.pk.utf8) else {
            throw ThemisError(.internalError, "another key")
        }
        switch operation.kind {
        case .put: try JSONDocument.validateDocument(operation.body)
        case .delete: if !operation.body.isEmpty { throw ThemisError(.internalError, "a delete with a body") }
        default: try JSONDocument.validate(operation.body)
        }
        // A zero character cannot travel; everything else does.
        guard let sent = try? operation.encoded() else { return }
        guard try OperationMessage(decoding: sent) == operation else { throw ThemisError(.internalError, "changed on its way") }
    }
}
