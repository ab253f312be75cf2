import ThemisBase

/// Decodes the chunked transfer coding (RFC 9112 §7.1), strictly: no spaces around sizes, bounded extensions, trailers proved and
/// dropped.
///
/// Pure: bytes in, ranges out.
struct ChunkedDecoder: Sendable {
    enum Piece {
        /// More bytes are needed.
        case incomplete
        /// Data: this range of the bytes given.
        case data(Range<Int>)
        /// The body and its trailers are complete.
        case end
    }

    private enum State: Sendable {
        case size, extensions, sizeLF, data, dataCR, dataLF
        case trailerStart, trailerName, trailerValue, trailerLF, endLF
    }

    private var state = State.size
    private var remaining = 0
    private var digits = 0
    private var extensionBytes = 0
    private var trailerBytes = 0
    private var trailers = 0

    /// Reads the next piece from the front of `bytes` and adds to `used` what it consumed.
    mutating func next(_ bytes: UnsafeRawBufferPointer, used: inout Int) throws(ThemisError) -> Piece {
        var index = 0
        defer { used += index }
        while index < bytes.count {
            if state == .data {
                let count = min(remaining, bytes.count - index)
                let range = index..<(index + count)
                index += count
                remaining -= count
                if remaining == 0 { state = .dataCR }
                return .data(range)
            }
            let byte = unsafe bytes[index]
            index += 1
            if state == .endLF {
                try Self.expect(byte, ASCII.lineFeed)
                return .end
            }
            try step(byte)
        }
        return .incomplete
    }

    private mutating func step(_ byte: UInt8) throws(ThemisError) {
        switch state {
        case .size: try readSize(byte)
        case .extensions:
            if byte == ASCII.carriageReturn {
                state = .sizeLF
            } else {
                extensionBytes += 1
                guard ASCII.isFieldText(byte) else { throw ThemisError(.malformedHTTP, "a chunk extension holds a control byte") }
                guard extensionBytes <= Limits.chunkExtensionBytes else {
                    throw ThemisError(.malformedHTTP, "chunk extensions are longer than \(Limits.chunkExtensionBytes) bytes")
                }
            }
        case .sizeLF:
            try Self.expect(byte, ASCII.lineFeed)
            state = remaining > 0 ? .data : .trailerStart
            digits = 0
        case .dataCR:
            try Self.expect(byte, ASCII.carriageReturn)
            state = .dataLF
        case .dataLF:
            try Self.expect(byte, ASCII.lineFeed)
            state = .size
        case .trailerStart, .trailerName, .trailerValue, .trailerLF: try readTrailer(byte)
        case .data, .endLF: preconditionFailure("data and the last line feed are read by next")
        }
    }

    private mutating func readSize(_ byte: UInt8) throws(ThemisError) {
        if let digit = ASCII.hexValue(byte) {
            digits += 1
            remaining = remaining << 4 | Int(digit)
            // The digits are bounded too: zeros in front would be an endless size line.
            guard remaining <= Limits.chunkBytes, digits <= 16 else {
                throw ThemisError(.malformedHTTP, "a chunk is larger than \(Limits.chunkBytes) bytes; send smaller chunks")
            }
            return
        }
        guard digits > 0 else { throw ThemisError(.malformedHTTP, "a chunk does not begin with its size in hexadecimal") }
        switch byte {
        case ASCII.carriageReturn: state = .sizeLF
        case ASCII.semicolon: state = .extensions
        default: throw ThemisError(.malformedHTTP, "a chunk's size holds a character that is not hexadecimal")
        }
    }

    private mutating func readTrailer(_ byte: UInt8) throws(ThemisError) {
        trailerBytes += 1
        guard trailerBytes <= Limits.headerBytes, trailers <= Limits.headerCount else {
            throw ThemisError(.headersTooLarge, "trailers are longer than the headers may be; send none")
        }
        switch state {
        case .trailerStart:
            if byte == ASCII.carriageReturn {
                state = .endLF
            } else {
                guard ASCII.isToken(byte) else { throw ThemisError(.malformedHTTP, "a trailer does not begin with a name") }
                trailers += 1
                state = .trailerName
            }
        case .trailerName:
            if byte == ASCII.colon {
                state = .trailerValue
            } else if !ASCII.isToken(byte) {
                throw ThemisError(.malformedHTTP, "a trailer's name holds a character that RFC 9110 does not allow")
            }
        case .trailerValue:
            if byte == ASCII.carriageReturn {
                state = .trailerLF
            } else if !ASCII.isFieldText(byte) {
                throw ThemisError(.malformedHTTP, "a trailer's value holds a control byte or a bare LF")
            }
        default:
            try Self.expect(byte, ASCII.lineFeed)
            state = .trailerStart
        }
    }

    private static func expect(_ byte: UInt8, _ wanted: UInt8) throws(ThemisError) {
        guard byte == wanted else {
            throw ThemisError(.malformedHTTP, "a chunk is not framed by CRLF; its size does not fit its data")
        }
    }
}
