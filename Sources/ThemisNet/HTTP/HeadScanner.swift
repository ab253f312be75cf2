import ThemisBase

/// Where one header stands in the bytes of its message head.
struct FieldRange: Sendable {
    let nameStart: UInt16
    let nameEnd: UInt16
    let valueStart: UInt16
    let valueEnd: UInt16

    var name: Range<Int> { Int(nameStart)..<Int(nameEnd) }
    var value: Range<Int> { Int(valueStart)..<Int(valueEnd) }
}

/// Finds the end of a message head (start line and headers) and proves the form of every byte on the way (RFC 9112 §2–§5,
/// strictly).
///
/// Pure: bytes in, ranges out. Scans each byte once, however the head is split over calls.
struct HeadScanner: Sendable {
    private enum State: Sendable {
        case startLine, startLineCR, fieldStart, fieldName, beforeValue, value, valueCR, endCR
    }

    private var state = State.startLine
    private var fieldsStart = 0
    private var nameStart = 0
    private var nameEnd = 0
    private var valueStart = 0
    private var valueEnd = 0
    private var lastWasCR = false
    /// Bytes scanned so far; after the end, the length of the head.
    private(set) var position = 0
    /// The start line without its CRLF.
    private(set) var startLine = 0..<0
    /// The headers found.
    private(set) var fields: [FieldRange] = []

    /// Scans on. `bytes` begins with the head's first byte, each time.
    ///
    /// - Returns: whether the head is complete.
    mutating func scan(_ bytes: UnsafeRawBufferPointer) throws(ThemisError) -> Bool {
        var index = position
        let end = bytes.count
        while index < end {
            let byte = unsafe bytes[index]
            switch state {
            case .startLine:
                if byte == ASCII.carriageReturn {
                    guard index > 0 else {
                        throw ThemisError(.malformedHTTP, "an empty line stands where a request line belongs")
                    }
                    startLine = 0..<index
                    state = .startLineCR
                } else if byte < 0x20 || byte > 0x7E {
                    throw Self.startLineError(byte)
                } else if index >= Limits.requestLineBytes {
                    throw unsafe Self.longStartLine(bytes)
                } else {
                    index = unsafe Self.end(of: bytes, index, min(end, Limits.requestLineBytes)) { $0 >= 0x20 && $0 <= 0x7E } - 1
                }
            case .startLineCR:
                guard byte == ASCII.lineFeed else { throw Self.bareCR }
                fieldsStart = index + 1
                state = .fieldStart
            case .fieldStart:
                if byte == ASCII.carriageReturn {
                    state = .endCR
                } else {
                    try startField(byte, at: index)
                }
            case .fieldName:
                if byte == ASCII.colon {
                    nameEnd = index
                    valueStart = index + 1
                    valueEnd = index + 1
                    state = .beforeValue
                } else if !ASCII.isToken(byte) {
                    throw Self.nameError(byte)
                } else {
                    index = unsafe Self.end(of: bytes, index, min(end, fieldsStart + Limits.headerBytes), ASCII.isToken) - 1
                }
            case .beforeValue:
                if byte == ASCII.space || byte == ASCII.tab { break }
                (valueStart, valueEnd, state) = (index, index, .value)
                continue
            case .value:
                if byte == ASCII.carriageReturn {
                    endField()
                    state = .valueCR
                } else if !ASCII.isFieldText(byte) {
                    throw Self.valueError(byte)
                } else if byte != ASCII.space && byte != ASCII.tab {
                    valueEnd = unsafe Self.end(of: bytes, index, min(end, fieldsStart + Limits.headerBytes)) { $0 > 0x20 && $0 != 0x7F }
                    index = valueEnd - 1
                }
            case .valueCR:
                guard byte == ASCII.lineFeed else { throw Self.bareCR }
                state = .fieldStart
            case .endCR:
                guard byte == ASCII.lineFeed else { throw Self.bareCR }
                position = index + 1
                return true
            }
            index += 1
            if fieldsStart > 0, index - fieldsStart > Limits.headerBytes { throw Self.tooLarge }
        }
        position = index
        return false
    }

    /// Where the run of bytes ends that begins with the one at `index`, which belongs to it. Looks at none from `stop` on: there, a bound
    /// is looked at first.
    @inline(__always) private static func end(
        of bytes: UnsafeRawBufferPointer, _ index: Int, _ stop: Int, _ belongs: (UInt8) -> Bool
    ) -> Int {
        var next = index + 1
        while next < stop, unsafe belongs(bytes[next]) { next += 1 }
        return next
    }

    private mutating func startField(_ byte: UInt8, at index: Int) throws(ThemisError) {
        if byte == ASCII.space || byte == ASCII.tab {
            throw ThemisError(.malformedHTTP, "a header is folded over several lines; write each header on one line")
        }
        guard fields.count < Limits.headerCount else {
            throw ThemisError(.headersTooLarge, "there are more than \(Limits.headerCount) headers; send fewer")
        }
        guard ASCII.isToken(byte) else { throw byte == ASCII.colon ? Self.emptyName : Self.nameError(byte) }
        nameStart = index
        state = .fieldName
    }

    private mutating func endField() {
        // All offsets are below 8 KiB + 16 KiB.
        if fields.isEmpty { fields.reserveCapacity(8) }
        fields.append(
            FieldRange(
                nameStart: UInt16(nameStart), nameEnd: UInt16(nameEnd), valueStart: UInt16(valueStart), valueEnd: UInt16(valueEnd)
            ))
    }

    // MARK: Refusals

    private static let bareCR = ThemisError(.malformedHTTP, "a CR stands without its LF; end each line with CRLF")
    private static let tooLarge = ThemisError(
        .headersTooLarge, "headers are longer than \(Limits.headerBytes) bytes; send fewer or shorter ones")
    private static let emptyName = ThemisError(.malformedHTTP, "a header has no name")

    private static func startLineError(_ byte: UInt8) -> ThemisError {
        switch byte {
        case ASCII.lineFeed: ThemisError(.malformedHTTP, "the request line ends with a bare LF; end each line with CRLF")
        case 0x80...: ThemisError(.malformedHTTP, "the request line holds bytes that are not ASCII; percent-encode them")
        default: ThemisError(.malformedHTTP, "the request line holds a control byte; this port speaks HTTP/1.1 without TLS")
        }
    }

    private static func longStartLine(_ bytes: UnsafeRawBufferPointer) -> ThemisError {
        guard unsafe bytes[..<Limits.methodBytes].contains(ASCII.space) else {
            return ThemisError(.malformedHTTP, "the request does not begin with a method")
        }
        return ThemisError(
            .uriTooLong, "the request line is longer than \(Limits.requestLineBytes) bytes; send long input in the body")
    }

    private static func nameError(_ byte: UInt8) -> ThemisError {
        switch byte {
        case ASCII.space, ASCII.tab:
            ThemisError(.malformedHTTP, "a space stands between a header's name and its colon; remove it")
        case ASCII.lineFeed, ASCII.carriageReturn: ThemisError(.malformedHTTP, "a header line has no colon")
        default: ThemisError(.malformedHTTP, "a header's name holds a character that RFC 9110 does not allow")
        }
    }

    private static func valueError(_ byte: UInt8) -> ThemisError {
        byte == ASCII.lineFeed
            ? ThemisError(.malformedHTTP, "a header line ends with a bare LF; end each line with CRLF")
            : ThemisError(.malformedHTTP, "a header's value holds a control byte")
    }
}
