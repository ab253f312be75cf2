import Synchronization
import Testing
import ThemisBase
import ThemisDatabase
import ThemisStorage
import ThemisTelemetry
import ThemisTestKit

/// Many threads on few keys.
@Suite struct ConcurrencyTests {
    /// Runs `body` on `count` threads and waits for all.
    private func onThreads(_ count: Int, _ body: @escaping @Sendable (Int) throws -> Void) {
        let threads = (0..<count).map { index in
            WorkThread(name: "test-\(index)") {
                do { try body(index) } catch { Issue.record("thread \(index): \(error)") }
            }
        }
        for thread in threads { thread.join() }
    }

    @Test func `conflicting writes of 64 threads have one order without gaps`() throws {
        let fixture = try DatabaseFixture()
        let acknowledged = Mutex<[SequenceNumber: String]>([:])
        onThreads(64) { thread in
            var random = SeededRandom(seed: Seed.current() &+ UInt64(thread))
            for number in 0..<50 {
                let pk = "k\(Int.random(in: 0..<4, using: &random))"
                let key = try DatabaseFixture.key("a:\(pk)")
                let mark = "\(thread)_\(number)"
                let operation: WriteOperation
                switch Int.random(in: 0..<5, using: &random) {
                case 0: operation = WriteOperation(key, .delete)
                case 1: operation = WriteOperation(key, .mergePatch(Array(#"{"p":"\#(mark)"}"#.utf8)))
                default: operation = WriteOperation(key, .put(Array(#"{"v":"\#(mark)"}"#.utf8)))
                }
                switch fixture.submit(operation).result() {
                case .success(let done):
                    if done.sequence != 0 {
                        acknowledged.withLock { #expect($0.updateValue(mark, forKey: done.sequence) == nil) }
                    }
                case .failure(let error): #expect(error.code == .notFound)
                }
            }
        }
        var model = Model()
        for change in try fixture.changes().changes {
            model.apply(change)
            let mark = try #require(acknowledged.withLock { $0.removeValue(forKey: change.sequence) })
            if change.type == .put { #expect(String(decoding: change.value, as: UTF8.self).contains(mark)) }
        }
        #expect(acknowledged.withLock { $0.isEmpty })
        for (key, entry) in model.entities { #expect(try fixture.document(key) == entry.document) }
        #expect(fixture.database.table(TableName(stored: "a"))?.entities == UInt64(model.entities.count))
    }

    @Test(arguments: ["condition", "test", "atomic"])
    func `a counter that 64 threads raise misses none`(way: String) throws {
        let pool = LoosePool()
        var options = DatabaseOptions()
        options.execute = pool.execute
        let fixture = try DatabaseFixture(options: options)
        try fixture.put("a:n", #"{"n":0}"#)
        let key = try DatabaseFixture.key("a:n")
        onThreads(64) { _ in
            var left = 8
            while left > 0 {
                let entity = try #require(try fixture.database.get(key))
                let text = String(decoding: entity.document, as: UTF8.self)
                let number = try #require(Int(text.dropFirst(5).dropLast()))
                let document = Array(#"{"n":\#(number + 1)}"#.utf8)
                let error = thrown {
                    switch way {
                    case "condition":
                        _ = try fixture.submit(WriteOperation(key, .put(document), if: .version(entity.version))).get()
                    case "test":
                        let patch =
                            #"[{"op":"test","path":"/n","value":\#(number)},{"op":"replace","path":"/n","value":\#(number + 1)}]"#
                        _ = try fixture.submit(WriteOperation(key, .jsonPatch(Array(patch.utf8)))).get()
                    default: try fixture.atomic([WriteOperation(key, .put(document), if: .version(entity.version))])
                    }
                }
                guard let error else {
                    left -= 1
                    continue
                }
                #expect([.preconditionFailed, .unprocessable].contains(error.code), "\(error)")
            }
        }
        #expect(try fixture.document("a:n") == #"{"n":512}"#)
        #expect(fixture.database.durableSequence == 513)
        pool.drain()
    }

    @Test func `readers beside writers see whole transactions and no gap`() throws {
        let fixture = try DatabaseFixture()
        try fixture.put("a:0", "{}")
        let done = CancellationFlag()
        let reader = WorkThread(name: "reader") {
            do {
                var after: SequenceNumber = 0
                while true {
                    let wasDone = done.isCancelled
                    let page = try fixture.changes(after: after, limit: 7)
                    for change in page.changes {
                        #expect(change.sequence == after + 1)
                        after = change.sequence
                    }
                    if let last = page.changes.last { #expect(last.transactionIndex + 1 == last.transactionCount) }
                    // A list names its state: the feed goes on from there without a loss.
                    let list = try fixture.database.list(ListRequest(table: TableName(stored: "a")), limit: 10)
                    _ = try fixture.changes(after: list.sequence)
                    if wasDone, !page.hasMore { return }
                }
            } catch { Issue.record("\(error)") }
        }
        onThreads(8) { thread in
            for number in 0..<40 {
                try fixture.atomic(
                    (0..<3).map { WriteOperation(try DatabaseFixture.key("a:\(thread)_\(number)_\($0)"), .put(Array("{}".utf8))) }
                )
            }
        }
        done.cancel()
        reader.join()
        #expect(fixture.database.durableSequence == 961)
    }
}
