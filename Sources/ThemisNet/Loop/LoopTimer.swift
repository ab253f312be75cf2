import CEvent

/// A timer of the loop, once or repeating. Dropping it cancels it.
@NetLoop public final class LoopTimer {
    private let handle: EventHandle
    private let state: State

    /// Shared with the event's action, which may outlive the timer by a turn.
    @NetLoop private final class State {
        var interval: Int64?
        var isScheduled = false
    }

    /// A timer that rests until it is scheduled. Keeps `action`; a `[weak self]` there avoids a cycle with the owner.
    public init(_ action: @escaping @NetLoop () -> Void) {
        let state = State()
        self.state = state
        let tick = EventAction { _ in
            guard state.isScheduled else { return }
            state.isScheduled = state.interval != nil
            action()
        }
        handle = EventHandle(descriptor: -1, events: 0, action: tick)
    }

    /// Whether it will fire.
    public var isScheduled: Bool { state.isScheduled }

    /// Fires once after `milliseconds`; replaces what was scheduled. 0 fires in the next turn.
    public func schedule(milliseconds: Int) { schedule(microseconds: Int64(milliseconds) * 1_000) }

    /// Fires once after `microseconds`; replaces what was scheduled.
    public func schedule(microseconds: Int64) { start(microseconds: microseconds, repeats: false) }

    /// Fires every `milliseconds`, at least 1; replaces what was scheduled.
    public func scheduleRepeating(milliseconds: Int) { start(microseconds: Int64(max(1, milliseconds)) * 1_000, repeats: true) }

    /// Fires no more until it is scheduled again.
    public func cancel() {
        guard state.isScheduled else { return }
        state.isScheduled = false
        state.interval = nil
        handle.remove()
    }

    private func start(microseconds: Int64, repeats: Bool) {
        cancel()
        let interval = max(0, microseconds)
        state.isScheduled = true
        state.interval = repeats ? interval : nil
        handle.assign(descriptor: -1, events: repeats ? EV_PERSIST : 0)
        precondition(handle.add(microseconds: interval), "out of memory for a timer")
    }
}
