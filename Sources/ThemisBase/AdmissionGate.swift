/// Decides whether one more piece of work of a class is taken, by how much is under way and by how long it takes.
///
/// Work under way is everything from arrival to answer: waiting for a thread, for the committer, for the disk. When for a whole interval
/// nothing was answered within the target, the class is congested: from then on only so much is under way as was lately answered in one
/// target time, and the rest is refused at once, which costs next to nothing; so is what has waited longer than the target before it came
/// here. What is taken is answered in about the target time, however much is offered, and nothing is worked on in vain. Congestion ends
/// when nothing had to be refused for an interval.
///
/// A value of the loop's; the caller brings the time, in nanoseconds of the monotonic clock.
public struct AdmissionGate: Sendable {
    /// Bounds of a class.
    public struct Bounds: Sendable {
        /// What an answer may take while nothing is congested.
        public var targetNanoseconds: UInt64 = 100_000_000
        /// How long every answer must take longer before anything is refused.
        public var intervalNanoseconds: UInt64 = 100_000_000
        /// Under way in any case: what keeps threads and disk busy.
        public var floor: Int
        /// Under way at most.
        public var capacity: Int
        /// Bytes of requests under way at most; one request alone may exceed it.
        public var capacityBytes: Int

        /// Bounds with the usual target and interval.
        public init(floor: Int, capacity: Int, capacityBytes: Int) {
            self.floor = floor
            self.capacity = capacity
            self.capacityBytes = capacityBytes
        }
    }

    private let bounds: Bounds
    /// Pieces taken and not ended.
    public private(set) var underWay = 0
    /// Bytes of their requests.
    public private(set) var underWayBytes = 0
    /// Whether only as much is taken as is answered.
    public private(set) var isCongested = false
    /// When something was last answered in time, or nothing was under way.
    private var calmNanoseconds: UInt64 = 0
    private var refusedNanoseconds: UInt64 = 0
    private var windowNanoseconds: UInt64 = 0
    private var endedInWindow = 0
    /// Answers in one target time, as lately measured.
    private var pace = 0.0

    /// A gate that stands open.
    public init(_ bounds: Bounds) { self.bounds = bounds }

    /// Takes a piece of `bytes`, or refuses it. What is taken must `end`.
    ///
    /// - Parameter ageNanoseconds: how long it has waited already.
    public mutating func admit(bytes: Int, ageNanoseconds age: UInt64 = 0, nowNanoseconds now: UInt64) -> Bool {
        guard !refuses(bytes: bytes, ageNanoseconds: age, nowNanoseconds: now) else { return false }
        underWay += 1
        underWayBytes += bytes
        return true
    }

    /// Whether a piece of `bytes` would not be taken now: for work that is refused before all of it has come.
    public mutating func refuses(bytes: Int, ageNanoseconds age: UInt64 = 0, nowNanoseconds now: UInt64) -> Bool {
        look(now)
        let isTooOld = isCongested && age > bounds.targetNanoseconds
        guard !isTooOld, underWay < limit, underWay == 0 || underWayBytes + bytes <= bounds.capacityBytes else {
            refusedNanoseconds = now
            return true
        }
        return false
    }

    /// A piece that was taken has its answer.
    ///
    /// - Parameter isTimed: false when it waited for something else than its turn.
    public mutating func end(bytes: Int, arrivedNanoseconds arrived: UInt64, isTimed: Bool = true, nowNanoseconds now: UInt64) {
        underWay -= 1
        underWayBytes -= bytes
        endedInWindow += 1
        if isTimed, now < arrived + bounds.targetNanoseconds { calmNanoseconds = max(calmNanoseconds, now) }
    }

    private var limit: Int {
        isCongested ? min(bounds.capacity, max(bounds.floor, Int(pace))) : bounds.capacity
    }

    private mutating func look(_ now: UInt64) {
        if underWay == 0 { calmNanoseconds = now }
        measure(now)
        if !isCongested {
            isCongested = now >= calmNanoseconds + bounds.intervalNanoseconds
            if isCongested { refusedNanoseconds = now }
        } else if now >= refusedNanoseconds + bounds.intervalNanoseconds {
            isCongested = false
            calmNanoseconds = now
        }
    }

    private mutating func measure(_ now: UInt64) {
        let elapsed = now - min(now, windowNanoseconds)
        guard elapsed >= bounds.targetNanoseconds / 4 else { return }
        let latest = Double(endedInWindow) * Double(bounds.targetNanoseconds) / Double(elapsed)
        // Answers come in bursts: half of the new, half of what was.
        pace = windowNanoseconds == 0 ? latest : (pace + latest) / 2
        windowNanoseconds = now
        endedInWindow = 0
    }
}
