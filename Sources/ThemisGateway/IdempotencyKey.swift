import ThemisBase

/// What makes a repeated write recognisable: the caller's key and what the request said.
struct IdempotencyKey: Equatable {
    /// 1–255 visible ASCII characters.
    let text: String
    /// SHA-256 of method, path, query, preconditions, media type and body.
    let fingerprint: [UInt8]

    /// Parts of a request that must be the same when it is repeated.
    struct Request {
        var method: String
        /// Path and query as they were sent.
        var target: String
        var ifMatch: [String]
        var ifNoneMatch: [String]
        var mediaType: String
        var body: [UInt8]
    }

    /// The key of a request; nil when `values`, its `Idempotency-Key` headers, are empty.
    ///
    /// - Throws: `invalid_request` for a key that is none, or more than one.
    init?(_ values: [String], of request: @autoclosure () -> Request) throws(ThemisError) {
        guard let text = values.first else { return nil }
        let isValid =
            (1...Limits.idempotencyKeyBytes).contains(text.utf8.count) && text.utf8.allSatisfy { (0x21...0x7E).contains($0) }
        guard values.count == 1, isValid else {
            let message = "must be one key of 1–\(Limits.idempotencyKeyBytes) visible ASCII characters"
            throw ThemisError(.invalidRequest, "Idempotency-Key \(message)", fields: [FieldError("Idempotency-Key", message)])
        }
        self.text = text
        fingerprint = Self.fingerprint(request())
    }

    /// Every part has its length in front, so that no two different requests join to the same bytes.
    static func fingerprint(_ request: Request) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(request.body.count + 256)
        for text in [request.method, request.target, request.mediaType] { bytes.appendLengthPrefixed(text.utf8) }
        for list in [request.ifMatch, request.ifNoneMatch] {
            bytes.appendVarint(UInt64(list.count))
            for text in list { bytes.appendLengthPrefixed(text.utf8) }
        }
        bytes.appendLengthPrefixed(request.body)
        return Digest.sha256(bytes)
    }
}
