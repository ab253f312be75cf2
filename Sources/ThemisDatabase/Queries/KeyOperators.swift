import ThemisBase
import ThemisStorage

/// The entries of an index in its ranges, from the place of an anchor on.
final class IndexScan: KeyOperator {
    let report: OperatorReport
    private let run: QueryRun
    private let access: IndexAccess
    /// Bounds of stored keys that are still to be read, the next one last.
    private var bounds: [(lower: [UInt8], upper: [UInt8])]
    private var cursor: ViewCursor?
    /// Small at first: a page is often small.
    private var batch: Int
    private static let largestBatch = 256

    /// - Parameter anchor: only keys behind it, in the direction of the scan.
    init(_ run: QueryRun, _ access: IndexAccess, behind anchor: [UInt8]?) {
        self.run = run
        self.access = access
        batch = min(32, run.page)
        report = OperatorReport(
            "index_scan",
            [
                ("index", .string(access.index.definition.name)), ("type", .string(access.index.definition.type)),
                ("ranges", .integer(access.ranges.ranges.count)), ("reverse", .bool(access.isReversed)),
                ("estimated_entries", .integer(access.estimate)),
            ])
        var bounds = access.ranges.ranges.map { access.index.bounds(of: $0) }
        if let anchor {
            bounds = bounds.compactMap { range in
                var (lower, upper) = range
                // The key right behind the anchor has a zero byte more.
                if access.isReversed {
                    if anchor.lexicographicallyPrecedes(upper) { upper = anchor }
                } else if !anchor.lexicographicallyPrecedes(lower) {
                    lower = anchor + [0]
                }
                return lower.lexicographicallyPrecedes(upper) ? (lower, upper) : nil
            }
        }
        self.bounds = access.isReversed ? bounds : bounds.reversed()
    }

    func next() throws(ThemisError) -> [[UInt8]] {
        try run.measure(report) { () throws(ThemisError) in
            var keys: [[UInt8]] = []
            while keys.count < batch {
                guard let cursor = try current() else { break }
                guard try cursor.advance() else {
                    self.cursor = nil
                    continue
                }
                let key = cursor.key
                keys.append(Array(key[(try IndexKey.pkOffset(key, values: access.index.definition.kind.entryValues))...]))
            }
            try run.look(at: keys.count, inIndex: true)
            batch = min(batch * 2, Self.largestBatch)
            return keys
        }
    }

    private func current() throws(ThemisError) -> ViewCursor? {
        if let cursor { return cursor }
        guard let range = bounds.popLast() else { return nil }
        cursor = try run.view.scan(access.index, of: run.table, from: range.lower, to: range.upper, reverse: access.isReversed)
        return cursor
    }
}

/// A key operator with the next key to be seen.
private struct KeyHead {
    let source: any KeyOperator
    private var batch: [[UInt8]] = []
    private var place = 0

    init(_ source: any KeyOperator) { self.source = source }

    /// The next key; nil at the end.
    mutating func key() throws(ThemisError) -> [UInt8]? {
        if place == batch.count {
            batch = try source.next()
            place = 0
        }
        return place < batch.count ? batch[place] : nil
    }

    mutating func step() { place += 1 }
}

/// Keys that all inputs give; these come by primary key.
final class KeyIntersection: KeyOperator {
    let report: OperatorReport
    private let run: QueryRun
    private var heads: [KeyHead]
    private static let batch = 256

    init(_ run: QueryRun, _ inputs: [any KeyOperator]) {
        self.run = run
        heads = inputs.map { KeyHead($0) }
        report = OperatorReport("intersection", inputs: inputs.map(\.report))
    }

    func next() throws(ThemisError) -> [[UInt8]] {
        try run.measure(report) { () throws(ThemisError) in
            var keys: [[UInt8]] = []
            while keys.count < Self.batch {
                guard let key = try common() else { break }
                keys.append(key)
                for place in heads.indices { heads[place].step() }
            }
            return keys
        }
    }

    /// The next key that all have; nil when one is at its end.
    private func common() throws(ThemisError) -> [UInt8]? {
        guard var greatest = try heads[0].key() else { return nil }
        var agreeing = 0
        var place = 0
        while agreeing < heads.count {
            guard let key = try heads[place].key() else { return nil }
            if key.lexicographicallyPrecedes(greatest) {
                heads[place].step()
                continue
            }
            agreeing = key == greatest ? agreeing + 1 : 1
            greatest = key
            place = (place + 1) % heads.count
        }
        return greatest
    }
}

/// Keys that one of the inputs gives, each once and by primary key.
///
/// Inputs that come by primary key are merged; others are collected first.
final class KeyUnion: KeyOperator {
    let report: OperatorReport
    private let run: QueryRun
    private var heads: [KeyHead]
    private var collected: [any KeyOperator]
    private let anchor: [UInt8]?
    private static let batch = 256

    /// - Parameter anchor: only primary keys behind it; merged inputs have skipped the others themselves.
    init(_ run: QueryRun, merging: [any KeyOperator], collecting: [any KeyOperator], behind anchor: [UInt8]?) {
        self.run = run
        heads = merging.map { KeyHead($0) }
        collected = collecting
        self.anchor = anchor
        report = OperatorReport("union", inputs: (merging + collecting).map(\.report))
    }

    func next() throws(ThemisError) -> [[UInt8]] {
        try run.measure(report) { () throws(ThemisError) in
            if !collected.isEmpty { try collect() }
            var keys: [[UInt8]] = []
            while keys.count < Self.batch {
                var least: [UInt8]?
                for place in heads.indices {
                    guard let key = try heads[place].key() else { continue }
                    if least.map({ key.lexicographicallyPrecedes($0) }) ?? true { least = key }
                }
                guard let least else { break }
                for place in heads.indices { if try heads[place].key() == least { heads[place].step() } }
                keys.append(least)
            }
            return keys
        }
    }

    private func collect() throws(ThemisError) {
        var keys: Set<[UInt8]> = []
        for source in collected {
            while true {
                let batch = try source.next()
                if batch.isEmpty { break }
                for key in batch where anchor?.lexicographicallyPrecedes(key) ?? true {
                    if keys.insert(key).inserted { try run.hold(key.count + 48) }
                }
            }
        }
        heads.append(KeyHead(KeyList(keys.sorted { $0.lexicographicallyPrecedes($1) })))
        collected = []
    }
}

/// Keys that are known already.
final class KeyList: KeyOperator {
    let report = OperatorReport("keys")
    private let keys: [[UInt8]]
    private var place = 0

    init(_ keys: [[UInt8]]) { self.keys = keys }

    func next() throws(ThemisError) -> [[UInt8]] {
        defer { place = min(place + 256, keys.count) }
        return Array(keys[place..<min(place + 256, keys.count)])
    }
}
