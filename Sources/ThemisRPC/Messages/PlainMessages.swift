import Glibc
import ThemisBase
import ThemisNet

/// The messages of single reads and writes in their usual form, by hand: protobuf-c takes thousands of instructions for each, and the
/// bytes are the same. Whatever is not of that form is left to it, errors included.
extension ProtobufWalk.Member {
    /// Whether it is written in the one way that protobuf-c writes it: nothing longer than it must be.
    fileprivate var isShort: Bool {
        unsafe wireType == 0
            ? whole.count == 1 + ProtobufWriter.varintBytes(value)
            : whole.count == 1 + ProtobufWriter.varintBytes(UInt64(content.count)) + content.count
    }

    /// The text, if it is ASCII without zero characters.
    fileprivate var plainText: String? {
        guard unsafe content.allSatisfy({ $0 &- 1 < 0x7F }) else { return nil }
        return unsafe String(decoding: content, as: UTF8.self)
    }
}

extension ProtobufWalk {
    /// Gives every member to `take`; false when one of them is not short, or `take` does not know it.
    fileprivate static func all(of bytes: UnsafeRawBufferPointer, _ take: (Member) -> Bool) -> Bool {
        var walk = unsafe ProtobufWalk(bytes)
        do throws(ThemisError) {
            while let member = try unsafe walk.next() {
                guard unsafe member.isShort, unsafe take(member) else { return false }
            }
            return true
        } catch {
            return false
        }
    }
}

extension GetRequest {
    init?(plain bytes: UnsafeRawBufferPointer) {
        self.init(table: "", pk: "")
        let isPlain = unsafe ProtobufWalk.all(of: bytes) { member in
            switch unsafe member.tag {
            case 0x0A:
                guard let text = unsafe member.plainText else { return false }
                table = text
            case 0x12:
                guard let text = unsafe member.plainText else { return false }
                pk = text
            case 0x20: unsafe unlessVersion = member.value
            default: return false
            }
            return true
        }
        guard isPlain else { return nil }
    }

    /// Nil with a projection, or a text that the wire cannot carry.
    var plainlyEncoded: [UInt8]? {
        guard fields.isEmpty, ProtobufWriter.isSendable(table), ProtobufWriter.isSendable(pk) else { return nil }
        let size =
            ProtobufWriter.bytes(of: table.utf8.count) + ProtobufWriter.bytes(of: pk.utf8.count)
            + ProtobufWriter.bytes(ofNumber: unlessVersion)
        return ProtobufWriter.array(size) { writer in
            writer.put(1, table)
            writer.put(2, pk)
            writer.put(4, number: unlessVersion)
        }
    }
}

extension EntityMessage {
    /// Appends the body; false when a text cannot be carried: then nothing was appended.
    func encodePlainly(into out: inout ByteBuffer) -> Bool {
        unsafe document.withUnsafeBytes { unsafe encodePlainly(with: $0, into: &out) }
    }

    /// Appends the body with another document.
    func encodePlainly(with document: ArraySlice<UInt8>, into out: inout ByteBuffer) -> Bool {
        unsafe document.withUnsafeBytes { unsafe encodePlainly(with: $0, into: &out) }
    }

    private func encodePlainly(with document: UnsafeRawBufferPointer, into out: inout ByteBuffer) -> Bool {
        guard ProtobufWriter.isSendable(table), ProtobufWriter.isSendable(pk) else { return false }
        let expiry = UInt64(bitPattern: expiresAtMilliseconds)
        let size =
            ProtobufWriter.bytes(of: table.utf8.count) + ProtobufWriter.bytes(of: pk.utf8.count)
            + ProtobufWriter.bytes(ofNumber: version) + ProtobufWriter.bytes(of: document.count)
            + ProtobufWriter.bytes(ofNumber: missing ? 1 : 0) + ProtobufWriter.bytes(ofNumber: expiry)
        unsafe out.append(count: size) { place in
            var writer = unsafe ProtobufWriter(place)
            writer.put(1, table)
            writer.put(2, pk)
            writer.put(3, number: version)
            unsafe writer.put(4, document)
            writer.put(5, number: missing ? 1 : 0)
            writer.put(6, number: expiry)
        }
        return true
    }
}

extension OperationMessage {
    fileprivate init?(plain bytes: UnsafeRawBufferPointer) {
        self.init(kind: .put, table: "", pk: "")
        var (number, condition, version) = (UInt64(0), UInt64(0), UInt64(0))
        let isPlain = unsafe ProtobufWalk.all(of: bytes) { member in
            switch unsafe member.tag {
            case 0x08: unsafe number = member.value
            case 0x12:
                guard let text = unsafe member.plainText else { return false }
                table = text
            case 0x1A:
                guard let text = unsafe member.plainText else { return false }
                pk = text
            case 0x22: unsafe body = Array(member.content)
            case 0x28: unsafe condition = member.value
            case 0x30: unsafe version = member.value
            default: return false
            }
            return true
        }
        guard isPlain, number <= 4, let kind = OperationKind(rawValue: UInt32(number)), condition <= 3,
            let wanted = try? OperationCondition(condition: UInt32(condition), version: version)
        else { return nil }
        self.kind = kind
        self.condition = wanted
    }

    fileprivate var plainBytes: Int {
        let (condition, version) = condition.encoded
        return ProtobufWriter.bytes(ofNumber: UInt64(kind.rawValue)) + ProtobufWriter.bytes(of: table.utf8.count)
            + ProtobufWriter.bytes(of: pk.utf8.count) + ProtobufWriter.bytes(of: body.count)
            + ProtobufWriter.bytes(ofNumber: UInt64(condition)) + ProtobufWriter.bytes(ofNumber: version)
    }

    fileprivate func write(to writer: inout ProtobufWriter) {
        let (condition, version) = condition.encoded
        writer.put(1, number: UInt64(kind.rawValue))
        writer.put(2, table)
        writer.put(3, pk)
        writer.put(4, body)
        writer.put(5, number: UInt64(condition))
        writer.put(6, number: version)
    }
}

extension WriteRequest {
    init?(plain bytes: UnsafeRawBufferPointer) {
        var operation: OperationMessage?
        var fingerprint: [UInt8] = []
        let isPlain = unsafe ProtobufWalk.all(of: bytes) { member in
            switch unsafe member.tag {
            case 0x0A:
                // Twice would mean to put the two together.
                guard operation == nil else { return false }
                unsafe operation = OperationMessage(plain: member.content)
                return operation != nil
            case 0x12: unsafe fingerprint = Array(member.content)
            default: return false
            }
            return true
        }
        guard isPlain, let operation else { return nil }
        self.init(operation: operation, fingerprint: fingerprint)
    }

    /// Nil with a text that the wire cannot carry.
    var plainlyEncoded: [UInt8]? {
        guard ProtobufWriter.isSendable(operation.table), ProtobufWriter.isSendable(operation.pk) else { return nil }
        let inner = operation.plainBytes
        let size = 1 + ProtobufWriter.varintBytes(UInt64(inner)) + inner + ProtobufWriter.bytes(of: fingerprint.count)
        return ProtobufWriter.array(size) { writer in
            writer.begin(1, bytes: inner)
            operation.write(to: &writer)
            writer.put(2, fingerprint)
        }
    }
}

extension WriteResponse {
    init?(plain bytes: UnsafeRawBufferPointer) {
        var result: OperationResult?
        let isPlain = unsafe ProtobufWalk.all(of: bytes) { member in
            guard unsafe member.tag == 0x0A, result == nil else { return false }
            unsafe result = OperationResult(plain: member.content)
            return result != nil
        }
        guard isPlain, let result else { return nil }
        self.init(result: result)
    }

    var plainlyEncoded: [UInt8] {
        let inner = result.plainBytes
        return ProtobufWriter.array(1 + ProtobufWriter.varintBytes(UInt64(inner)) + inner) { writer in
            writer.begin(1, bytes: inner)
            result.write(to: &writer)
        }
    }
}

extension OperationResult {
    fileprivate init?(plain bytes: UnsafeRawBufferPointer) {
        self.init(durable: false)
        let isPlain = unsafe ProtobufWalk.all(of: bytes) { member in
            switch unsafe member.tag {
            case 0x08: unsafe version = member.value
            case 0x10: unsafe sequence = member.value
            case 0x18: unsafe created = member.value != 0
            case 0x20: unsafe deleted = member.value != 0
            case 0x28: unsafe durable = member.value != 0
            case 0x30: unsafe replayed = member.value != 0
            default: return false
            }
            return true
        }
        guard isPlain else { return nil }
    }

    fileprivate var plainBytes: Int {
        ProtobufWriter.bytes(ofNumber: version) + ProtobufWriter.bytes(ofNumber: sequence)
            + (created ? 2 : 0) + (deleted ? 2 : 0) + (durable ? 2 : 0) + (replayed ? 2 : 0)
    }

    fileprivate func write(to writer: inout ProtobufWriter) {
        writer.put(1, number: version)
        writer.put(2, number: sequence)
        writer.put(3, number: created ? 1 : 0)
        writer.put(4, number: deleted ? 1 : 0)
        writer.put(5, number: durable ? 1 : 0)
        writer.put(6, number: replayed ? 1 : 0)
    }
}

/// Writes the members of a message into room that was measured before. Members with the value 0, or of no bytes, are left out, as proto3
/// wants it.
@safe struct ProtobufWriter: ~Copyable {
    private var place: UnsafeMutablePointer<UInt8>

    init(_ place: UnsafeMutablePointer<UInt8>) { unsafe self.place = unsafe place }

    /// An array of `size` bytes that `fill` writes.
    static func array(_ size: Int, _ fill: (inout ProtobufWriter) -> Void) -> [UInt8] {
        unsafe Array(unsafeUninitializedCapacity: size) { room, count in
            guard size > 0, let start = room.baseAddress else { return }
            var writer = unsafe ProtobufWriter(start)
            fill(&writer)
            count = size
        }
    }

    /// Whether the wire can carry `text`: protobuf-c ends it at a zero character.
    static func isSendable(_ text: String) -> Bool {
        let isFree = unsafe text.utf8.withContiguousStorageIfAvailable { bytes in
            guard let start = bytes.baseAddress else { return true }
            return unsafe memchr(start, 0, bytes.count) == nil
        }
        return isFree ?? !text.utf8.contains(0)
    }

    static func varintBytes(_ number: UInt64) -> Int { max(1, (UInt64.bitWidth - number.leadingZeroBitCount + 6) / 7) }

    /// Room for a member of `count` bytes.
    static func bytes(of count: Int) -> Int { count == 0 ? 0 : 1 + varintBytes(UInt64(count)) + count }

    /// Room for a number.
    static func bytes(ofNumber number: UInt64) -> Int { number == 0 ? 0 : 1 + varintBytes(number) }

    /// Tag and length of a member whose `bytes` follow.
    mutating func begin(_ member: UInt8, bytes: Int) {
        put(byte: member << 3 | 2)
        put(varint: UInt64(bytes))
    }

    mutating func put(_ member: UInt8, number: UInt64) {
        guard number != 0 else { return }
        put(byte: member << 3)
        put(varint: number)
    }

    mutating func put(_ member: UInt8, _ text: String) {
        let count = text.utf8.count
        guard count > 0 else { return }
        begin(member, bytes: count)
        unsafe place.copy(text.utf8)
        unsafe place += count
    }

    mutating func put(_ member: UInt8, _ bytes: [UInt8]) { unsafe bytes.withUnsafeBytes { unsafe put(member, $0) } }

    mutating func put(_ member: UInt8, _ bytes: UnsafeRawBufferPointer) {
        guard let start = bytes.baseAddress, bytes.count > 0 else { return }
        begin(member, bytes: bytes.count)
        unsafe UnsafeMutableRawPointer(place).copyMemory(from: start, byteCount: bytes.count)
        unsafe place += bytes.count
    }

    private mutating func put(byte: UInt8) {
        unsafe place.pointee = byte
        unsafe place += 1
    }

    private mutating func put(varint number: UInt64) {
        var rest = number
        while rest >= 0x80 {
            put(byte: UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        put(byte: UInt8(rest))
    }
}

extension UnsafeMutablePointer<UInt8> {
    /// Writes `text` here: there is room for it.
    func copy(_ text: String.UTF8View) {
        let isDone: Void? = unsafe text.withContiguousStorageIfAvailable { bytes in
            if let start = bytes.baseAddress { unsafe update(from: start, count: bytes.count) }
        }
        if isDone == nil { for (index, byte) in text.enumerated() { unsafe self[index] = byte } }
    }
}
