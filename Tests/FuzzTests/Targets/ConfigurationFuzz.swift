import ThemisBase

@testable import ThemisRuntime

/// Configuration files: the same meaning in both forms, and what is printed loads again.
enum ConfigurationFuzz {
    /// A flag byte (YAML or JSON), then the file.
    static func check(_ bytes: [UInt8]) throws {
        var input = FuzzInput(bytes)
        let isJSON = input.byte() & 1 == 1
        let file = input.all()
        switch load(file, isJSON ? "./config.json" : "./config.yaml") {
        case .failure(let fault): try require(!fault.problems.isEmpty, "refused without a reason")
        case .success(let configuration):
            let printed = configuration.json()
            try JSONDocument.validate(printed)
            try JSONDocument.validate(configuration.driftJSON())
            guard case .success(let again) = load(printed, "./config.json") else {
                throw FuzzFinding(description: "its own print is refused: \(String(decoding: printed, as: UTF8.self))")
            }
            for row in Settings.all where !row.isSecret {
                try require(again.entry(row.path)?.value == configuration.entry(row.path)?.value, "\(row.path) changes by printing")
            }
            if isJSON {
                guard case .success(let other) = load(file, "./config.yaml") else {
                    throw FuzzFinding(description: "JSON is accepted, but not as YAML")
                }
                try require(other.json() == printed, "JSON means something else as YAML")
            }
        }
    }

    private static func load(_ bytes: [UInt8], _ path: String) -> Result<Configuration, ConfigurationFault> {
        let environment = LaunchEnvironment(
            currentDirectory: "/here", userID: 1_000, processors: 4, memoryBytes: 8 << 30,
            readFile: { $0 == path ? .bytes(bytes) : .missing }, isWritableDirectory: { $0 == "/tmp" }, resolve: { $0 == "/" ? $0 : nil })
        do {
            return .success(try Configuration.load(arguments: Arguments([], role: .all), role: .all, environment: environment))
        } catch let fault as ConfigurationFault {
            return .failure(fault)
        } catch {
            preconditionFailure("an empty command line is refused: \(error)")
        }
    }
}
