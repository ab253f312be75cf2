/// Why bytes are not the JSON that THEMIS takes, and where.
struct JSONFault: Error, Equatable {
    /// The offset of the first byte that is wrong, from the start of the buffer.
    let offset: Int
    /// What is wrong.
    let reason: Reason

    /// The reasons, as the caller reads them.
    enum Reason: String {
        case endOfText = "the text ends too early"
        case expectedValue = "expected a value"
        case expectedName = "expected a member name in double quotes"
        case expectedColon = "expected ':' after the member name"
        case expectedCommaInObject = "expected ',' or '}'"
        case expectedCommaInArray = "expected ',' or ']'"
        case trailingBytes = "something follows the value"
        case malformedNumber = "malformed number"
        case malformedEscape = "malformed escape in a string"
        case controlCharacter = "unescaped control character in a string"
        case invalidUTF8 = "invalid UTF-8"
        case tooDeep = "nested too deeply"
        case duplicateName = "a name occurs twice in one object"
        case byteOrderMark = "a byte order mark; send plain UTF-8"
        case notObject = "expected an object"
        case tooLong = "the text is too long"
    }
}

/// One full validating walk over a JSON text: RFC 8259 without leniency, every byte visited once, no recursion.
///
/// Memory: a few hundred bytes, and 16–24 bytes for every name of the objects that are open at one time.
/// The struct points into the caller's buffer and lives only inside one call of `JSONDocument`.
@safe struct JSONWalk {
    /// Nesting that the walk can hold at most; the callers' bounds lie below it.
    static let deepest = 256

    private let base: UnsafePointer<UInt8>
    private let end: Int
    private var position: Int
    private let maximumDepth: Int
    private var depth = 0
    private var isInObject = false
    /// Bit *d* says whether the container at depth *d* + 1 is an object.
    private var kinds: InlineArray<4, UInt64> = .init(repeating: 0)
    private var names = JSONNameSet()
    private let recordsMembers: Bool
    /// Top-level members, when they were asked for.
    private(set) var members: [JSONMembers.Member] = []

    /// Walks the bytes `start..<end` behind `base`, which must outlive the walk.
    init(_ base: UnsafePointer<UInt8>, from start: Int, to end: Int, maximumDepth: Int, recordsMembers: Bool) {
        precondition(maximumDepth <= Self.deepest, "a walk holds at most \(Self.deepest) levels")
        unsafe self.base = base
        self.position = start
        self.end = end
        self.maximumDepth = maximumDepth
        self.recordsMembers = recordsMembers
    }

    /// Walks the whole text.
    mutating func run(topMustBeObject: Bool) throws(JSONFault) {
        guard end < Int(Int32.max) else { throw JSONFault(offset: position, reason: .tooLong) }
        skipSpace()
        if position + 2 < end, unsafe base[position] == 0xEF, unsafe base[position + 1] == 0xBB, unsafe base[position + 2] == 0xBF {
            throw fault(.byteOrderMark)
        }
        if topMustBeObject, position < end, unsafe base[position] != 0x7B { throw fault(.notObject) }
        repeat {
            try value()
            while depth > 0, try !continueContainer() {}
        } while depth > 0
        skipSpace()
        guard position == end else { throw fault(.trailingBytes) }
    }

    private func fault(_ reason: JSONFault.Reason) -> JSONFault {
        JSONFault(offset: position, reason: position >= end && reason != .tooLong ? .endOfText : reason)
    }

    // MARK: - Values and containers

    /// Reads a scalar or an empty container, or goes down into containers until it has read one.
    @inline(__always) private mutating func value() throws(JSONFault) {
        while true {
            skipSpace()
            guard position < end else { throw fault(.endOfText) }
            switch unsafe base[position] {
            case 0x22: _ = try string()
            case 0x7B:
                try open(isObject: true)
                skipSpace()
                if position < end, unsafe base[position] == 0x7D {
                    close()
                } else {
                    try name()
                    continue
                }
            case 0x5B:
                try open(isObject: false)
                skipSpace()
                if position < end, unsafe base[position] == 0x5D {
                    close()
                } else {
                    continue
                }
            case 0x2D, 0x30...0x39: try number()
            case 0x74: try literal(0x65_75_72_74, length: 4)
            case 0x6E: try literal(0x6C_6C_75_6E, length: 4)
            case 0x66: try literal(0x65_73_6C_61_66, length: 5)
            default: throw fault(.expectedValue)
            }
            return
        }
    }

    /// After a value inside a container: true when another value follows, false when the container was closed.
    @inline(__always) private mutating func continueContainer() throws(JSONFault) -> Bool {
        if depth == 1, recordsMembers, isInObject { members[members.count - 1].end = position }
        skipSpace()
        guard position < end else { throw fault(.endOfText) }
        let byte = unsafe base[position]
        if byte == 0x2C {
            position += 1
            if isInObject {
                skipSpace()
                try name()
            }
            return true
        }
        guard byte == (isInObject ? 0x7D : 0x5D) else {
            throw fault(isInObject ? .expectedCommaInObject : .expectedCommaInArray)
        }
        close()
        return false
    }

    @inline(__always) private mutating func open(isObject: Bool) throws(JSONFault) {
        guard depth < maximumDepth else { throw fault(.tooDeep) }
        let bit: UInt64 = 1 << UInt64(depth & 63)
        if isObject {
            kinds[depth >> 6] |= bit
            names.open()
        } else {
            kinds[depth >> 6] &= ~bit
        }
        depth += 1
        isInObject = isObject
        position += 1
    }

    /// Closes the container whose last byte stands at `position`.
    @inline(__always) private mutating func close() {
        if isInObject { names.close() }
        depth -= 1
        position += 1
        let parent = depth - 1
        isInObject = parent >= 0 && kinds[parent >> 6] & (1 << UInt64(parent & 63)) != 0
    }

    /// Reads a member name and its colon.
    @inline(__always) private mutating func name() throws(JSONFault) {
        guard position < end, unsafe base[position] == 0x22 else { throw fault(.expectedName) }
        let start = position + 1
        let isEscaped = try string()
        guard unsafe names.insert(JSONNameSet.Spelling(start: start, end: position - 1, isEscaped: isEscaped), in: base) else {
            throw JSONFault(offset: start - 1, reason: .duplicateName)
        }
        let nameEnd = position - 1
        skipSpace()
        guard position < end, unsafe base[position] == 0x3A else { throw fault(.expectedColon) }
        position += 1
        if depth == 1, recordsMembers { recordMember(nameStart: start, nameEnd: nameEnd, isEscaped: isEscaped) }
    }

    private mutating func recordMember(nameStart: Int, nameEnd: Int, isEscaped: Bool) {
        skipSpace()
        guard position < end else { return }
        let kind = unsafe JSONKind(firstByte: base[position]) ?? .null
        members.append(
            .init(nameStart: nameStart, nameEnd: nameEnd, isNameEscaped: isEscaped, start: position, end: position, kind: kind))
    }

    // MARK: - Tokens

    @inline(__always) private mutating func skipSpace() {
        guard position < end, unsafe base[position] <= 0x20 else { return }
        skipSpaceRun()
    }

    private mutating func skipSpaceRun() {
        while position < end {
            switch unsafe base[position] {
            case 0x0A:
                position += 1
                while position + 8 <= end, word(position) == 0x2020_2020_2020_2020 { position += 8 }
            case 0x20, 0x0D, 0x09: position += 1
            default: return
            }
        }
    }

    @inline(__always) private func word(_ offset: Int) -> UInt64 {
        unsafe UnsafeRawPointer(base).loadUnaligned(fromByteOffset: offset, as: UInt64.self)
    }

    /// Compares with the letters of `true`, `false` or `null`, the first in the lowest byte.
    @inline(__always) private mutating func literal(_ letters: UInt64, length: Int) throws(JSONFault) {
        var rest = letters
        for index in 0..<length {
            guard position + index < end else {
                position = end
                throw fault(.endOfText)
            }
            guard unsafe base[position + index] == UInt8(truncatingIfNeeded: rest) else { throw fault(.expectedValue) }
            rest >>= 8
        }
        position += length
    }

    @inline(__always) private mutating func number() throws(JSONFault) {
        if unsafe base[position] == 0x2D { position += 1 }
        guard position < end else { throw fault(.endOfText) }
        if unsafe base[position] == 0x30 {
            position += 1
            if position < end, unsafe isDigit(base[position]) { throw fault(.malformedNumber) }
        } else {
            try digits()
        }
        guard position < end else { return }
        if unsafe base[position] == 0x2E {
            position += 1
            try digits()
        }
        guard position < end, unsafe base[position] | 0x20 == 0x65 else { return }
        position += 1
        if position < end, unsafe base[position] == 0x2B || base[position] == 0x2D { position += 1 }
        try digits()
    }

    /// One digit or more.
    @inline(__always) private mutating func digits() throws(JSONFault) {
        guard position < end, unsafe isDigit(base[position]) else { throw fault(.malformedNumber) }
        repeat { position += 1 } while unsafe position < end && isDigit(base[position])
    }

    @inline(__always) private func isDigit(_ byte: UInt8) -> Bool { byte &- 0x30 < 10 }

    /// Reads a string that begins at `position`. True when it has an escape.
    @inline(__always) private mutating func string() throws(JSONFault) -> Bool {
        var offset = position + 1
        var isEscaped = false
        while true {
            // Eight bytes at a time to the first quote, backslash, control character or byte of a longer sequence. A borrow can
            // mark a byte falsely only above one that is marked rightly, so the lowest mark is exact.
            while offset + 8 <= end {
                let bytes = word(offset)
                let quote = (bytes ^ 0x2222_2222_2222_2222) &- 0x0101_0101_0101_0101
                let backslash = (bytes ^ 0x5C5C_5C5C_5C5C_5C5C) &- 0x0101_0101_0101_0101
                let control = bytes &- 0x2020_2020_2020_2020
                let marks = (quote | backslash | control | bytes) & 0x8080_8080_8080_8080
                if marks != 0 {
                    offset += marks.trailingZeroBitCount >> 3
                    break
                }
                offset += 8
            }
            guard offset < end else {
                position = end
                throw fault(.endOfText)
            }
            let byte = unsafe base[offset]
            switch byte {
            case 0x22:
                position = offset + 1
                return isEscaped
            case 0x5C:
                isEscaped = true
                offset = try escape(offset)
            case 0x00..<0x20: throw JSONFault(offset: offset, reason: .controlCharacter)
            case 0x80...: offset = try sequence(offset)
            default: offset += 1
            }
        }
    }

    /// The offset behind the escape that begins at `offset`.
    private func escape(_ offset: Int) throws(JSONFault) -> Int {
        guard offset + 1 < end else { throw JSONFault(offset: end, reason: .endOfText) }
        switch unsafe base[offset + 1] {
        case 0x22, 0x5C, 0x2F, 0x62, 0x66, 0x6E, 0x72, 0x74: return offset + 2
        case 0x75:
            guard offset + 6 <= end else { throw JSONFault(offset: end, reason: .endOfText) }
            for index in (offset + 2)..<(offset + 6) {
                let byte = unsafe base[index]
                guard isDigit(byte) || (byte | 0x20) &- 0x61 < 6 else {
                    throw JSONFault(offset: offset, reason: .malformedEscape)
                }
            }
            return offset + 6
        default: throw JSONFault(offset: offset, reason: .malformedEscape)
        }
    }

    /// The offset behind a run of sequences of two to four bytes: the table of Unicode 15, 3.9, "well-formed UTF-8 byte
    /// sequences".
    private func sequence(_ start: Int) throws(JSONFault) -> Int {
        var offset = start
        while offset < end {
            let lead = unsafe base[offset]
            if lead < 0x80 { return offset }
            let second = offset + 1 < end ? unsafe base[offset + 1] : 0
            let length: Int
            let isValidSecond: Bool
            switch lead {
            case 0xC2...0xDF: (length, isValidSecond) = (2, second & 0xC0 == 0x80)
            case 0xE0: (length, isValidSecond) = (3, (0xA0...0xBF).contains(second))
            case 0xED: (length, isValidSecond) = (3, (0x80...0x9F).contains(second))
            case 0xE1...0xEF: (length, isValidSecond) = (3, second & 0xC0 == 0x80)
            case 0xF0: (length, isValidSecond) = (4, (0x90...0xBF).contains(second))
            case 0xF1...0xF3: (length, isValidSecond) = (4, second & 0xC0 == 0x80)
            case 0xF4: (length, isValidSecond) = (4, (0x80...0x8F).contains(second))
            default: (length, isValidSecond) = (1, false)
            }
            guard isValidSecond, offset + length <= end else { throw JSONFault(offset: offset, reason: .invalidUTF8) }
            if length >= 3, unsafe base[offset + 2] & 0xC0 != 0x80 { throw JSONFault(offset: offset, reason: .invalidUTF8) }
            if length == 4, unsafe base[offset + 3] & 0xC0 != 0x80 { throw JSONFault(offset: offset, reason: .invalidUTF8) }
            offset += length
        }
        return offset
    }
}
