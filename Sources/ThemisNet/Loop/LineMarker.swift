import CLinux
import Glibc
import ThemisBase

/// Measures how long descriptors wait in the kernel's list of ready ones, by a descriptor of our own that lines up as the last one and
/// tells when its turn has come.
///
/// The kernel hands out that list round robin (epoll_wait(2)): who became ready later comes later. A wait in a socket costs us nothing and
/// is seen by nobody else, but to a client it is a wait like any other.
@NetLoop final class LineMarker {
    /// Ready while it stands in line.
    let descriptor = themis_eventfd()
    private let clock = SystemTime()
    private var placedNanoseconds: UInt64?
    private var lastNanoseconds: UInt64 = 0

    /// How long what is served now has waited, in nanoseconds; 0 while everything that is ready is served at once.
    func waitNanoseconds() -> UInt64 {
        guard let placedNanoseconds else { return lastNanoseconds }
        // What is served before the marker was there before it.
        return max(lastNanoseconds, clock.monotonicNanoseconds() - placedNanoseconds)
    }

    /// A portion was served; more may be ready when it `isFull`.
    func portionServed(isFull: Bool) {
        guard isFull else {
            lastNanoseconds = 0
            return
        }
        guard placedNanoseconds == nil, descriptor >= 0 else { return }
        var one: UInt64 = 1
        guard unsafe write(descriptor, &one, 8) == 8 else { return }
        placedNanoseconds = clock.monotonicNanoseconds()
    }

    /// Its turn has come.
    func reached() {
        var count: UInt64 = 0
        _ = unsafe read(descriptor, &count, 8)
        guard let placedNanoseconds else { return }
        lastNanoseconds = clock.monotonicNanoseconds() - placedNanoseconds
        self.placedNanoseconds = nil
    }
}
