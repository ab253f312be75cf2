import Foundation
public import Testing

/// Files of the repository that a test compares with what the code says: tables of docs/, recorded bytes.
///
/// `THEMIS_REWRITE=1` (by `make docs`) writes them instead; the difference is reviewed like code.
public enum Golden {
    private static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()

    /// Compares the file at `path`, relative to the repository's root, with `text`.
    public static func expect(_ path: String, _ text: String, sourceLocation: SourceLocation = #_sourceLocation) {
        let file = root.appendingPathComponent(path)
        let stored = (try? String(contentsOf: file, encoding: .utf8)) ?? ""
        guard stored != text else { return }
        if ProcessInfo.processInfo.environment["THEMIS_REWRITE"] == "1" {
            do { try text.write(to: file, atomically: true, encoding: .utf8) } catch {
                Issue.record("\(path) cannot be written: \(error)", sourceLocation: sourceLocation)
            }
            return
        }
        let old = stored.split(separator: "\n", omittingEmptySubsequences: false)
        let new = text.split(separator: "\n", omittingEmptySubsequences: false)
        let line = zip(old, new).enumerated().first { $0.element.0 != $0.element.1 }?.offset ?? min(old.count, new.count)
        Issue.record(
            """
            \(path) differs from the code at line \(line + 1); run `make docs` and review the difference.
            stored: \(line < old.count ? String(old[line]) : "(nothing)")
            code:   \(line < new.count ? String(new[line]) : "(nothing)")
            """, sourceLocation: sourceLocation)
    }

    /// Compares what stands behind `heading` in the file at `path` with `text`: for pages that end with a table of the code.
    public static func expectSection(
        _ path: String, after heading: String, _ text: String, sourceLocation: SourceLocation = #_sourceLocation
    ) {
        let stored = (try? String(contentsOf: root.appendingPathComponent(path), encoding: .utf8)) ?? ""
        guard let place = stored.range(of: heading) else {
            Issue.record("\(path) has no line \(heading)", sourceLocation: sourceLocation)
            return
        }
        expect(path, String(stored[..<place.upperBound]) + text, sourceLocation: sourceLocation)
    }

    /// A page with a title, an introduction and a Markdown table.
    public static func page(_ title: String, _ introduction: String, _ columns: [String], _ rows: [[String]]) -> String {
        let cells = rows.map { row in
            "| " + row.map { $0.replacingOccurrences(of: "|", with: "\\|") }.joined(separator: " | ") + " |"
        }
        let head = ["| " + columns.joined(separator: " | ") + " |", "|" + String(repeating: "---|", count: columns.count)]
        let made = "Written by `make docs` from the code; a test compares them."
        return (["# \(title)", "", introduction, "", made, ""] + head + cells).joined(separator: "\n") + "\n"
    }
}
