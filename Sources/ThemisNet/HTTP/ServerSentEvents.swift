/// Encodes frames of an event stream (HTML Living Standard §9.2). Pure; any thread.
public enum ServerSentEvents {
    /// Appends one event. Several lines of data become several `data:` fields.
    ///
    /// - Parameters:
    ///   - event: a type; `message` when nil. Holds no line breaks.
    ///   - id: becomes the reader's last event id. Holds no line breaks and no NUL.
    public static func append(event: String? = nil, id: String? = nil, data: some Collection<UInt8>, to out: inout [UInt8]) {
        if let id { appendField("id", id, to: &out) }
        if let event { appendField("event", event, to: &out) }
        out.append(contentsOf: "data: ".utf8)
        var wasCR = false
        for byte in data {
            // CR, LF and CRLF all end a line for the reader; the bytes themselves cannot be told in this format.
            if byte == 0x0A && wasCR {
                wasCR = false
                continue
            }
            wasCR = byte == 0x0D
            if wasCR || byte == 0x0A { out.append(contentsOf: "\ndata: ".utf8) } else { out.append(byte) }
        }
        out.append(contentsOf: "\n\n".utf8)
    }

    /// Appends a bookmark: it moves the reader's last event id and dispatches nothing.
    public static func appendBookmark(id: String, to out: inout [UInt8]) {
        appendField("id", id, to: &out)
        out.append(0x0A)
    }

    /// Appends the time after which a reader reconnects.
    public static func appendRetry(milliseconds: Int, to out: inout [UInt8]) {
        appendField("retry", String(milliseconds), to: &out)
        out.append(0x0A)
    }

    /// Appends a comment, which readers skip: a heartbeat. Holds no line breaks.
    public static func appendComment(_ text: String, to out: inout [UInt8]) {
        precondition(isOneLine(text), "a comment is one line")
        out.append(0x3A)
        out.append(contentsOf: text.utf8)
        out.append(contentsOf: "\n\n".utf8)
    }

    private static func appendField(_ name: String, _ value: String, to out: inout [UInt8]) {
        precondition(isOneLine(value), "a field of an event is one line")
        out.append(contentsOf: name.utf8)
        out.append(contentsOf: ": ".utf8)
        out.append(contentsOf: value.utf8)
        out.append(0x0A)
    }

    private static func isOneLine(_ text: String) -> Bool { text.utf8.allSatisfy { $0 != 0x0A && $0 != 0x0D && $0 != 0 } }
}
