import CThemisRPC
public import ThemisBase
public import ThemisNet

/// The body of an ERROR frame is the error itself: the one place where errors are mapped to the wire and back.
extension ThemisError: RPCMessage, @unsafe ProtobufMessage {
    /// Rows of `fields` and `members` that travel; the first ones tell the caller enough.
    private static let rowLimit = 64
    /// Bytes of a text that travel.
    private static let textBytes = 4 << 10

    /// Decodes the body of an ERROR frame. A code that this build does not know becomes `internal`.
    ///
    /// - Throws: `invalid_request` when it is malformed.
    public init(decoding bytes: UnsafeRawBufferPointer) throws(ThemisError) {
        self = try unsafe Self.unpack(bytes)
    }

    /// Appends the body of an ERROR frame. At most 64 fields and 64 members travel, and 4 KiB of each text.
    public func encode(into out: inout ByteBuffer) throws(ThemisError) {
        try unsafe pack(into: &out)
    }

    static func initialize(_ raw: UnsafeMutablePointer<Themis__V1__Error>) { unsafe themis__v1__error__init(raw) }

    static func unpack(
        _ allocator: UnsafeMutablePointer<ProtobufCAllocator>, _ count: Int, _ bytes: UnsafePointer<UInt8>?
    ) -> UnsafeMutablePointer<Themis__V1__Error>? { unsafe themis__v1__error__unpack(allocator, count, bytes) }

    init(raw: UnsafePointer<Themis__V1__Error>) throws(ThemisError) {
        self.init(
            ErrorCode.numbered(unsafe UInt16(clamping: raw.pointee.code)),
            try unsafe Protobuf.text(raw.pointee.message, "message"))
        for index in 0..<(unsafe raw.pointee.n_fields) {
            guard let field = unsafe raw.pointee.fields?[index] else { continue }
            let name = try unsafe Protobuf.text(field.pointee.field, "field")
            fields.append(FieldError(name, try unsafe Protobuf.text(field.pointee.message, "message")))
        }
        for index in 0..<(unsafe raw.pointee.n_members) {
            guard let member = unsafe raw.pointee.members?[index] else { continue }
            let name = try unsafe Protobuf.text(member.pointee.name, "name")
            let text = try unsafe Protobuf.text(member.pointee.text, "text")
            members.append((name, text.isEmpty ? .number(unsafe member.pointee.number) : .text(text)))
        }
        switch unsafe raw.pointee.outcome {
        case 1: outcome = .notCommitted
        case 2: outcome = .unknown
        default: outcome = nil
        }
        let seconds = unsafe raw.pointee.retry_after_seconds
        retryAfterSeconds = seconds == 0 ? nil : Int(seconds)
    }

    func fill(_ raw: UnsafeMutablePointer<Themis__V1__Error>, _ arena: inout MessageArena) throws(ThemisError) {
        unsafe raw.pointee.code = UInt32(code.number)
        try unsafe arena.set(&raw.pointee.message, Self.sendable(message))
        try unsafe fillFields(raw, &arena)
        try unsafe fillMembers(raw, &arena)
        unsafe raw.pointee.outcome =
            switch outcome {
            case nil: 0
            case .notCommitted: 1
            case .unknown: 2
            }
        unsafe raw.pointee.retry_after_seconds = UInt32(clamping: retryAfterSeconds ?? 0)
    }

    private func fillFields(_ raw: UnsafeMutablePointer<Themis__V1__Error>, _ arena: inout MessageArena) throws(ThemisError) {
        guard !fields.isEmpty else { return }
        let rows = fields.prefix(Self.rowLimit)
        let list = try unsafe arena.list(of: UnsafeMutablePointer<Themis__V1__ErrorField>.self, count: rows.count)
        for (index, field) in rows.enumerated() {
            let row = try unsafe arena.space(of: Themis__V1__ErrorField.self)
            unsafe themis__v1__error_field__init(row)
            try unsafe arena.set(&row.pointee.field, Self.sendable(field.field))
            try unsafe arena.set(&row.pointee.message, Self.sendable(field.message))
            unsafe list[index] = unsafe row
        }
        unsafe raw.pointee.fields = unsafe list
        unsafe raw.pointee.n_fields = rows.count
    }

    private func fillMembers(_ raw: UnsafeMutablePointer<Themis__V1__Error>, _ arena: inout MessageArena) throws(ThemisError) {
        guard !members.isEmpty else { return }
        let rows = members.prefix(Self.rowLimit)
        let list = try unsafe arena.list(of: UnsafeMutablePointer<Themis__V1__ErrorMember>.self, count: rows.count)
        for (index, member) in rows.enumerated() {
            let row = try unsafe arena.space(of: Themis__V1__ErrorMember.self)
            unsafe themis__v1__error_member__init(row)
            try unsafe arena.set(&row.pointee.name, Self.sendable(member.name))
            switch member.value {
            case .number(let number): unsafe row.pointee.number = number
            case .text(let text): try unsafe arena.set(&row.pointee.text, Self.sendable(text))
            }
            unsafe list[index] = unsafe row
        }
        unsafe raw.pointee.members = unsafe list
        unsafe raw.pointee.n_members = rows.count
    }

    /// What may travel of `text`: an error must reach the caller whatever its text quotes.
    private static func sendable(_ text: String) -> String {
        guard text.utf8.count > textBytes || text.utf8.contains(0) else { return text }
        var kept = String.UnicodeScalarView()
        var bytes = 0
        for scalar in text.unicodeScalars {
            let scalar = scalar.value == 0 ? "\u{FFFD}" : scalar
            bytes += UTF8.width(scalar)
            guard bytes <= textBytes else { break }
            kept.append(scalar)
        }
        return String(kept)
    }
}
