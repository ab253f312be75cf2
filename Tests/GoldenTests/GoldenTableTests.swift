import Foundation
import Testing
import ThemisBase
import ThemisRuntime
import ThemisTelemetry
import ThemisTestKit

/// The tables of docs/ equal the catalogs.
@Suite struct GoldenTableTests {
    @Test func `the page of errors equals the catalog`() {
        let rows = ErrorCode.all.sorted { $0.number < $1.number }.map { code in
            ["`\(code.word)`", "\(code.status)", "\(code.number)", code.title, code.isRetryable ? "yes" : "", code.advice]
        }
        Golden.expect(
            "docs/errors.md",
            Golden.page(
                "Errors",
                """
                Every error that can be seen from outside. `code` of a problem document is the first column; numbers \
                travel over RPC. "Retry" means
                that the same request may succeed later without a change. Codes from 200 on are read by an operator \
                when a process does not start.
                """,
                ["Code", "HTTP", "RPC", "Title", "Retry", "What to do"], rows))
    }

    @Test func `the page of metrics equals the catalog`() {
        let rows = Metric.all.map { metric in
            let labels = metric.labels.map { "`\($0)`" }.joined(separator: " ")
            let names = metric.parts.map { [$0.sum, $0.count, $0.bucket + "{le}"] } ?? [metric.name]
            return [names.map { "`\($0)`" }.joined(separator: " "), metric.kind.word, labels, metric.merge.word, metric.help]
        }
        Golden.expect(
            "docs/metrics.md",
            Golden.page(
                "Metrics",
                """
                What `/metrics` shows, in its order. The gateway answers for the whole set: the fourth column says how \
                the values of several processes
                become one; counters and histograms are added up, over restarts too. Labels come from closed sets, never from a request.
                """,
                ["Name", "Kind", "Labels", "Whole set", "What it says"], rows))
    }

    @Test func `the page of settings equals the catalog`() {
        let rows = Settings.all.map { row in
            let flags = row.flags.map { "`\($0.name)`" }
            let names = ([row.environmentName] + row.aliases).map { "`\($0)`" }
            return [
                "`\(row.path)`", row.kind.word, row.standardText, row.kind.limits, row.isHot ? "yes" : "",
                (flags + names).joined(separator: " "), row.help,
            ]
        }
        Golden.expect(
            "docs/configuration.md",
            Golden.page(
                "Configuration",
                """
                A flag wins over the environment, the environment over the file, the file over the default. The file is \
                YAML or JSON, the first of
                `./config.{yaml,yml,json}`, `./config/config.{yaml,yml,json}`, `/etc/vccdb/config.{yaml,yml,json}`, or \
                the one named by `--config`;
                the dots of a key are its levels. An unknown key is refused. "Hot" settings change without a restart.
                """,
                ["Key", "Type", "Default", "Limits", "Hot", "Flags, environment", "What it does"], rows))
    }

    @Test func `the page of limits equals the code`() throws {
        let rows = try LimitsSource.rows()
        #expect(rows.count > 50)
        Golden.expect(
            "docs/limits.md",
            Golden.page(
                "Limits",
                """
                Every hard bound that is not a setting, with its reason. What passes one is refused with an error that \
                names it; nothing grows without
                a bound.
                """,
                ["Name", "Bound", "Why"], rows.map { ["`\($0.name)`", $0.bound, $0.reason] }))
    }

    @Test func `expressions of limits are evaluated as Swift does`() throws {
        #expect(try LimitsSource.value("8 << 20", [:]) == 8_388_608)
        #expect(try LimitsSource.value("a + (64 << 10)", ["a": 1]) == 65_537)
        #expect(try LimitsSource.value("24 * 3_600 * 1_000", [:]) == 86_400_000)
        #expect(LimitsSource.spelled(8_388_608, "documentBytes") == "8 MiB")
        #expect(LimitsSource.spelled(30_000, "idleMilliseconds") == "30 s")
        #expect(LimitsSource.spelled(1_000, "pageEntities") == "1000")
    }
}
