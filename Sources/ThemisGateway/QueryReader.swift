import ThemisBase
import ThemisNet

/// Reads the query parameters of one request and collects everything that is wrong with them.
struct QueryReader {
    private let parameters: [(name: String, value: String)]
    private var wrong: [FieldError] = []

    /// Reads the parameters of `exchange`.
    @NetLoop init(_ exchange: HTTPExchange) { self.init(exchange.queryParameters) }

    /// Reads `parameters`, each given once.
    init(_ parameters: [(name: String, value: String)]) { self.parameters = parameters }

    /// The text of a parameter, nil when it was not given.
    func text(_ name: String) -> String? { parameters.first { $0.name == name }?.value }

    /// A table that has to be given. Neutral: a name that `finish` never lets through.
    mutating func table(_ name: String = "table") -> TableName {
        guard let text = text(name) else {
            wrong.append(FieldError(name, "is missing"))
            return TableName(stored: "")
        }
        do throws(ThemisError) {
            return try TableName(validating: text)
        } catch {
            wrong.append(FieldError(name, error.message))
            return TableName(stored: "")
        }
    }

    /// The beginning of primary keys, empty when it was not given.
    mutating func prefix(_ name: String = "prefix") -> String {
        guard let text = text(name), !text.isEmpty else { return "" }
        if !EntityKey.isValidPrimaryKey(text) {
            wrong.append(FieldError(name, "must be 1–\(Limits.primaryKeyBytes) bytes without control characters"))
        }
        return text
    }

    /// A whole number, nil when it was not given.
    mutating func integer<Value: FixedWidthInteger>(_ name: String, in range: ClosedRange<Value>) -> Value? {
        guard let text = text(name) else { return nil }
        let isPlain = !text.isEmpty && text.utf8.allSatisfy { (0x30...0x39).contains($0) }
        if isPlain, let value = Value(text), range.contains(value) { return value }
        wrong.append(FieldError(name, "must be a whole number from \(range.lowerBound) to \(range.upperBound)"))
        return nil
    }

    /// `true` or `false`; false when it was not given.
    mutating func bool(_ name: String) -> Bool {
        switch text(name) {
        case nil, "false": return false
        case "true": return true
        default:
            wrong.append(FieldError(name, "must be true or false"))
            return false
        }
    }

    /// One of `words`; the first when it was not given.
    mutating func word(_ name: String, of words: [String]) -> String {
        guard let text = text(name) else { return words[0] }
        if words.contains(text) { return text }
        wrong.append(FieldError(name, "must be \(words.joined(separator: " or "))"))
        return words[0]
    }

    /// Paths separated by commas, empty when none were given.
    mutating func paths(_ name: String) -> [String] {
        guard let text = text(name) else { return [] }
        let paths = text.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
        if paths.contains("") { wrong.append(FieldError(name, "must be paths separated by commas, such as a,b.c")) }
        if paths.count > Limits.projectionFields {
            wrong.append(FieldError(name, "may name at most \(Limits.projectionFields) paths"))
        }
        return paths
    }

    /// Refuses a parameter for a reason of the caller.
    mutating func refuse(_ name: String, _ message: String) { wrong.append(FieldError(name, message)) }

    /// Refuses each of these that was given.
    mutating func refuse(_ names: [String], _ message: String) {
        for name in names where text(name) != nil { refuse(name, message) }
    }

    /// Ends the reading.
    ///
    /// - Throws: `invalid_request` naming every parameter that is missing or wrong.
    func finish() throws(ThemisError) {
        guard !wrong.isEmpty else { return }
        throw ThemisError(.invalidRequest, wrong.map { "\($0.field) \($0.message)" }.joined(separator: "; "), fields: wrong)
    }
}
