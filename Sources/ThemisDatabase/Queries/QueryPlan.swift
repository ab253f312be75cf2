import ThemisBase

/// How a query reads one index.
struct IndexAccess: Sendable {
    let index: Index
    let ranges: IndexRanges
    var isReversed = false
    /// Entries in the ranges: counted up to a bound, estimated beyond it.
    var estimate: UInt64

    /// Whether entities must be collected and sorted first: one may come more than once, or they come in no order of values.
    var isCollected: Bool { !index.definition.kind.isOrdered && !isByKey }

    /// Whether an entry proves that its entity passes `condition`, so that the document need not be looked at.
    ///
    /// An entry in the ranges is made of values that pass every test on the columns that made the ranges, and index and documents are read
    /// in one state, in which they agree. So it does when the condition has no other tests. An expanded column tells less: its tests may
    /// be passed by different elements.
    func proves(_ condition: Condition) -> Bool { condition.isTest(of: ranges.columns) }

    /// Whether entities come by primary key.
    var isByKey: Bool { ranges.isPoints && ranges.ranges.count == 1 }
}

/// Where the rows of a query come from.
indirect enum QueryAccess: Sendable {
    /// The tests contradict each other.
    case nothing
    /// The table, by primary key.
    case table
    /// One index, in its order.
    case index(IndexAccess)
    /// Entities in all of these, by primary key.
    case intersection([IndexAccess])
    /// Entities in one of these, each once, by primary key.
    case union([QueryAccess])

    /// Whether every row that it gives passes `condition`.
    func proves(_ condition: Condition) -> Bool {
        if condition.isTrivial { return true }
        if case .index(let access) = self { return access.proves(condition) }
        return false
    }

    /// Entries to be looked at, nil for all of the table.
    var estimate: UInt64? {
        switch self {
        case .nothing: 0
        case .table: nil
        case .index(let access): access.estimate
        case .intersection(let parts): parts.map(\.estimate).min() ?? 0
        case .union(let parts): parts.reduce(0) { $0 + ($1.estimate ?? 0) }
        }
    }
}

/// How a query is answered: an access, then a filter with the whole condition, then a sort if the access does not give the order.
struct QueryPlan: Sendable {
    var access: QueryAccess
    /// The order of the rows: what was asked for, completed by what the access gives. Equal rows are ordered by primary key.
    var order: [SortKey]
    var sorts: Bool
    /// Why the query is not run, when no index serves it and it may not scan the table.
    var refusal: ThemisError?

    /// Whether every row of the table is looked at.
    var isFullScan: Bool { if case .table = access { true } else { false } }
}
