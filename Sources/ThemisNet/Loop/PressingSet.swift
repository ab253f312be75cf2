/// Descriptors that are served ahead of the others, and between them while thousands are ready: the listener, connections that have not
/// asked yet, those of operators, the answers of the core. At most as many at a time as leave the others their turn.
@NetLoop enum PressingSet {
    static let shared = EpollSet<EventAction>(perDispatch: 256)
    /// The place of each descriptor. One that was closed may have got another place before the old one is given back.
    private static var places: [Int32: UInt32] = [:]

    static func enter(_ descriptor: Int32, _ action: EventAction) -> UInt32? {
        guard let slot = shared.add(action, descriptor: descriptor) else { return nil }
        places[descriptor] = slot
        return slot
    }

    static func leave(_ slot: UInt32, _ descriptor: Int32, _ action: EventAction) {
        let isItsPlace = places[descriptor] == slot
        if isItsPlace { places[descriptor] = nil }
        shared.remove(slot, action, descriptor: isItsPlace ? descriptor : nil)
    }
}

/// A place in the pressing set. May be dropped on any thread.
struct PressingPlace: ~Copyable {
    private let slot: UInt32
    private let descriptor: Int32
    private let action: EventAction

    /// Nil when the kernel refuses the descriptor.
    @NetLoop init?(descriptor: Int32, action: EventAction) {
        guard let slot = PressingSet.enter(descriptor, action) else { return nil }
        self.slot = slot
        self.descriptor = descriptor
        self.action = action
    }

    deinit {
        let (slot, descriptor, action) = (slot, descriptor, action)
        if LoopExecutor.isOnLoop {
            NetLoop.assumeIsolated { PressingSet.leave(slot, descriptor, action) }
        } else {
            NetLoop.post { PressingSet.leave(slot, descriptor, action) }
        }
    }
}
