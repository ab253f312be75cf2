public import ThemisBase

/// How the bounds of a route work.
public enum RouteClass: String, Sendable, CaseIterable {
    /// Every limit; `request_timeout_ms` bounds the whole request.
    case unary
    /// The request body is a stream: no total limit, but an idle limit and a minimum rate.
    case streamIn = "stream-in"
    /// The answer is a stream without a total limit.
    case streamOut = "stream-out"
    /// Waits as long as the caller asked, plus a margin.
    case wait
    /// Answers with a job.
    case job
}

/// Answers one request. Runs as a task on the loop; is cancelled when the client goes away or the time is over.
public typealias HTTPHandler = @NetLoop @Sendable (HTTPExchange) async throws -> Void

/// Answers one request without a task of its own: reads the head, says what happens when the body or the core's answer is there
/// (`whenBodyIsWhole`, `pending`), and returns. For what comes many thousand times a second: a task costs as much as all the rest.
public typealias DirectHandler = @NetLoop @Sendable (HTTPExchange) throws(ThemisError) -> Void

/// One row of a route table. Shared by reference: every request holds its row.
public final class Route: Sendable {
    /// The method. GET answers HEAD too.
    public let method: HTTPMethod
    /// The path: literal segments, `{name}` for one segment, and at the end `{name*}` for all that is left, slashes included.
    public let pattern: String
    /// How its bounds work.
    public let routeClass: RouteClass
    /// What the principal must be allowed; nil for open routes.
    public let scope: Scopes?
    /// Names of the query parameters it understands; others are refused by name.
    public let parameters: [String]
    /// One sentence for the documentation.
    public let summary: String
    let handler: Handler

    /// Whether those ask it who look after the process: it is answered ahead of other work.
    let isOfOperators: Bool
    /// The gate that its requests pass; nil for quick questions, and for what other bounds hold.
    let work: HTTPWork?

    enum Handler: Sendable {
        case task(HTTPHandler)
        case direct(DirectHandler)
    }

    /// Makes a row that is answered by a task.
    public convenience init(
        _ method: HTTPMethod, _ pattern: String, _ routeClass: RouteClass = .unary, scope: Scopes?, parameters: [String] = [],
        summary: String, handler: @escaping HTTPHandler
    ) {
        self.init(method, pattern, routeClass, scope, parameters, summary, .task(handler))
    }

    /// A row that is answered without a task. Not an initialiser: a closure that does not wait would fit both.
    public static func direct(
        _ method: HTTPMethod, _ pattern: String, _ routeClass: RouteClass = .unary, scope: Scopes?, parameters: [String] = [],
        summary: String, handler: @escaping DirectHandler
    ) -> Route {
        Route(method, pattern, routeClass, scope, parameters, summary, .direct(handler))
    }

    private init(
        _ method: HTTPMethod, _ pattern: String, _ routeClass: RouteClass, _ scope: Scopes?, _ parameters: [String], _ summary: String,
        _ handler: Handler
    ) {
        self.method = method
        self.pattern = pattern
        self.routeClass = routeClass
        self.scope = scope
        self.parameters = parameters
        self.summary = summary
        self.handler = handler
        isOfOperators = scope.map { Scopes([.metricsRead, .configRead]).isSuperset(of: $0) } ?? true
        work = isOfOperators || (routeClass != .unary && routeClass != .job) ? nil : HTTPWork(scope, handler)
    }

    /// The pattern as metrics and documentation write it: without the star.
    public var label: String { String(pattern.filter { $0 != "*" }) }
}

/// Finds the route of a path: a tree of segments. Built once, then only read; any thread.
public struct Router: Sendable {
    /// What a path leads to.
    enum Match {
        case found(index: Int, values: [(name: String, value: String)])
        case wrongMethod(allow: String)
        case unknown
    }

    private struct Node: Sendable {
        var literals: [(segment: [UInt8], node: Int)] = []
        var parameter: Int?
        var rest: Int?
        /// Methods that end here, with the index of their route.
        var ends: [(method: HTTPMethod, route: Int)] = []
    }

    /// The table, in the order given.
    public let routes: [Route]
    /// `label` of each route.
    public let labels: [String]
    private var nodes = [Node()]
    private let names: [[String]]

    /// Builds the tree. Two rows with the same method and shape are a bug and trap.
    public init(_ routes: [Route]) {
        self.routes = routes
        labels = routes.map(\.label)
        names = routes.map { route in
            route.pattern.split(separator: "/").filter { $0.hasPrefix("{") }.map { String($0.filter { !"{}*".contains($0) }) }
        }
        for index in routes.indices { insert(index) }
        precondition(names.allSatisfy { $0.count <= ValueRanges.most }, "a pattern has at most \(ValueRanges.most) parameters")
    }

    private mutating func insert(_ index: Int) {
        let route = routes[index]
        precondition(route.pattern.hasPrefix("/"), "a pattern begins with /: \(route.pattern)")
        var node = 0
        for segment in route.pattern.dropFirst().split(separator: "/", omittingEmptySubsequences: false) {
            node = child(of: node, for: segment)
        }
        precondition(!nodes[node].ends.contains { $0.method == route.method }, "two routes for \(route.method) \(route.pattern)")
        nodes[node].ends.append((route.method, index))
    }

    private mutating func child(of node: Int, for segment: Substring) -> Int {
        let next = nodes.count
        if segment.hasSuffix("*}") {
            if let known = nodes[node].rest { return known }
            nodes[node].rest = next
        } else if segment.hasPrefix("{") {
            if let known = nodes[node].parameter { return known }
            nodes[node].parameter = next
        } else {
            let bytes = Array(segment.utf8)
            if let known = nodes[node].literals.first(where: { $0.segment == bytes }) { return known.node }
            nodes[node].literals.append((bytes, next))
        }
        nodes.append(Node())
        return next
    }

    /// Looks up an encoded path. Literal segments win over parameters, parameters over the rest.
    ///
    /// - Throws: `invalid_request` for a broken percent escape.
    func match(_ path: ArraySlice<UInt8>, _ method: HTTPMethod) throws(ThemisError) -> Match {
        let isEscaped = unsafe path.withUnsafeBytes { unsafe ASCII.firstIndex(of: ASCII.percent, in: $0) != nil }
        if isEscaped {
            for segment in path.split(separator: ASCII.slash) { _ = try RequestTarget.decoded(segment) }
        }
        var values = ValueRanges()
        let found = unsafe path.withUnsafeBytes { unsafe find($0, from: min(1, $0.count), node: 0, isEscaped, &values) }
        guard let end = found else { return .unknown }
        let ends = nodes[end].ends
        var wanted = ends.first { $0.method == method }
        if wanted == nil, method == .head { wanted = ends.first { $0.method == .get } }
        guard let wanted else { return .wrongMethod(allow: allow(end)) }
        var named: [(name: String, value: String)] = []
        named.reserveCapacity(values.count)
        for index in 0..<values.count {
            let range = values[index]
            let part = path[(path.startIndex + range.lowerBound)..<(path.startIndex + range.upperBound)]
            // Decoded after matching: an encoded slash stays inside its segment.
            let value = isEscaped ? try RequestTarget.decoded(part) : String(decoding: part, as: UTF8.self)
            named.append((names[wanted.route][index], value))
        }
        return .found(index: wanted.route, values: named)
    }

    /// The node where the segments from `start` on lead; adds where the values of parameters stand.
    private func find(
        _ path: UnsafeRawBufferPointer, from start: Int, node: Int, _ isEscaped: Bool, _ values: inout ValueRanges
    ) -> Int? {
        guard start <= path.count else { return nodes[node].ends.isEmpty ? nil : node }
        var end = start
        while end < path.count, unsafe path[end] != ASCII.slash { end += 1 }
        let segment = unsafe UnsafeRawBufferPointer(rebasing: path[start..<end])
        for literal in nodes[node].literals where unsafe Self.isEqual(segment, literal.segment, isEscaped) {
            if let found = unsafe find(path, from: end + 1, node: literal.node, isEscaped, &values) { return found }
        }
        if let parameter = nodes[node].parameter, unsafe !segment.isEmpty {
            values.append(start..<end)
            if let found = unsafe find(path, from: end + 1, node: parameter, isEscaped, &values) { return found }
            values.removeLast()
        }
        guard let rest = nodes[node].rest, start < path.count else { return nil }
        values.append(start..<path.count)
        return rest
    }

    private static func isEqual(_ segment: UnsafeRawBufferPointer, _ literal: [UInt8], _ isEscaped: Bool) -> Bool {
        if segment.count == literal.count { return unsafe literal.withUnsafeBytes { unsafe ASCII.isEqual($0, segment) } }
        guard isEscaped, segment.count > literal.count, let plain = try? unsafe RequestTarget.decoded(ArraySlice(segment)) else {
            return false
        }
        return plain.utf8.elementsEqual(literal)
    }

    private func allow(_ node: Int) -> String {
        var words = nodes[node].ends.map(\.method.rawValue)
        if words.contains("GET"), !words.contains("HEAD") { words.append("HEAD") }
        return (words + ["OPTIONS"]).joined(separator: ", ")
    }
}

/// Where the values of a path's parameters stand in it: few, and kept without memory of their own.
private struct ValueRanges {
    /// More than any pattern has.
    static let most = 8
    private(set) var count = 0
    private var ranges = InlineArray<8, Range<Int>>(repeating: 0..<0)

    subscript(_ index: Int) -> Range<Int> { ranges[index] }

    mutating func append(_ range: Range<Int>) {
        ranges[count] = range
        count += 1
    }

    mutating func removeLast() { count -= 1 }
}
