import ThemisBase

/// The values of one document at the paths of all indexes of its table, in their ordered coding and in one piece of memory: a write makes
/// them twice, for the old document and for the new one.
struct DocumentCodings: Sendable {
    struct Coding: Sendable {
        /// Its place among the paths.
        let path: Int
        let range: Range<Int>
        /// False when it has no place of its own in the order (see `OrderedCoding.append`).
        let isKept: Bool
    }

    /// What an index has of a document when it has at most one entry, which is one coding.
    enum Entry {
        case none
        case coding(Range<Int>)
        /// It cannot be indexed.
        case unfit
    }

    /// The coding of null, which stands for what is missing, then those of the values.
    private(set) var bytes = OrderedCoding.null
    /// In the order of the document.
    private(set) var codings: [Coding] = []

    /// Reads a document that was checked before.
    ///
    /// - Throws: `data_corrupt` for a damaged document.
    init(of document: [UInt8], _ range: Range<Int>, _ reader: JSONPathReader) throws(ThemisError) {
        do throws(ThemisError) {
            let places = try reader.places(in: document, range)
            codings.reserveCapacity(places.count)
            // Numbers and short texts; longer ones make it grow.
            bytes.reserveCapacity(16 + 24 * places.count)
            for place in places {
                let start = bytes.count
                let isKept = try OrderedCoding.append(json: document, in: place.range, to: &bytes)
                codings.append(Coding(path: place.path, range: start..<bytes.count, isKept: isKept))
            }
        } catch {
            throw ThemisError(.dataCorrupt, "a stored document cannot be read: \(error.message)")
        }
    }

    /// The values at a path.
    func values(_ number: Int, _ path: JSONPath) -> ColumnValues {
        var column = ColumnValues(path: path)
        for coding in codings where coding.path == number {
            column.codings.append(Array(bytes[coding.range]))
            if !coding.isKept { column.isKept = false }
        }
        return column
    }

    /// The entry of an index whose entry is the value at one path without `[*]`.
    func entry(_ single: SingleEntry) -> Entry {
        var range = 0..<1
        for coding in codings where coding.path == single.path {
            guard coding.isKept, coding.range.count <= Limits.indexValueBytes else { return .unfit }
            range = coding.range
        }
        return single.skipsNull && OrderedCoding.isNull(bytes[range]) ? .none : .coding(range)
    }
}

/// An index with at most one entry for a document: the coding of its value at a path without `[*]`.
struct SingleEntry: Sendable {
    /// Its place among the paths.
    let path: Int
    /// Whether null, and what is missing, has no entry.
    let skipsNull: Bool
}
