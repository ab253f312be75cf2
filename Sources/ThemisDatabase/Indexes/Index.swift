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
        append(generation, entry[...], pk: pk, to: &key)
        return key
    }

    static func append(_ generation: UInt32, _ entry: ArraySlice<UInt8>, pk: some Collection<UInt8>, to key: inout [UInt8]) {
        key.appendBigEndian(generation)
        key.append(contentsOf: entry)
        key.append(contentsOf: pk)
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
    /// What is known of an index whose entries are single values; nil for others, and for unique ones.
    let singles: [SingleEntry?]
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
        let columns = columns
        singles = indexes.enumerated().map { place, index in
            let kind = index.definition.kind
            guard kind.isValueItself, columns[place].count == 1, !kind.paths[0].isExpanded, !index.definition.isUnique else { return nil }
            return SingleEntry(path: columns[place][0], skipsNull: kind.skipsNull)
        }
        reader = JSONPathReader(paths)
        expiring = indexes.enumerated().compactMap { place, index in (index.definition.kind as? TTLIndex).map { (place, $0) } }
    }

    var isEmpty: Bool { all.isEmpty }

    /// The values of a document that all entries are made of.
    ///
    /// - Throws: `data_corrupt` for a damaged document.
    func codings(of document: [UInt8], _ range: Range<Int>) throws(ThemisError) -> DocumentCodings {
        try DocumentCodings(of: document, range, reader)
    }

    /// When a document with these values expires.
    ///
    /// - Throws: `unprocessable` when a column should hold a time and does not.
    func expiry(of codings: DocumentCodings) throws(ThemisError) -> DocumentExpiry {
        var expiry = DocumentExpiry.never
        for (place, kind) in expiring { expiry.join(try kind.expiry(of: values(place, codings))) }
        return expiry
    }

    /// The entries of one index that a document with these values is to have.
    ///
    /// - Throws: `unprocessable` when a value cannot be indexed.
    func entries(_ place: Int, of codings: DocumentCodings) throws(ThemisError) -> [[UInt8]] {
        let definition = all[place].definition
        do throws(ThemisError) {
            return try definition.kind.entries(of: values(place, codings))
        } catch {
            var named = error
            named.members.append(("index", .text(definition.name)))
            throw named
        }
    }

    /// The entries of one index that a stored document with these values has. One that cannot be indexed has none: it is older than the
    /// index, which is being built and will fail on it.
    func entriesKept(_ place: Int, of codings: DocumentCodings) throws(ThemisError) -> [[UInt8]] {
        do throws(ThemisError) {
            return try entries(place, of: codings)
        } catch {
            guard error.code == .unprocessable else { throw error }
            return []
        }
    }

    /// The entries that a document is to have, by index.
    ///
    /// - Throws: `unprocessable` when a value cannot be indexed, `data_corrupt` for a damaged document.
    func entries(of document: [UInt8], _ range: Range<Int>) throws(ThemisError) -> [[[UInt8]]] {
        let codings = try codings(of: document, range)
        var result: [[[UInt8]]] = []
        for place in all.indices { result.append(try entries(place, of: codings)) }
        return result
    }

    /// The entries that a stored document has, by index: none in one that cannot hold it.
    ///
    /// - Throws: `data_corrupt` for a damaged document.
    func entriesKept(of document: [UInt8], _ range: Range<Int>) throws(ThemisError) -> [[[UInt8]]] {
        let codings = try codings(of: document, range)
        var result: [[[UInt8]]] = []
        for place in all.indices { result.append(try entriesKept(place, of: codings)) }
        return result
    }

    private func values(_ place: Int, _ codings: DocumentCodings) -> [ColumnValues] {
        columns[place].map { codings.values($0, paths[$0]) }
    }
}
