import Foundation
import Testing
import ThemisBase
import ThemisDatabase
import ThemisStorage
import ThemisTelemetry
import ThemisTestKit

/// A database on RocksDB in a directory of its own, which can be closed and opened again.
final class RocksDBFixture {
    let path = TestDirectory.path("database")
    let time = ManualTime()
    fileprivate(set) var fixture: DatabaseFixture
    fileprivate var engine: RocksDBEngine
    fileprivate var mark: DurableMark

    init() throws {
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        (engine, mark, fixture) = try Self.open(path, time)
    }

    deinit {
        close()
        try? FileManager.default.removeItem(atPath: path)
    }

    fileprivate static func open(_ path: String, _ time: ManualTime) throws -> (RocksDBEngine, DurableMark, DatabaseFixture) {
        var options = RocksDBOptions()
        options.memtableBytes = 1 << 20
        options.totalMemtableBytes = 8 << 20
        options.blockCacheBytes = 4 << 20
        options.minFreeBytes = 0
        options.ballastBytes = 0
        let directory = try DataDirectory(opening: path)
        let engine = try RocksDBEngine(opening: directory, options, telemetry: .silent())
        var databaseOptions = DatabaseOptions()
        let mark = try DurableMark(in: directory, telemetry: .silent())
        databaseOptions.durableMark = mark
        return (engine, mark, try DatabaseFixture(engine: engine, time: time, options: databaseOptions))
    }

    fileprivate func close() {
        fixture.database.close()
        mark.close()
        engine.close()
    }
}

extension RocksDBFixture {
    /// Closes everything and opens it again, as a new process does.
    func reopen() throws {
        close()
        (engine, mark, fixture) = try Self.open(path, time)
    }
}

/// What the other suites say of memory, on the real engine.
@Suite struct RocksDBTests {
    @Test func `random work agrees with a dictionary, in the tables and in the log`() throws {
        let rocks = try RocksDBFixture()
        let fixture = rocks.fixture
        var random = SeededRandom(seed: Seed.current())
        var model = Model()
        for number in 0..<400 {
            let key = "t\(Int.random(in: 0..<3, using: &random)):\(Int.random(in: 0..<40, using: &random))"
            switch Int.random(in: 0..<6, using: &random) {
            case 0:
                let isThere = model.entities[key] != nil
                #expect(try fixture.delete(key).deleted == isThere)
                if isThere { model.last += 1 }
                model.entities[key] = nil
            case 1 where model.entities[key] != nil:
                try fixture.patch(key, merge: #"{"n":\#(number)}"#)
                model.last += 1
                model.entities[key] = Model.Entry(document: #"{"n":\#(number)}"#, version: model.last)
            default:
                let document = #"{"n":\#(number)}"#
                #expect(try fixture.put(key, document).created == (model.entities[key] == nil))
                model.last += 1
                model.entities[key] = Model.Entry(document: document, version: model.last)
            }
        }
        for (key, entry) in model.entities {
            let entity = try #require(try fixture.database.get(DatabaseFixture.key(key)))
            #expect(entity.version == entry.version)
            #expect(String(decoding: entity.document, as: UTF8.self) == entry.document)
        }
        var replayed = Model()
        for change in try fixture.changes().changes { replayed.apply(change) }
        #expect(replayed.entities == model.entities)
        for table in fixture.database.tables() {
            #expect(table.entities == model.count(table.name.text).entities)
            var pks: [String] = []
            var cursor: String?
            repeat {
                let page = try fixture.database.list(ListRequest(table: table.name), cursor: cursor, limit: 7)
                pks += page.entities.map(\.key.pk)
                cursor = page.nextCursor
            } while cursor != nil
            let expected = model.entities.keys.filter { $0.hasPrefix("\(table.name.text):") }.map { String($0.dropFirst(3)) }
            #expect(pks == expected.sorted())
        }
    }

    @Test func `everything is there after a restart`() throws {
        let rocks = try RocksDBFixture()
        var last: SequenceNumber = 0
        for round in 0..<3 {
            for index in 0..<50 { last = try rocks.fixture.put("a:\(index)", #"{"r":\#(round)}"#).sequence }
            try rocks.fixture.delete("a:\(round)")
            last += 1
            let epoch = rocks.fixture.database.epoch
            try rocks.reopen()
            #expect(rocks.fixture.database.epoch == epoch)
            #expect(rocks.fixture.database.durableSequence == last)
            #expect(try rocks.fixture.document("a:49") == #"{"r":\#(round)}"#)
            #expect(try rocks.fixture.document("a:\(round)") == nil)
            #expect(rocks.fixture.database.tables().map(\.entities) == [49])
        }
        #expect(try rocks.fixture.changes().changes.map(\.sequence) == Array(1...last))
    }

    @Test func `truncating, retention and export work on files`() throws {
        let rocks = try RocksDBFixture()
        let fixture = rocks.fixture
        let name = try TableName(validating: "a")
        let filler = String(repeating: "x", count: 2_000)
        for group in 0..<10 {
            try fixture.atomic(
                (0..<100).map {
                    WriteOperation(try DatabaseFixture.key("a:\(group)_\($0)"), .put(Array(#"{"f":"\#(filler)"}"#.utf8)))
                })
        }
        let export = try fixture.database.export(ListRequest(table: name))
        try fixture.engine.flush(nil)
        #expect(try fixture.database.truncateTable(name).deleted == 1_000)
        #expect(try fixture.database.list(ListRequest(table: name)).entities.isEmpty)
        var exported = 0
        while true {
            let more = try export.next(maxBytes: 100_000)
            guard !more.isEmpty else { break }
            exported += more.count
        }
        #expect(exported == 1_000)
        let result = try fixture.database.applyRetention(ChangeRetention(beforeSequence: 650))
        #expect((result.deleted, result.oldestSequence) == (600, 601))
        #expect(try fixture.changes(after: 600).changes.count == 400)
        #expect(errorCode { _ = try fixture.changes(after: 599) } == .historyGone)
        #expect(try fixture.put("a:0_0", "{}").created)
    }

    @Test func `64 threads and a bulk stream leave no gap`() throws {
        let rocks = try RocksDBFixture()
        let fixture = rocks.fixture
        let bulk = BulkWriter(fixture.database)
        let answers = try (0..<20).map { group in
            let answer = Answer<[Result<OperationResult, ThemisError>]>()
            bulk.submit(
                try (0..<100).map { WriteOperation(try DatabaseFixture.key("b:\(group)_\($0)"), .put(Array("{}".utf8))) }
            ) { answer.set(.success($0)) }
            return answer
        }
        let threads = (0..<64).map { index in
            WorkThread(name: "test-\(index)") {
                do {
                    for number in 0..<20 { try fixture.put("a:\((index + number) % 10)", #"{"n":\#(number)}"#) }
                } catch { Issue.record("\(error)") }
            }
        }
        for thread in threads { thread.join() }
        for answer in answers { #expect(try answer.get().allSatisfy { if case .success = $0 { true } else { false } }) }
        var model = Model()
        for change in try fixture.changes().changes { model.apply(change) }
        #expect(model.last == 64 * 20 + 2_000)
        #expect(fixture.database.durableSequence == model.last)
    }
}
