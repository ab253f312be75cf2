public import ThemisBase

/// Something that an exchange waits for, and may stop waiting for.
public protocol PendingWork: AnyObject {
    /// Nobody waits any more.
    @NetLoop func abandon()
}

/// A body that is put together for a handler without a task.
struct WholeBody {
    let limit: Int
    let use: @NetLoop ([UInt8]) throws(ThemisError) -> Void
    /// What was decompressed so far.
    var plain: [UInt8] = []
}

/// The whole body for a handler without a task.
extension HTTPExchange {
    /// Calls `use` once with the body, decompressed, when it is whole; what it throws is answered. A body that is larger than `limit`
    /// or broken is answered here, before it is read when its length is told.
    public func whenBodyIsWhole(limit: Int, _ use: @escaping @NetLoop ([UInt8]) throws(ThemisError) -> Void) {
        if case .length(let count) = body.framing, count > limit { return fail(Self.tooLarge(limit)) }
        if body.framing != .none, !body.isComplete, refusesBody() { return }
        wholeBody = WholeBody(limit: limit, use: use)
        if body.framing == .none || body.isComplete { return bodyCompleted() }
        body.gathersAll = true
        connection?.wantsBody(of: self)
    }

    /// More of the body has come.
    func bodyArrived(_ count: Int) {
        guard holdsBody(count) else { return }
        guard let limit = wholeBody?.limit else { return }
        guard body.isGzipped else {
            if body.buffered.count > limit { fail(Self.tooLarge(limit)) }
            return
        }
        let inflater = body.inflater ?? GzipInflater()
        body.inflater = inflater
        do throws(ThemisError) {
            var plain = wholeBody?.plain ?? []
            wholeBody?.plain = []
            try inflater.inflate(body.take(), into: &plain, limit: limit)
            wholeBody?.plain = plain
        } catch {
            fail(error)
        }
    }

    /// The end of the body has come.
    func bodyCompleted() {
        guard let whole = wholeBody else { return }
        wholeBody = nil
        do throws(ThemisError) {
            if let inflater = body.inflater, !inflater.isComplete {
                throw ThemisError(.invalidRequest, "the gzip body ends too early")
            }
            try whole.use(body.isGzipped ? whole.plain : body.take())
        } catch {
            fail(error)
        }
    }
}
