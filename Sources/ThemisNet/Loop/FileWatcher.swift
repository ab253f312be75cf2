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
    /// Set while it is watched for writing too: mostly never.
    private var handle: EventHandle?
    /// Set while it is watched for reading alone.
    private var place: ReadingPlace?
    /// What is being watched for now.
    public private(set) var interest: Readiness = []

    /// How soon the descriptor is served while it is watched for reading alone. After a refusal of the kernel it is watched for nothing.
    public var lane = ReadingLane.ordinary {
        didSet {
            guard lane != oldValue, interest == .readable else { return }
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
    }

    /// Watches for `interest` from now on; empty rests. Returns false when the kernel refuses the descriptor, which is then not
    /// watched.
    @discardableResult public func watch(_ interest: Readiness) -> Bool {
        guard interest != self.interest else { return true }
        place = nil
        handle = nil
        self.interest = interest
        guard !interest.isEmpty, action.action != nil else { return true }
        if interest == .readable {
            place = ReadingPlace(in: .of(lane), descriptor: descriptor, action: action)
            if place == nil { self.interest = [] }
            return place != nil
        }
        let events = EV_PERSIST | EV_WRITE | (interest.contains(.readable) ? EV_READ : 0)
        let handle = EventHandle(descriptor: descriptor, events: events, action: action)
        guard handle.add() else {
            self.interest = []
            return false
        }
        self.handle = consume handle
        return true
    }

    /// Ends the watch for good and lets go of the action. May be called from the action itself, and repeatedly.
    public func cancel() {
        watch([])
        action.action = nil
    }
}
