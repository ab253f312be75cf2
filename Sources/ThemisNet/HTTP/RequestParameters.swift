import ThemisBase

/// What a handler asks of the request's line.
extension HTTPExchange {
    /// For routes of the class `wait`: the caller asked to wait `milliseconds`; the deadline is set that far away, plus a margin.
    public func setWait(milliseconds: Int) {
        deadlineMilliseconds = server.nowMilliseconds + Int64(milliseconds) + Int64(Limits.waitMarginMilliseconds)
    }

    /// The path's parameter `name`, which the route's pattern has.
    public func pathParameter(_ name: String) -> String {
        guard let found = pathParameters.first(where: { $0.name == name }) else {
            preconditionFailure("the route has no path parameter \(name)")
        }
        return found.value
    }

    /// The query parameter `name`, nil when it was not given.
    public func queryParameter(_ name: String) -> String? { queryParameters.first { $0.name == name }?.value }

    /// The route that matched; nil for requests without one.
    public var route: Route? { routeIndex.map { server.router.routes[$0] } }

    /// The client as `address:port`.
    public var peer: String { connection?.stream.peer ?? "" }

    /// Milliseconds until the deadline, at least 0; nil for requests without one.
    public var remainingMilliseconds: Int64? {
        deadlineMilliseconds.map { max(0, $0 - server.nowMilliseconds) }
    }
}
