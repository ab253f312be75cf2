import Synchronization
import ThemisBase
import ThemisStorage

/// Chooses how a query is answered, from the definitions of the indexes and from counts of their entries. One thread at a time.
///
/// A query has one order from its first page on: where the caller asks for none, that of the plan, which stands in the cursor.
struct Planner {
    /// Entries counted one by one for an estimate.
    private static let counted = 256
    /// Accesses that are compared by counting.
    private static let compared = 8
    /// Ranges that an estimate looks into.
    private static let estimatedRanges = 16

    let view: ReadView
    let table: Table

    /// The plan.
    ///
    /// - Throws: errors of reading.
    func plan(_ query: LogicalQuery) throws(ThemisError) -> QueryPlan {
        let order = query.anchor?.order ?? query.order
        let conjunction = Conjunction(query.condition)
        guard !conjunction.isContradiction else { return QueryPlan(access: .nothing, order: order, sorts: false, refusal: nil) }
        if let only = onlyPlan(query, order, conjunction) { return only }
        var plans = try candidates(query.condition, conjunction).map { access in
            complete(access, order, conjunction, isOpen: query.anchor == nil)
        }
        // A part of an index in the order that is asked for is never worse than all of it.
        if !order.isEmpty, let ordered = wholeIndex(order, conjunction), !plans.contains(where: { $0.isPart(of: ordered) }) {
            if plans.isEmpty, !query.condition.isTrivial, !query.allowsFullScan {
                return QueryPlan(access: .table, order: order, sorts: true, refusal: Self.refusal)
            }
            plans.append(ordered)
        }
        if plans.isEmpty {
            return QueryPlan(
                access: .table, order: order, sorts: !order.isEmpty, refusal: query.allowsFullScan ? nil : Self.refusal)
        }
        let best = plans.compactMap { $0.access.isWholeIndex ? nil : $0.access.estimate }.min()
        return plans.min { cost($0, query, best) < cost($1, query, best) } ?? plans[0]
    }

    /// The plan, when there is nothing to compare it with: then no entries are counted. Nil when there are several, or none, or the counts
    /// are asked for.
    private func onlyPlan(_ query: LogicalQuery, _ order: [SortKey], _ conjunction: Conjunction) -> QueryPlan? {
        guard query.explanation == .none, !query.condition.hasAlternatives else { return nil }
        let accesses = accesses(conjunction)
        guard accesses.count == 1 else { return nil }
        let plan = complete(Self.access(to: accesses[0]), order, conjunction, isOpen: query.anchor == nil)
        guard order.isEmpty || wholeIndex(order, conjunction).map({ plan.isPart(of: $0) }) ?? true else { return nil }
        return plan
    }

    private static var refusal: ThemisError {
        ThemisError(
            .fullScanRefused,
            "no index serves the tests of this query: create one on a column that it tests, or send allow_full_scan: true")
    }

    // MARK: Accesses

    /// The indexes that hold what passes `conjunction`; nothing is counted yet.
    private func accesses(_ conjunction: Conjunction) -> [IndexAccess] {
        var accesses: [IndexAccess] = []
        for index in table.indexes.all where index.state == .ready {
            guard let ranges = index.definition.kind.access(conjunction) else { continue }
            accesses.append(IndexAccess(index: index, ranges: ranges, estimate: index.counters.value.entries))
        }
        return accesses
    }

    private static func access(to index: IndexAccess) -> QueryAccess { index.isCollected ? .union([.index(index)]) : .index(index) }

    /// What can be read instead of the table, for what `condition` demands in every case.
    private func candidates(_ condition: Condition, _ conjunction: Conjunction) throws(ThemisError) -> [QueryAccess] {
        var accesses = accesses(conjunction)
        // Those that use more tests first: only so many are counted.
        accesses.sort { ($0.ranges.tested, $1.index.generation) > ($1.ranges.tested, $0.index.generation) }
        accesses = Array(accesses.prefix(Self.compared))
        for place in accesses.indices { accesses[place].estimate = try estimate(accesses[place]) }
        var result: [QueryAccess] = accesses.map { Self.access(to: $0) }
        if let both = intersection(accesses) { result.append(both) }
        for alternatives in condition.alternatives {
            if let union = try union(alternatives) { result.append(union) }
        }
        return result
    }

    /// Accesses by primary key whose common part is worth looking for.
    private func intersection(_ accesses: [IndexAccess]) -> QueryAccess? {
        var parts = accesses.filter(\.isByKey).sorted { $0.estimate < $1.estimate }
        guard let first = parts.first, first.estimate > UInt64(Self.counted) / 4 else { return nil }
        parts = parts.filter { $0.estimate <= first.estimate * 8 }
        return parts.count < 2 ? nil : .intersection(Array(parts.prefix(4)))
    }

    /// The union of one access for each alternative; nil when one of them has none.
    private func union(_ alternatives: [Condition]) throws(ThemisError) -> QueryAccess? {
        var parts: [QueryAccess] = []
        for alternative in alternatives {
            let conjunction = Conjunction(alternative)
            if conjunction.isContradiction { continue }
            let best = try candidates(alternative, conjunction).min { ($0.estimate ?? .max) < ($1.estimate ?? .max) }
            guard let best else { return nil }
            parts.append(best)
        }
        return .union(parts)
    }

    // MARK: Order

    /// The plan over an access: its own order where none is asked for, that of the query if it gives it, else a sort.
    private func complete(_ access: QueryAccess, _ order: [SortKey], _ conjunction: Conjunction, isOpen: Bool) -> QueryPlan {
        if case .index(var index) = access {
            if index.isByKey, order.isEmpty { return QueryPlan(access: access, order: order, sorts: false, refusal: nil) }
            if let given = Self.order(of: index.index, fixed: conjunction, asked: order), isOpen || given == order {
                index.isReversed = RowOrder.isPKDescending(given)
                return QueryPlan(access: .index(index), order: given, sorts: false, refusal: nil)
            }
            return QueryPlan(access: access, order: order, sorts: true, refusal: nil)
        }
        return QueryPlan(access: access, order: order, sorts: !order.isEmpty, refusal: nil)
    }

    /// The whole of an index that gives the order.
    private func wholeIndex(_ order: [SortKey], _ conjunction: Conjunction) -> QueryPlan? {
        for index in table.indexes.all where index.state == .ready && index.definition.kind.isComplete {
            guard let given = Self.order(of: index, fixed: nil, asked: order), given == order else { continue }
            var access = IndexAccess(index: index, ranges: .all, estimate: index.counters.value.entries)
            access.isReversed = RowOrder.isPKDescending(order)
            return QueryPlan(access: .index(access), order: order, sorts: false, refusal: nil)
        }
        return nil
    }

    /// The order in which the entries of an index come, in the direction that is asked for; nil when it is not the one that is asked for.
    ///
    /// Columns with one known value do not matter. Columns behind those asked for complete the order.
    private static func order(of index: Index, fixed: Conjunction?, asked: [SortKey]) -> [SortKey]? {
        let columns = index.definition.columns
        guard index.definition.kind.isOrdered else { return nil }
        let isDescending = RowOrder.isPKDescending(asked)
        guard asked.allSatisfy({ $0.isDescending == isDescending }) else { return nil }
        var given = asked
        var left = asked[...]
        for column in columns {
            while let next = left.first, next.path != column, fixed?.isFixed(next.path) == true { left.removeFirst() }
            if let next = left.first, next.path == column {
                left.removeFirst()
            } else if fixed?.isFixed(column) != true {
                // A column that is not asked for stands before one that is.
                guard left.isEmpty else { return nil }
                if !asked.contains(where: { $0.path == column }) { given.append(SortKey(path: column, isDescending: isDescending)) }
            }
        }
        return left.allSatisfy { fixed?.isFixed($0.path) == true } ? given : nil
    }

    // MARK: Cost

    /// What a plan is likely to cost, in fetches of one document.
    private func cost(_ plan: QueryPlan, _ query: LogicalQuery, _ best: UInt64?) -> Double {
        let rows = Double(max(1, table.counters.entities.load(ordering: .relaxed)))
        let limit = Double(query.limit)
        switch plan.access {
        case .nothing: return 0
        case .table: return rows
        case .index(let access) where plan.access.isWholeIndex:
            // The rows that pass lie anywhere in the order: so many must be looked at for a page of them.
            guard let best else { return min(rows, limit) }
            return min(Double(access.estimate), limit * rows / Double(max(1, best)))
        case .index(let access):
            let entries = Double(access.estimate)
            if plan.sorts { return entries * 1.2 }
            return query.condition.testCount <= access.ranges.tested ? min(entries, limit + 1) : entries
        case .intersection(let parts):
            let common = parts.reduce(rows) { $0 * Double($1.estimate) / rows }
            return parts.reduce(0) { $0 + Double($1.estimate) } * 0.15 + common * (plan.sorts ? 1.2 : 1)
        case .union(let parts): return parts.reduce(0) { $0 + Double($1.estimate ?? 0) } * (plan.sorts ? 1.3 : 1.1)
        }
    }

    /// Entries in the ranges of an access: counted up to a bound, then judged by their bytes.
    private func estimate(_ access: IndexAccess) throws(ThemisError) -> UInt64 {
        let all = access.index.counters.value.entries
        var count: UInt64 = 0
        for range in access.ranges.ranges.prefix(Self.estimatedRanges) {
            let (lower, upper) = access.index.bounds(of: range)
            let cursor = try view.snapshot.scan(.indexes, from: lower, to: upper, reverse: false)
            while count <= UInt64(Self.counted), try cursor.advance() { count += 1 }
            guard count <= UInt64(Self.counted) else {
                let bytes = access.ranges.ranges.prefix(Self.estimatedRanges).reduce(UInt64(0)) { sum, range in
                    let (lower, upper) = access.index.bounds(of: range)
                    return sum + view.approximateBytes(from: lower, to: upper)
                }
                let whole = view.approximateBytes(
                    from: IndexKey.lowerBound(access.index.generation), to: IndexKey.upperBound(access.index.generation))
                // What is not in files yet has no size: then a tenth is as good a guess as any.
                let share = whole > 0 && bytes > 0 ? min(1, Double(bytes) / Double(whole)) : 0.1
                return min(all, max(count, UInt64(Double(all) * share)))
            }
        }
        let ranges = access.ranges.ranges.count
        guard ranges > Self.estimatedRanges else { return count }
        return min(all, count * UInt64(ranges) / UInt64(Self.estimatedRanges) + 1)
    }
}

extension QueryPlan {
    /// Whether this reads a part of the index that `other` reads, without a sort.
    fileprivate func isPart(of other: QueryPlan) -> Bool {
        guard case .index(let mine) = access, case .index(let others) = other.access else { return false }
        return !sorts && mine.index === others.index
    }
}

extension QueryAccess {
    /// All of an index, read for its order.
    var isWholeIndex: Bool { if case .index(let access) = self { access.ranges.tested == 0 } else { false } }
}

extension Index {
    /// The stored keys of the entries in a range.
    func bounds(of range: ValueRange) -> (lower: [UInt8], upper: [UInt8]) {
        (IndexKey.key(generation, range.lower), IndexKey.key(generation, range.upper))
    }
}

extension Condition {
    /// The lists of alternatives of which one must hold in every case.
    var alternatives: [[Condition]] {
        switch self {
        case .all(let parts): parts.flatMap(\.alternatives)
        case .any(let parts): [parts]
        case .within, .exists, .contains, .located: []
        }
    }

    var hasAlternatives: Bool {
        switch self {
        case .all(let parts): parts.contains(where: \.hasAlternatives)
        case .any: true
        case .within, .exists, .contains, .located: false
        }
    }

    /// Whether there is nothing in it but tests of values, each on one of `columns`, which have one value in every document.
    func isTest(of columns: some Collection<JSONPath>) -> Bool {
        switch self {
        case .all(let parts): parts.allSatisfy { $0.isTest(of: columns) }
        case .within(let path, _): !path.isExpanded && columns.contains(path)
        case .any, .exists, .contains, .located: false
        }
    }

    /// Whether everything passes.
    var isTrivial: Bool { if case .all(let parts) = self { parts.allSatisfy(\.isTrivial) } else { false } }

    var testCount: Int {
        switch self {
        case .all(let parts), .any(let parts): parts.reduce(0) { $0 + $1.testCount }
        case .within, .exists, .contains, .located: 1
        }
    }
}
