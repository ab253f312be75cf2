import Testing
import ThemisBase
import ThemisNet
import ThemisTestKit

/// HTTP/1.1 as this server speaks it: each row of the tables on a socket of its own, whole and in pieces.
@Suite struct ConformanceTests {
    init() { LoopThread.start() }

    @Test(arguments: MessageTables.requestLines)
    func `request lines are read in one way or refused`(row: ConformanceRow) async throws { try await Self.play(row) }

    @Test(arguments: MessageTables.targets)
    func `targets are decoded once and climb nowhere`(row: ConformanceRow) async throws { try await Self.play(row) }

    @Test(arguments: MessageTables.methods)
    func `methods that a path has not are 405 with Allow`(row: ConformanceRow) async throws { try await Self.play(row) }

    @Test(arguments: MessageTables.headerFields)
    func `headers are bounded and read in one way`(row: ConformanceRow) async throws { try await Self.play(row) }

    @Test(arguments: MessageTables.connections)
    func `connections that stay and that close`(row: ConformanceRow) async throws { try await Self.play(row) }

    @Test(arguments: BodyTables.lengths)
    func `the length of a body is told in one way or refused`(row: ConformanceRow) async throws { try await Self.play(row) }

    @Test(arguments: BodyTables.chunks)
    func `chunks are framed exactly or refused`(row: ConformanceRow) async throws { try await Self.play(row) }

    @Test(arguments: BodyTables.expectations)
    func `expectations and codings that are unknown are refused`(row: ConformanceRow) async throws { try await Self.play(row) }

    @Test(arguments: BodyTables.pipelines)
    func `pipelines are answered in their order`(row: ConformanceRow) async throws { try await Self.play(row) }

    private static func play(_ row: ConformanceRow) async throws {
        for pieces in [1, 7] { try await ConformanceRunner.play(row, pieces: pieces) }
    }

    @Test func `no row stands twice`() {
        let tables = [
            MessageTables.requestLines, MessageTables.targets, MessageTables.methods, MessageTables.headerFields, MessageTables.connections,
            BodyTables.lengths, BodyTables.chunks, BodyTables.expectations, BodyTables.pipelines,
        ]
        for table in tables { #expect(Set(table.map(\.sent)).count == table.count) }
    }
}
