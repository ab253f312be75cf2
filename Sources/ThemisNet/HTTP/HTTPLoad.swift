import ThemisBase

/// What requests that wait for their answers hold: of one of them, or of a whole server.
struct HTTPLoad {
    var requests = 0
    var bodyBytes = 0
}

/// Admission: a bound on what waits, so that what is admitted is answered in time and memory is bounded. What a process answers from
/// itself (health, version) needs no scope and is always admitted; streams and waits are bounded by the number of connections.
extension HTTPExchange {
    /// Takes a place among the requests in progress.
    ///
    /// - Throws: `overloaded` when there is none.
    func admit(_ route: Route) throws(ThemisError) {
        guard route.scope != nil, route.routeClass == .unary || route.routeClass == .job else { return }
        guard server.load.requests < server.options.maxRequests else {
            throw overloaded("\(server.options.maxRequests) requests wait already")
        }
        share.requests = 1
        server.load.requests += 1
    }

    /// Counts bytes of the body that came; false when they were too many and the request was refused.
    func holdsBody(_ count: Int) -> Bool {
        guard share.requests > 0, routeClass != .streamIn else { return true }
        share.bodyBytes += count
        server.load.bodyBytes += count
        guard server.load.bodyBytes > server.options.maxBodyBytes else { return true }
        abort(with: overloaded("the bodies of requests in progress are larger than \(server.options.maxBodyBytes) bytes together"))
        return false
    }

    /// Gives the place back.
    func leaveLoad() {
        server.load.requests -= share.requests
        server.load.bodyBytes -= share.bodyBytes
        share = HTTPLoad()
    }

    private func overloaded(_ message: String) -> ThemisError {
        let error = ThemisError(.overloaded, message, retryAfterSeconds: 1)
        return route?.scope == .dataWrite ? error.with(outcome: .notCommitted) : error
    }
}
