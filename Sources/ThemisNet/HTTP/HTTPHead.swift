/// The headers of one message: its bytes as received and where each header stands in them. A value; any thread.
public struct HTTPFields: Sendable {
    let bytes: [UInt8]
    let ranges: [FieldRange]

    /// How many headers there are.
    public var count: Int { ranges.count }

    /// Every header, in the order of arrival, with its name as spelled.
    public var all: [(name: String, value: String)] { ranges.map { (text($0.name), text($0.value)) } }

    /// The value of the first header called `name`, in any case of letters; nil when there is none.
    ///
    /// - Parameter name: in lower case.
    public subscript(name: StaticString) -> String? { slice(name).map { String(decoding: $0, as: UTF8.self) } }

    /// The bytes of the first header called `name` (in lower case).
    func slice(_ name: StaticString) -> ArraySlice<UInt8>? {
        for range in ranges where isNamed(range, name) { return bytes[range.value] }
        return nil
    }

    /// Whether the first header called `name` (in lower case) has just the value `text`.
    public func isFirst(_ name: StaticString, _ text: String) -> Bool {
        guard let value = slice(name), value.count == text.utf8.count else { return false }
        let isEqual = unsafe text.utf8.withContiguousStorageIfAvailable { wanted in
            unsafe value.withUnsafeBytes { unsafe ASCII.isEqual($0, UnsafeRawBufferPointer(wanted)) }
        }
        return isEqual ?? value.elementsEqual(text.utf8)
    }

    /// The bytes of every header called `name` (in lower case).
    func slices(_ name: StaticString) -> [ArraySlice<UInt8>] { ranges.filter { isNamed($0, name) }.map { bytes[$0.value] } }

    /// How many headers are called `name` (in lower case).
    public func count(_ name: StaticString) -> Int { ranges.count { isNamed($0, name) } }

    @inline(__always) func isNamed(_ range: FieldRange, _ name: StaticString) -> Bool {
        // By length first: few headers have the same one.
        range.nameEnd &- range.nameStart == UInt16(truncatingIfNeeded: name.utf8CodeUnitCount) && isSpelled(range, name)
    }

    private func isSpelled(_ range: FieldRange, _ name: StaticString) -> Bool {
        for index in 0..<range.name.count where unsafe ASCII.lower(bytes[range.name.lowerBound + index]) != name.utf8Start[index] {
            return false
        }
        return true
    }

    /// Where `byte` stands first within `range`; nil when it does not.
    func firstIndex(of byte: UInt8, in range: Range<Int>) -> Int? {
        let offset = unsafe bytes.withUnsafeBytes { unsafe ASCII.firstIndex(of: byte, in: UnsafeRawBufferPointer(rebasing: $0[range])) }
        guard let offset else { return nil }
        return range.lowerBound + offset
    }

    /// Whether `word` stands at `range`, and nothing else.
    func holds(_ word: StaticString, at range: Range<Int>) -> Bool {
        unsafe bytes.withUnsafeBytes { unsafe ASCII.isEqual(UnsafeRawBufferPointer(rebasing: $0[range]), word) }
    }

    private func text(_ range: Range<Int>) -> String { String(decoding: bytes[range], as: UTF8.self) }
}

/// How the length of a body is told.
public enum HTTPBodyFraming: Sendable, Equatable {
    /// There is none.
    case none
    /// Content-Length.
    case length(Int)
    /// Transfer-Encoding: chunked.
    case chunked
    /// Until the connection closes; answers only.
    case untilClose
}

/// What a request said about `Expect`.
public enum HTTPExpectation: Sendable {
    case none
    /// `100-continue`: the body comes when it is asked for.
    case continue100
    /// Anything else: 417.
    case unknown
}

/// The head of a request, proved. A value; any thread.
public struct HTTPRequestHead: Sendable {
    /// The method.
    public let method: HTTPMethod
    /// The target as sent, without what an absolute form has before the path. Empty, or a query, for one without a path.
    let target: Range<Int>
    /// Where the path ends: at the question mark, or with the target.
    let pathEnd: Int
    /// The headers.
    public let fields: HTTPFields
    /// HTTP/1.0 instead of 1.1.
    public let isHTTP10: Bool
    /// How the body's length is told.
    public let framing: HTTPBodyFraming
    /// Whether the client would send another request on the connection.
    public let keepsAlive: Bool
    /// `Expect`.
    public let expectation: HTTPExpectation

    /// The method as spelled.
    public var methodText: String { String(decoding: fields.bytes.prefix { $0 != ASCII.space }, as: UTF8.self) }
    /// The target as sent: path and query, still encoded.
    public var rawTarget: String { String(decoding: fields.bytes[target], as: UTF8.self) }
    /// The path, still encoded.
    var rawPath: ArraySlice<UInt8> { fields.bytes[target.lowerBound..<pathEnd] }
    /// What follows the question mark, still encoded.
    var rawQuery: ArraySlice<UInt8> { fields.bytes[min(pathEnd + 1, target.upperBound)..<target.upperBound] }
    /// Whether the target is the server as a whole.
    var isAsterisk: Bool { target.count == 1 && fields.bytes[target.lowerBound] == 0x2A }
}
