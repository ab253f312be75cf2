import Foundation
import Testing
import ThemisBase
import ThemisNet
import ThemisRPC
import ThemisTestKit

@testable import ThemisGateway

/// What holds for every route of the gateway, and the rules about bodies, as tables.
@Suite(.serialized) struct RouteConformanceTests {
    /// A path that the pattern of `route` matches and that exists in the fake core.
    private static func path(_ route: Route) -> String {
        let path = route.label.replacing("{key}", with: "t:1").replacing("{table}", with: "t").replacing("{id}", with: "job-1")
            .replacing("{vertex}", with: "v:1")
        return route.pattern == "/entities" && route.method != .post ? path + "?table=t" : path
    }

    private static func prepared(_ fixture: GatewayFixture, _ client: TestClient) async throws -> [Route] {
        _ = try client.put("/entities/t:1", #"{"text":"\#(String(repeating: "x", count: 2_000))"}"#)
        _ = try client.send("DELETE", "/entities?table=t", ["Prefer": "respond-async"])
        return await fixture.server.router.routes
    }

    @Test(arguments: ["identity", "gzip"])
    func `HEAD has the headers of GET on every route, and no body`(coding: String) async throws {
        try await GatewayFixture.with { fixture, client in
            for route in try await Self.prepared(fixture, client) where route.method == .get && route.routeClass != .streamOut {
                let path = Self.path(route)
                let get = try client.get(path, ["Accept-Encoding": coding])
                let head = try client.send("HEAD", path, ["Accept-Encoding": coding])
                #expect(head.status == get.status, "\(path)")
                #expect(head.body.isEmpty, "\(path)")
                let changing = ["date", "x-request-id", "content-length"]
                let wanted = get.fields.filter { !changing.contains($0.name) }.map { "\($0.name): \($0.value)" }
                #expect(head.fields.filter { !changing.contains($0.name) }.map { "\($0.name): \($0.value)" } == wanted, "\(path)")
                // Counters and ages move between two answers, and so does their length.
                if ["/metrics", "/health", "/health/live", "/health/ready", "/changefeed/stats"].contains(path) {
                    #expect((head["content-length"] == nil) == (get["content-length"] == nil), "\(path)")
                } else {
                    #expect(head["content-length"] == get["content-length"], "\(path)")
                }
            }
            let stream = try client.send("HEAD", "/changefeed/stream")
            #expect(stream.status == 200)
            #expect(stream["content-type"] == "text/event-stream; charset=utf-8")
            #expect(stream["cache-control"] == "no-store, no-transform")
            #expect(stream["x-accel-buffering"] == "no")
            // Nothing followed: the connection is where it was.
            #expect(try client.get("/version").status == 200)
        }
    }

    @Test func `a method that a path has not is 405, and OPTIONS tells those that it has`() async throws {
        try await GatewayFixture.with { fixture, client in
            let routes = try await Self.prepared(fixture, client)
            for (label, found) in Dictionary(grouping: routes, by: \.label) {
                let path = Self.path(found[0])
                var allowed = Set(found.map(\.method.rawValue)).union(["OPTIONS"])
                if allowed.contains("GET") { allowed.insert("HEAD") }
                for method in ["TRACE", "CONNECT", "PROPFIND", "DELETE", "PATCH", "PUT", "POST"] where !allowed.contains(method) {
                    let answer = try client.send(method, path)
                    #expect(answer.status == 405, "\(method) \(label)")
                    #expect(answer.json["code"] as? String == "method_not_allowed")
                    let allow = (answer["allow"] ?? "").split(separator: ", ").map(String.init)
                    #expect(Set(allow) == allowed && allow.count == allowed.count, "\(method) \(label)")
                }
                let options = try client.send("OPTIONS", path)
                #expect(options.status == 204)
                #expect(Set((options["allow"] ?? "").split(separator: ", ").map(String.init)) == allowed, "\(label)")
            }
        }
    }

    @Test func `a parameter that a route does not know is named, on every route`() async throws {
        try await GatewayFixture.with { fixture, client in
            for route in try await Self.prepared(fixture, client) {
                let path = Self.path(route)
                let answer = try client.send(route.method.rawValue, path + (path.contains("?") ? "&" : "?") + "limti=1")
                #expect(answer.status == 400, "\(route.label)")
                #expect(answer.json["code"] as? String == "unknown_parameter", "\(route.label)")
                let errors = answer.json["errors"] as? [[String: Any]]
                #expect(errors?.first?["field"] as? String == "limti", "\(route.label)")
            }
        }
    }

    /// What is sent, and the status with the word that must come.
    struct Row: Sendable, CustomTestStringConvertible {
        let why: String
        let method: String
        let target: String
        var headers: [String] = ["Content-Type: application/json"]
        let body: String
        let status: Int
        let code: String
        var field = ""
        var testDescription: String { why }
    }

    static let bodies: [Row] = [
        Row(why: "no type means JSON", method: "PUT", target: "/entities/t:2", headers: [], body: "{}", status: 201, code: ""),
        Row(
            why: "types in any case, with a charset", method: "PUT", target: "/entities/t:2",
            headers: ["content-TYPE: Application/JSON; Charset=\"UTF-8\""], body: "{}", status: 201, code: ""),
        Row(
            why: "a form is no document", method: "PUT", target: "/entities/t:2",
            headers: ["Content-Type: application/x-www-form-urlencoded"], body: "a=1", status: 415, code: "unsupported_media_type",
            field: "Content-Type"),
        Row(
            why: "text is no document", method: "PUT", target: "/entities/t:2", headers: ["Content-Type: text/plain"], body: "{}",
            status: 415, code: "unsupported_media_type", field: "Content-Type"),
        Row(
            why: "another charset", method: "PUT", target: "/entities/t:2", headers: ["Content-Type: application/json; charset=utf-16"],
            body: "{}", status: 415, code: "unsupported_media_type", field: "Content-Type"),
        Row(
            why: "a type that begins like it", method: "PUT", target: "/entities/t:2", headers: ["Content-Type: application/jsonx"],
            body: "{}", status: 415, code: "unsupported_media_type", field: "Content-Type"),
        Row(
            why: "two types", method: "PUT", target: "/entities/t:2",
            headers: ["Content-Type: application/json", "Content-Type: text/plain"], body: "{}", status: 415,
            code: "unsupported_media_type", field: "Content-Type"),
        Row(
            why: "a patch must say which one it is", method: "PATCH", target: "/entities/t:1", headers: [], body: "{}", status: 415,
            code: "unsupported_media_type", field: "Content-Type"),
        Row(
            why: "a patch as plain JSON", method: "PATCH", target: "/entities/t:1", body: "{}", status: 415, code: "unsupported_media_type",
            field: "Content-Type"),
        Row(
            why: "an unknown coding", method: "PUT", target: "/entities/t:2", headers: ["Content-Encoding: br"], body: "{}", status: 415,
            code: "unsupported_media_type"),
        Row(
            why: "what is no gzip", method: "PUT", target: "/entities/t:2", headers: ["Content-Encoding: gzip"], body: "{}", status: 400,
            code: "invalid_request"),
        Row(why: "an empty key", method: "PUT", target: "/entities/t:", body: "{}", status: 400, code: "invalid_key"),
        Row(why: "no colon in a key", method: "PUT", target: "/entities/t", body: "{}", status: 400, code: "invalid_key"),
        Row(why: "dots are no table", method: "PUT", target: "/entities/..:1", body: "{}", status: 400, code: "invalid_key"),
        Row(why: "a control character in a key", method: "PUT", target: "/entities/t:%0A", body: "{}", status: 400, code: "invalid_key"),
        Row(
            why: "a byte that is no UTF-8 in a key", method: "PUT", target: "/entities/t:%FF", body: "{}", status: 400,
            code: "invalid_request"),
        Row(
            why: "an unknown field", method: "POST", target: "/entities/get", body: #"{"keys":[],"feilds":["a"]}"#, status: 400,
            code: "unknown_parameter", field: "feilds"),
        Row(
            why: "an unknown field of an entity's envelope", method: "POST", target: "/entities",
            body: #"{"key":"t:2","document":{},"ttl":1}"#, status: 400, code: "unknown_parameter", field: "ttl"),
        Row(
            why: "an unknown setting of a table", method: "PUT", target: "/tables/t", body: #"{"cdc":{"old_valeus":true}}"#, status: 400,
            code: "unknown_parameter", field: "cdc.old_valeus"),
        Row(
            why: "a field where none may be", method: "POST", target: "/admin/flush", body: #"{"wait":true}"#, status: 400,
            code: "unknown_parameter", field: "wait"),
        Row(
            why: "what is no transaction id", method: "GET", target: "/entities/t:1", headers: ["X-Transaction-Id: 7"], body: "",
            status: 400,
            code: "invalid_request", field: "X-Transaction-Id"),
    ]

    @Test(arguments: bodies)
    func `types, codings, keys and fields that are wrong are refused by name`(row: Row) async throws {
        try await GatewayFixture.with { _, client in
            _ = try client.put("/entities/t:1", "{}")
            let socket = try ClientSocket(port: client.port)
            let headers = row.headers.map { $0 + "\r\n" }.joined()
            try socket.send(
                "\(row.method) \(row.target) HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
                    + "Content-Length: \(row.body.utf8.count)\r\n\(headers)\r\n\(row.body)"
            )
            let text = String(decoding: try socket.receiveToEnd(), as: UTF8.self)
            #expect(text.hasPrefix("HTTP/1.1 \(row.status) "), "\(text)")
            guard !row.code.isEmpty else { return }
            #expect(text.contains(#""code":"\#(row.code)""#), "\(text)")
            #expect(row.field.isEmpty || text.contains(#""field":"\#(row.field)""#), "\(text)")
            // Accept-Encoding in an answer says that the coding was the reason.
            #expect(
                text.contains("Accept-Encoding: gzip") == (row.status == 415 && row.headers.contains { $0.hasPrefix("Content-Encoding") }))
        }
    }

    @Test func `clients that stand still in an export leave room for everyone else`() async throws {
        try await GatewayFixture.with { fixture, client in
            _ = try client.put("/entities/t:1", "{}")
            await NetLoop.run { fixture.core.hold(.export) }
            let stuck = try (0..<Limits.streamsAtOnce).map { _ in
                let socket = try ClientSocket(port: client.port)
                try socket.send("GET /entities?table=t HTTP/1.1\r\nHost: a\r\nAccept: application/x-ndjson\r\n\r\n")
                return socket
            }
            await fixture.core.wait { fixture.core.received.count { $0.method == .export } == Limits.streamsAtOnce }
            let refused = try client.get("/entities?table=t", ["Accept": "application/x-ndjson"])
            #expect(refused.status == 503)
            #expect(refused["retry-after"] == "1")
            #expect(try client.get("/entities/t:1").status == 200)
            await NetLoop.run { fixture.core.override = nil }
            for socket in stuck { socket.reset() }
            var status = 503
            for _ in 0..<200 where status == 503 {
                status = try client.get("/entities?table=t", ["Accept": "application/x-ndjson"]).status
                if status == 503 { try await NetLoop.sleep(milliseconds: 10) }
            }
            #expect(status == 200)
        }
    }
}
