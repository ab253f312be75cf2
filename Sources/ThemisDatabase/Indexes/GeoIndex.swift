import ThemisBase

/// Positions on the earth: the number of each one's cell (`GeoCells`), for circles and boxes.
struct GeoIndex: IndexKind {
    static let word = "geo"
    static let canBeUnique = false
    private let column: JSONPath
    let paths: [JSONPath]

    init(columns: [JSONPath]) throws(ThemisError) {
        guard columns.count == 1 else { throw IndexDefinition.error("columns", "a geo index has one column") }
        column = columns[0]
        do throws(ThemisError) {
            paths = try GeoColumn(columns[0]).paths
        } catch {
            throw IndexDefinition.error("columns", "too long: \(column)_lat must be a path as well")
        }
    }

    func entries(of columns: [ColumnValues]) throws(ThemisError) -> [[UInt8]] {
        var numbers: Set<UInt64> = []
        for coding in columns[0].codings where !OrderedCoding.isNull(coding) {
            guard columns[0].isKept, let position = Self.value(coding).flatMap({ GeoPosition($0) }) else {
                throw Self.error(column, "must be a position: \(GeoColumn.forms)")
            }
            numbers.insert(GeoCells.number(position))
        }
        if numbers.isEmpty, columns.count == 3, let number = try beside(columns[1], columns[2]) { numbers.insert(number) }
        guard numbers.count <= Limits.indexEntries else {
            throw Self.error(column, "is indexed and may have at most \(Limits.indexEntries) different positions")
        }
        return numbers.sorted().map(Self.entry)
    }

    /// The cell of the position in the columns beside the indexed one.
    private func beside(_ latitude: ColumnValues, _ longitude: ColumnValues) throws(ThemisError) -> UInt64? {
        let values = [latitude, longitude].map { $0.codings.first.flatMap(Self.value) ?? .null }
        if values.allSatisfy(\.isNull) { return nil }
        guard let position = GeoPosition(latitude: values[0], longitude: values[1]) else {
            let isLatitudeWrong = values[0].doubleValue.map { !(-90...90).contains($0) } ?? true
            throw Self.error(
                isLatitudeWrong ? latitude.path : longitude.path,
                "must be a number of degrees: \(latitude.path) -90…90, \(longitude.path) -180…180, both or none")
        }
        return GeoCells.number(position)
    }

    private static func value(_ coding: [UInt8]) -> JSONValue? {
        var reader = ByteReader(coding)
        return OrderedCoding.value(from: &reader)
    }

    private static func error(_ path: JSONPath, _ message: String) -> ThemisError {
        ThemisError(.unprocessable, "column \(path) \(message)", fields: [FieldError(path.text, message)])
    }

    /// A number in its ordered coding: cells sort as their numbers do.
    private static func entry(_ number: UInt64) -> [UInt8] { OrderedCoding.coding(of: .integer(number)) }

    func access(_ conjunction: Conjunction) -> IndexRanges? {
        guard let region = conjunction.region(for: column) else { return nil }
        return IndexRanges(
            GeoCells.ranges(region.boxes).map { ValueRange(lower: Self.entry($0.lowerBound), upper: Self.entry($0.upperBound)) })
    }

    var isComplete: Bool { false }
    /// The curve is no order of values.
    var isOrdered: Bool { false }
    var entryValues: Int { 1 }
    var isValueItself: Bool { false }
    var skipsNull: Bool { false }
}
