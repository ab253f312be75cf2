import ThemisBase

@testable import ThemisNet

/// Requests and answers: however the bytes are cut into reads, the same comes out, and what was read is bounded.
enum HTTPFuzz {
    /// Piece lengths, 0xFF, then what a client sends.
    static func request(_ bytes: [UInt8]) throws {
        var input = FuzzInput(bytes)
        let lengths = PieceLengths(input.part())
        let stream = input.all()
        var whole = Transcript()
        var cut = Transcript()
        try read(stream, pieces: nil, &whole)
        try read(stream, pieces: lengths, &cut)
        try require(whole.lines == cut.lines, "one read: \(whole.lines)\nseveral: \(cut.lines)")
    }

    /// A flag byte, piece lengths, 0xFF, then what a server answers.
    static func response(_ bytes: [UInt8]) throws {
        var input = FuzzInput(bytes)
        let isHead = input.byte() & 1 == 1
        let lengths = PieceLengths(input.part())
        let stream = input.all()
        var whole = Transcript()
        var cut = Transcript()
        try readAnswer(stream, toHead: isHead, pieces: nil, &whole)
        try readAnswer(stream, toHead: isHead, pieces: lengths, &cut)
        try require(whole.lines == cut.lines, "one read: \(whole.lines)\nseveral: \(cut.lines)")
    }

    /// What a parser made of a stream.
    private struct Transcript {
        var lines: [String] = []
        var body: [UInt8] = []
        private(set) var isRefused = false

        /// What came of the body before the mistake depends on the reads; that it is refused does not.
        mutating func refuse(_ error: ThemisError) {
            lines.append("\(error)")
            isRefused = true
        }

        mutating func end() {
            lines.append("body \(body)")
            body = []
        }
    }

    private static func read(_ stream: [UInt8], pieces: PieceLengths?, _ transcript: inout Transcript) throws {
        var parser = HTTPRequestParser()
        unsafe try feed(stream, pieces) { bytes, used in
            switch try unsafe parser.next(bytes, used: &used) {
            case .incomplete: return .waits
            case .head(let head):
                try check(head)
                transcript.lines.append(describe(head))
            case .body(let range):
                try require(!range.isEmpty, "an empty piece of a body")
                unsafe transcript.body += bytes[range]
            case .end: transcript.end()
            }
            return .goesOn
        } failed: { error in
            transcript.refuse(error)
        }
        if !transcript.isRefused { transcript.lines.append("rest \(transcript.body) \(parser.isWithinRequest)") }
    }

    private static func readAnswer(
        _ stream: [UInt8], toHead: Bool, pieces: PieceLengths?, _ transcript: inout Transcript
    ) throws {
        var parser = HTTPResponseParser(toHead: toHead)
        unsafe try feed(stream, pieces) { bytes, used in
            switch try unsafe parser.next(bytes, used: &used) {
            case .incomplete: return .waits
            case .head(let head):
                try require((200..<600).contains(head.status) || head.status == 101, "status \(head.status)")
                transcript.lines.append("\(head.status) \(head.keepsAlive) \(head.fields.all)")
            case .body(let range): unsafe transcript.body += bytes[range]
            case .end:
                transcript.end()
                return .ends
            }
            return .goesOn
        } failed: { error in
            transcript.refuse(error)
        }
        if !transcript.isRefused { transcript.lines.append("rest \(transcript.body) \(parser.endsWithConnection)") }
    }

    private enum Next { case waits, goesOn, ends }

    /// Feeds `stream` as a connection does: bytes that were not used come again with more behind them.
    private static func feed(
        _ stream: [UInt8], _ pieces: PieceLengths?, _ next: (UnsafeRawBufferPointer, inout Int) throws -> Next,
        failed: (ThemisError) -> Void
    ) throws {
        var lengths = pieces
        var start = 0
        var end = 0
        repeat {
            end = min(stream.count, end + (lengths?.next() ?? stream.count))
            // A copy of its own, so that a read beyond the end is seen.
            let piece = Array(stream[start..<end])
            var offset = 0
            var steps = 0
            reading: while true {
                var used = 0
                do throws(any Error) {
                    let event = try unsafe piece[offset...].withUnsafeBytes { unsafe try next($0, &used) }
                    offset += used
                    steps += 1
                    try require(offset <= piece.count, "more was used than there was")
                    try require(steps <= 4 * piece.count + 16, "the parser does not move")
                    if event == .ends { return }
                    if event == .waits { break reading }
                } catch let error as ThemisError {
                    return failed(error)
                }
            }
            start += offset
        } while end < stream.count
    }

    private static func check(_ head: HTTPRequestHead) throws {
        try require(head.fields.count <= Limits.headerCount, "\(head.fields.count) headers")
        try require(head.fields.bytes.count <= Limits.headerBytes + Limits.requestLineBytes + 4, "a head of \(head.fields.bytes.count)")
        let path = head.rawPath
        // An absolute form may have none.
        try require(path.isEmpty || path.first == ASCII.slash || path.elementsEqual("*".utf8), "the path \(Array(path))")
        if head.framing == .chunked {
            try require(head.fields.count("content-length") == 0 && !head.isHTTP10, "two framings")
        }
        for field in head.fields.all {
            try require(!field.name.isEmpty, "a header without a name")
            try require(!field.value.utf8.contains { $0 == 0 || $0 == 0x0A || $0 == 0x0D }, "a line end in a header's value")
        }
        guard let match = accepted({ try router.match(path, head.method) }) else { return }
        guard case .found(let index, let values) = match else { return }
        for value in values { try require(!value.value.utf8.contains(0), "a zero byte in \(value.name)") }
        let allowed = router.routes[index].parameters
        guard let parameters = accepted({ try RequestTarget.parameters(head.rawQuery, allowed: allowed) }) else { return }
        try require(parameters.allSatisfy { allowed.contains($0.name) }, "an unknown parameter")
        try require(Set(parameters.map(\.name)).count == parameters.count, "a parameter twice")
    }

    private static func describe(_ head: HTTPRequestHead) -> String {
        "\(head.methodText) \(head.rawTarget) \(head.isHTTP10) \(head.framing) \(head.keepsAlive) \(head.expectation) "
            + head.fields.all.map { "\($0.name)=\($0.value)" }.joined(separator: ",")
    }

    /// Shapes of every kind that a route may have.
    private static let router = Router(
        [
            (HTTPMethod.get, "/health"), (.post, "/entities"), (.get, "/entities"), (.post, "/entities/get"), (.put, "/entities/{key*}"),
            (.get, "/entities/{key*}"), (.put, "/tables/{table}"), (.post, "/tables/{table}/truncate"), (.get, "/admin/jobs/{id}"),
            (.get, "/changefeed/stream"),
        ].map { method, pattern in
            Route(method, pattern, scope: nil, parameters: ["table", "prefix", "limit", "from_seq"], summary: "") { _ in }
        })
}

/// Bodies in gzip: the same bytes in any pieces, never more than the limit, and what is compressed comes back.
enum GzipFuzz {
    private static let limit = 1 << 20

    /// Piece lengths, 0xFF, then a body.
    static func check(_ bytes: [UInt8]) throws {
        var input = FuzzInput(bytes)
        var lengths = PieceLengths(input.part())
        let body = input.all()
        var whole: [UInt8] = []
        let inflater = GzipInflater()
        let isAccepted = accepted { try inflater.inflate(body, into: &whole, limit: limit) } != nil
        try require(whole.count <= limit + (64 << 10), "\(whole.count) bytes against a limit of \(limit)")
        if isAccepted {
            var cut: [UInt8] = []
            let other = GzipInflater()
            var start = 0
            while start < body.count {
                let end = min(body.count, start + lengths.next())
                guard accepted({ try other.inflate(Array(body[start..<end]), into: &cut, limit: limit) }) != nil else {
                    throw FuzzFinding(description: "refused in pieces only")
                }
                start = end
            }
            try require(cut == whole && other.isComplete == inflater.isComplete, "pieces give other bytes")
        }
        var back: [UInt8] = []
        let third = GzipInflater()
        try third.inflate(GzipDeflater.gzip(body), into: &back, limit: limit)
        try require(back == body && third.isComplete, "compressing does not round-trip")
    }
}
