import Foundation
import Testing
import ThemisBase
import ThemisDatabase
import ThemisStorage
import ThemisTestKit

extension DatabaseFixture {
    static func definition(
        _ type: String, _ columns: String..., unique: Bool = false, settings: IndexSettings = IndexSettings(), table: String = "t"
    ) throws -> IndexDefinition {
        try IndexDefinition(
            table: TableName(validating: table), type: type, columns: columns.map { try JSONPath($0) }, isUnique: unique,
            settings: settings)
    }

    /// Makes an index and waits until it serves.
    @discardableResult
    func index(
        _ type: String, _ columns: String..., unique: Bool = false, settings: IndexSettings = IndexSettings(), table: String = "t"
    ) throws -> IndexInfo {
        let definition = try IndexDefinition(
            table: TableName(validating: table), type: type, columns: columns.map { try JSONPath($0) }, isUnique: unique,
            settings: settings)
        let result = try database.createIndex(definition)
        if let job = result.job { try finish(job) }
        return result.index
    }

    /// Waits for the end of a job.
    ///
    /// - Throws: why it failed.
    func finish(_ job: Job) throws {
        let last = try ended(job)
        if let error = last.error { throw error }
    }

    /// Waits for the end of a job: what became of it.
    func ended(_ job: Job) throws -> Job {
        let deadline = Date().addingTimeInterval(60)
        while Date() < deadline {
            guard let current = database.job(job.id) else { throw ThemisError(.notFound, "the job is not known") }
            if current.state != .running { return current }
            sched_yield()
        }
        throw ThemisError(.deadlineExceeded, "a job did not end within a minute")
    }

    func finishAllJobs() throws { for job in database.jobs() where job.state == .running { _ = try ended(job) } }

    /// Asks a query; the answer as a tree.
    func query(_ body: String) throws -> JSONValue { try JSONValue(parsing: database.query(Array(body.utf8))) }

    /// The primary keys of the rows of a query, all pages of it.
    func keys(_ body: JSONValue, pages: Int = 1_000) throws -> [String] {
        var members = (body.members ?? []).filter { $0.name.text != "return" } + [JSONMember("return", "keys")]
        var keys: [String] = []
        for _ in 0..<pages {
            let answer = try JSONValue(parsing: database.query(JSONValue.object(members).bytes))
            let page = (answer["keys"]?.elements ?? []).compactMap(\.stringValue)
            keys += page.map { String($0[$0.index(after: $0.firstIndex(of: ":")!)...]) }
            guard let cursor = answer["next_cursor"] else { return keys }
            #expect(!page.isEmpty, "a page with a cursor has rows")
            members.removeAll { $0.name.text == "cursor" }
            members.append(JSONMember("cursor", cursor))
        }
        return keys
    }

    func keys(_ body: String) throws -> [String] { try keys(JSONValue(parsing: Array(body.utf8))) }

    /// Index entries that are stored, of every index.
    func storedEntries() throws -> Int {
        try engine.snapshot().scan(.indexes, from: [0, 0, 0, 1], to: nil, reverse: false).count()
    }

    /// Keys in the order of expiry that are stored.
    func storedExpiries() throws -> Int {
        try engine.snapshot().scan(.indexes, from: [], to: [0, 0, 0, 1], reverse: false).count()
    }

    /// What a verification says.
    func verification(repairs: Bool = false) throws -> String {
        let job = try ended(database.verify(repairs: repairs))
        #expect(job.state == .done)
        try finishAllJobs()
        return job.detail
    }

    /// Whether a verification finds nothing wrong.
    func isSound() throws -> Bool {
        try verification().contains(": 0 entries missing, 0 dangling, 0 indexes miscounted, 0 gaps")
    }
}

/// What a query should answer, by looking at every document.
struct ReferenceQuery {
    static func values(_ document: JSONValue, _ path: String) -> [JSONValue] {
        var found = [document]
        for name in path.split(separator: ".") {
            let isExpanded = name.hasSuffix("[*]")
            found = found.compactMap { $0[String(isExpanded ? name.dropLast(3) : name)] }
            if isExpanded { found = found.flatMap { $0.elements ?? [] } }
        }
        return found
    }

    static func holds(_ predicate: JSONValue, _ document: JSONValue) -> Bool {
        if let lists = predicate["or"]?.elements {
            return lists.contains { list in (list.elements ?? []).allSatisfy { holds($0, document) } }
        }
        let path = predicate["column"]?.stringValue ?? ""
        let found = values(document, path)
        let op = predicate["op"]?.stringValue ?? "eq"
        let value = predicate["value"] ?? .null
        if op == "exists" { return found.isEmpty != (predicate["value"]?.boolValue ?? true) }
        if op == "contains" {
            return found.contains { candidate in
                if let elements = candidate.elements { return elements.contains { ReferenceOrder.compare($0, value) == 0 } }
                guard let text = candidate.stringValue, let part = value.stringValue else { return false }
                return part.isEmpty || text.range(of: part, options: .literal) != nil
            }
        }
        let candidates = found.isEmpty && !path.contains("[*]") ? [.null] : found
        return candidates.contains { candidate in
            let order = ReferenceOrder.compare(candidate, value)
            return switch op {
            case "eq": order == 0
            case "ne": order != 0
            case "lt": order < 0
            case "le": order <= 0
            case "gt": order > 0
            case "ge": order >= 0
            case "in": (value.elements ?? []).contains { ReferenceOrder.compare(candidate, $0) == 0 }
            case "prefix": candidate.stringValue?.utf8.starts(with: (value.stringValue ?? "").utf8) ?? false
            default: false
            }
        }
    }

    static func holds(range: JSONValue, _ document: JSONValue) -> Bool {
        let path = range["column"]?.stringValue ?? ""
        let found = values(document, path)
        return (found.isEmpty && !path.contains("[*]") ? [.null] : found).contains { value in
            if let bound = range["gte"] {
                let order = ReferenceOrder.compare(value, bound)
                if order < 0 || (order == 0 && range["includeLower"]?.boolValue == false) { return false }
            }
            if let bound = range["lte"] {
                let order = ReferenceOrder.compare(value, bound)
                if order > 0 || (order == 0 && range["includeUpper"]?.boolValue == false) { return false }
            }
            if let bound = range["gt"], ReferenceOrder.compare(value, bound) <= 0 { return false }
            if let bound = range["lt"], ReferenceOrder.compare(value, bound) >= 0 { return false }
            return true
        }
    }

    /// The keys of the documents that pass.
    static func keys(_ query: JSONValue, _ documents: [String: JSONValue]) -> Set<String> {
        Set(
            documents.filter { _, document in
                (query["predicates"]?.elements ?? []).allSatisfy { holds($0, document) }
                    && (query["range"]?.elements ?? []).allSatisfy { holds(range: $0, document) }
                    && (query["or"].map { holds(.object([JSONMember("or", $0)]), document) } ?? true)
            }.keys)
    }

    /// Compares two documents under `order_by`.
    static func compare(_ query: JSONValue, _ left: JSONValue, _ right: JSONValue) -> Int {
        let keys = query["order_by"]?.elements ?? query["order_by"].map { [$0] } ?? []
        for key in keys {
            let path = key["column"]?.stringValue ?? ""
            let order = ReferenceOrder.compare(values(left, path).first ?? .null, values(right, path).first ?? .null)
            if order != 0 { return key["desc"]?.boolValue == true ? -order : order }
        }
        return 0
    }
}
