import Synchronization
import ThemisBase
import ThemisNet

/// Replies from other threads on their way to the loop.
final class CompletionQueue: Sendable {
    struct Completion: Sendable {
        let call: RPCServerCall
        let result: Result<[UInt8], ThemisError>
    }

    private struct State {
        var waiting: [Completion] = []
        /// Threads that have more to come.
        var holders = 0
    }

    private let state = Mutex(State())

    func add(_ completion: Completion) {
        let isFirst = state.withLock {
            $0.waiting.append(completion)
            return $0.waiting.count == 1 && $0.holders == 0
        }
        if isFirst { NetLoop.post { self.deliver() } }
    }

    /// Wakes the loop once for all that `body` adds.
    func hold(_ body: () -> Void) {
        state.withLock { $0.holders += 1 }
        body()
        let isLast = state.withLock {
            $0.holders -= 1
            return $0.holders == 0 && !$0.waiting.isEmpty
        }
        if isLast { NetLoop.post { self.deliver() } }
    }

    @NetLoop private func deliver() {
        let completions = state.withLock { state in
            var taken: [Completion] = []
            swap(&taken, &state.waiting)
            return taken
        }
        for completion in completions {
            switch completion.result {
            case .success(let body): completion.call.respond(body)
            case .failure(let error): completion.call.fail(error)
            }
        }
    }
}
