import ThemisBase

/// The views of GET /config.
extension Configuration {
    /// What stands in the place of a secret.
    static let mask = "***"

    /// Every value, nested by the parts of its key, secrets masked: GET /config.
    public func json() -> [UInt8] {
        var out: [UInt8] = []
        let rows = Settings.all.map { (parts: $0.path.split(separator: ".").map(String.init), row: $0) }
        appendGroup(rows[...], depth: 0, to: &out)
        return out
    }

    /// The catalog: key, type, default, limits, whether hot, environment name, flags: GET /config?view=schema.
    public static func schemaJSON() -> [UInt8] {
        var out = Array(#"{"settings":["#.utf8)
        for (index, row) in Settings.all.enumerated() {
            if index > 0 { out.append(0x2C) }
            var object = JSONObject()
            object.add("key", row.path)
            object.add("type", row.kind.word)
            if case .value(let value) = row.standard {
                object.add("default", raw: value.json)
            } else {
                object.add("default_rule", row.standardText)
            }
            switch row.kind {
            case .integer(let range):
                object.add("minimum", raw: Array(String(range.lowerBound).utf8))
                object.add("maximum", raw: Array(String(range.upperBound).utf8))
            case .choice(let words): object.add("values", raw: JSONObject.array(words))
            case .ratio:
                object.add("minimum", raw: Array("0".utf8))
                object.add("maximum", raw: Array("1".utf8))
            case .bool, .host, .url, .name, .path, .roles: break
            }
            object.add("hot", row.isHot)
            object.add("secret", row.isSecret)
            object.add("env", raw: JSONObject.array([row.environmentName] + row.aliases))
            object.add("flags", raw: JSONObject.array(row.flags.map(\.name)))
            object.add("help", row.help)
            out += object.bytes
        }
        return out + Array("]}".utf8)
    }

    /// What this process runs with other than its file (or, where the file says nothing, the default) says, as a JSON array; for
    /// GET /config?view=drift.
    public func driftJSON() -> [UInt8] {
        var out: [UInt8] = [0x5B]
        for row in Settings.all {
            guard let entry = entry(row.path) else { continue }
            switch entry.origin {
            case .standard, .file: continue
            case .environment, .flag, .core: break
            }
            var expected: SettingValue?
            if let value = fileValues[row.path] {
                expected = value
            } else if case .value(let value) = row.standard {
                expected = value
            }
            guard expected != entry.value else { continue }
            if out.count > 1 { out.append(0x2C) }
            var object = JSONObject()
            object.add("key", row.path)
            object.add("value", raw: row.isSecret ? JSONObject.string(Self.mask) : entry.value.json)
            object.add("origin", entry.origin.word)
            if let expected { object.add("expected", raw: row.isSecret ? JSONObject.string(Self.mask) : expected.json) }
            object.add("expected_from", fileValues[row.path] == nil ? "default" : "file")
            out += object.bytes
        }
        return out + [0x5D]
    }

    private func appendGroup(_ rows: ArraySlice<(parts: [String], row: SettingRow)>, depth: Int, to out: inout [UInt8]) {
        out.append(0x7B)
        var rest = rows
        var isFirst = true
        while let first = rest.first {
            let name = first.parts[depth]
            // The catalog is ordered by key, so that the keys of a group follow one another.
            let group = rest.prefix { $0.parts[depth] == name }
            rest = rest.dropFirst(group.count)
            if !isFirst { out.append(0x2C) }
            isFirst = false
            JSONText.appendString(name, to: &out)
            out.append(0x3A)
            if first.parts.count == depth + 1 {
                let value = entry(first.row.path)?.value ?? .absent
                out += first.row.isSecret && value != .absent ? JSONObject.string(Self.mask) : value.json
            } else {
                appendGroup(group, depth: depth + 1, to: &out)
            }
        }
        out.append(0x7D)
    }
}

extension SettingValue {
    /// The value as JSON.
    public var json: [UInt8] {
        switch self {
        case .absent: return Array("null".utf8)
        case .bool(let value): return Array((value ? "true" : "false").utf8)
        case .integer(let value): return Array(String(value).utf8)
        case .decimal(let value): return Array(SettingValue.text(of: value).utf8)
        case .text(let value): return JSONObject.string(value)
        case .roles(let roles):
            var object = JSONObject()
            for (user, role) in roles.sorted(by: { $0.key < $1.key }) { object.add(String(user), role.rawValue) }
            return object.bytes
        }
    }
}

/// Writes one JSON object, member by member.
struct JSONObject {
    private var out: [UInt8] = [0x7B]

    /// The finished object.
    var bytes: [UInt8] { out + [0x7D] }

    mutating func add(_ name: String, raw value: [UInt8]) {
        if out.count > 1 { out.append(0x2C) }
        JSONText.appendString(name, to: &out)
        out.append(0x3A)
        out += value
    }

    mutating func add(_ name: String, _ value: String) { add(name, raw: Self.string(value)) }
    mutating func add(_ name: String, _ value: Bool) { add(name, raw: Array((value ? "true" : "false").utf8)) }
    mutating func add(_ name: String, _ value: Int64) { add(name, raw: Array(String(value).utf8)) }

    static func string(_ value: String) -> [UInt8] {
        var out: [UInt8] = []
        JSONText.appendString(value, to: &out)
        return out
    }

    static func array(_ values: [String]) -> [UInt8] {
        var out: [UInt8] = [0x5B]
        for (index, value) in values.enumerated() {
            if index > 0 { out.append(0x2C) }
            out += string(value)
        }
        return out + [0x5D]
    }
}
