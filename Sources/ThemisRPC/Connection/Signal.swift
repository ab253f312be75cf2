/// Wakes those who wait for a change, and none too late.
///
/// A task that was not started by `NetLoop.spawn` may leave the loop between looking at a condition and waiting for it. So it
/// takes a ticket before it looks, and a change since then wakes it at once.
struct Signal {
    private var changes = 0
    private var waiting: [CheckedContinuation<Void, Never>] = []

    /// Taken before the condition is looked at.
    var ticket: Int { changes }

    /// Waits for the next change after `ticket` was taken.
    mutating func add(_ continuation: CheckedContinuation<Void, Never>, since ticket: Int) {
        if changes == ticket { waiting.append(continuation) } else { continuation.resume() }
    }

    /// Something changed.
    mutating func fire() {
        changes += 1
        guard !waiting.isEmpty else { return }
        let woken = waiting
        waiting = []
        for continuation in woken { continuation.resume() }
    }
}
