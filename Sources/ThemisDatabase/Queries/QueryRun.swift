import ThemisBase
import ThemisStorage
import ThemisTelemetry

/// One execution of a query: what it reads, and what it may use. One thread at a time.
final class QueryRun {
    let view: ReadView
    let table: Table
    /// Entries and rows looked at.
    private(set) var scanned: UInt64 = 0
    /// Index entries among them.
    private(set) var indexHits: UInt64 = 0
    private var heldBytes = 0
    private let time: any TimeSource
    private let timesOperators: Bool
    /// Rows of which the page is surely made: to read more at first is in vain.
    let page: Int

    init(_ view: ReadView, _ table: Table, time: any TimeSource, timesOperators: Bool, page: Int = .max) {
        self.view = view
        self.table = table
        self.time = time
        self.timesOperators = timesOperators
        self.page = page
    }

    /// Counts what was looked at, and ends a query that looks at too much or for too long.
    ///
    /// - Throws: `query_too_large`, `deadline_exceeded`, `cancelled`.
    func look(at count: Int, inIndex: Bool) throws(ThemisError) {
        scanned += UInt64(count)
        if inIndex { indexHits += UInt64(count) }
        guard scanned <= UInt64(Limits.querySteps) else {
            throw ThemisError(.queryTooLarge, "the query looked at \(Limits.querySteps) entries and rows; that is the most for one")
        }
        try view.check()
    }

    /// Counts memory that the query keeps.
    ///
    /// - Throws: `query_too_large`.
    func hold(_ bytes: Int) throws(ThemisError) {
        heldBytes += bytes
        guard heldBytes <= Limits.queryBytes else {
            throw ThemisError(
                .queryTooLarge,
                "the query would keep more than \(Limits.queryBytes) bytes to sort or join; an index for its order needs none")
        }
    }

    func release(_ bytes: Int) { heldBytes -= bytes }

    /// Runs a step of an operator and adds to its report what it took.
    func measure<Result>(_ report: OperatorReport, _ body: () throws(ThemisError) -> [Result]) throws(ThemisError) -> [Result] {
        guard timesOperators else { return try body() }
        let started = time.monotonicNanoseconds()
        let rows = try body()
        report.nanoseconds += time.monotonicNanoseconds() - started
        report.rows += UInt64(rows.count)
        return rows
    }
}

/// What one operator of a plan is, and what it did when that was asked for.
final class OperatorReport {
    let name: String
    /// Made when they are asked for: most queries are not explained.
    private let details: () -> [(name: String, value: JSONValue)]
    let inputs: [OperatorReport]
    /// Rows or keys that it gave.
    var rows: UInt64 = 0
    /// The time that it and its inputs took.
    var nanoseconds: UInt64 = 0

    init(
        _ name: String, _ details: @autoclosure @escaping () -> [(name: String, value: JSONValue)] = [], inputs: [OperatorReport] = []
    ) {
        self.name = name
        self.details = details
        self.inputs = inputs
    }

    func json(isMeasured: Bool) -> JSONValue {
        var members = [JSONMember("operator", .string(name))] + details().map { JSONMember(JSONName($0.name), $0.value) }
        if isMeasured {
            members.append(JSONMember("rows", .integer(rows)))
            members.append(JSONMember("ms", JSONNumber(Double(nanoseconds / 1_000) / 1_000).map { .number($0) } ?? .null))
        }
        if !inputs.isEmpty { members.append(JSONMember("inputs", .array(inputs.map { $0.json(isMeasured: isMeasured) }))) }
        return .object(members)
    }
}

/// A row: an entity as it is stored.
struct QueryRow {
    let pk: [UInt8]
    /// Header and document.
    let value: [UInt8]

    var documentRange: Range<Int> { EntityRecord.headerBytes..<value.count }
}

/// Gives primary keys, batch by batch; an empty batch is the end.
protocol KeyOperator: AnyObject {
    var report: OperatorReport { get }
    func next() throws(ThemisError) -> [[UInt8]]
}

/// Gives rows, batch by batch; an empty batch is the end.
protocol RowOperator: AnyObject {
    var report: OperatorReport { get }
    func next() throws(ThemisError) -> [QueryRow]
}
