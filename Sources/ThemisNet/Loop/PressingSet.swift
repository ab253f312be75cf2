/// Descriptors that are served ahead of the others, and between them while thousands are ready: the listener, connections that have not
/// asked yet, those of operators, the answers of the core. At most as many at a time as leave the others their turn.
@NetLoop enum PressingSet {
    static let shared = EpollSet<EventAction>(perDispatch: 64)
}

/// A place in the pressing set. May be dropped on any thread.
struct PressingPlace: ~Copyable {
    private let slot: UInt32
    private let descriptor: Int32
    private let action: EventAction

    /// Nil when the kernel refuses the descriptor.
    @NetLoop init?(descriptor: Int32, action: EventAction) {
        guard let slot = PressingSet.shared.add(action, descriptor: descriptor) else { return nil }
        self.slot = slot
        self.descriptor = descriptor
        self.action = action
    }

    deinit {
        let (slot, descriptor, action) = (slot, descriptor, action)
        if LoopExecutor.isOnLoop {
            NetLoop.assumeIsolated { PressingSet.shared.remove(slot, action, descriptor: descriptor) }
        } else {
            NetLoop.post { PressingSet.shared.remove(slot, action, descriptor: descriptor) }
        }
    }
}
