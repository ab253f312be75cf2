import Foundation
import Testing
import ThemisBase
import ThemisDatabase
import ThemisStorage
import ThemisTestKit

/// Everything at once: single, conditional, atomic and streamed writes, transactions, indexes that come and go, unique values, entities
/// that expire, a clock that goes on, sweeps, restarts, crashes with and without the last batch. What is seen is always what a
/// dictionary says.
@Suite struct LargeModelTests {
    private let table = TableName(stored: "t")

    /// One run.
    final class Run {
        var random: SeededRandom
        var world: IndexModelTests.World
        var model = LargeModel()
        let time = ManualTime()
        var engine = FaultyEngine()
        var fixture: DatabaseFixture
        /// Whether the batch at which the disk will fail is there after the crash.
        var keepsLast = false
        var known: [(column: String, settings: IndexSettings)] = []
        var hint = ""
        var counts: [String: Int] = [:]
        private let table = TableName(stored: "t")

        init(seed: UInt64) throws {
            random = SeededRandom(seed: seed)
            world = IndexModelTests.World(random: SeededRandom(seed: seed &+ 1))
            fixture = try DatabaseFixture(engine: engine, time: time)
        }

        var now: Int64 { time.wallMilliseconds() }
        var indexes: [IndexInfo] { (try? fixture.database.indexes(table)) ?? [] }

        var rules: LargeModel.Rules {
            var rules = LargeModel.Rules()
            rules.tableSeconds = fixture.database.table(table)?.settings.defaultTTLSeconds ?? 0
            for index in indexes where index.definition.type == "ttl" && !index.isReplacement {
                rules.indexes.append((index.definition.name, index.definition.settings))
            }
            return rules
        }

        func count(_ what: String) { counts[what, default: 0] += 1 }
        func chance(_ share: Int) -> Bool { Int.random(in: 0..<share, using: &random) == 0 }

        // MARK: Writes

        func soon() -> JSONValue { .integer(now + Int64.random(in: -2_000...60_000, using: &random)) }

        func step() -> LargeModel.Step {
            let key = world.key()
            var change: LargeModel.Step.Change
            switch Int.random(in: 0..<8, using: &random) {
            case 0, 1: change = .delete
            case 2:
                let value = world.scalar()
                // A merge patch with null removes, with an object merges: only others set.
                change = value.isNull || value.members != nil ? .delete : .patch(value)
            default:
                guard case .object(var members) = world.document() else { preconditionFailure("a document is an object") }
                if chance(3) { members.append(JSONMember("s", world.scalar())) }
                if chance(4) { members.append(JSONMember("at", chance(6) ? .null : soon())) }
                members += placed()
                change = .put(.object(members))
            }
            var step = LargeModel.Step(key: key, change: change)
            switch Int.random(in: 0..<12, using: &random) {
            case 0: step.condition = .absent
            case 1: step.condition = .exists
            case 2: if let version = model.rows[key]?.version { step.condition = .version(version + (chance(4) ? 1 << 40 : 0)) }
            default: break
            }
            return step
        }

        /// Whether the error is the death of the disk, and whether the write was done nevertheless.
        func died(_ error: ThemisError) -> Bool? {
            guard engine.isDead, [.commitUnknown, .shuttingDown, .overloaded].contains(error.code) else { return nil }
            return error.code == .commitUnknown && keepsLast
        }

        /// Compares an answer with what the model says; `building`: a unique index that is not complete may refuse or not.
        func agree(_ got: ErrorCode?, _ wanted: ErrorCode?, _ what: String) {
            #expect(got == wanted, "\(hint): \(what): \(got?.word ?? "done"), not \(wanted?.word ?? "done")")
        }

        /// Whether `u` is unique; nil while the index is being made.
        var isUnique: Bool? {
            let unique = indexes.filter { $0.definition.isUnique && !$0.isReplacement }
            if unique.isEmpty { return false }
            return unique.contains { $0.state == .ready } ? true : nil
        }

        func write() throws {
            try write(chance(5) ? (0..<Int.random(in: 2...5, using: &random)).map { _ in step() } : [step()])
        }

        func write(_ steps: [LargeModel.Step]) throws {
            // What is half made answers either way: it is waited for.
            if isUnique == nil { try fixture.finishAllJobs() }
            let isUnique = isUnique ?? false
            var after = model
            var wanted: ErrorCode?
            for step in steps where wanted == nil { wanted = after.apply(step, rules, now, unique: isUnique) }
            var got: ThemisError?
            var versions: [UInt64] = []
            do {
                if steps.count == 1 {
                    versions = [try fixture.submit(steps[0].operation()).get().version]
                } else {
                    versions = try fixture.atomic(steps.map { try $0.operation() }).results.map(\.version)
                }
            } catch let error as ThemisError { got = error }
            count(steps.count == 1 ? "writes" : "atomic writes")
            if let got, let isDone = died(got) {
                if isDone, wanted == nil { model = after }
                return
            }
            agree(got?.code, wanted, "\(steps)")
            guard wanted == nil else { return }
            for (step, version) in zip(steps, versions) where version != 0 { after.rows[step.key]?.version = version }
            model = after
        }

        func bulk() throws {
            let steps = (0..<Int.random(in: 5...40, using: &random)).map { _ in step() }
            if isUnique == nil { try fixture.finishAllJobs() }
            let isUnique = isUnique ?? false
            let answer = Answer<[Result<OperationResult, ThemisError>]>()
            let rules = rules
            BulkWriter(fixture.database).submit(try steps.map { try $0.operation() }) { answer.set(.success($0)) }
            for (step, result) in zip(steps, try answer.get()) {
                var after = model
                let wanted = after.apply(step, rules, now, unique: isUnique)
                switch result {
                case .success(let done):
                    agree(nil, wanted, "\(step)")
                    if done.version != 0 { after.rows[step.key]?.version = done.version }
                    model = after
                case .failure(let error):
                    if let isDone = died(error) {
                        if isDone, wanted == nil { model = after }
                    } else {
                        agree(error.code, wanted, "\(step)")
                    }
                }
            }
            count("streams")
        }

        /// Runs what may die; false when it did and was not done.
        func attempt(_ allowed: [ErrorCode] = [], _ body: () throws -> Void) -> Bool {
            do {
                try body()
                return true
            } catch {
                guard let error = error as? ThemisError else { return false }
                if let isDone = died(error) { return isDone }
                #expect(allowed.contains(error.code), "\(hint): \(error)")
                return false
            }
        }

        // MARK: Indexes

        func definition() throws -> IndexDefinition {
            switch Int.random(in: 0..<10, using: &random) {
            case 8: try DatabaseFixture.definition("geo", "place")
            case 9: try DatabaseFixture.definition("edge", "_from", "_to")
            case 0: try DatabaseFixture.definition(["equality", "range"].randomElement(using: &random)!, "u", unique: true)
            case 1: try DatabaseFixture.definition("ttl", "s", settings: IndexSettings(ttlSeconds: 15))
            case 2: try DatabaseFixture.definition("ttl", "at", settings: IndexSettings(isExpiryInColumn: true))
            default: try world.definition()
            }
        }

        /// Learns which TTL indexes there are now, and what new ones did.
        func learnRules() {
            let now = rules.indexes
            for rule in now where !known.contains(where: { $0 == rule }) { model.takeUp(rule, self.now) }
            known = now
        }

        func createIndex() throws {
            let definition = try definition()
            _ = attempt([.alreadyExists]) { _ = try fixture.database.createIndex(definition) }
            count("indexes made")
            guard definition.type == "ttl" else { return }
            try fixture.finishAllJobs()
            learnRules()
        }

        func changeIndex() throws {
            guard let index = indexes.filter({ !$0.isReplacement }).randomElement(using: &random) else { return }
            let (columns, type) = (index.definition.columns, index.definition.type)
            if chance(2) {
                if type == "ttl" { try fixture.finishAllJobs() }
                _ = attempt([.notFound]) { _ = try fixture.database.dropIndex(table, columns: columns, type: type) }
                count("indexes dropped")
                learnRules()
            } else {
                // A unique index whose rows shared a value may be gone by now.
                _ = attempt([.conflict, .notFound]) {
                    let job = try fixture.database.rebuildIndex(table, columns: columns, type: type)
                    if chance(2) { _ = fixture.database.cancelJob(job.id) }
                }
                count("indexes built anew")
            }
        }

        func changeTable() throws {
            if chance(3), fixture.database.table(table) != nil {
                // A clock goes on, a TTL index is made: both change what is there, in an order that must be known.
                try fixture.finishAllJobs()
                if attempt([], { _ = try fixture.database.truncateTable(table) }) { model.rows = [:] }
                count("truncations")
            } else {
                let change = TableSettingsChange(
                    keepsOldValues: chance(2), defaultTTLSeconds: [0, 0, 20, 40].randomElement(using: &random)!)
                _ = attempt { _ = try fixture.database.putTable(table, change) }
            }
        }

        func goOn() throws {
            try fixture.finishAllJobs()
            guard !engine.isDead else { return }
            time.advance(milliseconds: Int64.random(in: 1...8_000, using: &random))
            count("clock moves")
            if chance(2) { fixture.database.requestSweep() }
        }

        // MARK: Crashes

        func beginCrash() {
            engine.heal()
            keepsLast = false
            if chance(3) {
                count("kills")
                return engine.kill()
            }
            keepsLast = chance(2)
            count(keepsLast ? "crashes that keep the last batch" : "crashes that lose it")
            engine.fail(commit: Int.random(in: 1...6, using: &random), keepsLast ? .keepSync : .loseSync)
        }

        func restart() throws {
            fixture.database.close()
            engine.heal()
            if engine.isDead { engine = try FaultyEngine(after: engine) }
            keepsLast = false
            fixture = try DatabaseFixture(engine: engine, time: time)
            try fixture.finishAllJobs()
            learnRules()
            count("starts")
        }

        // MARK: Looking

        func check(queries: Int) throws {
            engine.heal()
            if engine.isDead { try restart() }
            try fixture.finishAllJobs()
            guard fixture.database.table(table) != nil else { return }
            let visible = model.visible(now)
            let documents = visible.mapValues(\.document)
            for (key, row) in visible {
                let entity = try fixture.database.get(DatabaseFixture.key("t:\(key)"))
                #expect(entity?.expiresAtMilliseconds == row.expiresAt, "\(hint): expiry of \(key)")
                #expect(try entity.map { try JSONValue(parsing: Array($0.document)) } == row.document, "\(hint): \(key)")
            }
            for number in 0..<queries {
                // The sweep changes nothing that can be seen.
                if number == queries / 2 { #expect(try !fixture.database.sweepExpired().isPaused, "\(hint)") }
                let query = world.query()
                let found = try fixture.keys(query)
                let text = String(decoding: query.bytes, as: UTF8.self)
                #expect(Set(found).count == found.count, "\(hint): a row comes once: \(text)")
                #expect(Set(found) == ReferenceQuery.keys(query, documents), "\(hint): \(text)")
                for (left, right) in zip(found, found.dropFirst()) {
                    let order = ReferenceQuery.compare(query, documents[left] ?? .null, documents[right] ?? .null)
                    #expect(order <= 0, "\(hint): order: \(text)")
                }
                count("queries")
            }
            try checkPlaces(documents)
            try checkCounts(documents)
        }

        private func checkCounts(_ documents: [String: JSONValue]) throws {
            #expect(fixture.database.table(table)?.entities == UInt64(documents.count), "\(hint): entities")
            #expect(try fixture.storedExpiries() == model.visible(now).values.count { $0.expiresAt != 0 }, "\(hint): expiries")
            var stored: UInt64 = 0
            for index in indexes {
                #expect(index.state == .ready, "\(hint)")
                stored += index.entries
                let name = index.definition.name
                let expected =
                    switch index.definition.type {
                    case "ttl": documents.values.count { ReferenceQuery.values($0, name).first.map { !$0.isNull } ?? false }
                    case "geo": documents.values.count { $0["place"] != nil }
                    case "edge": 2 * documents.values.count { $0["_from"] != nil }
                    default: documents.values.reduce(0) { $0 + IndexModelTests.entries(index.definition, $1) }
                    }
                #expect(index.entries == UInt64(expected), "\(hint): entries of \(index.definition.type) \(name)")
            }
            #expect(try fixture.storedEntries() == Int(stored), "\(hint): stored entries")
            #expect(try fixture.isSound(), "\(hint)")
            count("verifications")
        }
    }

    @Test(arguments: 0..<4)
    func `everything at once is what a dictionary says`(round: Int) throws {
        let seed = Seed.current() &+ UInt64(round) &+ 1_000
        let run = try Run(seed: seed)
        for number in 0..<IndexModelTests.operations {
            run.hint = "seed \(seed), step \(number)"
            switch Int.random(in: 0..<100, using: &run.random) {
            case 0, 1: try run.createIndex()
            case 2, 3: try run.changeIndex()
            case 4: try run.changeTable()
            case 5: try run.restart()
            case 6: run.beginCrash()
            case 7, 8: try run.goOn()
            case 9: try run.check(queries: 6)
            case 10, 11, 12: try run.bulk()
            case 13: run.fixture.database.requestSweep()
            case 14, 15, 16: try run.transact()
            default: try run.write()
            }
            if run.engine.isDead { try run.restart() }
        }
        run.hint = "seed \(seed), end"
        try run.check(queries: 60)
        run.fixture.database.close()
        if IndexModelTests.operations > 1_000 {
            print("seed \(seed): " + run.counts.sorted { $0.key < $1.key }.map { "\($0.value) \($0.key)" }.joined(separator: ", "))
        }
    }
}
