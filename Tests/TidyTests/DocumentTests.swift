import Foundation
import Testing

/// House rules over pages.
@Suite struct DocumentTests {
    static let pages = Repository.files(ending: ".md")

    @Test(arguments: pages)
    func `a page has one first heading`(page: String) {
        #expect(Page(page).headings.filter { $0.level == 1 }.count == 1, "\(page): one line begins with `# `: its title")
    }

    @Test(arguments: pages)
    func `a relative link leads somewhere`(page: String) {
        for link in Page(page).links where !link.contains("://") && !link.hasPrefix("mailto:") {
            let parts = link.split(separator: "#", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            let folder = URL(fileURLWithPath: page, relativeTo: Repository.root).deletingLastPathComponent()
            let target =
                parts[0].isEmpty
                ? URL(fileURLWithPath: page, relativeTo: Repository.root) : folder.appendingPathComponent(parts[0])
            #expect(FileManager.default.fileExists(atPath: target.path), "\(page): \(link) leads nowhere")
            guard parts.count == 2, target.path.hasSuffix(".md"), let text = try? String(contentsOf: target, encoding: .utf8)
            else { continue }
            #expect(Page(text: text).anchors.contains(parts[1]), "\(page): \(link): the page has no heading of that name")
        }
    }

    @Test func `every page of docs is on the map`() {
        let linked = Set(Page("docs/README.md").links)
        for page in Self.pages where page.hasPrefix("docs/") && page != "docs/README.md" && !page.hasPrefix("docs/adr/0") {
            #expect(linked.contains(String(page.dropFirst("docs/".count))), "docs/README.md does not lead to \(page)")
        }
    }

    @Test func `every decision is listed`() {
        let linked = Set(Page("docs/adr/README.md").links)
        for page in Self.pages where page.hasPrefix("docs/adr/0") {
            #expect(linked.contains(String(page.dropFirst("docs/adr/".count))), "docs/adr/README.md does not list \(page)")
        }
    }

    @Test func `headings and links inside code blocks do not count`() {
        let page = Page(text: "# A b, c\n```\n# no\n[x](y)\n```\n## D `e`\n[f](g.md#h) and `[i](j)`\n")
        #expect(page.headings.map(\.level) == [1, 2])
        #expect(page.links == ["g.md#h"])
        #expect(page.anchors == ["a-b-c", "d-e"])
    }
}

/// A Markdown page: its headings and links, code left out.
struct Page {
    private(set) var headings: [(level: Int, text: String)] = []
    private(set) var links: [String] = []

    init(_ path: String) { self.init(text: Repository.text(path)) }

    init(text: String) {
        var isCode = false
        for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
            if line.trimmingCharacters(in: .whitespaces).hasPrefix("```") { isCode.toggle() }
            guard !isCode else { continue }
            if let match = line.firstMatch(of: /^(#{1,6}) +(.*)$/) {
                headings.append((level: match.1.count, text: String(match.2)))
            }
            let prose = line.replacing(/`[^`]*`/, with: "")
            links += prose.matches(of: /\]\(([^)\s]+)\)/).map { String($0.1) }
        }
    }

    /// What a link to a heading looks like, by the usual rule: lower case, spaces to hyphens, punctuation dropped.
    var anchors: Set<String> {
        Set(
            headings.map { heading in
                String(
                    heading.text.lowercased().compactMap {
                        $0 == " " ? "-" : $0.isLetter || $0.isNumber || $0 == "-" || $0 == "_" ? $0 : nil
                    })
            })
    }
}
