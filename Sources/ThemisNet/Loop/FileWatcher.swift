import CEvent

/// What a descriptor is ready for.
public struct Readiness: OptionSet, Sendable {
    /// The bits.
    public let rawValue: UInt8
    /// Any bits; unknown ones mean nothing.
    public init(rawValue: UInt8) { self.rawValue = rawValue }
    /// Reading gives bytes, the end of the stream or an error.
    public static let readable = Readiness(rawValue: 1)
    /// Writing takes bytes or gives an error.
    public static let writable = Readiness(rawValue: 2)
}

/// Watches one descriptor, level-triggered. Does not own the descriptor.
///
/// Keeps its action, and what that captures, until `cancel` or until the watcher itself is gone. The descriptor must stay open
/// until then.
@NetLoop public final class FileWatcher {
    private let descriptor: Int32
    private let action: EventAction
    private let handle: EventHandle
    /// Set while the descriptor is watched as a pressing one.
    private var place: PressingPlace?
    /// What is being watched for now.
    public private(set) var interest: Readiness = []

    /// Whether the descriptor is served ahead of others while it is watched for reading alone. After a refusal of the kernel it is
    /// watched for nothing.
    public var isPressing = false {
        didSet {
            guard isPressing != oldValue, interest == .readable else { return }
            watch([])
            watch(.readable)
        }
    }

    /// Watches `descriptor`, for nothing yet.
    public init(descriptor: Int32, action: @escaping @NetLoop (Readiness) -> Void) {
        self.descriptor = descriptor
        self.action = EventAction { events in
            var ready: Readiness = []
            if events & Int16(EV_READ) != 0 { ready.insert(.readable) }
            if events & Int16(EV_WRITE) != 0 { ready.insert(.writable) }
            action(ready)
        }
        handle = EventHandle(descriptor: descriptor, events: EV_READ | EV_PERSIST, action: self.action)
    }

    /// Watches for `interest` from now on; empty rests. Returns false when the kernel refuses the descriptor, which is then not
    /// watched.
    @discardableResult public func watch(_ interest: Readiness) -> Bool {
        guard interest != self.interest else { return true }
        if place != nil { place = nil } else if !self.interest.isEmpty { handle.remove() }
        self.interest = interest
        guard !interest.isEmpty, action.action != nil else { return true }
        if isPressing, interest == .readable {
            place = PressingPlace(descriptor: descriptor, action: action)
            if place == nil { self.interest = [] }
            return place != nil
        }
        var events = EV_PERSIST
        if interest.contains(.readable) { events |= EV_READ }
        if interest.contains(.writable) { events |= EV_WRITE }
        handle.assign(descriptor: descriptor, events: events)
        guard handle.add() else {
            self.interest = []
            return false
        }
        return true
    }

    /// Ends the watch for good and lets go of the action. May be called from the action itself, and repeatedly.
    public func cancel() {
        watch([])
        action.action = nil
    }
}
