import Synchronization

/// Whether a call to the loop is on its way already.
final class PostedFlag: Sendable {
    private let flag = Atomic<Bool>(false)

    /// Raises the flag; false when it was raised before.
    func raise() -> Bool { !flag.exchange(true, ordering: .acquiringAndReleasing) }

    /// Lowers it, before what it announced is looked at.
    func lower() { flag.store(false, ordering: .sequentiallyConsistent) }
}
