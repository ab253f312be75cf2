import Testing
import ThemisBase
import ThemisDatabase
import ThemisTestKit

/// Positions and edges in the documents of the large model.
extension LargeModelTests.Run {
    /// What makes a document a place, an edge, both or neither.
    func placed() -> [JSONMember] {
        var members: [JSONMember] = []
        if chance(3) {
            members.append(
                JSONMember("place", ["lat": .integer(Int64.random(in: -9...9, using: &random)), "lon": .integer(longitude())]))
        }
        if chance(3) { members += [JSONMember("_from", vertex()), JSONMember("_to", vertex())] }
        return members
    }

    /// Near the line at which longitudes begin again, too.
    private func longitude() -> Int64 { Int64.random(in: -5...5, using: &random) + (chance(2) ? 0 : chance(2) ? 175 : -175) }
    private func vertex() -> JSONValue { .string("v\(Int.random(in: 0..<6, using: &random))") }

    /// Boxes and neighbours are what a look at every document says.
    func checkPlaces(_ documents: [String: JSONValue]) throws {
        let (south, west) = (Int64.random(in: -9...9, using: &random), longitude())
        let (north, east) = (min(9, south + 4), longitude())
        let box: JSONValue = ["south": .integer(south), "west": .integer(west), "north": .integer(north), "east": .integer(east)]
        let query: JSONValue = [
            "table": "t", "allow_full_scan": true, "predicates": [["column": "place", "op": "within", "value": box]],
        ]
        let inside = documents.filter { _, document in
            guard let latitude = document["place"]?["lat"]?.int64Value, let longitude = document["place"]?["lon"]?.int64Value else {
                return false
            }
            // The line where longitudes begin again has two names.
            let isBetween = (abs(longitude) == 180 ? [-180, 180] : [longitude]).contains { longitude in
                west <= east ? (west...east).contains(longitude) : longitude >= west || longitude <= east
            }
            return (south...north).contains(latitude) && isBetween
        }
        let found = try fixture.keys(query)
        #expect(Set(found) == Set(inside.keys) && found.count == inside.count, "\(hint): \(query)")
        count("boxes")
        guard indexes.contains(where: { $0.definition.type == "edge" }) else { return }
        for vertex in (0..<6).map({ JSONValue.string("v\($0)") }) {
            let expected = documents.filter { $0.value["_from"] == vertex || $0.value["_to"] == vertex }.keys
            let body: JSONValue = ["table": "t", "vertex": vertex, "direction": "any", "limit": 1_000]
            let answer = try JSONValue(parsing: fixture.database.neighbors(body.bytes))
            let edges = (answer["neighbors"]?.elements ?? []).compactMap { $0["edge"]?.stringValue }
            #expect(edges.sorted() == expected.map { "t:\($0)" }.sorted(), "\(hint): edges of \(vertex)")
            count("neighbourhoods")
        }
    }
}
