import Testing
import ThemisBase

@testable import ThemisDatabase

@Suite struct DocumentCodingsTests {
    private static let documents = [
        "{}", #"{"a":null}"#, #"{"b":1}"#, #"{"a":7}"#, #"{"b":2,"a":"text"}"#, #"{"a":[1,2],"b":null}"#, #"{"a":{"b":1}}"#,
        #"{"a":"\#(String(repeating: "x", count: Limits.indexValueBytes - 3))"}"#,
        #"{"a":"\#(String(repeating: "x", count: Limits.indexValueBytes - 2))"}"#, #"{"a":1e999}"#, #"{"a":"\ud800","b":"\ud800"}"#,
    ]

    private static func indexes(_ wanted: (type: String, columns: [String], isUnique: Bool)...) throws -> TableIndexes {
        TableIndexes(
            try wanted.enumerated().map { number, one in
                let definition = try IndexDefinition(
                    table: TableName(stored: "t"), type: one.type, columns: one.columns.map { try JSONPath($0) }, isUnique: one.isUnique)
                return Index(
                    generation: UInt32(number + 1), definition: definition, state: .ready, birth: 0, createdMilliseconds: 0)
            })
    }

    @Test(arguments: ["equality", "range", "sparse"], documents)
    func `the entry where it lies is the entry that the kind makes`(type: String, document: String) throws {
        let indexes = try Self.indexes(("range", ["b"], false), (type, ["a"], false))
        let single = try #require(indexes.singles[1])
        let codings = try indexes.codings(of: Array(document.utf8), 0..<document.utf8.count)
        switch codings.entry(single) {
        case .none: #expect(try indexes.entries(1, of: codings) == [])
        case .coding(let range): #expect(try indexes.entries(1, of: codings) == [Array(codings.bytes[range])])
        case .unfit:
            let error = #expect(throws: ThemisError.self) { try indexes.entries(1, of: codings) }
            #expect(error?.code == .unprocessable)
        }
    }

    @Test func `an index that keeps values apart, or may have several entries for a document, has no single one`() throws {
        let indexes = try Self.indexes(("range", ["a"], true), ("range", ["a[*]"], false), ("composite", ["a", "b"], false))
        #expect(indexes.singles.allSatisfy { $0 == nil })
    }
}
