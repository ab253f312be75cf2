import ThemisBase

/// Tests that all must hold, as far as they are tests of a column against values: what an index can serve.
struct Conjunction: Sendable {
    private var sets: [JSONPath: ValueSet] = [:]
    private var regions: [JSONPath: GeoRegion] = [:]

    /// The tests of `condition` that hold in every case.
    init(_ condition: Condition) { add(condition) }

    private mutating func add(_ condition: Condition) {
        switch condition {
        case .all(let parts): for part in parts { add(part) }
        case .within(let path, let set):
            guard let known = sets[path] else {
                sets[path] = set
                return
            }
            // Each test on elements may be passed by another element: only one of them can be looked up, best the one for values.
            if path.isExpanded {
                if set.isPoints, !known.isPoints { sets[path] = set }
            } else {
                sets[path] = known.intersection(set)
            }
        // Of several regions one is looked up: the first.
        case .located(let column, let region): if regions[column.paths[0]] == nil { regions[column.paths[0]] = region }
        case .any, .exists, .contains: break
        }
    }

    /// The values of `path` that can pass; nil when there is no test on it.
    func set(for path: JSONPath) -> ValueSet? { sets[path] }

    /// A part of the earth in which the position in `path` must lie; nil when there is no test on it.
    func region(for path: JSONPath) -> GeoRegion? { regions[path] }

    /// Whether a column must have one known value.
    func isFixed(_ path: JSONPath) -> Bool {
        guard !path.isExpanded, let set = sets[path] else { return false }
        return set.isPoints && set.ranges.count == 1
    }

    /// Whether there is any test that an index could serve.
    var isEmpty: Bool { sets.isEmpty && regions.isEmpty }

    /// Whether nothing can pass.
    var isContradiction: Bool { sets.values.contains { $0.ranges.isEmpty } }
}
