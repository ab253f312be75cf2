import Testing
import ThemisBase

@Suite struct AdmissionGateTests {
    private static let millisecond: UInt64 = 1_000_000
    private static let bounds = AdmissionGate.Bounds(floor: 10, capacity: 5_000, capacityBytes: 1_000_000)

    @Test func `a burst is taken whole, up to the capacity`() {
        var gate = AdmissionGate(Self.bounds)
        let taken = (0..<6_000).count { _ in gate.admit(bytes: 1, nowNanoseconds: 5) }
        #expect(taken == 5_000)
        #expect(gate.underWay == 5_000)
    }

    @Test func `bytes bound what is under way, and one large request passes alone`() {
        var gate = AdmissionGate(Self.bounds)
        let isFirstTaken = gate.admit(bytes: 2_000_000, nowNanoseconds: 0)
        let isSecondTaken = gate.admit(bytes: 1, nowNanoseconds: 0)
        #expect(isFirstTaken && !isSecondTaken)
        gate.end(bytes: 2_000_000, arrivedNanoseconds: 0, nowNanoseconds: 1)
        #expect(gate.underWayBytes == 0)
        let isThirdTaken = gate.admit(bytes: 1, nowNanoseconds: 1)
        #expect(isThirdTaken)
    }

    @Test func `without an answer for an interval only the floor is taken`() {
        var gate = AdmissionGate(Self.bounds)
        let before = (0..<20).count { _ in gate.admit(bytes: 1, nowNanoseconds: 0) }
        #expect(before == 20 && !gate.isCongested)
        let isTaken = gate.admit(bytes: 1, nowNanoseconds: 100 * Self.millisecond)
        #expect(!isTaken && gate.isCongested)
        for _ in 0..<11 { gate.end(bytes: 1, arrivedNanoseconds: 0, nowNanoseconds: 101 * Self.millisecond) }
        let isTakenAgain = gate.admit(bytes: 1, nowNanoseconds: 101 * Self.millisecond)
        #expect(isTakenAgain && gate.underWay == 10)
    }

    @Test func `what has waited longer than the target before it came is refused in congestion, and only then`() {
        var gate = AdmissionGate(Self.bounds)
        let isOldTaken = gate.admit(bytes: 1, ageNanoseconds: 500 * Self.millisecond, nowNanoseconds: 500 * Self.millisecond)
        #expect(isOldTaken)
        let isYoungTaken = gate.admit(bytes: 1, ageNanoseconds: 100 * Self.millisecond, nowNanoseconds: 700 * Self.millisecond)
        #expect(isYoungTaken && gate.isCongested && gate.underWay == 2)
        let isOlderTaken = gate.admit(bytes: 1, ageNanoseconds: 101 * Self.millisecond, nowNanoseconds: 700 * Self.millisecond)
        #expect(!isOlderTaken && gate.underWay == 2)
    }

    @Test func `when nothing was refused for an interval everything is taken again`() {
        var gate = AdmissionGate(Self.bounds)
        for _ in 0..<20 { _ = gate.admit(bytes: 1, nowNanoseconds: 0) }
        _ = gate.admit(bytes: 1, nowNanoseconds: 100 * Self.millisecond)
        #expect(gate.isCongested)
        for _ in 0..<20 { gate.end(bytes: 1, arrivedNanoseconds: 0, nowNanoseconds: 120 * Self.millisecond) }
        let taken = (0..<1_000).count { _ in gate.admit(bytes: 1, nowNanoseconds: 250 * Self.millisecond) }
        #expect(taken == 1_000 && !gate.isCongested)
    }

    @Test func `a wait for something else does not make a class congested, nor calm`() {
        var gate = AdmissionGate(Self.bounds)
        _ = gate.admit(bytes: 1, nowNanoseconds: 0)
        _ = gate.admit(bytes: 1, nowNanoseconds: 0)
        gate.end(bytes: 1, arrivedNanoseconds: 0, isTimed: false, nowNanoseconds: 90 * Self.millisecond)
        _ = gate.admit(bytes: 1, nowNanoseconds: 110 * Self.millisecond)
        #expect(gate.isCongested)
    }

    /// One server that ends `pace` pieces a millisecond, in order, is offered `offered` a millisecond for four seconds.
    private func goodput(offered: Int, pace: Int) -> (ended: Int, longest: UInt64, underWay: Int) {
        var gate = AdmissionGate(Self.bounds)
        var waiting: [UInt64] = []
        var next = 0
        var result = (ended: 0, longest: UInt64(0), underWay: 0)
        for millisecond in 0..<4_000 as Range<UInt64> {
            let now = millisecond * Self.millisecond
            for _ in 0..<offered where gate.admit(bytes: 1, nowNanoseconds: now) { waiting.append(now) }
            result.underWay = max(result.underWay, gate.underWay)
            for _ in 0..<pace where next < waiting.count {
                gate.end(bytes: 1, arrivedNanoseconds: waiting[next], nowNanoseconds: now + Self.millisecond)
                // The queue of the first moments is longer: nothing is refused until it has stood for an interval.
                if millisecond > 1_000 { result.longest = max(result.longest, now + Self.millisecond - waiting[next]) }
                next += 1
                result.ended += 1
            }
        }
        return result
    }

    @Test(arguments: [2, 4, 16])
    func `at several times the capacity all of the capacity is used, and answers come in about the target time`(times: Int) {
        let result = goodput(offered: 20 * times, pace: 20)
        #expect(result.ended >= 20 * 4_000 * 95 / 100)
        #expect(result.longest <= 200 * Self.millisecond, "\(result)")
        #expect(result.underWay <= 5_000)
    }

    @Test func `below the capacity nothing is refused`() {
        #expect(goodput(offered: 20, pace: 20).ended == 20 * 4_000)
    }
}
