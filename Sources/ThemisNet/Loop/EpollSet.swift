import CEvent
import CLinux

/// What an `EpollSet` tells when a descriptor is ready.
protocol EpollMember: AnyObject {
    /// Bits: 1 it may be read, 2 written, 4 the peer has closed.
    @NetLoop func becameReady(_ state: UInt8)
}

/// Descriptors that are watched through an epoll descriptor of their own, which the loop watches as one: a few bytes for each instead of an
/// event, an action and their closures (about 300), and asked when the owner of the set likes.
///
/// Keeps its members until they are removed.
@NetLoop final class EpollSet<Member: EpollMember> {
    private let epoll = themis_epoll()
    private let perDispatch: Int
    private let asksItself: Bool
    private var handle: EventHandle?
    private var isWatched = false
    private var members: [Member?] = []
    private var generations: [UInt32] = []
    private var free: [UInt32] = []
    private var tokens: [UInt64]
    private var states: [UInt8]
    /// Told after each dispatch whether it was full, so that more may be ready.
    var portionServed: (@NetLoop (_ isFull: Bool) -> Void)?

    /// An empty set that serves at most `perDispatch` descriptors (256 at most) before others have their turn. One that `asksItself` is not
    /// watched by the loop: its owner calls `dispatch`.
    init(perDispatch: Int, asksItself: Bool = false) {
        self.perDispatch = perDispatch
        self.asksItself = asksItself
        tokens = [UInt64](repeating: 0, count: perDispatch)
        states = [UInt8](repeating: 0, count: perDispatch)
    }

    /// Watches `descriptor` for reading. Returns its place, nil when the kernel refuses.
    func add(_ member: Member, descriptor: Int32) -> UInt32? {
        if asksItself {
            isWatched = true
        } else if !isWatched, epoll >= 0 {
            let action = EventAction { [unowned self] _ in LoopExecutor.shared.countServed(dispatch()) }
            let made = EventHandle(descriptor: epoll, events: EV_READ | EV_PERSIST, action: action)
            isWatched = made.add()
            handle = consume made
        }
        let slot: Int
        if let reused = free.popLast() {
            slot = Int(reused)
        } else {
            slot = members.count
            members.append(nil)
            generations.append(0)
        }
        members[slot] = member
        generations[slot] &+= 1
        guard themis_epoll_watch(epoll, descriptor, token(slot), 0, 0) == 0 else {
            remove(UInt32(slot), member)
            return nil
        }
        return UInt32(slot)
    }

    /// Watches for writing too, or not any more. Returns false when the kernel refuses.
    func watch(_ slot: UInt32, descriptor: Int32, writable: Bool) -> Bool {
        themis_epoll_watch(epoll, descriptor, token(Int(slot)), writable ? 1 : 0, 1) == 0
    }

    private func token(_ slot: Int) -> UInt64 { UInt64(generations[slot]) << 32 | UInt64(slot) }

    /// Lets go of `member`, if it has that place. Its descriptor leaves the set by being closed, or by `descriptor` here.
    func remove(_ slot: UInt32, _ member: Member, descriptor: Int32? = nil) {
        guard slot < members.count, members[Int(slot)] === member else { return }
        if let descriptor { _ = themis_epoll_forget(epoll, descriptor) }
        members[Int(slot)] = nil
        free.append(slot)
    }

    private func slot(_ token: UInt64) -> Int? {
        let slot = Int(token & 0xFFFF_FFFF)
        // A slot may have been given to another member within one batch.
        return slot < members.count && generations[slot] == UInt32(token >> 32) && members[slot] != nil ? slot : nil
    }

    /// Serves what is ready now, without waiting. Returns how many that were.
    @discardableResult func dispatch() -> Int {
        guard isWatched else { return 0 }
        let count = unsafe Int(themis_epoll_ready(epoll, &tokens, &states, Int32(perDispatch)))
        for index in 0..<max(0, count) {
            guard let slot = slot(tokens[index]), let member = members[slot] else { continue }
            member.becameReady(states[index])
        }
        portionServed?(count == perDispatch)
        return max(0, count)
    }
}
