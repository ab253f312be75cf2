/// What a gateway counts of one request.
public struct HTTPObservation: Sendable {
    /// The index of the route in the router; nil when none matched.
    public let routeIndex: Int?
    /// How the bounds of the request worked; nil when no route matched.
    public let routeClass: RouteClass?
    /// The method.
    public let method: HTTPMethod
    /// The status answered; 499 when the client went away before.
    public let status: Int
    /// From the end of the request's head to the end of its answer.
    public let microseconds: Int64
    /// Bytes of the request's body, as received.
    public let requestBytes: Int
    /// Bytes of the answer's body, as sent.
    public let answerBytes: Int
}
