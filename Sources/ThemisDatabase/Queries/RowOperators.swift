import ThemisBase
import ThemisStorage

/// The rows of the table by primary key.
final class TableScan: RowOperator {
    let report = OperatorReport("table_scan")
    private let run: QueryRun
    private let cursor: ViewCursor
    private static let batch = 128
    /// Bytes of one batch: documents may be large.
    private static let batchBytes = 1 << 20

    /// - Parameter anchor: only primary keys behind it.
    init(_ run: QueryRun, behind anchor: [UInt8]?) throws(ThemisError) {
        self.run = run
        let lower = EntityRecord.lowerBound(table: run.table.id)
        cursor = try run.view.scan(
            from: anchor.map { lower + $0 + [0] } ?? lower, to: EntityRecord.upperBound(table: run.table.id), reverse: false)
    }

    func next() throws(ThemisError) -> [QueryRow] {
        try run.measure(report) { () throws(ThemisError) in
            var rows: [QueryRow] = []
            var bytes = 0
            while rows.isEmpty {
                var seen = 0
                while seen < Self.batch, bytes < Self.batchBytes, try cursor.advance() {
                    seen += 1
                    let value = cursor.value
                    bytes += value.count
                    if try run.view.isVisible(value) { rows.append(QueryRow(pk: Array(cursor.key[4...]), value: value)) }
                }
                try run.look(at: seen, inIndex: false)
                // A batch of nothing but expired rows is not the end.
                if seen == 0 { break }
                bytes = 0
            }
            return rows
        }
    }
}

/// The rows of given keys, in their order; keys without an entity, and expired ones, give none.
final class Fetch: RowOperator {
    let report: OperatorReport
    private let run: QueryRun
    private let source: any KeyOperator
    private var keys: ArraySlice<[UInt8]> = []
    /// Documents read at once: they may be large.
    private static let batch = 32
    /// Only the first rows of a query are likely to be read again: the many of a long one would drive out the others.
    private var isFirst = true

    init(_ run: QueryRun, _ source: any KeyOperator) {
        self.run = run
        self.source = source
        report = OperatorReport("fetch", inputs: [source.report])
    }

    func next() throws(ThemisError) -> [QueryRow] {
        try run.measure(report) { () throws(ThemisError) in
            var rows: [QueryRow] = []
            while rows.isEmpty {
                if keys.isEmpty { keys = try source.next()[...] }
                if keys.isEmpty { break }
                let step = Array(keys.prefix(Self.batch))
                keys = keys.dropFirst(step.count)
                let prefix = EntityRecord.lowerBound(table: run.table.id)
                let values = try run.view.multiGet(step.map { prefix + $0 }, keeps: isFirst)
                isFirst = false
                for (pk, value) in zip(step, values) {
                    guard let value, try run.view.isVisible(value) else { continue }
                    rows.append(QueryRow(pk: pk, value: value))
                }
                try run.look(at: step.count, inIndex: false)
            }
            return rows
        }
    }
}

/// The rows that pass a condition.
final class Filter: RowOperator {
    let report: OperatorReport
    private let run: QueryRun
    private let source: any RowOperator
    private let condition: ConditionEvaluator

    init(_ run: QueryRun, _ source: any RowOperator, _ condition: ConditionEvaluator) {
        self.run = run
        self.source = source
        self.condition = condition
        report = OperatorReport("filter", inputs: [source.report])
    }

    func next() throws(ThemisError) -> [QueryRow] {
        try run.measure(report) { () throws(ThemisError) in
            while true {
                let batch = try source.next()
                if batch.isEmpty { return [] }
                var rows: [QueryRow] = []
                for row in batch where try condition.holds(for: row.value, row.documentRange) { rows.append(row) }
                if !rows.isEmpty { return rows }
            }
        }
    }
}

/// The first rows in an order that the source does not give: a heap of their places, then the rows themselves once more.
final class TopRows: RowOperator {
    let report: OperatorReport
    private let run: QueryRun
    private let source: any RowOperator
    private let order: RowOrder
    private let count: Int
    private let anchor: [UInt8]?
    private var sorted: Fetch?
    /// The greatest one first.
    private var heap: [(place: [UInt8], pk: [UInt8])] = []

    /// - Parameters:
    ///   - count: how many rows are wanted.
    ///   - anchor: only rows behind this place.
    init(_ run: QueryRun, _ source: any RowOperator, _ order: RowOrder, first count: Int, behind anchor: [UInt8]?) {
        self.run = run
        self.source = source
        self.order = order
        self.count = count
        self.anchor = anchor
        report = OperatorReport("top_rows", [("count", .integer(count))], inputs: [source.report])
    }

    func next() throws(ThemisError) -> [QueryRow] {
        try run.measure(report) { () throws(ThemisError) in
            if sorted == nil {
                try sort()
                let keys = heap.sorted { $0.place.lexicographicallyPrecedes($1.place) }.map(\.pk)
                heap = []
                sorted = Fetch(run, KeyList(keys))
            }
            return try sorted?.next() ?? []
        }
    }

    private func sort() throws(ThemisError) {
        while true {
            let batch = try source.next()
            if batch.isEmpty { return }
            for row in batch {
                let place = order.comparable(try order.values(row.value, row.documentRange), row.pk)
                if let anchor, !anchor.lexicographicallyPrecedes(place) { continue }
                try add((place, row.pk))
            }
        }
    }

    private func add(_ item: (place: [UInt8], pk: [UInt8])) throws(ThemisError) {
        if heap.count < count {
            heap.append(item)
            try run.hold(Self.bytes(item))
            rise(heap.count - 1)
        } else if item.place.lexicographicallyPrecedes(heap[0].place) {
            run.release(Self.bytes(heap[0]))
            heap[0] = item
            try run.hold(Self.bytes(item))
            sink()
        }
    }

    private static func bytes(_ item: (place: [UInt8], pk: [UInt8])) -> Int { item.place.count + item.pk.count + 96 }

    private func rise(_ start: Int) {
        var child = start
        while child > 0 {
            let parent = (child - 1) / 2
            guard heap[parent].place.lexicographicallyPrecedes(heap[child].place) else { return }
            heap.swapAt(parent, child)
            child = parent
        }
    }

    private func sink() {
        var parent = 0
        while true {
            var greatest = parent
            for child in [2 * parent + 1, 2 * parent + 2] where child < heap.count {
                if heap[greatest].place.lexicographicallyPrecedes(heap[child].place) { greatest = child }
            }
            guard greatest != parent else { return }
            heap.swapAt(parent, greatest)
            parent = greatest
        }
    }
}
