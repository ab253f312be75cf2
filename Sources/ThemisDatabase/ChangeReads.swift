public import ThemisBase
import ThemisStorage
import ThemisTelemetry

/// A filter with names resolved to ids, so that most records need no decoding.
struct ChangesMatcher {
    private let types: ChangeTypes
    private let tables: Set<UInt32>?
    private let pkPrefix: [UInt8]
    private let tablePrefix: String?
    private let catalog: TableCatalog

    init(_ filter: ChangesFilter, _ catalog: TableCatalog) {
        types = filter.types
        self.catalog = catalog
        var tables = filter.table.map { catalog.ids(of: $0) }
        if let colon = filter.keyPrefix.utf8.firstIndex(of: 0x3A) {
            // Text before a colon that is no table's name has no ids.
            let ids = catalog.ids(of: TableName(stored: String(filter.keyPrefix[..<colon])))
            tables = tables.map { $0.intersection(ids) } ?? ids
            pkPrefix = Array(filter.keyPrefix.utf8[filter.keyPrefix.utf8.index(after: colon)...])
            tablePrefix = nil
        } else {
            pkPrefix = []
            tablePrefix = filter.keyPrefix.isEmpty ? nil : filter.keyPrefix
        }
        self.tables = tables
    }

    func matches(_ record: [UInt8]) -> Bool {
        guard types.rawValue & ChangeRecord.type(of: record).rawValue != 0 else { return false }
        let id = ChangeRecord.table(of: record)
        if let tables, !tables.contains(id) { return false }
        if let tablePrefix, !(catalog.name(of: id)?.text.hasPrefix(tablePrefix) ?? false) { return false }
        return pkPrefix.isEmpty || ChangeRecord.pk(of: record).starts(with: pkPrefix)
    }
}

/// Fills one page, record by record.
struct ChangesPageBuilder {
    /// Records that one call looks at; a filter that matches little must not hold a thread for long.
    private static let scannedRecords = 20_000
    /// Their bytes.
    private static let scannedBytes = 16 << 20

    let request: ChangesRequest
    let matcher: ChangesMatcher
    let catalog: TableCatalog
    private(set) var changes: [Change] = []
    private(set) var position: SequenceNumber
    private var bytes = 0
    private var scanned = 0
    private var scannedBytes = 0

    init(_ request: ChangesRequest, after: SequenceNumber, _ catalog: TableCatalog) {
        self.request = request
        self.catalog = catalog
        matcher = ChangesMatcher(request.filter, catalog)
        position = after
    }

    /// Takes the next record; false when the page ended with it. Pages end only behind a transaction.
    mutating func take(_ sequence: SequenceNumber, _ ordinal: UInt16, _ record: [UInt8]) -> Bool {
        scanned += 1
        scannedBytes += record.count
        if matcher.matches(record) {
            // The name is known as long as the log holds a record of the table.
            let name = catalog.name(of: ChangeRecord.table(of: record)) ?? TableName(stored: "")
            changes.append(
                ChangeRecord.change(
                    sequence: sequence, ordinal: ordinal, record: record, table: name, oldValues: request.oldValues))
            bytes += record.count
        }
        // A system record belongs to the data record that comes next: the position stays before it.
        guard ordinal == 0 else { return true }
        position = sequence
        guard ChangeRecord.transactionIndex(of: record) + 1 >= ChangeRecord.transactionCount(of: record) else { return true }
        return changes.count < request.limit && bytes < request.maxBytes && scanned < Self.scannedRecords
            && scannedBytes < Self.scannedBytes
    }

    /// Leaves out what the position does not cover: system records with no data record behind them yet.
    mutating func trim() { while let last = changes.last, last.sequence == position, last.ordinal > 0 { changes.removeLast() } }
}

extension Database {
    /// One page of the change log, from memory when it is recent. May read the disk.
    ///
    /// Pages hold whole transactions, so they may be larger than asked. System records come with the data record that follows
    /// them.
    ///
    /// - Throws: `history_gone` (members `oldest_sequence`, `latest_sequence`), `epoch_changed` (member `epoch`),
    ///   `sequence_ahead`, `invalid_request`, `unprocessable` (old values of a table that keeps none), `data_corrupt`,
    ///   `cancelled`, `deadline_exceeded`.
    public func readChanges(_ request: ChangesRequest, _ call: CallContext = CallContext()) throws(ThemisError) -> ChangesPage {
        try call.check(telemetry.time)
        guard (1...Limits.changefeedPage).contains(request.limit) else {
            throw ThemisError(
                .invalidRequest, "a page has 1–\(Limits.changefeedPage) changes",
                fields: [FieldError("limit", "1–\(Limits.changefeedPage)")])
        }
        let latest = published.durableSequence
        let after = request.after ?? latest
        try checkPosition(after, epoch: request.epoch, latest: latest)
        let catalog = published.catalog
        if request.oldValues, let name = request.filter.table, let table = catalog.byName[name.text],
            !table.settings.keepsOldValues
        {
            throw ThemisError(.unprocessable, "table \(name.text) keeps no old values; set `cdc.old_values` on it")
        }
        var builder = ChangesPageBuilder(request, after: after, catalog)
        if after < latest {
            if !readRing(&builder, after, latest) { try readLog(&builder, after, latest, call) }
            builder.trim()
            // Retention may have overtaken the read: then records may be missing in it.
            try checkPosition(after, epoch: request.epoch, latest: latest)
        }
        return ChangesPage(
            changes: builder.changes, nextAfter: builder.position, latest: latest, oldest: published.oldestSequence, epoch: epoch)
    }

    /// The change log in numbers. May read the disk.
    ///
    /// - Throws: `data_corrupt`.
    public func changesInfo() throws(ThemisError) -> ChangesInfo {
        let oldest = published.oldestSequence
        let latest = published.durableSequence
        var info = ChangesInfo(
            latest: latest, oldest: oldest, epoch: epoch,
            bytes: engine.approximateBytes(.changes, from: ChangeRecord.key(oldest), to: ChangeRecord.key(.max)),
            oldestMilliseconds: 0, latestMilliseconds: 0)
        info.oldestMilliseconds = try timestamp(from: oldest) ?? 0
        if latest >= oldest { info.latestMilliseconds = try timestamp(from: latest) ?? 0 }
        return info
    }

    /// The commit time of the first data record at or above `sequence`.
    func timestamp(from sequence: SequenceNumber) throws(ThemisError) -> Int64? {
        let cursor = try engine.snapshot().scan(.changes, from: ChangeRecord.key(sequence), to: nil, reverse: false)
        guard try cursor.advance() else { return nil }
        let record = cursor.value
        try ChangeRecord.check(record)
        return ChangeRecord.timestamp(of: record)
    }

    private func checkPosition(_ after: SequenceNumber, epoch: String?, latest: SequenceNumber) throws(ThemisError) {
        if let epoch, epoch != self.epoch {
            throw ThemisError(.epochChanged, "the data has another epoch", members: [("epoch", .text(self.epoch))])
        }
        for epoch in published.epochs.dropFirst() where after > epoch.previousLast && after < epoch.first - 1 {
            throw ThemisError(
                .epochChanged, "the position lies in history that was given up", members: [("epoch", .text(self.epoch))])
        }
        // A snapshot may be a moment ahead of what is published; its sequence is a position all the same.
        guard after <= max(latest, published.orderedSequence) else {
            throw ThemisError(
                .sequenceAhead, "the position is beyond the newest change", members: [("latest_sequence", .number(latest))])
        }
        let oldest = published.oldestSequence
        guard after >= oldest - 1 else {
            throw ThemisError(
                .historyGone, "changes before \(oldest) are gone",
                members: [("oldest_sequence", .number(oldest)), ("latest_sequence", .number(latest))])
        }
    }

    /// Fills the page from memory; false when the ring does not reach back so far.
    private func readRing(_ builder: inout ChangesPageBuilder, _ after: SequenceNumber, _ latest: SequenceNumber) -> Bool {
        let start = builder
        var position = (sequence: after, ordinal: UInt16(0))
        while true {
            // Two records more than the page: a first guess that mostly suffices.
            let count = min(builder.request.limit + 2, 1_024)
            guard let records = published.ring.records(behind: position, upTo: latest, count: count) else {
                // The ring moved on while it was read.
                builder = start
                return false
            }
            guard let last = records.last else { return true }
            for record in records where !builder.take(record.sequence, record.ordinal, record.bytes) { return true }
            position = (last.sequence, last.ordinal)
        }
    }

    private func readLog(
        _ builder: inout ChangesPageBuilder, _ after: SequenceNumber, _ latest: SequenceNumber, _ call: CallContext
    ) throws(ThemisError) {
        let cursor = try engine.snapshot().scan(
            .changes, from: ChangeRecord.key(after, ordinal: 1), to: ChangeRecord.key(latest, ordinal: 1), reverse: false)
        var steps = 0
        while try cursor.advance() {
            steps += 1
            if steps % 256 == 0 { try call.check(telemetry.time) }
            let (sequence, ordinal) = try ChangeRecord.position(ofKey: cursor.key)
            let record = cursor.value
            try ChangeRecord.check(record)
            guard builder.take(sequence, ordinal, record) else { return }
        }
    }
}
