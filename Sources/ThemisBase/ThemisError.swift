/// What became of a write that did not answer with success.
public enum WriteOutcome: String, Sendable {
    /// Nothing was written and nothing will be.
    case notCommitted = "not_committed"
    /// It may or may not be on disk; reading back tells.
    case unknown
}

/// One field that was refused, and why.
public struct FieldError: Sendable, Equatable {
    /// The field, parameter or header, as the caller spelled it.
    public let field: String
    /// What is wrong with it and what to do.
    public let message: String

    /// Makes a row of a validation error.
    public init(_ field: String, _ message: String) {
        self.field = field
        self.message = message
    }
}

/// A value that an error carries for programs, beside its text.
public enum ErrorMember: Sendable, Equatable {
    /// A sequence or count.
    case number(UInt64)
    /// A word or name.
    case text(String)
}

/// The error that crosses every seam of THEMIS: engine, database, RPC and HTTP.
public struct ThemisError: Error, Sendable {
    /// The catalog row.
    public let code: ErrorCode
    /// What happened, for whom it concerns: what, which, limit, what to do. Never a path, a value or a stack.
    public let message: String
    /// The fields that were refused, for validation errors.
    public var fields: [FieldError] = []
    /// Extra members of the problem document, such as `oldest_sequence`.
    public var members: [(name: String, value: ErrorMember)] = []
    /// Set on writes that failed with 503, 504 or 507.
    public var outcome: WriteOutcome?
    /// Seconds the caller should wait; set on 429 and 503.
    public var retryAfterSeconds: Int?

    /// Makes an error of the catalog row `code`.
    public init(
        _ code: ErrorCode, _ message: String, fields: [FieldError] = [], members: [(name: String, value: ErrorMember)] = [],
        outcome: WriteOutcome? = nil, retryAfterSeconds: Int? = nil
    ) {
        self.code = code
        self.message = message
        self.fields = fields
        self.members = members
        self.outcome = outcome
        self.retryAfterSeconds = retryAfterSeconds
    }

    /// The same error with the outcome of the write it answers.
    public func with(outcome: WriteOutcome) -> ThemisError {
        var copy = self
        copy.outcome = outcome
        return copy
    }
}

extension ThemisError: CustomStringConvertible {
    /// `code: message`, for logs and failing tests.
    public var description: String { "\(code.word): \(message)" }
}
