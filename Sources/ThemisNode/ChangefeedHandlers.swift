import ThemisBase
import ThemisDatabase
import ThemisNet
import ThemisRPC

/// A ChangesRead that found nothing and waits for the next commit.
struct LongPoll {
    let call: RPCServerCall
    var request: ChangesRequest
    let timer: LoopTimer
    /// Whether a read is on its way: one at a time, however many commits come meanwhile.
    var isLooking = false
}

/// The change log: pages, long polls, followers.
extension CoreService {
    func changesRead(_ call: RPCServerCall) {
        do throws(ThemisError) {
            let message: ChangesReadRequest = try call.decode()
            readChanges(
                call, try ChangesRequest(message), waitMilliseconds: Int(min(message.waitMilliseconds, UInt32(Limits.longPollMilliseconds)))
            )
        } catch {
            call.fail(error)
        }
    }

    private func readChanges(_ call: RPCServerCall, _ request: ChangesRequest, waitMilliseconds: Int) {
        let context = call.context()
        NetLoop.spawn {
            do throws(ThemisError) {
                let database = self.core.database
                let page = try await self.awaitPool(.heavy) { () throws(ThemisError) in try database.readChanges(request, context) }
                if page.changes.isEmpty, waitMilliseconds > 0, !call.isCancelled {
                    self.park(call, request, page, waitMilliseconds)
                } else {
                    call.respond(ThemisRPC.ChangesPage(page))
                }
            } catch {
                call.fail(error)
            }
        }
    }

    private func park(_ call: RPCServerCall, _ request: ChangesRequest, _ page: ThemisDatabase.ChangesPage, _ milliseconds: Int) {
        let id = nextLongPoll
        nextLongPoll += 1
        var request = request
        request.after = page.nextAfter
        let timer = LoopTimer { [unowned self] in finish(id) }
        timer.schedule(milliseconds: milliseconds)
        longPolls[id] = LongPoll(call: call, request: request, timer: timer)
        call.onCancel = { [weak self] in self?.finish(id) }
        // A commit between the read and this line is not lost: it is newer than what the page shows.
        if core.database.durableSequence > page.nextAfter { look(id) }
    }

    /// Something was committed.
    func wakeLongPolls() {
        for id in longPolls.keys { look(id) }
    }

    /// Reads again for a waiting call; it stays parked when its filter matches nothing.
    private func look(_ id: UInt64) {
        guard let poll = longPolls[id], !poll.isLooking else { return }
        longPolls[id]?.isLooking = true
        let database = core.database
        NetLoop.spawn {
            let request = poll.request
            do throws(ThemisError) {
                let page = try await self.awaitPool { () throws(ThemisError) in try database.readChanges(request) }
                guard self.longPolls[id] != nil else { return }
                self.longPolls[id]?.isLooking = false
                if page.changes.isEmpty {
                    self.longPolls[id]?.request.after = page.nextAfter
                    // Commits that came while it read found it busy.
                    if page.nextAfter != request.after, database.durableSequence > page.nextAfter { self.look(id) }
                } else {
                    self.longPolls[id] = nil
                    poll.call.respond(ThemisRPC.ChangesPage(page))
                }
            } catch {
                // Busy workers are no reason to end a wait: the next commit, or the end of the wait, comes by.
                guard error.code != .overloaded else {
                    self.longPolls[id]?.isLooking = false
                    return
                }
                guard self.longPolls.removeValue(forKey: id) != nil else { return }
                poll.call.fail(error)
            }
        }
    }

    /// The wait is over: an empty page says how far it has looked.
    private func finish(_ id: UInt64) {
        guard let poll = longPolls.removeValue(forKey: id) else { return }
        let database = core.database
        poll.call.respond(
            ThemisRPC.ChangesPage(
                changes: [], nextAfter: poll.request.after ?? database.durableSequence, latest: database.durableSequence,
                oldest: database.oldestSequence, epoch: database.epoch))
    }

    /// Answers every waiting call with what it has, so that the core can stop.
    func finishLongPolls() {
        for id in longPolls.keys { finish(id) }
    }

    // MARK: Followers

    func changesFollow(_ call: RPCServerCall) {
        followers += 1
        stream(call) { call throws(ThemisError) in
            defer { self.followers -= 1 }
            let database = self.core.database
            let message: ChangesReadRequest = try call.decode()
            var request = try ChangesRequest(message)
            request.limit = Self.followRecords
            request.maxBytes = Limits.streamCreditBytes
            call.onCancel = { self.commits.wakeAll() }
            var isFirst = true
            while !call.isCancelled {
                let next = request
                let page = try await self.awaitPool { () throws(ThemisError) in try database.readChanges(next) }
                if isFirst || !page.changes.isEmpty || page.nextAfter != request.after {
                    try await call.send(ThemisRPC.ChangesPage(page))
                }
                isFirst = false
                request.after = page.nextAfter
                request.epoch = page.epoch
                let isStuck = page.changes.isEmpty && page.nextAfter == next.after
                if !call.isCancelled, isStuck || database.durableSequence <= page.nextAfter { await self.commits.next() }
            }
        }
    }

    /// Records of one page to a follower.
    private static let followRecords = 1_000

    func changesInfo(_ call: RPCServerCall) {
        let database = core.database
        let open = UInt64(followers)
        onPool(call) { (_: EmptyMessage, _) throws(ThemisError) in ChangesInfoResponse(try database.changesInfo(), followers: open) }
    }
}
