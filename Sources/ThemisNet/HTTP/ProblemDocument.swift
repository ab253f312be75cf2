public import ThemisBase

/// The one place where an error becomes `application/problem+json` (RFC 9457). Pure; any thread.
public enum ProblemDocument {
    /// The media type.
    public static let contentType = "application/problem+json"

    /// The document of `error` for the request `requestID`.
    public static func render(_ error: ThemisError, requestID: String) -> [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity(320)
        out.append(contentsOf: #"{"type":"urn:themis:error:"#.utf8)
        out.append(contentsOf: error.code.word.utf8)
        out.append(contentsOf: #"","title":"#.utf8)
        JSONText.appendString(error.code.title, to: &out)
        out.append(contentsOf: #","status":"#.utf8)
        out.append(contentsOf: String(error.code.status).utf8)
        appendText("detail", error.message, to: &out)
        appendText("code", error.code.word, to: &out)
        appendText("request_id", requestID, to: &out)
        out.append(contentsOf: #","retryable":"#.utf8)
        out.append(contentsOf: (error.code.isRetryable ? "true" : "false").utf8)
        if let outcome = error.outcome { appendText("outcome", outcome.rawValue, to: &out) }
        for (name, value) in error.members {
            switch value {
            case .text(let text): appendText(name, text, to: &out)
            case .number(let number):
                appendName(name, to: &out)
                out.append(contentsOf: String(number).utf8)
            }
        }
        if !error.fields.isEmpty { appendFields(error.fields, to: &out) }
        out.append(0x7D)
        return out
    }

    private static func appendFields(_ fields: [FieldError], to out: inout [UInt8]) {
        out.append(contentsOf: #","errors":["#.utf8)
        for (index, field) in fields.enumerated() {
            if index > 0 { out.append(ASCII.comma) }
            out.append(contentsOf: #"{"field":"#.utf8)
            JSONText.appendString(field.field, to: &out)
            appendText("message", field.message, to: &out)
            out.append(0x7D)
        }
        out.append(0x5D)
    }

    private static func appendName(_ name: String, to out: inout [UInt8]) {
        out.append(ASCII.comma)
        JSONText.appendString(name, to: &out)
        out.append(ASCII.colon)
    }

    private static func appendText(_ name: String, _ text: String, to out: inout [UInt8]) {
        appendName(name, to: &out)
        JSONText.appendString(text, to: &out)
    }
}
