import ThemisBase
import ThemisStorage

/// Which edges a walk follows.
struct EdgeRule: Sendable {
    var direction = EdgeDirection.outbound
    /// In their ordered coding; empty for every type.
    var types: [[UInt8]] = []
    /// Only edges that are valid at this time, in milliseconds since 1970; nil for all.
    var time: Int64?
    /// Tests of the edge's document.
    var condition = Condition.all([])
}

/// Reads edges and vertices of one graph in one state, within the bounds of one request. One thread at a time.
final class GraphReader {
    let view: ReadView
    let table: Table
    let index: Index
    let rule: EdgeRule
    private let condition: ConditionEvaluator?
    /// The primary keys of edges that have expired and are still stored; nil when they are not known, or too many to be kept.
    private let expired: Set<ArraySlice<UInt8>>?
    /// Edges looked at.
    private(set) var edgesRead: UInt64 = 0
    private var tables: [String: UInt32?] = [:]
    private var heldBytes = 0

    /// - Throws: `not_found` for an unknown table; `unprocessable` for one without an edge index; `conflict` while it is being built.
    init(_ view: ReadView, _ table: Table, _ rule: EdgeRule) throws(ThemisError) {
        self.view = view
        self.table = table
        self.rule = rule
        let indexes = table.indexes.all.filter { $0.definition.type == EdgeIndex.word && $0.replaces == 0 }
        guard let index = indexes.first else {
            throw ThemisError(
                .unprocessable, "table \(table.name.text) has no edge index; create one of type edge",
                fields: [FieldError("table", "has no edge index")])
        }
        guard index.state == .ready else {
            throw ThemisError(.conflict, "the edge index of \(table.name.text) is being built; see GET /admin/jobs")
        }
        self.index = index
        condition = rule.condition.isTrivial ? nil : ConditionEvaluator(rule.condition)
        expired = try Self.expired(view, table)
    }

    /// What has expired and is not swept yet: mostly nothing, and one look tells.
    private static func expired(_ view: ReadView, _ table: Table) throws(ThemisError) -> Set<ArraySlice<UInt8>>? {
        // What a transaction has written may lie over it: each edge is looked at.
        guard view.scope == nil else { return nil }
        let cursor = try view.snapshot.scan(
            .indexes, from: ExpiryKey.lowerBound(table: table.id), to: ExpiryKey.upperBound(table: table.id, now: view.now),
            reverse: false)
        var found: Set<ArraySlice<UInt8>> = []
        while try cursor.advance() {
            guard found.count < Limits.graphExpired else { return nil }
            found.insert(try ExpiryKey.parts(of: cursor.key).entity[4...])
        }
        return found
    }

    /// The edges of a vertex.
    func edges(of vertex: ArraySlice<UInt8>) -> EdgeScan { EdgeScan(self, vertex) }

    /// Counts what was looked at.
    ///
    /// - Throws: `query_too_large`, `deadline_exceeded`, `cancelled`.
    func look(at count: Int) throws(ThemisError) {
        edgesRead += UInt64(count)
        guard edgesRead <= UInt64(Limits.graphEdges) else {
            throw ThemisError(.queryTooLarge, "the walk looked at \(Limits.graphEdges) edges; that is the most for one request")
        }
        try view.check()
    }

    /// Counts memory that the walk keeps.
    ///
    /// - Throws: `query_too_large`.
    func hold(_ bytes: Int) throws(ThemisError) {
        heldBytes += bytes
        guard heldBytes <= Limits.graphBytes else {
            throw ThemisError(
                .queryTooLarge, "the walk would keep more than \(Limits.graphBytes) bytes of vertices; that is the most for one request")
        }
    }

    /// Those of `edges` whose entities are there and pass the tests.
    func passing(_ edges: [EdgeEntry]) throws(ThemisError) -> [EdgeEntry] {
        var kept = edges
        if let expired, !expired.isEmpty { kept.removeAll { expired.contains($0.pk) } }
        guard condition != nil || expired == nil else { return kept }
        var result: [EdgeEntry] = []
        for (edge, value) in zip(kept, try edgeValues(kept)) {
            guard let value else { continue }
            if let condition, try !condition.holds(for: value, EntityRecord.headerBytes..<value.count) { continue }
            result.append(edge)
        }
        return result
    }

    /// The stored values of edges; nil for those that are not there.
    func edgeValues(_ edges: [EdgeEntry]) throws(ThemisError) -> [[UInt8]?] {
        let prefix = EntityRecord.lowerBound(table: table.id)
        return try visible(edges.map { prefix + $0.pk })
    }

    /// The stored values of vertices that are the keys of entities; nil for others.
    func vertexValues(_ names: [[UInt8]]) throws(ThemisError) -> [[UInt8]?] {
        var keys: [[UInt8]] = []
        var places: [Int] = []
        for (place, name) in names.enumerated() {
            guard let key = try? EntityKey(validating: String(decoding: name, as: UTF8.self)), let id = try tableID(key.table) else {
                continue
            }
            keys.append(EntityRecord.key(table: id, pk: key.pk))
            places.append(place)
        }
        var result = [[UInt8]?](repeating: nil, count: names.count)
        for (place, value) in zip(places, try visible(keys)) { result[place] = value }
        return result
    }

    private func visible(_ keys: [[UInt8]]) throws(ThemisError) -> [[UInt8]?] {
        guard !keys.isEmpty else { return [] }
        var values = try view.multiGet(keys)
        for place in values.indices {
            if let value = values[place], try !view.isVisible(value) { values[place] = nil }
        }
        return values
    }

    private func tableID(_ name: TableName) throws(ThemisError) -> UInt32? {
        if let known = tables[name.text] { return known }
        var id: UInt32?
        do throws(ThemisError) {
            id = try view.tableID(name)
        } catch {
            guard error.code == .notFound else { throw error }
        }
        tables[name.text] = id
        return id
    }

}

/// The edges of one vertex, batch by batch, in the order of direction, type and other vertex. One thread at a time.
final class EdgeScan {
    /// Edges of one batch: those of most vertices.
    private static let batch = 256

    private let reader: GraphReader
    private let vertex: ArraySlice<UInt8>
    /// What is still to be read, the next one last.
    private var parts: [(prefix: [UInt8], isInbound: Bool)]
    private var cursor: ViewCursor?
    private var isInbound = false

    init(_ reader: GraphReader, _ vertex: ArraySlice<UInt8>) {
        self.reader = reader
        self.vertex = vertex
        parts = []
        for direction in reader.rule.direction.passes.reversed() {
            for type in reader.rule.types.isEmpty ? [[]] : reader.rule.types.reversed() {
                let entry = EdgeEntry.prefix(direction, vertex, type)
                parts.append((IndexKey.key(reader.index.generation, entry), direction == .inbound))
            }
        }
    }

    /// The next edges; none at the end.
    func next() throws(ThemisError) -> [EdgeEntry] {
        while true {
            var found: [EdgeEntry] = []
            var seen = 0
            while seen < Self.batch, let cursor = try current() {
                guard try cursor.advance() else {
                    self.cursor = nil
                    continue
                }
                seen += 1
                let edge = try EdgeEntry(cursor.key, behind: 5 + vertex.count, isInbound: isInbound)
                if let time = reader.rule.time, !edge.isValid(at: time) { continue }
                // Seen from both ends a loop is still one edge.
                if isInbound, reader.rule.direction == .any, edge.other == vertex { continue }
                found.append(edge)
            }
            try reader.look(at: seen)
            if seen == 0 { return [] }
            found = try reader.passing(found)
            if !found.isEmpty { return found }
        }
    }

    private func current() throws(ThemisError) -> ViewCursor? {
        if let cursor { return cursor }
        guard let part = parts.popLast() else { return nil }
        isInbound = part.isInbound
        cursor = try reader.view.scan(
            reader.index, of: reader.table, from: part.prefix, to: ValueRange.successor(part.prefix), reverse: false)
        return cursor
    }
}
