import Foundation
import Testing
import ThemisBase
import ThemisStorage
import ThemisTestKit

@testable import ThemisDatabase

/// Positions on the earth: circles and boxes, judged by geodesics of another hand.
@Suite struct GeoTests {
    private let table: TableName

    init() throws { table = try TableName(validating: "t") }

    /// What `GeoOracle.py` says.
    struct Oracle: Decodable, Sendable {
        struct Question: Decodable, Sendable {
            let op: String
            let value: [String: Double]
            let inside: [String]
            let unclear: [String]
        }

        let points: [String: [Double]]
        let questions: [Question]
        let distances: [[Double]]
    }

    private static let oracle = Result<Oracle, any Error> {
        let python = ProcessSet.venv("geo") + "/bin/python"
        try #require(FileManager.default.isExecutableFile(atPath: python), "the judge is missing: make install")
        let script = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("GeoOracle.py").path
        let process = Process()
        process.executableURL = URL(fileURLWithPath: python)
        process.arguments = [script, String(Seed.current())]
        let pipe = Pipe()
        process.standardOutput = pipe
        try process.run()
        let data = try pipe.fileHandleForReading.readToEnd() ?? Data()
        process.waitUntilExit()
        return try JSONDecoder().decode(Oracle.self, from: data)
    }

    /// A point in one of the forms.
    private static func document(_ point: [Double], form: Int) -> String {
        let (latitude, longitude) = (point[0], point[1])
        return switch form % 4 {
        case 0: #"{"at":{"lat":\#(latitude),"lon":\#(longitude)}}"#
        case 1: #"{"at":[\#(longitude),\#(latitude)]}"#
        case 2: #"{"at":{"type":"Point","coordinates":[\#(longitude),\#(latitude),12]}}"#
        default: #"{"at_lat":\#(latitude),"at_lon":\#(longitude)}"#
        }
    }

    private static func load(_ points: [String: [Double]], into fixture: DatabaseFixture) throws {
        var operations: [WriteOperation] = []
        for (place, point) in points.sorted(by: { $0.key < $1.key }).enumerated() {
            let document = Self.document(point.value, form: place)
            operations.append(WriteOperation(try DatabaseFixture.key("t:\(point.key)"), .put(Array(document.utf8))))
            guard operations.count == 1_000 else { continue }
            try fixture.atomic(operations)
            operations = []
        }
        if !operations.isEmpty { try fixture.atomic(operations) }
    }

    private static func query(_ question: Oracle.Question, isFree: Bool) -> JSONValue {
        let value = question.value.sorted { $0.key < $1.key }.map {
            JSONMember(JSONName($0.key), JSONNumber($0.value).map { .number($0) } ?? .null)
        }
        return [
            "table": "t", "allow_full_scan": .bool(isFree), "limit": 5_000,
            "predicates": .array([["column": "at", "op": .string(question.op), "value": .object(value)]]),
        ]
    }

    @Test func `circles and boxes over real cities equal a look at every one by other geodesics`() throws {
        let oracle = try Self.oracle.get()
        try #require(oracle.points.count >= 10_000)
        let fixture = try DatabaseFixture()
        try Self.load(oracle.points, into: fixture)
        let result = try fixture.database.createIndex(DatabaseFixture.definition("geo", "at"))
        try fixture.finish(#require(result.job))
        #expect(try fixture.database.indexes(table)[0].entries == UInt64(oracle.points.count))
        for question in oracle.questions {
            let found = Set(try fixture.keys(Self.query(question, isFree: false)))
            let unclear = Set(question.unclear)
            let expected = Set(question.inside)
            let hint = "\(question.op) \(question.value), seed \(Seed.current())"
            #expect(found.subtracting(unclear) == expected.subtracting(unclear), "\(hint)")
        }
        let verification = try fixture.ended(fixture.database.verify(repairs: false))
        #expect(verification.detail.contains(": 0 entries missing, 0 dangling, 0 indexes miscounted"))
    }

    @Test func `a scan of the table answers as the index does`() throws {
        let oracle = try Self.oracle.get()
        let fixture = try DatabaseFixture()
        let some = oracle.points.filter { $0.key.hasPrefix("r") }
        try Self.load(some, into: fixture)
        #expect(
            errorCode { _ = try fixture.keys(Self.query(oracle.questions[0], isFree: false)) } == .fullScanRefused,
            "without an index it must be allowed")
        let scanned = try oracle.questions.map { try fixture.keys(Self.query($0, isFree: true)) }
        try fixture.index("geo", "at")
        for (question, keys) in zip(oracle.questions, scanned) {
            #expect(try fixture.keys(Self.query(question, isFree: true)) == keys, "\(question.op) \(question.value)")
            let expected = Set(question.inside).union(question.unclear).filter { $0.hasPrefix("r") }
            #expect(Set(keys).symmetricDifference(expected).isSubset(of: Set(question.unclear)), "\(question.op) \(question.value)")
        }
    }

    @Test func `distances are within a millimetre of other geodesics also between opposite points`() throws {
        for pair in try Self.oracle.get().distances {
            let from = try #require(GeoPosition(latitude: pair[0], longitude: pair[1]))
            let to = try #require(GeoPosition(latitude: pair[2], longitude: pair[3]))
            let meters = Geodesic.meters(from, to)
            #expect((meters - pair[4]).magnitude < 0.001, "\(pair): \(meters)")
            let sphere = Geodesic.sphereMeters(from, to)
            #expect(meters <= sphere * Geodesic.scale.upperBound * (1 + 1e-7) && meters >= sphere * Geodesic.scale.lowerBound * (1 - 1e-7))
        }
    }

    @Test func `every cell of a box lies in its ranges`() {
        var random = SeededRandom(seed: Seed.current())
        for _ in 0..<300 {
            let parallels = [Double.random(in: -90...90, using: &random), Double.random(in: -90...90, using: &random)].sorted()
            let west = Double.random(in: -180...180, using: &random)
            let width = [0, 0.00001, 0.1, 20, 359].randomElement(using: &random)!
            let box = GeoBox(
                south: parallels[0], west: west, north: min(parallels[1], parallels[0] + width),
                east: west + width > 180 ? west + width - 360 : west + width)
            let ranges = GeoCells.ranges([box])
            #expect(ranges.count <= Limits.geoRanges)
            for (left, right) in zip(ranges, ranges.dropFirst()) { #expect(left.upperBound < right.lowerBound) }
            for _ in 0..<50 {
                let longitude = west + width * Double.random(in: 0...1, using: &random)
                let point = GeoPosition(
                    latitude: Double.random(in: box.south...box.north, using: &random),
                    longitude: longitude > 180 ? longitude - 360 : longitude)
                guard let point, box.contains(point) else { continue }
                let number = GeoCells.number(point)
                #expect(ranges.contains { $0.contains(number) }, "\(box) \(point)")
            }
        }
    }

    @Test func `an index of positions follows patches and deletes and is planned and explained`() throws {
        let fixture = try DatabaseFixture()
        try fixture.index("geo", "place.at")
        for number in 0..<300 {
            try fixture.put("t:\(number)", #"{"place":{"at":[\#(number % 30),\#(number / 30)]},"kind":\#(number % 2)}"#)
        }
        let near =
            #"{"table":"t","predicates":[{"column":"place.at","op":"near","value":{"lat":5,"lon":15,"radius_m":120000}},"#
            + #"{"column":"kind","value":1}]"#
        #expect(try fixture.keys(near + "}").sorted() == ["135", "165", "195"].filter { Int($0)! % 2 == 1 })
        let plan = try fixture.query(near + #","explain":"analyze"}"#)["plan"]
        #expect(plan?["full_scan"] == false)
        #expect(String(decoding: (plan ?? .null).bytes, as: UTF8.self).contains(#""type":"geo""#))
        try fixture.patch("t:165", merge: #"{"place":{"at":[100,50]}}"#)
        try fixture.delete("t:135")
        #expect(try fixture.keys(near + "}") == ["195"])
        try fixture.patch("t:165", merge: #"{"place":{"at":null,"at_lat":5,"at_lon":15}}"#)
        #expect(try fixture.keys(near + "}").sorted() == ["165", "195"])
        try fixture.finish(fixture.database.rebuildIndex(table, columns: [JSONPath("place.at")], type: "geo"))
        #expect(try fixture.keys(near + "}").sorted() == ["165", "195"])
        #expect(try fixture.database.indexes(table)[0].entries == 299)
        let pages = try fixture.keys(
            #"{"table":"t","predicates":[{"column":"place.at","op":"within","value":{"south":0,"west":0,"north":3,"east":9}}],"limit":7}"#)
        #expect(pages.count == 40 && pages == pages.sorted())
        let ordered = try fixture.keys(
            #"{"table":"t","predicates":[{"column":"place.at","op":"within","value":{"south":0,"west":0,"north":3,"east":9}}],"#
                + #""order_by":[{"column":"kind","desc":true},{"column":"place.at"}],"limit":7}"#)
        #expect(Set(ordered) == Set(pages) && ordered.count == 40)
    }

    @Test func `a column of several positions gives each document once`() throws {
        let fixture = try DatabaseFixture()
        try fixture.index("geo", "stops[*]")
        try fixture.put("t:a", #"{"stops":[[10,50],[10.001,50],[179.9,0]]}"#)
        try fixture.put("t:b", #"{"stops":[{"lat":-10,"lon":-179.9}]}"#)
        try fixture.put("t:c", #"{"stops":[]}"#)
        func found(_ value: String) throws -> [String] {
            try fixture.keys(#"{"table":"t","predicates":[{"column":"stops[*]","op":"within","value":\#(value)}]}"#)
        }
        #expect(try found(#"{"south":49,"west":9,"north":51,"east":11}"#) == ["a"])
        #expect(try found(#"{"south":-11,"west":179,"north":1,"east":-179}"#) == ["a", "b"])
        #expect(try fixture.database.indexes(table)[0].entries == 4)
    }

    @Test func `a position that is none is refused and named`() throws {
        let fixture = try DatabaseFixture()
        try fixture.index("geo", "at")
        let wrong = [
            #""here""#, "[1]", "[181,0]", "[0,90.1]", #"{"lat":1}"#, #"{"lat":"1","lon":2}"#,
            #"{"type":"Polygon","coordinates":[[[0,0]]]}"#,
            "[1,2,3,4]", "[1e999,0]", "7", "{}",
        ]
        for value in wrong {
            let error = thrown { try fixture.put("t:1", #"{"at":\#(value)}"#) }
            #expect(error?.code == .unprocessable && error?.fields.first?.field == "at", "\(value)")
        }
        for (document, field) in [(#"{"at_lat":1}"#, "at_lon"), (#"{"at_lon":1}"#, "at_lat"), (#"{"at_lat":91,"at_lon":1}"#, "at_lat")] {
            let error = thrown { try fixture.put("t:1", document) }
            #expect(error?.code == .unprocessable && error?.fields.first?.field == field, "\(document)")
        }
        try fixture.put("t:2", #"{"at":null}"#)
        try fixture.put("t:3", "{}")
        #expect(try fixture.database.indexes(table)[0].entries == 0)
        #expect(errorCode { _ = try DatabaseFixture.definition("geo", "at", unique: true) } == .invalidRequest)
        #expect(errorCode { _ = try DatabaseFixture.definition("geo", "a", "b") } == .invalidRequest)
        for value in [
            #"{"lat":1,"lon":2}"#, #"{"lat":91,"lon":2,"radius_m":1}"#, #"{"lat":1,"lon":2,"radius_m":-1}"#,
            #"{"lat":1,"lon":2,"radius_m":1,"unit":"km"}"#, "5",
        ] {
            let code = errorCode { _ = try fixture.query(#"{"table":"t","predicates":[{"column":"at","op":"near","value":\#(value)}]}"#) }
            #expect(code == .invalidRequest || code == .unknownParameter, "\(value)")
        }
        let turned = #"{"south":2,"west":0,"north":1,"east":1}"#
        #expect(
            errorCode { _ = try fixture.query(#"{"table":"t","predicates":[{"column":"at","op":"within","value":\#(turned)}]}"#) }
                == .invalidRequest)
    }

    // What happened: asking for a geo index silently made one of equality, which no geo query used.
    // Why: the type was not known where indexes were made, and unknown types fell through.
    // What now holds: a geo index holds the rows that were there before, and serves circles and boxes.
    @Test func `a geo index over rows that were there serves circles`() throws {
        let fixture = try DatabaseFixture()
        // A primary key with colons came back cut at the last one.
        try fixture.put("t:de:berlin:mitte", #"{"at":{"lat":52.52,"lon":13.405}}"#)
        try fixture.put("t:fr:paris", #"{"at":{"lat":48.8566,"lon":2.3522}}"#)
        let info = try fixture.index("geo", "at")
        #expect(info.definition.type == "geo")
        let near = #"{"table":"t","predicates":[{"column":"at","op":"near","value":{"lat":52.5,"lon":13.4,"radius_m":5000}}]}"#
        #expect(try fixture.keys(near) == ["de:berlin:mitte"])
    }

    // What happened: building a table's indexes anew built one of each column only, and took away the others' entries.
    // Why: the types of a column excluded each other, in a fixed order.
    // What now holds: each index of a column is built anew, and each serves.
    @Test func `building anew keeps the geo index and the others of a column`() throws {
        let fixture = try DatabaseFixture()
        for number in 0..<50 { try fixture.put("t:\(number)", #"{"at":[\#(number),10]}"#) }
        for type in ["geo", "equality", "range"] { try fixture.index(type, "at") }
        for job in try fixture.database.reindex(table) { try fixture.finish(job) }
        let indexes = try fixture.database.indexes(table)
        #expect(indexes.map(\.definition.type) == ["equality", "geo", "range"] && indexes.allSatisfy { $0.entries == 50 })
        #expect(
            try fixture.keys(
                #"{"table":"t","predicates":[{"column":"at","op":"within","value":{"south":0,"west":48,"north":20,"east":60}}]}"#
            ).sorted() == ["48", "49"])
        #expect(try fixture.keys(#"{"table":"t","predicates":[{"column":"at","value":[7,10]}]}"#) == ["7"])
    }

    // What happened: positions were indexed beside the write, and what could not be read was only logged.
    // Why: the index was not part of the commit.
    // What now holds: entry and entity are one batch, and a position that is none refuses the write as a whole.
    @Test func `a bad position in a transaction leaves nothing of it`() throws {
        let fixture = try DatabaseFixture()
        try fixture.index("geo", "at")
        let operations = try ["[1,2]", "[1,200]"].enumerated().map {
            WriteOperation(try DatabaseFixture.key("t:\($0.offset)"), .put(Array(#"{"at":\#($0.element)}"#.utf8)))
        }
        #expect(errorCode { try fixture.atomic(operations) } == .unprocessable)
        #expect(try fixture.storedEntries() == 0)
        #expect(try fixture.document("t:0") == nil)
    }

    @Test func `missing and dangling entries of positions are found and mended`() throws {
        let fixture = try DatabaseFixture()
        let info = try fixture.index("geo", "at")
        for number in 0..<40 { try fixture.put("t:\(number)", #"{"at":[\#(number),10]}"#) }
        let cursor = try fixture.engine.snapshot().scan(.indexes, from: [], to: nil, reverse: false)
        #expect(try cursor.advance())
        let key = cursor.key
        var batch = WriteBatch()
        batch.delete(.indexes, key)
        batch.put(.indexes, Array(key.dropLast()) + Array("none".utf8), [])
        try fixture.engine.commit(batch, .synced)
        let found = try fixture.ended(fixture.database.verify(repairs: true))
        #expect(found.detail.contains(": 1 entries missing, 1 dangling"))
        try fixture.finishAllJobs()
        let mended = try fixture.ended(fixture.database.verify(repairs: false))
        #expect(mended.detail.contains(": 0 entries missing, 0 dangling, 0 indexes miscounted"))
        #expect(try fixture.database.indexes(table)[0].generation != info.generation)
    }
}
