import ThemisBase

/// The shortest way between two vertices: of the fewest edges, or of the least weight.
struct ShortestPath {
    /// A way.
    struct Way {
        /// The vertices, from the start to the target, in their ordered coding.
        var vertices: [ArraySlice<UInt8>]
        /// The edges between them.
        var edges: [EdgeEntry]
        /// The sum of their weights.
        var weight: Double
    }

    let reader: GraphReader
    let request: GraphRequest

    /// The way; nil when there is none.
    ///
    /// - Throws: `query_too_large`, `deadline_exceeded`, `cancelled`, `data_corrupt`.
    func find() throws(ThemisError) -> Way? {
        guard request.start != request.target else { return Way(vertices: [request.start[...]], edges: [], weight: 0) }
        return try request.isWeighted ? byWeight() : byEdges()
    }

    private func byEdges() throws(ThemisError) -> Way? {
        var walk = GraphWalk(reader, from: request.start)
        var next = 0
        while next < walk.vertices.count {
            let edges = reader.edges(of: walk.vertices[next].name)
            while true {
                let batch = try edges.next()
                if batch.isEmpty { break }
                for edge in batch {
                    guard let place = try walk.add(edge, from: next), edge.other == request.target[...] else { continue }
                    let path = walk.path(to: place)
                    let edges = path.compactMap { walk.vertices[$0].edge }
                    return Way(
                        vertices: path.map { walk.vertices[$0].name }, edges: edges, weight: edges.reduce(0) { $0 + $1.weight })
                }
            }
            next += 1
        }
        return nil
    }

    /// A vertex with the least weight at which it was reached so far.
    private struct Weighed {
        let name: ArraySlice<UInt8>
        var weight: Double
        var parent: Int?
        var edge: EdgeEntry?
        var isSettled = false
    }

    /// Dijkstra's algorithm: weights are never negative, the index sees to that.
    private func byWeight() throws(ThemisError) -> Way? {
        var vertices = [Weighed(name: request.start[...], weight: 0)]
        var table = VertexTable()
        _ = table.number(of: request.start[...])
        var queue = WeightQueue()
        queue.push(0, weight: 0)
        while let (place, weight) = queue.pop() {
            guard !vertices[place].isSettled, weight == vertices[place].weight else { continue }
            vertices[place].isSettled = true
            if vertices[place].name == request.target[...] { return way(to: place, vertices) }
            let edges = reader.edges(of: vertices[place].name)
            while true {
                let batch = try edges.next()
                if batch.isEmpty { break }
                for edge in batch {
                    let sum = weight + edge.weight
                    let (known, isNew) = table.number(of: edge.other)
                    if !isNew {
                        guard !vertices[known].isSettled, sum < vertices[known].weight else { continue }
                        vertices[known].weight = sum
                        vertices[known].parent = place
                        vertices[known].edge = edge
                        try reader.hold(WeightQueue.placeBytes)
                        queue.push(known, weight: sum)
                    } else {
                        guard vertices.count < Limits.graphVertices else {
                            throw ThemisError(
                                .queryTooLarge,
                                "the search reached \(Limits.graphVertices) vertices; that is the most for one request")
                        }
                        try reader.hold(edge.keptBytes + GraphWalk.vertexBytes + WeightQueue.placeBytes)
                        queue.push(known, weight: sum)
                        vertices.append(Weighed(name: edge.other, weight: sum, parent: place, edge: edge))
                    }
                }
            }
        }
        return nil
    }

    private func way(to target: Int, _ vertices: [Weighed]) -> Way {
        var path = [target]
        while let parent = vertices[path[path.count - 1]].parent { path.append(parent) }
        path.reverse()
        return Way(
            vertices: path.map { vertices[$0].name }, edges: path.compactMap { vertices[$0].edge }, weight: vertices[target].weight)
    }
}

/// Places by weight, the least first; of equal ones that which came first.
private struct WeightQueue {
    /// Memory of one place.
    static let placeBytes = 24

    private var heap: [(weight: Double, number: Int, place: Int)] = []
    private var pushed = 0

    mutating func push(_ place: Int, weight: Double) {
        heap.append((weight, pushed, place))
        pushed += 1
        var child = heap.count - 1
        while child > 0 {
            let parent = (child - 1) / 2
            guard isLess(child, parent) else { return }
            heap.swapAt(child, parent)
            child = parent
        }
    }

    mutating func pop() -> (place: Int, weight: Double)? {
        guard let first = heap.first else { return nil }
        let last = heap.removeLast()
        if !heap.isEmpty {
            heap[0] = last
            var parent = 0
            while true {
                var least = parent
                for child in [2 * parent + 1, 2 * parent + 2] where child < heap.count && isLess(child, least) { least = child }
                if least == parent { break }
                heap.swapAt(least, parent)
                parent = least
            }
        }
        return (first.place, first.weight)
    }

    private func isLess(_ left: Int, _ right: Int) -> Bool {
        (heap[left].weight, heap[left].number) < (heap[right].weight, heap[right].number)
    }
}
