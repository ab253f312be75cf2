import ThemisBase

/// What the server has to know about media types.
enum MediaTypes {
    /// Texts that gain from compression. Event streams are never compressed: a reader would wait for the compressor's window.
    static func isCompressible(_ type: String?) -> Bool {
        guard let type else { return false }
        if type == "application/json" { return true }
        if type.hasPrefix("text/") { return !type.hasPrefix("text/event-stream") }
        return type.hasPrefix("application/json") || type.hasPrefix("application/x-ndjson")
            || type.hasPrefix("application/problem+json")
            || type.hasPrefix("application/openmetrics-text")
    }

    /// JSON and text are UTF-8, and say so.
    static func withCharset(_ type: String) -> String {
        switch type {
        case "application/json": "application/json; charset=utf-8"
        case "application/problem+json": "application/problem+json; charset=utf-8"
        case "text/plain": "text/plain; charset=utf-8"
        default: type
        }
    }
}

/// Refusals of the router that carry the `Allow` header, and the answer to OPTIONS, on the way to the one place that answers.
enum Refusal {
    case options(String)
    case wrongMethod(String)

    private static let member = "allow"

    var error: ThemisError {
        switch self {
        case .options(let allow): ThemisError(.methodNotAllowed, "", members: [(Self.member, .text(allow))])
        case .wrongMethod(let allow):
            ThemisError(.methodNotAllowed, "the path has no such method; it has \(allow)", members: [(Self.member, .text(allow))])
        }
    }

    static func allow(in error: ThemisError) -> String? {
        guard error.code == .methodNotAllowed, case .text(let allow)? = error.members.first(where: { $0.name == member })?.value
        else { return nil }
        return allow
    }

    static func plain(_ error: ThemisError) -> ThemisError { ThemisError(error.code, error.message) }
}
