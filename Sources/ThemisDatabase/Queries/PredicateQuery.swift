import ThemisBase

/// Reads the body of a predicate query: the first front end of the query machine.
enum PredicateQuery {
    /// The words of `op`.
    enum Operator: String, CaseIterable {
        case eq, ne, lt, le, gt, ge, `in`, prefix, exists, contains, near, within
    }

    /// Reads a query.
    ///
    /// - Throws: `invalid_json`, `invalid_request`, `unknown_parameter`, `invalid_key`, `invalid_cursor`.
    static func read(_ body: [UInt8], _ seal: CursorSeal) throws(ThemisError) -> LogicalQuery {
        var cursor: String?
        let members = try JSONObjectReader.members(of: body)
        var query = try JSONObjectReader.read(members) { (fields) throws(ThemisError) in
            var query = LogicalQuery(table: try TableName(validating: fields.string("table")))
            var parts =
                try fields.optionalObjects("predicates", count: 0...Limits.queryTests) { (fields) throws(ThemisError) in
                    try predicate(&fields, depth: 1)
                } ?? []
            parts +=
                try fields.optionalObjects("range", count: 0...Limits.queryTests) { (fields) throws(ThemisError) in
                    try range(&fields)
                } ?? []
            if let any = try alternatives(&fields, depth: 1) { parts.append(any) }
            query.condition = .all(parts)
            let inner = try order(&fields, &query)
            let limit = fields.optionalInteger("limit", in: 1...Limits.queryRows)
            if limit != nil, inner != nil { fields.refuse("limit", "is given twice, here and in order_by") }
            query.limit = limit ?? inner ?? query.limit
            query.shape = shape(&fields)
            query.explanation = explanation(&fields)
            query.allowsFullScan = fields.optionalBool("allow_full_scan") ?? false
            cursor = fields.optionalString("cursor")
            return query
        }
        query.identity = QueryIdentity(members: members)
        if let cursor { query.anchor = try QueryAnchor(seal.open(cursor), fingerprint: query.identity.fingerprint) }
        return query
    }

    // MARK: Tests

    /// Reads one predicate, or `or` and `and` of some.
    ///
    /// - Throws: `invalid_request`, `unknown_parameter`.
    static func predicate(_ fields: inout JSONObjectReader, depth: Int) throws(ThemisError) -> Condition {
        guard depth <= Limits.queryDepth else {
            throw ThemisError(.invalidRequest, "predicates are nested more than \(Limits.queryDepth) levels deep")
        }
        if let any = try alternatives(&fields, depth: depth) {
            let others = try fields.optionalObjects("and", count: 0...Limits.queryTests) { (fields) throws(ThemisError) in
                try predicate(&fields, depth: depth + 1)
            }
            return .all([any] + (others ?? []))
        }
        if let all = try fields.optionalObjects(
            "and", count: 0...Limits.queryTests,
            { (fields) throws(ThemisError) in
                try predicate(&fields, depth: depth + 1)
            })
        {
            return .all(all)
        }
        let path = path(&fields, "column")
        let word = fields.optionalWord("op", of: Operator.self) ?? .eq
        let value = fields.optionalOrNull("value")
        guard let path else { return .all([]) }
        if word == .near || word == .within { return try located(path, word, value, &fields) }
        return test(path, word, value, &fields)
    }

    /// `or`: a list of lists; all tests of one of them hold.
    private static func alternatives(_ fields: inout JSONObjectReader, depth: Int) throws(ThemisError) -> Condition? {
        guard let lists = fields.optionalArray("or", count: 1...Limits.queryTests) else { return nil }
        var parts: [Condition] = []
        for (index, list) in lists.enumerated() {
            guard let elements = list.elements else {
                fields.refuse("or[\(index)]", "must be an array of predicates")
                continue
            }
            var tests: [Condition] = []
            for (inner, element) in elements.enumerated() {
                guard let members = element.members else {
                    fields.refuse("or[\(index)][\(inner)]", "must be an object")
                    continue
                }
                tests.append(
                    try fields.nested(members, in: "or[\(index)][\(inner)]") { (fields) throws(ThemisError) in
                        try predicate(&fields, depth: depth + 1)
                    })
            }
            parts.append(.all(tests))
        }
        return .any(parts)
    }

    private static func test(
        _ path: JSONPath, _ word: Operator, _ value: JSONValue?, _ fields: inout JSONObjectReader
    ) -> Condition {
        if word == .exists {
            guard let value else { return .exists(path, true) }
            if let isThere = value.boolValue { return .exists(path, isThere) }
            fields.refuse("value", "must be true or false")
            return .all([])
        }
        guard let value else {
            fields.refuse("value", "is missing")
            return .all([])
        }
        let coding = OrderedCoding.coding(of: value)
        let point = ValueRange(prefix: coding)
        switch word {
        case .eq: return .within(path, ValueSet(points: [coding]))
        case .ne: return .within(path, ValueSet(points: [coding]).complement)
        case .lt: return .within(path, ValueSet(ranges: [ValueRange(lower: [], upper: point.lower)]))
        case .le: return .within(path, ValueSet(ranges: [ValueRange(lower: [], upper: point.upper)]))
        case .gt: return .within(path, ValueSet(ranges: [ValueRange(lower: point.upper, upper: ValueRange.end)]))
        case .ge: return .within(path, ValueSet(ranges: [ValueRange(lower: point.lower, upper: ValueRange.end)]))
        case .in:
            guard let elements = value.elements, elements.count <= Limits.queryTests else {
                fields.refuse("value", "must be an array of at most \(Limits.queryTests) values")
                return .all([])
            }
            return .within(path, ValueSet(points: elements.map { OrderedCoding.coding(of: $0) }))
        case .prefix:
            guard let text = value.stringValue else {
                fields.refuse("value", "must be a string")
                return .all([])
            }
            return .within(path, ValueSet(ranges: [ValueRange(prefix: OrderedCoding.beginning(of: text.utf8))]))
        case .contains: return .contains(path, element: coding, text: value.stringValue.map { Array($0.utf8) })
        case .exists, .near, .within: return .all([])
        }
    }

    /// `near` with `{lat, lon, radius_m}`, `within` with `{south, west, north, east}`.
    private static func located(
        _ path: JSONPath, _ word: Operator, _ value: JSONValue?, _ fields: inout JSONObjectReader
    ) throws(ThemisError) -> Condition {
        let latitudes = -90.0...90.0
        let longitudes = -180.0...180.0
        guard let members = value?.members else {
            fields.refuse(
                "value", word == .near ? "must be an object: lat, lon, radius_m" : "must be an object: south, west, north, east")
            return .all([])
        }
        let region = try fields.nested(members, in: "value") { (fields) throws(ThemisError) -> GeoRegion? in
            if word == .near {
                let center = GeoPosition(
                    latitude: fields.double("lat", in: latitudes), longitude: fields.double("lon", in: longitudes))
                let radius = fields.double("radius_m", in: 0...Double(Limits.geoRadiusMeters))
                return center.map { .circle(center: $0, radiusMeters: radius) }
            }
            let box = GeoBox(
                south: fields.double("south", in: latitudes), west: fields.double("west", in: longitudes),
                north: fields.double("north", in: latitudes), east: fields.double("east", in: longitudes))
            if box.south > box.north { fields.refuse("south", "is north of north") }
            return .box(box)
        }
        guard let region else { return .all([]) }
        do throws(ThemisError) {
            return .located(try GeoColumn(path), region)
        } catch {
            fields.refuse("column", "is too long for a position: \(path)_lat must be a path as well")
            return .all([])
        }
    }

    private static func range(_ fields: inout JSONObjectReader) throws(ThemisError) -> Condition {
        let path = path(&fields, "column")
        var bound = ValueRange.all
        var count = 0
        for (open, closed, inclusion, isLower) in [("gt", "gte", "includeLower", true), ("lt", "lte", "includeUpper", false)] {
            let exclusive = fields.optionalOrNull(open)
            let inclusive = fields.optionalOrNull(closed)
            let isIncluded = fields.optionalBool(inclusion)
            if exclusive != nil, inclusive != nil { fields.refuse(open, "is given together with \(closed)") }
            if isIncluded != nil, inclusive == nil { fields.refuse(inclusion, "goes with \(closed)") }
            guard let value = inclusive ?? exclusive else { continue }
            count += 1
            let point = ValueRange(prefix: OrderedCoding.coding(of: value))
            let takesValue = inclusive != nil && isIncluded != false
            if isLower {
                bound.lower = takesValue ? point.lower : point.upper
            } else {
                bound.upper = takesValue ? point.upper : point.lower
            }
        }
        if count == 0 { fields.refuse("column", "needs a bound: gte, gt, lte or lt") }
        guard let path else { return .all([]) }
        return .within(path, ValueSet(ranges: [bound]))
    }

    private static func path(_ fields: inout JSONObjectReader, _ name: String) -> JSONPath? {
        let text = fields.string(name)
        do throws(ThemisError) {
            return try JSONPath(text)
        } catch {
            if !text.isEmpty { fields.refuse(name, error.message) }
            return nil
        }
    }

    // MARK: The rest

    /// Reads `order_by`, an object or several; the limit in it.
    private static func order(_ fields: inout JSONObjectReader, _ query: inout LogicalQuery) throws(ThemisError) -> Int? {
        var limit: Int?
        func key(_ fields: inout JSONObjectReader, takesLimit: Bool) -> SortKey? {
            let path = path(&fields, "column")
            let isDescending = fields.optionalBool("desc") ?? false
            if takesLimit { limit = fields.optionalInteger("limit", in: 1...Limits.queryRows) }
            guard let path else { return nil }
            if path.isExpanded { fields.refuse("column", "cannot order rows: a path with [*] has many values") }
            return SortKey(path: path, isDescending: isDescending)
        }
        if fields.kind(of: "order_by") == .array {
            let keys = try fields.optionalObjects("order_by", count: 0...Limits.indexColumns) { (fields) throws(ThemisError) in
                key(&fields, takesLimit: false)
            }
            query.order = (keys ?? []).compactMap { $0 }
        } else {
            let one = try fields.optionalObject("order_by") { (fields) throws(ThemisError) in key(&fields, takesLimit: true) }
            query.order = (one ?? nil).map { [$0] } ?? []
        }
        return limit
    }

    private static func shape(_ fields: inout JSONObjectReader) -> LogicalQuery.Shape {
        guard let value = fields.optionalValue("return") else { return .entities }
        switch value {
        case .string("entities"): return .entities
        case .string("keys"): return .keys
        case .array(let elements):
            let names = elements.compactMap(\.stringValue)
            if names.count == elements.count, (try? JSONProjection(paths: names)) != nil, !names.contains(where: { $0.contains("[") }) {
                return .fields(names)
            }
        default: break
        }
        fields.refuse("return", #"must be "entities", "keys" or an array of 1–\#(Limits.projectionFields) paths such as a.b"#)
        return .entities
    }

    private static func explanation(_ fields: inout JSONObjectReader) -> LogicalQuery.Explanation {
        switch fields.optionalValue("explain") {
        case nil, .bool(false): return .none
        case .bool(true): return .plan
        case .string("analyze"): return .analyze
        default:
            fields.refuse("explain", #"must be true, false or "analyze""#)
            return .none
        }
    }
}
