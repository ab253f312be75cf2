import ThemisBase
import ThemisTelemetry

/// The span of a request: named and described by OpenTelemetry's conventions for HTTP servers.
extension HTTPExchange {
    /// The position that the caller gave; nil without a valid one. More than one is none.
    var callerPosition: Traceparent? {
        guard let bytes = head.fields.slice("traceparent"), head.fields.count("traceparent") == 1 else { return nil }
        return Traceparent(parsing: bytes)
    }

    /// Begins the span, if the caller or chance wants the request recorded.
    func beginSpan() -> ActiveSpan? {
        let caller = callerPosition
        let name = head.method == .other ? "HTTP" : head.method.rawValue
        guard
            let span = server.telemetry.spans.enter(
                name, caller: caller, traceState: caller == nil ? "" : traceState, atNanoseconds: startedNanoseconds)
        else { return nil }
        span.set(.httpMethod, head.method == .other ? "_OTHER" : name)
        if head.method == .other { span.set(.httpMethodOriginal, head.methodText) }
        span.set(.urlScheme, "http")
        span.set(.urlPath, String(decoding: head.rawPath, as: UTF8.self))
        span.set(.protocolVersion, head.isHTTP10 ? "1.0" : "1.1")
        let client = Self.split(peer)
        if !client.host.isEmpty { span.set(.clientAddress, client.host) }
        if let host = head.fields["host"], !host.isEmpty {
            let server = Self.split(host)
            span.set(.serverAddress, server.host)
            if let port = server.port { span.set(.serverPort, port) }
        }
        if let agent = head.fields["user-agent"] { span.set(.userAgent, agent) }
        span.set(.requestID, requestID)
        return span
    }

    /// Ends the span with what was answered; 499 stands for a client that has gone.
    func endSpan(_ span: ActiveSpan, status: Int, route: Route?) {
        if let route {
            span.rename("\(head.method.rawValue) \(route.label)")
            span.set(.httpRoute, route.label)
        }
        if status == ErrorCode.cancelled.status {
            span.fail(ErrorCode.cancelled.word)
        } else {
            span.set(.httpStatus, status)
            // What the client did wrong is no failure of the server.
            if status >= 500 { span.fail(String(status)) }
        }
        span.end()
    }

    /// What vendors gave along, if it may travel on.
    private var traceState: String {
        let text = head.fields.slices("tracestate").map { String(decoding: $0, as: UTF8.self) }.joined(separator: ",")
        return text.utf8.count <= Limits.traceStateBytes && text.utf8.allSatisfy { $0 >= 0x20 && $0 < 0x7F } ? text : ""
    }

    /// Host and port of `host:port`, `host` or `[v6]:port`.
    private static func split(_ text: String) -> (host: String, port: Int?) {
        guard let colon = text.lastIndex(of: ":"), text.last != "]" else { return (text, nil) }
        guard let port = Int(text[text.index(after: colon)...]) else { return (text, nil) }
        return (String(text[..<colon]), port)
    }
}
