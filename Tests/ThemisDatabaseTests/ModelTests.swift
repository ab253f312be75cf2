import Testing
import ThemisBase
import ThemisDatabase
import ThemisStorage
import ThemisTestKit

/// What the database should hold, in plain words.
struct Model {
    struct Entry: Equatable {
        var document: String
        var version: UInt64
    }

    var entities: [String: Entry] = [:]
    var last: SequenceNumber = 0

    func count(_ table: String) -> (entities: UInt64, bytes: UInt64) {
        let own = entities.filter { $0.key.hasPrefix("\(table):") }
        return (
            UInt64(own.count),
            own.reduce(0) { $0 + UInt64($1.key.utf8.count - table.utf8.count - 1 + $1.value.document.utf8.count) }
        )
    }

    /// Applies a change record.
    mutating func apply(_ change: Change) {
        let key = "\(change.table.text):\(change.pk)"
        #expect(change.sequence == last + 1, "gapless")
        #expect(change.previousVersion == entities[key]?.version ?? 0)
        last = change.sequence
        entities[key] =
            change.type == .put ? Entry(document: String(decoding: change.value, as: UTF8.self), version: change.version) : nil
    }
}

/// Random work against a dictionary, with crashes between.
@Suite struct ModelTests {
    private struct Step {
        var operation: WriteOperation
        var key: String
        /// What the entity is afterwards; nil: gone.
        var document: String?
        var fails: Bool
    }

    private func step(_ model: Model, _ random: inout SeededRandom, _ number: Int) throws -> Step {
        let key = "\(["a", "b", "c"].randomElement(using: &random)!):\(Int.random(in: 0..<12, using: &random))"
        let known = model.entities[key]
        let entityKey = try DatabaseFixture.key(key)
        let condition: WriteCondition =
            switch Int.random(in: 0..<8, using: &random) {
            case 0: .absent
            case 1: .exists
            case 2: .version(known?.version ?? 3)
            case 3: .version(999_999)
            default: .none
            }
        var fails =
            switch condition {
            case .none: false
            case .absent: known != nil
            case .exists: known == nil
            case .version(let version): known?.version != version
            }
        let size = Int.random(in: 0..<40, using: &random)
        switch Int.random(in: 0..<10, using: &random) {
        case 0, 1:
            return Step(operation: WriteOperation(entityKey, .delete, if: condition), key: key, document: nil, fails: fails)
        case 2:
            fails = fails || known == nil
            let document = #"{"n":\#(number)}"#
            let patch = #"[{"op":"add","path":"/n","value":\#(number)},{"op":"remove","path":"/s"}]"#
            return Step(
                operation: WriteOperation(entityKey, .jsonPatch(Array(patch.utf8)), if: condition), key: key, document: document,
                fails: fails || known?.document.contains("\"s\"") != true)
        default:
            let document = #"{"n":\#(number),"s":"\#(String(repeating: "x", count: size))"}"#
            return Step(
                operation: WriteOperation(entityKey, .put(Array(document.utf8)), if: condition), key: key, document: document,
                fails: fails)
        }
    }

    private func check(_ fixture: DatabaseFixture, _ model: Model) throws {
        #expect(fixture.database.durableSequence == model.last)
        for table in ["a", "b", "c"] {
            let name = try TableName(validating: table)
            let counts = model.count(table)
            guard let info = fixture.database.table(name) else {
                #expect(counts.entities == 0)
                continue
            }
            #expect((info.entities, info.bytes) == (counts.entities, counts.bytes))
            let listed = try fixture.database.list(ListRequest(table: name), limit: 1_000).entities
            let found = Dictionary(
                uniqueKeysWithValues: listed.map {
                    ($0.key.description, Model.Entry(document: String(decoding: $0.document, as: UTF8.self), version: $0.version))
                })
            #expect(found == model.entities.filter { $0.key.hasPrefix("\(table):") })
        }
        // The log alone gives the same entities.
        var replayed = Model()
        for change in try fixture.changes().changes { replayed.apply(change) }
        #expect(replayed.entities == model.entities)
    }

    @Test(arguments: 0..<12)
    func `random work with crashes agrees with a dictionary`(round: Int) throws {
        var random = SeededRandom(seed: Seed.current() &+ UInt64(round))
        var engine = FaultyEngine()
        let time = ManualTime()
        var fixture = try DatabaseFixture(engine: engine, time: time)
        var model = Model()
        for number in 0..<250 {
            time.advance(milliseconds: Int64.random(in: 0..<3, using: &random))
            let fault: FaultyEngine.Fault? =
                switch Int.random(in: 0..<40, using: &random) {
                case 0: .loseSync
                case 1: .keepSync
                case 2: .refuse(.diskFull)
                default: nil
                }
            let isAtomic = Int.random(in: 0..<4, using: &random) == 0
            var expected = model
            var operations: [WriteOperation] = []
            var mustFail = false
            for _ in 0..<(isAtomic ? Int.random(in: 1..<6, using: &random) : 1) {
                let step = try step(expected, &random, number)
                operations.append(step.operation)
                if step.fails { mustFail = true }
                guard !step.fails, step.document != nil || expected.entities[step.key] != nil else { continue }
                expected.last += 1
                expected.entities[step.key] = step.document.map { Model.Entry(document: $0, version: expected.last) }
            }
            if let fault { engine.fail(commit: 1, fault) }
            let error = thrown {
                if isAtomic { try fixture.atomic(operations) } else { _ = try fixture.submit(operations[0]).get() }
            }
            engine.heal()
            if error == nil { #expect(!mustFail, "seed \(Seed.current()), round \(round), step \(number)") }
            switch (error?.code, fault) {
            case (nil, _): model = expected
            case (ErrorCode.commitUnknown?, _):
                // The dictionary learns from the disk what became of it.
                if case .keepSync = fault { model = expected }
            case (ErrorCode.diskFull?, _): break
            default:
                #expect(mustFail, "seed \(Seed.current()), round \(round), step \(number): \(error.map(\.description) ?? "")")
            }
            if error?.code == .commitUnknown || Int.random(in: 0..<60, using: &random) == 0 {
                fixture.database.close()
                engine = try engine.crash()
                fixture = try DatabaseFixture(engine: engine, time: time)
                try check(fixture, model)
            }
        }
        try check(fixture, model)
    }
}
