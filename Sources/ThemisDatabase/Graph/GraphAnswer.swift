import ThemisBase

/// Answers about graphs as JSON text. Documents go in as they are stored.
struct GraphAnswer {
    private let reader: GraphReader
    private let request: GraphRequest
    private(set) var out: [UInt8] = []

    /// Vertices or edges whose documents are read at once.
    private static let together = 64

    init(_ reader: GraphReader, _ request: GraphRequest) {
        self.reader = reader
        self.request = request
        text(#"{"table":"\#(reader.table.name.text)""#)
    }

    // MARK: Walks

    /// The answer to a traversal.
    ///
    /// - Throws: `data_corrupt`, `cancelled`, `deadline_exceeded`.
    static func traversal(
        _ traversal: Traversal, _ reader: GraphReader, _ request: GraphRequest, milliseconds: () -> Double
    ) throws(ThemisError) -> [UInt8] {
        var answer = GraphAnswer(reader, request)
        answer.member("start_vertex", name: request.start[...])
        let (details, written) = try answer.details(traversal)
        let places = traversal.found.prefix(written)
        answer.text(#","max_depth":\#(request.depth.upperBound),"visited_count":\#(places.count),"visited":["#)
        answer.list(places) { answer, place in answer.name(traversal.walk.vertices[place].name) }
        answer.text("]")
        answer.out.append(contentsOf: details)
        answer.text(#","truncated":\#(traversal.isTruncated || written < traversal.found.count)"#)
        return answer.end(vertices: traversal.walk.vertices.count, milliseconds())
    }

    /// What is said about each vertex, and for how many it was: the answer has a bound.
    private func details(_ traversal: Traversal) throws(ThemisError) -> (bytes: [UInt8], written: Int) {
        guard let shape = request.shape else { return ([], traversal.found.count) }
        var part = GraphAnswer(reader, request)
        part.out = Array(#","\#(shape.rawValue)":["#.utf8)
        var written = 0
        var left = traversal.found[...]
        while !left.isEmpty, part.out.count < Limits.pageBytes {
            let places = Array(left.prefix(Self.together))
            left = left.dropFirst(places.count)
            try reader.view.check()
            let documents = try documents(of: places, traversal, shape)
            for (place, document) in zip(places, documents) where part.out.count < Limits.pageBytes {
                written += 1
                let vertex = traversal.walk.vertices[place]
                if part.out.last != 0x5B { part.text(",") }
                switch shape {
                case .vertices:
                    part.text("{")
                    part.member("vertex", name: vertex.name, isFirst: true)
                    part.text(#","depth":\#(vertex.depth)"#)
                    part.document(document)
                    part.text("}")
                case .edges: part.edge(to: vertex, traversal.walk, document)
                case .paths: part.path(to: place, traversal.walk)
                }
            }
        }
        part.text("]")
        return (part.out, written)
    }

    private func documents(of places: [Int], _ traversal: Traversal, _ shape: GraphRequest.Shape) throws(ThemisError) -> [[UInt8]?] {
        let vertices = places.map { traversal.walk.vertices[$0] }
        switch shape {
        case .vertices: return try reader.vertexValues(vertices.map { OrderedCoding.text(of: $0.name) })
        case .edges:
            var result = [[UInt8]?](repeating: nil, count: places.count)
            let edges = vertices.enumerated().compactMap { item in item.element.edge.map { (item.offset, $0) } }
            for ((place, _), value) in zip(edges, try reader.edgeValues(edges.map(\.1))) { result[place] = value }
            return result
        case .paths: return [[UInt8]?](repeating: nil, count: places.count)
        }
    }

    /// The edge over which a vertex was reached; null for the start.
    private mutating func edge(to vertex: ReachedVertex, _ walk: GraphWalk, _ document: [UInt8]?) {
        guard let edge = vertex.edge, let parent = vertex.parent else { return text("null") }
        text("{")
        append(edge, of: walk.vertices[parent].name)
        text(#","depth":\#(vertex.depth)"#)
        self.document(document)
        text("}")
    }

    private mutating func path(to place: Int, _ walk: GraphWalk) {
        let path = walk.path(to: place)
        text(#"{"length":\#(path.count - 1),"vertices":["#)
        list(path) { answer, place in answer.name(walk.vertices[place].name) }
        text(#"],"edges":["#)
        list(path.compactMap { walk.vertices[$0].edge }) { answer, edge in answer.key(edge) }
        text("]}")
    }

    // MARK: Ways and neighbours

    /// The answer to a search for a way.
    static func way(
        _ way: ShortestPath.Way?, _ reader: GraphReader, _ request: GraphRequest, milliseconds: Double
    ) -> [UInt8] {
        var answer = GraphAnswer(reader, request)
        answer.member("from", name: request.start[...])
        answer.member("to", name: request.target[...])
        answer.text(#","found":\#(way != nil)"#)
        if let way {
            answer.text(#","length":\#(way.edges.count),"weight":\#(OrderedNumber(way.weight).spelling),"vertices":["#)
            answer.list(way.vertices) { answer, name in answer.name(name) }
            answer.text(#"],"edges":["#)
            answer.list(zip(way.vertices, way.edges)) { answer, step in
                answer.text("{")
                answer.append(step.1, of: step.0)
                answer.text("}")
            }
            answer.text("]")
        }
        return answer.end(vertices: nil, milliseconds)
    }

    /// The answer to a question for neighbours.
    static func neighbors(
        _ edges: [EdgeEntry], isTruncated: Bool, _ reader: GraphReader, _ request: GraphRequest, milliseconds: Double
    ) -> [UInt8] {
        var answer = GraphAnswer(reader, request)
        answer.member("vertex", name: request.start[...])
        answer.text(#","count":\#(edges.count),"neighbors":["#)
        answer.list(edges) { answer, edge in
            answer.text("{")
            answer.member("vertex", name: edge.other, isFirst: true)
            answer.text(#","direction":"\#(edge.isInbound ? "inbound" : "outbound")","#)
            answer.append(edge, of: request.start[...])
            answer.text("}")
        }
        answer.text(#"],"truncated":\#(isTruncated)"#)
        return answer.end(vertices: nil, milliseconds)
    }

    // MARK: Parts

    private mutating func text(_ text: String) { out.append(contentsOf: text.utf8) }

    private mutating func list<Items: Sequence>(_ items: Items, _ body: (inout GraphAnswer, Items.Element) -> Void) {
        var isFirst = true
        for item in items {
            if !isFirst { out.append(0x2C) }
            isFirst = false
            body(&self, item)
        }
    }

    private mutating func name(_ coding: ArraySlice<UInt8>) { JSONText.appendString(utf8: OrderedCoding.text(of: coding), to: &out) }

    private mutating func member(_ member: String, name coding: ArraySlice<UInt8>, isFirst: Bool = false) {
        text("\(isFirst ? "" : ",")\"\(member)\":")
        name(coding)
    }

    private mutating func key(_ edge: EdgeEntry) {
        JSONText.appendString(utf8: Array(reader.table.name.text.utf8) + [0x3A] + edge.pk, to: &out)
    }

    /// The members of an edge as the index has it, seen from one of its ends.
    private mutating func append(_ edge: EdgeEntry, of vertex: ArraySlice<UInt8>) {
        text(#""edge":"#)
        key(edge)
        member("from", name: edge.isInbound ? edge.other : vertex)
        member("to", name: edge.isInbound ? vertex : edge.other)
        member("type", name: edge.type)
        text(#","weight":\#(OrderedNumber(edge.weight).spelling)"#)
        if let time = edge.validFrom { text(#","valid_from":\#(time)"#) }
        if let time = edge.validTo { text(#","valid_to":\#(time)"#) }
    }

    /// The document of a stored value; `missing` when there is none.
    private mutating func document(_ value: [UInt8]?) {
        guard let value else { return text(#","missing":true"#) }
        text(#","document":"#)
        out.append(contentsOf: EntityRecord.document(of: value))
    }

    private mutating func end(vertices: Int?, _ milliseconds: Double) -> [UInt8] {
        let reached = vertices.map { #""vertices_reached":\#($0),"# } ?? ""
        text(#","sequence":\#(reader.view.sequence),"stats":{\#(reached)"edges_read":\#(reader.edgesRead),"ms":\#(milliseconds)}}"#)
        return out
    }
}
