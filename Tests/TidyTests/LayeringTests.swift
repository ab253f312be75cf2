import Testing

/// The arrows between targets. Change this table only together with Package.swift and docs/architecture.md.
enum Arrows {
    /// What each library and service may import of ours, and the C modules it owns.
    static let table: [String: Set<String>] = [
        "ThemisBase": ["CCrypto"],
        "ThemisTelemetry": ["ThemisBase"],
        "ThemisNet": ["ThemisBase", "ThemisTelemetry", "CLinux", "CEvent", "CZlib", "COpenSSL"],
        "ThemisRPC": ["ThemisBase", "ThemisTelemetry", "ThemisNet", "CThemisRPC"],
        "ThemisFeed": ["ThemisBase", "ThemisTelemetry", "ThemisNet", "ThemisRPC"],
        "ThemisStorage": ["ThemisBase", "ThemisTelemetry", "CRocksDB"],
        "ThemisDatabase": ["ThemisBase", "ThemisTelemetry", "ThemisStorage"],
        "ThemisRuntime": ["ThemisBase", "ThemisTelemetry", "ThemisNet", "CYAML"],
        "ThemisNode": [
            "ThemisBase", "ThemisTelemetry", "ThemisNet", "ThemisDatabase", "ThemisStorage", "ThemisRPC", "ThemisRuntime",
        ],
        "ThemisGateway": ["ThemisBase", "ThemisTelemetry", "ThemisFeed", "ThemisRPC", "ThemisNet", "ThemisRuntime"],
        "ThemisChangefeed": ["ThemisBase", "ThemisTelemetry", "ThemisFeed", "ThemisRPC", "ThemisNet", "ThemisRuntime"],
        "ThemisExporter": ["ThemisBase", "ThemisTelemetry", "ThemisRPC", "ThemisNet", "ThemisRuntime", "COTLP"],
        "ThemisBench": ["ThemisBase", "ThemisTelemetry", "ThemisRPC", "ThemisNet"],
    ]

    /// Modules of the toolchain that shipped code may import.
    static let systemModules: Set<String> = ["Glibc", "Synchronization"]
    /// Modules of the toolchain that tests may import besides.
    static let testModules: Set<String> = ["Testing", "Foundation", "FoundationNetworking"]

    /// The modules that `source` imports, with their lines.
    static func imports(of source: SwiftSource) -> [(line: Int, module: String)] {
        source.words.enumerated().compactMap { index, words in
            guard let keyword = words.firstIndex(of: "import"), words.indices.contains(keyword + 1) else { return nil }
            guard
                words[..<keyword].allSatisfy({
                    ["public", "package", "internal", "testable", "preconcurrency", "unsafe", "_spi"].contains($0)
                })
            else { return nil }
            let kinds: Set<Substring> = ["struct", "class", "enum", "protocol", "func", "var", "let", "typealias"]
            let name = kinds.contains(words[keyword + 1]) ? words.dropFirst(keyword + 2).first : words[keyword + 1]
            return name.map { (line: index + 1, module: String($0)) }
        }
    }
}

/// Reads the targets and their declared dependencies out of Package.swift.
enum Manifest {
    static let dependencies: [String: Set<String>] = parse(Repository.text("Package.swift"))

    static func parse(_ text: String) -> [String: Set<String>] {
        var found: [String: Set<String>] = [:]
        func names(_ list: Substring) -> Set<String> { Set(list.matches(of: /"(\w+)"/).map { String($0.1) }) }
        for match in text.matches(of: /(?:library|service|tests|fuzzer)\(\s*"(\w+)",\s*\[([^\]]*)\]/) {
            found[String(match.1)] = names(match.2)
        }
        for match in text.matches(of: /\.(?:target|executableTarget|testTarget)\(\s*name: "(\w+)",\s*dependencies: \[([^\]]*)\]/) {
            found[String(match.1)] = names(match.2)
        }
        return found
    }
}

/// Walls between rooms, beyond those the compiler checks: it lets a file import what a dependency of a dependency has.
@Suite struct LayeringTests {
    @Test func `the manifest has exactly the arrows of the table`() {
        let declared = Manifest.dependencies.filter { name, _ in
            !name.hasPrefix("C") && Repository.files.contains { $0.hasPrefix("Sources/\(name)/") }
        }
        for name in Set(declared.keys).union(Arrows.table.keys).sorted() {
            #expect(
                declared[name] == Arrows.table[name],
                "\(name): Package.swift and Arrows.table differ; change both and docs/architecture.md")
        }
    }

    @Test func `every file imports only what its target declares`() {
        let findings = SwiftSource.all.filter { !$0.target.isEmpty }.flatMap { source in
            let allowed = (Manifest.dependencies[source.target] ?? []).union(Arrows.systemModules)
                .union(source.isProduct ? [] : Arrows.testModules).union(
                    source.target == "ThemisTestKit" ? Arrows.testModules : [])
            return Arrows.imports(of: source).filter { !allowed.contains($0.module) }.map {
                Finding(
                    path: source.path, line: $0.line,
                    text:
                        "\(source.target) does not declare \($0.module). Use what it has, or argue for an arrow in an ADR."
                )
            }
        }
        expectNone(findings)
    }

    @Test func `a C module is imported only by the target that owns it`() {
        let modules = Set(
            Repository.files.compactMap { path -> String? in
                let parts = path.split(separator: "/")
                return parts.count > 2 && parts[0] == "Sources" && parts[1].hasPrefix("C") ? String(parts[1]) : nil
            })
        #expect(modules.contains("CRocksDB"))
        for module in modules.sorted() {
            let importers = Set(SwiftSource.all.filter { Arrows.imports(of: $0).contains { $0.module == module } }.map(\.target))
            let owners = Arrows.table.filter { $0.value.contains(module) }.map(\.key)
            #expect(owners.count <= 1, "\(module) has more than one owner")
            let allowed = Set(owners).union(owners.map { "\($0)Tests" })
            #expect(
                importers.isSubset(of: allowed),
                "\(module) belongs to \(owners); imported by \(importers.subtracting(allowed).sorted())")
        }
    }

    @Test func `an import is found in each of its forms`() {
        let text =
            "public import A\n@testable import B\nimport struct C.D\n// import E\n@preconcurrency import F\nlet a = \"import G\""
        #expect(Arrows.imports(of: SwiftSource(path: "a.swift", text: text)).map(\.module) == ["A", "B", "C", "F"])
    }

    @Test func `the manifest's own functions are understood`() {
        let text =
            "library(\"A\", [\"B\", \"CC\"]), .target(name: \"K\", dependencies: [\"A\"]), tests(\n \"ATests\", [\"A\"])"
        #expect(Manifest.parse(text) == ["A": ["B", "CC"], "K": ["A"], "ATests": ["A"]])
    }
}
