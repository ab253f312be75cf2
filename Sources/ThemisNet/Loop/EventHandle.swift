import CEvent
import CLinux

/// What libevent calls: owned by the event, so that a callback never meets a freed object.
@NetLoop final class EventAction: EpollMember {
    var action: (@NetLoop (Int16) -> Void)?

    init(_ action: @escaping @NetLoop (Int16) -> Void) { self.action = action }

    /// As a member of a set of readers: the end of the peer shows when it is read.
    func becameReady(_ state: UInt8) { action?(Int16(EV_READ)) }
}

/// One libevent event with the action it owns.
///
/// May be dropped on any thread; the event itself is only touched on the loop thread.
@safe struct EventHandle: ~Copyable {
    private let event: OpaquePointer
    private let retained: UnsafeMutableRawPointer

    /// An event that is not added yet.
    @NetLoop init(descriptor: Int32, events: Int32, action: EventAction) {
        unsafe retained = unsafe Unmanaged.passRetained(action).toOpaque()
        let made = unsafe event_new(LoopExecutor.shared.base, descriptor, Int16(events), eventCallback, retained)
        guard let made = unsafe made else { preconditionFailure("out of memory for an event") }
        unsafe event = unsafe made
    }

    deinit {
        if LoopExecutor.isOnLoop { return unsafe Self.free(event, retained) }
        // Addresses travel as numbers: only the loop may touch what is behind them.
        let numbers = unsafe (UInt(bitPattern: event), UInt(bitPattern: retained))
        NetLoop.post {
            guard let event = unsafe OpaquePointer(bitPattern: numbers.0),
                let retained = unsafe UnsafeMutableRawPointer(bitPattern: numbers.1)
            else { return }
            unsafe EventHandle.free(event, retained)
        }
    }

    private static func free(_ event: OpaquePointer, _ retained: UnsafeMutableRawPointer) {
        unsafe event_free(event)
        unsafe Unmanaged<EventAction>.fromOpaque(retained).release()
    }

    /// Adds the event, after `microseconds` when it is a timer. Returns false when the kernel refuses the descriptor.
    @NetLoop borrowing func add(microseconds: Int64? = nil) -> Bool {
        guard let microseconds else { return unsafe event_add(event, nil) == 0 }
        var interval = timeval(tv_sec: Int(microseconds / 1_000_000), tv_usec: Int(microseconds % 1_000_000))
        return unsafe event_add(event, &interval) == 0
    }

    /// Takes the event out of the loop; it may be added again.
    @NetLoop borrowing func remove() { unsafe event_del(event) }

    /// Gives the event another descriptor or interest. It must not be in the loop.
    @NetLoop borrowing func assign(descriptor: Int32, events: Int32) {
        unsafe event_assign(event, LoopExecutor.shared.base, descriptor, Int16(events), eventCallback, retained)
    }
}

/// libevent calls this on the loop thread only.
private func eventCallback(_ descriptor: Int32, _ events: Int16, _ argument: UnsafeMutableRawPointer?) {
    guard let argument = unsafe argument else { return }
    // A strong reference: the action may drop the event, and with it the last other reference to itself.
    let action = unsafe Unmanaged<EventAction>.fromOpaque(argument).takeUnretainedValue()
    NetLoop.assumeIsolated {
        action.action?(events)
        LoopExecutor.shared.countServed()
    }
}
