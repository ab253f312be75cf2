import ThemisBase

/// A vertex that a walk has reached.
struct ReachedVertex {
    /// In its ordered coding.
    let name: ArraySlice<UInt8>
    /// Edges from the start.
    let depth: Int
    /// Where it was reached from: a place in the walk; nil for the start.
    let parent: Int?
    /// The edge that leads here.
    let edge: EdgeEntry?
}

/// The vertices that a walk has reached, each once, in the order in which they were. One thread at a time.
struct GraphWalk {
    /// Memory of a vertex beside its edge, about, with its places in tables.
    static let vertexBytes = 160

    private(set) var vertices: [ReachedVertex]
    private var table = VertexTable()
    private var frontier = (depth: 0, count: 1)
    private let reader: GraphReader

    init(_ reader: GraphReader, from start: [UInt8]) {
        self.reader = reader
        vertices = [ReachedVertex(name: start[...], depth: 0, parent: nil, edge: nil)]
        _ = table.number(of: start[...])
    }

    /// Adds the vertex behind an edge; nil when it was reached before.
    ///
    /// - Throws: `query_too_large`.
    mutating func add(_ edge: EdgeEntry, from parent: Int) throws(ThemisError) -> Int? {
        guard table.number(of: edge.other).isNew else { return nil }
        guard vertices.count < Limits.graphVertices else {
            throw ThemisError(
                .queryTooLarge,
                "the walk reached \(Limits.graphVertices) vertices; that is the most for one request: walk less deep, "
                    + "or follow fewer edges by types, at or filter")
        }
        let depth = vertices[parent].depth + 1
        frontier = frontier.depth == depth ? (depth, frontier.count + 1) : (depth, 1)
        guard frontier.count <= Limits.graphFrontier else {
            throw ThemisError(
                .queryTooLarge, "the walk reached \(Limits.graphFrontier) vertices at depth \(depth); that is the most for one depth")
        }
        try reader.hold(edge.keptBytes + Self.vertexBytes)
        vertices.append(ReachedVertex(name: edge.other, depth: depth, parent: parent, edge: edge))
        return vertices.count - 1
    }

    /// The places from the start to a vertex.
    func path(to place: Int) -> [Int] {
        var path = [place]
        while let parent = vertices[path[path.count - 1]].parent { path.append(parent) }
        return path.reversed()
    }
}

/// The vertices around one, nearest first.
struct Traversal {
    private let reader: GraphReader
    private let request: GraphRequest
    private let condition: ConditionEvaluator?
    private(set) var walk: GraphWalk
    /// Places of the vertices that belong to the answer.
    private(set) var found: [Int] = []
    /// Whether there are more.
    private(set) var isTruncated = false

    init(_ reader: GraphReader, _ request: GraphRequest) {
        self.reader = reader
        self.request = request
        condition = request.condition.isTrivial ? nil : ConditionEvaluator(request.condition)
        walk = GraphWalk(reader, from: request.start)
    }

    /// Walks until everything is reached or the answer is full.
    ///
    /// - Throws: `query_too_large`, `deadline_exceeded`, `cancelled`, `data_corrupt`.
    mutating func run() throws(ThemisError) {
        try take([0])
        var next = 0
        while next < walk.vertices.count, !isTruncated, walk.vertices[next].depth < request.depth.upperBound {
            let edges = reader.edges(of: walk.vertices[next].name)
            while !isTruncated {
                let batch = try edges.next()
                if batch.isEmpty { break }
                var reached: [Int] = []
                for edge in batch { if let place = try walk.add(edge, from: next) { reached.append(place) } }
                try take(reached)
            }
            next += 1
        }
    }

    /// Takes those of the vertices into the answer that belong there.
    private mutating func take(_ places: [Int]) throws(ThemisError) {
        var places = places.filter { request.depth.contains(walk.vertices[$0].depth) }
        if let condition, !places.isEmpty {
            let values = try reader.vertexValues(places.map { OrderedCoding.text(of: walk.vertices[$0].name) })
            var passing: [Int] = []
            for (place, value) in zip(places, values) {
                // What has no entity has no values: as an empty document.
                let document = value ?? EntityRecord.value(document: [0x7B, 0x7D])
                if try condition.holds(for: document, EntityRecord.headerBytes..<document.count) { passing.append(place) }
            }
            places = passing
        }
        isTruncated = found.count + places.count > request.limit
        found += places.prefix(request.limit - found.count)
    }
}
