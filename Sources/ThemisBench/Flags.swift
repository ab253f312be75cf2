import ThemisBase

/// The command line: a mode, then `--name value` pairs. Whatever nobody asked for is an error.
struct Flags {
    /// The first word.
    let mode: String
    private var values: [String: String] = [:]
    private var asked: Set<String> = []

    init(_ words: [String]) throws(ThemisError) {
        guard let mode = words.first else { throw Self.usage("a mode is missing") }
        self.mode = mode
        var rest = words.dropFirst()
        while let name = rest.popFirst() {
            guard name.hasPrefix("--"), let value = rest.popFirst() else { throw Self.usage("\(name) has no value") }
            values[String(name.dropFirst(2))] = value
        }
    }

    /// The text of `--name`.
    mutating func text(_ name: String) throws(ThemisError) -> String {
        guard let value = optional(name) else { throw Self.usage("--\(name) is missing") }
        return value
    }

    /// The text of `--name`, nil without it.
    mutating func optional(_ name: String) -> String? {
        asked.insert(name)
        return values[name]
    }

    /// The whole number of `--name`.
    mutating func number(_ name: String, _ standard: Int, least: Int = 0) throws(ThemisError) -> Int {
        guard let text = optional(name) else { return standard }
        guard let value = Int(text), value >= least, value <= 1 << 40 else {
            throw Self.usage("--\(name) is a whole number, at least \(least)")
        }
        return value
    }

    /// The whole number of `--name`, nil without it.
    mutating func optionalNumber(_ name: String) throws(ThemisError) -> Int? {
        optional(name) == nil ? nil : try number(name, 0)
    }

    /// The port of `--port`.
    mutating func port() throws(ThemisError) -> Int {
        let port = try number("port", 0, least: 1)
        guard (1...65_535).contains(port) else { throw Self.usage("--port is missing, or above 65535") }
        return port
    }

    /// The rate of `--rate`, nil without it.
    mutating func rate() throws(ThemisError) -> Double? {
        guard let text = optional("rate") else { return nil }
        guard let value = Double(text), value > 0, value <= 1e8 else { throw Self.usage("--rate is a number above 0") }
        return value
    }

    /// Process ids of `--pids`, with commas between.
    mutating func pids() throws(ThemisError) -> [String] {
        let words = (optional("pids") ?? "").split(separator: ",").map(String.init)
        guard Set(words).count == words.count, words.allSatisfy({ Int32($0) ?? 0 > 0 }) else {
            throw Self.usage("--pids are numbers with commas between, each once")
        }
        return words
    }

    /// Refuses what no call asked for.
    func refuseTheRest() throws(ThemisError) {
        if let name = values.keys.sorted().first(where: { !asked.contains($0) }) { throw Self.usage("--\(name) is not known") }
    }

    private static func usage(_ text: String) -> ThemisError { ThemisError(.invalidRequest, text) }
}
