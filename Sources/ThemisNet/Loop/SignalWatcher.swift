import CEvent
public import ThemisBase

/// Turns a signal into a call on the loop. Dropping it restores the signal's default behaviour.
@NetLoop public final class SignalWatcher {
    private let handle: EventHandle

    /// Calls `action` on the loop for each arrival of `signal` (arrivals may merge, as signals do).
    ///
    /// - Throws: `internal` when the kernel refuses, which it does for SIGKILL and SIGSTOP.
    public init(_ signal: Int32, action: @escaping @NetLoop () -> Void) throws(ThemisError) {
        handle = EventHandle(descriptor: signal, events: EV_SIGNAL | EV_PERSIST, action: EventAction { _ in action() })
        guard handle.add() else { throw ThemisError(.internalError, "signal \(signal) cannot be watched") }
    }
}
