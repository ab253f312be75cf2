import Glibc
import Synchronization

/// Where time comes from. Nothing below `main` reads a clock of its own.
public protocol TimeSource: Sendable {
    /// Milliseconds since 1970-01-01 UTC. May leap.
    func wallMilliseconds() -> Int64
    /// The same in nanoseconds, as fine as the clock is.
    func wallNanoseconds() -> Int64
    /// Nanoseconds since some fixed point. Never leaps.
    func monotonicNanoseconds() -> UInt64
}

extension TimeSource {
    /// Milliseconds since some fixed point. Never leaps.
    public func monotonicMilliseconds() -> Int64 { Int64(monotonicNanoseconds() / 1_000_000) }
    /// Of a clock that counts milliseconds.
    public func wallNanoseconds() -> Int64 { wallMilliseconds() * 1_000_000 }
}

/// The clocks of the machine.
public struct SystemTime: TimeSource {
    /// The clocks of the machine.
    public init() {}

    /// CLOCK_REALTIME.
    public func wallMilliseconds() -> Int64 {
        var time = timespec()
        unsafe clock_gettime(CLOCK_REALTIME, &time)
        return Int64(time.tv_sec) * 1_000 + Int64(time.tv_nsec) / 1_000_000
    }

    /// CLOCK_REALTIME.
    public func wallNanoseconds() -> Int64 {
        var time = timespec()
        unsafe clock_gettime(CLOCK_REALTIME, &time)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }

    /// CLOCK_MONOTONIC.
    public func monotonicNanoseconds() -> UInt64 {
        var time = timespec()
        unsafe clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }
}

/// A clock that a test moves by hand. Any thread.
public final class ManualTime: TimeSource {
    private let state: Mutex<(wall: Int64, monotonic: UInt64)>

    /// Starts at `wallMilliseconds`.
    public init(wallMilliseconds: Int64 = 1_700_000_000_000) { state = Mutex((wallMilliseconds, 1)) }

    /// Moves both clocks forward.
    public func advance(milliseconds: Int64) {
        state.withLock {
            $0.wall += milliseconds
            $0.monotonic += UInt64(milliseconds) * 1_000_000
        }
    }

    /// Moves only the wall clock, in either direction: the leap of an operator or of NTP.
    public func leap(milliseconds: Int64) { state.withLock { $0.wall += milliseconds } }

    /// The wall clock as set.
    public func wallMilliseconds() -> Int64 { state.withLock { $0.wall } }

    /// The monotonic clock as set.
    public func monotonicNanoseconds() -> UInt64 { state.withLock { $0.monotonic } }
}

/// SplitMix64 (Steele, Lea, Flood 2014): small, seeded, repeatable. Not for secrets.
public struct SeededRandom: RandomNumberGenerator, Sendable {
    /// What the state grows by with each number: the seed of the next one.
    public static let increment: UInt64 = 0x9E37_79B9_7F4A_7C15

    private var state: UInt64

    /// The same seed gives the same numbers.
    public init(seed: UInt64) { state = seed }

    /// The next 64 bits.
    public mutating func next() -> UInt64 {
        state &+= Self.increment
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
