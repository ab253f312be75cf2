import Testing

/// Rules over the RPC contract. A decoder of outside bytes must not recurse, and the contract must stand on its own.
@Suite struct ContractTests {
    static let contracts = Repository.files(ending: ".proto")

    @Test func `there is a contract to check`() {
        #expect(Self.contracts.contains("Sources/CThemisRPC/themis.proto"))
        #expect(!Contract(Repository.text("Sources/CThemisRPC/themis.proto")).messages.isEmpty)
    }

    @Test(arguments: contracts)
    func `no message contains itself`(path: String) {
        let cycle = Contract(Repository.text(path)).cycle
        #expect(
            cycle == nil,
            "\(path): \(cycle?.joined(separator: " → ") ?? ""): carry the inner one as bytes and parse it with a depth limit")
    }

    @Test(arguments: contracts)
    func `a contract imports nothing`(path: String) {
        let imports = Repository.text(path).split(separator: "\n").filter { $0.trimmingPrefix(" ").hasPrefix("import") }
        #expect(imports.isEmpty, "\(path): \(imports)")
    }

    @Test(arguments: contracts)
    func `field numbers are unique in a message`(path: String) {
        for (name, fields) in Contract(Repository.text(path)).messages {
            #expect(Set(fields.map(\.number)).count == fields.count, "\(path): \(name) uses a number twice")
        }
    }

    @Test func `a cycle over two messages is found`() {
        let text =
            "message A { repeated B b = 1; }\nmessage B { // A\n  oneof x { string s = 1; A a = 2; }\n}\nmessage C { B b = 1; }"
        #expect(Contract(text).cycle == ["A", "B", "A"])
        #expect(Contract("message A { B b = 1; map<string, uint64> m = 2; }\nmessage B { bytes a = 1; }").cycle == nil)
    }
}

/// The messages of a .proto file: as much of the language as our rules need.
struct Contract {
    struct Field {
        let type: String
        let number: Int
    }

    private(set) var messages: [String: [Field]] = [:]

    init(_ text: String) {
        let bare = text.replacing(/\/\/[^\n]*/, with: "").replacing(/(?s)\/\*.*?\*\//, with: "")
        var scopes: [String?] = []
        for statement in bare.matches(of: /([^{};]*)([{};])/) {
            let words = statement.1.split {
                !($0.isLetter || $0.isNumber || $0 == "_" || $0 == "." || $0 == "=" || $0 == "<" || $0 == ">" || $0 == ",")
            }
            switch statement.2 {
            case "{":
                let isMessage = words.first == "message"
                scopes.append(isMessage ? words.dropFirst().first.map(String.init) : nil)
                if let name = scopes.last ?? nil { messages[name] = messages[name] ?? [] }
            case "}": _ = scopes.popLast()
            default:
                guard let message = scopes.last(where: { $0 != nil }) ?? nil, let sign = words.firstIndex(of: "="), sign >= 2,
                    words.indices.contains(sign + 1), let number = Int(words[sign + 1])
                else { continue }
                let type = words[..<(sign - 1)].joined(separator: " ")
                let last = type.split { " <>,.".contains($0) }.last.map(String.init) ?? ""
                messages[message, default: []].append(Field(type: last, number: number))
            }
        }
    }

    /// A chain of messages that leads back to its first, or nil.
    var cycle: [String]? {
        func search(_ name: String, _ path: [String]) -> [String]? {
            if let start = path.firstIndex(of: name) { return path[start...] + [name] }
            for field in messages[name] ?? [] where messages[field.type] != nil {
                if let found = search(field.type, path + [name]) { return found }
            }
            return nil
        }
        for name in messages.keys.sorted() {
            if let found = search(name, []) { return found }
        }
        return nil
    }
}
