import Foundation
import Testing
import ThemisBase
import ThemisDatabase
import ThemisStorage
import ThemisTestKit

/// Random work with indexes that come, go and are built anew meanwhile; every answer is that of a look at every document.
@Suite struct IndexModelTests {
    /// Operations of one round; the environment asks for more.
    static let operations = ProcessInfo.processInfo.environment["THEMIS_INDEX_OPERATIONS"].flatMap { Int($0) } ?? 400

    /// What the random work is made of.
    struct World {
        var random: SeededRandom
        var documents: [String: JSONValue] = [:]

        mutating func scalar() -> JSONValue {
            switch Int.random(in: 0..<12, using: &random) {
            case 0: .null
            case 1: .bool(Bool.random(using: &random))
            case 2, 3, 4: .integer(Int64.random(in: -4...6, using: &random))
            case 5: .number(JSONNumber(spelling: ["1.0", "2.5", "-0", "1e1", "9007199254740993", "-3.75"].randomElement(using: &random)!)!)
            case 6, 7, 8: .string(["", "a", "a:", "ab", "a\0", "b", "10", "9", "ü", "zz"].randomElement(using: &random)!)
            case 9: .array([scalar()])
            case 10: .object([JSONMember("x", .integer(Int64.random(in: 0...2, using: &random)))])
            default: .integer(Int64.random(in: 0...50, using: &random))
            }
        }

        mutating func document() -> JSONValue {
            var members: [JSONMember] = []
            if Int.random(in: 0..<5, using: &random) > 0 { members.append(JSONMember("a", scalar())) }
            if Int.random(in: 0..<5, using: &random) > 0 { members.append(JSONMember("b", scalar())) }
            if Bool.random(using: &random) { members.append(JSONMember("n", .object([JSONMember("c", scalar())]))) }
            if Bool.random(using: &random) {
                members.append(
                    JSONMember("tags", .array((0..<Int.random(in: 0..<4, using: &random)).map { _ in scalar() })))
            }
            if Bool.random(using: &random) { members.append(JSONMember("u", .integer(Int64.random(in: 0...200, using: &random)))) }
            return .object(members.shuffled(using: &random))
        }

        mutating func key() -> String {
            ["k\(Int.random(in: 0..<80, using: &random))", "a:b\(Int.random(in: 0..<9, using: &random))"].randomElement(using: &random)!
        }

        mutating func path() -> String { ["a", "b", "n.c", "tags[*]", "u", "a", "missing"].randomElement(using: &random)! }

        mutating func predicate(depth: Int = 1) -> JSONValue {
            if depth > 0, Int.random(in: 0..<8, using: &random) == 0 {
                return ["or": .array((0..<2).map { _ in .array([predicate(depth: 0)]) })]
            }
            let op = ["eq", "eq", "eq", "ne", "lt", "le", "gt", "ge", "in", "prefix", "exists", "contains"].randomElement(using: &random)!
            var members: [JSONMember] = [JSONMember("column", .string(path()))]
            if op != "eq" || Bool.random(using: &random) { members.append(JSONMember("op", .string(op))) }
            let value: JSONValue =
                switch op {
                case "in": .array((0..<Int.random(in: 0..<4, using: &random)).map { _ in scalar() })
                case "prefix": .string(["", "a", "1"].randomElement(using: &random)!)
                case "exists": .bool(Bool.random(using: &random))
                default: scalar()
                }
            return .object(members + [JSONMember("value", value)])
        }

        mutating func query() -> JSONValue {
            var members: [JSONMember] = [JSONMember("table", "t"), JSONMember("allow_full_scan", true)]
            members.append(
                JSONMember("predicates", .array((0..<Int.random(in: 0..<3, using: &random)).map { _ in predicate() })))
            if Int.random(in: 0..<3, using: &random) == 0 {
                var range: [JSONMember] = [JSONMember("column", .string(path()))]
                range.append(JSONMember(["gt", "gte"].randomElement(using: &random)!.description == "gt" ? "gt" : "gte", scalar()))
                if Bool.random(using: &random) {
                    range += [JSONMember("lte", scalar()), JSONMember("includeUpper", .bool(Bool.random(using: &random)))]
                }
                members.append(JSONMember("range", .array([.object(range)])))
            }
            if Int.random(in: 0..<4, using: &random) == 0 {
                members.append(
                    JSONMember(
                        "or", .array((0..<2).map { _ in .array((0..<Int.random(in: 1...2, using: &random)).map { _ in predicate() }) })))
            }
            if Bool.random(using: &random) {
                let keys = (0..<Int.random(in: 1...2, using: &random)).map { _ -> JSONValue in
                    ["column": .string(["a", "b", "n.c", "u"].randomElement(using: &random)!), "desc": .bool(Bool.random(using: &random))]
                }
                members.append(JSONMember("order_by", keys.count == 1 && Bool.random(using: &random) ? keys[0] : .array(keys)))
            }
            members.append(JSONMember("limit", .integer(Int.random(in: 1...40, using: &random))))
            return .object(members)
        }

        mutating func definition() throws -> IndexDefinition {
            switch Int.random(in: 0..<7, using: &random) {
            case 0: try DatabaseFixture.definition("equality", path())
            case 1: try DatabaseFixture.definition("range", path())
            case 2: try DatabaseFixture.definition("composite", "a", "b")
            case 3: try DatabaseFixture.definition("composite", "b", "n.c", "u")
            case 4: try DatabaseFixture.definition("composite", "b", "tags[*]")
            case 5: try DatabaseFixture.definition("sparse", path())
            default: try DatabaseFixture.definition("range", ["a", "b", "u"].randomElement(using: &random)!)
            }
        }
    }

    private func check(_ fixture: DatabaseFixture, _ world: inout World, _ hint: String, queries: Int) throws {
        let table = try TableName(validating: "t")
        let indexes = fixture.database.table(table) == nil ? [] : try fixture.database.indexes(table)
        #expect(indexes.allSatisfy { $0.state == .ready }, "\(hint)")
        var stored: UInt64 = 0
        for index in indexes {
            stored += index.entries
            let expected = world.documents.values.reduce(0) { $0 + Self.entries(index.definition, $1) }
            #expect(index.entries == UInt64(expected), "\(hint): entries of \(index.definition.type) \(index.definition.name)")
        }
        #expect(try fixture.storedEntries() == Int(stored), "\(hint): stored entries")
        let verification = try fixture.ended(fixture.database.verify(repairs: false))
        #expect(verification.detail.contains(": 0 entries missing, 0 dangling, 0 indexes miscounted, 0 gaps"), "\(hint)")
        guard fixture.database.table(table) != nil else { return }
        for _ in 0..<queries {
            let query = world.query()
            let found = try fixture.keys(query)
            let text = String(decoding: query.bytes, as: UTF8.self)
            #expect(Set(found).count == found.count, "\(hint): a row comes once: \(text)")
            #expect(Set(found) == ReferenceQuery.keys(query, world.documents), "\(hint): \(text)")
            for (left, right) in zip(found, found.dropFirst()) {
                let documents = (world.documents[left] ?? .null, world.documents[right] ?? .null)
                #expect(ReferenceQuery.compare(query, documents.0, documents.1) <= 0, "\(hint): order: \(text)")
            }
        }
    }

    static func entries(_ definition: IndexDefinition, _ document: JSONValue) -> Int {
        definition.columns.reduce(1) { count, column in
            var values = ReferenceQuery.values(document, column.text)
            if values.isEmpty, !column.isExpanded { values = [.null] }
            if definition.type == "sparse" { values.removeAll(where: \.isNull) }
            return count * Set(values.map { OrderedCoding.coding(of: $0) }).count
        }
    }

    private func operation(_ world: inout World) throws -> (WriteOperation, String, JSONValue?) {
        let key = world.key()
        let entity = try DatabaseFixture.key("t:\(key)")
        switch Int.random(in: 0..<8, using: &world.random) {
        case 0, 1: return (WriteOperation(entity, .delete), key, nil)
        case 2:
            guard case .object(var members)? = world.documents[key] else { fallthrough }
            let value = world.scalar()
            // A merge patch with null removes, with an object merges: only others set.
            guard !value.isNull, value.members == nil else { fallthrough }
            members.removeAll { $0.name.text == "a" }
            members.append(JSONMember("a", value))
            return (WriteOperation(entity, .mergePatch(JSONValue.object([JSONMember("a", value)]).bytes)), key, .object(members))
        default:
            let document = world.document()
            return (WriteOperation(entity, .put(document.bytes)), key, document)
        }
    }

    private func write(_ fixture: DatabaseFixture, _ world: inout World) throws {
        let count = Int.random(in: 0..<5, using: &world.random) == 0 ? Int.random(in: 2...5, using: &world.random) : 1
        var operations: [WriteOperation] = []
        for _ in 0..<count {
            let (operation, key, document) = try operation(&world)
            operations.append(operation)
            world.documents[key] = document
        }
        if count == 1 { _ = try fixture.submit(operations[0]).get() } else { try fixture.atomic(operations) }
    }

    private func run(
        _ first: DatabaseFixture, seed: UInt64, reopen: (DatabaseFixture) throws -> DatabaseFixture
    ) throws {
        var world = World(random: SeededRandom(seed: seed))
        var fixture = first
        let table = try TableName(validating: "t")
        for number in 0..<Self.operations {
            let hint = "seed \(seed), step \(number)"
            switch Int.random(in: 0..<60, using: &world.random) {
            case 0, 1: _ = try fixture.database.createIndex(world.definition())
            case 2:
                let indexes = fixture.database.table(table) == nil ? [] : try fixture.database.indexes(table)
                if let index = indexes.filter({ !$0.isReplacement }).randomElement(using: &world.random) {
                    _ = try fixture.database.dropIndex(table, columns: index.definition.columns, type: index.definition.type)
                }
            case 3:
                let indexes = fixture.database.table(table) == nil ? [] : try fixture.database.indexes(table)
                if let index = indexes.filter({ !$0.isReplacement && $0.state == .ready }).randomElement(using: &world.random) {
                    let code = errorCode {
                        let job = try fixture.database.rebuildIndex(table, columns: index.definition.columns, type: index.definition.type)
                        if Bool.random(using: &world.random) { _ = fixture.database.cancelJob(job.id) }
                    }
                    #expect(code == nil || code == .conflict, "\(hint): \(String(describing: code))")
                }
            case 4:
                // Whatever is being built goes on after the next open.
                fixture = try reopen(fixture)
            case 5:
                if fixture.database.table(table) != nil, Int.random(in: 0..<4, using: &world.random) == 0 {
                    _ = try fixture.database.truncateTable(table)
                    world.documents = [:]
                }
            case 6:
                try fixture.finishAllJobs()
                try check(fixture, &world, hint, queries: 5)
            default: try write(fixture, &world)
            }
        }
        try fixture.finishAllJobs()
        try check(fixture, &world, "seed \(seed), end", queries: 60)
    }

    @Test(arguments: 0..<6)
    func `answers with indexes that come and go are those of a full look`(round: Int) throws {
        let engine = MemoryEngine()
        try run(DatabaseFixture(engine: engine), seed: Seed.current() &+ UInt64(round)) { fixture in
            fixture.database.close()
            return try DatabaseFixture(engine: engine)
        }
    }

    @Test func `the same holds on the real engine`() throws {
        let rocks = try RocksDBFixture()
        try run(rocks.fixture, seed: Seed.current() &+ 100) { _ in
            try rocks.reopen()
            return rocks.fixture
        }
    }
}
