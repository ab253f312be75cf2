import ThemisBase

/// What requests that wait for their answers hold: of one of them, or of a whole server.
struct HTTPLoad {
    var requests = 0
    var bodyBytes = 0
}

/// Work that is refused apart from other work when it takes too long. Questions of microseconds are in none.
enum HTTPWork {
    /// Ends on the disk.
    case write
    /// May take milliseconds of the core's threads.
    case scan

    init?(_ scope: Scopes?, _ handler: Route.Handler) {
        if scope == .dataWrite {
            self = .write
        } else if case .task = handler, scope == .dataRead {
            self = .scan
        } else {
            return nil
        }
    }
}

/// The gates of a server: what of each kind is under way, and whether it is answered in time.
struct HTTPGates {
    private var write: AdmissionGate
    private var scan: AdmissionGate

    init(write: AdmissionGate.Bounds, scan: AdmissionGate.Bounds) {
        self.write = AdmissionGate(write)
        self.scan = AdmissionGate(scan)
    }

    subscript(_ work: HTTPWork) -> AdmissionGate {
        get { work == .write ? write : scan }
        _modify { if work == .write { yield &write } else { yield &scan } }
    }
}

/// A piece of work that passed its gate.
struct HTTPTurn {
    let work: HTTPWork
    let bytes: Int
    let sinceNanoseconds: UInt64
}

/// Admission: bounds on what waits, by number, bytes and age, so that what is admitted is answered in time and memory is bounded. What a
/// process answers from itself (health, version) needs no scope and is always admitted; streams and waits are bounded by the number of
/// connections.
///
/// A request passes the gate of its work when its body is whole: the time that a client takes for it is not ours.
extension HTTPExchange {
    /// Takes a place among the requests in progress; without one the request is refused. Returns whether it goes on.
    func isAdmitted(_ route: Route) -> Bool {
        guard route.scope != nil, route.routeClass == .unary || route.routeClass == .job else { return true }
        guard server.load.requests < server.options.maxRequests else {
            refuse(overloaded("\(server.options.maxRequests) requests wait already"))
            return false
        }
        if body.framing == .none, let work = route.work, !take(work, nowNanoseconds: startedNanoseconds) {
            refuse(late(work))
            return false
        }
        share.requests = 1
        server.load.requests += 1
        return true
    }

    private func refuse(_ error: ThemisError) { server.refusalPace.refuse(self, error, nowNanoseconds: server.nowNanoseconds) }

    /// Passes the gate now that the body has come, or is refused.
    func takeTurn() {
        guard turn == nil, share.requests > 0, body.framing != .none, routeClass == .unary || routeClass == .job,
            let work = route?.work, !take(work, nowNanoseconds: server.nowNanoseconds)
        else { return }
        guard wholeBody != nil else { return abort(with: late(work)) }
        wholeBody = nil
        _ = body.take()
        leaveLoad()
        refuse(late(work))
    }

    /// Whether the request was refused before its body is read.
    func refusesBody() -> Bool {
        let now = server.nowNanoseconds
        guard turn == nil, let work = route?.work, routeClass == .unary || routeClass == .job,
            server.gates[work].refuses(bytes: 0, ageNanoseconds: connection?.ageNanoseconds(now) ?? 0, nowNanoseconds: now)
        else { return false }
        leaveLoad()
        refuse(late(work))
        return true
    }

    private func take(_ work: HTTPWork, nowNanoseconds now: UInt64) -> Bool {
        let bytes = body.receivedBytes
        let age = min(now, connection?.ageNanoseconds(now) ?? 0)
        guard server.gates[work].admit(bytes: bytes, ageNanoseconds: age, nowNanoseconds: now) else { return false }
        turn = HTTPTurn(work: work, bytes: bytes, sinceNanoseconds: now - age)
        return true
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

    /// Gives the place back. An answer that the core refused tells nothing of how long work takes.
    func leaveLoad(status: Int? = nil) {
        server.load.requests -= share.requests
        server.load.bodyBytes -= share.bodyBytes
        share = HTTPLoad()
        guard let left = turn else { return }
        turn = nil
        server.gates[left.work].end(
            bytes: left.bytes, arrivedNanoseconds: left.sinceNanoseconds, isTimed: status.map { $0 < 500 } ?? false,
            nowNanoseconds: server.nowNanoseconds)
    }

    private func late(_ work: HTTPWork) -> ThemisError {
        overloaded(work == .write ? "writes wait too long; ask again" : "scans and queries wait too long; ask again")
    }

    private func overloaded(_ message: String) -> ThemisError {
        let error = ThemisError(.overloaded, message, retryAfterSeconds: 1)
        return route?.scope == .dataWrite ? error.with(outcome: .notCommitted) : error
    }
}
