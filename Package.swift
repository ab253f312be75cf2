// swift-tools-version: 6.2
import PackageDescription

// The arrows of docs/architecture.md, "Targets and arrows". TidyTests compares every file's imports with this list.

/// Warnings are errors only where the project itself is checked, so that a newer compiler does not break a stranger's first build.
let isStrict = Context.environment["THEMIS_STRICT"] == "1"
/// `make fuzz` builds one program of libraries with libFuzzer instead of the services and the tests.
let isFuzzing = Context.environment["THEMIS_FUZZ"] == "1"
let commit = Context.gitInformation?.currentCommit ?? "unknown"

let swiftSettings: [SwiftSetting] =
    [
        .swiftLanguageMode(.v6),
        .enableUpcomingFeature("InternalImportsByDefault"),
        .enableUpcomingFeature("MemberImportVisibility"),
        .enableUpcomingFeature("ExistentialAny"),
        .strictMemorySafety(),
    ] + (isStrict ? [.treatAllWarnings(as: .error)] : [])
    // See docs/adr/0013: a seventh of a request. Tests and fuzzers check it.
    + (isFuzzing ? [] : [.unsafeFlags(["-enforce-exclusivity=unchecked"], .when(configuration: .release))])

func library(_ name: String, _ dependencies: [Target.Dependency], exclude: [String] = []) -> Target {
    .target(name: name, dependencies: dependencies, exclude: exclude, swiftSettings: swiftSettings)
}

func service(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    isFuzzing
        ? library(name, dependencies, exclude: ["Main.swift"])
        : .executableTarget(name: name, dependencies: dependencies, swiftSettings: swiftSettings)
}

func tests(_ name: String, _ dependencies: [Target.Dependency], exclude: [String] = []) -> Target {
    .testTarget(name: name, dependencies: dependencies, exclude: exclude, swiftSettings: swiftSettings)
}

func fuzzer(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    isFuzzing
        ? .executableTarget(
            name: "themis_fuzz", dependencies: dependencies, path: "Tests/\(name)", exclude: ["CorpusTests.swift", "Corpus"],
            swiftSettings: swiftSettings)
        : tests(name, dependencies, exclude: ["LibFuzzer.swift", "Corpus"])
}

let package = Package(
    name: "themis",
    products: [
        .executable(name: "themis_server", targets: ["ThemisNode"]),
        .executable(name: "themis_gateway", targets: ["ThemisGateway"]),
        .executable(name: "themis_changefeed", targets: ["ThemisChangefeed"]),
        .executable(name: "themis_exporter", targets: ["ThemisExporter"]),
        .executable(name: "themis_bench", targets: ["ThemisBench"]),
    ],
    targets: [
        // C modules: headers and shims, each imported by the one Swift target that owns it.
        .target(
            name: "CCrypto", publicHeadersPath: "include", cSettings: [.define("THEMIS_COMMIT", to: "\"\(commit)\"")],
            linkerSettings: [.linkedLibrary("crypto")]),
        .target(name: "CLinux", publicHeadersPath: "include"),
        .systemLibrary(name: "CEvent"),
        .systemLibrary(name: "CZlib"),
        .systemLibrary(name: "CProtobufC"),
        .target(
            name: "CThemisRPC", dependencies: ["CProtobufC"], publicHeadersPath: ".", linkerSettings: [.linkedLibrary("protobuf-c")]),
        .target(
            name: "CRocksDB", dependencies: ["CCrypto"], publicHeadersPath: "include",
            linkerSettings: [.linkedLibrary("rocksdb"), .linkedLibrary("stdc++")]),
        .systemLibrary(name: "CYAML"),
        .systemLibrary(name: "COpenSSL"),
        .target(
            name: "COTLP", dependencies: ["CProtobufC"], publicHeadersPath: ".", linkerSettings: [.linkedLibrary("protobuf-c")]),

        // Ground floor.
        library("ThemisBase", ["CCrypto"]),
        library("ThemisTelemetry", ["ThemisBase"]),

        // Wire tower.
        library("ThemisNet", ["ThemisBase", "ThemisTelemetry", "CLinux", "CEvent", "CZlib", "COpenSSL"]),
        library("ThemisRPC", ["ThemisBase", "ThemisTelemetry", "ThemisNet", "CThemisRPC"]),
        library("ThemisFeed", ["ThemisBase", "ThemisTelemetry", "ThemisNet", "ThemisRPC"]),

        // Disk tower.
        library("ThemisStorage", ["ThemisBase", "ThemisTelemetry", "CRocksDB"]),
        library("ThemisDatabase", ["ThemisBase", "ThemisTelemetry", "ThemisStorage"]),

        // What every service shares, and the services.
        library("ThemisRuntime", ["ThemisBase", "ThemisTelemetry", "ThemisNet", "CYAML"]),
        service(
            "ThemisNode", ["ThemisBase", "ThemisTelemetry", "ThemisNet", "ThemisDatabase", "ThemisStorage", "ThemisRPC", "ThemisRuntime"]),
        service("ThemisGateway", ["ThemisBase", "ThemisTelemetry", "ThemisFeed", "ThemisRPC", "ThemisNet", "ThemisRuntime"]),
        service("ThemisChangefeed", ["ThemisBase", "ThemisTelemetry", "ThemisFeed", "ThemisRPC", "ThemisNet", "ThemisRuntime"]),
        service("ThemisExporter", ["ThemisBase", "ThemisTelemetry", "ThemisRPC", "ThemisNet", "ThemisRuntime", "COTLP"]),
        service("ThemisBench", ["ThemisBase", "ThemisTelemetry", "ThemisRPC", "ThemisNet"]),

        // Tests: ThemisTestKit holds contract suites, fault engines, the manual clock's helpers and the process launcher.
        .target(name: "CMutexOrder", path: "Tests/CMutexOrder"),
        .target(
            name: "ThemisTestKit", dependencies: ["ThemisBase", "ThemisNet", "CMutexOrder"], path: "Tests/ThemisTestKit",
            swiftSettings: swiftSettings),
        tests("ThemisBaseTests", ["ThemisBase", "ThemisTestKit"]),
        tests("ThemisFeedTests", ["ThemisBase", "ThemisFeed", "ThemisNet", "ThemisRPC", "ThemisTelemetry", "ThemisTestKit"]),
        tests("ThemisTelemetryTests", ["ThemisBase", "ThemisTelemetry", "ThemisTestKit"]),
        tests("ThemisRuntimeTests", ["ThemisBase", "ThemisTelemetry", "ThemisNet", "ThemisRuntime", "ThemisTestKit"]),
        tests(
            "ThemisDatabaseTests", ["ThemisBase", "ThemisTelemetry", "ThemisStorage", "ThemisDatabase", "ThemisTestKit"],
            exclude: ["GeoOracle.py"]),
        tests(
            "ThemisNodeTests",
            [
                "ThemisBase", "ThemisTelemetry", "ThemisNet", "ThemisStorage", "ThemisDatabase", "ThemisRPC", "ThemisRuntime", "ThemisNode",
                "ThemisTestKit",
            ]),
        tests("ThemisNetTests", ["ThemisBase", "ThemisTelemetry", "ThemisNet", "ThemisTestKit"]),
        tests("ThemisRPCTests", ["ThemisBase", "ThemisTelemetry", "ThemisNet", "ThemisRPC", "ThemisTestKit"]),
        tests("ThemisBenchTests", ["ThemisBase", "ThemisBench"]),
        // Also the program of `make fuzz`: the same checks, driven by libFuzzer.
        fuzzer(
            "FuzzTests",
            [
                "ThemisBase", "ThemisTelemetry", "ThemisNet", "ThemisRPC", "ThemisFeed", "ThemisStorage", "ThemisDatabase",
                "ThemisRuntime", "ThemisGateway", "ThemisTestKit",
            ]),
        tests("ThemisExporterTests", ["ThemisBase", "ThemisTelemetry", "ThemisNet", "ThemisExporter", "ThemisTestKit"]),
        tests("EndToEndTests", ["ThemisBase", "ThemisTestKit"], exclude: ["OTLPReceiver.py"]),
        tests("GoldenTests", ["ThemisBase", "ThemisRuntime", "ThemisTelemetry", "ThemisTestKit"]),
        tests("TidyTests", ["ThemisBase", "ThemisStorage", "ThemisTelemetry"]),
        tests(
            "ThemisStorageTests", ["ThemisBase", "ThemisTelemetry", "ThemisStorage", "ThemisTestKit", "StorageProbe"],
            exclude: ["FailingDisk.c"]),
        .executableTarget(
            name: "StorageProbe", dependencies: ["ThemisBase", "ThemisTelemetry", "ThemisStorage"], path: "Tests/StorageProbe",
            swiftSettings: swiftSettings),
        tests(
            "ServiceTests",
            ["ThemisBase", "ThemisTelemetry", "ThemisNet", "ThemisRPC", "ThemisFeed", "ThemisRuntime", "ThemisGateway", "ThemisTestKit"]),
    ],
    cxxLanguageStandard: .cxx17
)

// The services are libraries then, and the one program of the fuzzer stands beside them.
if isFuzzing { package.products = [] }
