import Testing
import ThemisBase

@testable import ThemisExporter

/// Waiting, sending, repeating and giving up, with the clock in the test's hand.
@Suite struct DeliveryTests {
    private typealias Queue = Delivery<Int>

    private static func queue(_ change: (inout Queue.Options) -> Void = { _ in }) -> Queue {
        var options = Queue.Options(capacityItems: 100, capacityBytes: 10_000)
        options.batchItems = 10
        change(&options)
        return Queue(options)
    }

    private static func isBalanced(_ queue: Queue) -> Bool {
        queue.queued == queue.sent + queue.dropped.values.reduce(0, +) + UInt64(queue.waiting)
    }

    @Test func `a batch leaves when it is full, or when its first item has waited long enough`() {
        var queue = Self.queue()
        #expect(queue.due(atMilliseconds: 0) == nil)
        queue.add(.init(payload: 1, items: 4, bytes: 40), atMilliseconds: 100)
        #expect(queue.due(atMilliseconds: 100) == 1_100)
        #expect(queue.take(atMilliseconds: 1_099) == nil)
        queue.add(.init(payload: 2, items: 6, bytes: 40), atMilliseconds: 200)
        queue.add(.init(payload: 3, items: 1, bytes: 40), atMilliseconds: 200)
        #expect(queue.due(atMilliseconds: 200) == 200)
        let batch = queue.take(atMilliseconds: 200)
        #expect(batch?.parcels.map(\.payload) == [1, 2] && batch?.items == 10 && batch?.attempts == 1)
        #expect(queue.due(atMilliseconds: 200) == nil && queue.take(atMilliseconds: 5_000) == nil && queue.waiting == 11)
        queue.conclude(.delivered(rejected: 0), atMilliseconds: 300, chance: 0)
        #expect(queue.sent == 10 && queue.waiting == 1 && queue.due(atMilliseconds: 300) == 1_200)
        #expect(Self.isBalanced(queue))
    }

    @Test func `pauses double up to their bound, with jitter, and end in giving up`() {
        var queue = Self.queue()
        queue.add(.init(payload: 1, items: 3, bytes: 1), atMilliseconds: 0)
        var now: Int64 = 1_000
        var pauses: [Int64] = []
        var attempts = 0
        while let batch = queue.take(atMilliseconds: now) {
            attempts += 1
            #expect(batch.attempts == attempts && (attempts == 1) == (batch.body == nil))
            queue.conclude(.retry(afterMilliseconds: nil), body: [9], atMilliseconds: now, chance: 0)
            guard let due = queue.due(atMilliseconds: now) else { break }
            pauses.append(due - now)
            #expect(queue.take(atMilliseconds: due - 1) == nil)
            now = due
        }
        #expect(pauses.prefix(7) == [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000])
        #expect(pauses.reduce(0, +) <= 300_000 && pauses.count > 10)
        #expect(queue.dropped == [.gaveUp: 3] && queue.retries == UInt64(attempts - 1) && Self.isBalanced(queue))
    }

    @Test func `half of a pause is jitter, and the collector's wish is a lower bound`() {
        for (chance, after, expected) in [(1.0, nil, 500), (0.5, nil, 750), (0.5, 7_000, 7_000), (0, 10, 1_000)]
            as [(Double, Int64?, Int64)]
        {
            var queue = Self.queue()
            queue.add(.init(payload: 1, items: 1, bytes: 1), atMilliseconds: 0)
            _ = queue.take(atMilliseconds: 2_000)
            queue.conclude(.retry(afterMilliseconds: after), atMilliseconds: 2_000, chance: chance)
            #expect(queue.due(atMilliseconds: 2_000) == 2_000 + expected)
        }
    }

    @Test func `a wish beyond all patience gives up at once`() {
        var queue = Self.queue()
        queue.add(.init(payload: 1, items: 1, bytes: 1), atMilliseconds: 0)
        _ = queue.take(atMilliseconds: 1_000)
        queue.conclude(.retry(afterMilliseconds: 3_600_000), atMilliseconds: 1_000, chance: 0)
        #expect(queue.dropped == [.gaveUp: 1] && queue.due(atMilliseconds: 1_000) == nil)
    }

    @Test func `what the collector refuses in part or as a whole is counted`() {
        var queue = Self.queue()
        queue.add(.init(payload: 1, items: 10, bytes: 1), atMilliseconds: 0)
        _ = queue.take(atMilliseconds: 0)
        queue.conclude(.delivered(rejected: 4), atMilliseconds: 0, chance: 0)
        queue.add(.init(payload: 2, items: 10, bytes: 1), atMilliseconds: 0)
        _ = queue.take(atMilliseconds: 0)
        queue.conclude(.delivered(rejected: 400), atMilliseconds: 0, chance: 0)
        queue.add(.init(payload: 3, items: 10, bytes: 1), atMilliseconds: 0)
        _ = queue.take(atMilliseconds: 0)
        queue.conclude(.failed(.untrusted), atMilliseconds: 0, chance: 0)
        queue.addDamaged(2)
        #expect(queue.sent == 6 && queue.dropped == [.rejected: 14, .untrusted: 10, .damaged: 2] && queue.retries == 0)
        #expect(Self.isBalanced(queue))
    }

    @Test func `a full queue drops what comes, or what is oldest where newer says more`() {
        var queue = Self.queue()
        for index in 0..<30 { queue.add(.init(payload: index, items: 5, bytes: 1), atMilliseconds: 0) }
        #expect(queue.waiting == 100 && queue.dropped == [.full: 50] && !queue.hasRoom)
        #expect(queue.take(atMilliseconds: 0)?.parcels.first?.payload == 0)
        var newest = Self.queue { $0.dropsOldest = true }
        for index in 0..<30 { newest.add(.init(payload: index, items: 5, bytes: 1), atMilliseconds: 0) }
        #expect(newest.take(atMilliseconds: 0)?.parcels.first?.payload == 10 && newest.dropped == [.full: 50])
        #expect(Self.isBalanced(queue) && Self.isBalanced(newest))
    }

    @Test func `nothing that ends loses count`() {
        var random = SeededRandom(seed: 11)
        for _ in 0..<200 {
            var queue = Self.queue { $0.dropsOldest = Bool.random(using: &random) }
            var now: Int64 = 0
            for _ in 0..<200 {
                now += Int64.random(in: 0...3_000, using: &random)
                switch Int.random(in: 0..<10, using: &random) {
                case 0..<5:
                    let items = Int.random(in: 1...20, using: &random)
                    queue.add(.init(payload: 0, items: items, bytes: items * 60), atMilliseconds: now)
                case 5..<8:
                    guard queue.take(atMilliseconds: now) != nil else { continue }
                    #expect(Self.isBalanced(queue))
                    let outcomes: [Queue.Outcome] = [
                        .delivered(rejected: 0), .delivered(rejected: 3), .retry(afterMilliseconds: nil), .retry(afterMilliseconds: 9_000),
                        .failed(.refused),
                    ]
                    let outcome = outcomes[Int.random(in: 0..<outcomes.count, using: &random)]
                    queue.conclude(outcome, atMilliseconds: now, chance: Double.random(in: 0..<1, using: &random))
                case 8: queue.addDamaged(1)
                default: if Int.random(in: 0..<20, using: &random) == 0 { queue.dropAll(.disabled) }
                }
                #expect(Self.isBalanced(queue))
            }
        }
    }

    @Test(
        arguments: [
            ("0", 0), ("120", 120), ("Sun, 06 Nov 1994 08:49:37 GMT", 37), ("Sat, 05 Nov 1994 08:49:37 GMT", 0),
            ("Thu, 29 Feb 1996 00:00:00 GMT", 41_440_260), ("99999999999999999999", Int64.max),
        ] as [(String, Int64)])
    func `the wish of a collector is seconds or a date`(text: String, expected: Int64) {
        #expect(RetryAfter.seconds(text, nowSeconds: 784_111_740) == expected)
    }

    @Test(arguments: [
        "", "-1", "soon", "1.5", "Sun, 06 Nov 1994 08:49:37", "Sun, 32 Nov 1994 08:49:37 GMT", "Sun, 06 Foo 1994 08:49:37 GMT",
    ])
    func `a wish that cannot be read is none`(text: String) { #expect(RetryAfter.seconds(text, nowSeconds: 0) == nil) }
}
