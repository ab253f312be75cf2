public import ThemisBase
import ThemisStorage
import ThemisTelemetry

/// What a verification found.
struct VerificationReport: Sendable {
    /// Faults that are named.
    private static let samples = 5

    var indexes = 0
    var entities: UInt64 = 0
    var changes: UInt64 = 0
    var missing: UInt64 = 0
    var dangling: UInt64 = 0
    var miscounted: UInt64 = 0
    var gaps: UInt64 = 0
    private var named: [String] = []
    /// Generations of indexes with a fault, by table.
    var faulty: [(table: TableName, generation: UInt32)] = []
    /// Keys of the order of expiry that are missing or belong to nothing, as far as they are kept.
    private(set) var faultyExpiries: [[UInt8]] = []

    mutating func add(faultyExpiry key: [UInt8]) {
        if faultyExpiries.count < Limits.faultyExpiries { faultyExpiries.append(key) }
    }

    var faults: UInt64 { missing + dangling + miscounted + gaps }

    mutating func name(_ fault: @autoclosure () -> String) {
        if named.count < Self.samples { named.append(fault()) }
    }

    /// For the operator.
    var text: String {
        let counts =
            "checked \(entities) entities, \(indexes) indexes and \(changes) changes: \(missing) entries missing, \(dangling) dangling, "
            + "\(miscounted) indexes miscounted, \(gaps) gaps in the changefeed"
        return named.isEmpty ? counts : counts + "; " + named.joined(separator: "; ")
    }
}

/// Whether what belongs together is together.
extension Database {
    /// Entities whose entries are looked up together.
    private static let together = 128

    /// Compares every index and the order of expiry with the entities, both ways, the counts of indexes with their entries, and looks for
    /// gaps in the change log, as a job.
    ///
    /// Each table is read in one state, which pins it until the table is done. Writes go on.
    ///
    /// - Parameter repairs: builds every index with a fault anew, and mends the order of expiry.
    /// - Throws: `shutting_down`.
    public func verify(repairs: Bool) throws(ThemisError) -> Job {
        try startJob(kind: "verify", detail: "indexes and changefeed") { [weak self] progress throws(ThemisError) in
            try self?.verify(repairs, progress)
        }
    }

    private func verify(_ repairs: Bool, _ progress: JobProgress) throws(ThemisError) {
        let catalog = published.catalog
        let total = catalog.byName.values.reduce(UInt64(0)) { $0 + $1.info.entities }
        var report = VerificationReport()
        for table in catalog.byName.values.sorted(by: { $0.id < $1.id }) {
            let view = try ReadView(self, CallContext(cancellation: progress.cancellation))
            do throws(ThemisError) {
                try check(try view.table(table.name, known: table), view, &report) { progress.report(done: $0, total: max(total, $0)) }
            } catch {
                // Dropped in the meantime: there is nothing to check.
                guard error.code == .notFound else { throw error }
            }
        }
        try checkChanges(try ReadView(self, CallContext(cancellation: progress.cancellation)), &report)
        progress.report(done: report.entities, total: report.entities)
        progress.describe(report.text)
        if report.faults > 0 {
            telemetry.log.error("a verification found faults", [(.count, String(report.faults)), (.detail, report.text)])
        }
        guard repairs else { return }
        try mend(report.faultyExpiries)
        for (table, generation) in report.faulty {
            let index = try indexes(table).first { $0.generation == generation }
            guard let index else { continue }
            do throws(ThemisError) {
                let rebuild = try rebuildIndex(table, columns: index.definition.columns, type: index.definition.type)
                progress.describe(report.text + "; job \(rebuild.id) and those after it build the faulty indexes anew")
            } catch {
                // Dropped meanwhile, or someone else has begun to build it anew: both end the fault.
                guard error.code == .notFound || error.code == .conflict else { throw error }
            }
        }
    }

    /// Compares the indexes of one table with its entities.
    ///
    /// - Parameter only: the one index that is meant; nil for all.
    func check(
        _ table: Table, _ view: ReadView, _ report: inout VerificationReport, only: UInt32? = nil, _ advance: (UInt64) -> Void
    ) throws(ThemisError) {
        let ready = table.indexes.all.filter { $0.state == .ready && (only == nil || only == $0.generation) }
        let indexes = TableIndexes(ready)
        var expected = [UInt64](repeating: 0, count: ready.count)
        var missing = expected
        let cursor = try view.scan(
            from: EntityRecord.lowerBound(table: table.id), to: EntityRecord.upperBound(table: table.id), reverse: false)
        var isAtEnd = false
        while !isAtEnd {
            var keys: [(place: Int, key: [UInt8])] = []
            var expiries: [[UInt8]] = []
            var seen = 0
            while seen < Self.together {
                guard try cursor.advance() else {
                    isAtEnd = true
                    break
                }
                seen += 1
                let value = cursor.value
                try EntityRecord.check(value)
                let expiresAt = EntityRecord.expiry(of: value)
                if expiresAt != 0 { expiries.append(ExpiryKey.key(entity: cursor.key, expiresAt: expiresAt)) }
                guard !ready.isEmpty else { continue }
                let pk = cursor.key[4...]
                for (place, entries) in try indexes.entriesKept(of: value, EntityRecord.headerBytes..<value.count).enumerated() {
                    expected[place] += UInt64(entries.count)
                    for entry in entries { keys.append((place, IndexKey.key(ready[place].generation, entry, pk: pk))) }
                }
            }
            for (item, value) in zip(keys, try view.snapshot.multiGet(.indexes, keys.map(\.key))) where value == nil {
                missing[item.place] += 1
                report.name("\(ready[item.place].definition.name) of \(table.name.text) misses an entry")
            }
            try check(expiries: expiries, table, view, &report)
            report.entities += UInt64(seen)
            advance(report.entities)
            try view.check()
        }
        for (place, index) in ready.enumerated() {
            try check(index, expected: expected[place], missing: missing[place], table, view, &report)
        }
        try checkStrayExpiries(table, view, &report)
    }

    private func check(
        _ index: Index, expected: UInt64, missing: UInt64, _ table: Table, _ view: ReadView, _ report: inout VerificationReport
    ) throws(ThemisError) {
        report.indexes += 1
        let cursor = try view.snapshot.scan(
            .indexes, from: IndexKey.lowerBound(index.generation), to: IndexKey.upperBound(index.generation), reverse: false)
        var actual = IndexCounters.State()
        while try cursor.advance() {
            actual.entries += 1
            actual.bytes += UInt64(cursor.key.count)
            if actual.entries % 1_024 == 0 { try view.check() }
        }
        // Every entry that was looked for and found stands in the index: what else is there belongs to nothing.
        let dangling = actual.entries - (expected - missing)
        var counted = IndexCounters.State()
        if let row = try view.snapshot.get(.meta, MetaRecords.index(index.generation)) { counted = try IndexRecord.decodeCounts(row) }
        let isMiscounted = counted.entries != actual.entries || counted.bytes != actual.bytes
        report.missing += missing
        report.dangling += dangling
        if dangling > 0 { report.name("\(index.definition.name) of \(table.name.text) has \(dangling) entries of no entity") }
        if isMiscounted {
            report.miscounted += 1
            report.name("\(index.definition.name) of \(table.name.text) counts \(counted.entries) entries and has \(actual.entries)")
        }
        if missing > 0 || dangling > 0 || isMiscounted { report.faulty.append((table.name, index.generation)) }
    }

    /// Sequences follow each other, except where an epoch begins.
    private func checkChanges(_ view: ReadView, _ report: inout VerificationReport) throws(ThemisError) {
        let oldest = oldestSequence
        let starts = Set(published.epochs.map(\.first))
        let cursor = try view.snapshot.scan(.changes, from: ChangeRecord.key(oldest), to: nil, reverse: false)
        var last = oldest - 1
        while try cursor.advance() {
            let position = try ChangeRecord.position(ofKey: cursor.key)
            guard position.ordinal == 0 else { continue }
            report.changes += 1
            if position.sequence != last + 1, !starts.contains(position.sequence) {
                report.gaps += 1
                report.name("the changefeed has a gap behind \(last)")
            }
            last = position.sequence
            if report.changes % 1_024 == 0 { try view.check() }
        }
        if last < view.sequence, !starts.contains(view.sequence + 1) {
            report.gaps += 1
            report.name("the changefeed ends at \(last), the data at \(view.sequence)")
        }
    }
}
