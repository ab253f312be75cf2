import Synchronization
import ThemisBase

/// Counts of one index, as far as they are published. Any thread.
final class IndexCounters: Sendable {
    struct State: Sendable, Equatable {
        var entries: UInt64 = 0
        var bytes: UInt64 = 0
        /// While it is built: entities up to this primary key have their entries. Empty: none has.
        var builtThrough: [UInt8] = []
    }

    private let state: Mutex<State>

    init(_ state: State = State()) { self.state = Mutex(state) }

    var value: State { state.withLock { $0 } }
    func set(_ value: State) { state.withLock { $0 = value } }
}

/// An index of the catalog. A change of state makes a new object with the same generation and counters. Any thread.
final class Index: Sendable {
    /// Its number in keys.
    let generation: UInt32
    let definition: IndexDefinition
    let state: IndexState
    /// The last sequence before the index was there: entities that changed later have their entries from the write itself.
    let birth: SequenceNumber
    /// The generation whose place it takes when it is complete; 0 for none.
    let replaces: UInt32
    let createdMilliseconds: Int64
    let counters: IndexCounters

    init(
        generation: UInt32, definition: IndexDefinition, state: IndexState, birth: SequenceNumber, replaces: UInt32 = 0,
        createdMilliseconds: Int64, counters: IndexCounters = IndexCounters()
    ) {
        self.generation = generation
        self.definition = definition
        self.state = state
        self.birth = birth
        self.replaces = replaces
        self.createdMilliseconds = createdMilliseconds
        self.counters = counters
    }

    /// The same index, complete.
    var completed: Index {
        Index(
            generation: generation, definition: definition, state: .ready, birth: birth, createdMilliseconds: createdMilliseconds,
            counters: counters)
    }

    var info: IndexInfo {
        let counts = counters.value
        return IndexInfo(
            definition: definition, generation: generation, state: state, entries: counts.entries, bytes: counts.bytes,
            createdMilliseconds: createdMilliseconds, isReplacement: replaces != 0)
    }
}

/// The stored form of entries (docs/data-format.md, "Indexes"): `generation u32 | ordered values | primary key`, without a value.
enum IndexKey {
    static func key(_ generation: UInt32, _ entry: [UInt8], pk: some Collection<UInt8> = []) -> [UInt8] {
        var key: [UInt8] = []
        key.reserveCapacity(4 + entry.count + pk.count)
        key.appendBigEndian(generation)
        key.append(contentsOf: entry)
        key.append(contentsOf: pk)
        return key
    }

    /// The first key of an index.
    static func lowerBound(_ generation: UInt32) -> [UInt8] { EntityRecord.lowerBound(table: generation) }
    /// The key behind the last one of an index. Generations end below `UInt32.max`.
    static func upperBound(_ generation: UInt32) -> [UInt8] { EntityRecord.upperBound(table: generation) }

    /// Where the primary key begins.
    ///
    /// - Throws: `data_corrupt`.
    static func pkOffset(_ key: [UInt8], values: Int) throws(ThemisError) -> Int {
        var reader = ByteReader(key)
        var isSound = reader.take(4) != nil
        for _ in 0..<values where isSound { isSound = OrderedCoding.skip(&reader) }
        guard isSound, reader.remaining > 0 else {
            throw ThemisError(.dataCorrupt, "an index entry of \(key.count) bytes cannot be decoded")
        }
        return reader.position
    }
}

/// The indexes of one table, with one walk over a document for all of them.
struct TableIndexes: Sendable {
    let all: [Index]
    private let reader: JSONPathReader
    private let paths: [JSONPath]
    /// For each index, where its columns stand in `paths`.
    private let columns: [[Int]]
    /// The TTL indexes.
    private let expiring: [(place: Int, kind: TTLIndex)]

    static let none = TableIndexes([])

    init(_ indexes: [Index]) {
        all = indexes
        var paths: [JSONPath] = []
        var places: [JSONPath: Int] = [:]
        columns = indexes.map { index in
            index.definition.kind.paths.map { path in
                if let place = places[path] { return place }
                places[path] = paths.count
                paths.append(path)
                return paths.count - 1
            }
        }
        self.paths = paths
        reader = JSONPathReader(paths)
        expiring = indexes.enumerated().compactMap { place, index in (index.definition.kind as? TTLIndex).map { (place, $0) } }
    }

    var isEmpty: Bool { all.isEmpty }

    /// The entries that a document is to have, by index, and when it expires.
    ///
    /// - Throws: `unprocessable` when a value cannot be indexed, `data_corrupt` for a damaged document.
    func content(
        of document: [UInt8], _ range: Range<Int>
    ) throws(ThemisError) -> (entries: [[[UInt8]]], expiry: DocumentExpiry) {
        let values = try values(of: document, range)
        let entries = try entries(of: values, skipsUnfit: false)
        var expiry = DocumentExpiry.never
        for (place, kind) in expiring { expiry.join(try kind.expiry(of: columns[place].map { values[$0] })) }
        return (entries, expiry)
    }

    /// The entries that a document is to have, by index.
    ///
    /// - Throws: as `content`.
    func entries(of document: [UInt8], _ range: Range<Int>) throws(ThemisError) -> [[[UInt8]]] {
        try entries(of: values(of: document, range), skipsUnfit: false)
    }

    /// The entries that a stored document has, by index. One that cannot be indexed has none: it is older than the index, which is being
    /// built and will fail on it.
    ///
    /// - Throws: `data_corrupt` for a damaged document.
    func entriesKept(of document: [UInt8], _ range: Range<Int>) throws(ThemisError) -> [[[UInt8]]] {
        try entries(of: values(of: document, range), skipsUnfit: true)
    }

    private func entries(of values: [ColumnValues], skipsUnfit: Bool) throws(ThemisError) -> [[[UInt8]]] {
        var result: [[[UInt8]]] = []
        result.reserveCapacity(all.count)
        for (index, places) in zip(all, columns) {
            do throws(ThemisError) {
                result.append(try index.definition.kind.entries(of: places.map { values[$0] }))
            } catch {
                if skipsUnfit, error.code == .unprocessable {
                    result.append([])
                    continue
                }
                var named = error
                named.members.append(("index", .text(index.definition.name)))
                throw named
            }
        }
        return result
    }

    private func values(of document: [UInt8], _ range: Range<Int>) throws(ThemisError) -> [ColumnValues] {
        let found: [[Range<Int>]]
        do throws(ThemisError) {
            found = try reader.ranges(in: document, range)
        } catch {
            throw ThemisError(.dataCorrupt, "a stored document cannot be read: \(error.message)")
        }
        var values: [ColumnValues] = []
        values.reserveCapacity(paths.count)
        for (path, ranges) in zip(paths, found) {
            var column = ColumnValues(path: path)
            for range in ranges {
                var coding: [UInt8] = []
                if try !OrderedCoding.append(json: document, in: range, to: &coding) { column.isKept = false }
                column.codings.append(coding)
            }
            values.append(column)
        }
        return values
    }
}
