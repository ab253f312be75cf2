import Foundation
import Testing
import ThemisBase
import ThemisStorage
import ThemisTelemetry

/// Catalogs: each row once, each row listed.
@Suite struct CatalogTests {
    private static func rows(_ type: String, in path: String) -> Int {
        Repository.text(path).components(separatedBy: " = \(type)(").count - 1
    }

    @Test func `every metric has a name of its own and is listed`() {
        #expect(Set(Metric.all.map(\.name)).count == Metric.all.count)
        let declared = Repository.files(ending: ".swift").filter { $0.hasPrefix("Sources/ThemisTelemetry/") }
            .map { Self.rows("Metric", in: $0) }.reduce(0, +)
        #expect(declared == Metric.all.count, "a row of MetricCatalog is missing in `all`")
    }

    @Test func `every metric says what it counts`() {
        for metric in Metric.all {
            #expect(metric.help.hasSuffix("."), "\(metric.name): its help is a sentence")
            #expect(metric.name.wholeMatch(of: /[a-z][a-z0-9_]*/) != nil, "\(metric.name): lower case and underscores")
            #expect((metric.kind == .histogram) == !metric.buckets.isEmpty, "\(metric.name): buckets belong to histograms")
        }
    }

    @Test func `every error is listed`() {
        #expect(Self.rows("ErrorCode", in: "Sources/ThemisBase/ErrorCatalog.swift") == ErrorCode.all.count)
    }

    @Test func `every error says what to do`() {
        for code in ErrorCode.all { #expect(code.advice.hasSuffix("."), "\(code.word): its advice is a sentence") }
    }

    @Test func `every key space has a column family of its own`() {
        #expect(Set(Keyspace.allCases.map(\.columnFamily)).count == Keyspace.allCases.count)
    }
}
