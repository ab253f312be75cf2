import CYAML
import ThemisBase

/// Reads YAML by libyaml's events into a tree.
///
/// What makes YAML surprising is refused by name: anchors, aliases, tags, merge keys, several documents, a key twice in one
/// mapping. Depth, nodes and size are bounded. Scalars keep their spelling and whether they were quoted; what a word means is
/// decided by the setting.
enum YAMLReader {
    /// The tree of `bytes`; an empty mapping when there is nothing in them.
    static func read(_ bytes: [UInt8]) throws(ConfigurationSyntaxError) -> ConfigurationTree {
        guard bytes.count <= Limits.configurationBytes else {
            throw ConfigurationSyntaxError(line: 1, message: "a configuration file may have \(Limits.configurationBytes) bytes")
        }
        guard String(validating: bytes, as: UTF8.self) != nil else {
            throw ConfigurationSyntaxError(line: 1, message: "the file is not UTF-8")
        }
        let result: Result<ConfigurationTree, ConfigurationSyntaxError> = unsafe bytes.withUnsafeBufferPointer { buffer in
            do throws(ConfigurationSyntaxError) {
                var events = unsafe try YAMLEvents(buffer)
                return .success(try YAMLReader.document(&events))
            } catch {
                return .failure(error)
            }
        }
        return try result.get()
    }

    private static func document(_ events: inout YAMLEvents) throws(ConfigurationSyntaxError) -> ConfigurationTree {
        var nodes = 0
        try events.expectStart()
        let first = try events.next()
        if case .streamEnd = first.kind { return .mapping([], line: 1) }
        guard case .documentStart = first.kind else { throw events.unexpected(first) }
        let tree = try node(&events, try events.next(), depth: 1, nodes: &nodes)
        let end = try events.next()
        guard case .documentEnd = end.kind else { throw events.unexpected(end) }
        let last = try events.next()
        guard case .streamEnd = last.kind else {
            throw ConfigurationSyntaxError(line: last.line, message: "several documents in one file (a second `---`)")
        }
        return tree
    }

    private static func node(
        _ events: inout YAMLEvents, _ event: YAMLEvents.Event, depth: Int, nodes: inout Int
    ) throws(ConfigurationSyntaxError) -> ConfigurationTree {
        nodes += 1
        guard nodes <= Limits.configurationNodes, depth <= Limits.configurationDepth else {
            throw ConfigurationSyntaxError(
                line: event.line,
                message: "more than \(Limits.configurationDepth) levels or \(Limits.configurationNodes) values")
        }
        switch event.kind {
        case .scalar(let text, let isQuoted): return .scalar(text, isQuoted: isQuoted, line: event.line)
        case .sequenceStart:
            var elements: [ConfigurationTree] = []
            while true {
                let next = try events.next()
                if case .sequenceEnd = next.kind { return .sequence(elements, line: event.line) }
                elements.append(try node(&events, next, depth: depth + 1, nodes: &nodes))
            }
        case .mappingStart:
            var members: [ConfigurationTree.Member] = []
            var seen: Set<String> = []
            while true {
                let next = try events.next()
                if case .mappingEnd = next.kind { return .mapping(members, line: event.line) }
                guard case .scalar(let key, _) = next.kind else {
                    throw ConfigurationSyntaxError(line: next.line, message: "a key must be a word")
                }
                guard key != "<<" else {
                    throw ConfigurationSyntaxError(line: next.line, message: "merge keys (`<<`) are not supported")
                }
                guard seen.insert(key).inserted else {
                    throw ConfigurationSyntaxError(
                        line: next.line, message: "the key `\(ConfigurationTree.excerpt(key))` stands there twice")
                }
                let value = try node(&events, try events.next(), depth: depth + 1, nodes: &nodes)
                members.append(ConfigurationTree.Member(key: key, line: next.line, value: value))
            }
        default: throw events.unexpected(event)
        }
    }
}

/// libyaml's event stream over bytes that the caller keeps alive.
@safe private struct YAMLEvents: ~Copyable {
    struct Event {
        enum Kind {
            case streamStart, streamEnd, documentStart, documentEnd, sequenceStart, sequenceEnd, mappingStart, mappingEnd
            case scalar(String, isQuoted: Bool)
        }

        let kind: Kind
        /// From 1.
        let line: Int
    }

    // Owned: made and freed here, never handed out.
    private let parser: UnsafeMutablePointer<yaml_parser_t>

    init(_ bytes: UnsafeBufferPointer<UInt8>) throws(ConfigurationSyntaxError) {
        unsafe parser = .allocate(capacity: 1)
        guard unsafe yaml_parser_initialize(parser) == 1 else {
            unsafe parser.deallocate()
            throw ConfigurationSyntaxError(line: 1, message: "out of memory")
        }
        unsafe yaml_parser_set_encoding(parser, YAML_UTF8_ENCODING)
        unsafe yaml_parser_set_input_string(parser, bytes.baseAddress, bytes.count)
    }

    deinit {
        unsafe yaml_parser_delete(parser)
        unsafe parser.deallocate()
    }

    func unexpected(_ event: Event) -> ConfigurationSyntaxError {
        ConfigurationSyntaxError(line: event.line, message: "a key or value is expected here")
    }

    mutating func expectStart() throws(ConfigurationSyntaxError) {
        let event = try next()
        guard case .streamStart = event.kind else { throw unexpected(event) }
    }

    mutating func next() throws(ConfigurationSyntaxError) -> Event {
        var event = unsafe yaml_event_t()
        guard unsafe yaml_parser_parse(parser, &event) == 1 else {
            let problem = unsafe parser.pointee.problem.map { unsafe String(cString: $0) } ?? "not YAML"
            throw ConfigurationSyntaxError(line: unsafe Int(parser.pointee.problem_mark.line) + 1, message: problem)
        }
        defer { unsafe yaml_event_delete(&event) }
        let line = unsafe Int(event.start_mark.line) + 1
        switch unsafe event.type {
        case YAML_STREAM_START_EVENT: return Event(kind: .streamStart, line: line)
        case YAML_STREAM_END_EVENT: return Event(kind: .streamEnd, line: line)
        case YAML_DOCUMENT_START_EVENT: return Event(kind: .documentStart, line: line)
        case YAML_DOCUMENT_END_EVENT: return Event(kind: .documentEnd, line: line)
        case YAML_SEQUENCE_END_EVENT: return Event(kind: .sequenceEnd, line: line)
        case YAML_MAPPING_END_EVENT: return Event(kind: .mappingEnd, line: line)
        case YAML_SEQUENCE_START_EVENT:
            unsafe try refuse(event.data.sequence_start.anchor, event.data.sequence_start.tag, line)
            return Event(kind: .sequenceStart, line: line)
        case YAML_MAPPING_START_EVENT:
            unsafe try refuse(event.data.mapping_start.anchor, event.data.mapping_start.tag, line)
            return Event(kind: .mappingStart, line: line)
        case YAML_SCALAR_EVENT:
            let scalar = unsafe event.data.scalar
            unsafe try refuse(scalar.anchor, scalar.tag, line)
            let text = unsafe String(decoding: UnsafeBufferPointer(start: scalar.value, count: scalar.length), as: UTF8.self)
            return unsafe Event(kind: .scalar(text, isQuoted: scalar.style != YAML_PLAIN_SCALAR_STYLE), line: line)
        case YAML_ALIAS_EVENT: throw ConfigurationSyntaxError(line: line, message: "aliases (`*name`) are not supported")
        default: throw ConfigurationSyntaxError(line: line, message: "not YAML")
        }
    }

    private func refuse(
        _ anchor: UnsafeMutablePointer<UInt8>?, _ tag: UnsafeMutablePointer<UInt8>?, _ line: Int
    ) throws(ConfigurationSyntaxError) {
        if unsafe anchor != nil { throw ConfigurationSyntaxError(line: line, message: "anchors (`&name`) are not supported") }
        if unsafe tag != nil { throw ConfigurationSyntaxError(line: line, message: "tags (`!name`) are not supported") }
    }
}
