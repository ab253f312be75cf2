import ThemisBase

/// What a handler asks of the request's line.
extension HTTPExchange {
    /// For routes of the class `wait`: the caller asked to wait `milliseconds`; the deadline is set that far away, plus a margin.
    public func setWait(milliseconds: Int) {
        deadlineMilliseconds = server.nowMilliseconds + Int64(milliseconds) + Int64(Limits.waitMarginMilliseconds)
    }

    /// The path's parameter `name`, which the route's pattern has.
    public func pathParameter(_ name: String) -> String {
        // A loop: a closure of the loop's, given to code that is not, proves its thread at every call, which costs more than the search.
        for parameter in pathParameters where parameter.name == name { return parameter.value }
        preconditionFailure("the route has no path parameter \(name)")
    }

    /// The query parameter `name`, nil when it was not given.
    public func queryParameter(_ name: String) -> String? { queryParameters.first { $0.name == name }?.value }

    /// The route that matched; nil for requests without one.
    public var route: Route? {
        guard let routeIndex else { return nil }
        return server.router.routes[routeIndex]
    }

    /// The client as `address:port`.
    public var peer: String { connection?.stream.peer ?? "" }

    /// Milliseconds until the deadline, at least 0; nil for requests without one.
    public var remainingMilliseconds: Int64? {
        guard let deadlineMilliseconds else { return nil }
        return max(0, deadlineMilliseconds - server.nowMilliseconds)
    }
}
