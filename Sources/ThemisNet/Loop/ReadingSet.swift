import ThemisBase

/// How soon a descriptor is read when thousands are ready.
public enum ReadingLane: Sendable {
    /// Ahead of all others.
    case pressing
    /// In its turn.
    case ordinary
    /// Together with its like, a hundred times a second: what comes in drops is not worth a turn of the loop for each of them.
    case trickling
}

/// Descriptors that are watched for reading, in an epoll set of their own: a few bytes for each instead of the entries of libevent, which
/// stay for good. The kernel is asked for no more ready ones than are served next, so that what it touched for the answer is still in the
/// processor's caches when they are read.
@NetLoop final class ReadingSet {
    /// What is served ahead of the others, and between them while thousands are ready: the listener, connections that have not asked yet,
    /// those of operators, the answers of the core. At most as many at a time as leave the others their turn.
    static let pressing = ReadingSet(perDispatch: 256)
    /// Everything else: a millisecond or two of requests at a time.
    static let ordinary = {
        let set = ReadingSet(perDispatch: LoopExecutor.servedOfOneTurn)
        set.measureWaits()
        return set
    }()

    /// Whose requests come in drops. Thousands of them would wake the loop for a byte each, ahead of those who have asked something.
    static let trickling = {
        let set = ReadingSet(perDispatch: Limits.trickleReads, asksItself: true)
        set.timer = LoopTimer { [unowned set] in LoopExecutor.shared.countServed(set.members.dispatch()) }
        return set
    }()

    /// The set of a lane.
    static func of(_ lane: ReadingLane) -> ReadingSet {
        switch lane {
        case .pressing: pressing
        case .ordinary: ordinary
        case .trickling: trickling
        }
    }

    private let members: EpollSet<EventAction>
    /// Of a set that the loop does not watch; runs while it has members.
    private var timer: LoopTimer?
    private var marker: LineMarker?
    /// The place of each descriptor. One that was closed may have got another place before the old one is given back.
    private var places: [Int32: UInt32] = [:]

    private init(perDispatch: Int, asksItself: Bool = false) { members = EpollSet(perDispatch: perDispatch, asksItself: asksItself) }

    private func measureWaits() {
        let marker = LineMarker()
        // Without its descriptor nothing is measured: a process without descriptors has other sorrows.
        guard members.add(EventAction { _ in marker.reached() }, descriptor: marker.descriptor) != nil else { return }
        members.portionServed = { marker.portionServed(isFull: $0) }
        self.marker = marker
    }

    /// How long what is read now has waited in its socket, at most, in nanoseconds. 0 for a set that is not measured.
    var waitNanoseconds: UInt64 { marker?.waitNanoseconds() ?? 0 }

    /// Serves what is ready now, without waiting.
    func dispatch() { members.dispatch() }

    fileprivate func enter(_ descriptor: Int32, _ action: EventAction) -> UInt32? {
        guard let slot = members.add(action, descriptor: descriptor) else { return nil }
        places[descriptor] = slot
        if let timer, !timer.isScheduled { timer.scheduleRepeating(milliseconds: Limits.trickleMilliseconds) }
        return slot
    }

    fileprivate func leave(_ slot: UInt32, _ descriptor: Int32, _ action: EventAction) {
        let isItsPlace = places[descriptor] == slot
        if isItsPlace { places[descriptor] = nil }
        members.remove(slot, action, descriptor: isItsPlace ? descriptor : nil)
        if places.isEmpty { timer?.cancel() }
    }
}

/// A place in a set of readers. May be dropped on any thread.
struct ReadingPlace: ~Copyable {
    private let set: ReadingSet
    private let slot: UInt32
    private let descriptor: Int32
    private let action: EventAction

    /// Nil when the kernel refuses the descriptor.
    @NetLoop init?(in set: ReadingSet, descriptor: Int32, action: EventAction) {
        guard let slot = set.enter(descriptor, action) else { return nil }
        self.set = set
        self.slot = slot
        self.descriptor = descriptor
        self.action = action
    }

    deinit {
        let (set, slot, descriptor, action) = (set, slot, descriptor, action)
        if LoopExecutor.isOnLoop {
            NetLoop.assumeIsolated { set.leave(slot, descriptor, action) }
        } else {
            NetLoop.post { set.leave(slot, descriptor, action) }
        }
    }
}
