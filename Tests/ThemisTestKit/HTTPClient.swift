import Foundation

/// An HTTP answer as a test sees it.
public struct HTTPAnswer: Sendable {
    /// The status code.
    public let status: Int
    /// Header fields in the order they came, names in lower case.
    public let fields: [(name: String, value: String)]
    /// The body, chunks joined.
    public let body: [UInt8]

    /// The first field named `name`, in lower case.
    public subscript(name: String) -> String? { fields.first { $0.name == name }?.value }

    /// The body as text.
    public var text: String { String(decoding: body, as: UTF8.self) }

    /// The body as a JSON object; empty when it is none.
    public var json: [String: Any] { (try? JSONSerialization.jsonObject(with: Data(body))) as? [String: Any] ?? [:] }

    /// An unsigned number of the JSON body.
    public func number(_ member: String) -> UInt64? { (json[member] as? NSNumber)?.uint64Value }
}

/// A blocking HTTP/1.1 client over one kept-alive connection, which is opened anew when it was closed. One thread at a time.
public final class HTTPClient {
    /// The port on 127.0.0.1.
    public let port: UInt16
    /// How long an answer may take to go on.
    public var milliseconds: Int32
    private var socket: ClientSocket?

    /// Talks to 127.0.0.1:`port`; connects with the first request.
    public init(port: UInt16, milliseconds: Int32 = 30_000) {
        self.port = port
        self.milliseconds = milliseconds
    }

    /// Sends a request and waits for its answer. A failure closes the connection; nothing is sent twice.
    ///
    /// - Parameter fields: further header fields; `Host` and `Content-Length` are added.
    public func send(
        _ method: String, _ target: String, _ fields: [String: String] = [:], body: [UInt8]? = nil
    ) throws -> HTTPAnswer {
        var head = "\(method) \(target) HTTP/1.1\r\nHost: 127.0.0.1:\(port)\r\n"
        for (name, value) in fields.sorted(by: { $0.key < $1.key }) { head += "\(name): \(value)\r\n" }
        if let body { head += "Content-Length: \(body.count)\r\n" }
        do {
            let socket = try self.socket ?? ClientSocket(port: port)
            self.socket = socket
            try socket.send(Array((head + "\r\n").utf8) + (body ?? []))
            return try receive(from: socket, isHead: method == "HEAD")
        } catch {
            close()
            throw error
        }
    }

    /// GET.
    public func get(_ target: String, _ fields: [String: String] = [:]) throws -> HTTPAnswer { try send("GET", target, fields) }

    /// PUT of a JSON document.
    public func put(_ target: String, _ document: String, _ fields: [String: String] = [:]) throws -> HTTPAnswer {
        try send(
            "PUT", target, fields.merging(["Content-Type": "application/json"]) { given, _ in given }, body: Array(document.utf8))
    }

    /// PATCH with a JSON merge patch.
    public func patch(_ target: String, _ document: String, _ fields: [String: String] = [:]) throws -> HTTPAnswer {
        let type = ["Content-Type": "application/merge-patch+json"]
        return try send("PATCH", target, fields.merging(type) { given, _ in given }, body: Array(document.utf8))
    }

    /// POST of a body of the given type.
    public func post(_ target: String, _ body: String, type: String = "application/json") throws -> HTTPAnswer {
        try send("POST", target, ["Content-Type": type], body: Array(body.utf8))
    }

    /// Closes the connection; the next request opens another.
    public func close() {
        socket?.shut()
        socket = nil
    }

    private func receive(from socket: ClientSocket, isHead: Bool) throws -> HTTPAnswer {
        var head = try HTTPHead(from: socket, milliseconds: milliseconds)
        while head.status / 100 == 1 { head = try HTTPHead(from: socket, milliseconds: milliseconds) }
        var body: [UInt8] = []
        let isEmpty = isHead || head.status == 204 || head.status == 304
        if isEmpty {
        } else if head["transfer-encoding"] == "chunked" {
            while let chunk = try HTTPHead.chunk(from: socket, milliseconds: milliseconds) { body += chunk }
        } else if let length = head["content-length"].flatMap(Int.init) {
            body = try socket.receive(length, milliseconds: milliseconds)
        } else {
            body = try socket.receiveToEnd(milliseconds: milliseconds)
        }
        if head["connection"]?.lowercased() == "close" { close() }
        return HTTPAnswer(status: head.status, fields: head.fields, body: body)
    }
}

/// The status line and header of an answer.
struct HTTPHead {
    let status: Int
    let fields: [(name: String, value: String)]

    subscript(name: String) -> String? { fields.first { $0.name == name }?.value }

    init(from socket: ClientSocket, milliseconds: Int32) throws {
        guard let line = try socket.receiveLine(milliseconds: milliseconds) else {
            throw ClientFailure("the connection ended before an answer")
        }
        let parts = line.split(separator: " ", maxSplits: 2)
        guard parts.count >= 2, parts[0] == "HTTP/1.1", let status = Int(parts[1]) else {
            throw ClientFailure("no status line: \(line)")
        }
        var fields: [(name: String, value: String)] = []
        while let field = try socket.receiveLine(milliseconds: milliseconds), !field.isEmpty {
            let pair = field.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            guard pair.count == 2 else { throw ClientFailure("no header field: \(field)") }
            fields.append((name: pair[0].lowercased(), value: pair[1].trimmingCharacters(in: .whitespaces)))
        }
        self.status = status
        self.fields = fields
    }

    /// The next chunk of a chunked body; nil after the last.
    static func chunk(from socket: ClientSocket, milliseconds: Int32) throws -> [UInt8]? {
        guard let line = try socket.receiveLine(milliseconds: milliseconds), let size = Int(line, radix: 16) else {
            throw ClientFailure("a chunk's size is missing")
        }
        let bytes = size == 0 ? [] : try socket.receive(size, milliseconds: milliseconds)
        guard try socket.receiveLine(milliseconds: milliseconds) == "" else { throw ClientFailure("a chunk has no end") }
        return size == 0 ? nil : bytes
    }
}
