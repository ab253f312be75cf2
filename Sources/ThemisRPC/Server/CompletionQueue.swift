import Synchronization
import ThemisBase
import ThemisNet

/// Replies from other threads on their way to the loop.
final class CompletionQueue: Sendable {
    struct Completion: Sendable {
        let call: RPCServerCall
        let result: Result<[UInt8], ThemisError>
    }

    private let waiting = Mutex<[Completion]>([])

    func add(_ completion: Completion) {
        let isFirst = waiting.withLock {
            $0.append(completion)
            return $0.count == 1
        }
        if isFirst { NetLoop.post { self.deliver() } }
    }

    @NetLoop private func deliver() {
        let completions = waiting.withLock { waiting in
            defer { waiting = [] }
            return waiting
        }
        for completion in completions {
            switch completion.result {
            case .success(let body): completion.call.respond(body)
            case .failure(let error): completion.call.fail(error)
            }
        }
    }
}
