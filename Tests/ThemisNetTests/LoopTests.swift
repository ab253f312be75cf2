import Foundation
import Synchronization
import Testing
import ThemisBase
import ThemisTestKit

@testable import ThemisNet

@Suite struct LoopTests {
    init() { LoopThread.start() }

    @Test func `posts of one thread arrive in order and on the loop`() async {
        let collector = await NetLoop.run { Collector() }
        for number in 0..<1_000 { NetLoop.post { collector.numbers.append(NetLoop.isOnLoop ? number : -1) } }
        let seen = await withCheckedContinuation { continuation in
            NetLoop.post { continuation.resume(returning: collector.numbers) }
        }
        #expect(seen == Array(0..<1_000))
    }

    @Test func `a spawned task stays on the loop after each await`() async {
        let answer = await withCheckedContinuation { continuation in
            NetLoop.spawn {
                var isAlways = NetLoop.isOnLoop
                for _ in 0..<10 {
                    await withCheckedContinuation { inner in Thread.detachNewThread { inner.resume() } }
                    isAlways = isAlways && NetLoop.isOnLoop
                }
                continuation.resume(returning: isAlways)
            }
        }
        #expect(answer)
    }

    @Test func `a one-shot timer fires once, a repeating one until cancelled`() async throws {
        let counts = await withCheckedContinuation { continuation in
            NetLoop.spawn { @NetLoop in
                var once = 0
                var often = 0
                let single = LoopTimer { once += 1 }
                let repeating = LoopTimer { often += 1 }
                single.schedule(milliseconds: 1)
                repeating.scheduleRepeating(milliseconds: 1)
                while often < 5 { try? await NetLoop.sleep(milliseconds: 1) }
                repeating.cancel()
                let seen = often
                try? await NetLoop.sleep(milliseconds: 10)
                continuation.resume(returning: (once, often - seen, repeating.isScheduled, single.isScheduled))
            }
        }
        #expect(counts.0 == 1)
        #expect(counts.1 == 0)
        #expect(!counts.2 && !counts.3)
    }

    @Test @NetLoop func `a pressing descriptor does not wait for hundreds that were ready before it`() async throws {
        var order: [Int] = []
        let watchers = Watchers()
        let pipes = (0..<700).map { _ in Pipe() }
        for (number, pipe) in pipes.enumerated() {
            let watcher = FileWatcher(descriptor: pipe.fileHandleForReading.fileDescriptor) { _ in
                order.append(number)
                watchers.all[number].cancel()
            }
            watchers.all.append(watcher)
            watcher.lane = number == 699 ? .pressing : .ordinary
            #expect(watcher.watch(.readable))
        }
        // The loop stands still meanwhile: then it finds all of them ready.
        for pipe in pipes { pipe.fileHandleForWriting.write(Data([1])) }
        while order.count < 700 { try await NetLoop.sleep(milliseconds: 1) }
        // One portion of 128 goes before it, not everybody.
        #expect(try #require(order.firstIndex(of: 699)) < 200)
    }

    @Test @NetLoop func `how long descriptors wait in line is measured, and is over when the line is`() async throws {
        var waits: [UInt64] = []
        let watchers = Watchers()
        let pipes = (0..<500).map { _ in Pipe() }
        for (number, pipe) in pipes.enumerated() {
            let watcher = FileWatcher(descriptor: pipe.fileHandleForReading.fileDescriptor) { _ in
                waits.append(ReadingSet.ordinary.waitNanoseconds)
                watchers.all[number].cancel()
            }
            watchers.all.append(watcher)
            #expect(watcher.watch(.readable))
        }
        let clock = SystemTime()
        let began = clock.monotonicNanoseconds()
        for pipe in pipes { pipe.fileHandleForWriting.write(Data([1])) }
        while waits.count < 500 { try await NetLoop.sleep(milliseconds: 1) }
        // The last ones stood behind three portions, no longer than all of this took.
        #expect(try #require(waits.last) > 0)
        #expect(try #require(waits.max()) < clock.monotonicNanoseconds() - began)
        while ReadingSet.ordinary.waitNanoseconds > 0 {
            pipes[0].fileHandleForWriting.write(Data([1]))
            let again = FileWatcher(descriptor: pipes[0].fileHandleForReading.fileDescriptor) { _ in }
            again.watch(.readable)
            try await NetLoop.sleep(milliseconds: 1)
            again.cancel()
        }
    }

    @Test @NetLoop func `a dropped timer does not fire`() async throws {
        var fired = 0
        var timer: LoopTimer? = LoopTimer { fired += 1 }
        timer?.schedule(milliseconds: 1)
        timer = nil
        try await NetLoop.sleep(milliseconds: 5)
        #expect(fired == 0)
    }

    @Test func `a timer may be dropped on another thread`() async {
        let timer = await NetLoop.run { () -> LoopTimer in
            let timer = LoopTimer {}
            timer.scheduleRepeating(milliseconds: 1)
            return timer
        }
        let box = Mutex<LoopTimer?>(timer)
        box.withLock { $0 = nil }
        await NetLoop.run {}
    }

    @Test func `a cancelled sleep throws at once`() async {
        let task = Task { try await NetLoop.sleep(milliseconds: 3_600_000) }
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
    }

    @Test @NetLoop func `a watcher reports readable and writable and is quiet after cancel`() async throws {
        var ends: [Int32] = [0, 0]
        unsafe #expect(pipe(&ends) == 0)
        defer { for end in ends { close(end) } }
        var events: [Readiness] = []
        let reader = FileWatcher(descriptor: ends[0]) { ready in
            events.append(ready)
            var byte: UInt8 = 0
            _ = unsafe read(ends[0], &byte, 1)
        }
        #expect(reader.watch(.readable))
        _ = unsafe write(ends[1], "ab", 2)
        while events.count < 2 { try await NetLoop.sleep(milliseconds: 1) }
        #expect(events == [.readable, .readable])
        reader.cancel()
        _ = unsafe write(ends[1], "c", 1)
        try await NetLoop.sleep(milliseconds: 5)
        #expect(events.count == 2)
    }

    @Test @NetLoop func `the end of a turn runs registered objects once`() async throws {
        let object = TurnCounter()
        NetLoop.atEndOfTurn(object)
        try await NetLoop.sleep(milliseconds: 1)
        try await NetLoop.sleep(milliseconds: 1)
        #expect(object.turns == 1)
    }

    @Test @NetLoop func `a signal arrives on the loop`() async throws {
        var arrivals = 0
        let watcher = try SignalWatcher(SIGUSR1) { arrivals += NetLoop.isOnLoop ? 1 : 100 }
        kill(getpid(), SIGUSR1)
        while arrivals == 0 { try await NetLoop.sleep(milliseconds: 1) }
        #expect(arrivals == 1)
        withExtendedLifetime(watcher) {}
    }
}

@NetLoop private final class TurnCounter: TurnEnding {
    var turns = 0
    func endOfTurn() { turns += 1 }
}

@NetLoop private final class Collector {
    var numbers: [Int] = []
}

/// Watchers that end themselves.
@NetLoop private final class Watchers {
    var all: [FileWatcher] = []
}
