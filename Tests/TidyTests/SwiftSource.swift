/// A Swift file, cut into lines, with and without comments and literals.
struct SwiftSource {
    let path: String
    /// Lines as written.
    let lines: [String]
    /// The same lines with comments and the insides of string literals blanked out.
    let code: [String]
    /// The identifiers and keywords of each line of `code`.
    let words: [[Substring]]

    init(path: String, text: String) {
        self.path = path
        lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        code = Self.blanked(Array(text.utf8)).split(separator: 0x0A, omittingEmptySubsequences: false)
            .map { String(decoding: $0, as: UTF8.self) }
        words = code.map { line in
            line.split { !($0.isLetter || $0.isNumber || $0 == "_") }
        }
    }

    /// The target that the file belongs to: its folder under Sources or Tests.
    var target: String {
        let parts = path.split(separator: "/")
        return parts.count > 2 && (parts[0] == "Sources" || parts[0] == "Tests") ? String(parts[1]) : ""
    }

    /// Whether the file is part of what is shipped.
    var isProduct: Bool { path.hasPrefix("Sources/") }

    /// The line above `index` that is neither an attribute nor blank.
    func lineAbove(_ index: Int) -> String {
        var above = index - 1
        while above >= 0 {
            let text = lines[above].trimmed
            if !text.isEmpty && !text.hasPrefix("@") { return text }
            above -= 1
        }
        return ""
    }

    /// Every Swift file of the project.
    static let all: [SwiftSource] = Repository.files(ending: ".swift").filter { !Repository.isGenerated($0) }
        .map { SwiftSource(path: $0, text: Repository.text($0)) }

    /// Replaces comments and the insides of string literals by spaces, line breaks kept.
    private static func blanked(_ text: [UInt8]) -> [UInt8] {
        var out = text
        var index = 0
        func starts(_ literal: String, at position: Int) -> Bool {
            let bytes = Array(literal.utf8)
            return position + bytes.count <= text.count && Array(text[position..<(position + bytes.count)]) == bytes
        }
        func blank(upTo end: Int) {
            while index < min(end, text.count) {
                if text[index] != 0x0A { out[index] = 0x20 }
                index += 1
            }
        }
        func position(of literal: String, from start: Int, escapes: Bool) -> Int {
            var at = start
            while at < text.count && !starts(literal, at: at) { at += escapes && text[at] == 0x5C ? 2 : 1 }
            return min(at, text.count)
        }
        while index < text.count {
            if starts("//", at: index) {
                blank(upTo: position(of: "\n", from: index, escapes: false))
            } else if starts("/*", at: index) {
                blank(upTo: position(of: "*/", from: index, escapes: false) + 2)
            } else if text[index] == 0x22 || (text[index] == 0x23 && (starts("#\"", at: index) || starts("##\"", at: index))) {
                var hashes = 0
                while text[index + hashes] == 0x23 { hashes += 1 }
                let quote = starts("\"\"\"", at: index + hashes) ? "\"\"\"" : "\""
                let close = quote + String(repeating: "#", count: hashes)
                let begin = index + hashes + quote.utf8.count
                index = begin
                blank(upTo: position(of: close, from: begin, escapes: hashes == 0))
                index = min(index + close.utf8.count, text.count)
            } else {
                index += 1
            }
        }
        return out
    }
}

extension String {
    /// Without the white space at both ends.
    var trimmed: String {
        var rest = Substring(self)
        while rest.first?.isWhitespace == true { rest.removeFirst() }
        while rest.last?.isWhitespace == true { rest.removeLast() }
        return String(rest)
    }
}
