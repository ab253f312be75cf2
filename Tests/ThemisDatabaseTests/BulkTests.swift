import Synchronization
import Testing
import ThemisBase
import ThemisDatabase
import ThemisTestKit

/// Runs work on threads that come and go in any order, as a pool does.
final class LoosePool: Sendable {
    private let threads = Mutex<[WorkThread]>([])

    @Sendable func execute(_ work: @escaping @Sendable () -> Void) {
        let thread = WorkThread(name: "pool", work)
        threads.withLock { $0.append(thread) }
    }

    func drain() {
        while true {
            let thread = threads.withLock { $0.popLast() }
            guard let thread else { return }
            thread.join()
        }
    }
}

@Suite struct BulkTests {
    @Test func `writes to one key happen in the order of the stream`() throws {
        let pool = LoosePool()
        var options = DatabaseOptions()
        options.execute = pool.execute
        let fixture = try DatabaseFixture(options: options)
        let bulk = BulkWriter(fixture.database)
        var random = SeededRandom(seed: Seed.current())
        var expected: [String: String] = [:]
        var answers: [Answer<[Result<OperationResult, ThemisError>]>] = []
        for group in 0..<40 {
            var operations: [WriteOperation] = []
            for line in 0..<16 {
                let pk = "k\(Int.random(in: 0..<5, using: &random))"
                let key = try DatabaseFixture.key("a:\(pk)")
                let mark = "\(group)_\(line)"
                switch Int.random(in: 0..<4, using: &random) {
                case 0:
                    operations.append(WriteOperation(key, .delete))
                    expected[pk] = nil
                case 1:
                    operations.append(WriteOperation(key, .mergePatch(Array(#"{"p":"\#(mark)"}"#.utf8))))
                    if let before = expected[pk] { expected[pk] = before.split(separator: "|")[0] + "|" + mark }
                default:
                    operations.append(WriteOperation(key, .put(Array(#"{"v":"\#(mark)"}"#.utf8))))
                    expected[pk] = mark
                }
            }
            let answer = Answer<[Result<OperationResult, ThemisError>]>()
            bulk.submit(operations) { answer.set(.success($0)) }
            answers.append(answer)
        }
        var last: SequenceNumber = 0
        for answer in answers {
            let results = try answer.get()
            #expect(results.count == 16)
            for result in results {
                guard case .success(let done) = result, done.sequence != 0 else { continue }
                #expect(done.sequence == last + 1)
                last = done.sequence
            }
        }
        pool.drain()
        for index in 0..<5 {
            let text = try fixture.document("a:k\(index)")
            let parts = expected["k\(index)"]?.split(separator: "|")
            let wanted = parts.map { #"{"v":"\#($0[0])""# + ($0.count > 1 ? #","p":"\#($0[1])"}"# : "}") }
            #expect(text == wanted)
        }
    }

    @Test func `a bad line fails alone`() throws {
        let fixture = try DatabaseFixture()
        let answer = Answer<[Result<OperationResult, ThemisError>]>()
        func put(_ key: String, _ text: String, if condition: WriteCondition = .none) throws -> WriteOperation {
            WriteOperation(try DatabaseFixture.key(key), .put(Array(text.utf8)), if: condition)
        }
        BulkWriter(fixture.database).submit([
            try put("a:1", "{}"), try put("a:2", "{"), try put("a:1", #"{"v":2}"#, if: .version(1)),
            try put("a:3", "{}", if: .exists),
            WriteOperation(try DatabaseFixture.key("a:9"), .mergePatch(Array("{}".utf8))),
        ]) { answer.set(.success($0)) }
        let codes = try answer.get().map { result -> ErrorCode? in
            if case .failure(let error) = result { error.code } else { nil }
        }
        #expect(codes == [nil, .invalidJSON, nil, .preconditionFailed, .notFound])
        #expect(try fixture.document("a:1") == #"{"v":2}"#)
        #expect(fixture.database.durableSequence == 2)
    }
}
