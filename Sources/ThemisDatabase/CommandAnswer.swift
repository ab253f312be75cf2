import ThemisBase

/// Where the caller of a command waits for what it gave.
final class CommandAnswer<Value: Sendable>: Sendable {
    private struct State {
        var value: Value?
        var error: ThemisError?
        var isDone = false
    }

    private let state = Monitor(State())

    /// On the committer's thread, when the command ran.
    func set(_ value: Value) { state.withLock { $0.value = value } }

    /// When the command's batch is stored, or is not.
    func finish(_ error: ThemisError?) {
        state.withLock { state in
            state.error = error
            state.isDone = true
        }
        state.notifyOne()
    }

    /// Waits for `finish`.
    func get() throws(ThemisError) -> Value {
        let result: Result<Value, ThemisError> = state.wait { state in
            guard state.isDone else { return nil }
            if let error = state.error { return .failure(error) }
            guard let value = state.value else { preconditionFailure("a command without an error has a value") }
            return .success(value)
        }
        return try result.get()
    }
}
