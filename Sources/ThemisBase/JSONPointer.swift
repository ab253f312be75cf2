/// A JSON Pointer (RFC 6901): the names and indices that lead to a value. Any thread.
public struct JSONPointer: Sendable, Equatable {
    /// The reference tokens, unescaped. Empty for the whole document.
    public let tokens: [String]

    /// Reads a pointer; nil when it does not begin with `/`, or has a `~` that is neither `~0` nor `~1`.
    public init?(_ text: String) {
        guard !text.isEmpty else {
            tokens = []
            return
        }
        guard text.utf8.first == 0x2F else { return nil }
        var tokens: [String] = []
        var token: [UInt8] = []
        var bytes = text.utf8.dropFirst().makeIterator()
        while let byte = bytes.next() {
            switch byte {
            case 0x2F:
                tokens.append(String(decoding: token, as: UTF8.self))
                token.removeAll()
            case 0x7E:
                switch bytes.next() {
                case 0x30: token.append(0x7E)
                case 0x31: token.append(0x2F)
                default: return nil
                }
            default: token.append(byte)
            }
        }
        tokens.append(String(decoding: token, as: UTF8.self))
        self.tokens = tokens
    }

    /// Whether `other` lies below this value.
    func isProperPrefix(of other: JSONPointer) -> Bool {
        tokens.count < other.tokens.count && zip(tokens, other.tokens).allSatisfy { $0.hasSameCodePoints(as: $1) }
    }

    /// The index that a token names: digits without a leading zero, small enough for any array.
    static func index(_ token: String) -> Int? {
        let digits = token.utf8
        guard let first = digits.first, digits.count <= 9, digits.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
        guard first != 0x30 || digits.count == 1 else { return nil }
        return Int(token)
    }
}
